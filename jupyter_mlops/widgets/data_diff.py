"""What changed between two tables: rows, columns, cells of example rows, and columns that moved as a whole."""

from __future__ import annotations

from typing import Any

from ..domain.data_version import DataDiff, RowExample
from .markup import Markup, Number, facts, grid, note, page, pill, short, tag

__all__ = ["data_diff"]

WIDE = 260  # pixels of the bar of rows
MARKS = {"added": ("+", "mlops-add"), "removed": ("−", "mlops-del"), "changed": ("~", "")}
TONES = {"added": "good", "removed": "bad", "changed": "warn"}


def data_diff(diff: DataDiff) -> Markup:
    """How many rows came, went and changed, the columns that did, and some of the rows with their cells marked."""
    head = tag("div", diff.before, " → ", diff.after, class_="mlops-title")
    if diff.identical:
        return page(head, pill("identical", "good"), f" {diff.rows_before:,} rows")
    columns = [
        [short(c.name), pill(c.change, TONES.get(c.change, "")), short(c.before), short(c.after), _count(c.cells)]
        for c in diff.columns
    ]
    moved = [[short(s.column), Number(s.distance, ".3f"), short(s.before), short(s.after)] for s in diff.shifts]
    return page(
        head,
        facts([("rows", f"{diff.rows_before:,} → {diff.rows_after:,}, matched by {diff.matched_by}")]),
        _bar(diff),
        note(diff.hint) if diff.hint else "",
        grid(["column", "change", "before", "after", "cells"], columns) if columns else "",
        tag("div", "moved as a whole", class_="mlops-title") if moved else "",
        grid(["column", "distance", "before", "after"], moved) if moved else "",
        note("Distance from 0 to 1: Kolmogorov-Smirnov of numbers, total variation of others.") if moved else "",
        tag("div", "some of the rows", class_="mlops-title") if diff.examples else "",
        _examples(diff) if diff.examples else "",
    )


def _count(cells: int) -> Any:
    return Number(cells or None, ",")


def _bar(diff: DataDiff) -> Markup:
    """Removed, unchanged, changed and added rows by their share, and their numbers in words."""
    same = max(diff.rows_before - diff.removed - diff.changed, 0)
    kinds = (
        ("removed", diff.removed, "rgba(229,57,53,.75)"),
        ("unchanged", same, "rgba(127,127,127,.3)"),
        ("changed", diff.changed, "rgba(230,150,0,.8)"),
        ("added", diff.added, "rgba(46,160,67,.75)"),
    )
    every = sum(count for _, count, _ in kinds) or 1
    parts, x = [], 0.0
    for name, count, colour in kinds:
        wide = max(WIDE * count / every, 2.0) if count else 0.0
        if wide:
            parts.append(
                f'<rect x="{x:.1f}" y="0" width="{wide:.1f}" height="9" fill="{colour}"><title>{count:,} {name}</title></rect>'
            )
        x += wide
    told = [*((name, count) for name, count, _ in kinds), ("moved", diff.moved)]
    words = ", ".join(f"{count:,} {name}" for name, count in told if count)
    svg = Markup(f'<svg width="{x:.0f}" height="9" role="img" aria-label="rows">{"".join(parts)}</svg>')
    return tag("div", svg, note(words))


def _examples(diff: DataDiff) -> Markup:
    heads = tag("tr", *(tag("th", text) for text in ("", diff.named_by, *diff.shown)))
    return tag("table", tag("thead", heads), tag("tbody", *(_row(each) for each in diff.examples)))


def _row(example: RowExample) -> Markup:
    mark, tone = MARKS.get(example.change, ("", ""))
    shown = example.after or example.before
    cells = []
    for place, text in enumerate(shown):
        if place in example.differs and place < len(example.before):
            was = tag("span", short(example.before[place], 24), class_="mlops-del")
            cells.append(tag("td", was, " → ", tag("span", short(text, 24), class_="mlops-add")))
        else:
            cells.append(tag("td", short(text, 24), class_=tone))
    return tag("tr", tag("td", mark, title=example.change), tag("td", tag("b", short(example.row, 24))), *cells)
