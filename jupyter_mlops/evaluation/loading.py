"""Loading: a stored model's estimator, read in the process that evaluates; without pickle unless the user says so."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

from ..errors import IntegrityFailure, InvalidArgument, NotFound
from ..tracking.skops_import import skops_io
from ..tracking.skops_trust import unknown_types

__all__ = ["load_estimator"]


def load_estimator(folder: Path, name: str, *, allow_pickle: bool = False) -> Any:
    """The scikit-learn estimator in an MLflow model folder, by skops with the types its file records as trusted.

    Raises
    ------
    InvalidArgument
        It is stored as a pickle, or names types as trusted that no library vouches for, and that was not allowed; or it is
        of another flavor.
    IntegrityFailure
        The file cannot be read.
    """
    import yaml

    try:
        flavors = yaml.safe_load((folder / "MLmodel").read_text())["flavors"]
    except (OSError, yaml.YAMLError, KeyError, TypeError) as error:
        raise NotFound(f"{folder} holds no readable MLflow model: {error}.", hint="Register it again.") from error
    if "onnx" in flavors and "sklearn" not in flavors:
        from .onnx_model import OnnxModel

        return OnnxModel((folder / Path(flavors["onnx"]["data"]).name).read_bytes())
    facts = flavors.get("sklearn")
    if not facts:
        raise InvalidArgument(
            f"{name} is neither a scikit-learn nor an ONNX model, so it is not loaded here.",
            hint="Load it yourself and give the object with `predict`, or a column of its predictions.",
        )
    path = folder / Path(facts["pickled_model"]).name  # a name out of a file: no way out of the folder
    kind = facts.get("serialization_format")
    unknown = unknown_types(facts.get("skops_trusted_types") or [])
    if (kind != "skops" or unknown) and not allow_pickle:
        makes = f"it makes objects of what only its own MLmodel file vouches for: {', '.join(unknown)}"
        raise InvalidArgument(
            f"loading {name} runs code that is stored in it: {makes if unknown else 'it is stored as a pickle'}.",
            hint="If you trust where it comes from, add --allow-pickle (allow_pickle=True).",
        )
    try:
        if kind == "skops":
            return skops_io().load(path, trusted=facts.get("skops_trusted_types") or [])
        if kind == "cloudpickle":
            import cloudpickle

            reader: Any = cloudpickle
        else:
            reader = pickle
        with path.open("rb") as file:
            return reader.load(file)
    except Exception as error:
        raise IntegrityFailure(f"{name} cannot be loaded: {type(error).__name__}: {error}.") from error
