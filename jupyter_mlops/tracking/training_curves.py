"""Training curves: what iterative estimators tell of their iterations, and the scores of cross-validation's folds.

Each curve is a metric with a step an iteration, from 1 on, under the name of the estimator's own attribute:
``loss_curve`` and ``validation_scores`` (multi-layer perceptrons), ``train_score``, ``validation_score`` and
``oob_scores`` (gradient boosting), ``validation_0/logloss`` (XGBoost, LightGBM). Folds are ``cv_accuracy_fold`` with a step
a fold, from 1 on, beside ``cv_accuracy_mean`` and ``cv_accuracy_std``, the sample standard deviation (ddof 1).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

__all__ = ["FOLD", "fold_scores", "folds_of_search", "training_curves"]

CURVES = ("loss_curve_", "validation_scores_", "train_score_", "validation_score_", "oob_scores_")
FOLD = "_fold"
LONGEST = 100_000


def training_curves(model: Any) -> Iterator[tuple[str, list[float]]]:
    """The curves of a fitted estimator; of a pipeline, those of its last step.

    Examples
    --------
    >>> class Fitted: loss_curve_ = [0.7, 0.5]
    >>> list(training_curves(Fitted()))
    [('loss_curve', [0.7, 0.5])]
    """
    steps = getattr(model, "steps", None)
    if isinstance(steps, list) and steps:
        model = steps[-1][1]
    for name in CURVES:
        values = _numbers(getattr(model, name, None))
        if len(values) > 1:
            yield name.removesuffix("_"), values
    yield from _evaluated(model)


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
    called = scoring if isinstance(scoring, str) else "score"
    if not isinstance(result, Mapping):
        return {f"cv_{called}": _numbers(result)}
    named = {key.removeprefix("test_"): key for key in result if str(key).startswith("test_")}
    return {f"cv_{called if name == 'score' else name}": _numbers(result[key]) for name, key in named.items()}


def _evaluated(model: Any) -> Iterator[tuple[str, list[float]]]:
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
                yield f"{table}/{metric}", values


def _numbers(given: Any) -> list[float]:
    if given is None or isinstance(given, str) or not (hasattr(given, "__len__") and hasattr(given, "__getitem__")):
        return []
    held: Sequence[Any] = given.tolist() if hasattr(given, "tolist") else given
    try:
        return [float(value) for value in held[:LONGEST]]
    except (TypeError, ValueError):
        return []
