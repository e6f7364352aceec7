"""Cells that are missing, infinite, or hold a word that stands for missing."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ...domain.data_check import Finding, Severity
from ..check import Check, Column, Subject, finding, share

NAME = "missing"
MUCH, MOST = 0.05, 0.5
PLACEHOLDERS = frozenset(
    {
        "",
        "?",
        "-",
        "--",
        ".",
        "na",
        "n/a",
        "#n/a",
        "nan",
        "null",
        "none",
        "nil",
        "missing",
        "unknown",
        "undefined",
        "tbd",
    }
)
SENTINELS = (-9999.0, -999.0, -99.0, -1.0, 999.0, 9999.0, 99999.0)


def look(subject: Subject, column: Column) -> Iterator[Finding]:
    """Missing cells; placeholders in texts; infinite numbers; numbers such as -999 apart from all others."""
    n, target = len(subject.frame), column.name == subject.target
    absent = np.flatnonzero(column.codes < 0)
    name = subject.code(column.name)
    if len(absent):
        part = len(absent) / n
        severity: Severity = "error" if part == 1 or target else "warning" if part >= MUCH else "info"
        fix = (
            f"{subject.name} = {subject.name}.dropna(subset={subject.labels([column.name])!r})"
            if target
            else f"{subject.name} = {subject.name}.drop(columns={subject.labels([column.name])!r})"
            if part >= MOST
            else f"{name} = {name}.fillna({name}.median())"
            if column.kind == "number"
            else f"{name} = {name}.fillna({name}.mode()[0])"
        )
        told = f"{share(len(absent), n)} of the cells are missing"
        yield finding(NAME, severity, column.name, told, absent, of=n, numbers={"share": part}, fix=fix)
    if column.kind in ("text", "category"):
        words = [u for u in column.uniques if isinstance(u, str) and u.strip().lower() in PLACEHOLDERS]
        if words and len(words) < len(column.uniques):
            rows = np.flatnonzero(column.cells.isin(words))
            yield finding(
                NAME, "warning", column.name,
                f"{share(len(rows), n)} of the cells hold {', '.join(repr(w) for w in words[:3])}, which stands for missing",
                rows, of=n, examples=tuple(words[:5]), fix=f"{name} = {name}.replace({words!r}, None)",
            )  # fmt: skip
    if column.kind == "number":
        infinite = np.flatnonzero(np.isinf(column.numbers))
        if len(infinite):
            yield finding(
                NAME, "error", column.name, f"{len(infinite):,} infinite numbers, which most models refuse", infinite,
                of=n, fix=f"{name} = {name}.replace([float('inf'), float('-inf')], None).astype(float)",
            )  # fmt: skip
        yield from _sentinels(subject, column)


def _sentinels(subject: Subject, column: Column) -> Iterator[Finding]:
    """A number that data entry uses for missing, far outside of all others: at least their whole range away."""
    finite = column.numbers[np.isfinite(column.numbers)]
    for sentinel in SENTINELS:
        rows = np.flatnonzero(column.numbers == sentinel)
        others = finite[finite != sentinel]
        if len(rows) < 2 or len(others) < 20 or column.name == subject.target:
            continue
        low, high = float(others.min()), float(others.max())
        away = low - sentinel if sentinel < low else sentinel - high
        if away > high - low and high > low:
            name = subject.code(column.name)
            yield finding(
                NAME, "warning", column.name, f"{sentinel:g} in {len(rows):,} cells looks like a code for missing", rows,
                of=len(subject.frame), numbers={"value": sentinel, "next lowest": low, "highest": high},
                convention="a usual code that lies further outside the other numbers than their whole range",
                fix=f"{name} = {name}.where({name} != {sentinel:g})",
            )  # fmt: skip


CHECK = Check(NAME, "cells that are missing, infinite, or stand for missing", look, each=True)
