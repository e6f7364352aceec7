"""Served: a stretch of a deployment's inference log as the current side, its model's training data as the reference."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..datasets.profile import ColumnProfile, Profile
from ..domain.drift_report import DriftReport, Finding
from ..errors import NotFound, NotReady
from ..serving.inference_log import Window, read
from .compare import compare, profile_of
from .thresholds import Thresholds

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["MOST_ROWS", "compare_profiles", "compare_served", "profile_served", "read_reference", "read_window"]

MOST_ROWS = 100_000  # of the log at the most, the newest; more rows make no verdict clearer


def read_reference(files: Path, model: str) -> Profile:
    """The profile of what a model was trained on, out of its files.

    Raises
    ------
    NotReady
        It was registered without one.
    """
    try:
        return Profile.read(files / "mlops" / "profile")
    except NotFound:
        raise NotReady(
            f"{model} was registered without a profile of its training data, so there is nothing to compare with.",
            hint="Register the model again with its table: `%mlops register MODEL --name NAME --data TABLE`, and deploy it.",
        ) from None


def read_window(
    folder: Path, deployment: str, model: str, *, last: int | None, since_ms: int | None
) -> tuple[Window, int]:
    """What a model version was asked under a deployment, and how many rows of other versions were left out.

    Raises
    ------
    NotReady
        It has answered nothing in this stretch.
    """
    window = read(folder, last=min(last or MOST_ROWS, MOST_ROWS), since_ms=since_ms)
    own = (window.models == model).to_numpy()
    others = len(window) - int(own.sum())
    if not own.any():
        asked = f" in the {last:,} newest rows" if last else ""
        asked += " since then" if since_ms else ""
        hint = f"Ask it first: `%mlops predict {deployment} TABLE`, or take a longer stretch."
        before = ""
        if others:
            other = str(window.models.iloc[-1])
            before = f"; {others:,} rows were answered by other versions, the newest by {other}"
            hint = f"Judge that one: `%mlops drift {deployment}@{other.partition('@')[2]}`. {hint}"
        raise NotReady(f"{deployment} has logged no predictions of {model}{asked}{before}.", hint=hint)
    if not others:
        return window, 0
    kept = Window(window.inputs[own], window.predictions[own], window.times[own], window.models[own])
    return kept, others


def compare_served(
    reference: Profile,
    window: Window,
    deployment: str,
    model: str,
    *,
    others: int,
    thresholds: Thresholds,
    detectors: Sequence[str] = (),
) -> DriftReport:
    """The drift of inputs and predictions of one stretch of a log; predictions are a column of their own."""
    current, found = profile_served(reference, window)
    if others:
        message = f"{others:,} rows answered by other versions than {model} were left out"
        found.append(Finding("", "other-versions", message, "info"))
    rows = len(window)
    if rows + others >= MOST_ROWS:
        found.append(Finding("", "window", f"the newest {MOST_ROWS:,} rows of that stretch were compared", "info"))
    called = (f"training data of {model}", f"{rows:,} prediction{'' if rows == 1 else 's'} of {deployment}")
    report = compare_profiles(reference, current, called, thresholds, detectors=detectors, found=found)
    return replace(report, deployment=deployment, model=model)


def profile_served(reference: Profile | None, window: Window) -> tuple[Profile, list[Finding]]:
    """The profile of the rows of a log, inputs and predictions, read as the reference has them; without one as they are."""
    if reference is None:
        table = window.inputs.assign(**({} if "prediction" in window.inputs else {"prediction": window.predictions}))
        return profile_of(table)
    current, found = profile_of(_named_alike(window.inputs, reference), like=reference)
    outputs, table = _outputs(reference, window)
    if outputs:
        predicted, more = profile_of(table, like=Profile(reference.rows, outputs))
        current = replace(current, columns=(*current.columns, *predicted.columns))
        found += more
    return current, found


def compare_profiles(
    reference: Profile,
    current: Profile,
    called: tuple[str, str],
    thresholds: Thresholds,
    *,
    detectors: Sequence[str] = (),
    found: Sequence[Finding] = (),
) -> DriftReport:
    """The drift of a profile of served rows from a training profile, whose own predictions become a column."""
    told = list(found)
    outputs = _named_outputs(reference, current.names)
    if outputs:
        reference = replace(reference, columns=(*reference.columns, *outputs))
    elif "prediction" not in reference.names:
        current = replace(current, columns=tuple(c for c in current.columns if c.name != "prediction"))
        message = "predictions were not compared: the model's own on its training data are not known"
        told.append(Finding("", "no-prediction-reference", message, "info"))
    told += [Finding("", "profile", f"of the reference's profile: {note}", "info") for note in reference.notes]
    told += [Finding("", "window", f"of the window: {note}", "info") for note in current.notes]
    return compare(reference, current, called=called, thresholds=thresholds, detectors=detectors, found=told)


def _named_alike(inputs: pd.DataFrame, reference: Profile) -> pd.DataFrame:
    """A model that was trained on an array takes columns by their place: they get the names of the profile."""
    numbered = [str(i) for i in range(len(reference.columns))]
    if list(inputs.columns) == numbered and set(reference.names).isdisjoint(numbered):
        return inputs.set_axis(list(reference.names), axis=1)
    return inputs


def _outputs(reference: Profile, window: Window) -> tuple[tuple[ColumnProfile, ...], pd.DataFrame]:
    """The profiles of the outputs, under names that no input has, and what was answered under the same names."""
    import pandas as pd

    outputs = _named_outputs(reference, tuple(str(name) for name in window.inputs.columns))
    if len(outputs) == 1:
        values = [v[0] if isinstance(v, list) and len(v) == 1 else v for v in window.predictions]
        if all(isinstance(v, dict) and len(v) == 1 for v in values):
            values = [next(iter(v.values())) for v in values]
        return outputs, pd.DataFrame({outputs[0].name: pd.Series(values)})
    names = [column.name for column in outputs]
    rows = [list(v.values()) if isinstance(v, dict) else v for v in window.predictions]
    if outputs and all(isinstance(row, list) and len(row) == len(names) for row in rows):
        return outputs, pd.DataFrame(rows, columns=names)
    return outputs, pd.DataFrame(index=range(len(rows)))


def _named_outputs(reference: Profile, inputs: tuple[str, ...]) -> tuple[ColumnProfile, ...]:
    """The outputs on the training data, under names that no input has."""
    taken = set(reference.names) | (set(inputs) - {column.name for column in reference.prediction})
    return tuple(
        replace(column, name=f"{column.name} (output)") if column.name in taken else column
        for column in reference.prediction
    )
