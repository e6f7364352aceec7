"""Plan: a compiled pipeline at rest: ``plan.msgpack`` says how features and predictions are computed, ``trees.bin`` holds trees."""

from __future__ import annotations

import dataclasses
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from . import operations
from .finals import Final
from .operations import Operation

__all__ = ["FORMAT", "Plan"]

FORMAT = 4
PLAN, TREES = "plan.msgpack", "trees.bin"


@dataclass
class Plan:
    """How a model is served, found at deploy time.

    Parameters
    ----------
    path
        ``compiled``, ``encoder`` or ``dataframe``.
    reason
        Why by no faster one.
    operation
        The preprocessing; None for ``dataframe``.
    final
        The estimator; None where scikit-learn's own computes.
    refuses_missing, refuses_infinite
        The columns in which the model takes no missing value, and no infinite one.
    method
        What answers where the request names no method.
    by_row
        Whether a few rows are prepared one by one, see `by_row`.
    checked
        What was compared: rows, and the largest difference between probabilities or values.
    """

    path: str
    reason: str = ""
    operation: Operation | None = None
    final: Final | None = None
    trees: bytes = b""
    refuses_missing: list[int] = field(default_factory=list)
    refuses_infinite: list[int] = field(default_factory=list)
    method: str = "predict"
    by_row: bool = False
    checked: dict[str, Any] = field(default_factory=dict)

    def write(self, folder: Path) -> None:
        """Write the plan into a folder, which is made; seen whole or not at all."""
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self.trees:
            (folder / TREES).write_bytes(self.trees)
        told = {
            f.name: getattr(self, f.name)
            for f in dataclasses.fields(self)
            if f.name not in ("operation", "final", "trees")
        }
        told |= {
            "format": FORMAT,
            "operation": _pack(self.operation),
            "final": _pack(self.final),
            "trees": bool(self.trees),
        }
        temporary = folder / f".{PLAN}.{os.getpid()}"
        temporary.write_bytes(msgspec.msgpack.encode(told))
        temporary.replace(folder / PLAN)

    @classmethod
    def read(cls, folder: Path) -> Plan | None:
        """Read a plan; None where there is none that this version understands."""
        try:
            told = msgspec.msgpack.decode((folder / PLAN).read_bytes())
            if told.pop("format") != FORMAT:
                return None
            told["trees"] = (folder / TREES).read_bytes() if told["trees"] else b""
            told["operation"], told["final"] = _unpack(told["operation"]), _unpack(told["final"])
            return cls(**told)
        except (OSError, msgspec.DecodeError, KeyError, TypeError):
            return None


def _pack(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return {"array": value.dtype.str, "shape": list(value.shape), "bytes": np.ascontiguousarray(value).tobytes()}
    if isinstance(value, np.generic):
        return value.item()
    if dataclasses.is_dataclass(value):
        fields = {f.name: _pack(getattr(value, f.name)) for f in dataclasses.fields(value)}
        return {"is": type(value).__name__, "with": fields}
    return [_pack(v) for v in value] if isinstance(value, list) else value


def _unpack(value: Any) -> Any:
    if isinstance(value, list):
        return [_unpack(v) for v in value]
    if not isinstance(value, dict):
        return value
    if "array" in value:
        return np.frombuffer(bytearray(value["bytes"]), dtype=value["array"]).reshape(value["shape"])
    kind = Final if value["is"] == "Final" else getattr(operations, value["is"])
    return kind(**{name: _unpack(v) for name, v in value["with"].items()})
