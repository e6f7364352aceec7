"""Samples: one column's values as the detectors read them, distinct values with their counts, and how they are binned."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from ..datasets.tokens import Vocabulary

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from .detector import Measurement

    Floats = NDArray[np.float64]

__all__ = [
    "BINS",
    "Categories",
    "Numbers",
    "Sample",
    "Texts",
    "aligned",
    "apart",
    "binned",
    "edges",
    "matched",
    "over_bins",
    "pooled",
]

BINS = 10
ROWS_A_BIN = 10
SMALLEST_EXPECTED = 5.0
REST = "(other categories)"
TAILS = np.array([0.005, 0.995])


@dataclass(frozen=True, eq=False)
class Numbers:
    """A numeric column: its distinct finite values in rising order and how many rows hold each.

    Parameters
    ----------
    counts
        None where every value stands for one row.
    moments
        The mean and the standard deviation (ddof 0), where `values` do not say them exactly.

    Examples
    --------
    >>> Numbers.of([3, 1, 3]).counts.tolist()
    [1.0, 2.0]
    """

    values: Floats
    counts: Floats | None = None
    moments: tuple[float, float] | None = None

    @classmethod
    def of(cls, column: Any) -> Numbers:
        """The sample of an array of numbers; what is not finite is left out."""
        given = np.asarray(column, dtype=np.float64)
        values, counts = np.unique(given[np.isfinite(given)], return_counts=True)
        return cls(values, None if len(counts) == counts.sum() else counts.astype(np.float64))

    @cached_property
    def cumulated(self) -> Floats:
        """How many rows the first k values hold, from k = 0."""
        found = np.empty(len(self.values) + 1)
        found[0] = 0.0
        np.cumsum(self.weights, out=found[1:])
        return found

    @cached_property
    def weights(self) -> Floats:
        """How many rows hold each value."""
        return np.ones(len(self.values)) if self.counts is None else self.counts

    @cached_property
    def rows(self) -> float:
        """How many rows there are."""
        return float(len(self.values) if self.counts is None else self.counts.sum())

    def up_to(self, places: Any) -> Floats:
        """How many rows the first values hold, for several numbers of them."""
        found: Floats = np.asarray(places, dtype=np.float64) if self.counts is None else self.cumulated[places]
        return found

    def below(self, points: Floats) -> Floats:
        """How many rows hold each of these points or less."""
        return self.up_to(self.values.searchsorted(points, side="right"))

    def between(self, inner: Floats) -> Floats:
        """How many rows lie in the bins that these inner edges make; the outer two are open."""
        below = np.empty(len(inner) + 2)
        below[0], below[1:-1], below[-1] = 0.0, self.below(inner), self.rows
        counts: Floats = below[1:] - below[:-1]
        return counts

    def quantile(self, shares: Floats) -> Floats:
        """The smallest value that at least this share of the rows does not pass (the inverse of the ECDF)."""
        wanted = shares * self.rows * (1 - 1e-12)
        if self.counts is None:
            at = np.maximum(np.ceil(wanted), 1).astype(np.int64) - 1
        else:
            at = np.searchsorted(self.cumulated[1:], wanted, side="left")
        found: Floats = self.values[np.minimum(at, len(self.values) - 1)]
        return found

    @cached_property
    def spread(self) -> tuple[float, float]:
        """The mean and the standard deviation (ddof 0)."""
        if self.moments is not None:
            return self.moments
        if len(self.values) == 1:  # rounding would give it a spread of its own
            return float(self.values[0]), 0.0
        if self.counts is None:
            return float(self.values.mean()), float(self.values.std())
        mean = float((self.values * self.counts).sum() / self.rows)
        return mean, float(np.sqrt((self.counts * (self.values - mean) ** 2).sum() / self.rows))

    @cached_property
    def memo(self) -> dict[tuple[str, int], Floats]:
        """What was asked for before and is small: a reference is asked the same for every current side."""
        return {}

    def every(self, step: int) -> Floats:
        """The first of every so many values."""
        found = self.memo.get(("every", step))
        if found is None:
            found = self.memo["every", step] = self.values[::step].copy()
        return found

    @cached_property
    def tails(self) -> tuple[float, float]:
        """The values that one in two hundred of the rows do not pass, and that one in two hundred pass."""
        low, high = self.quantile(TAILS).tolist()
        return low, high

    @cached_property
    def of_whole_numbers(self) -> bool:
        """Whether all values are whole numbers; the first hundred mostly tell."""
        values = self.values
        return bool(np.all(values[:100] == np.round(values[:100]))) and bool(np.all(values == np.round(values)))

    @cached_property
    def of_whole_rows(self) -> bool:
        """Whether every value stands for a whole number of rows."""
        return self.counts is None or bool((self.counts == np.floor(self.counts)).all())


@dataclass(frozen=True, eq=False)
class Categories:
    """A categorical column: its labels and how many rows hold each, and how many hold labels that were not kept apart.

    Examples
    --------
    >>> Categories.of(["a", "b", "a"]).index
    {'a': 0, 'b': 1}
    """

    labels: tuple[str, ...]
    counts: Floats
    rest: float = 0.0

    @classmethod
    def of(cls, column: Any) -> Categories:
        """The sample of a list of labels; None is left out."""
        counts: dict[str, float] = {}
        for label in column:
            if label is not None:
                counts[str(label)] = counts.get(str(label), 0.0) + 1
        return cls.counted(counts)

    @classmethod
    def counted(cls, counts: Mapping[str, float], rest: float = 0.0) -> Categories:
        """The sample of labels with their counts."""
        return cls(tuple(counts), np.array(list(counts.values()), dtype=np.float64), rest)

    @cached_property
    def index(self) -> dict[str, int]:
        """Where each label stands."""
        return {label: i for i, label in enumerate(self.labels)}

    @cached_property
    def rows(self) -> float:
        """How many rows there are."""
        return float(self.counts.sum() + self.rest)


@dataclass(frozen=True, eq=False)
class Texts:
    """A column of free text: how long its cells are, and which words they hold.

    Examples
    --------
    >>> Texts.of(["one two", "two"]).words.index
    {'two': 2, 'one': 1}
    """

    lengths: Numbers
    words: Vocabulary

    @classmethod
    def of(cls, column: Any) -> Texts:
        """The sample of a list of texts; None is left out."""
        import pyarrow as pa

        from ..datasets.tokens import vocabulary_of

        texts = [str(text) for text in column if text is not None]
        return cls(Numbers.of([len(text) for text in texts]), vocabulary_of(pa.array(texts, pa.string())))

    @property
    def rows(self) -> float:
        """How many rows there are."""
        return self.lengths.rows


Sample = Numbers | Categories | Texts


@lru_cache(maxsize=1)  # several detectors may need it of the same pair, one after another
def apart(reference: Numbers, current: Numbers) -> tuple[Floats, Floats]:
    """Every value of both sides in rising order, and how far the reference's share up to there is above the current's.

    Of equal values only the last has the right difference; the steps between them are zero.
    """
    n, m = len(reference.values), len(current.values)
    places = np.searchsorted(reference.values, current.values, side="right") + np.arange(m)
    own = np.ones(n + m, dtype=bool)
    own[places] = False
    points, steps = np.empty(n + m), np.empty(n + m)
    points[own], points[places] = reference.values, current.values
    steps[own] = reference.weights / reference.rows
    steps[places] = -current.weights / current.rows
    return points, np.cumsum(steps)


@lru_cache(maxsize=1)
def matched(reference: Categories, current: Categories) -> NDArray[np.int64]:
    """Where in the reference each of the current labels stands; -1 for one that it does not have.

    Examples
    --------
    >>> matched(Categories.of("ab"), Categories.of("bc")).tolist()
    [1, -1]
    """
    index = reference.index
    return np.array([index.get(label, -1) for label in current.labels], np.int64)


@lru_cache(maxsize=1)
def aligned(reference: Categories, current: Categories) -> tuple[list[str], Floats, Floats]:
    """The labels of both and their counts on each side, the reference's first in its order.

    Where a side keeps only its commonest labels apart, a label that it does not name may hide in its rest: it goes
    to the rest of both sides.
    """
    places = matched(reference, current)
    known = places >= 0
    labels: list[str] = list(reference.labels)
    r, c = reference.counts, np.zeros(len(labels))
    c[places[known]] = current.counts[known]
    if current.rest:
        there = np.zeros(len(labels), dtype=bool)
        there[places[known]] = True
        labels = [label for label, kept in zip(labels, there, strict=True) if kept]
        r, c = r[there], c[there]
    if not reference.rest and not known.all():
        new = np.flatnonzero(~known)
        labels += [current.labels[i] for i in new]
        r, c = np.append(r, np.zeros(len(new))), np.append(c, current.counts[new])
    rests = (reference.rows - float(r.sum()), current.rows - float(c.sum()))
    if max(rests) > 0.5:
        labels.append(REST)
        r, c = np.append(r, rests[0]), np.append(c, rests[1])
    return labels, r, c


def pooled(reference: Floats, current: Floats) -> tuple[Floats, Floats]:
    """Put the rare categories together, the pool last, so that the chi-square distribution holds.

    Rare is what would be expected fewer than five times in one of the tables if both were drawn from the same
    source. A pool that is rare itself takes in the rarest of the others, but for the commonest: against that it stands
    alone, and a test for small numbers has to be used.
    """
    together = reference + current
    total = together.sum()
    if total == 0 or not len(together):
        return reference, current
    smaller = min(reference.sum(), current.sum())
    needed = SMALLEST_EXPECTED * total / smaller if smaller else np.inf
    rising = np.argsort(together, kind="stable")
    rare = int(np.searchsorted(together[rising], needed, side="left"))
    if rare == 0:
        return reference, current
    if together[rising[:rare]].sum() < needed and rare < len(rising) - 1:
        rare += 1
    into = np.zeros(len(rising), dtype=bool)
    into[rising[:rare]] = True
    return (
        np.append(reference[~into], reference[into].sum()),
        np.append(current[~into], current[into].sum()),
    )


def edges(reference: Numbers, *, bins: int = BINS) -> Floats:
    """The inner edges of bins that hold equal shares of the reference; equal edges are merged.

    A bin runs from above its left edge up to and with its right edge; the outer two are open. Where so many rows
    hold the smallest value that it is an edge itself, what lies below it has a bin of its own.
    """
    known = reference.memo.get(("edges", bins))
    if known is None:
        inner = np.unique(reference.quantile(np.arange(1, bins) / bins))
        if inner[0] == reference.values[0]:
            inner = np.concatenate(([np.nextafter(inner[0], -np.inf)], inner))
        known = reference.memo["edges", bins] = inner
    return known


@lru_cache(maxsize=1)
def binned(reference: Sample, current: Sample) -> tuple[Floats, Floats]:
    """The rows of both sides in the same bins: tenths of the reference for numbers, the pooled categories else.

    There are fewer bins than ten where they would hold fewer than ten rows of the smaller table; bins that are empty
    on both sides are left out.
    """
    if isinstance(reference, Numbers) and isinstance(current, Numbers):
        bins = int(min(BINS, max(2, min(reference.rows, current.rows) // ROWS_A_BIN)))
        r = reference.memo.get(("binned", bins))
        inner = edges(reference, bins=bins)
        if r is None:
            r = reference.memo["binned", bins] = reference.between(inner)
        c = current.between(inner)
    elif isinstance(reference, Categories) and isinstance(current, Categories):
        r, c = pooled(*aligned(reference, current)[1:])
    else:
        raise TypeError("a numeric and a categorical column cannot be binned together")
    filled = (r > 0) | (c > 0)
    return r[filled], c[filled]


def over_bins(
    statistic: Callable[[Floats, Floats], Measurement | None],
) -> Callable[[Sample, Sample], Measurement | None]:
    """A detector's `measure` out of a statistic of the counts in PSI's bins; texts have none.

    Examples
    --------
    >>> from jupyter_mlops.monitoring.detector import Measurement
    >>> largest = over_bins(lambda r, c: Measurement(float(abs(r / r.sum() - c / c.sum()).max())))
    >>> largest(Categories.counted({"a": 30, "b": 10}), Categories.counted({"a": 10, "b": 30})).value
    0.5
    """

    def measure(reference: Sample, current: Sample) -> Measurement | None:
        return None if isinstance(reference, Texts) else statistic(*binned(reference, current))

    return measure
