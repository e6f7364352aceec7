"""A model as a folder: a complete MLflow model, written in the kernel without loading MLflow.

What `write_package` leaves is what ``mlflow.sklearn.save_model`` leaves, and stock MLflow loads, serves and registers it::

    MLmodel                     flavours, signature, and under ``metadata: mlops:`` what `Package` tells
    model.skops                 the estimator, without pickle (``model.pkl`` by consent)
    requirements.txt, python_env.yaml, conda.yaml
    input_example.json, serving_input_example.json
    code/                       the user's own modules that the estimator's classes come from
    mlops/profile/              the training data's reference profile, for drift

The folder appears whole or not at all.
"""

from __future__ import annotations

import json
import os
import shutil
import time
import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from ..domain.signature import Schema, SignatureColumn, columns_of
from ..errors import InvalidArgument, MLOpsError, NotReady
from .installed import version
from .model_code import build_requirements, copy_code, python_version, requirements
from .model_example import hidden_example, write_example
from .model_file import Stored, store_estimator
from .model_signature import categories_of, output_schema, schema_of
from .yaml_text import as_yaml

__all__ = ["PROFILE", "Package", "check_estimator", "describe", "split_training", "write_environment", "write_package"]

PROFILE = "mlops/profile"
EXAMPLE_ROWS = 5
SCHEMA = "1"  # of what stands under ``metadata: mlops:``


@dataclass(frozen=True)
class Package:
    """What was written into a model folder.

    Parameters
    ----------
    estimator
        The estimator's classes, outermost first: ``Pipeline(LogisticRegression)``.
    format
        ``skops``, or ``pickle`` where that was allowed and needed.
    digest
        SHA-256 of the stored model file: the same for the same estimator.
    profile
        Whether the training data's reference profile was written.
    notes
        What the user should know: what is missing and why.
    """

    estimator: str
    flavor: str
    format: str
    inputs: tuple[SignatureColumn, ...]
    outputs: tuple[SignatureColumn, ...]
    digest: str
    profile: bool = False
    notes: tuple[str, ...] = ()


def write_package(
    model: Any,
    folder: Path,
    *,
    training: Any = None,
    target: Any = None,
    profile: Callable[..., Any] | None = None,
    personal: Callable[[Any], Any] | None = None,
    predicted: Any = None,
    known: dict[str, Any] | None = None,
    allow_pickle: bool = False,
) -> Package:
    """Write a fitted estimator as an MLflow model folder.

    Parameters
    ----------
    folder
        The folder to make; one that is there is replaced.
    training
        What the model was fitted on: a table or an array of its inputs. A table may hold more columns than the model
        takes. Without it the model has no signature, no example and no profile.
    target
        What it was fitted to.
    profile
        Writes the reference profile and gives it: ``profile(inputs, target, model, folder, personal, predicted=,
        known=)``: the names of columns of which no value is kept, predictions on the inputs, and what it gave before
        for the same inputs.
    personal
        Finds the personal columns of the inputs, a `datasets.personal.training.PersonalColumns`; None for none.
    predicted
        The model's predictions on all of `training`, where they are at hand.
    known
        What was found out before of the same `training`, by another model's package; this one adds to it.
    allow_pickle
        Whether to store a pickle where skops cannot.

    Raises
    ------
    InvalidArgument
        `model` is no estimator, cannot be stored, or does not fit `training`.
    NotReady
        `model` is not fitted.
    """
    check_estimator(model)
    inputs, target = split_training(model, training, target)
    stored, again = store_estimator(model, allow_pickle=allow_pickle)
    notes: list[str] = []
    temporary = folder.with_name(f".{folder.name}.{os.getpid()}.{uuid.uuid4().hex[:8]}.tmp")
    temporary.mkdir(parents=True)
    try:
        (temporary / stored.file).write_bytes(stored.data)
        signature: dict[str, Schema] = {}
        example: dict[str, Any] = {}
        known = {} if known is None else known
        if "personal" not in known:
            known["personal"] = personal(inputs) if personal is not None and inputs is not None else None
        hidden = known["personal"]
        if inputs is not None and inputs.shape[0]:
            if "schema" not in known:
                known["schema"] = schema_of(inputs)
            signature["inputs"] = known["schema"]
            head = inputs[:EXAMPLE_ROWS]
            if hasattr(model, "predict"):
                predictions = _predict(model, again, head, predicted)
                signature["outputs"] = output_schema(predictions, signature["inputs"])
            example = (
                write_example(head, temporary)
                if hidden is None
                else hidden_example(again, head, hidden, temporary, notes)
            )
        else:
            notes.append("no signature: the training data is not known, so inputs will not be checked.")
        if not hasattr(model, "predict"):
            notes.append(f"{type(model).__name__} has no predict(): it can be loaded, but not deployed.")
        profiled = False
        if profile is not None and inputs is not None:
            write = partial(profile, inputs, target, model, temporary / PROFILE, hidden.whole if hidden else [])
            profiled = _write_profile(partial(write, predicted=predicted), known, temporary, notes)
        learnt = hidden.learnt(inputs, stored.holds) if hidden is not None else []
        if learnt:
            notes.append(f"the model itself holds values of {', '.join(learnt)}, as an encoder does.")
        own = copy_code(stored.modules, temporary / "code")
        if own:
            notes.append(f"stored with your own code ({', '.join(own)}), which a server runs with --allow-pickle only.")
        package = Package(
            estimator=describe(model),
            flavor="sklearn",
            format=stored.format,
            inputs=columns_of(signature.get("inputs")),
            outputs=columns_of(signature.get("outputs")),
            digest=stored.digest,
            profile=profiled,
            notes=tuple(notes),
        )
        storage = "skops" if stored.format == "skops" else "cloudpickle"
        write_environment(requirements(stored.modules, storage=storage), temporary)
        told: dict[str, Any] = {"categories": categories_of(inputs)}
        if hidden is not None:
            told = {"categories": hidden.others(told["categories"], learnt), "personal": dict(hidden.kinds)}
        _write_mlmodel(model, package, stored, signature, example, told, temporary)
        _replace(temporary, folder)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    return package


def check_estimator(model: Any) -> None:
    """Raise unless `model` is a fitted estimator.

    Raises
    ------
    InvalidArgument
        It is no scikit-learn estimator.
    NotReady
        It is not fitted.
    """
    if isinstance(model, type) or not hasattr(model, "fit") or not hasattr(model, "get_params"):
        what = f"the class {model.__name__}" if isinstance(model, type) else f"a {type(model).__name__}"
        raise InvalidArgument(f"a model is a fitted scikit-learn estimator, not {what}.", hint="Give a fitted one.")
    from sklearn.exceptions import NotFittedError
    from sklearn.utils.validation import check_is_fitted

    try:
        check_is_fitted(model)
    except NotFittedError:
        raise NotReady(f"this {type(model).__name__} is not fitted.", hint="Call its fit() first.") from None
    except TypeError as error:
        raise InvalidArgument(f"a model is a fitted scikit-learn estimator: {error}.") from None


def split_training(model: Any, training: Any, target: Any = None) -> tuple[Any, Any]:
    """The columns that `model` takes out of a training table, and the target, which may be the one column left.

    Raises
    ------
    InvalidArgument
        A column that the model was fitted with is missing, or the number of columns is another.
    """
    if training is None:
        return None, target
    training = _in_memory(training)
    if not hasattr(training, "shape"):
        raise InvalidArgument(f"training data is a table or an array, not a {type(training).__name__}.")
    names = getattr(model, "feature_names_in_", None)
    table = hasattr(training, "columns")
    if names is not None and table:
        missing = [str(name) for name in names if name not in training.columns]
        if missing:
            raise InvalidArgument(
                f"the training data lacks {len(missing)} of the model's columns: {', '.join(missing[:8])}.",
                hint="Give the table that the model was fitted on.",
            )
        left = [name for name in training.columns if name not in set(names)]
        if target is None and len(left) == 1:
            target = training[left[0]]
        return training[list(names)], target
    count = getattr(model, "n_features_in_", None)
    shape: tuple[int, ...] = tuple(getattr(training, "shape", ()))
    if count is not None and len(shape) == 2 and shape[1] != count:
        raise InvalidArgument(
            f"the model was fitted on {count} columns without names; the training data has {shape[1]}.",
            hint="Give just the columns it was fitted on.",
        )
    if table and names is None and count is not None and all(isinstance(name, str) for name in training.columns):
        training = training.to_numpy()  # fitted without names, so on an array
    return training, target


def describe(model: Any) -> str:
    """An estimator's classes, outermost first.

    Examples
    --------
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from sklearn.svm import SVC
    >>> describe(make_pipeline(StandardScaler(), SVC()))
    'Pipeline(SVC)'
    >>> from sklearn.ensemble import RandomForestClassifier
    >>> describe(RandomForestClassifier())
    'RandomForestClassifier'
    """
    name = type(model).__name__
    steps = getattr(model, "steps", None)
    inner = steps[-1][1] if isinstance(steps, list) and steps else getattr(model, "estimator", None)
    if inner is None or isinstance(inner, (str, type)) or not hasattr(inner, "get_params"):
        return name
    given = model.get_params(deep=False) if hasattr(model, "get_params") else {}
    if not steps and "estimator" not in given:  # a forest's own, which nobody has given it
        return name
    return f"{name}({describe(inner)})"


def _in_memory(data: Any) -> Any:
    """Tables of other libraries and lists as pandas and NumPy have them."""
    import numpy as np

    if hasattr(data, "to_pandas"):
        return data.to_pandas()
    if isinstance(data, (list, tuple)):
        return np.asarray(data, dtype=object if data and isinstance(data[0], str) else None)
    return data


def _predict(model: Any, again: Any, head: Any, known: Any = None) -> Any:
    """The model's predictions on the example, out of those `known` for a longer table; what was read back must give the same."""
    import numpy as np

    def call(which: Any) -> Any:
        try:
            return which.predict(head.copy())
        except Exception as error:
            text = str(error).strip().split("\n", 1)[0][:200]
            raise InvalidArgument(
                f"the model cannot predict on the training data given: {text}.",
                hint="Give the table that it was fitted on.",
            ) from error

    def same(one: Any, other: Any) -> bool:
        one, other = np.asarray(one), np.asarray(other)
        if one.shape != other.shape:
            return False
        if one.dtype.kind == "f" and other.dtype.kind == "f":
            return bool(np.allclose(one, other, equal_nan=True))
        return bool(np.array_equal(one, other))

    predictions = call(model) if known is None else known[: len(head)]
    if again is model or same(predictions, read_back := call(again)):
        return predictions
    predictions = call(model)  # which may depend on how many rows there are, or on chance
    if not same(predictions, read_back) and same(predictions, call(model)):
        raise InvalidArgument(
            f"this {type(model).__name__} cannot be stored without pickle: read back, it predicts otherwise.",
            hint="Store a pickle: `--allow-pickle` (`allow_pickle=True`).",
        )
    return predictions


def _write_profile(write: Callable[..., Any], known: dict[str, Any], folder: Path, notes: list[str]) -> bool:
    (folder / PROFILE).mkdir(parents=True)
    try:
        known["profile"] = write(known=known.get("profile"))
    except Exception as error:  # a model without a profile is worth more than no model
        shutil.rmtree(folder / "mlops", ignore_errors=True)
        text = error if isinstance(error, MLOpsError) else f"{type(error).__name__}: {error}"
        notes.append(f"no reference profile, so drift will need a reference: {text}")
        return False
    return True


def write_environment(needed: Sequence[str], folder: Path) -> None:
    """Write what a model needs as MLflow's three files have it: for pip, for conda, and for a virtual environment.

    Parameters
    ----------
    needed
        Requirements as pip reads them.
    """
    pip = version("pip")
    conda = {
        "channels": ["conda-forge"],
        "dependencies": [f"python={python_version()}", f"pip<={pip}" if pip else "pip", {"pip": list(needed)}],
        "name": "mlflow-env",
    }
    env = {
        "python": python_version(),
        "build_dependencies": build_requirements(),
        "dependencies": ["-r requirements.txt"],
    }
    (folder / "requirements.txt").write_text("\n".join(needed))
    (folder / "conda.yaml").write_text(as_yaml(conda))
    (folder / "python_env.yaml").write_text(as_yaml(env))


def _write_mlmodel(
    model: Any,
    package: Package,
    stored: Stored,
    signature: dict[str, Schema],
    example: dict[str, Any],
    told: dict[str, Any],
    folder: Path,
) -> None:
    code = "code" if (folder / "code").exists() else None
    flavors: dict[str, Any] = {
        "sklearn": {
            "code": code,
            "pickled_model": stored.file,
            "serialization_format": stored.serialization_format,
            "sklearn_version": version("scikit-learn"),
            "skops_trusted_types": list(stored.trusted) or None,
        }
    }
    if hasattr(model, "predict"):
        flavors["python_function"] = {
            "env": {"conda": "conda.yaml", "virtualenv": "python_env.yaml"},
            "loader_module": "mlflow.sklearn",
            "model_path": stored.file,
            "predict_fn": "predict",
            "python_version": python_version(),
            **({"code": code} if code else {}),
        }
    moment = time.time_ns() // 1000
    described: dict[str, Any] = {
        "flavors": flavors,
        "metadata": {
            "mlops": {
                "schema": SCHEMA,
                "estimator": package.estimator,
                "class": f"{type(model).__module__}.{type(model).__qualname__}",
                "format": package.format,
                "digest": package.digest,
                "profile": package.profile,
                **{key: value for key, value in told.items() if value},
            }
        },
        "mlflow_version": version("mlflow"),
        "model_id": None,
        "model_size_bytes": sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()),
        "model_uuid": uuid.uuid4().hex,
        "prompts": None,
        "utc_time_created": time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(moment // 1_000_000))
        + f".{moment % 1_000_000:06d}",
    }
    if signature:
        described["signature"] = {
            "inputs": json.dumps(signature["inputs"]),
            "outputs": json.dumps(signature["outputs"]) if "outputs" in signature else None,
            "params": None,
        }
        described |= {"is_signature_from_type_hint": False, "type_hint_from_example": False}
    if example:
        described["saved_input_example_info"] = example
    (folder / "MLmodel").write_text(as_yaml(described))


def _sync(file: Path) -> None:
    with file.open("rb") as opened:
        os.fsync(opened.fileno())


def _replace(temporary: Path, folder: Path) -> None:
    """Put the finished folder in its place; before that, see to it that its files outlive a power cut."""
    files = [path for path in temporary.rglob("*") if path.is_file()]
    with ThreadPoolExecutor(len(files)) as pool:  # at once: one after the other each would wait for the disk
        list(pool.map(_sync, files))
    if folder.exists():
        shutil.rmtree(folder)
    temporary.replace(folder)
