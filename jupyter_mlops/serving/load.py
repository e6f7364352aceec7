"""Load: an MLflow model folder, what its MLmodel file says, and how it becomes a model that answers.

scikit-learn models are read without mlflow: the MLmodel file, and the estimator by skops with exactly the types that the
file records as trusted. Everything else goes through `store.pyfunc`, which is mlflow itself.
"""

from __future__ import annotations

import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import InvalidArgument, NotFound
from .model import PyfuncModel, ServedModel, SklearnModel
from .signature import Signature

__all__ = ["ModelFolder"]

PICKLES = (".pkl", ".pickle", ".joblib", ".cloudpickle", ".pt", ".pth", ".dill")
# flavours whose files hold data and no code, unless a file beside them is a pickle
PLAIN_LOADERS = ("mlflow.sklearn", "mlflow.xgboost", "mlflow.lightgbm", "mlflow.catboost", "mlflow.onnx")


@dataclass(frozen=True)
class ModelFolder:
    """An MLflow model on disk, and what its MLmodel file says of it.

    Parameters
    ----------
    path
        The folder.
    facts
        The MLmodel file's content.
    """

    path: Path
    facts: dict[str, Any]

    @classmethod
    def open(cls, path: Path) -> ModelFolder:
        """Read the MLmodel file.

        Raises
        ------
        NotFound
            There is no readable one.
        """
        import yaml

        try:
            facts = yaml.safe_load((path / "MLmodel").read_text())
        except (OSError, yaml.YAMLError) as error:
            raise NotFound(
                f"{path} holds no readable MLflow model: {error}.", hint="Register the model again."
            ) from error
        if not isinstance(facts, dict) or not isinstance(facts.get("flavors"), dict):
            raise NotFound(f"{path / 'MLmodel'} names no flavor.", hint="Register the model again.")
        return cls(path, facts)

    @property
    def inputs(self) -> str:
        """The signature's inputs, as MLflow writes them; empty for a model without a signature."""
        return str((self.facts.get("signature") or {}).get("inputs") or "")

    @property
    def outputs(self) -> str:
        """The signature's outputs, as MLflow writes them; empty for a model that states none."""
        return str((self.facts.get("signature") or {}).get("outputs") or "")

    @property
    def loader(self) -> str:
        """The module by which mlflow loads the model."""
        return str(self.facts["flavors"].get("python_function", {}).get("loader_module", ""))

    def native(self) -> bool:
        """Whether `SklearnModel` can serve it without mlflow."""
        flavors = self.facts["flavors"]
        if self.loader != "mlflow.sklearn" or (self.facts.get("signature") or {}).get("params"):
            return False
        if flavors["python_function"].get("code") or flavors.get("sklearn", {}).get("code"):
            return False
        try:
            Signature.parse(self.inputs)
        except ValueError:
            return False
        return flavors.get("sklearn", {}).get("serialization_format") in ("skops", "pickle", "cloudpickle")

    @property
    def method(self) -> str:
        """The estimator's method that answers where a request names none."""
        return str(self.facts["flavors"].get("python_function", {}).get("predict_fn") or "predict")

    def runs_code(self) -> str:
        """Why loading the model runs code that came with it; empty when it does not."""
        for file in sorted(self.path.rglob("*")):
            if file.suffix in PICKLES:
                return f"{file.relative_to(self.path)} is a pickle"
        if self.facts["flavors"].get("sklearn", {}).get("serialization_format") in ("pickle", "cloudpickle"):
            return "it is stored as a pickle"
        if self.facts["flavors"].get("python_function", {}).get("code"):
            return "it brings Python files of its own"
        return "" if self.loader in PLAIN_LOADERS else f"it is loaded by {self.loader or 'an unknown loader'}"

    def check_consent(self, model: str, *, allow_pickle: bool) -> None:
        """Raise unless loading the model runs no code of its own, or the user has said that it may.

        Raises
        ------
        InvalidArgument
            The consent is missing.
        """
        why = self.runs_code()
        if why and not allow_pickle:
            raise InvalidArgument(
                f"loading {model} runs code that is stored in it: {why}.",
                hint="If you trust where it comes from, add --allow-pickle (allow_pickle=True).",
            )

    def example(self) -> tuple[bytes, str] | None:
        """The stored input example as a request, None if there is none."""
        try:
            return (self.path / "serving_input_example.json").read_bytes(), "application/json"
        except OSError:
            return None

    def estimator(self, *, allow_pickle: bool) -> Any:
        """The estimator of a `native` model.

        Raises
        ------
        InvalidArgument
            Loading it runs code of its own, and that was not allowed.
        Exception
            Whatever skops or pickle raise.
        """
        self.check_consent(str(self.facts.get("model_id") or self.path.name), allow_pickle=allow_pickle)
        return _estimator(self)

    def load(self, *, allow_pickle: bool, plan: Path | None = None) -> ServedModel:
        """Load the model.

        Parameters
        ----------
        plan
            The folder of its plan, if one was made: see `compiled.build`.

        Raises
        ------
        InvalidArgument
            Loading it runs code of its own, and that was not allowed.
        Exception
            Whatever skops, pickle or mlflow raise.
        """
        self.check_consent(str(self.facts.get("model_id") or self.path.name), allow_pickle=allow_pickle)
        if not self.native():
            from ..store.pyfunc import Pyfunc

            reason = f"{self.loader or 'its loader'} is served by mlflow"
            return PyfuncModel(Pyfunc(self.path, allow_pickle=allow_pickle).answer, reason)
        signature = Signature.parse(self.inputs)
        found = _plan(plan)
        if found is not None and found.operation is not None and signature is not None:
            from .compiled.model import CompiledModel

            return CompiledModel(found, signature, lambda: _estimator(self))
        reason = found.reason if found is not None else "it was not compiled"
        return SklearnModel(_estimator(self), signature, method=self.method, path_reason=reason)


def _plan(folder: Path | None) -> Any:
    if folder is None:
        return None
    from .compiled.plan import Plan

    return Plan.read(folder)


def _estimator(folder: ModelFolder) -> Any:
    facts = folder.facts["flavors"]["sklearn"]
    path = folder.path / Path(facts["pickled_model"]).name  # a name out of a file: no way out of the folder
    if facts["serialization_format"] == "skops":
        import skops.io

        return skops.io.load(path, trusted=facts.get("skops_trusted_types") or [])
    if facts["serialization_format"] == "cloudpickle":
        import cloudpickle

        reader: Any = cloudpickle
    else:
        reader = pickle
    with path.open("rb") as file:
        return reader.load(file)
