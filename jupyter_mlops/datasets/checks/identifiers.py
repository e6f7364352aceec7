"""Columns that name a row instead of describing it: a model learns them by heart."""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np

from ...domain.data_check import Finding
from ..check import Check, Column, Subject, finding

NAME = "identifiers"
FEWEST = 20
HINT = re.compile(
    r"(^|_|\b)(id|ids|uuid|guid|key|index|idx|rowid|row|no|nr|number|code|ref|hash)$|id$|^unnamed", re.IGNORECASE
)
CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")


def look(subject: Subject, column: Column) -> Iterator[Finding]:
    """Whole numbers or short texts that are all different; numbers only if they count up or are called so."""
    n = int(column.counts.sum())
    if column.name in (subject.target, subject.group, subject.time) or n < FEWEST:
        return
    named = bool(HINT.search(CAMEL.sub("_", column.name)))
    different = len(column.uniques) / n
    if column.kind == "number":
        there = column.numbers[np.isfinite(column.numbers)]
        if np.any(there != np.round(there)):
            return
        steps = np.diff(there)
        counting = different == 1 and bool(np.all(steps == 1) or np.all(steps == -1))
        if not (counting or (named and different >= 0.95)):
            return
        why = "counts the rows" if counting else "is a number for each row"
    elif column.kind in ("text", "category") and different >= (0.95 if named else 1.0):
        words = [str(u) for u in column.uniques[:200]]
        if np.mean([len(word.split()) for word in words]) > 2:
            return  # sentences, names
        why = "is different in every row" if different == 1 else "is different in nearly every row"
    else:
        return
    yield finding(
        NAME, "warning", column.name, f"{column.name} {why}: an identifier, not a feature", count=n, of=n,
        numbers={"share of different values": different},
        convention="whole numbers that go up by one or are named like an identifier, texts of at most two words",
        fix=f"{subject.name} = {subject.name}.set_index({subject.labels([column.name])[0]!r})",
    )  # fmt: skip


CHECK = Check(NAME, "columns that name a row instead of describing it", look, each=True)
