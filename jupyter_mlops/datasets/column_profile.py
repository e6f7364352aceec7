"""Column profile: what one column looked like, small enough to keep beside a model and exact enough to compare with.

A column is one of three kinds:

``numeric``
    Numbers, and moments and durations as seconds (since 1970, in UTC). Every distinct finite value with its count as
    long as there are at most 100,000; beyond, 4,096 groups of equally many sorted values, each by its middle one and
    its size, the smallest and largest kept: an empirical distribution function off by at most 1/8,192.
``categorical``
    Categories, truth values and texts: labels with counts, the most frequent 1,000; the rest in one sum.
``other``
    Texts that are mostly all different (names, free text: more than 50 labels, and more than half as many as cells),
    bytes and lists: only the distribution of their lengths, as a numeric column's.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from .columns import to_arrow
from .identity import type_of

__all__ = ["ColumnProfile", "Kind"]

Kind = Literal["numeric", "categorical", "other"]
FLOATS = np.ndarray[Any, np.dtype[np.float64]]
COUNTS = np.ndarray[Any, np.dtype[np.int64]]

EXACT = 100_000  # distinct numbers up to which each is kept
GROUPS = 4_096  # beyond
LABELS = 1_000
FREE = 50  # labels from which a text that hardly repeats is free text


@dataclass(frozen=True, eq=False)
class ColumnProfile:
    """What one column looked like.

    Parameters
    ----------
    type
        The logical type, as `identity` names it.
    rows, missing, infinite
        How many cells there were, how many of them were missing, and how many held an infinite number.
    distinct
        How many different values there were, apart from missing and infinite ones.
    values, counts
        A numeric column's distribution, or that of an ``other`` column's lengths: sorted finite values and how many
        cells each stands for.
    labels
        A categorical column's labels, the most frequent first; `counts` counts them too.
    rest
        How many cells hold a label that is not among `labels`.
    exact
        Whether `values` are all the distinct values, or `labels` all the labels.
    """

    name: str
    kind: Kind
    type: str
    rows: int
    missing: int = 0
    infinite: int = 0
    distinct: int = 0
    values: FLOATS = field(default_factory=lambda: np.empty(0))
    counts: COUNTS = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    labels: tuple[str, ...] = ()
    rest: int = 0
    exact: bool = True

    @property
    def present(self) -> int:
        """How many cells `values` or `labels` and `rest` stand for."""
        return int(self.counts.sum()) + self.rest

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ColumnProfile):
            return NotImplemented
        same = self.facts() == other.facts() and self.labels == other.labels
        return same and np.array_equal(self.values, other.values) and np.array_equal(self.counts, other.counts)

    def __hash__(self) -> int:
        return hash((self.name, self.kind, self.rows))

    def facts(self) -> dict[str, Any]:
        """Everything but the distribution, as plain data."""
        return {k: v for k, v in vars(self).items() if k not in ("values", "counts", "labels")}

    def points(self) -> FLOATS:
        """`values`, or where the counts are of labels as many NaN."""
        return self.values if self.kind != "categorical" else np.full(len(self.counts), np.nan)

    @classmethod
    def of(cls, column: pd.Series[Any], name: str, *, kind: Kind | None = None) -> ColumnProfile:
        """The profile of one column.

        Parameters
        ----------
        kind
            Read the column as this kind where that is possible: numbers that a model takes as categories, or texts
            that are numbers. By default the kind follows from the type and the values.
        """
        array = _decoded(to_arrow(column, name))
        base = cls(name, "other", type_of(column, name), len(array), array.null_count)
        if kind == "numeric" and _is_text(array.type):
            read = pd.to_numeric(array.to_pandas(), errors="coerce")
            if int(read.isna().sum()) == array.null_count:
                array = to_arrow(read, name)
        if kind not in ("categorical", "other") and (numbers := _numbers(array)) is not None:
            return _numeric(base, numbers)
        texts = _texts(array)
        if texts is None or kind == "other":
            return _lengths(base, array if texts is None else texts)
        declared = isinstance(column.dtype, pd.CategoricalDtype) or pa.types.is_boolean(array.type)
        return _categorical(base, texts, may_be_free=kind is None and not declared)


def _decoded(array: pa.Array) -> pa.Array:
    if not pa.types.is_dictionary(array.type):
        return array
    if isinstance(array.type.value_type, pa.BaseExtensionType) or pa.types.is_nested(array.type.value_type):
        labels = pa.array([str(value) for value in array.dictionary.to_pylist()])
        array = pa.DictionaryArray.from_arrays(array.indices, labels)
    # What was declared to be categories stays so, whatever they are called.
    return _texts(array.dictionary_decode())


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _numbers(array: pa.Array) -> FLOATS | None:
    """The cells that are present as numbers; None where they are none."""
    kind = array.type
    array = array.drop_null() if array.null_count else array
    if pa.types.is_timestamp(kind) or pa.types.is_duration(kind) or pa.types.is_time(kind):
        unit = {"s": 1.0, "ms": 1e3, "us": 1e6, "ns": 1e9}[kind.unit]
        whole = array.view(pa.int32() if kind.bit_width == 32 else pa.int64())
        return np.asarray(whole.to_numpy(zero_copy_only=False), dtype=np.float64) / unit
    if pa.types.is_date(kind):
        days = array.cast(pa.date32()).view(pa.int32()).to_numpy(zero_copy_only=False)
        return np.asarray(days, dtype=np.float64) * 86_400.0
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        plain = array.cast(pa.float64()) if pa.types.is_decimal(kind) else array
        return np.asarray(plain.to_numpy(zero_copy_only=False), dtype=np.float64)
    return None


def _texts(array: pa.Array) -> pa.Array | None:
    """The cells as labels; None where they have none. Whole numbers read the same whether stored as such or not."""
    kind = array.type
    if _is_text(kind):
        return array
    if pa.types.is_boolean(kind):
        return pc.if_else(array, "True", "False")
    if pa.types.is_integer(kind) or pa.types.is_decimal(kind) or pa.types.is_temporal(kind):
        return array.cast(pa.string())
    if pa.types.is_floating(kind):
        values = array.to_numpy(zero_copy_only=False).astype(np.float64)
        labels = [None if np.isnan(v) else (str(int(v)) if v.is_integer() else repr(v)) for v in values.tolist()]
        return pa.array(labels, pa.string())
    if pa.types.is_null(kind):
        return array.cast(pa.string())
    return None


def _numeric(base: ColumnProfile, numbers: FLOATS) -> ColumnProfile:
    nan = int(np.isnan(numbers).sum())  # NaN beside a missing value, as nullable columns can hold
    finite = np.sort(numbers[np.isfinite(numbers)]) + 0.0
    infinite = len(numbers) - len(finite) - nan
    values, counts, distinct = _distribution(finite)
    return replace(
        base,
        kind="numeric",
        missing=base.missing + nan,
        infinite=infinite,
        distinct=distinct,
        values=values,
        counts=counts,
        exact=distinct == len(values),
    )


def _distribution(ordered: FLOATS) -> tuple[FLOATS, COUNTS, int]:
    """Sorted numbers as distinct values or as groups, how many cells each stands for, and how many are distinct."""
    if not len(ordered):
        return np.empty(0), np.empty(0, dtype=np.int64), 0
    starts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
    if len(starts) <= EXACT:
        return ordered[starts], np.diff(np.append(starts, len(ordered))), len(starts)
    edges = np.linspace(0, len(ordered), GROUPS + 1).astype(np.int64)
    middles = ordered[(edges[:-1] + edges[1:]) // 2]
    middles[0], middles[-1] = ordered[0], ordered[-1]
    values, place = np.unique(middles, return_inverse=True)
    counts = np.bincount(place, weights=np.diff(edges)).astype(np.int64)
    return values, counts, len(starts)


def _categorical(base: ColumnProfile, texts: pa.Array, *, may_be_free: bool) -> ColumnProfile:
    counted = texts.drop_null().value_counts()
    labels, counts = counted.field("values"), counted.field("counts").to_numpy().astype(np.int64)
    present = int(counts.sum())
    if may_be_free and len(labels) > FREE and len(labels) * 2 > present:
        return replace(_lengths(base, texts), distinct=len(labels))
    names = labels.to_pylist()
    order = sorted(range(len(names)), key=lambda i: (-counts[i], names[i]))[:LABELS]
    kept = counts[order] if order else np.empty(0, dtype=np.int64)
    return replace(
        base,
        kind="categorical",
        distinct=len(names),
        labels=tuple(names[i] for i in order),
        counts=kept,
        rest=present - int(kept.sum()),
        exact=len(names) <= LABELS,
    )


def _lengths(base: ColumnProfile, array: pa.Array) -> ColumnProfile:
    present = array.drop_null()
    kind = array.type
    if _is_text(kind):
        lengths = pc.utf8_length(present)
    elif pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        lengths = pc.binary_length(present)
    elif pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        lengths = pc.list_value_length(present)
    else:
        return base
    values, counts, distinct = _distribution(np.sort(lengths.to_numpy(zero_copy_only=False).astype(np.float64)))
    return replace(base, kind="other", values=values, counts=counts, exact=distinct == len(values))
