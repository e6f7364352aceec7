"""Calibration: whether predicted probabilities are what is observed."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..domain.evaluation import EvaluationRows
from ..domain.evaluation_parts import Calibration, CalibrationBin, MetricValue
from ..errors import InvalidArgument
from .measuring import wilson
from .resample import percentile, replicates_for, weights

__all__ = ["calibration_error", "calibration_report", "equal_mass", "equal_width", "spiegelhalter"]

Array = np.ndarray[Any, Any]

BINS = 10


def calibration_report(rows: EvaluationRows, *, bins: int = BINS, level: float = 0.95, seed: int = 0) -> Calibration:
    """The reliability curve, the calibration errors with intervals, and Spiegelhalter's test.

    Of two classes the positive one's probability is judged, of several the probability of the predicted class.

    Raises
    ------
    InvalidArgument
        There are no probabilities.
    """
    if rows.probabilities is None:
        raise InvalidArgument(
            "calibration is of probabilities, and this model gives none.", hint="Leave --calibration out."
        )
    p, hit, what = _judged(rows)
    wide, mass = equal_width(p, bins), equal_mass(p, bins)
    drawn: dict[str, list[Array]] = {"ece": [], "ace": []}
    order = np.argsort(p, kind="stable")  # both kinds of bins are stretches of it, and drawn rows have no order
    miss = (hit - p)[order]
    starts = [np.unique(at[order], return_index=True)[1] for at in (wide, mass)]
    for weight in weights(len(p), replicates_for(len(p)), seed):
        gaps = [np.abs(np.add.reduceat(weight * miss, start, axis=1)) for start in starts]
        drawn["ece"].append(gaps[0].sum(axis=1) / len(p))
        drawn["ace"].append(gaps[1].sum(axis=1) / len(p))
    values = {
        "ece": calibration_error(p, hit, wide),
        "ace": calibration_error(p, hit, mass),
    }
    words = {
        "ece": f"mean over rows of |observed - predicted| of their bin, {bins} bins of equal width, [low, high)",
        "ace": f"the same over {bins} bins of equal numbers of rows",
    }
    told = {}
    for name, value in values.items():
        low, high = percentile(np.concatenate(drawn[name]), level)
        told[name] = MetricValue(
            name, value, min(low, value), max(high, value), level, "percentile bootstrap", False, words[name]
        )
    largest = f"the largest |observed - predicted| of {bins} bins of equal width; no interval: resampling does not know a largest"
    mce = MetricValue("mce", calibration_error(p, hit, wide, largest=True), None, None, level, "", False, largest)
    z, p_value = spiegelhalter(p, hit)
    return Calibration(
        bins=_bins(p, hit, wide, bins, level),
        **told,
        mce=mce,
        test="Spiegelhalter",
        statistic=z if np.isfinite(z) else None,
        p_value=None if np.isnan(p_value) else p_value,
        calibrated=bool(np.isnan(p_value) or p_value > 1 - level),
        convention=f"calibration of {what}; bootstrap intervals of calibration errors lean upwards: an error is never "
        "below 0, so chance adds to it; the test needs no bins",
    )


def equal_width(p: Array, bins: int) -> Array:
    """Which of `bins` bins of equal width over 0 to 1 each probability is in; the last bin is closed."""
    found: Array = np.minimum((np.asarray(p) * bins).astype(np.int64), bins - 1)
    return found


def equal_mass(p: Array, bins: int) -> Array:
    """Which of `bins` bins of equal numbers each probability is in; equal probabilities share a bin."""
    edges = np.quantile(p, np.linspace(0, 1, bins + 1)[1:-1])
    return np.searchsorted(edges, p, side="right")


def calibration_error(p: Array, hit: Array, at: Array, *, largest: bool = False) -> float:
    """The mean over rows (or the largest over bins) of the distance between observed share and mean probability.

    Examples
    --------
    >>> p, hit = np.array([0.25, 0.25, 0.75, 0.75]), np.array([0, 0, 1, 1])
    >>> calibration_error(p, hit, equal_width(p, 2))
    0.25
    """
    counts = np.bincount(at)
    gaps = np.abs(np.bincount(at, weights=np.asarray(hit, dtype=np.float64) - p))
    if largest:
        return float((gaps[counts > 0] / counts[counts > 0]).max())
    return float(gaps.sum() / len(p))


def spiegelhalter(p: Array, hit: Array) -> tuple[float, float]:
    """Spiegelhalter's z and its two-sided p-value (Spiegelhalter 1986, Statistics in Medicine 5).

    The part of the Brier score that calibration alone does not explain, in its standard deviations under calibration.
    Where every probability is 0 or 1, one that is wrong has come although it could not: z is infinite and p 0. Probabilities
    of one half alone say nothing to this test.

    Examples
    --------
    >>> spiegelhalter(np.array([0.0, 1.0, 1.0]), np.array([0, 1, 0]))
    (inf, 0.0)
    """
    from scipy.stats import norm

    above = float(np.sum((hit - p) * (1 - 2 * p)))
    below = float(np.sum((1 - 2 * p) ** 2 * p * (1 - p))) ** 0.5
    if below == 0:
        return (float("inf"), 0.0) if above > 0 else (float("nan"), float("nan"))
    return above / below, float(2 * norm.sf(abs(above / below)))


def _judged(rows: EvaluationRows) -> tuple[Array, Array, str]:
    probabilities = np.clip(np.asarray(rows.probabilities, dtype=np.float64), 0.0, 1.0)
    target = np.asarray(rows.target)
    if rows.task == "binary":
        return probabilities[:, 1], (target == 1).astype(np.float64), f"the probability of {rows.classes[1]}"
    top = probabilities.argmax(axis=1)
    return probabilities.max(axis=1), (top == target).astype(np.float64), "the probability of the predicted class"


def _bins(p: Array, hit: Array, at: Array, bins: int, level: float) -> tuple[CalibrationBin, ...]:
    found = []
    for k in range(bins):
        here = at == k
        count = int(here.sum())
        if count:
            low, high = wilson(float(hit[here].sum()), count, level)
            found.append(
                CalibrationBin(
                    k / bins, (k + 1) / bins, count, float(p[here].mean()), float(hit[here].mean()), low, high
                )
            )
    return tuple(found)
