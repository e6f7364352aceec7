"""Thinning: a long curve as a short one that looks the same."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TypeVar

__all__ = ["edges", "stretches", "thin"]

Point = TypeVar("Point", bound=tuple[float, ...])


def thin(values: Sequence[Point], points: int) -> list[Point]:
    """At most `points` of the values: the first, the last, and the least and the greatest of each stretch of steps.

    Parameters
    ----------
    values
        Tuples that begin with the step and end with the value, by step. Of equal values the first counts; NaN is never
        an extreme.
    points
        At least 4; fewer give the first ones.

    Examples
    --------
    >>> thin([(0, 1.0), (1, 9.0), (2, 2.0), (3, 0.0), (4, 3.0), (5, 4.0)], 4)
    [(0, 1.0), (1, 9.0), (3, 0.0), (5, 4.0)]
    >>> thin([(0, 1.0), (1, 2.0)], 10)
    [(0, 1.0), (1, 2.0)]
    """
    if len(values) <= points or points < 4:
        return list(values[:points])
    low, high = int(values[0][0]), int(values[-1][0])
    count = stretches(points)
    least: dict[int, int] = {}
    greatest: dict[int, int] = {}
    for i, point in enumerate(values):
        value = point[-1]
        if value != value:  # noqa: PLR0124 NaN
            continue
        stretch = (int(point[0]) - low) * count // (high - low + 1)
        if stretch not in least or value < values[least[stretch]][-1]:
            least[stretch] = i
        if stretch not in greatest or value > values[greatest[stretch]][-1]:
            greatest[stretch] = i
    return [values[i] for i in sorted({0, *least.values(), *greatest.values(), len(values) - 1})]


def stretches(points: int) -> int:
    """Into how many stretches `thin` cuts a curve for so many points."""
    return (points - 2) // 2


def edges(low: int, high: int, count: int) -> list[tuple[int, int]]:
    """The stretches as steps: from, and up to but without.

    Examples
    --------
    >>> edges(0, 9, 3)
    [(0, 4), (4, 7), (7, 10)]
    """
    span = high - low + 1
    bounds = [low - (-i * span // count) for i in range(count + 1)]
    return [(a, b) for a, b in pairwise(bounds) if b > a]
