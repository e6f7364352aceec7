"""Figures: how a benchmark measures (A B A B, medians, spread) and how it reports (one line of JSON a figure)."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Literal


@dataclass(frozen=True)
class Figure:
    """One measured figure against its peer or limit; ``ratio`` is how many times better than the peer, or the share of the limit."""

    bench: str
    figure: str
    ours: float
    unit: str
    against: str
    theirs: float
    ratio: float
    goal: float
    goal_is: Literal["at least", "at most"]
    spread: tuple[float, float]

    def report(self) -> None:
        """Print the figure: a line to read, a line of JSON."""
        held = self.ratio >= self.goal if self.goal_is == "at least" else self.ratio <= self.goal
        print(
            f"{'ok  ' if held else 'MISS'} {self.bench}: {self.figure}: {self.ours:.4g} {self.unit} against "
            f"{self.theirs:.4g} ({self.against}): ratio {self.ratio:.3g}, goal {self.goal_is} {self.goal}"
        )
        print(json.dumps(asdict(self)))


def seconds(work: Callable[[], object]) -> float:
    """How long one call takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def in_turn(ours: Callable[[], float], theirs: Callable[[], float], rounds: int) -> tuple[list[float], list[float]]:
    """Measure both `rounds` times, in turn, after one warm-up each."""
    ours(), theirs()
    pairs = [(ours(), theirs()) for _ in range(rounds)]
    return [a for a, _ in pairs], [b for _, b in pairs]


def compared(
    bench: str,
    figure: str,
    unit: str,
    ours: list[float],
    against: str,
    theirs: list[float],
    *,
    goal: float,
    goal_is: Literal["at least", "at most"] = "at least",
    more_is_better: bool = False,
) -> Figure:
    """A figure out of two series: medians, the ratio of each round, its spread."""
    ratios = [a / b if more_is_better or goal_is == "at most" else b / a for a, b in zip(ours, theirs, strict=True)]
    mine, other = statistics.median(ours), statistics.median(theirs)
    return Figure(
        bench,
        figure,
        mine,
        unit,
        against,
        other,
        statistics.median(ratios),
        goal,
        goal_is,
        (min(ratios), max(ratios)),
    )
