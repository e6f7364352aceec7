"""Feature views, and what a point-in-time join gave: for each view how many labels got features, and why others did not."""

from __future__ import annotations

from typing import Any

from ..domain.display import several
from ..domain.feature_view import FeatureView, FeatureViewTable, JoinedTable, ViewJoin, span
from .markup import Markup, Number, code, facts, grid, join, more, note, page, pill, short, tag, when

__all__ = ["feature_view", "feature_view_table", "joined_table"]

WIDE = 260  # pixels of the bar of labels
HEAD = 5  # rows of the joined table that are shown
REASONS = (
    ("joined", "joined", "rgba(0,114,178,.75)"),
    ("early", "before the first row of their entity", "rgba(230,159,0,.8)"),
    ("expired", "older than the TTL", "rgba(213,94,0,.7)"),
    ("unknown", "entity not in the view", "rgba(127,127,127,.6)"),
    ("keyless", "without key or time", "rgba(127,127,127,.3)"),
)


def feature_view(view: FeatureView) -> Markup:
    """One view: what it stands on, what names a row, when a row counts, its features."""
    columns = grid(
        ["feature", "type", "missing"], [[short(c.name), c.type, Number(c.missing, ",")] for c in view.features]
    )
    return page(
        tag("div", view.ref, " ", pill("declared" if view.new else "unchanged", "good" if view.new else ""), class_="mlops-title"),
        facts(
            [
                ("about", view.about),
                ("rows", f"{view.rows:,}"),
                ("data", join((code(ref) for ref in view.versions), ", ")),
                ("entity", join((code(name) for name in view.entities), ", ")),
                ("event time", code(view.time) if view.time else "none: its rows have always been known"),
                ("written", code(view.created) if view.created else ""),
                ("TTL", span(view.ttl) if view.ttl is not None else ""),
                ("declared", when(view.created_ms) if view.created_ms else ""),
                ("by", view.created_by),
            ]
        ),
        columns,
    )  # fmt: skip


def feature_view_table(table: FeatureViewTable) -> Markup:
    """One row a view."""
    if not table.views:
        return page(
            "No feature views yet. Declare one with ", code("%mlops data view NAME --on DATA@vN --entity COLUMN"), "."
        )
    rows = [
        [
            tag("b", v.ref),
            short(", ".join(v.entities)),
            v.time or "–",
            span(v.ttl) if v.ttl is not None else "–",
            short(", ".join(c.name for c in v.features)),
            Number(v.rows, ","),
            short(", ".join(v.versions)),
            when(v.created_ms),
        ]
        for v in table.views
    ]
    return page(grid(["view", "entity", "event time", "TTL", "features", "rows", "data", "declared"], rows))


def joined_table(joined: JoinedTable) -> Markup:
    """The joined rows' first ones, and what became of the labels in each view."""
    title = f"{several(joined.rows, 'row')}, {several(len(joined.features), 'feature')}"
    rows = [[tag("b", j.view), _bar(j, joined.rows), Number(j.joined, ","), *_ages(j)] for j in joined.joins]
    used = [(words, colour) for name, words, colour in REASONS if any(getattr(j, name) for j in joined.joins)]
    return page(
        tag("div", title, " ", pill(joined.saved, "good") if joined.saved else "", class_="mlops-title"),
        facts([("labels", joined.labels), ("as of", code(joined.time) if joined.time else "")]),
        grid(["view", "labels", "joined", "median age", "oldest"], rows),
        _legend(used),
        *(note(text) for text in joined.notes),
        *(note(f"{j.view}: {text}") for j in joined.joins for text in _notes(j)),
        _head(joined.table),
    )


def _notes(joined: ViewJoin) -> list[str]:
    ties = f"{joined.ties:,} rows share entity and time with another; the last written counts"
    return [*([ties] if joined.ties else []), *joined.notes]


def _ages(joined: ViewJoin) -> list[str]:
    return ["–" if age is None else span(age) for age in (joined.age, joined.oldest)]


def _bar(joined: ViewJoin, rows: int) -> Markup:
    parts, x = [], 0.0
    for name, words, colour in REASONS:
        count = int(getattr(joined, name))
        wide = max(WIDE * count / max(rows, 1), 2.0) if count else 0.0
        if wide:
            parts.append(
                f'<rect x="{x:.1f}" y="4" width="{wide:.1f}" height="10" fill="{colour}"><title>{count:,} {words}</title></rect>'
            )
        x += wide
    told = ", ".join(f"{int(getattr(joined, name)):,} {words}" for name, words, _ in REASONS if getattr(joined, name))
    return Markup(f'<svg width="{max(x, 1):.0f}" height="18" role="img" aria-label="{told}">{"".join(parts)}</svg>')


def _legend(used: list[tuple[str, str]]) -> Markup:
    pieces = [
        join([Markup(f'<svg width="10" height="10" style="display:inline-block"><rect width="10" height="10" fill="{colour}"/></svg>'), f" {words}"])
        for words, colour in used
    ]  # fmt: skip
    return tag("div", join(pieces, "   "), class_="mlops-dim") if pieces else Markup("")


def _head(table: Any) -> Markup:
    if not hasattr(table, "iloc"):
        return Markup("")
    shown = table.iloc[:HEAD]
    rows = [[_cell(value) for value in row] for row in shown.itertuples(index=False)]
    return more(f"the first {len(rows)} rows", grid([short(str(c), 24) for c in table.columns], rows))


def _cell(value: Any) -> Any:
    if isinstance(value, float):
        return Number(value if value == value else None)  # noqa: PLR0124 not a number
    return short(str(value), 32)
