"""Wasserstein distance: how far the values were moved on average, in the reference's standard deviations."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from ..detector import Detector, Measurement
from ..samples import Numbers, Sample, apart

if TYPE_CHECKING:
    from ..samples import Floats

__all__ = ["WASSERSTEIN", "area", "measure"]

FEW = 4  # so many rows a distinct value of both make the way over distinct values the shorter one
AT_ONCE = 8_192  # values: they stay in a processor's cache, and OpenBLAS wakes its threads for more than 10,000
AT_ONCE_FACING = 32_768


def measure(reference: Sample, current: Sample) -> Measurement | None:
    """The area between the cumulative distributions, divided by the reference's standard deviation (ddof 0).

    Not defined for a reference that is constant.

    >>> ten = np.arange(1.0, 11.0)
    >>> round(measure(Numbers.of(ten), Numbers.of(ten + 2)).value, 7)
    0.6963106
    """
    if not (isinstance(reference, Numbers) and isinstance(current, Numbers)):
        return None
    with np.errstate(over="ignore", invalid="ignore"):
        spread = reference.spread[1]
        value = area(reference, current) / spread if 0 < spread < np.inf else np.inf
    return Measurement(value) if np.isfinite(value) else None


@lru_cache(maxsize=1)
def area(reference: Numbers, current: Numbers) -> float:
    """The area between the two cumulative distributions, in the column's own unit; infinite where it is too large.

    Where rows hardly share values the same area is read along the other axis, as the mean distance of the quantiles:
    the i-th of n sorted values faces one of m, or two that it is divided between.

    >>> area(Numbers.of([0.0, 1.0]), Numbers.of([0.0, 1.0, 5.0]))
    1.5
    """
    sides = [reference, current]
    with np.errstate(over="ignore", invalid="ignore"):
        if max(n.rows for n in sides) > FEW * sum(len(n.values) for n in sides) or not all(
            side.of_whole_rows for side in sides
        ):
            points, difference = apart(reference, current)
            return float(np.sum(np.abs(difference[:-1]) * np.diff(points)))
        long, short = (_expanded(side) for side in sorted(sides, key=lambda side: -side.rows))
        n, m = len(long), len(short)
        if n == m:
            return _facing(long, short) / n
        return sum(_divided(long[i : i + AT_ONCE], short, i, n) for i in range(0, n, AT_ONCE)) / n / m


def _facing(one: Floats, other: Floats) -> float:
    """The sum of the distances of as many sorted values to one another."""
    room, found = np.empty(min(AT_ONCE_FACING, len(one))), 0.0
    for i in range(0, len(one), AT_ONCE_FACING):
        part = one[i : i + AT_ONCE_FACING]
        between = np.subtract(part, other[i : i + AT_ONCE_FACING], out=room[: len(part)])
        found += float(np.abs(between, out=between).sum())
    return found


def _divided(part: Floats, short: Floats, begin: int, n: int) -> float:
    """The distances of a stretch of n sorted values to the fewer ones, weighted by the shares that overlap.

    The i-th value spans m of the n m equal shares, from the i m-th on; each of the m fewer values spans n.
    """
    m = len(short)
    starts = np.arange(begin * m, (begin + len(part)) * m, m)
    faced = starts // n
    near = part - short.take(faced, mode="clip")
    far = part - short[1:].take(faced, mode="clip") if m > 1 else near.copy()  # behind the last there is no share left
    np.abs(near, out=near)
    np.abs(far, out=far)
    faced += 1
    faced *= n
    faced -= starts  # how much is left of what each faces first
    weights = np.minimum(faced, m).astype(np.float64)
    near -= far
    return float(near @ weights + far.sum() * m)


def _expanded(side: Numbers) -> Floats:
    return side.values if side.counts is None else np.repeat(side.values, side.counts.astype(np.int64))


WASSERSTEIN = Detector(
    name="wasserstein",
    title="Wasserstein distance",
    kinds=("numeric",),
    unit="standard deviations of the reference",
    range=(0.0, float("inf")),
    threshold=0.05,
    large=0.25,
    alarm_when="above",
    min_rows=20,
    convention="order 1, divided by the reference's standard deviation (ddof 0); judged by the column's other p-values",
    measure=measure,
)
