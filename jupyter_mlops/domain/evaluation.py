"""Evaluation: what a model is worth on one table: metrics with intervals, and what was looked at besides."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from .display import Displayed, brief, clock, table
from .evaluation_parts import (
    Calibration,
    CrossValidation,
    Curve,
    Explanation,
    Fairness,
    MetricValue,
    Robustness,
    Slices,
    ThresholdChoice,
)
from .record import Record

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

__all__ = ["Difference", "Evaluation", "EvaluationRows", "EvaluationTable", "Task"]

Task = Literal["binary", "multiclass", "regression"]

HEADLINE = {
    "binary": ("accuracy", "balanced_accuracy", "roc_auc", "f1", "brier"),
    "multiclass": ("accuracy", "balanced_accuracy", "f1_macro", "roc_auc_ovr", "log_loss"),
    "regression": ("rmse", "mae", "r2"),
}


@dataclass(frozen=True)
class EvaluationRows:
    """One evaluation row by row, as arrays of one length.

    Parameters
    ----------
    row_id
        The row's position in the evaluated table, from 0.
    target, prediction
        Codes into ``classes`` for classification, numbers for regression.
    probabilities
        One column a class, None where the model gives none or for regression.
    loss
        What the row costs: log loss where there are probabilities, 0 or 1 for a wrong label, the squared error.
    classes
        The classes in the order of the codes, as text; the last of two is the positive one.
    """

    row_id: np.ndarray[Any, Any]
    target: np.ndarray[Any, Any]
    prediction: np.ndarray[Any, Any]
    loss: np.ndarray[Any, Any]
    probabilities: np.ndarray[Any, Any] | None = None
    classes: tuple[str, ...] = ()

    @property
    def task(self) -> Task:
        """What kind of target it is."""
        return "regression" if not self.classes else "binary" if len(self.classes) == 2 else "multiclass"

    def __len__(self) -> int:
        return len(self.row_id)


@dataclass(frozen=True)
class Difference(Displayed, Record):
    """One metric of A minus the same of B on the same rows, with its interval and the p-value of no difference."""

    metric: str
    value: float
    low: float
    high: float
    p_value: float
    method: str
    level: float = 0.95
    higher_is_better: bool = True
    rows: int = 0

    @property
    def better(self) -> bool:
        """Whether A is better than B beyond chance."""
        return self.low > 0 if self.higher_is_better else self.high < 0

    def text(self) -> str:
        return (
            f"{self.metric}: {self.value:+.4f} [{self.low:+.4f}, {self.high:+.4f}] at {self.level:.0%}, "
            f"p {self.p_value:.3g} ({self.method}, {self.rows:,} rows)"
        )


@dataclass(frozen=True)
class Evaluation(Displayed, Record):
    """What a model is worth on one table.

    Parameters
    ----------
    model
        As it was asked for: ``clf@7``, a run, the name of a variable.
    model_id, run_id
        MLflow's logged model and the run that holds this evaluation; empty where it is not stored.
    data, data_digest
        The table in words, ``adult@v3``, and the digest over its content.
    positive
        The positive class of a binary target.
    confusion
        Rows are the true classes, columns the predicted ones, in the order of ``classes``.
    conventions
        What the numbers mean, one sentence each.
    """

    model: str
    task: Task
    rows: int
    metrics: tuple[MetricValue, ...]
    id: str = ""
    model_id: str = ""
    run_id: str = ""
    estimator: str = ""
    data: str = ""
    data_digest: str = ""
    target: str = ""
    positive: str = ""
    classes: tuple[str, ...] = ()
    created_ms: int = 0
    created_by: str = ""
    level: float = 0.95
    seed: int = 0
    confusion: tuple[tuple[int, ...], ...] = ()
    curves: tuple[Curve, ...] = ()
    cross_validation: CrossValidation | None = None
    threshold: ThresholdChoice | None = None
    slices: Slices | None = None
    calibration: Calibration | None = None
    fairness: tuple[Fairness, ...] = ()
    explanation: Explanation | None = None
    robustness: Robustness | None = None
    conventions: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    predict_seconds: float | None = None
    rows_digest: str = ""

    def metric(self, name: str) -> MetricValue | None:
        """One metric, None if it was not measured."""
        return next((m for m in self.metrics if m.name == name), None)

    @property
    def headline(self) -> tuple[MetricValue, ...]:
        """The few metrics that are read first."""
        found = [self.metric(name) for name in HEADLINE[self.task]]
        return tuple(m for m in found if m is not None and m.value is not None)

    @property
    def verdicts(self) -> tuple[str, ...]:
        """What was found besides the metrics, one line each."""
        return tuple(
            line
            for part in (_slices, _calibration, _fairness, _robustness, _threshold, _cross_validation, _explanation)
            for line in part(self)
        )

    def to_pandas(self) -> pd.DataFrame:
        """One row a metric."""
        import pandas as pd

        return pd.DataFrame([m.to_dict() for m in self.metrics])

    def text(self) -> str:
        head = f"{self.model} on {self.data or 'a table'}: {self.rows:,} rows, {self.task}"
        first = " · ".join(f"{m.name} {m}" for m in self.headline)
        rest = [
            [m.name, "-" if m.value is None else f"{m.value:.6g}", _interval(m), m.method or m.convention]
            for m in self.metrics
        ]
        parts = [head, first, *self.verdicts]
        if self.explanation is not None and self.explanation.one_row is not None:
            parts.append(self.explanation.one_row.words)  # no verdict: a card is for others, and a row may be a person
        parts.append(table(["metric", "value", f"{self.level:.0%} interval", "by"], rest))
        parts += [f"note: {n}" for n in self.notes]
        if self.id:
            parts.append(f"evaluation {self.id}, {clock(self.created_ms)}")
        return "\n".join(parts)


@dataclass(frozen=True)
class EvaluationTable(Displayed, Record):
    """Evaluations, newest first."""

    evaluations: tuple[Evaluation, ...]

    def __iter__(self) -> Iterator[Evaluation]:
        return iter(self.evaluations)

    def __len__(self) -> int:
        return len(self.evaluations)

    def __getitem__(self, index: int) -> Evaluation:
        return self.evaluations[index]

    def to_pandas(self) -> pd.DataFrame:
        """One row an evaluation, its metrics as columns."""
        import pandas as pd

        return pd.DataFrame(
            [
                {
                    "id": e.id,
                    "model": e.model,
                    "data": e.data,
                    "rows": e.rows,
                    "created": pd.Timestamp(e.created_ms, unit="ms", tz="UTC"),
                    **{m.name: m.value for m in e.metrics},
                }
                for e in self.evaluations
            ]
        )

    def text(self) -> str:
        if not self.evaluations:
            return "no evaluations yet; make one with `%mlops evaluate MODEL --data TABLE`."
        rows = [
            [
                e.id,
                clock(e.created_ms),
                e.model,
                e.data,
                f"{e.rows:,}",
                ", ".join(f"{m.name} {m}" for m in e.headline[:3]),
            ]
            for e in self.evaluations
        ]
        return table(["evaluation", "made", "model", "data", "rows", "worth"], rows)


def _interval(metric: MetricValue) -> str:
    if metric.low is None or metric.high is None:
        return "-"
    return f"{metric.low:.6g} to {metric.high:.6g}"


def _slices(e: Evaluation) -> Sequence[str]:
    if e.slices is None:
        return ()
    worse = [s for s in e.slices.slices if s.worse]
    if not worse:
        looked = max(e.slices.searched, len(e.slices.slices))
        if not looked:
            return ("slices: no part of the table has enough rows to be looked at",)
        return (f"slices: none of {looked:,} is worse than the rest beyond chance",)
    s = e.slices.worst
    if s is None or s.value is None:
        return ()
    where = f"{s.name} ({s.rows:,} rows), {e.slices.metric} {brief(s.value)}, elsewhere {brief(s.rest or 0.0)}"
    return (f"slices: {len(worse)} worse than the rest beyond chance; worst: {where}",)


def _calibration(e: Evaluation) -> Sequence[str]:
    c = e.calibration
    if c is None:
        return ()
    word = "nothing against it" if c.calibrated else "not calibrated"
    p = "" if c.p_value is None else f", {c.test} p {c.p_value:.2g}"
    return (f"calibration: {word} (ECE {c.ece}{p})",)


def _fairness(e: Evaluation) -> Sequence[str]:
    lines = []
    for f in e.fairness:
        worst = next((c for c in f.criteria if c.name == f.worst_criterion), None)
        if worst is not None:
            between = f", between {' and '.join(f.worst_pair)}" if f.worst_pair else ""
            lines.append(f"fairness by {f.attribute}: {worst.name} {worst}{between}")
    return lines


def _robustness(e: Evaluation) -> Sequence[str]:
    if e.robustness is None:
        return ()
    bad = [c for c in e.robustness.checks if c.severity != "ok"]
    sign = 1.0 if e.robustness.higher_is_better else -1.0
    worst = sorted((c for c in bad if c.change is not None), key=lambda c: sign * (c.change or 0.0))
    refused = dict.fromkeys(c.name for c in bad if c.value is None)
    told = [f"{c.label} {brief(c.change or 0.0, '+')}" for c in worst[:3]]
    told += [f"{c.name} {brief(c.value)}" for c in bad if c.change is None and c.value is not None]
    told += [f"no answer under {name}" for name in refused]
    head = f"robustness: {len(bad)} of {len(e.robustness.checks)} checks need a look"
    return (head + (f"; {e.robustness.metric}: {', '.join(told)}" if told else ""),)


def _threshold(e: Evaluation) -> Sequence[str]:
    t = e.threshold
    if t is None:
        return ()
    return (
        f"threshold: {t.threshold:.3f} costs {t.cost:.4g} a row [{t.low:.4g}, {t.high:.4g}], 0.5 costs {t.default_cost:.4g}",
    )


def _cross_validation(e: Evaluation) -> Sequence[str]:
    c = e.cross_validation
    if c is None:
        return ()
    lines = []
    if c.scores:
        told = " · ".join(f"{s.name} {brief(s.mean)} ± {brief(s.spread)}" for s in c.scores[:4])
        lines.append(f"cross-validation: {told} over {len(c.scores[0].folds)} folds ({c.splitter})")
    if min(map(len, (c.learning_rows, c.learning_test, c.learning_train))) > 1:
        first, last = c.learning_test[0], c.learning_test[-1]
        rows = f"{c.learning_rows[0]:,} to {c.learning_rows[-1]:,} rows"
        gap = abs(c.learning_train[-1] - last)
        lines.append(
            f"learning curve: {c.learning_metric} {brief(first)} to {brief(last)} from {rows}; {brief(gap)} from training at the end"
        )
    return lines


def _explanation(e: Evaluation) -> Sequence[str]:
    x = e.explanation
    if x is None:
        return ()
    told = ", ".join(f"{each.feature} {each.value:.3g}" for each in x.shap[:4])
    sure = "" if x.stability is None else f"; order over bootstrapped rows: rank correlation {x.stability:.2f}"
    return (f"explained by (mean |SHAP| of {x.output}): {told}{sure}",) if told else ()
