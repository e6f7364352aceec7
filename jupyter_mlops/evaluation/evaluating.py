"""Evaluating: from a model and a table to one evaluation, part by part as asked."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..domain.context import Context, now_ms
from ..domain.evaluation import HEADLINE, Evaluation
from ..errors import InvalidArgument
from .calibration import calibration_report
from .explanation import explanation_report
from .fairness import fairness_report
from .folds import cross_validated
from .measures import confusion
from .measuring import curves, measured
from .robustness import robustness_report
from .rows import write_rows
from .slices import slice_report
from .subject import Subject
from .threshold import choose_threshold

__all__ = ["Asked", "evaluate", "keep", "named"]


@dataclass(frozen=True)
class Asked:
    """What an evaluation is to hold besides the metrics."""

    slices: tuple[str, ...] = ()
    fairness: tuple[str, ...] = ()
    calibration: bool = False
    explain: bool = False
    explain_row: int | None = None
    robustness: bool = False
    costs: tuple[float, float] | None = None
    folds: int = 0
    learning_curve: bool = False
    metric: str = ""
    level: float = 0.95
    seed: int = 0
    budget: float = 10.0


def named(given: Sequence[str] | str | None) -> tuple[str, ...]:
    """Column names out of an option that takes several, also with commas.

    Examples
    --------
    >>> named(["sex,race", "age"])
    ('sex', 'race', 'age')
    """
    parts = [given] if isinstance(given, str) else list(given or ())
    return tuple(dict.fromkeys(name.strip() for part in parts for name in str(part).split(",") if name.strip()))


def evaluate(context: Context, subject: Subject, asked: Asked) -> Evaluation:
    """Measure a model on a table.

    Raises
    ------
    InvalidArgument
        A part that was asked for does not fit the model or the table.
    """
    if not 0 < asked.level < 1:
        raise InvalidArgument(f"--level is between 0 and 1, not {asked.level}.", hint="As in --level 0.95.")
    rows, level, seed, show = subject.rows, asked.level, asked.seed, context.progress
    for column in asked.fairness:
        if column not in subject.frame.columns:
            raise InvalidArgument.unknown("column for --fairness", column, [str(c) for c in subject.frame.columns])
    show(f"measuring on {len(rows):,} rows")
    found: dict[str, Any] = {
        "metrics": measured(rows, level=level, seed=seed, scores=subject.scores, features=subject.features),
        "curves": curves(rows, scores=subject.scores, seed=seed),
    }
    if rows.classes:
        found["confusion"] = tuple(tuple(int(n) for n in line) for line in confusion(rows))
    if asked.costs:
        show("choosing a threshold")
        found["threshold"] = choose_threshold(rows, asked.costs, level=level, seed=seed)
    if asked.calibration:
        show("looking at the calibration")
        found["calibration"] = calibration_report(rows, level=level, seed=seed)
    if asked.fairness:
        show("comparing groups")
        found["fairness"] = tuple(
            fairness_report(subject.frame[column], rows, level=level, seed=seed) for column in asked.fairness
        )
    if asked.slices:
        show("looking at slices")
        found["slices"] = slice_report(
            subject.frame,
            rows,
            asked.slices,
            metric=asked.metric,
            level=level,
            seed=seed,
            leave_out=(subject.target,),
            progress=show,
        )
    if asked.folds:
        found["cross_validation"] = cross_validated(
            subject,
            asked.folds,
            metrics=HEADLINE[rows.task],
            learning_curve=asked.learning_curve,
            seed=seed,
            progress=show,
        )
    if asked.robustness:
        found["robustness"] = robustness_report(subject, metric=asked.metric, level=level, seed=seed, progress=show)
    if asked.explain:
        found["explanation"] = explanation_report(
            subject, row=asked.explain_row, budget=asked.budget, level=level, seed=seed, progress=show
        )
    return Evaluation(
        subject.model.name,
        rows.task,
        len(rows),
        **found,
        model_id=subject.model.model_id,
        run_id=subject.model.run_id,
        estimator=subject.model.described,
        data=subject.data,
        data_digest=subject.digest,
        target=subject.target,
        positive=rows.classes[1] if rows.task == "binary" else "",
        classes=rows.classes,
        created_ms=now_ms(),
        level=level,
        seed=seed,
        conventions=_conventions(asked, len(rows)),
        notes=tuple(subject.notes),
        predict_seconds=round(subject.seconds, 4),
    )


def keep(context: Context, evaluation: Evaluation, subject: Subject) -> Evaluation:
    """Store an evaluation with its rows."""
    folder = context.workspace.home / "staging" / "evaluations" / uuid.uuid4().hex
    folder.mkdir(parents=True)
    try:
        write_rows(subject.rows, folder / "rows.npz")
        context.progress("storing the evaluation")
        answer = context.call(
            "evaluation.store",
            evaluation=evaluation.to_dict(),
            model=evaluation.model,
            data=evaluation.data,
            rows=str(folder / "rows.npz"),
            known=subject.model.known,
        )
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return Evaluation.from_dict({**evaluation.to_dict(), **answer})


def _conventions(asked: Asked, rows: int) -> tuple[str, ...]:
    from .resample import replicates_for

    draws = f"(4,000 replicates of the confusion matrix, {replicates_for(rows):,} of means), seed {asked.seed}"
    by = "Wilson for proportions, DeLong (normal, cut to 0 and 1) for the area under the ROC curve of two classes"
    found = [
        f"Intervals at {asked.level:.0%}: {by}, bootstrap over rows otherwise {draws}.",
        "They tell of the sample of rows, not of another training of the model; rows count as independent.",
    ]
    if asked.costs:
        found.append(
            "The threshold is chosen on the rows it is costed on, so its cost is a little too low; the interval takes that "
            "into account (the bootstrap's optimism)."
        )
    return tuple(found)
