"""Columns that hold personal data: names, addresses, numbers that lead to a person."""

from __future__ import annotations

from collections.abc import Iterator

from ...domain.data_check import Finding
from ..check import Check, Column, Subject, finding, share
from ..personal import found_in, masked_example

NAME = "personal_data"


def look(subject: Subject, column: Column) -> Iterator[Finding]:
    """By patterns with check digits, by lists of names, and by what the column is called."""
    found = found_in(column)
    if found is None:
        return
    subject.personal[column.name] = found.kind
    name = subject.labels([column.name])[0]
    how = "hold" if not found.inside else "contain"
    yield finding(
        NAME, "warning", column.name,
        f"{share(found.share, 1)} of the cells {how} {found.what}", found.rows,
        count=found.count, of=int((column.codes >= 0).sum()),
        examples=tuple(masked_example(value, found.kind) for value in found.values[:3]),
        numbers={"share": found.share}, convention=found.convention,
        fix=f"import jupyter_mlops as mlops\n{subject.name} = mlops.data.mask({subject.name}, columns=[{name!r}])",
    )  # fmt: skip


CHECK = Check(NAME, "columns that lead to a person", look, each=True)
