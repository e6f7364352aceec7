"""Folds: the same pipeline fitted anew on parts of the table: cross-validation and the learning curve."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..domain.evaluation_parts import CrossValidation, FoldScores
from ..errors import InvalidArgument
from .measures import measure_names
from .measuring import value_of
from .subject import Subject, predicted

__all__ = ["cross_validated"]

SHARES = (0.1, 0.325, 0.55, 0.775, 1.0)


def cross_validated(
    subject: Subject,
    folds: int,
    *,
    metrics: Sequence[str],
    learning_curve: bool = False,
    seed: int = 0,
    progress: Callable[[str], None] = lambda _line: None,
) -> CrossValidation:
    """Fit a clone of the model on every fold's other rows and measure it on the fold.

    Parameters
    ----------
    folds
        How many, from 2; stratified by class where there are classes, shuffled by the seed.
    metrics
        What is measured; those the rows do not give are left out.
    learning_curve
        Also fit on a tenth to all of each fold's training rows; five times the fits.

    Raises
    ------
    InvalidArgument
        There is no estimator to fit anew, or there are too few rows.
    """
    from sklearn.base import clone
    from sklearn.model_selection import KFold, StratifiedKFold

    if subject.model.estimator is None:
        raise InvalidArgument("predictions alone cannot be cross-validated.", hint="Give the estimator.")
    if not 2 <= folds <= len(subject.rows):
        raise InvalidArgument(f"--cv takes a number of folds from 2 to {len(subject.rows)}, not {folds}.")
    target = np.asarray(subject.rows.target)
    classes = subject.rows.classes
    kind = StratifiedKFold if classes else KFold
    if classes and min(np.bincount(target)[np.unique(target)]) < folds:
        raise InvalidArgument(f"a class has fewer than {folds} rows.", hint="Use fewer folds with --cv.")
    splits = list(kind(folds, shuffle=True, random_state=seed).split(target, target))
    wanted = [m for m in metrics if m in measure_names(subject.rows.task)]
    scores: dict[str, list[float]] = {m: [] for m in wanted}
    shares = SHARES if learning_curve else (1.0,)
    train = np.full((len(shares), folds), np.nan)
    test = np.full((len(shares), folds), np.nan)
    lengths = np.zeros(len(shares))
    rng = np.random.default_rng(seed)
    truth = np.asarray(subject.truth)

    def measured(estimator: Any, at: Any, names: Sequence[str]) -> list[float]:
        positive = classes[-1] if len(classes) == 2 else ""
        rows, _, _ = predicted(estimator, _rows(subject.inputs, at), subject.truth.iloc[at], positive)
        return [value_of(n, rows) if rows.probabilities is not None or not _probable(n) else np.nan for n in names]

    for f, (fit_on, on) in enumerate(splits):
        mixed = rng.permutation(fit_on)
        for s, share in enumerate(shares):
            progress(f"fold {f + 1} of {folds}" + (f", {share:.0%} of its rows" if learning_curve else ""))
            used = fit_on if share == 1.0 else np.sort(mixed[: max(2, int(share * len(mixed)))])
            if classes and len(np.unique(target[used])) < len(np.unique(target)):
                continue
            lengths[s] = len(used)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                model = clone(subject.model.estimator).fit(_rows(subject.inputs, used), truth[used])
                found = measured(model, on, wanted)
                if learning_curve:
                    train[s, f], test[s, f] = measured(model, used, wanted[:1])[0], found[0]
            if share == 1.0:
                for name, value in zip(wanted, found, strict=True):
                    scores[name].append(value)
    told = [
        FoldScores(name, tuple(values), float(np.mean(values)), float(np.std(values, ddof=1)))
        for name, values in scores.items()
        if values and np.isfinite(values).all()
    ]
    text = f"{folds} {'stratified ' if classes else ''}folds, shuffled with seed {seed}"
    if not learning_curve:
        return CrossValidation(tuple(told), text)
    usable = np.isfinite(test).any(axis=1)
    return CrossValidation(
        tuple(told),
        text,
        tuple(int(n) for n in lengths[usable]),
        tuple(float(v) for v in np.nanmean(train[usable], axis=1)),
        tuple(float(v) for v in np.nanmean(test[usable], axis=1)),
        wanted[0],
    )


def _probable(name: str) -> bool:
    from .measures import MEANS, RANKS

    return name in RANKS or (name in MEANS and MEANS[name].needs_probabilities)


def _rows(inputs: Any, at: Any) -> Any:
    return inputs.iloc[at] if hasattr(inputs, "iloc") else inputs[at]
