"""Rows and columns that know the future."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from ...domain.data_check import Finding
from ..check import Check, Column, Subject, finding, share

NAME = "time_travel"


def look(subject: Subject) -> Iterator[Finding]:
    """Training rows later than the first test row; moments in a row that are later than the row's own time."""
    time = moments(subject.column(subject.time))
    if time is None:
        name = subject.code(subject.time)
        yield finding(
            NAME, "warning", subject.time, f"{subject.time} holds no times, so nothing can be said of the order",
            fix=f"{name} = pd.to_datetime({name})",
        )  # fmt: skip
        return
    if subject.test is not None and subject.time in {str(c) for c in subject.test.columns}:
        held = subject.test[subject.column(subject.time).label]
        later = moments(Column(0, subject.time, held))
        if later is not None and np.isfinite(later).any():
            first = float(np.nanmin(later))
            rows = np.flatnonzero(time >= first)
            if len(rows):
                moment = pd.Timestamp(first, unit="s")
                yield finding(
                    NAME, "error", subject.time,
                    f"{share(len(rows), len(time))} of the training rows are not before the first test row, {moment}", rows,
                    of=len(time), convention="a training row must be earlier than every test row",
                    fix=f"{subject.name} = {subject.name}[{subject.code(subject.time)} < test[{subject.labels([subject.time])[0]!r}].min()]",
                )  # fmt: skip
    for column in subject.columns:
        if column.name in (subject.time, subject.target) or column.kind == "number":
            continue
        other = moments(column)
        if other is None:
            continue
        rows = np.flatnonzero(other > time)
        if len(rows):
            name = subject.code(column.name)
            yield finding(
                NAME, "error", column.name,
                f"{column.name} is later than the row's own {subject.time} in {share(len(rows), len(time))} of the rows", rows,
                of=len(time), examples=subject.examples(column, rows),
                convention=f"what a model is given at {subject.time} cannot hold anything later",
                fix=f"{name} = {name}.where(pd.to_datetime({name}) <= pd.to_datetime({subject.code(subject.time)}))",
            )  # fmt: skip


def moments(column: Column) -> np.ndarray | None:
    """A column of times, or of numbers or texts that read as times, as seconds since 1970; None for anything else."""
    if column.kind in ("moment", "number"):
        return column.numbers
    if column.kind != "text":
        return None
    first = pd.Series(column.uniques[:50], dtype=object).astype(str)
    if not first.str.match(r"^\d{4}-\d{2}-\d{2}").all():
        return None
    read = pd.to_datetime(column.cells, errors="coerce", utc=True, format="ISO8601")
    return Column(0, column.name, read).numbers


CHECK = Check(NAME, "rows and columns that know the future", look, when=lambda s: bool(s.time))
