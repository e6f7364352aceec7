"""Findings: what a comparison tells of a column beside the shift of its values: gone, new, retyped, emptied, unknown labels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from ..datasets.profile import ColumnProfile
from ..domain.drift_report import Finding
from .correction import benjamini_hochberg, two_proportions

__all__ = ["categories", "columns", "infinities", "missing_values", "named", "retyped"]

LEVEL = 0.05
MISSING_CHANGE = 0.01  # a share of missing values that changes by less is not worth a word
LISTED = 5
EXPECTED = 5.0

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


def missing_values(pairs: Sequence[tuple[ColumnProfile, ColumnProfile]]) -> list[Finding]:
    """Columns whose share of missing values changed by more than chance and by at least one percentage point."""
    tests = [two_proportions(r.missing, r.rows, c.missing, c.rows) for r, c in pairs]
    found = []
    for (r, c), p_value in zip(pairs, benjamini_hochberg(tests), strict=True):
        before, now = _share(r.missing, r.rows), _share(c.missing, c.rows)
        if p_value < LEVEL and abs(now - before) >= MISSING_CHANGE:
            message = f"{r.name!r} has {now:.1%} missing values, {before:.1%} in the reference (adjusted p {_chance(p_value)})"
            found.append(Finding(r.name, "missing-values", message))
    return found


def infinities(reference: ColumnProfile, current: ColumnProfile) -> Finding | None:
    """Infinite numbers: a warning where the reference has none."""
    if not (reference.infinite or current.infinite):
        return None
    message = f"{reference.name!r} holds {_times(current.infinite, 'infinite value')}"
    tail = f", {reference.infinite:,} in the reference; they are left out of the comparison"
    new = bool(current.infinite) and not reference.infinite
    return Finding(reference.name, "infinite", message + tail, "warning" if new else "info")


def categories(reference: ColumnProfile, current: ColumnProfile) -> list[Finding]:
    """Labels that only one side has, with their counts.

    One that is rare enough to be absent from the other side by chance (fewer than five expected there) is only a
    remark when it is new, and not worth a word when it has vanished. Where a side names only its commonest labels,
    nothing can be said of what it lacks.
    """
    sides = [dict(zip(c.labels, (int(n) for n in c.counts), strict=True)) for c in (reference, current)]
    found = []
    if not reference.rest:
        new = {label: n for label, n in sides[1].items() if label not in sides[0]}
        if new:
            expected = sum(new.values()) * _share(reference.present, current.present)
            message = f"{reference.name!r} has {named(new)} that the reference does not have"
            found.append(
                Finding(reference.name, "new-category", message, "warning" if expected >= EXPECTED else "info")
            )
    if not current.rest and current.present:
        ratio = _share(current.present, reference.present)
        gone = {label: n for label, n in sides[0].items() if label not in sides[1] and n * ratio >= EXPECTED}
        if gone:
            message = f"{reference.name!r} no longer has {named(gone)} of the reference"
            found.append(Finding(reference.name, "vanished-category", message))
    return found


def named(counts: dict[str, int]) -> str:
    """A few categories in words, the commonest first.

    Examples
    --------
    >>> named({"a": 1, "b": 3})
    "the categories 'b' (3 rows), 'a' (1 row)"
    """
    falling = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    shown = ", ".join(f"{label[:40]!r} ({_times(n, 'row')})" for label, n in falling[:LISTED])
    more = f" and {len(falling) - LISTED:,} more" if len(falling) > LISTED else ""
    return f"the {'category' if len(falling) == 1 else 'categories'} {shown}{more}"


def _family(kind: str) -> str:
    name = kind.split("[", maxsplit=1)[0].rstrip("0123456789")
    return FAMILIES.get(name, name)


def _chance(p_value: float) -> str:
    return f"{p_value:.2g}" if p_value >= 1e-99 else "<1e-99"


def _share(part: float, whole: float) -> float:
    return part / whole if whole else 0.0


def _times(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
