"""The small figures of an evaluation, as SVG in the colours of the page: a plane with lines and points, and intervals."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

from ..domain.display import cut
from .markup import Markup, picture

__all__ = ["BLUE", "GREY", "LABELS", "ORANGE", "Series", "confusion", "intervals", "plane"]

BLUE, ORANGE, GREY = "#2185f0", "#e8710a", "rgba(127,127,127,.75)"  # blue and orange stay apart for every eye
WIDTH, HEIGHT = 250, 170
LEFT, RIGHT, TOP, BOTTOM = 40, 8, 8, 32
TEXT = 'fill="currentColor" font-size="10"'
LABELS, PLOT, LINE, CHARACTER = 200, 190, 18, 6  # a character of the labels is 6 pixels wide, with room


@dataclass(frozen=True)
class Series:
    """Something in a plane: a ``line``, ``points``, ``bars`` or whiskers (with ``low`` and ``high``)."""

    x: Sequence[float]
    y: Sequence[float]
    kind: str = "line"
    colour: str = BLUE
    dashed: bool = False
    low: Sequence[float] = ()
    high: Sequence[float] = ()


def plane(
    title: str,
    series: Sequence[Series],
    *,
    x_label: str,
    y_label: str,
    x_range: tuple[float, float] | None = None,
    y_range: tuple[float, float] | None = None,
    mark: float | None = None,
) -> Markup:
    """Two axes and what lies between them; `mark` is a vertical line."""
    xs, ys = [v for s in series for v in s.x], [v for s in series for v in (*s.y, *s.low, *s.high)]
    if any(s.kind == "bars" for s in series):
        ys.append(0.0)
    (x0, x1), (y0, y1) = x_range or _range(xs), y_range or _range(ys)

    def at(x: float, y: float) -> tuple[float, float]:
        return (
            round(LEFT + (x - x0) / (x1 - x0) * (WIDTH - LEFT - RIGHT), 1),
            round(HEIGHT - BOTTOM - (y - y0) / (y1 - y0) * (HEIGHT - TOP - BOTTOM), 1),
        )

    parts = [_axes(x0, x1, y0, y1, x_label, y_label)]
    if mark is not None:
        x, _ = at(mark, y0)
        parts.append(
            f'<line x1="{x}" y1="{TOP}" x2="{x}" y2="{HEIGHT - BOTTOM}" stroke="{ORANGE}" stroke-dasharray="3 3"/>'
        )
    parts += [_drawn(s, at) for s in series]
    return _svg(title, WIDTH, HEIGHT, parts)


def _drawn(s: Series, place: Callable[[float, float], tuple[float, float]]) -> str:
    points = [place(x, y) for x, y in zip(s.x, s.y, strict=True) if _drawable(x) and _drawable(y)]
    dash = ' stroke-dasharray="4 3"' if s.dashed else ""
    if s.kind == "bars":
        width = max(1.0, (points[1][0] - points[0][0]) * 0.9) if len(points) > 1 else 10.0
        _, ground = place(s.x[0], 0.0)
        return "".join(
            f'<rect x="{x - width / 2:.1f}" y="{y}" width="{width:.1f}" height="{max(0.0, ground - y):.1f}" fill="{s.colour}"/>'
            for x, y in points
        )
    if s.kind == "points":
        return "".join(f'<circle cx="{x}" cy="{y}" r="1.6" fill="{s.colour}" fill-opacity=".55"/>' for x, y in points)
    drawn = ""
    for x, low, high in zip(s.x, s.low, s.high, strict=False):
        if not all(map(_drawable, (x, low, high))):
            continue
        (left, bottom), (_, top) = place(x, low), place(x, high)
        drawn += f'<line x1="{left}" y1="{bottom}" x2="{left}" y2="{top}" stroke="{s.colour}"/>'
    if s.low:
        drawn += "".join(f'<circle cx="{x}" cy="{y}" r="2.5" fill="{s.colour}"/>' for x, y in points)
    path = " ".join(f"{x},{y}" for x, y in points)
    return f'{drawn}<polyline points="{path}" fill="none" stroke="{s.colour}" stroke-width="1.6"{dash}/>'


def _axes(x0: float, x1: float, y0: float, y1: float, x_label: str, y_label: str) -> str:
    bottom, right = HEIGHT - BOTTOM, WIDTH - RIGHT
    return (
        f'<path d="M{LEFT} {TOP}V{bottom}H{right}" fill="none" stroke="{GREY}"/>'
        f'<text x="{LEFT}" y="{bottom + 12}" {TEXT}>{_short(x0)}</text>'
        f'<text x="{right}" y="{bottom + 12}" text-anchor="end" {TEXT}>{_short(x1)}</text>'
        f'<text x="{LEFT - 4}" y="{bottom}" text-anchor="end" {TEXT}>{_short(y0)}</text>'
        f'<text x="{LEFT - 4}" y="{TOP + 8}" text-anchor="end" {TEXT}>{_short(y1)}</text>'
        f'<text x="{(LEFT + right) / 2}" y="{HEIGHT - 6}" text-anchor="middle" {TEXT}>{escape(x_label)}</text>'
        f'<text transform="translate(11 {(TOP + bottom) / 2}) rotate(-90)" text-anchor="middle" {TEXT}>{escape(y_label)}</text>'
    )


def intervals(
    title: str,
    rows: Sequence[tuple[str, float, float | None, float | None, str, bool]],
    *,
    mark: float | None = None,
    labels: int = LABELS,
) -> Markup:
    """Points with intervals, one a line: label, value, low, high, what stands behind, whether to stress it.

    Parameters
    ----------
    mark
        A reference, as a dashed line.
    labels
        The largest width of the labels' column in pixels; what does not fit is told on hover.
    """
    shown = [cut(label, labels * 3 // 20) for label, *_ in rows]
    labels = min(labels, CHARACTER * max(map(len, shown), default=0) + CHARACTER)
    behind_all = CHARACTER * max((len(behind) for *_, behind, _ in rows), default=0) + CHARACTER
    values = [v for _, value, low, high, _, _ in rows for v in (value, low, high) if v is not None]
    x0, x1 = _range([*values, *([mark] if mark is not None else [])])
    height = LINE * len(rows) + 16

    def at(x: float) -> float:
        return round(labels + 8 + (x - x0) / (x1 - x0) * (PLOT - 16), 1)

    parts = []
    if mark is not None:
        parts.append(
            f'<line x1="{at(mark)}" y1="0" x2="{at(mark)}" y2="{height - 16}" stroke="{GREY}" stroke-dasharray="3 3"/>'
        )
    for i, (label, value, low, high, behind, stressed) in enumerate(rows):
        y = LINE * i + LINE / 2
        colour = ORANGE if stressed else BLUE
        parts.append(
            f'<text x="{labels}" y="{y + 4}" text-anchor="end" {TEXT}>{escape(shown[i])}<title>{escape(label)}</title></text>'
        )
        if low is not None and high is not None and _drawable(low) and _drawable(high):
            parts.append(f'<line x1="{at(low)}" y1="{y}" x2="{at(high)}" y2="{y}" stroke="{colour}" stroke-width="2"/>')
        if _drawable(value):
            parts.append(f'<circle cx="{at(value)}" cy="{y}" r="3.5" fill="{colour}"/>')
        parts.append(f'<text x="{labels + PLOT + 4}" y="{y + 4}" {TEXT}>{escape(behind)}</text>')
    parts.append(f'<text x="{at(x0)}" y="{height - 3}" {TEXT}>{_short(x0)}</text>')
    parts.append(f'<text x="{at(x1)}" y="{height - 3}" text-anchor="end" {TEXT}>{_short(x1)}</text>')
    return _svg(title, labels + PLOT + behind_all, height, parts)


def confusion(counts: Sequence[Sequence[int]], classes: Sequence[str]) -> Markup:
    """The confusion matrix, shaded by the share of each true class."""
    size, cell = len(classes), 52 if len(classes) <= 4 else 34
    left, top = 70, 26
    parts = [
        f'<text x="{left + size * cell / 2}" y="10" text-anchor="middle" {TEXT}>predicted</text>',
        f'<text transform="translate(10 {top + size * cell / 2}) rotate(-90)" text-anchor="middle" {TEXT}>true</text>',
    ]
    for i, line in enumerate(counts):
        total = sum(line) or 1
        label = cut(classes[i], 9)
        y = top + i * cell
        parts.append(f'<text x="{left - 4}" y="{y + cell / 2 + 4}" text-anchor="end" {TEXT}>{escape(label)}</text>')
        parts.append(
            f'<text x="{left + (i + 0.5) * cell}" y="{top - 4}" text-anchor="middle" {TEXT}>{escape(label)}</text>'
        )
        for j, count in enumerate(line):
            colour, x = (BLUE if i == j else ORANGE), left + j * cell
            parts.append(
                f'<rect x="{x}" y="{y}" width="{cell - 1}" height="{cell - 1}" fill="{colour}" '
                f'fill-opacity="{0.06 + 0.6 * count / total:.2f}"/>'
                f'<text x="{x + cell / 2}" y="{y + cell / 2 + 4}" text-anchor="middle" {TEXT}>{count:,}</text>'
            )
    return _svg("confusion matrix", left + size * cell, top + size * cell, parts)


def _svg(title: str, width: float, height: float, parts: Sequence[str]) -> Markup:
    svg = Markup(
        f'<svg viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img" '
        f'aria-label="{escape(title)}">{" ".join(parts)}</svg>'
    )
    return picture(svg)


def _drawable(value: float | None) -> bool:
    """Whether a number has a place on an axis; an interval's end may be none, infinite or not a number."""
    return value is not None and abs(value) <= FARTHEST  # false for what is not a number, too


def _range(values: Sequence[float]) -> tuple[float, float]:
    known = [value for value in values if _drawable(value)]
    low, high = min(known, default=0.0), max(known, default=1.0)
    if high == low:
        reach = max(0.5, abs(low) / 2)
        return low - reach, high + reach
    return low, high


FARTHEST = 1e300  # so that a range of such numbers is still a number
TINY = 0.001  # more digits than the margin holds
HUNDRED, LARGE = 100, 10_000
THOUSANDS = ((1e9, "G"), (1e6, "M"), (1e3, "k"))
MOST_SCALED = 1e12


def _short(value: float) -> str:
    if value and abs(value) < TINY:
        return f"{value:.0e}"
    if abs(value) < LARGE:
        return f"{value:.4g}" if abs(value) >= HUNDRED else f"{value:.3g}"
    scale, letter = next((at, unit) for at, unit in THOUSANDS if abs(value) >= at)
    return f"{value / scale:.3g}{letter}" if abs(value) < MOST_SCALED else f"{value:.0e}"
