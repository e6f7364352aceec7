"""ONNX model: an estimator as one file that says of itself which columns it takes; made, asked, and stored for MLflow.

The file's metadata holds ``mlops.columns`` (name and kind of each), ``mlops.classes`` and ``mlops.array``, so whoever has
the file needs nothing else: `footprint` asks one with NumPy and onnxruntime alone.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InvalidArgument, MLOpsError
from ..tracking.onnx_import import onnxruntime
from .footprint import ask_session, open_session
from .onnx_convert import converted, last_step, side_by_side

__all__ = ["OnnxModel", "feeds_of", "opened_told", "quantised", "to_onnx", "write_onnx_package"]

Array = np.ndarray[Any, Any]

OPSET = {"": 17, "ai.onnx.ml": 3}


class OnnxModel:
    """A model read from an ONNX file of ours, asked like an estimator.

    Parameters
    ----------
    data
        The file's bytes.
    """

    def __init__(self, data: bytes) -> None:
        self.data = data
        self._session, self._told = open_session(data)
        if not self._told:
            raise InvalidArgument("this ONNX file does not say which columns it takes.", hint="Make one: `compress`.")
        if self._told["classes"]:
            self.classes_ = np.array(self._told["classes"])
            self.predict_proba = self._probabilities
        if not self._told["array"]:
            self.feature_names_in_ = np.array([name for name, _ in self._told["columns"]], dtype=object)
        self.n_features_in_ = len(self._told["columns"])

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """None: there is nothing to set."""
        return {}

    def fit(self, *_: Any) -> Any:
        """Refuse: a file cannot be fitted.

        Raises
        ------
        InvalidArgument
            Always.
        """
        raise InvalidArgument("a model read from ONNX cannot be fitted again.", hint="Fit the one it was made from.")

    def predict(self, inputs: Any) -> Array:
        """Labels, or numbers."""
        found: Array = ask_session(self._session, self._told, feeds_of(inputs, self._told))[0]
        return found

    def _probabilities(self, inputs: Any) -> Array:
        found = ask_session(self._session, self._told, feeds_of(inputs, self._told))[1]
        return np.asarray(found, dtype=np.float64)


def opened_told(data: bytes) -> dict[str, Any]:
    """What a file of ours says of columns and classes."""
    import onnx

    held = {each.key: each.value for each in onnx.load_from_string(data).metadata_props}
    return {key.partition(".")[2]: json.loads(value) for key, value in held.items() if key.startswith("mlops.")}


def feeds_of(inputs: Any, told: dict[str, Any]) -> dict[str, Array]:
    """A table as the arrays that a file of ours takes: one a column, texts as texts."""
    if told["array"]:
        return {"X": np.asarray(inputs, dtype=np.float64)}
    found = {}
    for name, kind in told["columns"]:
        column = inputs[name]
        if kind == "text":
            texts = column.astype(object)
            found[name] = texts.where(column.notna(), "").to_numpy().astype("U")
        else:
            found[name] = column.to_numpy(dtype=np.float64, na_value=np.nan)
    return found


def to_onnx(estimator: Any, inputs: Any, *, double: bool, final: Callable[..., Any] | None = None) -> bytes:
    """An estimator as an ONNX file.

    Parameters
    ----------
    inputs
        A table or array as it was fitted on: it gives the columns and their kinds.
    double
        Whether to compute with 64 bits, as scikit-learn does; with 32, thresholds move by a hair and files are smaller.
    final
        Gives the last step's sums in 64 bits, see `onnx_exact`; without it, or where it knows no form of the step,
        skl2onnx's own is used, which rounds trees to 32 bits.

    Raises
    ------
    InvalidArgument
        Something in it has no ONNX form.
    """
    import pandas as pd
    from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType, StringTensorType

    number: Any = DoubleTensorType if double else FloatTensorType
    array = not hasattr(inputs, "columns")
    columns: list[list[str]] = []
    if array:
        columns = [[f"x{i}", "number"] for i in range(inputs.shape[1])]
        types: list[Any] = [("X", number([None, inputs.shape[1]]))]
    else:
        for name in inputs.columns:
            numeric = pd.api.types.is_numeric_dtype(inputs[name])
            columns.append([str(name), "number" if numeric else "text"])
        types = [(name, (number if kind == "number" else StringTensorType)([None, 1])) for name, kind in columns]
    classes = [c.item() if hasattr(c, "item") else c for c in getattr(estimator, "classes_", ())]
    try:
        made = _exact(estimator, types, classes, final) if double and final is not None else None
        if made is None:
            made = converted(side_by_side(estimator, types), types, OPSET, classifier=bool(classes))
    except Exception as error:
        text = str(error).strip().split("\n", 1)[0][:160]
        raise InvalidArgument(f"this {type(estimator).__name__} has no ONNX form: {text}.") from error
    for key, value in (("columns", columns), ("classes", classes), ("array", array), ("double", double)):
        held = made.metadata_props.add()
        held.key, held.value = f"mlops.{key}", json.dumps(value)
    data: bytes = made.SerializeToString()
    try:
        open_session(data)
    except Exception as error:
        text = str(error).strip().rpartition(" : ")[2].split("\n", 1)[0][:160]
        raise InvalidArgument(f"the ONNX form of this {type(estimator).__name__} cannot be run: {text}") from error
    return data


def _exact(estimator: Any, types: list[Any], classes: list[Any], final: Callable[..., Any]) -> Any | None:
    """The model with its last step in 64 bits; None where that is not known for it."""
    from onnx import TensorProto, helper

    from .onnx_exact import OPSETS, with_final

    last = last_step(estimator)
    if classes and not all(isinstance(c, (str, int)) for c in classes):
        return None
    try:
        told, forest = final(last, int(last.n_features_in_))
    except (MLOpsError, AttributeError):
        return None
    before, inputs = None, []
    beside = side_by_side(estimator, types)
    if hasattr(beside, "steps") and len(beside.steps) > 1:
        before = converted(beside[:-1], types, OPSETS)
    else:
        inputs = [helper.make_tensor_value_info(types[0][0], TensorProto.DOUBLE, [None, types[0][1].shape[1]])]
    try:
        return with_final(before, inputs, told, forest, classes)
    except InvalidArgument:
        return None


def quantised(data: bytes) -> bytes | None:
    """The file with the weights of its matrix products as 8-bit whole numbers; None where it has no such product."""
    import logging
    import tempfile

    import onnx

    onnxruntime()
    from onnxruntime.quantization import QuantType, quantize_dynamic

    held = onnx.load_from_string(data)
    if not any(node.op_type in ("MatMul", "Gemm") for node in held.graph.node):
        return None
    with tempfile.TemporaryDirectory() as place:
        source, target = Path(place) / "whole.onnx", Path(place) / "small.onnx"
        source.write_bytes(data)
        before = logging.root.level
        logging.root.setLevel(logging.ERROR)  # it advises to prepare the file, through the root's own logger
        try:
            quantize_dynamic(source, target, weight_type=QuantType.QInt8)
        finally:
            logging.root.setLevel(before)
        made = onnx.load(str(target))
    if not any("Integer" in node.op_type or "Quant" in node.op_type for node in made.graph.node):
        return None
    if not made.metadata_props:
        made.metadata_props.extend(held.metadata_props)
    small: bytes = made.SerializeToString()
    return small


def write_onnx_package(
    data: bytes, estimator: Any, folder: Path, *, inputs: Any, profile: Any, personal: Any = None, target: Any = None
) -> None:
    """Write a file of ours as an MLflow model folder of the flavor ``onnx``, which stock MLflow loads and serves."""
    import hashlib

    from ..tracking.installed import version
    from ..tracking.model_code import python_version, requirements
    from ..tracking.model_package import PROFILE, describe, write_environment
    from ..tracking.model_signature import output_schema, schema_of
    from ..tracking.yaml_text import as_yaml

    folder.mkdir(parents=True)
    (folder / "model.onnx").write_bytes(data)
    needed = [
        f"{name}=={version(name)}" for name in ("mlflow", "onnx", "onnxruntime", "numpy", "pandas") if version(name)
    ]
    needed = needed or requirements(frozenset(), storage="skops")
    write_environment(needed, folder)
    profiled = False
    hidden = personal(inputs) if personal is not None else None
    kinds = dict(hidden.kinds) if hidden is not None else {}
    if profile is not None:
        place = folder / PROFILE
        place.mkdir(parents=True)
        try:
            profile(inputs, target, estimator, place, hidden.whole if hidden is not None else [])
            profiled = True
        except MLOpsError:
            import shutil

            shutil.rmtree(folder / "mlops")
    schema = schema_of(inputs)
    described = {
        "flavors": {
            "onnx": {
                "code": None,
                "data": "model.onnx",
                "onnx_version": version("onnx"),
                "providers": ["CPUExecutionProvider"],
            },
            "python_function": {
                "data": "model.onnx",
                "env": {"conda": "conda.yaml", "virtualenv": "python_env.yaml"},
                "loader_module": "mlflow.onnx",
                "python_version": python_version(),
            },
        },
        "metadata": {
            "mlops": {
                "schema": "1",
                "estimator": f"ONNX({describe(estimator)})",
                "format": "onnx",
                "digest": hashlib.sha256(data).hexdigest(),
                "profile": profiled,
                **({"personal": kinds} if kinds else {}),
            }
        },
        "mlflow_version": version("mlflow"),
        "model_id": None,
        "model_size_bytes": len(data),
        "model_uuid": uuid.uuid4().hex,
        "utc_time_created": time.strftime("%Y-%m-%d %H:%M:%S.000000", time.gmtime()),
        "signature": {
            "inputs": json.dumps(schema),
            "outputs": json.dumps(output_schema(estimator.predict(inputs[:5]), schema)),
            "params": None,
        },
    }
    (folder / "MLmodel").write_text(as_yaml(described))
