"""Drift over time as static HTML: a heat map of columns by windows, the verdict above, one column's numbers on hover."""

from __future__ import annotations

from ..domain.display import clock, cut
from ..domain.drift_history import DriftHistory, DriftWindow
from .markup import Markup, join, more, note, page, picture, tag

__all__ = ["static_html"]

# Shade and mark both tell the state: neither needs colour vision nor a certain background.
FILLS = {
    "ok": ("rgba(127,127,127,.16)", ""),
    "drift": ("#f4a259", "•"),
    "strong": ("#b3400a", "▲"),
    "unjudged": ("none", "?"),
}
WORDS = {"ok": "no drift", "drift": "slight drift", "strong": "strong drift", "unjudged": "not judged"}
SIZE, GAP, NAMES, SINCE, WIDEST = 15, 1, 150, 140, 60
DRAWN = 60
LONGEST = 22


def static_html(history: DriftHistory) -> Markup:
    """The history without any script; the columns that drift most stand on top."""
    windows = history.windows[-WIDEST:]
    places = history.ordered()[:DRAWN]
    what = f"{history.deployment} ({history.model}) every {history.every}, against {history.against}"
    left = len(history.columns) - len(places)
    return page(
        tag("div", history.verdict, class_="mlops-title"),
        tag("div", what),
        _map(history, windows, places) if windows else None,
        _key() if windows else None,
        note(f"{left} more columns, see .to_pandas()") if left else None,
        _findings(windows),
        more("how this is judged", *(tag("div", line) for line in history.convention.splitlines()))
        if history.convention
        else None,
    )


def _map(history: DriftHistory, windows: tuple[DriftWindow, ...], places: list[int]) -> Markup:
    step = SIZE + GAP
    shapes: list[Markup] = []
    quiet: list[str] = []  # one shape for all: most cells are quiet, and a report must stay small
    for row, place in enumerate(places):
        name, y = history.columns[place], row * step
        shapes.append(_text(NAMES - 6, y + 11, cut(name, LONGEST), "end", name))
        for i, window in enumerate(windows):
            if window.cell(place).state == "ok":
                quiet.append(f"M{NAMES + i * step} {y}h{SIZE}v{SIZE}h-{SIZE}z")
            else:
                shapes.append(_cell(window, name, place, NAMES + i * step, y))
        since = history.since(name)
        if since is not None:
            shapes.append(_text(NAMES + len(windows) * step + 6, y + 11, f"since {clock(since)[:16]}", "start", ""))
    shapes.insert(0, tag("path", d="".join(quiet), fill=FILLS["ok"][0]))
    # the time and the rows of a window on hover, over the whole of it
    shapes[1:1] = [
        tag(
            "rect",
            tag("title", _when(w)),
            x=NAMES + i * step,
            y=0,
            width=SIZE,
            height=len(places) * step,
            fill_opacity=0,
        )
        for i, w in enumerate(windows)
    ]
    height = len(places) * step + 16
    ends = ((windows[0].start_ms, NAMES, "start"), (windows[-1].end_ms, NAMES + len(windows) * step, "end"))
    for ms, x, anchor in ends if len(windows) * step > 2 * SINCE else ends[:1]:
        shapes.append(_text(x, height - 4, clock(ms)[:16], anchor, ""))
    width = NAMES + len(windows) * step + SINCE
    svg = tag(
        "svg",
        join(shapes, " "),
        viewBox=f"0 0 {width} {height}",
        width=width,
        height=height,
        role="img",
        style="max-width:100%;height:auto;margin:6px 0",
        aria_label=f"drift of {len(places)} columns in {len(windows)} windows",
    )
    return picture(svg)


def _cell(window: DriftWindow, name: str, place: int, x: int, y: int) -> Markup:
    cell = window.cell(place)
    fill, mark = FILLS[cell.state]
    number = "" if cell.value is None else f"; {cell.detector} {cell.value:.3g}"
    told = f"{name}: {WORDS[cell.state]}{number}; {_when(window)}"
    square = tag(
        "rect",
        x=x,
        y=y,
        width=SIZE,
        height=SIZE,
        rx=2,
        fill=fill,
        stroke="rgba(127,127,127,.45)" if fill == "none" else "",
    )
    sign = None
    if mark:
        colour = {"drift": "#3b1d00", "strong": "#fff"}.get(cell.state, "currentColor")
        sign = tag("text", mark, x=x + SIZE / 2, y=y + 11, font_size=9, text_anchor="middle", fill=colour)
    return tag("g", tag("title", told), square, sign)


def _when(window: DriftWindow) -> str:
    return f"{clock(window.start_ms)[:16]} to {clock(window.end_ms)[5:16]}, {window.rows:,} rows"


def _text(x: float, y: float, text: str, anchor: str, hover: str) -> Markup:
    title = tag("title", hover) if hover else None
    return tag("text", title, text, x=f"{x:g}", y=f"{y:g}", font_size="11", fill="currentColor", text_anchor=anchor)


def _key() -> Markup:
    parts = []
    for state, word in WORDS.items():
        fill, mark = FILLS[state]
        box = tag(
            "span",
            mark or " ",
            style=f"display:inline-block;width:13px;height:13px;line-height:13px;text-align:center;font-size:9px;border-radius:2px;"
            f"margin-right:4px;background:{'transparent' if fill == 'none' else fill};"
            f"color:{'#fff' if state == 'strong' else '#3b1d00' if state == 'drift' else 'inherit'};"
            f"border:{'1px solid rgba(127,127,127,.6)' if fill == 'none' else '0'}",
        )
        parts.append(tag("span", box, word, style="margin-right:14px;white-space:nowrap"))
    return tag("div", *parts, class_="mlops-dim")


def _findings(windows: tuple[DriftWindow, ...]) -> Markup | None:
    told = [tag("div", f"{clock(w.start_ms)[:16]}: {text}") for w in reversed(windows) for text in w.findings]
    return more(f"{len(told)} findings of these windows", *told[:60]) if told else None
