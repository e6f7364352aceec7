"""DeLong: the variance of areas under ROC curves, and of the difference of two on the same rows.

DeLong, DeLong and Clarke-Pearson 1988 (Biometrics 44), by midranks as Sun and Xu 2014 (IEEE SPL 21).
"""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["delong", "delong_difference"]

Array = np.ndarray[Any, Any]


def delong(positive: Array, scores: Array, level: float = 0.95) -> tuple[float, float, float]:
    """The area under the ROC curve with its normal interval, cut to 0 and 1; not a number with one class alone.

    Parameters
    ----------
    positive
        True for the positive rows.
    scores
        The higher, the more positive.

    Examples
    --------
    >>> [round(v, 3) for v in delong(np.array([0, 0, 1, 1]) == 1, np.array([0.1, 0.4, 0.35, 0.8]))]
    [0.75, 0.057, 1.0]
    """
    from scipy.stats import norm

    areas, covariance = _areas(positive, scores[None, :])
    area, spread = float(areas[0]), float(np.sqrt(covariance[0, 0]))
    reach = norm.ppf((1 + level) / 2) * spread
    if not np.isfinite(reach):
        return area, float("nan"), float("nan")
    return area, max(0.0, float(area - reach)), min(1.0, float(area + reach))


def delong_difference(
    positive: Array, first: Array, second: Array, level: float = 0.95
) -> tuple[float, float, float, float]:
    """The difference of two areas on the same rows, its interval, and the two-sided p-value of no difference."""
    from scipy.stats import norm

    areas, covariance = _areas(positive, np.stack([first, second]))
    difference = float(areas[0] - areas[1])
    variance = float(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1])
    if variance <= 1e-18:
        return difference, difference, difference, 1.0 if abs(difference) < 1e-12 else 0.0
    spread = variance**0.5
    reach = norm.ppf((1 + level) / 2) * spread
    return (
        difference,
        float(difference - reach),
        float(difference + reach),
        float(2 * norm.sf(abs(difference) / spread)),
    )


def _areas(positive: Array, scores: Array) -> tuple[Array, Array]:
    """The areas of several scores and their covariance."""
    from scipy.stats import rankdata

    positive = np.asarray(positive, dtype=bool)
    up, down = scores[:, positive], scores[:, ~positive]
    m, n = up.shape[1], down.shape[1]
    if not m or not n:
        missing = np.full(len(scores), np.nan)
        return missing, np.full((len(scores), len(scores)), np.nan)
    within_up, within_down = rankdata(up, axis=1), rankdata(down, axis=1)
    together = rankdata(np.concatenate([up, down], axis=1), axis=1)
    of_up = (together[:, :m] - within_up) / n  # each positive: the share of negatives below it
    of_down = 1 - (together[:, m:] - within_down) / m
    areas = of_up.mean(axis=1)
    if m < 2 or n < 2:
        return areas, np.full((len(scores), len(scores)), np.nan)
    covariance = np.atleast_2d(np.cov(of_up)) / m + np.atleast_2d(np.cov(of_down)) / n
    return areas, covariance
