"""Columns whose cells are of several types, and numbers or dates that are kept as text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import numpy as np
import pandas as pd

from ...domain.data_check import Finding
from ..check import Check, Column, Subject, finding, share

NAME = "mixed_types"
NUMERIC, DATED = 0.95, 0.99
LOOKED_AT = 5_000


def look(subject: Subject, column: Column) -> Iterator[Finding]:
    """Types of cells, all of them; and whether texts read as numbers or dates, of up to 5,000 different ones."""
    n = int((column.codes >= 0).sum())
    name = subject.code(column.name)
    if not n:
        return
    if pd.api.types.is_object_dtype(column.cells.dtype):
        kinds = Counter(type(v).__name__ for v in column.cells.dropna())
        if len(kinds) > 1 and not set(kinds) <= {"int", "float", "int64", "float64"}:
            usual = kinds.most_common(1)[0][0]
            odd = np.flatnonzero([type(v).__name__ != usual and not _missing(v) for v in column.cells])
            told = ", ".join(f"{kind} {count:,}" for kind, count in kinds.most_common(4))
            fix = (
                f"{name} = pd.to_numeric({name}, errors='coerce')"
                if usual in ("int", "float")
                else f"{name} = {name}.astype('string')"
            )
            examples = subject.examples(column, odd)
            yield finding(
                NAME, "error", column.name, f"cells of several types: {told}", odd, of=n, examples=examples, fix=fix
            )
            return
    if column.kind != "text" or column.name in subject.personal:
        return
    step = max(1, len(column.uniques) // LOOKED_AT)
    texts = pd.Series(column.uniques[::step], dtype=object).astype(str).str.strip()
    read = pd.to_numeric(texts.str.replace(",", "", regex=False), errors="coerce").notna()
    leading = texts.str.match(r"0\d").mean()
    if read.mean() >= NUMERIC and leading < 0.05:
        strange = texts[~read]
        rest = f", {share(len(strange), len(texts))} of the values do not" if len(strange) else ""
        yield finding(
            NAME, "warning", column.name, f"numbers kept as text{rest}", of=n, count=n, examples=tuple(strange[:5]),
            fix=f"{name} = pd.to_numeric({name}.str.replace(',', ''), errors='coerce')",
        )  # fmt: skip
        return
    if texts.str.match(r"^\d{4}-\d{2}-\d{2}([ T]\d{2}:\d{2}.*)?$").mean() >= DATED:
        yield finding(
            NAME, "info", column.name, "dates kept as text", of=n, count=n, examples=tuple(texts[:2]),
            convention="ISO 8601, 2026-11-01", fix=f"{name} = pd.to_datetime({name})",
        )  # fmt: skip
    folded = texts.str.lower().str.replace(r"\s+", " ", regex=True)
    if len(texts) > folded.nunique() and len(texts) <= 1_000:
        same = folded[folded.duplicated(keep=False)]
        examples = tuple(repr(t) for t in texts[same.index][:4])
        yield finding(
            NAME, "info", column.name, f"{len(same)} values differ only in case or spaces", examples=examples, of=n,
            fix=f"{name} = {name}.str.strip().str.lower()",
        )  # fmt: skip


def _missing(value: object) -> bool:
    return value is None or value is pd.NA or value is pd.NaT or (isinstance(value, float) and value != value)  # noqa: PLR0124


CHECK = Check(NAME, "cells of several types, numbers and dates kept as text", look, each=True)
