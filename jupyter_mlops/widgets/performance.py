"""Performance as static HTML: the verdict, metrics against time with alerts marked, one window in numbers, slices, causes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ..domain.display import border
from ..domain.evaluation_parts import MetricValue
from ..domain.performance import AlertMark, Labelled, Performance, PerformanceWindow, Why
from .markup import Markup, Number, grid, join, more, note, page, picture, pill, tag

__all__ = ["labelled", "performance"]

# Shape and dash tell the two lines apart as well as colour does: solid with dots is realised, dashed is estimated.
REALISED, ESTIMATED, ALERT = "#2b8cce", "#d55e00", "#dd4422"
WIDE, HIGH, LEFT, TOP, BOTTOM, RIGHT = 620, 150, 46, 16, 20, 12
SMALL_WIDE, SMALL_HIGH = 300, 96
GRID = "rgba(127,127,127,.25)"
BESIDE = 4


def labelled(told: Labelled) -> Markup:
    """The counts of a table of labels."""
    first, second = told.text().split("\n", 1)
    return page(tag("div", first), note(second))


def performance(p: Performance) -> Markup:
    """What one reads in five seconds first: the verdict and the headline metric against time."""
    return page(
        tag("div", p.deployment, class_="mlops-title"),
        tag("div", p.verdict),
        _timeline(p) if len(p.windows) > 1 else _window(p.windows[0]) if p.windows else None,
        _slices(p),
        _why(p.why) if p.why else None,
        _error(p),
        more("every window", _table(p)) if len(p.windows) > 1 else None,
        more("what the numbers mean", *(tag("div", line) for line in p.conventions)),
        *(note(line) for line in p.notes),
    )


def _timeline(p: Performance) -> Markup:
    names = list(dict.fromkeys(m.name for w in p.windows for m in (*w.realised, *w.estimated)))
    rest = [name for name in names if name != p.headline][:BESIDE]
    latency = any(w.responses and w.responses.p99_ms is not None for w in p.windows)
    small = [_figure(p, name, SMALL_WIDE, SMALL_HIGH) for name in rest]
    if latency:
        small.append(_latency(p))
    return tag(
        "div",
        _figure(p, p.headline, WIDE, HIGH),
        _key(p),
        tag("div", *small, style="display:flex;flex-wrap:wrap;gap:6px 18px;margin:6px 0"),
    )


def _figure(p: Performance, name: str, width: int, height: int) -> Markup:
    real = [(w, w.metric(name)) for w in p.windows]
    guess = [(w, w.metric(name, estimated=True)) for w in p.windows]
    every = [m for _, m in (*real, *guess) if m is not None and m.value is not None]
    ends = [v for m in every for v in (m.value, m.low, m.high) if v is not None]
    if not ends:
        return Markup("")
    low, high = min(ends), max(ends)
    low, high = (low - 0.02, high + 0.02) if high - low < 1e-9 else (low, high)
    draw = _Axes(p.windows, low, high, width, height)
    shapes = [*draw.frame(), *_alerts(p.alerts, draw)]
    for points, colour, dash in ((guess, ESTIMATED, "4 3"), (real, REALISED, "")):
        shapes += _line(draw, points, colour, dash)
    return _svg(width, height, name, shapes)


def _latency(p: Performance) -> Markup:
    values = [r.p99_ms for w in p.windows if (r := w.responses) and r.p99_ms is not None]
    draw = _Axes(p.windows, 0.0, max(values) or 1.0, SMALL_WIDE, SMALL_HIGH)
    shapes = draw.frame()
    for name, dash in (("p50_ms", ""), ("p95_ms", "4 3"), ("p99_ms", "1 3")):
        points = [(w, getattr(w.responses, name)) for w in p.windows if w.responses]
        path = draw.path([(w, v) for w, v in points if v is not None])
        told = tag("title", f"{name.removesuffix('_ms')} latency")
        shapes.append(
            tag("path", told, d=path, fill="none", stroke="currentColor", stroke_width=1.4, stroke_dasharray=dash)
        )
        shapes += [
            draw.dot(w, v, "currentColor", f"{name.removesuffix('_ms')} {v:.3g} ms", size=1.6)
            for w, v in points
            if v is not None
        ]
    return _svg(SMALL_WIDE, SMALL_HIGH, "latency ms: p50 –, p95 - -, p99 ··", shapes)


class _Axes:
    """Windows along the time, values upwards."""

    def __init__(self, windows: Sequence[PerformanceWindow], low: float, high: float, width: int, height: int) -> None:
        self.windows = windows
        self.low, self.high = low, high
        self.width, self.height = width, height
        self.start, self.end = windows[0].start_ms, windows[-1].end_ms

    def x(self, ms: float) -> float:
        share = (ms - self.start) / max(self.end - self.start, 1)
        return LEFT + min(max(share, 0.0), 1.0) * (self.width - LEFT - RIGHT)

    def middle(self, window: PerformanceWindow) -> float:
        return self.x((window.start_ms + window.end_ms) / 2)

    def y(self, value: float) -> float:
        share = (value - self.low) / max(self.high - self.low, 1e-12)
        return TOP + (1 - share) * (self.height - TOP - BOTTOM)

    def path(self, points: Sequence[tuple[PerformanceWindow, float]]) -> str:
        return "".join(f"{'L' if i else 'M'}{self.middle(w):.1f} {self.y(v):.1f}" for i, (w, v) in enumerate(points))

    def dot(self, window: PerformanceWindow, value: float, colour: str, told: str, size: float = 2.6) -> Markup:
        hover = tag("title", f"{told}; {border(window.start_ms)}, {window.labelled:,} of {window.rows:,} labelled")
        return tag("circle", hover, cx=f"{self.middle(window):.1f}", cy=f"{self.y(value):.1f}", r=size, fill=colour)

    def frame(self) -> list[Markup]:
        shapes = []
        for value in (self.low, (self.low + self.high) / 2, self.high):
            y = f"{self.y(value):.1f}"
            shapes.append(tag("line", x1=LEFT, x2=self.width - RIGHT, y1=y, y2=y, stroke=GRID))
            shapes.append(_text(LEFT - 5, self.y(value) + 3.5, f"{value:.3g}", "end"))
        shapes.append(_text(LEFT, self.height - 5, border(self.start), "start"))
        if self.width > 2 * LEFT + 230:
            shapes.append(_text(self.width - RIGHT, self.height - 5, border(self.end), "end"))
        return shapes


def _line(
    draw: _Axes, points: Sequence[tuple[PerformanceWindow, MetricValue | None]], colour: str, dash: str
) -> list[Markup]:
    there = [(w, m, m.value) for w, m in points if m is not None and m.value is not None]
    if not there:
        return []
    shapes = []
    banded = [(w, m.low, m.high) for w, m, _ in there if m.low is not None and m.high is not None]
    if len(banded) > 1:
        up = draw.path([(w, h) for w, _, h in banded])
        down = draw.path([(w, low) for w, low, _ in reversed(banded)]).replace("M", "L", 1)
        shapes.append(tag("path", d=f"{up}{down}z", fill=colour, fill_opacity=0.15))
    shapes.append(
        tag(
            "path",
            d=draw.path([(w, v) for w, _, v in there]),
            fill="none",
            stroke=colour,
            stroke_width=1.8,
            stroke_dasharray=dash,
        )
    )
    word = "estimated" if dash else "realised"
    shapes += [draw.dot(w, v, colour, f"{word} {m.name} {m}", 1.8 if dash else 2.8) for w, m, v in there]
    return shapes


def _alerts(alerts: Sequence[AlertMark], draw: _Axes) -> list[Markup]:
    shapes = []
    for alert in alerts:
        left, right = draw.x(alert.start_ms), draw.x(alert.end_ms if alert.end_ms is not None else draw.end)
        hover = tag("title", f"alert: {alert.rule}, since {border(alert.start_ms)}")
        height = draw.height - TOP - BOTTOM
        shapes.append(
            tag(
                "rect",
                hover,
                x=f"{left:.1f}",
                y=TOP,
                width=f"{max(right - left, 2):.1f}",
                height=height,
                fill=ALERT,
                fill_opacity=0.1,
            )
        )
        shapes.append(tag("path", d=f"M{left:.1f} {TOP - 1}l-4.5 -8h9z", fill=ALERT))
        shapes.append(
            tag(
                "line",
                x1=f"{left:.1f}",
                x2=f"{left:.1f}",
                y1=TOP,
                y2=TOP + height,
                stroke=ALERT,
                stroke_dasharray="2 2",
            )
        )
    return shapes


def _svg(width: int, height: int, title: str, shapes: Sequence[Markup]) -> Markup:
    svg = tag(
        "svg",
        _text(LEFT, 10, title, "start"),
        join(shapes, " "),
        viewBox=f"0 0 {width} {height}",
        width=width,
        height=height,
        role="img",
        aria_label=f"{title} over time",
        style="max-width:100%;height:auto",
    )
    return picture(svg)


def _text(x: float, y: float, text: str, anchor: str) -> Markup:
    return tag("text", text, x=f"{x:g}", y=f"{y:g}", font_size="10.5", fill="currentColor", text_anchor=anchor)


def _key(p: Performance) -> Markup:
    parts = [("● realised, with its interval", REALISED)]
    if any(w.estimated for w in p.windows):
        parts.append(("- - estimated, with its interval", ESTIMATED))
    if p.alerts:
        parts.append(("▼ alert", ALERT))
    spans = [
        tag("span", text, style=f"color:{colour};margin-right:16px;font-weight:600;white-space:nowrap")
        for text, colour in parts
    ]
    return tag("div", *spans)


def _window(window: PerformanceWindow) -> Markup:
    names = dict.fromkeys(m.name for m in (*window.realised, *window.estimated))
    rows = [(name, _value(window.metric(name)), _value(window.metric(name, estimated=True))) for name in names]
    about = f"{window.rows:,} rows, {window.labelled:,} with a label, answered by {', '.join(window.models)}"
    r = window.responses
    told = None
    if r is not None and r.p50_ms is not None:
        failed = "" if r.error_rate is None else f", {r.error_rate:.2%} failed"
        times = {"p50": r.p50_ms, "p95": r.p95_ms, "p99": r.p99_ms}
        shown = ", ".join(f"{name} {ms:.3g} ms" for name, ms in times.items() if ms is not None)
        rate = "" if r.per_second is None else f"; {r.per_second:.3g} a second"
        told = note(f"{r.requests:,} requests{failed}; {shown}{rate}")
    return join([note(about), grid(("metric", "realised", "estimated"), rows) if rows else None, told])


def _value(metric: MetricValue | None) -> Markup | str:
    return "–" if metric is None else str(metric)


def _table(p: Performance) -> Markup:
    at: Callable[[PerformanceWindow, bool], Markup | str] = lambda w, e: _value(w.metric(p.headline, estimated=e))  # noqa: E731
    rows = [
        (
            border(w.start_ms),
            Number(float(w.rows), ",.0f"),
            Number(float(w.labelled), ",.0f"),
            at(w, False),
            at(w, True),
            Number(w.responses.p99_ms if w.responses else None, ".3g"),
            Number(w.responses.error_rate if w.responses else None, ".2%"),
            ", ".join(w.models),
        )
        for w in reversed(p.windows)
    ]
    heads = ("from", "rows", "labels", p.headline, "estimated", "p99 ms", "failed", "versions")
    return grid(heads, rows)


def _slices(p: Performance) -> Markup | None:
    if p.slices is None:
        return None
    rows = [
        (
            s.name,
            Number(float(s.rows), ",.0f"),
            Number(s.value, ".3f"),
            Number(s.low, ".3f"),
            Number(s.high, ".3f"),
            pill("worse", "bad") if s.worse else "",
        )
        for s in p.slices.slices[:20]
    ]
    return grid(("slice", "rows", p.slices.metric, "low", "high", ""), rows)


def _why(why: Why) -> Markup:
    told = any(c.shap is not None for c in why.causes)  # only where it was asked for
    rows = [
        (
            c.column,
            Number(c.mix, "+.4f"),
            tag("span", f"{c.detector} {c.drift:.3g}", class_="mlops-pill mlops-warn" if c.drifted else "")
            if c.drift is not None
            else "–",
            *((Number(c.shap, "+.4f"),) if told else ()),
            f"{c.worst} ({c.worst_change:+.4f})" if c.worst else "–",
        )
        for c in why.causes[:12]
    ]
    return tag(
        "div",
        tag("div", why.lines()[0], style="margin-top:8px;font-weight:600"),
        grid(("column", "loss by its shift", "drift", *(("SHAP moved",) if told else ()), "worst slice"), rows),
        more("what this means", tag("div", why.convention), *(tag("div", n) for n in why.notes)),
    )


def _error(p: Performance) -> Markup | None:
    if not p.estimation_error:
        return None
    told = ", ".join(f"{name} {value:.3f}" for name, value in p.estimation_error.items())
    return note(f"estimates were off by (mean over windows with labels): {told}")
