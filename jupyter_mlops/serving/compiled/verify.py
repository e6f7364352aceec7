"""Verify: a compiled model against the original, on rows like the training data and on rows at every edge.

Both are asked with the same request bodies, read as the server reads them. Labels must be equal, probabilities and values
within a tolerance: 1e-9 where the same float64 numbers are added, 1e-5 where the library adds in float32 (XGBoost).
"""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from ..model import Ask, read
from ..signature import Signature
from .by_row import ByRow
from .model import CompiledModel
from .operations import Operation

__all__ = ["Differs", "Samples", "as_kind", "proven_by_row", "refusals", "verify"]

TOLERANCE = 1e-9
TOLERANCE_SINGLE = 1e-5
LIKE_TRAINING = 600  # rows drawn from the training data's profile
MOST_THRESHOLDS = 1500  # rows that lie on, just below or just above a threshold of a tree
UNKNOWN = "\u00a7 unknown"
EXTREMES = (0.0, -0.0, 1.0, -1.0, 0.5, 1e-300, -1e-300, 1e6, -1e6, 1e15, -1e15, 3.3e38, -3.3e38)

Row = list[Any]


class Differs(Exception):
    """The compiled model does not compute the same; says where."""


class Samples:
    """Rows to compare on.

    Parameters
    ----------
    signature
        What the model takes.
    rows
        Rows that the model is known to take; at least one.
    profile
        The folder of the training data's profile; it need not be there.
    """

    def __init__(self, signature: Signature, rows: Sequence[Sequence[Any]], profile: Path) -> None:
        self.types = (
            [column.type for column in signature.columns]
            if signature.tensor is None
            else [_array_type(signature.tensor.dtype)] * signature.tensor.shape[1]
        )
        names = [column.name for column in signature.columns]
        self.rows = [list(row) for row in rows]
        self.pools = [[row[i] for row in self.rows if row[i] is not None] for i in range(len(self.types))]
        known = _profiled(profile)
        for number, kind in enumerate(self.types):
            values = known.get(names[number] if names else str(number), [])
            self.pools[number] += [v for v in (as_kind(kind, value) for value in values) if v is not None]
        rng = np.random.default_rng(0)
        for _ in range(LIKE_TRAINING):
            base = self.rows[int(rng.integers(len(rows)))]
            drawn = [p[int(rng.integers(len(p)))] if p else b for p, b in zip(self.pools, base, strict=True)]
            self.rows.append(drawn)

    def edges(self) -> list[Row]:
        """Rows with one value at an edge: extremes, unknown and empty categories, every known one."""
        found = []
        for number, kind in enumerate(self.types):
            values: list[Any] = []
            if kind in ("double", "float"):
                values = list(EXTREMES)
            elif kind in ("long", "integer"):
                values = [0, 1, -1, 2**31 - 1, -(2**31)]
            elif kind == "boolean":
                values = [True, False]
            elif kind == "string":
                values = ["", " ", UNKNOWN, *dict.fromkeys(self.pools[number])]
            found += [_with(self.rows[i % len(self.rows)], number, value) for i, value in enumerate(values)]
        return found

    def beyond(self) -> list[Row]:
        """Rows whose numbers are too large for many a step: one that multiplies them, or reads them as float32."""
        real = [i for i, kind in enumerate(self.types) if kind == "double"]
        return [[v if i in real else w for i, w in enumerate(self.rows[0])] for v in (1e300, -1e300) if real]

    def missing(self, columns: Sequence[int]) -> list[Row]:
        """Rows with a missing value in each of these columns, and in all of them at once."""
        found = [_with(row, c, None) for c in columns for row in self.rows[:2]]
        if columns:
            everywhere = list(self.rows[0])
            for column in columns:
                everywhere[column] = None
            found.append(everywhere)
        return found

    def thresholds(self, model: CompiledModel, splits: dict[int, list[float]]) -> list[Row]:
        """Rows that lie on the thresholds of trees, and one step to either side, as far as a column leads there straight."""
        base = list(self.rows[0])
        straight: list[tuple[int, float, float, list[float]]] = []  # column, feature at 0 and at 1, thresholds
        for number, kind in enumerate(self.types):
            if kind not in ("double", "float", "long", "integer"):
                continue
            at = [_with(base, number, v) for v in ((0, 1) if kind in ("long", "integer") else (0.0, 1.0))]
            try:
                zero, one = model.features(list(zip(*at, strict=True)))
            except Exception:  # noqa: S112 a column that does not take 0 or 1 leads nowhere straight
                continue
            for feature in map(int, np.flatnonzero(zero != one)):
                if feature in splits:
                    ends = float(zero[feature]), float(one[feature])
                    straight.append((number, *ends, sorted(set(splits[feature]))))
        found: list[Row] = []
        share = max(1, MOST_THRESHOLDS // max(1, len(straight)) // 3)
        for number, at_zero, at_one, thresholds in straight:
            for threshold in thresholds[:: max(1, len(thresholds) // share)]:
                value = (threshold - at_zero) / (at_one - at_zero)
                found += [_with(base, number, v) for v in _around(value, self.types[number])]
        return found


def proven_by_row(operation: Operation | None, samples: Samples) -> bool:
    """Whether `by_row` gives the same numbers as the operation, on every sample row and every edge that both take."""
    if operation is None:
        return False
    try:
        by_row = ByRow(operation)
    except ValueError:
        return False
    every = list(range(len(samples.types)))
    for row in [*samples.rows, *samples.edges(), *samples.missing(every)]:
        ours = by_row.run([row])
        if ours is None:
            continue
        try:
            with np.errstate(all="ignore"):
                theirs = operation.run([[cell] for cell in row])
        except Exception:
            return False
        if not np.array_equal(ours, theirs, equal_nan=True):
            return False
    return True


def refusals(
    samples: Samples, parse: Callable[[list[Row]], Any], predict: Callable[[Any], Any]
) -> tuple[list[int], list[int]]:
    """The columns in which the original takes no missing value, and those in which it takes no infinite one.

    Parameters
    ----------
    parse
        Makes of rows what the original is asked with; raises where that cannot be.
    predict
        Asks the original; raises where it refuses.
    """
    able = [i for i, kind in enumerate(samples.types) if kind in ("double", "float", "string")]
    real = [i for i, kind in enumerate(samples.types) if kind in ("double", "float")]
    return _refusing(samples, parse, predict, able, None), _refusing(samples, parse, predict, real, math.inf)


def _refusing(
    samples: Samples, parse: Callable[[list[Row]], Any], predict: Callable[[Any], Any], columns: list[int], value: Any
) -> list[int]:
    """All columns at once, since most models refuse in all or in none; where they refuse, each by itself."""
    base, beside = samples.rows[0], samples.rows[1]
    everywhere = list(base)
    for column in columns:
        everywhere[column] = value

    def refused(rows: list[Row]) -> bool:
        try:
            predict(parse(rows))
        except Exception:
            return True
        return False

    if not columns or not refused([everywhere, beside]):
        return []
    if len(columns) == 1:
        return columns
    alone = [_with(base, column, value) for column in columns]
    try:
        together = parse([*alone, beside])  # read once: reading a request takes longer than predicting two rows
        pairs = [_rows_of(together, [i, len(alone)]) for i in range(len(alone))]
    except Exception:
        return [column for column, row in zip(columns, alone, strict=True) if refused([row, beside])]
    found = []
    for column, pair in zip(columns, pairs, strict=True):
        try:
            predict(pair)
        except Exception:
            found.append(column)
    return found


def _rows_of(data: Any, rows: list[int]) -> Any:
    """Some rows of a table or of an array."""
    return data.iloc[rows] if hasattr(data, "iloc") else data[rows]


def verify(
    compiled: CompiledModel, original: Any, samples: Samples, splits: dict[int, list[float]], *, single: bool
) -> dict[str, Any]:
    """Compare; what was compared.

    Parameters
    ----------
    single
        Whether the original adds in float32.

    Raises
    ------
    Differs
        They do not agree.
    """
    refused = set(compiled.plan.refuses_missing)
    able = [i for i, kind in enumerate(samples.types) if kind in ("double", "float", "string") and i not in refused]
    methods = ["predict"]
    if compiled._has("predict_proba") and hasattr(original, "predict_proba"):  # noqa: SLF001 one of its own
        methods.append("predict_proba")
    tolerance = TOLERANCE_SINGLE if single else TOLERANCE
    largest, rows = 0.0, 0
    groups = {
        "rows like the training data": samples.rows,
        "rows at the edges": samples.edges(),
        "rows with missing values": samples.missing(able),
        "rows beyond every range": samples.beyond(),
        "rows on thresholds": samples.thresholds(compiled, splits),
    }
    for name, some in groups.items():
        for part in itertools.batched(some, 500) if hasattr(itertools, "batched") else [some]:
            largest = max(largest, _compare(compiled, original, list(part), methods, tolerance, name))
            rows += len(part)
    return {"rows": rows, "largest_difference": largest, "tolerance": tolerance}


def _compare(
    compiled: CompiledModel, original: Any, rows: list[Row], methods: list[str], tolerance: float, name: str
) -> float:
    if not rows:
        return 0.0
    largest = 0.0
    for method, theirs in zip(methods, _told(original, compiled.signature, rows, methods), strict=True):
        ours = _told_compiled(compiled, rows, method)
        if theirs is None and len(rows) > 1:  # one of them is refused: each is looked at alone
            return max(_compare(compiled, original, [row], methods, tolerance, name) for row in rows)
        if (theirs is None) != (ours is None):
            who = "the original" if theirs is None else "the compiled form"
            raise Differs(f"{name}: {who} refuses a row that the other takes")
        if theirs is None or ours is None:
            continue
        largest = max(largest, _difference(theirs, ours, tolerance, f"{method} on {name}"))
    return largest


def _difference(theirs: Any, ours: Any, tolerance: float, where: str) -> float:
    if isinstance(theirs, list):  # rows are told apart in arrays only
        raise Differs(f"{where}: a matrix for each of several outputs")
    theirs, ours = np.asarray(theirs), np.asarray(ours)
    if theirs.shape != ours.shape:
        raise Differs(f"{where}: {ours.shape} instead of {theirs.shape}")
    if theirs.dtype.kind != "f":
        wrong = int((theirs != ours).sum())
        if wrong:
            raise Differs(f"{where}: {wrong} of {len(theirs)} labels differ")
        return 0.0
    scale = np.maximum(1.0, np.abs(theirs))
    with np.errstate(all="ignore"):
        apart = np.where((theirs == ours) | (np.isnan(theirs) & np.isnan(ours)), 0.0, np.abs(theirs - ours) / scale)
    largest = float(np.nan_to_num(apart, nan=math.inf).max(initial=0.0))
    if largest > tolerance:
        raise Differs(f"{where}: a difference of {largest:.3g}, more than {tolerance:g}")
    return largest


def body_of(signature: Signature, rows: list[Row]) -> bytes:
    """The rows as a request."""
    data: Any = {"inputs": rows}
    if signature.tensor is None:
        data = {"dataframe_split": {"columns": [c.name for c in signature.columns], "data": rows}}
    infinite = any(isinstance(v, float) and math.isinf(v) for row in rows for v in row)
    return json.dumps(data).encode() if infinite else orjson.dumps(data)


def _told(original: Any, signature: Signature, rows: list[Row], methods: list[str]) -> list[Any]:
    """What the original answers by each method, None where it refuses; the rows are read once, as a request would be."""
    data, _, refused = read(Ask(body_of(signature, rows)), signature, methods[0])
    found: list[Any] = []
    for method in methods:
        try:
            found.append(None if refused is not None else getattr(original, method)(data))
        except Exception:
            found.append(None)
    return found


def _told_compiled(compiled: CompiledModel, rows: list[Row], method: str) -> Any:
    ask = Ask(body_of(compiled.signature, rows), method=method)
    try:
        found = compiled._decoded(ask)  # noqa: SLF001 the way that a request takes
        if found is not None:
            return compiled.compute(list(zip(*found[0], strict=True)), method)
        data, _, refused = read(ask, compiled.signature, method)
        return None if refused is not None else compiled.compute(compiled.columns(data), method)
    except Exception:
        return None


def _with(row: Sequence[Any], number: int, value: Any) -> Row:
    return [value if i == number else v for i, v in enumerate(row)]


def _around(value: float, kind: str) -> list[Any]:
    if not math.isfinite(value):
        return []
    if kind in ("long", "integer"):
        return [math.floor(value), math.ceil(value)] if abs(value) < 2**31 else []
    return [value, math.nextafter(value, -math.inf), math.nextafter(value, math.inf)]


def _array_type(dtype: str) -> str:
    return {"float64": "double", "float32": "float", "int64": "long", "int32": "integer"}.get(dtype, dtype)


def as_kind(kind: str, value: Any) -> Any:
    """A profiled value in the signature's type, None where it is none of that type."""
    if kind in ("double", "float"):
        return float(value) if isinstance(value, (int, float)) else None
    if kind in ("long", "integer"):
        return int(value) if isinstance(value, (int, float)) and float(value).is_integer() else None
    if kind == "boolean":
        return {"True": True, "False": False, "true": True, "false": False, 1.0: True, 0.0: False}.get(value)
    return str(value) if kind == "string" and isinstance(value, str) else None


def _profiled(folder: Path) -> dict[str, list[Any]]:
    """Values of each column out of the training data's profile."""
    from ...datasets.profile import Profile

    try:
        profile = Profile.read(folder)
    except Exception:  # none, or of another version: the example rows are left
        return {}
    found: dict[str, list[Any]] = {}
    for column in profile.columns:
        if column.kind == "numeric":
            places: Any = (
                np.unique(np.linspace(0, len(column.values) - 1, 200).astype(int)) if len(column.values) else []
            )
            found[column.name] = [float(column.values[i]) for i in places]
        elif column.kind == "categorical":
            found[column.name] = list(column.labels[:300])
    return found
