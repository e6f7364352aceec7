"""Kolmogorov-Smirnov: the largest distance between the two cumulative distributions."""

from __future__ import annotations

from math import comb, gcd, sqrt
from typing import TYPE_CHECKING

import numpy as np

from ..detector import Detector, Measurement
from ..samples import Numbers, Sample

if TYPE_CHECKING:
    from ..samples import Floats

__all__ = ["KS", "distance", "measure"]

# Rows of one table times rows of the other, and their sum: beyond these the limit distribution is close.
EXACT_PRODUCT, EXACT_SUM = 40_000, 2_000
FIRST, CUT = 2_048, 8  # into how many blocks the values are cut first, and each of them again


def measure(reference: Sample, current: Sample) -> Measurement | None:
    """The two-sample statistic D, 0 for equal distributions, 1 for disjoint ones, and its p-value.

    >>> ten = np.arange(1.0, 11.0)
    >>> found = measure(Numbers.of(ten), Numbers.of(ten + 2))
    >>> round(found.value, 7), round(found.p_value, 7)
    (0.2, 0.9944576)
    """
    if not (isinstance(reference, Numbers) and isinstance(current, Numbers)):
        return None
    value = distance(reference, current)
    n, m = round(reference.rows), round(current.rows)
    p_value = _exact(value, n, m) if n * m <= EXACT_PRODUCT and n + m <= EXACT_SUM else _limit(value, n, m)
    return Measurement(value, p_value)


def distance(reference: Numbers, current: Numbers) -> float:
    """The largest distance between the cumulative shares, exactly, looking closely only where it can be.

    The distance is largest at one of the reference's values, seen from the left or from the right. Of a block of its
    neighbouring values the two ends tell how large the distance can be anywhere in it; blocks that cannot hold the
    largest are passed over, the others are cut finer.
    """
    n, m, count = reference.rows, current.rows, len(reference.values)
    step = -(-count // FIRST) if count > FIRST * CUT else -(-count // CUT)
    starts, points = np.arange(0, count, step), reference.every(step)
    ends, best = np.full(1, m), 0.0
    while True:
        left, right = _around(current, points)
        here = reference.up_to(starts)
        own = here + 1 if reference.counts is None else reference.up_to(starts + 1)
        behind, before = right * n, left * n
        here, own = here * m, own * m
        best = max(best, float((own - behind).max()), float((before - here).max()))
        if step == 1:
            return best / (n * m)
        after = reference.up_to(np.minimum(starts + step, count)) * m
        # below the end of a block lie as many rows as below the start of the next one, or of its parent's end
        below = np.empty((len(ends), len(starts) // len(ends)))
        below[:, :-1], below[:, -1] = left.reshape(below.shape)[:, 1:], ends
        possible = np.maximum(after - behind, below.ravel() * n - here) > best
        starts, ends = starts[possible], below.ravel()[possible]
        if not len(starts):
            return best / (n * m)
        width, step = step, -(-step // CUT)
        starts = np.minimum(starts[:, None] + np.arange(0, width, step), count - 1).ravel()
        points = reference.values[starts]


def _around(side: Numbers, points: Floats) -> tuple[Floats, Floats]:
    """How many rows hold less than each of some points, and how many hold it or less."""
    left = side.values.searchsorted(points)
    right = left + (side.values.take(left, mode="clip") == points)
    return side.up_to(left), side.up_to(right)


def _limit(value: float, n: int, m: int) -> float:
    """Kolmogorov's limit distribution, with Stephens' correction for a finite number of rows.

    D moves in steps of one over the least common multiple of n and m; half a step is taken off, as the correction is
    made for a continuous D. Within 0.03 of the exact p-value; where that is below 0.05, not under nine tenths of it.
    """
    from scipy.special import kolmogorov

    root = sqrt(n * m / (n + m))
    half_step = gcd(n, m) / (2 * n * m)
    return float(kolmogorov((root + 0.12 + 0.11 / root) * max(0.0, value - half_step)))


def _exact(value: float, n: int, m: int) -> float:
    """How often two samples without ties from one source lie at least `value` apart.

    Every order in which the rows of both can be mixed is a path over a grid and equally likely; counted is the share
    of the paths that leave the band in which the distance is smaller. Sums of positive numbers only: a small result
    is as exact as a large one.
    """
    if n > m:
        n, m = m, n
    steps = np.round(value * (n * m // gcd(n, m)))  # D is a whole number of these
    if steps == 0:
        return 1.0
    if n == m:
        return _of_equal_sizes(int(steps), n)
    outside = np.zeros(n + 1)
    taken = np.arange(n + 1)
    for length in range(1, n + m + 1):
        low, high = max(0, length - m), min(n, length)
        i: Floats = taken[low : high + 1].astype(np.float64)
        moved = outside.copy()
        moved[low : high + 1] = outside[low : high + 1] * (length - i) / length
        moved[max(low, 1) : high + 1] += outside[max(low, 1) - 1 : high] * taken[max(low, 1) : high + 1] / length
        gaps = np.abs(i * m - (length - i) * n) / gcd(n, m)
        moved[low : high + 1][gaps >= steps] = 1.0
        outside = moved
    return float(min(1.0, outside[n]))


def _of_equal_sizes(steps: int, n: int) -> float:
    """The same count in closed form: paths reflected at both borders of the band (Gnedenko and Korolyuk 1951)."""
    outside: int = sum((-1) ** (j + 1) * comb(2 * n, n - j * steps) for j in range(1, n // steps + 1))
    return float(min(1.0, 2 * outside / comb(2 * n, n)))


KS = Detector(
    name="ks",
    title="Kolmogorov-Smirnov distance",
    kinds=("numeric",),
    unit="the largest distance between the cumulative shares",
    range=(0.0, 1.0),
    threshold=0.02,
    large=0.1,
    alarm_when="above",
    min_rows=20,
    convention=(
        "two-sample D over every value; two-sided p exact up to 40,000 pairs of rows, else Kolmogorov's limit with "
        "Stephens' correction and n m / (n + m) rows; ties make p too large"
    ),
    measure=measure,
)
