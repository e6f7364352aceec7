"""Parallel coordinates: every run a line through an axis for each parameter and metric in which the runs differ."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite, log10

from ..domain.display import cut
from ..domain.run import RunComparison
from .markup import Markup, tag

__all__ = ["parallel"]

MOST_AXES, MOST_RUNS = 8, 200
GAP, HEIGHT, TOP, FOOT, SIDE = 112, 190, 34, 20, 56
LONGEST = 15
WIDE = 100  # times the lowest value that the highest is, from where on an axis of positive parameters is logarithmic
RAMP = ("#8b5cf6", "#3b82f6", "#14a38b", "#65a30d", "#ca8a04")
"""From the lowest value of the last axis to its highest; of middle lightness, so that both themes show every one."""

Axis = tuple[str, list[float | None], tuple[str, str]]


def parallel(compared: RunComparison) -> Markup:
    """The plot; nothing when there are not two axes. A run that lacks a value has a gap in its line there."""
    axes = _axes(compared)
    if len(axes) < 2:
        return Markup("")
    width = 2 * SIDE + GAP * (len(axes) - 1)
    tones = _tones(axes[-1][1])
    lines = [
        tag("polyline", points=points, fill="none", stroke=tones[i], stroke_width="1.6", stroke_opacity=".75")
        for i in range(min(len(compared.runs), MOST_RUNS))
        for points in _pieces([values[i] for _, values, _ in axes])
    ]
    frame = []
    for number, (name, _, ends) in enumerate(axes):
        x = SIDE + GAP * number
        frame.append(tag("path", d=f"M{x},{TOP}V{HEIGHT - FOOT}", stroke="currentColor", stroke_opacity=".45"))
        frame.append(_label(cut(name, LONGEST), x, 12, weight="bold"))
        frame += [_label(ends[1], x, TOP - 6), _label(ends[0], x, HEIGHT - FOOT + 13)]
    drawn = tag("svg", *lines, *frame, width=width, height=HEIGHT, viewBox=f"0 0 {width} {HEIGHT}", role="img")
    left = len(compared.runs) - MOST_RUNS
    note = f"; {left} runs are not drawn" if left > 0 else ""
    says = tag("span", f"every line a run, coloured by {axes[-1][0]}{note}", class_="mlops-dim")
    return tag("div", says, tag("div", drawn, style="overflow-x:auto"), style="margin:8px 0")


def _axes(compared: RunComparison) -> list[Axis]:
    """Parameters first, then metrics; of each, those in which runs differ."""
    params = [(f"{name} (log)" if _wide(values) else name, _placed(values)) for name, values in compared.params.items()]
    metrics = [
        (name, _scaled([None if v is None or not isfinite(v) else float(v) for v in values]))
        for name, values in sorted(compared.metrics.items(), key=lambda item: not item[0].startswith("training_"))
    ]
    shown = [(name, *found) for name, found in params if found is not None][: MOST_AXES // 2]
    last = [(name, *found) for name, found in metrics if found is not None]
    return [*shown, *last[-(MOST_AXES - len(shown)) :]]


def _placed(values: Sequence[str | None]) -> tuple[list[float | None], tuple[str, str]] | None:
    """A parameter's values along its axis: as numbers where all are, else its words in their order of appearance."""
    try:
        numbers = [None if v is None else float(v) for v in values]
        if not _wide(values):
            return _scaled(numbers)
        found = _scaled([None if v is None else log10(v) for v in numbers])
        known = [v for v in numbers if v is not None]
        return found and (found[0], (f"{min(known):.4g}", f"{max(known):.4g}"))
    except ValueError:
        words = list(dict.fromkeys(v for v in values if v is not None))
        scaled = _scaled([None if v is None else float(words.index(v)) for v in values])
        return None if scaled is None else (scaled[0], (words[0][:LONGEST], words[-1][:LONGEST]))


def _wide(values: Sequence[str | None]) -> bool:
    """Whether a parameter was tried over magnitudes, as learning rates are."""
    try:
        known = [float(v) for v in values if v is not None]
    except ValueError:
        return False
    return len(known) > 1 and all(isfinite(v) and v > 0 for v in known) and max(known) >= WIDE * min(known)


def _scaled(values: Sequence[float | None]) -> tuple[list[float | None], tuple[str, str]] | None:
    known = [v for v in values if v is not None and isfinite(v)]
    low, high = min(known, default=0.0), max(known, default=0.0)
    if not high > low or not isfinite(high - low):
        return None
    scaled = [None if v is None or not isfinite(v) else (v - low) / (high - low) for v in values]
    return scaled, (f"{low:.4g}", f"{high:.4g}")


def _tones(values: Sequence[float | None]) -> list[str]:
    return ["#888888" if v is None else RAMP[min(int(v * len(RAMP)), len(RAMP) - 1)] for v in values]


def _pieces(values: Sequence[float | None]) -> list[str]:
    """The points of a run's line, in as many pieces as gaps make of it."""
    pieces: list[list[str]] = [[]]
    for number, value in enumerate(values):
        if value is None:
            pieces.append([])
        else:
            pieces[-1].append(f"{SIDE + GAP * number},{TOP + (1 - value) * (HEIGHT - FOOT - TOP):.1f}")
    return [" ".join(piece) for piece in pieces if len(piece) > 1]


def _label(text: str, x: int, y: int, *, weight: str = "normal") -> Markup:
    return tag("text", text, x=x, y=y, text_anchor="middle", font_size="10.5", font_weight=weight, fill="currentColor")
