"""Training curves: what iterative estimators tell of their iterations, and the scores of cross-validation's folds.

Each curve is a metric with a step an iteration, from 1 on, under the name of the estimator's own attribute:
``loss_curve`` and ``validation_scores`` (multi-layer perceptrons), ``train_score``, ``validation_score`` and
``oob_scores`` (gradient boosting; histogram boosting's begin at 0, before the first tree), ``validation_0/logloss``
(XGBoost, LightGBM). Folds are ``cv_accuracy_fold`` with a step
a fold, from 1 on, beside ``cv_accuracy_mean`` and ``cv_accuracy_std``, the sample standard deviation (ddof 1).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

__all__ = [
    "fold_scores",
    "folds_of_search",
    "growing_curves",
    "held_curves",
    "last_step",
    "score_name",
    "training_curves",
]

CURVES = ("loss_curve_", "validation_scores_", "train_score_", "validation_score_", "oob_scores_")
LONGEST = 100_000


def training_curves(model: Any) -> Iterator[tuple[str, list[float], int]]:
    """The curves of a fitted estimator, of a pipeline those of its last step: name, values, step of the first.

    Examples
    --------
    >>> class Fitted: loss_curve_ = [0.7, 0.5]
    >>> list(training_curves(Fitted()))
    [('loss_curve', [0.7, 0.5], 1)]
    """
    model = last_step(model)
    for name, held in held_curves(model).items():
        values = _numbers(held)
        if len(values) > 1:
            yield name, values, _first_step(model)
    yield from _evaluated(model)


def held_curves(model: Any) -> dict[str, Any]:
    """The attributes in which an estimator keeps curves, as it holds them, by the curves' names."""
    held = {name.removesuffix("_"): getattr(model, name, None) for name in CURVES}
    return {name: values for name, values in held.items() if values is not None}


def growing_curves(model: Any) -> Iterator[tuple[str, Sequence[Any], int]]:
    """The curves of an estimator that is being fitted, as far as they are written."""
    done = LONGEST
    stages = getattr(model, "estimators_", None)
    if (
        stages is not None and getattr(stages, "ndim", 0) == 2
    ):  # gradient boosting makes room for all first; the newest may not be measured
        done = max(0, sum(stage is not None for stage in stages[:, 0]) - 1)
    for name, values in held_curves(model).items():
        yield name, values if done == LONGEST else values[:done], _first_step(model)


def last_step(model: Any) -> Any:
    """A pipeline's last step, else the model itself."""
    steps = getattr(model, "steps", None)
    return steps[-1][1] if isinstance(steps, list) and steps else model


def _first_step(model: Any) -> int:
    return 0 if hasattr(model, "do_early_stopping_") else 1


def folds_of_search(model: Any) -> list[float]:
    """The scores of the best candidate of a search, a fold each."""
    results, best = getattr(model, "cv_results_", None), getattr(model, "best_index_", None)
    if not isinstance(results, Mapping) or best is None:
        return []
    found = []
    for fold in range(len(results)):
        column = results.get(f"split{fold}_test_score")
        if column is None:
            break
        found.append(float(column[best]))
    return found if all(map(math.isfinite, found)) else []


def fold_scores(result: Any, scoring: Any) -> dict[str, list[float]]:
    """What ``cross_val_score`` or ``cross_validate`` gave, by name: ``cv_accuracy``.

    Examples
    --------
    >>> fold_scores({"test_score": [0.9, 0.8], "fit_time": [1, 1]}, "accuracy")
    {'cv_accuracy': [0.9, 0.8]}
    """
    if not isinstance(result, Mapping):
        return {score_name("score", scoring): _numbers(result)}
    named = {key.removeprefix("test_"): key for key in result if str(key).startswith("test_")}
    return {score_name(name, scoring): _numbers(result[key]) for name, key in named.items()}


def score_name(name: str, scoring: Any) -> str:
    """How a score of cross-validation is called in a run; scikit-learn's own name for the only one is ``score``.

    Examples
    --------
    >>> score_name("score", "accuracy"), score_name("f1", ["f1"]), score_name("score", None)
    ('cv_accuracy', 'cv_f1', 'cv_score')
    """
    return f"cv_{scoring if name == 'score' and isinstance(scoring, str) else name}"


def _evaluated(model: Any) -> Iterator[tuple[str, list[float], int]]:
    told = getattr(model, "evals_result_", None)  # LightGBM
    if told is None and callable(getattr(model, "evals_result", None)):
        try:
            told = model.evals_result()  # XGBoost; raises where nothing was evaluated
        except Exception:
            told = None
    for table, metrics in told.items() if isinstance(told, Mapping) else ():
        for metric, given in metrics.items() if isinstance(metrics, Mapping) else ():
            values = _numbers(given)
            if len(values) > 1:
                yield f"{table}/{metric}", values, 1


def _numbers(given: Any) -> list[float]:
    if given is None or isinstance(given, str) or not (hasattr(given, "__len__") and hasattr(given, "__getitem__")):
        return []
    held: Sequence[Any] = given.tolist() if hasattr(given, "tolist") else given
    try:
        return [float(value) for value in held[:LONGEST]]
    except (TypeError, ValueError):
        return []
