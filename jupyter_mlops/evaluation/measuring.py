"""Measuring: every metric of a task with its interval, the confusion matrix, and the curves."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..domain.evaluation import EvaluationRows
from ..domain.evaluation_parts import Curve, MetricValue
from .delong import delong
from .measures import COUNTS, MEANS, RANKS, MeanMeasure, confusion
from .resample import (
    bca,
    count_replicates,
    jackknife_counts,
    jackknife_means,
    normal,
    percentile,
    replicates_for,
    weights,
)

__all__ = ["curves", "measured", "value_of", "wilson"]

Array = np.ndarray[Any, Any]

COUNT_REPLICATES = 4000
RANK_WORK = 8_000_000
FEWEST, ENOUGH = 200, 500
POINTS = 100
DRAWN_RESIDUALS = 400
BARS = 30


def wilson(hits: float, total: float, level: float = 0.95) -> tuple[float, float]:
    """Wilson's interval of a proportion, without continuity correction (Wilson 1927).

    Examples
    --------
    >>> [round(v, 4) for v in wilson(8, 10)]
    [0.4902, 0.9433]
    """
    from scipy.stats import norm

    if total <= 0:
        return float("nan"), float("nan")
    z = float(norm.ppf((1 + level) / 2))
    share = hits / total
    middle = (share + z**2 / (2 * total)) / (1 + z**2 / total)
    reach = z / (1 + z**2 / total) * (share * (1 - share) / total + z**2 / (4 * total**2)) ** 0.5
    # at the ends the closed form is 0 and 1, which rounding misses
    return max(0.0, middle - reach) if hits else 0.0, min(1.0, middle + reach) if hits < total else 1.0


def measured(
    rows: EvaluationRows, *, level: float = 0.95, seed: int = 0, scores: Array | None = None, features: int = 0
) -> tuple[MetricValue, ...]:
    """Every metric of the rows' task with its interval.

    Proportions get Wilson's interval, the area under the ROC curve of two classes DeLong's, other metrics of the
    confusion matrix and metrics of means the BCa bootstrap over rows, other areas the percentile bootstrap.

    Parameters
    ----------
    scores
        What orders the rows of two classes where there are no probabilities.
    features
        How many columns the model takes, for the adjusted R2; 0 for not known.
    """
    found: list[MetricValue] = []
    task = rows.task
    if task != "regression":
        found += _counts(rows, level, seed)
        found += _areas(rows, level, seed, scores)
    usable = [
        m for m in MEANS.values() if task in m.tasks and (rows.probabilities is not None or not m.needs_probabilities)
    ]
    found += _means(rows, usable, level, seed)
    if task == "regression" and features:
        r2 = next((m for m in found if m.name == "r2"), None)
        if r2 is not None and len(rows) > features + 1:
            found.append(_adjusted(r2, len(rows), features))
    return tuple(found)


def value_of(name: str, rows: EvaluationRows) -> float:
    """One metric without its interval; not a number where it is not defined."""
    if name in COUNTS:
        return float(COUNTS[name].function(confusion(rows)))
    if name in MEANS:
        return float(MEANS[name].function(MEANS[name].columns(rows).mean(axis=0)))
    assert rows.probabilities is not None  # noqa: S101 the caller asks for what there is
    one = np.ones((1, len(rows)))
    of = [1] if rows.task == "binary" else range(len(rows.classes))
    areas = [RANKS[name].prepare(rows.target == k, rows.probabilities[:, k])(one)[0] for k in of]
    return float(np.nanmean(areas))


def _counts(rows: EvaluationRows, level: float, seed: int) -> list[MetricValue]:
    table = confusion(rows)
    drawn = count_replicates(table, COUNT_REPLICATES if len(rows.classes) <= 20 else 1000, seed)
    found = []
    for measure in COUNTS.values():
        if rows.task not in measure.tasks:
            continue
        value = float(measure.function(table))
        if measure.proportion is not None:
            hits, total = (float(part) for part in measure.proportion(table))
            low, high = wilson(hits, total, level)
            method = "Wilson"
        else:
            low, high = bca(value, measure.function(drawn), jackknife_counts(table, measure.function), level)
            method = "BCa bootstrap"
        found.append(_told(measure, value, low, high, level, method))
    return found


def _means(rows: EvaluationRows, measures: list[MeanMeasure], level: float, seed: int) -> list[MetricValue]:
    if not measures:
        return []
    columns = [measure.columns(rows) for measure in measures]
    ends = np.cumsum([0, *(c.shape[1] for c in columns)])
    every = np.concatenate(columns, axis=1)
    replicates = replicates_for(len(rows))
    means = np.concatenate([weight @ every / len(rows) for weight in weights(len(rows), replicates, seed)])
    found = []
    for i, measure in enumerate(measures):
        value = float(measure.function(columns[i].mean(axis=0)))
        left_out = jackknife_means(columns[i], measure.function)
        low, high = bca(value, measure.function(means[:, ends[i] : ends[i + 1]]), left_out, level)
        found.append(_told(measure, value, low, high, level, "BCa bootstrap"))
    return found


def _areas(rows: EvaluationRows, level: float, seed: int, scores: Array | None) -> list[MetricValue]:
    binary = rows.task == "binary"
    if rows.probabilities is None and (scores is None or not binary):
        return []
    if rows.probabilities is not None:
        by_class = np.asarray(rows.probabilities, dtype=np.float64)
    else:
        by_class = np.column_stack([-np.asarray(scores), np.asarray(scores)])
    of = [1] if binary else [k for k in range(len(rows.classes)) if 0 < np.sum(rows.target == k) < len(rows)]
    target = np.asarray(rows.target)
    if binary:  # drawn rows have no order, so they may as well lie in that of the scores
        order = np.argsort(-by_class[:, 1], kind="stable")
        by_class, target = by_class[order], target[order]
    found = []
    for measure in RANKS.values():
        if rows.task not in measure.tasks:
            continue
        areas = [measure.prepare(target == k, by_class[:, k]) for k in of]
        if measure.name == "roc_auc":
            value, low, high = delong(target == 1, by_class[:, 1], level)
            found.append(_told(measure, value, low, high, level, "DeLong"))
            continue
        if not areas:
            found.append(_told(measure, float("nan"), float("nan"), float("nan"), level, ""))
            continue
        value = float(np.mean([area(np.ones((1, len(rows))))[0] for area in areas]))
        replicates = max(FEWEST, min(1000, RANK_WORK // (len(rows) * len(of))))
        drawn = np.concatenate(
            [np.mean([area(w) for area in areas], axis=0) for w in weights(len(rows), replicates, seed)]
        )
        if replicates < ENOUGH:  # too few for their own tails; the rows are many then
            low, high = normal(value, drawn, level)
            found.append(_told(measure, value, low, high, level, "normal bootstrap"))
            continue
        low, high = percentile(drawn, level)
        found.append(_told(measure, value, low, high, level, "percentile bootstrap"))
    return found


def _told(measure: Any, value: float, low: float, high: float, level: float, method: str) -> MetricValue:
    """A metric as it is kept: what is not defined is None, and so is an interval that no resampling gives a width."""
    if not np.isfinite(value):
        return MetricValue(
            measure.name, None, None, None, level, "", measure.higher_is_better, "not defined: one class or no spread"
        )
    known = np.isfinite(low) and np.isfinite(high) and low < high
    without = "" if known else f"; no interval: it is {value:g} for every resample of these rows"
    return MetricValue(
        measure.name,
        value,
        float(low) if known else None,
        float(high) if known else None,
        level,
        method if known else "",
        measure.higher_is_better,
        measure.convention + without,
    )


def _adjusted(r2: MetricValue, rows: int, features: int) -> MetricValue:
    def adjust(value: float | None) -> float | None:
        return None if value is None else 1 - (1 - value) * (rows - 1) / (rows - features - 1)

    text = f"1 - (1 - R2)(n - 1)/(n - p - 1) with the model's {features} input columns as p"
    return MetricValue(
        "adjusted_r2", adjust(r2.value), adjust(r2.low), adjust(r2.high), r2.level, r2.method, True, text
    )


def curves(rows: EvaluationRows, *, scores: Array | None = None, seed: int = 0) -> tuple[Curve, ...]:
    """What is drawn: ROC and precision-recall curve of two classes; residuals of a regression and their histogram."""
    if rows.task == "regression":
        return _residuals(rows, seed)
    if rows.task != "binary" or (rows.probabilities is None and scores is None):
        return ()
    order_by = rows.probabilities[:, 1] if rows.probabilities is not None else scores
    assert order_by is not None  # noqa: S101 for the type checker
    from sklearn.metrics import precision_recall_curve, roc_curve

    positive = np.asarray(rows.target) == 1
    if not 0 < positive.sum() < len(positive):
        return ()
    false, true, at = roc_curve(positive, order_by)
    precision, recall, at_precision = precision_recall_curve(positive, order_by, drop_intermediate=True)
    return (
        _curve("roc", "false positive rate", "true positive rate", false, true, at),
        _curve("precision-recall", "recall", "precision", recall[:-1], precision[:-1], at_precision),
    )


def _curve(name: str, x_label: str, y_label: str, x: Array, y: Array, at: Array) -> Curve:
    """A curve of at most `POINTS` points, evenly along its length."""
    if len(x) > POINTS:
        along = np.concatenate([[0.0], np.cumsum(np.abs(np.diff(x)) + np.abs(np.diff(y)))])
        kept = np.unique(np.searchsorted(along, np.linspace(0, along[-1], POINTS)).clip(0, len(x) - 1))
        x, y, at = x[kept], y[kept], at[kept]
    plain = [tuple(round(float(v), 6) for v in values) for values in (x, y, np.nan_to_num(at, posinf=1e300))]
    return Curve(name, x_label, y_label, plain[0], plain[1], plain[2])


def _residuals(rows: EvaluationRows, seed: int) -> tuple[Curve, ...]:
    error = np.asarray(rows.target, dtype=np.float64) - rows.prediction
    some = np.arange(len(rows))
    if len(rows) > DRAWN_RESIDUALS:
        some = np.sort(np.random.default_rng(seed).choice(len(rows), DRAWN_RESIDUALS, replace=False))
    heights, edges = np.histogram(error, bins=BARS)
    x, y = (tuple(float(v) for v in values[some]) for values in (rows.prediction, error))
    middles = tuple(float(v) for v in (edges[:-1] + edges[1:]) / 2)
    return (
        Curve("residuals", "predicted", "target - predicted", x, y, kind="points"),
        Curve("residual histogram", "target - predicted", "rows", middles, tuple(map(float, heights)), kind="bars"),
    )
