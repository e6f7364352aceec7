"""Paired: two models on the same rows: how far apart one metric is, with its interval. Pure NumPy and SciPy."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..domain.evaluation import Difference, EvaluationRows
from ..errors import InvalidArgument
from .delong import delong_difference
from .measures import COUNTS, MEANS, RANKS, measure_names
from .resample import count_replicates, percentile, replicates_for, sign_p_value, weights

__all__ = ["align", "mcnemar", "paired_difference", "taken"]

Array = np.ndarray[Any, Any]

COUNT_REPLICATES = 4000


def paired_difference(
    metric: str, rows_a: EvaluationRows, rows_b: EvaluationRows, level: float = 0.95, seed: int = 0
) -> Difference:
    """One metric of A minus the same of B on the rows both have, with interval and p-value.

    The rows are matched by their position in the table, so both must have been evaluated on the same one (compare the
    digests). Areas under the ROC curve of two classes are compared by DeLong; everything else by the paired percentile
    bootstrap over rows, with 4,000 replicates for metrics of the confusion matrix and 1,000 for others.

    Parameters
    ----------
    metric
        One of `evaluation.measures`.
    level
        The interval's level, between 0 and 1.

    Raises
    ------
    InvalidArgument
        The metric is none of these rows' task, or the rows do not fit together.

    Examples
    --------
    >>> y = np.array([0, 1] * 50)
    >>> wrong = np.where(np.arange(100) < 20, 1 - y, y)
    >>> zero = np.zeros(100)
    >>> a = EvaluationRows(np.arange(100), y, y, zero, classes=("no", "yes"))
    >>> b = EvaluationRows(np.arange(100), y, wrong, zero, classes=("no", "yes"))
    >>> found = paired_difference("accuracy", a, b)
    >>> round(found.value, 2), found.low > 0.1, found.better
    (0.2, True, True)
    """
    a, b = align(rows_a, rows_b)
    if metric not in measure_names(a.task):
        raise InvalidArgument.unknown(f"metric of a {a.task} target", metric, measure_names(a.task))
    if not 0 < level < 1:
        raise InvalidArgument(f"the level of an interval is between 0 and 1, not {level}.")
    if metric in COUNTS:
        return _counts(metric, a, b, level, seed)
    if metric in MEANS:
        if MEANS[metric].needs_probabilities:
            _check_probabilities(metric, a, b)
        return _means(metric, a, b, level, seed)
    _check_probabilities(metric, a, b)
    return _ranks(metric, a, b, level, seed)


def align(a: EvaluationRows, b: EvaluationRows) -> tuple[EvaluationRows, EvaluationRows]:
    """The rows that both have, in one order.

    Raises
    ------
    InvalidArgument
        They have no row in common, other classes, or other targets.
    """
    if a.classes != b.classes:
        raise InvalidArgument(
            f"the two were evaluated on other classes: {', '.join(a.classes)} and {', '.join(b.classes)}.",
            hint="Evaluate both on the same table and target.",
        )
    _, at_a, at_b = np.intersect1d(a.row_id, b.row_id, assume_unique=True, return_indices=True)
    if len(at_a) < 2:
        raise InvalidArgument("the two evaluations have no rows in common.", hint="Evaluate both on the same table.")
    a, b = taken(a, at_a), taken(b, at_b)
    if not np.array_equal(a.target, b.target):
        raise InvalidArgument(
            "the two evaluations have other targets on the same rows: they are of two tables.",
            hint="Evaluate both on the same table.",
        )
    return a, b


def mcnemar(rows_a: EvaluationRows, rows_b: EvaluationRows) -> tuple[int, int, float]:
    """How many rows only A gets right, how many only B, and the exact two-sided p-value of no difference (McNemar).

    Examples
    --------
    >>> y, zero = np.zeros(40, dtype=int), np.zeros(40)
    >>> one = np.array([0] * 10 + [1] * 25 + [0] * 5)
    >>> other = np.array([1] * 10 + [0] * 25 + [0] * 5)
    >>> a = EvaluationRows(np.arange(40), y, one, zero, classes=("no", "yes"))
    >>> b = EvaluationRows(np.arange(40), y, other, zero, classes=("no", "yes"))
    >>> only_a, only_b, p = mcnemar(a, b)
    >>> only_a, only_b, round(p, 7)
    (10, 25, 0.0166738)
    """
    from scipy.stats import binomtest

    a, b = align(rows_a, rows_b)
    right_a, right_b = a.prediction == a.target, b.prediction == b.target
    only_a, only_b = int(np.sum(right_a & ~right_b)), int(np.sum(~right_a & right_b))
    if only_a + only_b == 0:
        return 0, 0, 1.0
    return only_a, only_b, float(binomtest(min(only_a, only_b), only_a + only_b, 0.5).pvalue)


def taken(rows: EvaluationRows, at: Array) -> EvaluationRows:
    """Some of the rows, by where they stand."""
    return EvaluationRows(
        row_id=np.asarray(rows.row_id)[at],
        target=np.asarray(rows.target)[at],
        prediction=np.asarray(rows.prediction)[at],
        loss=np.asarray(rows.loss)[at],
        probabilities=None if rows.probabilities is None else np.asarray(rows.probabilities)[at],
        classes=rows.classes,
    )


def _check_probabilities(metric: str, *both: EvaluationRows) -> None:
    if any(rows.probabilities is None for rows in both):
        raise InvalidArgument(
            f"{metric} needs probabilities, and one of the models gives none.", hint="Compare by accuracy or f1."
        )


def _counts(metric: str, a: EvaluationRows, b: EvaluationRows, level: float, seed: int) -> Difference:
    measure, size = COUNTS[metric], len(a.classes)
    cell = (np.asarray(a.target, dtype=np.int64) * size + a.prediction) * size + b.prediction
    cells, counts = np.unique(cell, return_counts=True)
    target, of_a, of_b = cells // size**2, cells // size % size, cells % size

    def difference(drawn: Array) -> Array:
        tables = []
        for guessed in (of_a, of_b):
            table = np.zeros((len(drawn), size * size))
            for j, place in enumerate(target * size + guessed):
                table[:, place] += drawn[:, j]
            tables.append(measure.function(table.reshape(-1, size, size)))
        found: Array = tables[0] - tables[1]
        return found

    value = float(difference(counts[None, :].astype(np.float64))[0])
    drawn = difference(count_replicates(counts, COUNT_REPLICATES, seed))
    return _told(metric, value, drawn, measure.higher_is_better, level, len(a))


def _means(metric: str, a: EvaluationRows, b: EvaluationRows, level: float, seed: int) -> Difference:
    measure = MEANS[metric]
    columns = [measure.columns(a), measure.columns(b)]
    both, width = np.concatenate(columns, axis=1), columns[0].shape[1]

    def difference(means: Array) -> Array:
        found: Array = measure.function(means[..., :width]) - measure.function(means[..., width:])
        return found

    value = float(difference(both.mean(axis=0)))
    chunks = weights(len(a), replicates_for(len(a)), seed)
    drawn = np.concatenate([difference(weight @ both / len(a)) for weight in chunks])
    return _told(metric, value, drawn, measure.higher_is_better, level, len(a))


def _ranks(metric: str, a: EvaluationRows, b: EvaluationRows, level: float, seed: int) -> Difference:
    scores_a, scores_b = (np.asarray(r.probabilities, dtype=np.float64) for r in (a, b))
    if metric == "roc_auc":
        found = delong_difference(a.target == 1, scores_a[:, 1], scores_b[:, 1], level)
        return Difference(metric, *found, method="DeLong", level=level, rows=len(a))
    of = [1] if a.task == "binary" else list(range(len(a.classes)))
    areas = [
        [RANKS[metric].prepare(a.target == k, scores[:, k]) for k in of if 0 < np.sum(a.target == k) < len(a)]
        for scores in (scores_a, scores_b)
    ]

    def difference(weight: Array) -> Array:
        one, other = (np.mean([area(weight) for area in own], axis=0) for own in areas)
        found: Array = one - other
        return found

    value = float(difference(np.ones((1, len(a))))[0])
    drawn = np.concatenate([difference(w) for w in weights(len(a), replicates_for(len(a)), seed)])
    return _told(metric, value, drawn, RANKS[metric].higher_is_better, level, len(a))


def _told(metric: str, value: float, drawn: Array, higher: bool, level: float, rows: int) -> Difference:
    low, high = percentile(drawn, level)
    p = 1.0 if float(np.ptp(drawn)) == 0.0 and value == 0.0 else sign_p_value(drawn)
    return Difference(metric, value, low, high, p, "paired percentile bootstrap", level, higher, rows)
