"""Drift: a report as static HTML with drawings in SVG, as an interactive plotly figure, and as both for a notebook.

A frontend that can draw plotly's own MIME type shows the figure: JupyterLab and Notebook with the extension in plotly's
wheel, VS Code by itself; both draw it from the saved notebook, with no kernel. Everybody else (nbviewer, GitHub,
nbconvert, an untrusted page without scripts) shows the HTML. Neither fetches anything.
"""

from __future__ import annotations

from typing import Any

from ..domain.display import clock, cut
from ..domain.drift_report import ColumnDrift, Distribution, DriftReport, Finding
from .drift_figure import MIME, spec
from .drift_order import SMALLEST_P, by_drift, farthest, largest, scores_in_short, state
from .markup import Markup, Number, code, grid, join, more, note, page, picture, pill, short, tag

__all__ = ["bundle", "figure", "static_html"]

REFERENCE, CURRENT = "#2185f0", "#e8710a"
DRAWN = 36  # columns with a drawing; the rest stand in the table
OPEN_TABLE = 12  # so many columns need no unfolding
FINDINGS = 40
WIDTH, HEIGHT = 220, 74
BAR, GAP, LABELS = 5, 3, 92  # categories: the height of a bar, the gap between two, the width of the labels
MOST_LABELS, MOST_LABELS_ALONE = 6, 30
WORST = 3
LAYOUT = (
    ".mlops-drift{display:grid;grid-template-columns:repeat(auto-fill,minmax(228px,1fr));gap:8px;margin:6px 0}"
    ".mlops-drift>div{border:1px solid rgba(127,127,127,.3);border-radius:4px;padding:5px 8px 6px;min-width:0}"
    ".mlops-drift>.mlops-moved{border-color:#e8710a;box-shadow:inset 3px 0 #e8710a}"
    ".mlops-drift .mlops-name{display:flex;justify-content:space-between;gap:6px;white-space:nowrap}"
    ".mlops-drift .mlops-name b{overflow:hidden;text-overflow:ellipsis}"
    ".mlops-drift .mlops-dim{font-size:11px;line-height:1.3}"
    ".mlops-drift>div:only-child{grid-column:1/-1;max-width:560px}"
    ".mlops-drift svg{width:100%;height:auto;margin:3px 0}"
)


def bundle(report: DriftReport) -> dict[str, Any]:
    """The report by MIME type: static HTML always, and plotly's own where there is something to draw."""
    found: dict[str, Any] = {"text/html": str(static_html(report))}
    drawing = spec(report, colours=(REFERENCE, CURRENT))
    if drawing is not None:
        found[MIME] = drawing
    return found


def figure(report: DriftReport) -> Any:
    """The report as a plotly figure, to change or to export; without columns to draw it has only its title."""
    import plotly.graph_objects as go

    drawing = spec(report, colours=(REFERENCE, CURRENT)) or {"data": [], "layout": {"title": {"text": report.verdict}}}
    return go.Figure(data=drawing["data"], layout={**drawing["layout"], "template": {}})


def static_html(report: DriftReport) -> Markup:
    """The report without any script: verdict, drawings, findings, scores, and what the scores mean."""
    columns = by_drift(report)
    drawn = [column for column in columns if column.distribution is not None][:DRAWN]
    left = len(columns) - len(drawn)
    return page(
        tag("div", report.verdict, class_="mlops-title"),
        _what(report),
        _summary(report),
        _together(report),
        _findings(report.findings),
        tag("style", Markup(LAYOUT)) if drawn else None,
        tag("div", *(_card(column, alone=len(drawn) == 1) for column in drawn), class_="mlops-drift")
        if drawn
        else None,
        note(f"{len(drawn)} of {len(columns)} columns are drawn; the table has them all.") if left and drawn else None,
        _scores(columns, opened=len(columns) <= OPEN_TABLE or not drawn) if columns else None,
        _convention(report),
    )


def _what(report: DriftReport) -> Markup:
    swatches = [tag("span", "■", style=f"color:{colour}") for colour in (REFERENCE, CURRENT)]
    parts: list[Any] = [
        swatches[1],
        f" {report.current} ({report.current_rows:,} rows) against ",
        swatches[0],
        f" {report.reference} ({report.reference_rows:,} rows)",
    ]
    if report.created_ms:
        parts.append(f" · {clock(report.created_ms)[:16]}")
    if report.id:
        parts += [" · report ", code(report.id)]
    return tag("div", *parts)


def _summary(report: DriftReport) -> Markup | None:
    """How many columns are how, and the worst of them: what one wants to know in five seconds."""
    strong, drifted, unjudged = report.strongly_drifted, report.drifted, report.unjudged
    counts = (
        (len(strong), "strong drift", "bad"),
        (len(drifted) - len(strong), "slight drift", "warn"),
        (len(report.columns) - len(drifted) - len(unjudged), "no drift", "good"),
        (len(unjudged), "not judged", ""),
    )
    pills = [pill(f"{count} {word}", tone) for count, word, tone in counts if count]
    worst = [c for c in by_drift(report)[:WORST] if c.drifted]
    named = [join([tag("b", short(c.name, 24)), f" {farthest(c)}"]) for c in worst] if len(report.columns) > 1 else []
    return tag("div", join(pills, " "), " worst: " if named else None, join(named, " · ")) if pills else None


def _together(report: DriftReport) -> Markup | None:
    lines = [
        tag("div", pill("drift" if t.drifted else "ok"), " ", t.message.partition(": ")[2], title=t.convention)
        for t in report.together
    ]
    return tag("div", *lines) if lines else None


def _card(column: ColumnDrift, *, alone: bool = False) -> Markup:
    drawing = column.distribution
    word = state(column)
    drawn = None
    if drawing is not None:
        drawn = (_categories if drawing.labels else _numbers)(column.name, drawing, alone=alone)
    return tag(
        "div",
        tag("div", tag("b", cut(column.name, 26), title=column.name), " ", pill(word), class_="mlops-name"),
        drawn,
        tag("div", scores_in_short(column) or "–", class_="mlops-dim"),
        class_="mlops-moved" if column.drifted else "",
    )


def _svg(name: str, height: float, *shapes: Any) -> Markup:
    svg = tag(
        "svg",
        join(
            shapes, " "
        ),  # on GitHub, which takes sizes away too, the texts of a drawing stay: they must not run together
        viewBox=f"0 0 {WIDTH} {height:g}",
        preserveAspectRatio="xMidYMid meet",
        width=WIDTH,
        height=f"{height:g}",
        role="img",
        aria_label=f"{name}: the shares of the reference and of the current table",
    )
    return picture(svg)


def _numbers(name: str, drawing: Distribution, *, alone: bool) -> Markup:
    """Two histograms over one another: the reference filled, the current one as a line."""
    top = max(*drawing.reference, *drawing.current, 1e-9)
    left, right = drawing.edges[0], drawing.edges[-1]
    half = 0.5 if all(edge % 1 == 0.5 for edge in drawing.edges) else 0.0  # whole numbers lie between their edges
    base = HEIGHT - 14
    # halves first: the span of the widest floats has no float of its own
    span = right / 2 - left / 2 or 1.0
    places = [round((edge / 2 - left / 2) / span * WIDTH, 1) for edge in drawing.edges]

    def path(shares: tuple[float, ...]) -> str:
        steps = [f"M{places[0]:g} {base}"]
        for share, end in zip(shares, places[1:], strict=True):
            steps.append(f"V{round(base - share / top * (base - 10), 1):g}H{end:g}")
        return "".join([*steps, f"V{base}"])

    return _svg(
        name,
        HEIGHT,
        tag("path", d=path(drawing.reference) + "Z", fill=REFERENCE, fill_opacity=".42"),
        tag("path", d=path(drawing.current), fill=CURRENT, fill_opacity=".12", stroke=CURRENT, stroke_width="1.6"),
        _text(0, HEIGHT - 3, _amount(left + half)),
        _text(WIDTH, HEIGHT - 3, _amount(right - half), anchor="end"),
        _text(0, 8, f"{top:.0%}" if top >= 0.095 else f"{top:.1%}"),
        *(_hovers(drawing, places, half, base) if alone else ()),
    )


def _hovers(drawing: Distribution, places: list[float], half: float, base: int) -> list[Markup]:
    """An invisible column over each bin that tells its numbers on hover."""
    return [
        tag(
            "rect",
            tag(
                "title",
                f"{_amount(drawing.edges[i] + half)} to {_amount(drawing.edges[i + 1] - half)}: {before:.1%} → {now:.1%}",
            ),
            x=f"{places[i]:g}",
            y=0,
            width=f"{places[i + 1] - places[i]:.1f}",
            height=base,
            fill_opacity=0,
        )
        for i, (before, now) in enumerate(zip(drawing.reference, drawing.current, strict=True))
    ]


def _categories(name: str, drawing: Distribution, *, alone: bool) -> Markup:
    """Pairs of bars for the largest categories; the rest in one pair."""
    rows = largest(drawing, MOST_LABELS_ALONE if alone else MOST_LABELS)
    top = max(*(max(row[1:]) for row in rows), 1e-9)
    room = WIDTH - LABELS - 60
    shapes: list[Markup] = []
    for i, (label, before, now) in enumerate(rows):
        y = i * (2 * BAR + GAP)
        shapes.append(
            _text(LABELS - 5, y + 8.5, cut(label, 16), anchor="end", hover=f"{label}: {before:.2%} → {now:.2%}")
        )
        for share, colour, at in ((before, REFERENCE, y), (now, CURRENT, y + BAR)):
            width = f"{share / top * room:.1f}"
            shapes.append(tag("rect", x=LABELS, y=f"{at:g}", width=width, height=BAR, fill=colour))
        shapes.append(_text(LABELS + max(before, now) / top * room + 4, y + 8.5, f"{before:.0%} → {now:.0%}"))
    return _svg(name, len(rows) * (2 * BAR + GAP), *shapes)


def _text(x: float, y: float, text: str, *, anchor: str = "", hover: str = "") -> Markup:
    return tag(
        "text",
        tag("title", hover) if hover else None,
        text,
        x=f"{x:.4g}",
        y=f"{y:g}",
        fill="currentColor",
        fill_opacity=".75",
        font_size="9.5",
        text_anchor=anchor,
    )


def _amount(number: float) -> str:
    return f"{number:,.0f}" if 1_000 <= abs(number) < 1e7 else f"{number:.4g}"


def _findings(findings: tuple[Finding, ...]) -> Markup | None:
    if not findings:
        return None
    tones = {"error": "bad", "warning": "warn", "info": ""}
    lines = [tag("div", pill(f.severity, tones[f.severity]), " ", f.message) for f in findings[:FINDINGS]]
    if len(findings) > FINDINGS:
        lines.append(note(f"and {len(findings) - FINDINGS} more findings, see .findings"))
    serious = sum(f.severity != "info" for f in findings)
    return tag("div", *lines) if serious else more(f"{len(findings)} remarks", *lines)


def _scores(columns: list[ColumnDrift], *, opened: bool) -> Markup:
    fullest = sorted(columns, key=lambda column: -len(column.scores))  # they have the detectors in their order
    names = list(dict.fromkeys(score.detector for column in fullest for score in column.scores))
    rows = []
    for column in columns:
        by = {score.detector: score for score in column.scores}
        p = min((s.adjusted_p_value for s in column.scores if s.adjusted_p_value is not None), default=None)
        rows.append(
            [
                short(column.name, 32),
                column.kind,
                pill(state(column)),
                *(Number(by[name].value if name in by else None, ".3f") for name in names),
                "<1e-99" if p is not None and p < SMALLEST_P else Number(p, ".2g"),
                f"{column.reference_missing:.1%} → {column.current_missing:.1%}",
            ]
        )
    table = grid(["column", "kind", "verdict", *names, "adjusted p", "missing"], rows)
    return table if opened else more(f"the scores of all {len(columns)} columns", table)


def _convention(report: DriftReport) -> Markup | None:
    lines = report.convention.splitlines()
    return more("how this is judged", *(tag("div", line) for line in lines)) if lines else None
