"""Load: an MLflow model folder, what its MLmodel file says, and how it becomes a model that answers.

scikit-learn models are read without mlflow: the MLmodel file, and the estimator by skops with the types that the file
records as trusted, so far as they are known to do no harm; so are XGBoost's and LightGBM's own files, which hold no code.
Everything else goes through `store.pyfunc`, which is mlflow itself.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import InvalidArgument, NotFound
from ..tracking.skops_import import skops_io
from ..tracking.skops_trust import check_homes, unknown_types
from .categories import categories_of
from .model import PyfuncModel, ServedModel, SklearnModel
from .signature import Signature

__all__ = ["ModelFolder"]

PICKLES = (".pkl", ".pickle", ".joblib", ".cloudpickle", ".pt", ".pth", ".dill")
# flavours whose files hold data and no code, unless a file beside them is a pickle
# the classes that the libraries' own files, which hold no code, are read into
CLASSES = {
    "mlflow.xgboost": ("xgboost.core.Booster", "xgboost.sklearn.XGBClassifier", "xgboost.sklearn.XGBRegressor"),
    "mlflow.lightgbm": ("lightgbm.basic.Booster", "lightgbm.sklearn.LGBMClassifier", "lightgbm.sklearn.LGBMRegressor"),
}
CONSENT = "If you trust where it comes from, add --allow-pickle (allow_pickle=True)."
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
        """Whether it can be served without mlflow: scikit-learn's models, XGBoost's and LightGBM's."""
        if self.loader not in READERS or (self.facts.get("signature") or {}).get("params"):
            return False
        if self.facts["flavors"]["python_function"].get("code") or self.own.get("code"):
            return False
        try:
            Signature.parse(self.inputs)
        except ValueError:
            return False
        if self.loader == "mlflow.sklearn":
            return self.own.get("serialization_format") in ("skops", "pickle", "cloudpickle")
        if self.loader == "mlflow.onnx":  # ours says in the file how a row becomes its inputs
            return self._ours.get("format") == "onnx"
        if self.own.get("model_class") not in CLASSES[self.loader]:
            return False
        return self.loader == "mlflow.xgboost" or self._stored.suffix in (".lgb", ".skops")

    @property
    def own(self) -> dict[str, Any]:
        """What the MLmodel file says under the flavor of the loader's library."""
        found: dict[str, Any] = self.facts["flavors"].get(self.loader.rpartition(".")[2]) or {}
        return found

    @property
    def _ours(self) -> dict[str, Any]:
        """What `tracking.model_package` has noted in the MLmodel file; empty for a model that somebody else stored."""
        found: dict[str, Any] = (self.facts.get("metadata") or {}).get("mlops") or {}
        return found

    def personal(self) -> list[str]:
        """The columns that were found to hold personal data when the model was stored."""
        said = self._ours.get("personal")
        return [str(name) for name in said] if isinstance(said, dict) else []

    @property
    def trusted(self) -> list[str]:
        """The types beyond skops' own that the file says reading it needs."""
        return [str(name) for name in self.own.get("skops_trusted_types") or []]

    @property
    def _stored(self) -> Path:
        """The estimator's file: a name out of a file, and no way out of the folder."""
        return self.path / Path(str(self.own.get("pickled_model") or self.own.get("data") or "model")).name

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
        unknown = unknown_types(self.trusted)
        if unknown:
            return f"it makes objects of what only its own MLmodel file vouches for: {', '.join(unknown)}"
        return "" if self.loader in PLAIN_LOADERS else f"it is loaded by {self.loader or 'an unknown loader'}"

    def check_servable(self, model: str, *, allow_pickle: bool) -> None:
        """Raise unless the model can predict, and loading it runs no code of its own or the user has said that it may.

        Raises
        ------
        InvalidArgument
            It has no ``predict``, as a PCA; or the consent is missing.
        """
        if "python_function" not in self.facts["flavors"]:
            made = self._ours.get("estimator") or "it"
            raise InvalidArgument(
                f"{model} cannot be deployed: {made} has no predict().",
                hint="Deploy what can predict, for instance a pipeline that ends in a model.",
            )
        why = self.runs_code()
        if why and not allow_pickle:
            raise InvalidArgument(
                f"loading {model} runs code that is stored in it: {why}.",
                hint=CONSENT,
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
        self.check_servable(self._known_as, allow_pickle=allow_pickle)
        return self._read(allow_pickle=allow_pickle)

    @property
    def _known_as(self) -> str:
        return str(self.facts.get("model_id") or self.path.name)

    def _read(self, *, allow_pickle: bool) -> Any:
        if not allow_pickle and self.trusted:
            try:
                check_homes(self.trusted)
            except (ValueError, ImportError) as error:
                raise InvalidArgument(
                    f"loading {self._known_as} may run code that is not the library's: {error}.", hint=CONSENT
                ) from error
        return READERS[self.loader](self)

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
        self.check_servable(self._known_as, allow_pickle=allow_pickle)
        if not self.native():
            from ..store.pyfunc import Pyfunc

            reason = f"{self.loader or 'its loader'} is served by mlflow"
            # mlflow asks for consent to any skops file; this one's types were looked at
            looked_at = self.loader == "mlflow.sklearn" and self.own.get("serialization_format") == "skops"
            return PyfuncModel(Pyfunc(self.path, allow_pickle=allow_pickle or looked_at).answer, reason)
        signature = Signature.parse(self.inputs)
        found = _plan(plan)
        if found is not None and found.operation is not None and signature is not None:
            from .compiled.model import CompiledModel

            return CompiledModel(found, signature, lambda: self._read(allow_pickle=allow_pickle))
        reason = found.reason if found is not None else "it was not compiled"
        estimator = self._read(allow_pickle=allow_pickle)
        categories = categories_of(estimator, signature, self._ours.get("categories") or {})
        return SklearnModel(estimator, signature, method=self.method, path_reason=reason, categories=categories)


def _plan(folder: Path | None) -> Any:
    if folder is None:
        return None
    from .compiled.plan import Plan

    return Plan.read(folder)


def _sklearn(folder: ModelFolder) -> Any:
    facts, path = folder.own, folder._stored  # noqa: SLF001 one of its own
    if facts["serialization_format"] == "skops":
        return _skops(folder)
    if facts["serialization_format"] == "cloudpickle":
        import cloudpickle

        reader: Any = cloudpickle
    else:
        reader = pickle
    with path.open("rb") as file:
        return reader.load(file)


def _skops(folder: ModelFolder) -> Any:
    skops = skops_io()
    try:
        return skops.load(folder._stored, trusted=folder.trusted)  # noqa: SLF001 the same
    except skops.exceptions.UntrustedTypesFoundException as error:
        lacking = ", ".join(set(skops.get_untrusted_types(file=folder._stored)) - set(folder.trusted))  # noqa: SLF001 the same
        raise InvalidArgument(
            f"the model's file holds {lacking}, and its MLmodel file does not name that under skops_trusted_types.",
            hint="Register the model again, or log it with `skops_trusted_types`.",
        ) from error


def _xgboost(folder: ModelFolder) -> Any:
    import xgboost

    made = getattr(xgboost, folder.own["model_class"].rpartition(".")[2])()
    made.load_model(folder._stored)  # noqa: SLF001 the same
    return _Booster(made, xgboost.DMatrix) if isinstance(made, xgboost.Booster) else made


def _lightgbm(folder: ModelFolder) -> Any:
    if folder._stored.suffix == ".skops":  # noqa: SLF001 the same
        return _skops(folder)
    import lightgbm

    return lightgbm.Booster(model_file=folder._stored)  # noqa: SLF001 the same


class _Booster:
    """XGBoost's own kind of model, which takes its data in XGBoost's own kind of table."""

    def __init__(self, booster: Any, table: Any) -> None:
        self._booster, self._table = booster, table

    def predict(self, data: Any) -> Any:
        return self._booster.predict(self._table(data))


def _onnx(folder: ModelFolder) -> Any:
    from ..evaluation.onnx_model import OnnxModel

    return OnnxModel(folder._stored.read_bytes())  # noqa: SLF001 the same


READERS: dict[str, Callable[[ModelFolder], Any]] = {
    "mlflow.sklearn": _sklearn,
    "mlflow.onnx": _onnx,
    "mlflow.xgboost": _xgboost,
    "mlflow.lightgbm": _lightgbm,
}
