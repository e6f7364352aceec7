"""A sweep as static HTML: its history, what each parameter explains, and the two that matter most against each other."""

from __future__ import annotations

import math

from ..domain.display import cut, seconds
from ..domain.sweep import Sweep, Trial
from .markup import Markup, Number, facts, grid, note, page, pill, tag

__all__ = ["sweep"]

WIDTH, HEIGHT, EDGE = 340, 170, 34
GOOD, LINE, DIM = "#3d8fd1", "#e07b2a", "rgba(127,127,127,.55)"  # blue and orange, which the colour-blind tell apart
SHOWN = 10
FEWEST = 4  # trials that a picture of two parameters needs
STOPS = ((0, 32, 77), (66, 78, 108), (124, 123, 120), (188, 175, 111), (255, 234, 70))  # cividis


def sweep(found: Sweep) -> Markup:
    """The whole sweep: the best first, then pictures, then the trials."""
    best = found.best
    way = "smallest" if found.minimize else "largest"
    told = [
        (
            "trials",
            f"{len(found.trials)} of {found.asked} ({found.counts()}), {found.method} search, seed {found.seed}",
        ),
        ("took", seconds(found.took_ms)),
    ]
    if best is not None:
        told.insert(0, (f"{way} {found.metric}", f"{best.value:.6g} in trial {best.number}"))
        told.insert(1, ("parameters", ", ".join(f"{k} = {_short(v)}" for k, v in best.params.items())))
    pictures = [picture for picture in (_history(found), _importances(found), _pair(found)) if picture]
    # of parameters that only some trials have, most cells would be empty: those stand in one column
    alone = [name for name in found.space if all(name in t.params for t in found.trials)]
    rest = len(alone) < len(found.space)
    rows = [
        [
            str(t.number),
            pill(t.state),
            Number(t.value),
            *(_short(t.params.get(name, "–")) for name in alone),
            *([", ".join(f"{k} = {_short(v)}" for k, v in t.params.items() if k not in alone)] if rest else []),
            t.reason,
        ]
        for t in found.ranked()[:SHOWN]
    ]
    more = (
        note(f"{len(found.trials) - SHOWN} more: .to_pandas() has them all")
        if len(found.trials) > SHOWN
        else Markup("")
    )
    return page(
        tag("div", found.name, class_="mlops-title"),
        facts(told),
        tag("div", *pictures, style="display:flex;flex-wrap:wrap;gap:10px 26px;margin:6px 0"),
        grid(["trial", "state", found.metric, *alone, *(["parameters"] if rest else []), ""], rows),
        more,
        *(note(line) for line in found.notes),
    )


def _short(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _done(found: Sweep) -> list[Trial]:
    return [t for t in found.trials if t.state == "complete" and t.value is not None and math.isfinite(t.value)]


def _scale(low: float, high: float, start: float, end: float, value: float) -> float:
    return round(start + (value - low) / ((high - low) or 1.0) * (end - start), 1)


def _frame(title: str, *inside: Markup) -> Markup:
    return tag(
        "div",
        tag("div", title, class_="mlops-dim"),
        tag("svg", *inside, width=WIDTH, height=HEIGHT, viewBox=f"0 0 {WIDTH} {HEIGHT}", role="img"),
    )


def _label(x: float, y: float, text: str, anchor: str = "middle") -> Markup:
    return tag("text", text, x=x, y=y, text_anchor=anchor, font_size=10, fill="currentColor", opacity=0.75)


def _axes(low: str, high: str, left: str, right: str, below: str) -> list[Markup]:
    bottom = HEIGHT - EDGE + 8
    return [
        tag("line", x1=EDGE + 14, y1=bottom, x2=WIDTH - 6, y2=bottom, stroke=DIM),
        tag("line", x1=EDGE + 14, y1=8, x2=EDGE + 14, y2=bottom, stroke=DIM),
        _label(EDGE + 10, bottom, low, "end"),
        _label(EDGE + 10, 14, high, "end"),
        _label(EDGE + 14, bottom + 13, left, "start"),
        _label(WIDTH - 6, bottom + 13, right, "end"),
        _label((WIDTH + EDGE) / 2, bottom + 13, below),
    ]


def _history(found: Sweep) -> Markup | None:
    """Every value in the order of the trials, and the best so far as a line."""
    done = _done(found)
    if len(done) < 2:
        return None
    values = [t.value for t in done if t.value is not None]
    low, high = min(values), max(values)
    last = max(t.number for t in done)

    def place(number: int, value: float) -> tuple[float, float]:
        return _scale(0, last, EDGE + 18, WIDTH - 10, number), _scale(
            low if high > low else high - 1, high, HEIGHT - EDGE + 4, 12, value
        )

    best: float | None = None
    line: list[str] = []
    for trial in done:
        value = trial.value or 0.0
        best = value if best is None else min(best, value) if found.minimize else max(best, value)
        x, y = place(trial.number, best)
        line += [f"{x},{line[-1].split(',')[1]}"] if line else []
        line.append(f"{x},{y}")
    dots = [
        tag("circle", tag("title", f"trial {t.number}: {t.value:.6g}"), cx=x, cy=y, r=3, fill=GOOD, fill_opacity=0.65)
        for t in done
        for x, y in [place(t.number, t.value or 0.0)]
    ]
    path = tag("polyline", points=" ".join(line), fill="none", stroke=LINE, stroke_width=1.5)
    axes = _axes(f"{low:.3g}" if high > low else "", f"{high:.3g}", "0", str(last), "trial")
    return _frame(f"{found.metric}, and the best so far", *axes, path, *dots)


def _importances(found: Sweep) -> Markup | None:
    """The share of the variance that each parameter explains."""
    rows = list(found.importances.items())[:7]
    if not rows:
        return None
    bars = []
    for i, (name, share) in enumerate(rows):
        y = 8 + i * 20
        width = round(max(1.0, share * (WIDTH - 170)), 1)
        bars += [
            _label(112, y + 11, cut(name, 18), "end"),
            tag(
                "rect",
                tag("title", f"{name}: {share:.1%}"),
                x=118,
                y=y,
                width=width,
                height=14,
                fill=GOOD,
                fill_opacity=0.75,
            ),
            _label(124 + width, y + 11, f"{share:.0%}", "start"),
        ]
    return _frame("importance (share of the variance explained)", *bars)


def _pair(found: Sweep) -> Markup | None:
    """The two most important parameters that are numbers: a surface through the trials, and the trials on it."""
    done = _done(found)
    names = [
        name
        for name in (*found.importances, *found.space)
        if all(isinstance(t.params.get(name), (int, float)) and not isinstance(t.params[name], bool) for t in done)
    ]
    names = list(dict.fromkeys(names))[:2]
    if len(names) < 2 or len(done) < FEWEST:
        return None
    logs = [found.space.get(name, "").endswith(":log") for name in names]
    points = [tuple(_axis(float(t.params[n]), log) for n, log in zip(names, logs, strict=True)) for t in done]
    values = [t.value or 0.0 for t in done]
    spans = [(min(p[i] for p in points), max(p[i] for p in points)) for i in (0, 1)]
    low, high = min(values), max(values)
    if any(a == b for a, b in spans) or low == high:
        return None
    left, right, top, bottom = EDGE + 18, WIDTH - 10, 12, HEIGHT - EDGE + 4
    cells, across, down = [], 20, 12
    unit = [tuple((p[i] - spans[i][0]) / (spans[i][1] - spans[i][0]) for i in (0, 1)) for p in points]
    for i in range(across):
        for j in range(down):
            u, v = (i + 0.5) / across, (j + 0.5) / down
            weights = [1 / ((u - a) ** 2 + (v - b) ** 2 + 1e-3) ** 1.5 for a, b in unit]
            value = sum(w * x for w, x in zip(weights, values, strict=True)) / sum(weights)
            x, y = left + i * (right - left) / across, bottom - (j + 1) * (bottom - top) / down
            cells.append(
                f'<rect x="{x:.1f}" y="{y:.1f}" width="{(right - left) / across + 0.3:.1f}" '
                f'height="{(bottom - top) / down + 0.3:.1f}" fill="{_colour((value - low) / (high - low))}"/>'
            )
    dots = [
        tag(
            "circle",
            tag(
                "title",
                f"trial {t.number}: {found.metric} {t.value:.6g}; "
                + ", ".join(f"{n} {_short(t.params[n])}" for n in names),
            ),
            cx=round(left + a * (right - left), 1),
            cy=round(bottom - b * (bottom - top), 1),
            r=3,
            fill=_colour((value - low) / (high - low)),
            stroke="#fff",
        )
        for t, (a, b), value in zip(done, unit, values, strict=True)
    ]
    shown = [[f"{(10**edge if log else edge):.3g}" for edge in span] for span, log in zip(spans, logs, strict=True)]
    axes = _axes(shown[1][0], shown[1][1], shown[0][0], shown[0][1], names[0])
    title = f"{found.metric} over {names[0]} (across) and {names[1]} (up); bright is large"
    surface = tag("g", Markup("".join(cells)), shape_rendering="crispEdges")  # smoothed edges would show as a lattice
    return _frame(title, surface, *axes, *dots)


def _axis(value: float, log: bool) -> float:
    return math.log10(value) if log and value > 0 else value


def _colour(share: float) -> str:
    """Cividis at a place from 0 to 1."""
    at = min(max(share, 0.0), 1.0) * (len(STOPS) - 1)
    i = min(int(at), len(STOPS) - 2)
    mixed = [round(a + (b - a) * (at - i)) for a, b in zip(STOPS[i], STOPS[i + 1], strict=True)]
    return "#" + "".join(f"{part:02x}" for part in mixed)
