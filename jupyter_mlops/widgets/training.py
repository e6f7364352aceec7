"""Training: a long fit's curves, drawn the same while it lasts and when it is over."""

from __future__ import annotations

from collections.abc import Sequence

from ..domain.display import seconds
from ..domain.run import Series
from ..domain.training import Training
from .markup import Markup, Number, join, page, pill, tag
from .runs import COLOURS, plot

__all__ = ["training"]

PLOTS = 4
WIDTH, HEIGHT = 360, 110
STATES = {"running": ("fitting", "busy"), "done": ("fitted", "good"), "stopped": ("stopped", "warn")}
SPREAD = "rgba(232,113,10,.45)"


def training(told: Training) -> Markup:
    """A line that says how far it is, and a small plot for each thing that is measured."""
    count = f"{told.unit} {told.done}" + (f" of {told.total}" if told.total else "")
    word, tone = STATES[told.state]
    head = [pill(word, tone), " ", tag("b", told.name), f" · {count} · {seconds(told.took_ms)}"]
    drawn = _folds(told.curves) if told.unit == "fold" else _lines(told.curves)
    return page(*head, tag("div", *drawn[:PLOTS], style="display:flex;flex-wrap:wrap;gap:4px 18px;margin:4px 0"))


def _lines(curves: Sequence[Series]) -> list[Markup]:
    """One plot a measure; the tables it was measured on share it."""
    grouped: dict[str, list[Series]] = {}
    for curve in curves:
        grouped.setdefault(curve.metric.rpartition("/")[2], []).append(curve)
    plots = []
    for measure, lines in grouped.items():
        if not any(len(line.steps) > 1 for line in lines):
            continue
        colours = [COLOURS[i % len(COLOURS)] for i in range(len(lines))]
        names = [line.metric.rpartition("/")[0] for line in lines]
        legend = join(
            (join([tag("span", "●", style=f"color:{colour}"), f" {name} " if name else " ", Number(line.values[-1])])
             for name, line, colour in zip(names, lines, colours, strict=True)), "  ",
        )  # fmt: skip
        plots.append(_titled(measure, legend, plot(lines, colours, width=WIDTH, height=HEIGHT)))
    return plots


def _folds(curves: Sequence[Series]) -> list[Markup]:
    """One plot a score: a dot a fold, the mean so far as a line, and one standard deviation to both sides of it."""
    by_name = {curve.metric: curve for curve in curves}
    plots = []
    for name, folds in by_name.items():
        if not name.endswith("_fold"):
            continue
        score = name.removesuffix("_fold")
        mean, std = by_name.get(f"{score}_mean"), by_name.get(f"{score}_std")
        lines, colours = [folds], [COLOURS[0]]
        told: list[object] = [Number(folds.values[-1])]
        if mean is not None and std is not None and len(mean.steps) == len(std.steps):
            pairs = list(zip(mean.values, std.values, strict=True))
            edges = [tuple(m + sign * s for m, s in pairs) for sign in (-1, 1)]
            lines += [mean, *(Series("", "", mean.steps, edge) for edge in edges)]
            colours += [COLOURS[1], SPREAD, SPREAD]
            told = [Number(pairs[-1][0]), " ± ", Number(pairs[-1][1])]
        drawn = plot(lines, colours, width=WIDTH, height=HEIGHT, dots=1)
        plots.append(_titled(score, join(told), drawn))
    return plots


def _titled(title: str, legend: Markup, drawn: Markup) -> Markup:
    return tag("div", tag("div", tag("b", title), "  ", legend), drawn)
