"""Mitigation: candidates that treat groups more alike, or that withstand small moves of their inputs, and what that costs."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from ..domain.candidate import Candidate, TradeOff
from ..domain.context import Context
from ..domain.evaluation_parts import MetricValue
from ..errors import InvalidArgument, MissingDependency, NotReady
from .candidates import fairer, halves, register_model, rows_of, taken_rows
from .disturbances import adversarial
from .fairness import CONSTRAINTS, fairness_report
from .measuring import value_of, wilson
from .paired import paired_difference, taken
from .subject import Subject

__all__ = ["hardened", "thresholded"]

Array = np.ndarray[Any, Any]

STEPS = 11
ATTACKED, TRIES, ROUNDS = 600, 10, 3


def thresholded(
    context: Context,
    subject: Subject,
    by: str,
    name: str,
    *,
    criterion: str = "equalized_odds",
    strength: float = 1.0,
    seed: int = 0,
) -> Candidate:
    """A threshold of its own for each group, found by fairlearn's optimiser (Hardt et al. 2016) on half of the rows.

    The optimiser may mix two thresholds of a group by chance; the likelier one is taken, so that the same person always
    gets the same answer. Between 0.5 for everybody and these thresholds lies the trade-off that is measured.

    Parameters
    ----------
    strength
        How far the candidate goes from 0.5 (0) to the group's own threshold (1).

    Raises
    ------
    InvalidArgument
        The model gives no probabilities of two classes, or there is no such column.
    MissingDependency
        fairlearn is not installed.
    """
    from .group_thresholds import GroupThresholds

    if subject.model.estimator is None or subject.rows.task != "binary" or subject.rows.probabilities is None:
        raise InvalidArgument("thresholds by group need an estimator that gives probabilities of two classes.")
    if not hasattr(subject.inputs, "columns"):
        raise InvalidArgument("groups are known by a column, and the model takes an array.")
    if by not in subject.frame.columns:
        raise InvalidArgument.unknown("column for --by", by, [str(c) for c in subject.frame.columns])
    if not 0 <= strength <= 1:
        raise InvalidArgument(f"--strength is between 0 and 1, not {strength:g}.")
    fit_on, on = halves(subject, seed)
    groups = subject.frame[by].astype(str).to_numpy()
    context.progress(f"finding thresholds by {by}")
    own = [str(c) for c in subject.model.estimator.classes_]
    positive = np.asarray(subject.rows.probabilities)[:, 1]
    flipped = own[-1] != subject.rows.classes[-1]  # the positive class is the model's first
    scores = 1 - positive if flipped else positive
    truth = (np.asarray(subject.truth).astype(str) == own[-1]).astype(int)
    found = _thresholds(scores[fit_on], truth[fit_on], groups[fit_on], criterion)
    names = list(found)
    taken_columns = [str(c) for c in subject.inputs.columns]
    whole = subject.inputs if by in taken_columns else subject.inputs.assign(**{by: subject.frame[by]})
    wide = replace(subject, inputs=whole)

    def candidate(share: float) -> Any:
        cuts = [float((1 - share) * 0.5 + share * found[group]) for group in names]
        model = GroupThresholds(subject.model.estimator, by, names, cuts, taken_columns)
        return model.fit(taken_rows(whole, fit_on[:5]))

    before = taken(subject.rows, on)
    word = CONSTRAINTS[criterion]
    points = []
    for share in np.linspace(0, 1, STEPS):
        rows = rows_of(candidate(float(share)), wide, on)
        gap = _criterion(subject, by, on, rows, word)
        points.append(TradeOff(round(float(share), 3), value_of("accuracy", rows), gap))
    made = candidate(strength)
    after = rows_of(made, wide, on)
    reports, differences = fairer(subject.frame[by].iloc[on], before, after, word, seed=seed)
    version = register_model(context, made, wide, name)
    shown = ", ".join(f"{group} {cut:.3f}" for group, cut in zip(names, made.thresholds, strict=True))
    change = f"thresholds by {by} for {criterion} ({shown}), found on {len(fit_on):,} rows,"
    notes = [
        f"probabilities stay the model's own; it has to be given {by!r} to decide.",
        (
            "fairlearn's optimiser mixes thresholds by chance; here the likelier of two decides, so the same row always gets the "
            "same answer, and what is left of the gap is what is shown."
        ),
    ]
    best = min(points, key=lambda p: (p.gap, p.strength))
    own_gap = _criterion(subject, by, on, after, word)
    moved = differences[0]
    if not moved.better and strength > 0:
        verdict = (
            "widened" if moved.low > 0 else "did not lessen" if moved.value >= 0 else "did not lessen beyond chance"
        )
        gaps = f"{own_gap - moved.value:.3f} before, {own_gap:.3f} after"
        notes.insert(0, f"it {verdict} the {word} on rows that did not choose the thresholds: {gaps}.")
    if best.gap < own_gap and best.strength not in (0.0, strength):
        notes.insert(
            1 if len(notes) > 2 else 0,
            f"the smallest gap on these rows is {best.gap:.3f}, at --strength {best.strength:g}; whoever chooses by it measures "
            "it anew on rows that did not choose.",
        )
    return Candidate(
        version,
        subject.model.name,
        change,
        reports[0].criteria,
        reports[1].criteria,
        differences,
        len(on),
        tuple(notes),
        tuple(points),
        word,
    )


def _criterion(subject: Subject, by: str, at: Array, rows: Any, word: str) -> float:
    report = fairness_report(subject.frame[by].iloc[at], rows)
    return float(next(c.value for c in report.criteria if c.name == word) or 0.0)


def _thresholds(scores: Array, truth: Array, groups: Array, criterion: str) -> dict[str, float]:
    """For each group the score above which the answer is yes."""
    try:
        from fairlearn.postprocessing import ThresholdOptimizer
    except ImportError:
        raise MissingDependency.of("fairlearn", why="to find thresholds by group", extra="evaluation") from None
    optimiser = ThresholdOptimizer(
        estimator=_scores(), constraints=criterion, prefit=True, predict_method="predict_proba", grid_size=1000
    )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            optimiser.fit(scores.reshape(-1, 1), truth, sensitive_features=groups)
    except ValueError as error:
        raise NotReady(f"no thresholds can be found: {str(error)[:160]}.", hint="Leave small groups out.") from error
    told = optimiser.interpolated_thresholder_.interpolation_dict
    found: dict[str, float] = {}
    for group, mix in told.items():
        operation = mix["operation0"] if mix["p0"] >= mix["p1"] else mix["operation1"]
        found[str(group)] = float(np.clip(operation.threshold, 0.0, 1.0))
    return found


def _scores() -> Any:
    """What fairlearn takes for a model: its one column is the probability of the second class."""
    from sklearn.base import BaseEstimator

    class Scores(BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
        def fit(self, *_: Any) -> Any:
            return self

        def __sklearn_is_fitted__(self) -> bool:
            return True

        def predict_proba(self, scores: Any) -> Array:
            column = np.asarray(scores, dtype=np.float64).reshape(-1)
            return np.column_stack([1 - column, column])

    return Scores()


def hardened(context: Context, subject: Subject, name: str, *, seed: int = 0) -> Candidate:
    """The model fitted anew on rows and on what an attack has made of them, several rounds (Goodfellow et al. 2015).

    Every round moves each row within the table's own bounds until the model's answer turns, or as often as the attack
    tries, adds the moved rows with their true labels, and fits again. Against it stands the same model fitted on the same rows alone; both are attacked
    anew, on the other half.

    Raises
    ------
    InvalidArgument
        The model is no classifier on a table.
    """
    from sklearn.base import clone

    if subject.model.estimator is None or not subject.rows.classes or not hasattr(subject.inputs, "columns"):
        raise InvalidArgument("adversarial training needs an estimator that predicts classes of a table's rows.")
    import pandas as pd

    fit_on, on = halves(subject, seed)
    inputs, truth = taken_rows(subject.inputs, fit_on).reset_index(drop=True), np.asarray(subject.truth)[fit_on]

    def fitted(table: Any, labels: Array) -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return clone(subject.model.estimator).fit(table, labels)

    context.progress("fitting without attacks")
    plain = model = fitted(inputs, truth)
    table, labels = inputs, truth
    rng = np.random.default_rng(seed)
    added = 0
    for number in range(ROUNDS):
        context.progress(f"fitting on what an attack turned, round {number + 1} of {ROUNDS}")
        moved, turned = _moved(model.predict, inputs, rng)
        added += turned
        table = pd.concat([table, moved], ignore_index=True)
        labels = np.concatenate([labels, truth])
        model = fitted(table, labels)
    before, after = (rows_of(each, subject, on) for each in (plain, model))
    context.progress("attacking both")
    shares = [_attack(each, subject, on, seed) for each in (plain, model)]
    differences = tuple(paired_difference(m, after, before, seed=seed) for m in ("accuracy", "balanced_accuracy"))
    version = register_model(context, model, subject, name)
    change = f"adversarial training in {ROUNDS} rounds over {len(fit_on):,} rows, {added:,} of which an attack turned,"
    notes = ("before is the same model fitted anew on the same rows without attacks.",)
    return Candidate(version, subject.model.name, change, (shares[0],), (shares[1],), differences, len(on), notes)


def _moved(ask: Callable[[Any], Any], inputs: Any, rng: np.random.Generator) -> tuple[Any, int]:
    """Every row after the move that turned it, or after the last one tried; and how many were turned."""
    moves = inputs.copy()

    def noting(moved: Any) -> Any:
        for name in inputs.columns:
            values = moves[name].astype(object).to_numpy().copy()
            values[moved.index.to_numpy()] = moved[name].astype(object).to_numpy()
            moves[name] = type(inputs[name])(values, index=inputs.index).astype(inputs[name].dtype)
        return ask(moved)

    turned, _ = adversarial(noting, inputs, np.asarray(ask(inputs)), rng, tries=TRIES)
    return moves, turned


def _attack(model: Any, subject: Subject, at: Array, seed: int) -> MetricValue:
    """In what share of rightly predicted rows a small move turns the answer."""
    inputs = taken_rows(subject.inputs, at)
    right = np.asarray(model.predict(inputs)) == np.asarray(subject.truth)[at]
    some = inputs[right][:ATTACKED].reset_index(drop=True)
    turned, tried = adversarial(model.predict, some, model.predict(some), np.random.default_rng(seed + 1), tries=TRIES)
    low, high = wilson(turned, tried)
    return MetricValue("attack_success", turned / tried if tried else None, low, high, method="Wilson")
