"""Column profile: what one column looked like, small enough to keep beside a model and exact enough to compare with.

A column is one of four kinds:

``numeric``
    Numbers, and moments and durations as seconds (since 1970, in UTC). Every distinct finite value with its count as
    long as there are at most 100,000; beyond, 4,096 groups of equally many sorted values, each by its middle one and
    its size, the smallest and largest kept: an empirical distribution function off by at most 1/8,192.
``categorical``
    Categories, truth values and texts: labels with counts, the most frequent 20,000; the rest in one sum.
``text``
    Texts that are mostly all different (names, free text: more than 50 labels, and more than half as many as cells):
    the distribution of their lengths, and in how many cells each word stands.
``other``
    Bytes and lists: only the distribution of their lengths, as a numeric column's.

Profiles of parts of a column merge to the profile of the whole: the same one as long as every part is exact.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from .cells import UNITS, decoded, is_text, numbers_of, texts_of
from .columns import to_arrow
from .identity import type_of
from .sorted_numbers import (
    COUNTS,
    EXACT,
    FLOATS,
    Distribution,
    distribution_of,
    merged,
    sorted_finite,
)
from .tokens import Vocabulary, merged_vocabularies, vocabulary_of

__all__ = ["EXACT", "LABELS", "ColumnProfile", "Kind"]

Kind = Literal["numeric", "categorical", "text", "other"]

LABELS = 20_000
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
        A numeric column's distribution, or that of a text's or an ``other`` column's lengths: sorted finite values and
        how many cells each stands for.
    labels
        A categorical column's labels, the most frequent first; `counts` counts them too.
    rest
        How many cells hold a label that is not among `labels`.
    exact
        Whether `values` are all the distinct values, or `labels` all the labels.
    error
        By how much the share of cells below any number may be off; 0 where `values` are exact.
    mean, deviation
        Of the numbers, exactly, the deviation with ddof 0; None where `values` are exact and say it themselves.
    words
        Of a text column.
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
    error: float = 0.0
    mean: float | None = None
    deviation: float | None = None
    words: Vocabulary | None = None

    @cached_property
    def present(self) -> int:
        """How many cells `values` or `labels` and `rest` stand for."""
        return (
            self.rows - self.missing - self.infinite if self.kind == "numeric" else int(self.counts.sum()) + self.rest
        )

    @cached_property
    def moments(self) -> tuple[float, float]:
        """The mean and the standard deviation (ddof 0) of the numbers or lengths; NaN where there are none."""
        if self.mean is not None and self.deviation is not None:
            return self.mean, self.deviation
        return _moments(self.values, self.counts, single=len(self.values) == self.present)

    @cached_property
    def memo(self) -> dict[str, Any]:
        """What a reader derived from this column and wants to find again."""
        return {}

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ColumnProfile):
            return NotImplemented
        same = self.facts() == other.facts() and self.labels == other.labels and self.words == other.words
        return same and np.array_equal(self.values, other.values) and np.array_equal(self.counts, other.counts)

    def __hash__(self) -> int:
        return hash((self.name, self.kind, self.rows))

    def facts(self) -> dict[str, Any]:
        """Everything but the distribution, as plain data."""
        held = {"values", "counts", "labels", "words", *DERIVED}
        return {k: v for k, v in vars(self).items() if k not in held and not (k in OPTIONAL and not v)}

    def points(self) -> FLOATS:
        """`values`, or where the counts are of labels as many NaN."""
        return self.values if self.kind != "categorical" else np.full(len(self.counts), np.nan)

    def without_values(self) -> ColumnProfile:
        """The facts alone: rows, missing, infinite and distinct values, no distribution of numbers."""
        if self.kind == "categorical":
            return self
        # no views: they hold what they are of
        return self.with_facts(present=self.present, values=np.empty(0), counts=np.empty(0, dtype=np.int64), words=None)

    def without_content(self) -> ColumnProfile:
        """How many rows, missing and distinct values alone: of a column whose values must not be kept."""
        nothing = {"values": np.empty(0), "counts": np.empty(0, dtype=np.int64), "labels": (), "words": None, "rest": 0}
        return self.with_facts(kind="other", exact=True, error=0.0, mean=None, deviation=None, infinite=0, **nothing)

    def with_facts(self, **facts: Any) -> ColumnProfile:
        """The same column with other facts: `dataclasses.replace` at a tenth of its cost, as each column takes several."""
        changed = object.__new__(ColumnProfile)
        vars(changed).update({**vars(self), **facts})
        for derived in DERIVED - facts.keys():
            vars(changed).pop(derived, None)
        return changed

    @classmethod
    def of(cls, column: pd.Series[Any], name: str, *, kind: Kind | None = None, most: int = EXACT) -> ColumnProfile:
        """The profile of one column.

        Parameters
        ----------
        kind
            Read the column as this kind where that is possible: numbers that a model takes as categories, or texts
            that are numbers. By default the kind follows from the type and the values.
        most
            How many distinct numbers are each kept.
        """
        dtype = column.dtype
        if isinstance(dtype, np.dtype) and dtype.kind in "biufmM" and dtype.itemsize <= 8 and dtype.isnative:
            type_ = {"M": "timestamp", "m": "duration"}.get(dtype.kind, dtype.name)  # as `type_of` would say
            base = cls(name, "other", type_, len(column))
            found = _of_plain(base, column.to_numpy(), kind, most)
            if found is not None:
                return found
        array = to_arrow(column, name)
        declared = isinstance(dtype, pd.CategoricalDtype)
        return cls.of_arrow(array, name, type_=_type_of(column, name, array), kind=kind, most=most, declared=declared)

    @classmethod
    def of_arrow(
        cls,
        array: pa.Array,
        name: str,
        *,
        type_: str,
        kind: Kind | None = None,
        most: int = EXACT,
        declared: bool = False,
    ) -> ColumnProfile:
        """The profile of one Arrow array; `declared` when it was said to be categories.

        Examples
        --------
        >>> ColumnProfile.of_arrow(pa.array([2, None, 2]), "n", type_="int64").values.tolist()
        [2.0]
        """
        declared = declared or pa.types.is_boolean(array.type)
        array = decoded(array)
        base = cls(name, "other", type_, len(array), array.null_count)
        if kind == "numeric" and is_text(array.type):
            read = pd.to_numeric(array.to_pandas(), errors="coerce")
            if int(read.isna().sum()) == array.null_count:
                array = to_arrow(read, name)
        if kind not in ("categorical", "text", "other") and (numbers := numbers_of(array)) is not None:
            return _numeric(base, numbers, most)
        texts = texts_of(array)
        if texts is None or kind == "other":
            return _lengths(base, array if texts is None else texts)
        if kind == "text":
            return _free(base, texts)
        return _categorical(base, texts, may_be_free=kind is None and not declared)

    def merge(self, other: ColumnProfile, *, most: int = EXACT) -> ColumnProfile:
        """The profile of the cells of both.

        Raises
        ------
        ValueError
            The two are not of the same kind.

        Examples
        --------
        >>> parts = [ColumnProfile.of(pd.Series(x), "n") for x in ([1.0, 2.0], [2.0])]
        >>> parts[0].merge(parts[1]) == ColumnProfile.of(pd.Series([1.0, 2.0, 2.0]), "n")
        True
        """
        first, second = _alike(self, other)
        base = replace(
            first,
            type=second.type if first.type == "null" else first.type,
            rows=first.rows + second.rows,
            missing=first.missing + second.missing,
            infinite=first.infinite + second.infinite,
        )
        if base.kind == "categorical":
            counts = dict(zip(first.labels, first.counts.tolist(), strict=True))
            for label, n in zip(second.labels, second.counts.tolist(), strict=True):
                counts[label] = counts.get(label, 0) + n
            distinct = (
                len(counts) if first.exact and second.exact else max(first.distinct, second.distinct, len(counts))
            )
            kept = _ranked(pa.array(list(counts), pa.string()), np.array(list(counts.values()), dtype=np.int64))
            rest = first.present + second.present - int(kept[1].sum())
            exact = first.exact and second.exact and not rest
            return replace(base, labels=kept[0], counts=kept[1], rest=rest, distinct=distinct, exact=exact)
        sides = [
            Distribution(p.values, p.counts, p.distinct if p.kind == "numeric" else len(p.values), p.error)
            for p in (first, second)
        ]
        if base.kind != "numeric" and not (first.exact and second.exact):
            sides = [
                Distribution(s.values, s.counts, len(s.values) + (not p.exact), s.error)
                for s, p in zip(sides, (first, second), strict=True)
            ]
        found = merged(*sides, most=most)
        exact = len(found.values) == found.distinct
        mean, deviation = (None, None) if exact else _pooled(first, second)
        words = first.words
        if first.words is not None and second.words is not None:
            words = merged_vocabularies(first.words, second.words)
        return replace(
            base,
            values=found.values,
            counts=found.counts,
            distinct=found.distinct if base.kind == "numeric" else max(first.distinct, second.distinct),
            exact=exact,
            error=found.error,
            mean=mean,
            deviation=deviation,
            words=words,
        )


DERIVED = {"present", "moments", "memo"}
OPTIONAL = ("error", "mean", "deviation")
"""Facts that are written only where they say something."""


def _alike(first: ColumnProfile, second: ColumnProfile) -> tuple[ColumnProfile, ColumnProfile]:
    """Both of one kind: a part without any value takes the other's; texts that repeat in one part only are free text."""
    if first.kind == second.kind:
        return first, second
    empty = [p for p in (first, second) if not p.present and not p.infinite]
    if empty:
        kind = next(p.kind for p in (second, first) if p is not empty[0])
        words = Vocabulary() if kind == "text" else None
        sides = [replace(p, kind=kind, words=p.words or words) if p is empty[0] else p for p in (first, second)]
        return sides[0], sides[1]
    if {first.kind, second.kind} == {"categorical", "text"}:
        sides = [_as_free(p) if p.kind == "categorical" else p for p in (first, second)]
        return sides[0], sides[1]
    raise ValueError(f"{first.name!r} is {first.kind} in one part and {second.kind} in another")


def _as_free(column: ColumnProfile) -> ColumnProfile:
    cells = pa.array(np.repeat(np.array(column.labels, dtype=object), column.counts), pa.string())
    base = replace(column, labels=(), counts=column.counts[:0], rest=0)
    return replace(_free(base, cells), rows=column.rows, missing=column.missing)


def _pooled(first: ColumnProfile, second: ColumnProfile) -> tuple[float, float]:
    """The moments of two parts together (Chan, Golub and LeVeque 1979)."""
    n, m = first.present, second.present
    (a, s), (b, t) = first.moments, second.moments
    if not n or not m:
        return (b, t) if not n else (a, s)
    share = m / (n + m)
    variance = s * s * (1 - share) + t * t * share + (b - a) ** 2 * share * (1 - share)
    return a + (b - a) * share, float(np.sqrt(variance))


def _moments(values: FLOATS, counts: COUNTS, *, single: bool) -> tuple[float, float]:
    if not len(values):
        return float("nan"), float("nan")
    if values[0] == values[-1]:  # rounding would give a constant a spread
        return float(values[0]), 0.0
    with np.errstate(over="ignore", invalid="ignore"):
        if single:
            return float(values.mean()), float(values.std())
        n = float(counts.sum())
        mean = float((values * counts).sum() / n)
        return mean, float(np.sqrt((counts * (values - mean) ** 2).sum() / n))


def _type_of(column: pd.Series[Any], name: str, array: pa.Array) -> str:
    """The logical type; of plain texts without reading them."""
    plain = is_text(array.type) and not isinstance(column.dtype, pd.CategoricalDtype)
    return "string" if plain else type_of(column, name)


def _of_plain(base: ColumnProfile, values: np.ndarray[Any, Any], kind: Kind | None, most: int) -> ColumnProfile | None:
    """A column that NumPy holds; None where it has to be read as labels."""
    letter = values.dtype.kind
    if letter == "b":
        if kind not in (None, "categorical"):
            return None
        true = int(np.count_nonzero(values))
        return _labelled(base, pa.array(["False", "True"]), np.array([len(values) - true, true], dtype=np.int64))
    if kind not in (None, "numeric"):
        return None
    if letter in "mM":
        unit = UNITS.get(np.datetime_data(values.dtype)[0])
        if unit is None:
            return None
        whole = np.sort(values.view(np.int64))
        empty = int(np.searchsorted(whole, np.iinfo(np.int64).min, side="right"))
        return _numeric(base.with_facts(missing=empty), whole[empty:] / unit, most, ordered=True)
    return _numeric(base, values, most)


def _numeric(base: ColumnProfile, numbers: np.ndarray[Any, Any], most: int, *, ordered: bool = False) -> ColumnProfile:
    if ordered:
        finite, nan, infinite = numbers, 0, 0
    else:
        finite, nan, infinite = sorted_finite(numbers)  # NaN beside a missing value, as nullable columns can hold
    found = distribution_of(finite, most=most)
    exact = found.distinct == len(found.values)
    mean, deviation = (None, None) if exact else _moments(finite, finite, single=True)
    return base.with_facts(
        kind="numeric",
        missing=base.missing + nan,
        infinite=infinite,
        distinct=found.distinct,
        values=found.values,
        counts=found.counts,
        exact=exact,
        error=found.error,
        mean=mean,
        deviation=deviation,
    )


def _categorical(base: ColumnProfile, texts: pa.Array, *, may_be_free: bool) -> ColumnProfile:
    counted = texts.value_counts()
    labels, counts = counted.field("values"), counted.field("counts").to_numpy()
    if texts.null_count:
        there = labels.is_valid()
        labels, counts = labels.filter(there), counts[there.to_numpy(zero_copy_only=False)]
    if may_be_free and len(labels) > FREE and len(labels) * 2 > len(texts) - texts.null_count:
        return replace(_free(base, texts), distinct=len(labels))
    return _labelled(base, labels, counts.astype(np.int64))


def _labelled(base: ColumnProfile, names: pa.Array, counts: COUNTS) -> ColumnProfile:
    filled = np.flatnonzero(counts)
    if len(filled) < len(names):
        names, counts = names.take(pa.array(filled)), counts[filled]
    labels, kept = _ranked(names, counts)
    return base.with_facts(
        kind="categorical",
        distinct=len(names),
        labels=labels,
        counts=kept,
        rest=int(counts.sum() - kept.sum()),
        exact=len(names) <= LABELS,
    )


def _ranked(names: pa.Array, counts: COUNTS) -> tuple[tuple[str, ...], COUNTS]:
    """The labels with the largest counts, falling; of equal counts in the order of the labels."""
    if not len(names):
        return (), counts
    table = pa.table({"n": counts, "label": names})
    order = pc.sort_indices(table, sort_keys=[("n", "descending"), ("label", "ascending")])[:LABELS]
    return tuple(names.take(order).to_pylist()), counts[order.to_numpy()]


def _free(base: ColumnProfile, texts: pa.Array) -> ColumnProfile:
    measured = _lengths(base, texts)
    return replace(measured, kind="text", words=vocabulary_of(texts))


def _lengths(base: ColumnProfile, array: pa.Array) -> ColumnProfile:
    present = array.drop_null()
    kind = array.type
    if is_text(kind):
        lengths = pc.utf8_length(present)
    elif pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        lengths = pc.binary_length(present)
    elif pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        lengths = pc.list_value_length(present)
    else:
        return base
    found = distribution_of(sorted_finite(lengths.to_numpy(zero_copy_only=False))[0])
    exact = found.distinct == len(found.values)
    return replace(base, kind="other", values=found.values, counts=found.counts, exact=exact, error=found.error)
