"""Robustness: what trouble on the way, attacks and wrong labels do to a model; each a number with its meaning."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..domain.evaluation import HEADLINE, EvaluationRows
from ..domain.evaluation_parts import Robustness, RobustnessCheck
from ..errors import InvalidArgument, MLOpsError
from .disturbances import DISTURBANCES, adversarial
from .measures import measure_names
from .measuring import value_of, wilson
from .paired import paired_difference
from .shift import shift_checks
from .subject import Subject, predicted

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["membership_auc", "robustness_report"]

Array = np.ndarray[Any, Any]

ROWS, ATTACKED, TRIES = 3000, 200, 20
MOST_COLUMNS = 40
WARNING, SERIOUS = 0.02, 0.10  # a change of so many of the metric's points; of its value for errors
FLIPPED = 0.1


def robustness_report(
    subject: Subject,
    *,
    metric: str = "",
    level: float = 0.95,
    seed: int = 0,
    progress: Callable[[str], None] = lambda _line: None,
) -> Robustness:
    """Every disturbance on every column it applies to, a covariate shift, an attack, and 10% wrong labels.

    Measured on up to 3,000 rows, each against the undisturbed rows by a paired interval.

    Raises
    ------
    InvalidArgument
        There is no estimator, or the metric is unknown.
    """
    import pandas as pd

    if subject.model.estimator is None:
        raise InvalidArgument("predictions alone cannot be disturbed.", hint="Give the estimator.")
    subject.check_columns("the perturbation suite")
    metric = metric or HEADLINE[subject.rows.task][0]
    if metric not in measure_names(subject.rows.task):
        raise InvalidArgument.unknown("metric", metric, measure_names(subject.rows.task))
    rng = np.random.default_rng(seed)
    some = np.sort(rng.choice(len(subject.rows), min(ROWS, len(subject.rows)), replace=False))
    arrays = not hasattr(subject.inputs, "columns")
    whole = pd.DataFrame(subject.inputs) if arrays else subject.inputs
    frame, truth = whole.iloc[some].reset_index(drop=True), subject.truth.iloc[some].reset_index(drop=True)
    positive = subject.rows.classes[-1] if subject.rows.task == "binary" else ""

    def ask(table: pd.DataFrame) -> EvaluationRows:
        given = table.to_numpy() if arrays else table
        return predicted(subject.model.estimator, given, truth, positive)[0]

    base = ask(frame)
    difference = paired_difference(metric, base, base, level)
    higher = difference.higher_is_better
    checks: list[RobustnessCheck] = []
    for disturbance in DISTURBANCES.values():
        columns = list(frame.columns)[:MOST_COLUMNS] if disturbance.each else [""]
        for column in columns:
            progress(f"robustness: {disturbance.name} {column}".rstrip())
            checks += _disturbed(disturbance, column, frame, base, ask, metric, level, rng)
    progress("robustness: covariate shift")
    whole_base = value_of(metric, subject.rows)
    for shift in shift_checks(
        whole.iloc[:, :MOST_COLUMNS], subject.rows, metric, higher=higher, level=level, seed=seed
    ):
        checks.append(replace(shift, severity=_severity(shift.change or 0.0, whole_base, higher=higher)))
    if subject.rows.task != "regression":
        progress("robustness: attack")
        checks.append(_attacked(subject, whole, arrays, base, some, rng))
    progress("robustness: wrong labels")
    checks += _mislabelled(subject, frame, truth, metric, higher, rng, arrays=arrays)
    return Robustness(
        metric,
        higher,
        value_of(metric, base),
        len(base),
        tuple(checks),
        f"{metric} on {len(base):,} rows, seed {seed}; change is disturbed minus undisturbed with its paired interval; a "
        f"warning from {WARNING:.0%}, serious from {SERIOUS:.0%} ({'points' if higher else 'of the value'}), and where the "
        "model refuses the input altogether; a covariate shift weights the rows there are, and is the worst of its column, picked "
        "on one half of them and measured on the other",
    )


def membership_auc(trained: Array, others: Array) -> tuple[float, float, float]:
    """How well the loss tells rows the model was trained on from others: the area under the ROC curve, DeLong's interval.

    0.5 is no better than guessing; well above it the model gives away who was in the training data (Yeom et al. 2018).
    """
    from .delong import delong

    member = np.concatenate([np.ones(len(trained)), np.zeros(len(others))]) == 1
    return delong(member, -np.concatenate([trained, others]))


def _disturbed(
    disturbance: Any,
    column: str,
    frame: pd.DataFrame,
    base: EvaluationRows,
    ask: Callable[[pd.DataFrame], EvaluationRows],
    metric: str,
    level: float,
    rng: np.random.Generator,
) -> list[RobustnessCheck]:
    try:
        changed = disturbance.apply(frame, column, rng)
    except (TypeError, ValueError):  # a column of a type that nobody has thought of
        return []
    if changed is None:
        return []
    told = RobustnessCheck(disturbance.name, disturbance.meaning, None, column=str(column))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            rows = ask(changed)
    except MLOpsError as error:
        return [replace(told, meaning=f"{disturbance.meaning}: refused, {error.message[:120]}", severity="warning")]
    found = paired_difference(metric, rows, base, level)
    value = value_of(metric, rows)
    severity = _severity(found.value, value_of(metric, base), higher=found.higher_is_better)
    return [replace(told, value=value, change=found.value, low=found.low, high=found.high, severity=severity)]


def _severity(change: float, base: float, *, higher: bool) -> str:
    worse = -change if higher else change / max(abs(base), 1e-12)
    return "serious" if worse >= SERIOUS else "warning" if worse >= WARNING else "ok"


def _attacked(
    subject: Subject, whole: pd.DataFrame, arrays: bool, base: EvaluationRows, some: Array, rng: np.random.Generator
) -> RobustnessCheck:
    right = some[np.asarray(base.prediction) == np.asarray(base.target)][:ATTACKED]
    inputs = whole.iloc[right].reset_index(drop=True)
    estimator = subject.model.estimator

    def ask(table: pd.DataFrame) -> Any:
        return estimator.predict(table.to_numpy() if arrays else table)

    meaning = (
        f"share of rightly predicted rows that {TRIES} random moves of at most a tenth of each number's spread, within the "
        "table's own bounds, can turn"
    )
    try:
        turned, tried = adversarial(ask, inputs, ask(inputs), rng, tries=TRIES)
    except (TypeError, ValueError) as error:
        return RobustnessCheck("attack", f"{meaning}: not tried, {error}"[:300], None, severity="warning")
    low, high = wilson(turned, tried)
    share = turned / tried if tried else 0.0
    severity = "serious" if share >= 0.5 else "warning" if share >= 0.2 else "ok"
    return RobustnessCheck("attack", meaning, share, None, low, high, severity=severity)


def _mislabelled(
    subject: Subject,
    frame: pd.DataFrame,
    truth: pd.Series,
    metric: str,
    higher: bool,
    rng: np.random.Generator,
    *,
    arrays: bool,
) -> list[RobustnessCheck]:
    """The model fitted anew on half the rows, with and without 10% wrong labels, measured on the other half; and membership."""
    from sklearn.base import clone

    order = rng.permutation(len(frame))
    fit_on, on = order[: len(order) // 2], order[len(order) // 2 :]
    labels = np.asarray(truth)
    wrong = labels.copy()
    hit = fit_on[rng.random(len(fit_on)) < FLIPPED]
    wrong[hit] = rng.permutation(labels)[: len(hit)] if not subject.rows.classes else _others(labels[hit], labels, rng)
    positive = subject.rows.classes[-1] if subject.rows.task == "binary" else ""
    values, parts = [], []
    for used in (labels, wrong):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                take: Any = frame.to_numpy() if arrays else frame.iloc
                model = clone(subject.model.estimator).fit(take[fit_on], used[fit_on])
                parts = [predicted(model, take[at], truth.iloc[at], positive)[0] for at in (fit_on, on)]
            except Exception:  # an estimator that cannot be fitted anew, or whatever its own code raises
                return []
        values.append(value_of(metric, parts[1]))
        if used is labels:
            auc, low, high = membership_auc(parts[0].loss, parts[1].loss)
    change = values[1] - values[0]
    return [
        RobustnessCheck(
            "labels",
            "poisoning: the model fitted anew with 10% of its labels wrong, against fitted anew with the right ones",
            values[1],
            change,
            severity=_severity(change, values[0], higher=higher),
        ),
        RobustnessCheck(
            "membership",
            "area under the ROC curve of telling training rows from others by the loss of the model fitted anew; 0.5 tells "
            "nothing",
            auc,
            None,
            low,
            high,
            severity="serious" if auc >= 0.7 else "warning" if auc >= 0.6 else "ok",
        ),
    ]


def _others(labels: Array, every: Array, rng: np.random.Generator) -> Array:
    """Another class than its own for each label."""
    classes = np.unique(every)
    at = np.searchsorted(classes, labels)
    found: Array = classes[(at + rng.integers(1, len(classes), len(labels))) % len(classes)]
    return found
