"""Thinning: a long curve as a short one that looks the same."""

from __future__ import annotations

__all__ = ["thin"]

Point = tuple[int, float]


def thin(values: list[Point], points: int) -> list[Point]:
    """At most `points` of the values: the first, the last, and the least and the greatest of each stretch between.

    Examples
    --------
    >>> thin([(0, 1.0), (1, 9.0), (2, 2.0), (3, 0.0), (4, 3.0), (5, 4.0)], 4)
    [(0, 1.0), (1, 9.0), (3, 0.0), (5, 4.0)]
    >>> thin([(0, 1.0), (1, 2.0)], 10)
    [(0, 1.0), (1, 2.0)]
    """
    if len(values) <= points or points < 4:
        return values[:points] if points < 4 else values
    inner = values[1:-1]
    stretches = (points - 2) // 2
    kept = [values[0]]
    for number in range(stretches):
        stretch = inner[number * len(inner) // stretches : (number + 1) * len(inner) // stretches]
        known = [index for index, (_, value) in enumerate(stretch) if value == value]  # noqa: PLR0124 not NaN
        if not known:
            kept += stretch[:1]
            continue
        least = min(known, key=lambda index: stretch[index][1])
        greatest = max(known, key=lambda index: stretch[index][1])
        kept += [stretch[index] for index in sorted({least, greatest})]
    return [*kept, values[-1]]
