"""Rows and groups that are in the training and in the test table: the test then measures memory."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from ...domain.data_check import Finding
from ..check import Check, Subject, finding, share
from .duplicates import row_numbers

NAME = "split_leakage"
MANY = 0.01


def look(subject: Subject) -> Iterator[Finding]:
    """Rows equal in all shared columns but the target; groups on both sides; columns on one side only."""
    test = subject.test
    if test is None:
        return
    theirs = {str(c) for c in test.columns}
    shared = [c.label for c in subject.columns if c.name in theirs and c.name != subject.target]
    apart = sorted({c.name for c in subject.columns} ^ theirs)
    if apart:
        yield finding(
            NAME, "error" if any(c != subject.target for c in apart) else "info", apart[:10],
            f"{len(apart)} columns are in one of the two tables only",
            fix=f"test = test.reindex(columns={subject.name}.columns)",
        )  # fmt: skip
    if shared and len(test) and len(subject.frame):
        yield from _rows(subject, test, shared)
    if subject.group and subject.group in theirs:
        column = subject.column(subject.group)
        ours = set(column.cells.dropna())
        inside = test[column.label].isin(ours).to_numpy()
        rows = np.flatnonzero(inside)
        if len(rows):
            both = test[column.label][inside].nunique()
            yield finding(
                NAME, "error", subject.group,
                f"{both:,} groups of {subject.group} are in both tables, with {share(len(rows), len(test))} of the test rows",
                rows, of=len(test), examples=subject.examples(column, np.flatnonzero(column.cells.isin(test[column.label][inside]))),
                convention="rows are counted in the test table",
                fix=f"test = test[~test[{column.label!r}].isin({subject.code(subject.group)})]",
            )  # fmt: skip


def _rows(subject: Subject, test: pd.DataFrame, shared: list[object]) -> Iterator[Finding]:
    ours, n = subject.frame[shared], len(subject.frame)
    both = Subject(pd.concat([ours, test[shared]], ignore_index=True))
    numbers = row_numbers(sorted(both.columns, key=lambda c: -len(c.uniques)))
    rows = np.flatnonzero(np.isin(numbers[n:], numbers[:n]))
    if not len(rows):
        return
    counts = np.bincount(numbers[:n])
    chance = float((counts[numbers[:n]] > 1).mean())
    part = len(rows) / len(test)
    worse = part > 2 * chance and part >= MANY
    yield finding(
        NAME, "error" if worse else "warning" if part >= MANY else "info", (),
        f"{len(rows):,} rows ({share(len(rows), len(test))}) of the test table are in {subject.name} too", rows, of=len(test),
        numbers={"share of test rows": part, "share of rows that repeat within the training table": chance},
        convention=(
            "equal in every shared column but the target; an error from 1 % on if it is twice as common as repetition "
            "within the training table"
        ),
        fix=f"test = test.merge({subject.name}[{shared!r}].drop_duplicates(), how='left', indicator='seen').query(\"seen == 'left_only'\").drop(columns='seen')",
    )  # fmt: skip


CHECK = Check(NAME, "rows and groups in both training and test table", look, when=lambda s: s.test is not None)
