"""Rows at rest: an evaluation row by row as a NumPy file without pickle."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..domain.evaluation import EvaluationRows

__all__ = ["write_rows"]


def write_rows(rows: EvaluationRows, file: Path) -> None:
    """Write rows for `store.evaluations` to keep; probabilities as 32-bit floats, codes as 32-bit integers."""
    import numpy as np

    kept: dict[str, Any] = {
        "row_id": np.asarray(rows.row_id, dtype=np.int64),
        "target": _small(rows.target),
        "prediction": _small(rows.prediction),
        "loss": np.asarray(rows.loss, dtype=np.float64),
        "classes": np.array(rows.classes, dtype=np.str_),
    }
    if rows.probabilities is not None:
        kept["probabilities"] = np.asarray(rows.probabilities, dtype=np.float32)
    with file.open("wb") as out:
        np.savez_compressed(out, **kept)


def _small(values: Any) -> Any:
    import numpy as np

    array = np.asarray(values)
    return array.astype(np.int32) if array.dtype.kind in "iu" else array.astype(np.float64)
