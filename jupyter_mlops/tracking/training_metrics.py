"""Training metrics: how well a model fits the data it was fitted on, by MLflow's names and conventions.

Averages over classes are weighted by the number of true instances; the area under the ROC curve of several classes is
one against one; `root_mean_squared_error` is the root of the mean over all outputs.
"""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .class_metrics import chance_metrics, class_metrics

__all__ = ["Measured", "training_metrics"]

PREFIX = "training_"
LARGE = 20_000  # rows from which on the time is estimated first
MOST_SECONDS = 10.0
PROBE = 1000
THREE = ("precision_score", "recall_score", "f1_score")


@dataclass(frozen=True)
class Measured:
    """How well a model fits its training data.

    Parameters
    ----------
    notes
        On metrics that could not be had.
    predicted
        The model's predictions on the training data; None where it was not asked.
    """

    metrics: Mapping[str, float] = field(default_factory=dict)
    notes: Sequence[str] = ()
    predicted: Any = None


def training_metrics(model: Any, inputs: Any, target: Any, weight: Any = None) -> Measured:
    """Measure a fitted model on its training data."""
    if inputs is None or target is None or not callable(getattr(model, "predict", None)):
        return Measured()
    found: dict[str, float] = {}
    notes: list[str] = []
    too_slow = _too_slow(model, inputs)
    if too_slow:
        told = f"training metrics are left out: predicting the training data would take about {too_slow:.0f} s."
        return Measured(notes=(told,))
    predicted = None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scikit-learn's remarks on our calls are not the user's matter
        kind = _kind(model)
        if kind == "classifier":
            predicted = _measure_classifier(model, inputs, target, weight, found, notes)
        elif kind == "regressor":
            predicted = _measure_regressor(model, inputs, target, weight, found, notes)
        _measure_score(model, inputs, target, weight, found, notes)
    return Measured({key: value for key, value in found.items() if not math.isinf(value)}, notes, predicted)


def _kind(model: Any) -> str:
    from sklearn.base import is_classifier, is_regressor

    return "classifier" if is_classifier(model) else "regressor" if is_regressor(model) else ""


def _measure_classifier(
    model: Any, inputs: Any, target: Any, weight: Any, found: dict[str, float], notes: list[str]
) -> Any:
    from sklearn import metrics

    predicted = model.predict(inputs)
    counted = class_metrics(model, target, predicted) if weight is None else None
    if counted is not None:
        found |= {PREFIX + name: value for name, value in counted.items()}
        _measure_chances(model, inputs, target, weight, found, notes)
        return predicted
    common = {"sample_weight": weight}
    try:  # the three in one: each by itself would count the same confusion again
        three = metrics.precision_recall_fscore_support(target, predicted, average="weighted", **common)[:3]
        found |= {f"{PREFIX}{name}": float(value) for name, value in zip(THREE, three, strict=True)}
    except Exception as error:
        notes.append(_told(", ".join(f"{PREFIX}{name}" for name in THREE), error))
    _try(found, notes, "accuracy_score", lambda: metrics.accuracy_score(target, predicted, **common))
    _measure_chances(model, inputs, target, weight, found, notes)
    return predicted


def _measure_chances(
    model: Any, inputs: Any, target: Any, weight: Any, found: dict[str, float], notes: list[str]
) -> None:
    """What is measured of a classifier's probabilities."""
    from sklearn import metrics

    common = {"sample_weight": weight}
    if not callable(getattr(model, "predict_proba", None)):
        return
    chances = model.predict_proba(inputs)
    if isinstance(chances, list):  # several outputs: these two are not defined for them
        return
    ranked = chance_metrics(model, target, chances) if weight is None else None
    if ranked is not None:
        found |= {PREFIX + name: value for name, value in ranked.items()}
        return
    _try(found, notes, "log_loss", lambda: metrics.log_loss(target, chances, **common))
    scores = chances[:, 1] if chances.shape[1] == 2 else chances
    _try(
        found,
        notes,
        "roc_auc",
        lambda: metrics.roc_auc_score(target, scores, average="weighted", multi_class="ovo", **common),
    )


def _measure_regressor(
    model: Any, inputs: Any, target: Any, weight: Any, found: dict[str, float], notes: list[str]
) -> Any:
    from sklearn import metrics

    predicted = model.predict(inputs)
    _try(
        found, notes, "mean_squared_error", lambda: metrics.mean_squared_error(target, predicted, sample_weight=weight)
    )
    _try(
        found,
        notes,
        "mean_absolute_error",
        lambda: metrics.mean_absolute_error(target, predicted, sample_weight=weight),
    )
    _try(found, notes, "r2_score", lambda: metrics.r2_score(target, predicted, sample_weight=weight))
    squared = found.get(f"{PREFIX}mean_squared_error")
    if squared is not None:
        found[f"{PREFIX}root_mean_squared_error"] = math.sqrt(squared)
    return predicted


def _measure_score(
    model: Any, inputs: Any, target: Any, weight: Any, found: dict[str, float], notes: list[str]
) -> None:
    """The model's own score; that of scikit-learn's mixins has been measured already."""
    from sklearn.base import ClassifierMixin, RegressorMixin

    for mixin, same in ((ClassifierMixin, "accuracy_score"), (RegressorMixin, "r2_score")):
        if getattr(type(model), "score", None) is mixin.score and f"{PREFIX}{same}" in found:
            found[f"{PREFIX}score"] = found[f"{PREFIX}{same}"]
            return
    if callable(getattr(model, "score", None)):
        weighted = {} if weight is None else {"sample_weight": weight}
        _try(found, notes, "score", lambda: model.score(inputs, target, **weighted))


def _try(found: dict[str, float], notes: list[str], name: str, measure: Callable[[], Any]) -> None:
    try:
        found[PREFIX + name] = float(measure())
    except Exception as error:
        notes.append(_told(PREFIX + name, error))


def _told(name: str, error: Exception) -> str:
    return f"{name} could not be measured: {type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"


def _too_slow(model: Any, inputs: Any) -> float:
    """How many seconds predicting the training data would take, if that is more than one would wait; else 0."""
    rows = getattr(inputs, "shape", (0,))[0]
    if rows < LARGE:
        return 0.0
    head = inputs[:PROBE]
    model.predict(head)  # warm
    start = time.perf_counter()
    model.predict(head)
    expected = (time.perf_counter() - start) * rows / PROBE
    return expected if expected > MOST_SECONDS else 0.0
