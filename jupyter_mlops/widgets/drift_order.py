"""The order in which a report's columns are shown, and a column in a few words; the same in HTML and in the figure."""

from __future__ import annotations

import re

from ..domain.drift_report import ColumnDrift, Distribution, DriftReport, Score

__all__ = ["SMALLEST_P", "by_drift", "farthest", "largest", "scores_in_short", "state", "strength"]

_OTHERS = re.compile(r"\(([\d,]+) others\)")  # what `monitoring.distribution` calls its last line
SMALLEST_P = 1e-99  # what is smaller is not told apart


def by_drift(report: DriftReport) -> list[ColumnDrift]:
    """Drifted columns first, the most drifted of them first, then the others; what could not be judged last."""
    rank = {True: 0, False: 1, None: 2}
    return sorted(report.columns, key=lambda column: (rank[column.drifted], -strength(column)))


def strength(column: ColumnDrift) -> float:
    """How many times its threshold the farthest score is; for drifted columns only scores that alarm count."""
    scores = [score for score in column.scores if score.alarm] or list(column.scores)
    return max((_times(score) for score in scores), default=0.0)


def state(column: ColumnDrift) -> str:
    """The verdict in a word."""
    return {True: "drift" if column.strong else "slight drift", False: "ok", None: "not judged"}[column.drifted]


def farthest(column: ColumnDrift) -> str:
    """The score that stands farthest past its threshold.

    Examples
    --------
    >>> farthest(ColumnDrift("age", "numeric", True, (Score("ks", 0.3, 0.1, "above", True, 0.0, 0.0),)))
    'ks 0.30'
    """
    best = max((s for s in column.scores if s.alarm), key=_times, default=None)
    return "" if best is None else f"{best.detector} {best.value:.2f}"


def scores_in_short(column: ColumnDrift) -> str:
    """The scores in a line, those that alarm marked by more than a colour.

    Examples
    --------
    >>> scores_in_short(ColumnDrift("age", "numeric", True, (Score("ks", 0.3, 0.1, "above", True, 0.0, 0.0),)))
    'ks 0.300▲ · p <1e-99'
    """
    parts = [f"{score.detector} {score.value:.3f}{'▲' if score.alarm else ''}" for score in column.scores]
    p = min((s.adjusted_p_value for s in column.scores if s.adjusted_p_value is not None), default=None)
    if p is not None:
        parts.append("p <1e-99" if p < SMALLEST_P else f"p {p:.2g}")
    return " · ".join(parts)


def largest(drawing: Distribution, most: int) -> list[tuple[str, float, float]]:
    """The categories of a drawing with both shares; the small ones in one line at the end where there are too many.

    Examples
    --------
    >>> largest(Distribution((0.5, 0.3, 0.1, 0.1), (0.6, 0.2, 0.1, 0.1), labels=("a", "b", "c", "(4 others)")), 3)
    [('a', 0.5, 0.6), ('b', 0.3, 0.2), ('5 more', 0.2, 0.2)]
    """
    rows = list(zip(drawing.labels, drawing.reference, drawing.current, strict=True))
    if len(rows) <= most:
        return rows
    kept = sorted(
        (row for row in rows if not _OTHERS.fullmatch(row[0])), key=lambda row: max(row[1], row[2]), reverse=True
    )[: most - 1]
    rest = [row for row in rows if row not in kept]
    counts = [_OTHERS.fullmatch(row[0]) for row in rest]
    count = sum(int(found[1].replace(",", "")) if found else 1 for found in counts)
    ordered = [row for row in rows if row in kept]
    return [*ordered, (f"{count:,} more", sum(row[1] for row in rest), sum(row[2] for row in rest))]


def _times(score: Score) -> float:
    small = 1e-12
    if score.threshold is None:
        return 0.0
    high, low = max(score.value, small), max(score.threshold, small)
    return high / low if score.alarm_when == "above" else low / high
