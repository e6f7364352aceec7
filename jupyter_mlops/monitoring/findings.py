"""Findings: what a comparison tells of a column beside the shift of its values: gone, new, retyped, emptied, unknown labels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ..datasets.profile import ColumnProfile
from ..domain.display import several
from ..domain.drift_report import Finding
from .correction import benjamini_hochberg, two_proportions
from .samples import Categories, matched
from .thresholds import Thresholds

__all__ = [
    "LEVEL",
    "LabelChange",
    "categories",
    "columns",
    "infinities",
    "label_changes",
    "missing_values",
    "named",
    "retyped",
]

LEVEL = 0.01  # missing values and labels together stay well below one false alarm in twenty reports
LISTED = 5

FAMILIES = {
    "int": "whole number",
    "uint": "whole number",
    "float": "number",
    "decimal": "number",
    "string": "text",
    "large_string": "text",
    "category": "text",
    "bool": "truth value",
    "timestamp": "time",
    "date": "time",
}
ALIKE = {"whole number": "number"}  # whole numbers become floats as soon as one value is missing


def columns(reference: Sequence[str], current: Sequence[str]) -> list[Finding]:
    """Columns that are missing, extra or there more than once."""
    found = [
        Finding(
            name, "duplicated", f"{name!r} stands {count} times in the {side} table; it cannot be compared", "error"
        )
        for side, names in (("reference", reference), ("current", current))
        for name, count in Counter(names).items()
        if count > 1
    ]
    gone = [name for name in dict.fromkeys(reference) if name not in set(current)]
    extra = [name for name in dict.fromkeys(current) if name not in set(reference)]
    found += [Finding(n, "missing-column", f"{n!r} is missing from the current table", "error") for n in gone]
    found += [Finding(n, "extra-column", f"{n!r} is not in the reference; it was not compared") for n in extra]
    return found


def retyped(reference: ColumnProfile, current: ColumnProfile) -> Finding | None:
    """A column whose type is another one; between whole and other numbers only a remark."""
    before, now = _family(reference.type), _family(current.type)
    if "null" in (reference.type, current.type) or before == now:
        return None
    message = f"{reference.name!r} was {reference.type} in the reference and is {current.type}"
    alike = ALIKE.get(before, before) == ALIKE.get(now, now)
    return Finding(reference.name, "retyped", message, "info" if alike else "error")


def missing_values(
    pairs: Sequence[tuple[ColumnProfile, ColumnProfile]], thresholds: Thresholds | None = None
) -> list[Finding]:
    """Columns whose share of missing values changed by more than chance and by at least what is worth a word."""
    thresholds = thresholds or Thresholds()
    tests = [two_proportions(r.missing, r.rows, c.missing, c.rows) for r, c in pairs]
    found = []
    for (r, c), p_value in zip(pairs, benjamini_hochberg(tests), strict=True):
        before, now = _share(r.missing, r.rows), _share(c.missing, c.rows)
        if p_value < LEVEL and abs(now - before) >= thresholds.rule("missing", r.name):
            message = f"{r.name!r} has {now:.1%} missing values, {before:.1%} in the reference (adjusted p {_chance(p_value)})"
            found.append(Finding(r.name, "missing-values", message))
    return found


def infinities(reference: ColumnProfile, current: ColumnProfile) -> Finding | None:
    """Infinite numbers: a warning where the reference has none."""
    if not (reference.infinite or current.infinite):
        return None
    message = f"{reference.name!r} holds {several(current.infinite, 'infinite value')}"
    tail = f", {reference.infinite:,} in the reference; they are left out of the comparison"
    new = bool(current.infinite) and not reference.infinite
    return Finding(reference.name, "infinite", message + tail, "warning" if new else "info")


@dataclass(frozen=True)
class LabelChange:
    """Labels of one column that only one side has.

    Parameters
    ----------
    p_value
        How often so many rows hold labels that the other side does not know, by chance.
    share
        The share of the rows that do.
    """

    column: str
    kind: Literal["new-category", "vanished-category"]
    counts: dict[str, int]
    p_value: float
    share: float


def label_changes(name: str, reference: Categories, current: Categories) -> list[LabelChange]:
    """Labels of a column that only one side has, with how likely it is that chance kept them from the other.

    A label that one row alone holds would be unknown without that row: their share of the rows is what to expect of
    unknown labels in another table of the same source (Good 1953, after Turing). Where a side names only its commonest
    labels, nothing can be said of what it lacks.
    """
    places = matched(reference, current)
    missing = np.ones(len(reference.labels), dtype=bool)
    missing[places[places >= 0]] = False
    found = []
    for kind, known, other, unknown in (
        ("new-category", reference, current, places < 0),
        ("vanished-category", current, reference, missing),
    ):
        if known.rest or not known.rows or not other.rows or not unknown.any():
            continue
        only = {other.labels[i]: int(other.counts[i]) for i in np.flatnonzero(unknown)}
        once, rows = int((known.counts == 1).sum()), sum(only.values())
        more = rows / other.rows > once / known.rows
        p = two_proportions(once, int(known.rows), rows, int(other.rows)) if more else 1.0
        found.append(LabelChange(name, kind, only, p, rows / other.rows))  # type: ignore[arg-type]  # one of the two
    return found


def categories(changes: Sequence[LabelChange], thresholds: Thresholds | None = None) -> list[Finding]:
    """What is worth telling of new and vanished labels: a warning for more than chance, a remark for other new ones."""
    thresholds = thresholds or Thresholds()
    found = []
    for change, p in zip(changes, benjamini_hochberg([c.p_value for c in changes]), strict=True):
        serious = p < LEVEL and change.share >= thresholds.rule("new", change.column)
        if change.kind == "new-category":
            message = f"{change.column!r} has {named(change.counts)} that the reference does not have"
            found.append(Finding(change.column, change.kind, message, "warning" if serious else "info"))
        elif serious:
            found.append(
                Finding(
                    change.column,
                    change.kind,
                    f"{change.column!r} no longer has {named(change.counts)} of the reference",
                )
            )
    return found


def named(counts: dict[str, int]) -> str:
    """A few categories in words, the commonest first.

    Examples
    --------
    >>> named({"a": 1, "b": 3})
    "the categories 'b' (3 rows), 'a' (1 row)"
    """
    falling = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    shown = ", ".join(f"{label[:40]!r} ({several(n, 'row')})" for label, n in falling[:LISTED])
    more = f" and {len(falling) - LISTED:,} more" if len(falling) > LISTED else ""
    return f"the {'category' if len(falling) == 1 else 'categories'} {shown}{more}"


def _family(kind: str) -> str:
    name = kind.split("[", maxsplit=1)[0].rstrip("0123456789")
    return FAMILIES.get(name, name)


def _chance(p_value: float) -> str:
    return f"{p_value:.2g}" if p_value >= 1e-99 else "<1e-99"


def _share(part: float, whole: float) -> float:
    return part / whole if whole else 0.0
