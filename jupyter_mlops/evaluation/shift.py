"""Covariate shift: the metric if rows of another kind came more often, by weighting the rows there are.

Only how often rows come changes, not what is true of a row. A number's distribution is moved by half a standard deviation
(exponential tilting of its normal scores: w = exp(t z), with z the normal quantile of its rank), a category or a missing
value comes three times as often, and so do the rows the model is unsure of. Of a column's shifts the worst is picked on one
half of the rows and measured on the other, so that what is told is not too bad by having been picked.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from ..domain.evaluation import EvaluationRows
from ..domain.evaluation_parts import RobustnessCheck
from .measures import COUNTS, MEANS, RANKS
from .paired import taken
from .resample import percentile, weights
from .slices import conditions_of

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["effective_rows", "shift_checks", "weighted_values"]

Array = np.ndarray[Any, Any]

TILT, OFTEN = 0.5, 3.0
FEWEST = 30
REPLICATES = 400
LARGEST = 20_000


def effective_rows(weight: Array) -> float:
    """Kish's effective sample size: so many rows of equal weight would tell as much, (sum w)^2 / sum w^2.

    Examples
    --------
    >>> effective_rows(np.array([1.0, 1.0, 1.0, 1.0])), effective_rows(np.array([3.0, 1.0]))
    (4.0, 1.6)
    """
    return float(weight.sum() ** 2 / np.sum(weight**2))


def weighted_values(metric: str, rows: EvaluationRows, weight: Array) -> Array:
    """A metric of weighted rows: (replicates, rows) to (replicates,); weights of one give the metric itself."""
    if metric in COUNTS:
        size = len(rows.classes)
        cell = np.asarray(rows.target, dtype=np.int64) * size + np.asarray(rows.prediction, dtype=np.int64)
        held, at = np.unique(cell, return_inverse=True)
        tables = np.zeros((len(weight), size * size))
        tables[:, held] = weight @ (at[:, None] == np.arange(len(held))).astype(np.float64)
        return np.asarray(COUNTS[metric].function(tables.reshape(-1, size, size)))
    if metric in MEANS:
        means = weight @ MEANS[metric].columns(rows) / weight.sum(axis=1, keepdims=True)
        return np.asarray(MEANS[metric].function(means))
    scores = np.asarray(rows.probabilities, dtype=np.float64)
    of = [1] if rows.task == "binary" else range(len(rows.classes))
    areas = [RANKS[metric].prepare(rows.target == k, scores[:, k])(weight) for k in of]
    return np.asarray(np.nanmean(areas, axis=0))


def shift_checks(
    frame: pd.DataFrame, rows: EvaluationRows, metric: str, *, higher: bool, level: float = 0.95, seed: int = 0
) -> list[RobustnessCheck]:
    """For each column its worst shift, and the one to rows the model is unsure of, each with the change's interval.

    The interval is the percentile bootstrap of the weighted metric minus the plain one over the same rows.
    """
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(rows))[:LARGEST]
    pick_on, on = order[: len(order) // 2], order[len(order) // 2 :]
    if len(pick_on) < FEWEST:
        return []
    half, other = taken(rows, pick_on), taken(rows, on)
    sign = 1.0 if higher else -1.0
    drawn = np.concatenate(list(weights(len(on), REPLICATES, seed)))
    plain, plain_drawn = weighted_values(metric, other, np.ones((1, len(on))))[0], weighted_values(metric, other, drawn)
    found = []
    for column, shifts in _shifts(frame, rows):
        usable = [(words, w) for words, w in shifts if min(np.sum(w[at] > 1) for at in (pick_on, on)) >= FEWEST // 2]
        if not usable:
            continue
        values = sign * weighted_values(metric, half, np.stack([w[pick_on] for _, w in usable]))
        words, weight = usable[int(np.argmin(np.where(np.isnan(values), np.inf, values)))]
        weight = weight[on]
        value = float(weighted_values(metric, other, weight[None, :])[0])
        low, high = percentile(weighted_values(metric, other, drawn * weight) - plain_drawn, level)
        most = f", the worst of {len(usable)}" if len(usable) > 1 else ""
        meaning = f"covariate shift, {effective_rows(weight):,.0f} effective of {len(on):,} rows: {words}{most}"
        if np.isfinite([value, low, high]).all():
            check = RobustnessCheck("shift", meaning, value, value - float(plain), low, high, column)
            found.append(check)
    return found


def _shifts(frame: pd.DataFrame, rows: EvaluationRows) -> Iterator[tuple[str, list[tuple[str, Array]]]]:
    """For each column, and for none, what may shift, in words, and the weight of each row under it."""
    import pandas as pd
    from scipy.stats import norm, rankdata

    for column in frame.columns:
        values = frame[column]
        if pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values) and values.nunique() > 8:
            numbers = values.to_numpy(dtype=np.float64, na_value=np.nan)
            known = ~np.isnan(numbers)
            z = np.zeros(len(numbers))
            z[known] = norm.ppf((rankdata(numbers[known]) - 0.5) / known.sum())
            moved = [
                (f"{column} is {word} by half a standard deviation", np.exp(t * z))
                for word, t in (("higher", TILT), ("lower", -TILT))
            ]
            if not known.all():
                moved.append((f"{column} is missing three times as often", np.where(known, 1.0, OFTEN)))
        else:
            moved = [
                (f"{words} three times as often", np.where(mask, OFTEN, 1.0))
                for words, mask in conditions_of(frame, column)
            ]
        yield str(column), moved
    if rows.probabilities is not None:
        sure = np.asarray(rows.probabilities).max(axis=1)
        yield (
            "",
            [("rows the model is unsure of come three times as often", np.where(sure <= np.median(sure), OFTEN, 1.0))],
        )
