"""Tensors: the Open Inference Protocol's tensors, as JSON and as Triton's binary data, to requests in MLflow's format and back.

A model of named columns takes one tensor a column, of shape ``[rows]`` or ``[rows, 1]`` (the convention of
``content_type: pd``), or one of shape ``[rows, columns]``. A model of an array takes one tensor. A missing number is NaN or
null, text is ``BYTES`` in UTF-8.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson

from ..model import Answer, Ask
from ..routing import Slot
from ..signature import Signature, Tensor

__all__ = ["BadTensor", "Output", "TensorValue", "described", "outputs_of", "question", "read_binary", "to_binary"]

KINDS = {
    "BOOL": "?", "UINT8": "<u1", "UINT16": "<u2", "UINT32": "<u4", "UINT64": "<u8", "INT8": "<i1", "INT16": "<i2",
    "INT32": "<i4", "INT64": "<i8", "FP16": "<f2", "FP32": "<f4", "FP64": "<f8",
}  # fmt: skip
OF_COLUMN = {
    "double": "FP64", "float": "FP32", "long": "INT64", "integer": "INT32", "boolean": "BOOL", "string": "BYTES",
    "datetime": "BYTES", "binary": "BYTES",
}  # fmt: skip
OF_ARRAY = {
    "float64": "FP64", "float32": "FP32", "int64": "INT64", "int32": "INT32", "bool": "BOOL",
    "str": "BYTES", "object": "BYTES",  # texts: MLflow tells an array of them as objects
}  # fmt: skip
MOST = 64_000_000  # elements of a tensor
LENGTH = struct.Struct("<I")


class BadTensor(Exception):
    """A request whose tensors are not what the protocol or the model asks for."""


@dataclass(frozen=True)
class TensorValue:
    """A named tensor, its elements in row-major order."""

    name: str
    shape: tuple[int, ...]
    datatype: str
    data: list[Any]

    def __post_init__(self) -> None:
        if self.datatype not in KINDS and self.datatype != "BYTES":
            known = ", ".join([*KINDS, "BYTES"])
            raise BadTensor(f"input {self.name!r} has the datatype {self.datatype!r}; there is: {known}.")
        if any(size < 0 for size in self.shape) or not self.shape or math.prod(self.shape) > MOST:
            raise BadTensor(f"input {self.name!r} has the shape {list(self.shape)}.")
        if math.prod(self.shape) != len(self.data):
            raise BadTensor(
                f"input {self.name!r} has {len(self.data)} elements, and its shape {list(self.shape)} holds {math.prod(self.shape)}."
            )
        self._check()

    def _check(self) -> None:
        kind = self.datatype[:2]
        types: tuple[type, ...] = {"BO": (bool,), "FP": (float, int), "BY": (str,)}.get(kind, (int,))
        for value in self.data:
            if value is None and kind in ("FP", "BY"):
                continue
            if not isinstance(value, types) or (isinstance(value, bool) and kind != "BO"):
                raise BadTensor(f"input {self.name!r} is {self.datatype} and holds {value!r:.60}.")


@dataclass(frozen=True)
class Output:
    """A tensor of the answer."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    data: list[Any]


def flat(data: Any) -> list[Any]:
    """Nested lists as one, row after row."""
    if not isinstance(data, list):
        raise BadTensor("'data' must be a list.")
    while any(isinstance(value, list) for value in data):
        if not all(isinstance(value, list) for value in data):
            raise BadTensor("'data' mixes lists and values.")
        data = [inner for value in data for inner in value]
    values: list[Any] = data
    return values


def read_binary(name: str, datatype: str, shape: Sequence[int], raw: bytes) -> list[Any]:
    """The elements of a tensor in Triton's binary form: little-endian, ``BYTES`` each with its length before it."""
    if datatype == "BYTES":
        found, at = [], 0
        while at < len(raw):
            if at + LENGTH.size > len(raw):
                raise BadTensor(f"the binary data of input {name!r} ends in the middle of an element.")
            (length,) = LENGTH.unpack_from(raw, at)
            at += LENGTH.size + length
            if at > len(raw):
                raise BadTensor(f"the binary data of input {name!r} ends in the middle of an element.")
            try:
                found.append(raw[at - length : at].decode())
            except UnicodeDecodeError as error:
                raise BadTensor(f"input {name!r} holds bytes that are no UTF-8.") from error
        return found
    if datatype not in KINDS:
        return []  # the tensor itself tells what there is
    kind = np.dtype(KINDS[datatype])
    if len(raw) % kind.itemsize:
        raise BadTensor(f"the binary data of input {name!r} is not a whole number of {datatype}.")
    values: list[Any] = np.frombuffer(raw, dtype=kind).tolist()
    return values


def to_binary(output: Output) -> bytes:
    """An output in Triton's binary form."""
    if output.datatype == "BYTES":
        texts = [str(value).encode() for value in output.data]
        return b"".join(LENGTH.pack(len(text)) + text for text in texts)
    return np.array(output.data, dtype=KINDS[output.datatype]).tobytes()


def signature_of(slot: Slot) -> Signature | None:
    """What the version takes; None where only MLflow itself can tell."""
    try:
        return Signature.parse(slot.inputs)
    except ValueError:
        return None


def described(slot: Slot) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The inputs and outputs of a version as its metadata tells them."""
    signature = signature_of(slot)
    if signature is None or (signature.tensor is None and not signature.named):
        inputs = [{"name": "inputs", "datatype": "FP64", "shape": [-1, -1]}]
    elif signature.tensor is not None:
        kind = OF_ARRAY.get(signature.tensor.dtype, "FP64")
        inputs = [{"name": "inputs", "datatype": kind, "shape": list(signature.tensor.shape)}]
    else:
        inputs = [{"name": c.name, "datatype": OF_COLUMN[c.type], "shape": [-1, 1]} for c in signature.columns]
    try:
        told = json.loads(slot.outputs or "[]")
    except ValueError:
        told = []
    kinds = [
        e["tensor-spec"]["dtype"] if e.get("type") == "tensor" else e.get("type") for e in told if isinstance(e, dict)
    ]
    told_kind = (OF_ARRAY.get(str(kinds[0])) or OF_COLUMN.get(str(kinds[0]))) if len(kinds) == 1 else None
    shape = told[0]["tensor-spec"]["shape"] if len(kinds) == 1 and told[0].get("type") == "tensor" else [-1]
    outputs = [{"name": "predict", "datatype": told_kind or "BYTES", "shape": shape}]
    if slot.model.classes:
        outputs.append({"name": "predict_proba", "datatype": "FP64", "shape": [-1, len(slot.model.classes)]})
    return inputs, outputs


def question(slot: Slot, tensors: Sequence[TensorValue], method: str) -> Ask:
    """The request in MLflow's format that asks the same.

    Raises
    ------
    BadTensor
        The tensors do not fit the model.
    """
    if not tensors:
        raise BadTensor("the request has no inputs.")
    names = [tensor.name for tensor in tensors]
    if len(set(names)) < len(names):
        raise BadTensor("two inputs have the same name.")
    signature = signature_of(slot)
    if signature is None or signature.tensor is not None or not signature.named:
        if len(tensors) > 1:
            raise BadTensor(f"the model takes one input and not {len(tensors)}: {', '.join(names)}.")
        return _ask({"inputs": _nested(tensors[0], None if signature is None else signature.tensor)}, method)
    columns = [column.name for column in signature.columns]
    first = tensors[0]
    if len(tensors) == 1 and first.name not in columns and len(first.shape) == 2 and first.shape[1] == len(columns):
        return _ask({"dataframe_split": {"columns": columns, "data": _nested(first, None)}}, method)
    for tensor in tensors:
        if len(tensor.shape) > 2 or (len(tensor.shape) == 2 and tensor.shape[1] != 1):
            shape = list(tensor.shape)
            raise BadTensor(f"input {tensor.name!r} has the shape {shape}; a column has [rows] or [rows, 1].")
    if len({tensor.shape[0] for tensor in tensors}) > 1:
        raise BadTensor("the inputs are not all of the same length.")
    kinds = {column.name: column.type for column in signature.columns}
    data = zip(*(_as_column(tensor, kinds.get(tensor.name, "")) for tensor in tensors), strict=True)
    return _ask({"dataframe_split": {"columns": names, "data": list(data)}}, method)


def _as_column(tensor: TensorValue, kind: str) -> list[Any]:
    if kind in ("double", "float"):
        return [None if v is None or (isinstance(v, float) and math.isnan(v)) else v for v in tensor.data]
    return tensor.data


def _nested(tensor: TensorValue, expected: Tensor | None) -> Any:
    shape = tensor.shape
    if expected is not None and len(shape) != len(expected.shape):
        raise BadTensor(f"input {tensor.name!r} has the shape {list(shape)}; the model takes {list(expected.shape)}.")
    data: list[Any] = tensor.data
    for size in reversed(shape[1:]):
        if not size:
            raise BadTensor(f"input {tensor.name!r} has the shape {list(shape)}.")
        data = [data[at : at + size] for at in range(0, len(data), size)]
    return data


def _ask(body: dict[str, Any], method: str) -> Ask:
    try:
        written = json.dumps(body).encode() if _beyond_orjson(body) else orjson.dumps(body)
        return Ask(written, "application/json", method)
    except (TypeError, ValueError) as error:
        raise BadTensor(f"the inputs cannot be passed on: {error}.") from error


def _beyond_orjson(value: Any) -> bool:
    """Whether it holds a number that orjson writes as null, or does not write."""
    if isinstance(value, float):
        return not math.isfinite(value)
    if isinstance(value, int):
        return not -(2**63) <= value < 2**64
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, (list, tuple)) else ()
    return any(_beyond_orjson(inner) for inner in inside)


def outputs_of(name: str, answer: Answer) -> list[Output]:
    """An answer's predictions as tensors: one, or one a column where the model gives a table."""
    data = json.loads(answer.body)
    found = data.get("predictions", data) if isinstance(data, dict) else data
    values = found if isinstance(found, list) else [found]
    if values and all(isinstance(value, dict) for value in values):
        return [_output(str(column), [value.get(column) for value in values]) for column in values[0]]
    return [_output(name, values)]


def _output(name: str, values: list[Any]) -> Output:
    shape = [len(values)]
    while values and all(isinstance(value, list) for value in values) and len({len(value) for value in values}) == 1:
        shape.append(len(values[0]))
        values = [inner for value in values for inner in value]
    if all(isinstance(v, bool) for v in values):
        kind = "BOOL"
    elif all(isinstance(v, int) and not isinstance(v, bool) for v in values):
        kind = "INT64"
    elif all(v is None or (isinstance(v, (int, float)) and not isinstance(v, bool)) for v in values):
        kind, values = "FP64", [math.nan if v is None else float(v) for v in values]
    else:
        kind, values = "BYTES", [v if isinstance(v, str) else json.dumps(v) for v in values]
    return Output(name, kind, tuple(shape), values)
