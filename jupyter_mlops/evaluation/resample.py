"""Resampling: bootstrap weights, the intervals made of them, and their p-values; pure NumPy and SciPy.

A bootstrap replicate is a vector of weights: how often each row was drawn. Every statistic here is a function of weighted
means, of weighted counts or of weights in an order sorted once, so a replicate costs one pass over the rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

__all__ = [
    "bca",
    "count_replicates",
    "jackknife_counts",
    "jackknife_means",
    "normal",
    "percentile",
    "sign_p_value",
    "weights",
]

Array = np.ndarray[Any, Any]

REPLICATES = 1000
FEWEST = 200
WORK = 20_000_000  # rows drawn in all: beyond it there are fewer replicates, of what is then a narrow interval
CHUNK = 4_000_000


def replicates_for(rows: int) -> int:
    """How many bootstrap replicates are drawn for so many rows: 1,000, fewer beyond 20,000 rows, never under 200."""
    return max(FEWEST, min(REPLICATES, WORK // max(rows, 1)))


def weights(rows: int, replicates: int, seed: int) -> Iterator[Array]:
    """Bootstrap weights of `rows` rows, some replicates at a time, as (replicates, rows).

    Examples
    --------
    >>> [chunk.sum(axis=1).tolist() for chunk in weights(5, 3, seed=1)]
    [[5.0, 5.0, 5.0]]
    """
    rng = np.random.default_rng(seed)
    step = max(1, CHUNK // max(rows, 1))
    for start in range(0, replicates, step):
        count = min(step, replicates - start)
        found = np.empty((count, rows))
        for line in found:
            line[:] = np.bincount(rng.integers(0, rows, size=rows), minlength=rows)
        yield found


def count_replicates(counts: Array, replicates: int, seed: int) -> Array:
    """Bootstrap replicates of a table of counts: resampling rows is drawing from a multinomial over its cells."""
    flat = np.asarray(counts, dtype=np.int64).ravel()
    total = int(flat.sum())
    drawn = np.zeros((replicates, flat.size))
    held = np.flatnonzero(flat)
    drawn[:, held] = np.random.default_rng(seed).multinomial(total, flat[held] / total, size=replicates)
    return drawn.reshape(replicates, *np.shape(counts))


def jackknife_means(columns: Array, function: Callable[[Array], Array]) -> tuple[Array, Array]:
    """The statistic with each row left out in turn, and how often each value occurs (once)."""
    rows = len(columns)
    return function((columns.sum(axis=0) - columns) / (rows - 1)), np.ones(rows)


def jackknife_counts(counts: Array, function: Callable[[Array], Array]) -> tuple[Array, Array]:
    """The same for a statistic of a table of counts: one value a cell that holds rows, as often as it holds any."""
    flat = np.asarray(counts, dtype=np.float64).ravel()
    held = np.flatnonzero(flat)
    less = np.repeat(flat[None, :], held.size, axis=0)
    less[np.arange(held.size), held] -= 1
    return function(less.reshape(held.size, *np.shape(counts))), flat[held]


def percentile(drawn: Array, level: float) -> tuple[float, float]:
    """The percentile interval; replicates where the statistic is not defined are left out."""
    known = drawn[np.isfinite(drawn)]
    if not known.size:
        return float("nan"), float("nan")
    low, high = np.quantile(known, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def normal(value: float, drawn: Array, level: float) -> tuple[float, float]:
    """The normal interval with the standard deviation of the replicates."""
    from scipy.stats import norm

    known = drawn[np.isfinite(drawn)]
    reach = float(norm.ppf((1 + level) / 2) * known.std(ddof=1)) if known.size > 1 else float("nan")
    return value - reach, value + reach


def bca(value: float, drawn: Array, left_out: tuple[Array, Array], level: float) -> tuple[float, float]:
    """Efron's bias-corrected and accelerated interval (Efron 1987, JASA 82).

    Parameters
    ----------
    left_out
        The jackknife's values and how often each occurs.
    """
    from scipy.stats import norm

    known = drawn[np.isfinite(drawn)]
    values, often = left_out
    finite = np.isfinite(values)
    values, often = values[finite], often[finite]
    if known.size < FEWEST // 2 or not values.size or float(np.ptp(known)) == 0.0:
        return percentile(drawn, level)
    below = (np.count_nonzero(known < value) + np.count_nonzero(known == value) / 2) / known.size
    if not 0 < below < 1:
        return percentile(drawn, level)
    bias = norm.ppf(below)
    moved = np.average(values, weights=often) - values
    spread = float(np.sum(often * moved**2))
    acceleration = float(np.sum(often * moved**3)) / (6 * spread**1.5) if spread > 0 else 0.0
    z = bias + norm.ppf([(1 - level) / 2, (1 + level) / 2])
    places = norm.cdf(bias + z / (1 - acceleration * z))
    low, high = np.quantile(known, places)
    return float(low), float(high)


def sign_p_value(drawn: Array) -> float:
    """Two-sided p-value of "no difference" from bootstrap differences: (1 + how many on the smaller side) / (1 + B), twice."""
    known = drawn[np.isfinite(drawn)]
    fewer = min(np.count_nonzero(known <= 0), np.count_nonzero(known >= 0))
    return float(min(1.0, 2 * (1 + fewer) / (1 + known.size)))
