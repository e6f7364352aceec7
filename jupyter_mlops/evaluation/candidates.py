"""Candidates: a model changed in one respect: recalibrated, or fitted anew with groups weighted alike."""

from __future__ import annotations

import shutil
import uuid
import warnings
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..domain.candidate import Candidate
from ..domain.context import Context
from ..domain.evaluation import Difference, EvaluationRows
from ..domain.evaluation_parts import Fairness, MetricValue
from ..errors import InvalidArgument, NotReady
from .calibration import calibration_report
from .fairness import CONSTRAINTS, criterion_change, fairness_report
from .paired import paired_difference, taken
from .subject import Subject, predicted

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["fairer", "halves", "recalibrated", "register_model", "reweighed", "rows_of", "taken_rows"]

FEWEST = 60


def recalibrated(context: Context, subject: Subject, method: str, name: str, *, seed: int = 0) -> Candidate:
    """A calibrator over the model as it is, fitted on half the rows and measured on the other half.

    Raises
    ------
    InvalidArgument
        The model gives no probabilities.
    """
    from sklearn.calibration import CalibratedClassifierCV
    from sklearn.frozen import FrozenEstimator

    if subject.rows.probabilities is None or subject.model.estimator is None:
        raise InvalidArgument("recalibrating needs a model that gives probabilities.")
    fit_on, on = halves(subject, seed)
    context.progress(f"fitting {method} on {len(fit_on):,} rows")
    truth = np.asarray(subject.truth)
    made = CalibratedClassifierCV(FrozenEstimator(subject.model.estimator), method=method)
    made.fit(taken_rows(subject.inputs, fit_on), truth[fit_on])
    before, after = taken(subject.rows, on), rows_of(made, subject, on)
    reports = [calibration_report(rows, seed=seed) for rows in (before, after)]
    pairs = [(r.ece, r.ace, MetricValue("spiegelhalter_p", r.p_value)) for r in reports]
    metrics = ("log_loss", "brier", "accuracy")
    differences = tuple(paired_difference(m, after, before, seed=seed) for m in metrics)
    version = register_model(context, made, subject, name)
    change = f"{method} recalibration over {len(fit_on):,} rows"
    return Candidate(version, subject.model.name, change, pairs[0], pairs[1], differences, len(on))


def reweighed(
    context: Context, subject: Subject, by: str, name: str, *, criterion: str = "demographic_parity", seed: int = 0
) -> Candidate:
    """The model fitted anew with each group and class weighted as if they were independent (Kamiran and Calders 2012).

    Fitted on half the rows, with and without the weights, and compared on the other half; fairness is bought with accuracy
    or it is not, and both are told.

    Parameters
    ----------
    criterion
        By which it is told whether the groups are treated more alike beyond chance.

    Raises
    ------
    InvalidArgument
        There is no such column, the target is a number, or the model takes no sample weights.
    """
    from sklearn.base import clone

    if subject.model.estimator is None or not subject.rows.classes:
        raise InvalidArgument("reweighing needs an estimator that predicts classes.")
    if by not in subject.frame.columns:
        raise InvalidArgument.unknown("column for --by", by, [str(c) for c in subject.frame.columns])
    fit_on, on = halves(subject, seed)
    groups, truth = subject.frame[by].astype(str).to_numpy(), np.asarray(subject.truth)
    weight = _weights(groups[fit_on], truth[fit_on])
    models = []
    for weighted in (False, True):
        context.progress(f"fitting {'with' if weighted else 'without'} weights")
        model = clone(subject.model.estimator)
        given = {_weight_name(model): weight} if weighted else {}
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                models.append(model.fit(taken_rows(subject.inputs, fit_on), truth[fit_on], **given))
        except (TypeError, ValueError) as error:
            raise InvalidArgument(f"this model takes no sample weights: {error}.") from error
    before, after = (rows_of(model, subject, on) for model in models)
    reports, differences = fairer(subject.frame[by].iloc[on], before, after, CONSTRAINTS[criterion], seed=seed)
    version = register_model(context, models[1], subject, name)
    change = f"reweighing by {by}, fitted anew on {len(fit_on):,} rows,"
    notes = ("before is the same model fitted anew on the same rows without the weights.",)
    return Candidate(
        version, subject.model.name, change, reports[0].criteria, reports[1].criteria, differences, len(on), notes
    )


def fairer(
    groups: pd.Series, before: EvaluationRows, after: EvaluationRows, criterion: str, *, seed: int
) -> tuple[list[Fairness], tuple[Difference, ...]]:
    """Both reports, and after minus before of a criterion and of what it may have cost."""
    reports = [fairness_report(groups, rows, seed=seed) for rows in (before, after)]
    costs = (paired_difference(m, after, before, seed=seed) for m in ("accuracy", "balanced_accuracy"))
    return reports, (criterion_change(criterion, groups, before, after, seed=seed), *costs)


def _weights(groups: Any, truth: Any) -> np.ndarray[Any, Any]:
    """Share of the group times share of the class over share of both, a row.

    Examples
    --------
    >>> _weights(np.array(["a", "a", "a", "b"]), np.array([1, 1, 0, 0])).round(3).tolist()
    [0.75, 0.75, 1.5, 0.5]
    """
    found = np.empty(len(truth))
    for group in np.unique(groups):
        for value in np.unique(truth):
            both = (groups == group) & (truth == value)
            if both.any():
                found[both] = np.mean(groups == group) * np.mean(truth == value) / np.mean(both)
    return found


def _weight_name(model: Any) -> str:
    return f"{model.steps[-1][0]}__sample_weight" if hasattr(model, "steps") else "sample_weight"


def halves(subject: Subject, seed: int) -> tuple[Any, Any]:
    """Places of the rows to fit on and of those to measure on.

    Raises
    ------
    NotReady
        There are too few.
    """
    size = len(subject.rows)
    if size < FEWEST:
        raise NotReady(f"{size} rows are too few to fit on one half and measure on the other; at least {FEWEST}.")
    order = np.random.default_rng(seed).permutation(size)
    return np.sort(order[: size // 2]), np.sort(order[size // 2 :])


def taken_rows(inputs: Any, at: Any) -> Any:
    """Some rows of a table or array."""
    return inputs.iloc[at] if hasattr(inputs, "iloc") else inputs[at]


def rows_of(model: Any, subject: Subject, at: Any) -> Any:
    """What another model says of some of the subject's rows."""
    positive = subject.rows.classes[-1] if subject.rows.task == "binary" else ""
    return replace(predicted(model, taken_rows(subject.inputs, at), subject.truth.iloc[at], positive)[0], row_id=at)


def register_model(context: Context, model: Any, subject: Subject, name: str, onnx: bytes = b"") -> str:
    """Register the candidate under `name`; its version, empty where no name was given.

    Parameters
    ----------
    onnx
        The file to register in the place of `model`, which gives its answers.
    """
    if not name:
        return ""
    folder = context.workspace.home / "staging" / "register" / uuid.uuid4().hex
    profile, personal = context.hooks.get("profile"), context.hooks.get("personal")
    try:
        context.progress(f"registering {name}")
        if onnx:
            from .onnx_model import write_onnx_package

            write_onnx_package(
                onnx, model, folder, inputs=subject.inputs, profile=profile, personal=personal, target=subject.truth
            )
        else:
            from ..tracking.model_package import write_package

            write_package(
                model, folder, training=subject.inputs, target=subject.truth, profile=profile, personal=personal
            )
        answer = context.call(
            "registry.register",
            name=name,
            folder=str(folder),
            key=f"register-{folder.name}",
            data=[subject.data] if "@v" in subject.data else [],
        )
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return f"{answer['name']}@{answer['version']}"
