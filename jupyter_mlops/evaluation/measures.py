"""Measures: what each metric is, once, as a function that takes one table of rows or a thousand bootstrap replicates.

Three kinds: of the confusion matrix, of means over rows, of the order of scores. Their names are the metric names
everywhere; each equals scikit-learn's function of the same meaning (``sklearn`` in the tests).
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..domain.evaluation import EvaluationRows, Task

__all__ = ["COUNTS", "MEANS", "RANKS", "CountMeasure", "MeanMeasure", "RankMeasure", "confusion", "measure_names"]

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class CountMeasure:
    """A metric of the confusion matrix: counts of shape (..., classes, classes), true by predicted, to values (...).

    Parameters
    ----------
    proportion
        For a plain proportion, its numerator and denominator: it gets Wilson's interval.
    """

    name: str
    function: Callable[[Array], Array]
    tasks: tuple[Task, ...]
    convention: str = ""
    higher_is_better: bool = True
    proportion: Callable[[Array], tuple[Array, Array]] | None = None


@dataclass(frozen=True)
class MeanMeasure:
    """A metric of means over rows: the columns to average, and what is made of their means (..., columns)."""

    name: str
    columns: Callable[[EvaluationRows], Array]
    function: Callable[[Array], Array]
    tasks: tuple[Task, ...]
    convention: str = ""
    higher_is_better: bool = False
    needs_probabilities: bool = False


@dataclass(frozen=True)
class RankMeasure:
    """A metric of the order of scores: prepared once, it takes weights (replicates, rows) to values (replicates,)."""

    name: str
    prepare: Callable[[Array, Array], Callable[[Array], Array]]
    tasks: tuple[Task, ...]
    convention: str = ""
    higher_is_better: bool = True


def confusion(rows: EvaluationRows) -> Array:
    """Counts, true by predicted class."""
    size = len(rows.classes)
    flat = np.asarray(rows.target, dtype=np.int64) * size + np.asarray(rows.prediction, dtype=np.int64)
    return np.bincount(flat, minlength=size * size).reshape(size, size)


def _ratio(above: Array, below: Array, otherwise: float = 0.0) -> Array:
    """Quotients; `otherwise` where there is nothing to divide by."""
    above, below = np.asarray(above, dtype=np.float64), np.asarray(below, dtype=np.float64)
    found: Array = np.divide(above, below, out=np.full(np.broadcast(above, below).shape, otherwise), where=below != 0)
    return found


def _diagonal(c: Array) -> Array:
    found: Array = np.diagonal(c, axis1=-2, axis2=-1)
    return found


def _balanced(c: Array) -> Array:
    per_class = _ratio(_diagonal(c), c.sum(axis=-1), np.nan)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a replicate without any row of a class
        found: Array = np.nanmean(per_class, axis=-1)
    return found


def _mcc(c: Array) -> Array:
    c = np.asarray(c, dtype=np.float64)
    right, total = _diagonal(c).sum(axis=-1), c.sum(axis=(-2, -1))
    true, guessed = c.sum(axis=-1), c.sum(axis=-2)
    above = right * total - (true * guessed).sum(axis=-1)
    below = np.sqrt((total**2 - (guessed**2).sum(axis=-1)) * (total**2 - (true**2).sum(axis=-1)))
    return _ratio(above, below)


def _f1(c: Array) -> Array:
    return _ratio(2 * _diagonal(c), c.sum(axis=-1) + c.sum(axis=-2))


def _present(c: Array, values: Array) -> Array:
    """The mean over the classes that occur, among the true or the predicted ones, as scikit-learn averages."""
    there = (c.sum(axis=-1) + c.sum(axis=-2)) > 0
    return _ratio((values * there).sum(axis=-1), there.sum(axis=-1))


def _all(c: Array) -> Array:
    found: Array = c.sum(axis=(-2, -1))
    return found


CLASSES: tuple[Task, ...] = ("binary", "multiclass")
BINARY: tuple[Task, ...] = ("binary",)
MULTI: tuple[Task, ...] = ("multiclass",)
NUMBERS: tuple[Task, ...] = ("regression",)
ZERO = "0 where nothing is predicted or true of the class, as scikit-learn's zero_division=0"

COUNTS: dict[str, CountMeasure] = {
    m.name: m
    for m in (
        CountMeasure(
            "accuracy",
            lambda c: _ratio(_diagonal(c).sum(axis=-1), _all(c)),
            CLASSES,
            proportion=lambda c: (_diagonal(c).sum(axis=-1), _all(c)),
        ),
        CountMeasure("balanced_accuracy", _balanced, CLASSES, "mean recall of the classes that occur"),
        CountMeasure(
            "precision",
            lambda c: _ratio(c[..., 1, 1], c[..., :, 1].sum(axis=-1)),
            BINARY,
            f"of the positive class; {ZERO}",
            proportion=lambda c: (c[..., 1, 1], c[..., :, 1].sum(axis=-1)),
        ),
        CountMeasure(
            "recall",
            lambda c: _ratio(c[..., 1, 1], c[..., 1, :].sum(axis=-1)),
            BINARY,
            f"of the positive class; {ZERO}",
            proportion=lambda c: (c[..., 1, 1], c[..., 1, :].sum(axis=-1)),
        ),
        CountMeasure(
            "specificity",
            lambda c: _ratio(c[..., 0, 0], c[..., 0, :].sum(axis=-1)),
            BINARY,
            f"recall of the negative class; {ZERO}",
            proportion=lambda c: (c[..., 0, 0], c[..., 0, :].sum(axis=-1)),
        ),
        CountMeasure("f1", lambda c: _f1(c)[..., 1], BINARY, f"of the positive class; {ZERO}"),
        CountMeasure(
            "precision_macro",
            lambda c: _present(c, _ratio(_diagonal(c), c.sum(axis=-2))),
            MULTI,
            f"unweighted mean over the classes that occur; {ZERO}",
        ),
        CountMeasure(
            "recall_macro",
            lambda c: _present(c, _ratio(_diagonal(c), c.sum(axis=-1))),
            MULTI,
            f"unweighted mean over the classes that occur; {ZERO}",
        ),
        CountMeasure(
            "f1_macro",
            lambda c: _present(c, _f1(c)),
            MULTI,
            f"unweighted mean over the classes that occur; {ZERO}",
        ),
        CountMeasure("mcc", _mcc, CLASSES, "Matthews correlation, 0 where it is not defined"),
    )
}


def _of_target(rows: EvaluationRows) -> Array:
    probabilities = np.asarray(_probabilities(rows), dtype=np.float64)
    eps = np.finfo(np.float64).eps
    picked = probabilities[np.arange(len(rows)), np.asarray(rows.target, dtype=np.int64)]
    return -np.log(np.clip(picked, eps, 1 - eps))[:, None]


def _brier(rows: EvaluationRows) -> Array:
    probabilities = np.asarray(_probabilities(rows), dtype=np.float64)
    hot = np.eye(len(rows.classes))[np.asarray(rows.target, dtype=np.int64)]
    if rows.task == "binary":
        return ((probabilities[:, 1] - hot[:, 1]) ** 2)[:, None]
    found: Array = ((probabilities - hot) ** 2).sum(axis=1)[:, None]
    return found


def _probabilities(rows: EvaluationRows) -> Array:
    if rows.probabilities is None:
        raise ValueError("there are no probabilities")
    return rows.probabilities


def _error(rows: EvaluationRows) -> Array:
    found: Array = np.asarray(rows.target, dtype=np.float64) - np.asarray(rows.prediction, dtype=np.float64)
    return found


def _relative(rows: EvaluationRows) -> Array:
    size = np.maximum(np.abs(np.asarray(rows.target, dtype=np.float64)), np.finfo(np.float64).eps)
    return (np.abs(_error(rows)) / size)[:, None]


def _r2_columns(rows: EvaluationRows) -> Array:
    target = np.asarray(rows.target, dtype=np.float64)
    centred = target - target.mean()
    return np.stack([_error(rows) ** 2, centred, centred**2], axis=1)


def _first(means: Array) -> Array:
    found: Array = means[..., 0]
    return found


def _r2(means: Array) -> Array:
    return 1 - _ratio(means[..., 0], means[..., 2] - means[..., 1] ** 2, np.nan)


MEANS: dict[str, MeanMeasure] = {
    m.name: m
    for m in (
        MeanMeasure(
            "log_loss",
            _of_target,
            _first,
            CLASSES,
            "natural logarithm; probabilities cut at 2.2e-16",
            needs_probabilities=True,
        ),
        MeanMeasure(
            "brier",
            _brier,
            _first,
            CLASSES,
            "mean squared error of the positive class's probability; over several classes the sum over them, 0 to 2",
            needs_probabilities=True,
        ),
        MeanMeasure("mae", lambda r: np.abs(_error(r))[:, None], _first, NUMBERS),
        MeanMeasure("rmse", lambda r: (_error(r) ** 2)[:, None], lambda m: np.sqrt(m[..., 0]), NUMBERS),
        MeanMeasure("r2", _r2_columns, _r2, NUMBERS, higher_is_better=True),
        MeanMeasure(
            "mape",
            _relative,
            _first,
            NUMBERS,
            "a share, not a percentage; targets near 0 make it huge and it punishes over-prediction more than under-",
        ),
    )
}


def _groups(scores: Array) -> tuple[Any, Array]:
    """The order of falling scores, and where each group of equal scores begins in it."""
    order: Any = slice(None) if np.all(scores[1:] <= scores[:-1]) else np.argsort(-scores, kind="stable")
    inorder = scores[order]
    starts = np.flatnonzero(np.concatenate([[True], inorder[1:] != inorder[:-1]]))
    return order, starts


def _prepare_auc(positive: Array, scores: Array) -> Callable[[Array], Array]:
    order, starts = _groups(scores)
    up = np.asarray(positive, dtype=np.float64)[order]

    def area(weight: Array) -> Array:
        sorted_ = weight[:, order]
        ups = np.add.reduceat(sorted_ * up, starts, axis=1)
        downs = np.add.reduceat(sorted_ * (1 - up), starts, axis=1)
        above = np.cumsum(ups, axis=1) - ups / 2
        return _ratio((downs * above).sum(axis=1), ups.sum(axis=1) * downs.sum(axis=1), np.nan)

    return area


def _prepare_precision(positive: Array, scores: Array) -> Callable[[Array], Array]:
    order, starts = _groups(scores)
    up = np.asarray(positive, dtype=np.float64)[order]

    def average(weight: Array) -> Array:
        sorted_ = weight[:, order]
        ups = np.add.reduceat(sorted_ * up, starts, axis=1)
        all_ = np.add.reduceat(sorted_, starts, axis=1)
        precision = _ratio(np.cumsum(ups, axis=1), np.cumsum(all_, axis=1))
        return _ratio((ups * precision).sum(axis=1), ups.sum(axis=1), np.nan)

    return average


RANKS: dict[str, RankMeasure] = {
    m.name: m
    for m in (
        RankMeasure("roc_auc", _prepare_auc, BINARY, "ties count one half"),
        RankMeasure("pr_auc", _prepare_precision, BINARY, "average precision: a step function, no interpolation"),
        RankMeasure("roc_auc_ovr", _prepare_auc, MULTI, "one against the rest, unweighted mean over the classes"),
        RankMeasure("pr_auc_macro", _prepare_precision, MULTI, "average precision, unweighted mean over the classes"),
    )
}


def measure_names(task: Task) -> tuple[str, ...]:
    """The metrics of a task."""
    every: list[Any] = [*COUNTS.values(), *RANKS.values(), *MEANS.values()]
    return tuple(m.name for m in every if task in m.tasks)
