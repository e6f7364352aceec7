"""Sorted numbers: a column's numbers sorted once, as distinct values with counts, or beyond a limit as groups."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = [
    "COUNTS",
    "EXACT",
    "FLOATS",
    "GROUPS",
    "Distribution",
    "distribution_of",
    "merged",
    "sorted_finite",
    "thinned",
]

FLOATS = np.ndarray[Any, np.dtype[np.float64]]
COUNTS = np.ndarray[Any, np.dtype[np.int64]]

EXACT = 100_000  # distinct numbers up to which each is kept
GROUPS = 4_096  # beyond


@dataclass(frozen=True, eq=False)
class Distribution:
    """Sorted values and how many cells each stands for.

    Parameters
    ----------
    distinct
        How many different values there were.
    error
        By how much the share of cells below any number may be off, 0 where every distinct value is kept.
    """

    values: FLOATS
    counts: COUNTS
    distinct: int
    error: float = 0.0


def sorted_finite(given: np.ndarray[Any, Any]) -> tuple[FLOATS, int, int]:
    """The finite numbers in rising order, how many were NaN and how many infinite; one sort, no mask.

    Examples
    --------
    >>> sorted_finite(np.array([2.0, np.nan, -np.inf, 1.0]))
    (array([1., 2.]), 1, 1)
    """
    ordered = np.sort(given)
    start, end = 0, len(ordered)
    if not end or ordered.dtype.kind not in "fc":
        return ordered.astype(np.float64), 0, 0
    nan = infinite = 0
    if np.isnan(ordered[-1]):  # NaN is sorted behind everything
        end = int(np.searchsorted(ordered, np.inf, side="right"))
        nan = len(ordered) - end
    if end and ordered[0] == -np.inf:
        start = int(np.searchsorted(ordered[:end], -np.inf, side="right"))
        infinite = start
    if end > start and ordered[end - 1] == np.inf:
        last = int(np.searchsorted(ordered[:end], np.inf, side="left"))
        infinite, end = infinite + end - last, last
    return ordered[start:end].astype(np.float64, copy=False), nan, infinite


def distribution_of(ordered: FLOATS, *, most: int = EXACT) -> Distribution:
    """The distinct values of sorted numbers with their counts, or groups where there are more than `most`."""
    n = len(ordered)
    if not n:
        return Distribution(np.empty(0), np.empty(0, dtype=np.int64), 0)
    changes = ordered[1:] != ordered[:-1]
    distinct = int(np.count_nonzero(changes)) + 1
    if distinct == n:
        values, counts = ordered, np.broadcast_to(np.int64(1), n)
    else:
        starts = np.empty(distinct, dtype=np.int64)
        starts[0] = 0
        starts[1:] = np.flatnonzero(changes) + 1
        values = ordered[starts]
        counts = np.diff(starts, append=n)
    zero = int(np.searchsorted(values, 0.0))
    if zero < len(values) and values[zero] == 0:
        values[zero] = 0.0  # never -0.0
    return thinned(Distribution(values, counts, distinct), most=most)


def thinned(found: Distribution, *, most: int = EXACT, groups: int = GROUPS) -> Distribution:
    """At most `groups` groups of about equally many cells where there are more than `most` values, else as it is.

    A group is written by the value in its middle; the smallest and the largest value stay. The share of the cells below
    any number is off by at most half a group, and by half of the largest count where one value fills several groups.
    """
    if len(found.values) <= most:
        return found
    ends = np.cumsum(found.counts)
    total = int(ends[-1])
    edges = np.linspace(0, total, groups + 1).astype(np.int64)
    at = np.searchsorted(ends, (edges[:-1] + edges[1:]) // 2, side="right")
    at[0], at[-1] = 0, len(ends) - 1
    places, group = np.unique(at, return_inverse=True)
    counts = np.bincount(group, weights=np.diff(edges)).astype(np.int64)
    kept = found.values[places]
    # Measured, not estimated: at every value that there was, how far the kept share is from the true one.
    below = np.concatenate(([0], np.cumsum(counts)))
    off = below[np.searchsorted(kept, found.values, side="right")] - ends
    before = below[np.searchsorted(kept, found.values, side="left")] - (ends - found.counts)
    error = max(int(np.abs(off).max()), int(np.abs(before).max())) / total
    return Distribution(kept, counts, found.distinct, found.error + error)


def merged(first: Distribution, second: Distribution, *, most: int = EXACT) -> Distribution:
    """The distribution of the cells of both; exact where both are and their values are not too many.

    Errors of the parts count by their share of the cells. Where a part is no longer exact, ``distinct`` is at least the
    true number of values in the larger part.
    """
    if not len(first.values) or not len(second.values):
        return second if not len(first.values) else first
    n, m = int(first.counts.sum()), int(second.counts.sum())
    values, place = np.unique(np.concatenate((first.values, second.values)), return_inverse=True)
    counts = np.zeros(len(values), dtype=np.int64)
    np.add.at(counts, place, np.concatenate((first.counts, second.counts)))
    exact = len(first.values) == first.distinct and len(second.values) == second.distinct
    distinct = len(values) if exact else max(first.distinct, second.distinct, len(values))
    error = (first.error * n + second.error * m) / (n + m)
    return thinned(Distribution(values, counts, distinct, error), most=most)
