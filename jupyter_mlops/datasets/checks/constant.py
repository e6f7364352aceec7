"""Columns that say the same in every row, or nearly."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ...domain.data_check import Finding
from ..check import Check, Column, Subject, finding, share

NAME = "constant"
NEARLY = 0.999


def look(subject: Subject, column: Column) -> Iterator[Finding]:
    """One value in all rows that have one, or in more than 99.9 % of them."""
    present = int(column.counts.sum())
    if present < 2:
        return
    drop = f"{subject.name} = {subject.name}.drop(columns={subject.labels([column.name])!r})"
    if len(column.counts) == 1:
        target = column.name == subject.target
        told = (
            "every cell says the same"
            if present == len(column.codes)
            else "every cell that is not missing says the same"
        )
        example = subject.examples(column, np.flatnonzero(column.codes == 0)[:1])
        fix = f"{subject.code(column.name)}.value_counts(dropna=False)" if target else drop
        yield finding(
            NAME, "error" if target else "warning", column.name, told, count=present, of=len(column.codes),
            examples=example, fix=fix,
        )  # fmt: skip
    elif column.counts.max() / present > NEARLY and not column.continuous and column.name != subject.target:
        usual = int(column.counts.argmax())
        rows = np.flatnonzero((column.codes >= 0) & (column.codes != usual))
        yield finding(
            NAME, "info", column.name, f"{share(column.counts.max(), present)} of the cells say the same", rows,
            of=present, examples=subject.examples(column, np.flatnonzero(column.codes == usual)[:1]),
            convention="more than 99.9 % of the cells that are not missing", fix=drop,
        )  # fmt: skip


CHECK = Check(NAME, "columns that say the same in every row", look, each=True)
