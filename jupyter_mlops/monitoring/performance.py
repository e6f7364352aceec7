"""Performance of one window of a log: realised metrics where labels have come, estimates where not, and how requests were answered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..domain.evaluation import EvaluationRows, Task
from ..domain.evaluation_parts import MetricValue
from ..domain.performance import PerformanceWindow, Responses
from .estimate import FEWEST_LABELLED, cbpe, direct_loss
from .labels import plain

if TYPE_CHECKING:
    import pandas as pd

    from ..serving.inference_log import Window

__all__ = ["FEWEST", "METRICS", "Known", "headline_of", "labelled_rows", "measure_window", "responses_of", "task_of"]

FEWEST = 10
"""Labelled rows below which no metric is told."""
MOST_CLASSES = 200
METRICS: dict[Task, tuple[str, ...]] = {
    "binary": ("accuracy", "precision", "recall", "f1", "roc_auc", "log_loss", "brier", "ece"),
    "multiclass": (
        "accuracy",
        "precision_macro",
        "recall_macro",
        "f1_macro",
        "roc_auc_ovr",
        "log_loss",
        "brier",
        "ece",
    ),
    "regression": ("mae", "rmse", "r2", "adjusted_r2"),
}


@dataclass(frozen=True)
class Known:
    """Rows that were labelled, as direct loss estimation learns from them: inputs and predictions, errors, and times."""

    inputs: pd.DataFrame
    error: np.ndarray[Any, Any]
    times_ms: np.ndarray[Any, Any]


def task_of(window: Window) -> Task:
    """What kind of target a log's predictions are of: numbers with a fraction part are of a regression.

    A server answers floats as floats, so a regressor's whole numbers are written 5.0 and a classifier's labels 5.
    """
    if window.probabilities is not None:
        return "binary" if window.probabilities.shape[1] == 2 else "multiclass"
    values = _flat(window.predictions)
    if values and all(isinstance(v, float) for v in values):
        return "regression"
    return "binary" if len({plain(v) for v in values}) <= 2 else "multiclass"


def headline_of(task: Task, *, probabilities: bool) -> str:
    """The metric that is drawn and compared first."""
    return "rmse" if task == "regression" else "roc_auc" if task == "binary" and probabilities else "accuracy"


def labelled_rows(window: Window, labels: Mapping[str, Any], task: Task) -> tuple[Window, EvaluationRows | None]:
    """The rows of a window that have a label, and their evaluation; None where there are too few, or the labels do not fit."""
    there = np.array([str(i) in labels for i in window.inputs.index], dtype=bool)
    chosen = window.where(there)
    if len(chosen) < FEWEST:
        return chosen, None
    truth = [labels[str(i)] for i in chosen.inputs.index]
    guess = _flat(chosen.predictions)
    if task == "regression":
        try:
            target, prediction = np.array(truth, dtype=np.float64), np.array(guess, dtype=np.float64)
        except (TypeError, ValueError):
            return chosen, None
        fine = np.isfinite(target) & np.isfinite(prediction)
        chosen, target, prediction = chosen.where(fine), target[fine], prediction[fine]
        return chosen, EvaluationRows(np.arange(len(target)), target, prediction, (target - prediction) ** 2)
    classes = _classes(window, truth, guess)
    if len(classes) > MOST_CLASSES or len(classes) < 2:
        return chosen, None
    place = {name: i for i, name in enumerate(classes)}
    codes = np.array([place[plain(v)] for v in truth])
    said = np.array([place[plain(v)] for v in guess])
    probabilities, loss = None, (codes != said).astype(np.float64)
    if chosen.probabilities is not None:
        known = chosen.probabilities.to_numpy(dtype=np.float64)
        complete = np.isfinite(known).all(axis=1)
        if complete.all():
            probabilities = np.hstack([known, np.zeros((len(known), len(classes) - known.shape[1]))])
            eps = np.finfo(np.float64).eps
            loss = -np.log(np.clip(probabilities[np.arange(len(codes)), codes], eps, 1 - eps))
    return chosen, EvaluationRows(np.arange(len(codes)), codes, said, loss, probabilities, classes)


def measure_window(
    window: Window,
    labels: Mapping[str, Any],
    span: tuple[int, int],
    *,
    task: Task,
    features: int = 0,
    known: Known | None = None,
    intervals: bool = True,
) -> PerformanceWindow:
    """Everything about one window.

    Parameters
    ----------
    span
        Its start and end, in milliseconds since 1970.
    features
        How many inputs the model takes, for the adjusted R2.
    known
        Labelled rows from before, for direct loss estimation.
    intervals
        Whether realised metrics get their intervals; a rule needs the values alone.
    """
    chosen, rows = labelled_rows(window, labels, task)
    realised = _measured(rows, task, features, intervals=intervals) if rows is not None and len(rows) else ()
    return PerformanceWindow(
        span[0],
        span[1],
        len(window),
        len(chosen),
        realised,
        _estimated(window, task, known),
        responses_of(window),
        tuple(dict.fromkeys(str(m) for m in window.models)),
    )


def responses_of(window: Window) -> Responses | None:
    """Latencies and throughput of the requests in a window, each counted once however many rows it had."""
    if not len(window):
        return None
    requests = [str(i).rpartition("-")[0] for i in window.inputs.index]
    first = {r: i for i, r in reversed(list(enumerate(requests)))}
    at = np.array(sorted(first.values()))
    times = window.times.dt.as_unit("ms").astype("int64").to_numpy()[at]
    seconds = max((times.max() - times.min()) / 1000, 1.0)
    if window.latency_ms is None:
        return Responses(len(at), per_second=len(at) / seconds)
    took = window.latency_ms.to_numpy(dtype=np.float64)[at]
    took = took[np.isfinite(took)]
    if not len(took):
        return Responses(len(at), per_second=len(at) / seconds)
    p50, p95, p99 = (float(v) for v in np.percentile(took, [50, 95, 99]))
    return Responses(len(at), p50, p95, p99, len(at) / seconds)


def known_rows(window: Window, labels: Mapping[str, Any]) -> Known | None:
    """The labelled rows of a log of numbers, oldest first, for direct loss estimation."""
    chosen, rows = labelled_rows(window, labels, "regression")
    if rows is None or len(rows) < FEWEST_LABELLED:
        return None
    inputs = chosen.inputs.assign(**{"mlops.prediction": rows.prediction})
    times = chosen.times.dt.as_unit("ms").astype("int64").to_numpy()
    return Known(inputs, np.asarray(rows.target) - np.asarray(rows.prediction), times)


def _measured(rows: EvaluationRows, task: Task, features: int, *, intervals: bool) -> tuple[MetricValue, ...]:
    from ..evaluation.calibration import calibration_report
    from ..evaluation.measures import measure_names
    from ..evaluation.measuring import measured, value_of

    wanted = METRICS[task]
    if intervals:
        found = {m.name: m for m in measured(rows, features=features)}
        if rows.probabilities is not None:
            found["ece"] = calibration_report(rows).ece
        return tuple(found[name] for name in wanted if name in found)
    plain_ones = []
    for name in wanted:
        usable = name in measure_names(task) and (rows.probabilities is not None or name not in _PROBABLE)
        value = value_of(name, rows) if usable else float("nan")
        if np.isfinite(value):
            plain_ones.append(MetricValue(name, value))
    return tuple(plain_ones)


_PROBABLE = ("roc_auc", "roc_auc_ovr", "log_loss", "brier")


def _estimated(window: Window, task: Task, known: Known | None) -> tuple[MetricValue, ...]:
    if not len(window):
        return ()
    if task != "regression":
        if window.probabilities is None:
            return ()
        places = {str(c): i for i, c in enumerate(window.probabilities.columns)}
        said = np.array([places.get(plain(v), -1) for v in _flat(window.predictions)])
        fine = said >= 0
        return cbpe(window.probabilities.to_numpy(dtype=np.float64)[fine], said[fine])
    if known is None:
        return ()
    first = int(window.times.dt.as_unit("ms").astype("int64").min())
    before = known.times_ms < first
    asked = window.inputs.assign(**{"mlops.prediction": np.array(_flat(window.predictions), dtype=np.float64)})
    return direct_loss(known.inputs[before], known.error[before], asked)


def with_errors(window: PerformanceWindow, rate: float | None) -> PerformanceWindow:
    """The same window with its share of failed requests."""
    return replace(window, responses=replace(window.responses, error_rate=rate)) if window.responses else window


def _classes(window: Window, truth: Sequence[Any], guess: Sequence[Any]) -> tuple[str, ...]:
    """The classes in the model's order, then those that only the labels have; sorted where the model's are not known."""
    said = {plain(v) for v in guess} | {plain(v) for v in truth}
    if window.probabilities is not None:
        own = [str(c) for c in window.probabilities.columns]
        return (*own, *sorted(said - set(own)))
    return tuple(sorted(said))


def _flat(predictions: pd.Series) -> list[Any]:
    """One value a prediction: what a server answered in a list or an object of one, without it."""
    found = []
    for value in predictions:
        if isinstance(value, dict) and len(value) == 1:
            value = next(iter(value.values()))  # noqa: PLW2901
        if isinstance(value, (list, tuple)) and len(value) == 1:
            value = value[0]  # noqa: PLW2901
        found.append(value.item() if isinstance(value, np.generic) else value)
    return found
