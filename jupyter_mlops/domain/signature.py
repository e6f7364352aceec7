"""A model's signature as MLflow writes it, and as columns of ours."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from .record import Record

__all__ = ["Schema", "SignatureColumn", "columns_of"]

Schema = list[dict[str, Any]]
"""One half of a signature, the inputs or the outputs, as MLflow writes it in JSON."""


@dataclass(frozen=True)
class SignatureColumn(Record):
    """A column of a model's input or output; ``type`` is MLflow's name for it."""

    name: str
    type: str
    required: bool = True


def columns_of(schema: Schema | str | None) -> tuple[SignatureColumn, ...]:
    """A schema, also as MLflow's JSON text, as our columns; a tensor is one column that tells its type and shape.

    Examples
    --------
    >>> columns_of('[{"type": "tensor", "tensor-spec": {"dtype": "float64", "shape": [-1, 4]}}]')
    (SignatureColumn(name='array', type='float64[-1, 4]', required=True),)
    """
    specs: Schema = json.loads(schema) if isinstance(schema, str) else schema or []
    found = []
    for spec in specs:
        kind = str(spec["type"])
        default = "prediction"
        if "tensor-spec" in spec:
            tensor = spec["tensor-spec"]
            kind, default = f"{tensor['dtype']}{list(tensor['shape'])}", "array"
        found.append(SignatureColumn(str(spec.get("name", default)), kind, bool(spec.get("required", True))))
    return tuple(found)
