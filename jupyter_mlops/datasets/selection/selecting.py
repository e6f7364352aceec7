"""Selecting: several methods on one problem, each measured on the same folds, where it chooses anew on the training rows."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from ...domain.feature_selection import FeatureSelection, SelectionStep
from ...errors import InvalidArgument
from . import METHODS
from .problem import Problem

__all__ = ["drawing", "recorded", "select"]

LARGEST = 5_000


def select(
    problem: Problem, methods: Sequence[str], *, folds: int, name: str, progress: Callable[[str], None]
) -> FeatureSelection:
    """Let every method choose, and measure what a model makes of what it kept.

    Raises
    ------
    InvalidArgument
        There are too few rows for the folds.
    """
    import numpy as np

    notes = []
    there = np.flatnonzero(problem.target.notna().to_numpy())
    if len(there) < len(problem.target):
        notes.append(f"{len(problem.target) - len(there):,} rows without a target were left out")
    if len(there) > LARGEST:
        chosen = np.random.default_rng(problem.seed).permutation(len(there))[:LARGEST]
        there = there[np.sort(chosen)]
        notes.append(f"{LARGEST:,} rows were drawn by the seed; columns are ranked on those")
    problem = problem.rows(there)
    fewest = int(problem.target.value_counts().min()) if problem.classes else len(problem.target)
    if not 2 <= folds <= fewest:
        what = "its rarest class" if problem.classes else "the table"
        raise InvalidArgument(
            f"--folds takes a number from 2 to {max(fewest, 2)}, the rows of {what}, not {folds}.",
            hint="Give more rows." if fewest < 2 else "",
        )
    pairs = list(problem.folds(folds))
    transformers: dict[str, Any] = {}
    steps = [_step("all", "", problem, pairs, transformers)]
    for method in methods:
        progress(f"choosing by {method}")
        steps.append(_step(method, METHODS[method].measure, problem, pairs, transformers))
    return FeatureSelection(
        name,
        problem.metric,
        len(there),
        problem.inputs.shape[1],
        tuple(steps),
        type(problem.model()).__name__,
        problem.seed,
        notes=tuple(notes),
        transformers=transformers,
    )


def _step(
    method: str, measure: str, problem: Problem, pairs: list[tuple[Problem, Problem]], transformers: dict[str, Any]
) -> SelectionStep:
    began = time.perf_counter()
    names = tuple(str(column) for column in problem.inputs.columns)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # rare values that only a test fold has
        if method == "all":
            measured = [train.measured(None, test) for train, test in pairs]
            return SelectionStep(method, measure, names, {}, tuple(measured), None, _since(began))
        measured = [train.measured(METHODS[method].choose(train).transformer, test) for train, test in pairs]
        found = METHODS[method].choose(problem)
    transformers[method] = found.transformer
    return SelectionStep(
        method, measure, found.kept, dict(found.scores), tuple(measured), found.variance, _since(began)
    )


def _since(began: float) -> float:
    return (time.perf_counter() - began) * 1000


def recorded(selection: FeatureSelection, record: Callable[[str], Any], folder: Any) -> FeatureSelection:
    """Record the selection as a run, and each method as its child: what it kept, its scores, and their drawing.

    Parameters
    ----------
    record
        Gives a run to record, by its name.
    folder
        A folder for what becomes artifacts.
    """
    import json

    steps, keys = [], []
    with record(f"select-{selection.target}") as parent:
        best = selection.best
        parent.log_params({"selection.target": selection.target, "selection.rows": selection.rows})
        parent.log_params({"selection.model": selection.model, "selection.seed": selection.seed})
        if best is not None:
            parent.log_params({"selection.best": best.method, "selection.kept": len(best.kept)})
            parent.log_metric(selection.metric, best.score or 0.0)
        for step in selection.steps:
            with record(f"select-{step.method}") as child:
                child.log_params({"selection.method": step.method, "selection.kept": len(step.kept)})
                child.log_params({"selection.seed": selection.seed, "selection.target": selection.target})
                for number, value in enumerate(step.folds):
                    child.log_metric(f"{selection.metric} by fold", value, step=number)
                if step.score is not None:
                    child.log_metric(selection.metric, step.score)
                if step.variance is not None:
                    child.log_metric("variance kept", step.variance)
                child.log_metric("seconds", step.took_ms / 1000)
                told = folder / f"{step.method}.json"
                told.write_text(
                    json.dumps({"kept": step.kept, "measure": step.measure, "scores": step.scores}, indent=1)
                )
                child.log_artifact(told, "selection")
                if step.scores:
                    picture = folder / f"{step.method}.svg"
                    picture.write_text(drawing(step))
                    child.log_artifact(picture, "selection")
            keys.append(child)
            steps.append(step)
    ids = [child.result.id if child.result is not None else "" for child in keys]
    run = parent.result.id if parent.result is not None else ""
    return replace(selection, steps=tuple(replace(s, run=i) for s, i in zip(steps, ids, strict=True)), run=run)


def drawing(step: SelectionStep, shown: int = 30) -> str:
    """A method's scores as an SVG of bars; those kept are blue.

    Examples
    --------
    >>> drawing(SelectionStep("rfe", "rank", ("a",), {"a": 1.0, "b": 0.5})).count("<rect")
    3
    """
    from xml.sax.saxutils import escape

    rows = list(step.scores.items())[:shown]
    top = max([abs(value) for _, value in rows] + [1e-300])
    lines = [f'<rect width="560" height="{24 * len(rows) + 40}" fill="white"/>']
    lines.append(f'<text x="10" y="20" font-size="13">{escape(step.method)}: {escape(step.measure)}</text>')
    for number, (name, value) in enumerate(rows):
        y = 34 + 24 * number
        colour = "#0072b2" if name in step.kept else "#b0b0b0"
        wide = 260 * max(value, 0.0) / top
        lines.append(f'<text x="170" y="{y + 13}" font-size="12" text-anchor="end">{escape(name[:24])}</text>')
        lines.append(f'<rect x="178" y="{y}" width="{wide:.1f}" height="17" fill="{colour}"/>')
        lines.append(f'<text x="{184 + wide:.1f}" y="{y + 13}" font-size="11">{value:.4g}</text>')
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="560" height="{24 * len(rows) + 40}" font-family="sans-serif">'
    )
    return head + "".join(lines) + "</svg>\n"
