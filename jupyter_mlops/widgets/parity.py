"""Parity: the ways by which a model's features are computed, and the features that came out differently."""

from __future__ import annotations

from ..domain.parity import Parity, ParityWay
from .markup import Markup, Number, code, facts, grid, join, note, page, pill, short, tag

__all__ = ["parity"]

SHOWN = 12


def parity(found: Parity) -> Markup:
    """The verdict, each way, and the features that differ."""
    ways = [
        [
            tag("b", w.name),
            short(w.how),
            pill(w.outcome),
            Number(w.rows, ","),
            Number(w.largest, ".3g"),
            short(w.note, 90),
        ]
        for w in found.ways
    ]
    gaps = [_gap(way, number) for way in found.ways for number in range(min(len(way.gaps), SHOWN))]
    more = sum(max(0, len(way.gaps) - SHOWN) for way in found.ways)
    return page(
        tag("div", "features of ", found.model, " ", pill(found.outcome), class_="mlops-title"),
        facts(
            [
                ("compared", f"{found.columns:,} features of {found.rows:,} rows"),
                ("made for", join((code(ref) for ref in found.views), ", ")),
                ("the same", f"within {found.tolerance:g} of the expected value, or of 1 where that is smaller"),
            ]
        ),
        grid(["way", "computed by", "", "rows that differ", "largest difference", ""], ways),
        grid(["way", "feature", "rows", "first row", "expected", "got"], gaps) if gaps else "",
        note(f"{more:,} more features differ") if more else "",
        *(note(text) for text in found.notes),
    )


def _gap(way: ParityWay, number: int) -> list[object]:
    gap = way.gaps[number]
    return [
        way.name,
        short(gap.column),
        Number(gap.rows, ","),
        Number(gap.row, ","),
        tag("span", short(gap.expected, 24), class_="mlops-del"),
        tag("span", short(gap.got, 24), class_="mlops-add"),
    ]
