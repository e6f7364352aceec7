"""Feature selection: what each method kept, what a model makes of it, and how every method ranks every column."""

from __future__ import annotations

from ..domain.feature_selection import FeatureSelection, SelectionStep
from .markup import Markup, Number, facts, grid, note, page, pill, short, tag

__all__ = ["selection"]

WIDE, HIGH = 220, 14  # pixels of a row's drawing of folds
BLUE, DIM = "#3d8fd1", "rgba(127,127,127,.45)"
SHOWN = 24  # columns in the table of scores


def selection(found: FeatureSelection) -> Markup:
    """The methods side by side, then the columns with every method's score."""
    values = [value for step in found.steps for value in step.folds if value == value]  # noqa: PLR0124 not a number
    low, high = (min(values), max(values)) if values else (0.0, 1.0)
    best = found.best
    rows = [
        [
            tag("b", step.method) if step is best else step.method,
            pill("best", "good") if step is best else "",
            Number(len(step.kept), ","),
            Number(step.score, ".4f"),
            _folds(step, low, high),
            Number(step.variance * 100 if step.variance is not None else None, ".1f"),
            Number(step.took_ms / 1000, ".2f"),
            short(", ".join(step.kept), 36),
        ]
        for step in found.steps
    ]
    return page(
        tag("div", "features for ", found.target, class_="mlops-title"),
        facts(
            [
                ("rows", f"{found.rows:,}"),
                ("columns", f"{found.columns:,}"),
                ("measured with", f"{found.model}; every method chose anew on each fold, the folds are the same"),
                ("seed", f"{found.seed}"),
            ]
        ),
        grid(["method", "", "kept", found.metric, f"folds, {low:.3g} to {high:.3g}", "variance %", "seconds", "columns, best first"], rows),
        _ranks(found),
        *(note(text) for text in found.notes),
    )  # fmt: skip


def _folds(step: SelectionStep, low: float, high: float) -> Markup:
    """Each fold a dot, their mean a line."""

    def place(value: float) -> float:
        share = (value - low) / (high - low) if high > low else 0.5
        return round(6 + max(0.0, min(1.0, share)) * (WIDE - 12), 1)

    there = [value for value in step.folds if value == value]  # noqa: PLR0124 not a number
    dots = [
        tag("circle", tag("title", f"{value:.4f}"), cx=place(value), cy=HIGH / 2, r=3.5, fill=BLUE, fill_opacity=".65")
        for value in there
    ]
    mean = step.score
    line = (
        [tag("path", d=f"M{place(mean)},0V{HIGH}", stroke="currentColor", stroke_width="1.5")]
        if there and mean is not None
        else []
    )
    axis = tag("path", d=f"M6,{HIGH / 2}H{WIDE - 6}", stroke=DIM)
    return tag("svg", axis, *dots, *line, width=WIDE, height=HIGH, role="img", aria_label="folds")  # fmt: skip


def _ranks(found: FeatureSelection) -> Markup:
    """For each column a bar in each method's own measure, its largest score the full width; kept ones are blue."""
    methods = [step for step in found.steps if step.scores and step.variance is None]
    if not methods:
        return Markup("")
    places: dict[str, list[int]] = {}
    for step in methods:
        for place, name in enumerate(step.scores):
            places.setdefault(name, []).append(place)
    names = sorted(places, key=lambda name: sum(places[name]) / len(places[name]))
    rows = [[short(name, 32), *(_bar(step, name) for step in methods)] for name in names[:SHOWN]]
    heads = ["column", *(tag("span", step.method, title=step.measure) for step in methods)]
    left = len(names) - len(rows)
    return tag(
        "div",
        tag("div", "scores, each in its method's own measure", class_="mlops-title"),
        grid(heads, rows),
        note(f"blue: kept{f'; {left:,} more columns' if left > 0 else ''}"),
    )


def _bar(step: SelectionStep, name: str) -> Markup:
    value = step.scores.get(name)
    if value is None:
        return Markup("–")
    top = max([abs(each) for each in step.scores.values() if each == each] or [0.0]) or 1.0  # noqa: PLR0124
    share = max(0.0, min(1.0, value / top)) if value == value and top < float("inf") else 0.0  # noqa: PLR0124
    wide = round(share * 90, 1)
    colour = BLUE if name in step.kept else DIM
    bar = tag("rect", tag("title", f"{value:.5g}"), x=0, y=3, width=max(wide, 1.0), height=9, fill=colour)
    return tag("svg", bar, width=96, height=15, role="img", aria_label=f"{value:.5g}")
