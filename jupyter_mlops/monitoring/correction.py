"""Corrections and tests that belong to no detector: many p-values at once, counts, two proportions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .samples import Floats

__all__ = ["benjamini_hochberg", "pearson", "two_proportions"]

SMALLEST_EXPECTED = 5.0


def benjamini_hochberg(p_values: Sequence[float]) -> list[float]:
    """Adjusted p-values that keep the share of false alarms among all alarms below the level they are compared with.

    Where nothing differs, the chance of any false alarm among all of them is below that level too. The same numbers
    as `scipy.stats.false_discovery_control`.

    Examples
    --------
    >>> benjamini_hochberg([0.01, 0.04, 0.03, 0.5])
    [0.04, 0.05333333333333334, 0.05333333333333334, 0.5]
    """
    count = len(p_values)
    adjusted = [1.0] * count
    smallest = 1.0
    falling = sorted(range(count), key=lambda i: p_values[i], reverse=True)
    for place, i in enumerate(falling):
        smallest = min(smallest, p_values[i] * count / (count - place))
        adjusted[i] = smallest
    return adjusted


def pearson(reference: Floats, current: Floats) -> float:
    """The p-value of Pearson's chi-square over the two rows of a contingency table, without Yates' correction."""
    from scipy.special import chdtrc

    n, m = float(reference.sum()), float(current.sum())
    statistic = float((((reference / n - current / m) ** 2) / (reference + current)).sum()) * n * m
    return float(chdtrc(len(reference) - 1, statistic))


def two_proportions(first: int, of_first: int, second: int, of_second: int) -> float:
    """The two-sided p-value that two shares come from one source.

    The pooled z statistic; where one of the four expected numbers is below five, the exact hypergeometric
    distribution, the smaller tail doubled.

    Examples
    --------
    >>> round(two_proportions(50, 100, 40, 100), 7)
    0.1552185
    >>> two_proportions(0, 100, 0, 100)
    1.0
    """
    if not of_first or not of_second:
        return 1.0
    total, hits = of_first + of_second, first + second
    pooled = hits / total
    if min(pooled, 1 - pooled) * min(of_first, of_second) < SMALLEST_EXPECTED:
        return _exact(first, of_first, second, of_second)
    error = math.sqrt(pooled * (1 - pooled) * (1 / of_first + 1 / of_second))
    return math.erfc(abs(first / of_first - second / of_second) / error / math.sqrt(2))


def _exact(first: int, of_first: int, second: int, of_second: int) -> float:
    import numpy as np
    from scipy.special import gammaln

    hits = first + second
    if 2 * hits > of_first + of_second:  # count the rarer outcome: its support is the shorter one
        first, second = of_first - first, of_second - second
        hits = first + second
    drawn = np.arange(max(0, hits - of_first), min(hits, of_second) + 1)

    def choose(n: float, k: np.ndarray) -> np.ndarray:
        ways: np.ndarray = gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1)
        return ways

    logs = choose(of_second, drawn) + choose(of_first, hits - drawn)
    chances = np.exp(logs - logs.max())
    chances /= chances.sum()
    tail = min(float(chances[drawn <= second].sum()), float(chances[drawn >= second].sum()))
    return min(1.0, 2 * tail)
