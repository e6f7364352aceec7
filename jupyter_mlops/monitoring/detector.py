"""Detector: a drift statistic declared as data; what it measures, in which unit, and which side of which threshold alarms."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..domain.drift_report import AlarmSide, ColumnKind

if TYPE_CHECKING:
    from .samples import Sample

__all__ = ["Detector", "Measurement"]


@dataclass(frozen=True)
class Measurement:
    """What a detector found on one column.

    Parameters
    ----------
    value
        The size of the difference, in the detector's unit and range; it does not grow with the number of rows.
    p_value
        How often a difference at least as large comes by chance from one and the same source; None for a detector
        that has no such distribution.
    """

    value: float
    p_value: float | None = None


@dataclass(frozen=True)
class Detector:
    """A drift statistic. Adding one is a file, a line in `detectors.DETECTORS` and a golden row in the tests.

    Parameters
    ----------
    name
        The short name in options, metrics and reports.
    title
        The name in full.
    kinds
        The kinds of column that it measures.
    unit
        What its value counts, in words.
    range
        The smallest and the largest value it can give.
    threshold, alarm_when
        The default threshold and the side of it on which a significant difference is drift; without a threshold the
        value is only reported.
    min_rows
        The fewest rows, missing ones not counted, that either table must have.
    convention
        Bins, fill, correction, distribution: everything needed to reproduce the number, in words.
    measure
        Called as ``measure(reference, current)`` with two samples of the same kind; None when the statistic is not
        defined for them.
    standard
        Whether it is measured when nobody asks for it by name.
    large
        The value from which a drift is called strong.
    """

    name: str
    title: str
    kinds: tuple[ColumnKind, ...]
    unit: str
    range: tuple[float, float]
    threshold: float | None
    alarm_when: AlarmSide
    min_rows: int
    convention: str
    measure: Callable[[Sample, Sample], Measurement | None]
    standard: bool = True
    large: float | None = None

    def passes(self, value: float, threshold: float | None) -> bool:
        """Whether a value is on the alarming side of a threshold."""
        if threshold is None:
            return False
        return self._reaches(value, threshold)

    def is_large(self, value: float) -> bool:
        """Whether a value is so far on the alarming side that a drift is called strong."""
        return self.large is not None and self._reaches(value, self.large)

    def _reaches(self, value: float, threshold: float) -> bool:
        return value >= threshold if self.alarm_when == "above" else value <= threshold
