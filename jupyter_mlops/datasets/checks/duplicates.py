"""Rows that are there more than once, columns that repeat another, and names that are there twice."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from ...domain.data_check import Finding
from ..check import Check, Codes, Column, Subject, finding, share

NAME = "duplicates"
MANY = 0.01


def look(subject: Subject) -> Iterator[Finding]:
    """Whole rows; columns equal up to renaming of their values; names."""
    yield from _names(subject)
    yield from _columns(subject)
    yield from _rows(subject)


def row_numbers(columns: Sequence[Column]) -> Codes:
    """Equal rows have equal numbers; exact, no hash: the codes are paired column by column and numbered anew."""
    numbers = np.zeros(len(columns[0].codes), dtype=np.int64)
    for column in columns:
        wide = numbers * (len(column.uniques) + 1) + column.codes + 1
        numbers = np.unique(wide, return_inverse=True)[1].astype(np.int64)
    return numbers


def _rows(subject: Subject) -> Iterator[Finding]:
    n = len(subject.frame)
    if n < 2 or not subject.columns:
        return
    numbers = row_numbers(sorted(subject.columns, key=lambda c: -len(c.uniques)))
    counts = np.bincount(numbers)
    again = n - len(counts)
    if again:
        first = np.full(len(counts), n)
        np.minimum.at(first, numbers, np.arange(n))
        rows = np.flatnonzero(first[numbers] < np.arange(n))
        yield finding(
            NAME, "warning" if again / n >= MANY else "info", (), f"{again:,} rows ({share(again, n)}) repeat an earlier one",
            rows, of=n, numbers={"different rows": len(counts), "most often": counts.max()},
            convention="equal in every column, missing equal to missing; the first one is not counted",
            fix=f"{subject.name} = {subject.name}.drop_duplicates(ignore_index=True)",
        )  # fmt: skip
    if not subject.target:
        return
    rest = [c for c in subject.columns if c.name != subject.target]
    if not rest or not subject.classes:
        return
    keys = row_numbers(sorted(rest, key=lambda c: -len(c.uniques)))
    target = subject.column(subject.target)
    low, high = np.full(keys.max() + 1, np.iinfo(np.int64).max), np.full(keys.max() + 1, -2)
    np.minimum.at(low, keys, target.codes)
    np.maximum.at(high, keys, target.codes)
    torn = np.flatnonzero(low[keys] != high[keys])
    if len(torn):
        yield finding(
            NAME, "warning", subject.target, f"{len(torn):,} rows are equal but for {subject.target}", torn, of=n,
            convention="equal in every other column; no model can tell them apart",
            fix=f"{subject.name}[{subject.name}.duplicated({subject.labels(c.name for c in rest)!r}, keep=False)]",
        )  # fmt: skip


def _columns(subject: Subject) -> Iterator[Finding]:
    """Columns with the same codes: `factorize` numbers values as they appear, so equal codes mean the same, renamed."""
    seen: dict[bytes, list[Column]] = {}
    for column in subject.columns:
        if len(column.uniques) < 2:
            continue
        alike = seen.setdefault(np.ascontiguousarray(column.codes).tobytes(), [])
        alike.append(column)
        if len(alike) == 1:
            continue
        equal = [other for other in alike[:-1] if other.cells.equals(column.cells)]
        same, first = bool(equal), (equal or alike)[0]
        if subject.target in (first.name, column.name):
            continue  # the check for target leakage tells of it
        if not same and 2 * len(column.uniques) > np.count_nonzero(column.codes >= 0):
            continue  # two columns of hardly any value twice: they tell nothing of each other
        if not same and not _repeats_elsewhere(subject, column):
            continue  # the same but for rows that are there twice as a whole
        told = "repeats" if same else "says the same in other words as"
        yield finding(
            NAME, "warning", (first.name, column.name), f"{column.name} {told} {first.name}", of=len(column.codes),
            convention="cell by cell, or one value for one value",
            fix=f"{subject.name} = {subject.name}.drop(columns={subject.labels([column.name])!r})",
        )  # fmt: skip


def _repeats_elsewhere(subject: Subject, column: Column) -> bool:
    """Whether a value stands in two rows that differ in something."""
    numbers = row_numbers(sorted(subject.columns, key=lambda c: -len(c.uniques)))
    first = np.unique(numbers, return_index=True)[1]
    return bool(np.count_nonzero(column.codes[first] >= 0) > len(column.uniques))


def _names(subject: Subject) -> Iterator[Finding]:
    names = [column.name for column in subject.columns]
    twice = sorted({name for name in names if names.count(name) > 1})
    for name in twice:
        yield finding(
            NAME, "error", name, f"{names.count(name)} columns are called {name!r}",
            fix=f"{subject.name} = {subject.name}.loc[:, ~{subject.name}.columns.astype(str).duplicated()]",
        )  # fmt: skip


CHECK = Check(NAME, "rows, columns and names that are there more than once", look)
