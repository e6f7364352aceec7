"""Samples: one column's values as the detectors read them, distinct values with their counts, and how they are binned."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

__all__ = ["BINS", "POOLED", "Categories", "Numbers", "Sample", "aligned", "apart", "binned", "edges", "pooled"]

BINS = 10
ROWS_A_BIN = 10
SMALLEST_EXPECTED = 5.0
POOLED = "(rare categories)"
REST = "(other categories)"


@dataclass(frozen=True, eq=False)
class Numbers:
    """A numeric column: its distinct finite values in rising order and how many rows hold each.

    Examples
    --------
    >>> Numbers.of([3, 1, 3]).counts.tolist()
    [1.0, 2.0]
    """

    values: Floats
    counts: Floats

    @classmethod
    def of(cls, column: Any) -> Numbers:
        """The sample of an array of numbers; what is not finite is left out."""
        given = np.asarray(column, dtype=np.float64)
        values, counts = np.unique(given[np.isfinite(given)], return_counts=True)
        return cls(values, counts.astype(np.float64))

    @cached_property
    def cumulated(self) -> Floats:
        """How many rows the first k values hold, from k = 0."""
        return np.concatenate(([0.0], np.cumsum(self.counts)))

    @property
    def rows(self) -> float:
        """How many rows there are."""
        return float(self.cumulated[-1])

    def below(self, points: Floats) -> Floats:
        """How many rows hold each of these points or less."""
        counted: Floats = self.cumulated[np.searchsorted(self.values, points, side="right")]
        return counted

    def quantile(self, shares: Floats) -> Floats:
        """The smallest value that at least this share of the rows does not pass (the inverse of the ECDF)."""
        at = np.searchsorted(self.cumulated[1:], shares * self.rows * (1 - 1e-12), side="left")
        found: Floats = self.values[np.minimum(at, len(self.values) - 1)]
        return found

    def spread(self) -> tuple[float, float]:
        """The mean and the standard deviation (ddof 0)."""
        mean = float(np.average(self.values, weights=self.counts))
        return mean, float(np.sqrt(np.average((self.values - mean) ** 2, weights=self.counts)))


@dataclass(frozen=True, eq=False)
class Categories:
    """A categorical column: how many rows hold each label, and how many hold labels that were not kept apart.

    Examples
    --------
    >>> Categories.of(["a", "b", "a"]).counts
    {'a': 2.0, 'b': 1.0}
    """

    counts: Mapping[str, float]
    rest: float = 0.0

    @classmethod
    def of(cls, column: Any) -> Categories:
        """The sample of a list of labels; None is left out."""
        counts: dict[str, float] = {}
        for label in column:
            if label is not None:
                counts[str(label)] = counts.get(str(label), 0.0) + 1
        return cls(counts)

    @cached_property
    def rows(self) -> float:
        """How many rows there are."""
        return float(sum(self.counts.values()) + self.rest)


Sample = Numbers | Categories


@lru_cache(maxsize=1)  # several detectors need it of the same pair, one after another
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
    steps[own], steps[places] = reference.counts / reference.rows, -current.counts / current.rows
    return points, np.cumsum(steps)


def aligned(reference: Categories, current: Categories) -> tuple[list[str], Floats, Floats]:
    """The labels of both and their counts on each side, the commonest in the reference first.

    Where a side keeps only its commonest labels apart, a label that it does not name may hide in its rest: it goes
    to the rest of both sides.
    """
    named = sorted({*reference.counts, *current.counts}, key=lambda x: (-reference.counts.get(x, 0.0), x))
    labels = [
        label
        for label in named
        if (label in reference.counts or not reference.rest) and (label in current.counts or not current.rest)
    ]
    sides = [np.array([side.counts.get(label, 0.0) for label in labels]) for side in (reference, current)]
    rests = [side.rows - float(counts.sum()) for side, counts in zip((reference, current), sides, strict=True)]
    if max(rests, default=0.0) > 0.5:
        labels.append(REST)
        sides = [np.append(counts, rest) for counts, rest in zip(sides, rests, strict=True)]
    return labels, sides[0], sides[1]


def pooled(labels: list[str], reference: Floats, current: Floats) -> tuple[list[str], Floats, Floats]:
    """Put the rare categories together, so that the chi-square distribution holds.

    Rare is what would be expected fewer than five times in one of the tables if both were drawn from the same
    source. A pool that is rare itself takes in the rarest of the others, but for the commonest: against that it stands
    alone, and a test for small numbers has to be used.
    """
    together = reference + current
    total = together.sum()
    if total == 0 or not len(together):
        return labels, reference, current
    smaller = min(reference.sum(), current.sum())
    needed = SMALLEST_EXPECTED * total / smaller if smaller else np.inf
    rising = np.argsort(together, kind="stable")
    rare = int(np.searchsorted(together[rising], needed, side="left"))
    if rare == 0:
        return labels, reference, current
    if together[rising[:rare]].sum() < needed and rare < len(rising) - 1:
        rare += 1
    into = np.zeros(len(rising), dtype=bool)
    into[rising[:rare]] = True
    kept = [label for label, goes in zip(labels, into, strict=True) if not goes]
    return (
        [*kept, POOLED],
        np.append(reference[~into], reference[into].sum()),
        np.append(current[~into], current[into].sum()),
    )


def edges(reference: Numbers, *, bins: int = BINS) -> Floats:
    """The inner edges of bins that hold equal shares of the reference; equal edges are merged.

    A bin runs from above its left edge up to and with its right edge; the outer two are open. Where so many rows
    hold the smallest value that it is an edge itself, what lies below it has a bin of its own.
    """
    inner = np.unique(reference.quantile(np.arange(1, bins) / bins))
    if inner[0] == reference.values[0]:
        inner = np.concatenate(([np.nextafter(inner[0], -np.inf)], inner))
    return inner


def binned(reference: Sample, current: Sample) -> tuple[Floats, Floats]:
    """The rows of both sides in the same bins: tenths of the reference for numbers, the pooled categories else.

    There are fewer bins than ten where they would hold fewer than ten rows of the smaller table; bins that are empty
    on both sides are left out.
    """
    if isinstance(reference, Numbers) and isinstance(current, Numbers):
        bins = int(min(BINS, max(2, min(reference.rows, current.rows) // ROWS_A_BIN)))
        inner = edges(reference, bins=bins)
        sides = [np.diff(np.concatenate(([0.0], x.below(inner), [x.rows]))) for x in (reference, current)]
        r, c = sides
    elif isinstance(reference, Categories) and isinstance(current, Categories):
        _, r, c = pooled(*aligned(reference, current))
    else:
        raise TypeError("a numeric and a categorical column cannot be binned together")
    filled = (r > 0) | (c > 0)
    return r[filled], c[filled]
