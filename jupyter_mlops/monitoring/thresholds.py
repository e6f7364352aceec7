"""Thresholds: the detectors' defaults, and what a user sets instead, for all columns or for one."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ..errors import InvalidArgument
from .detectors import DETECTORS

__all__ = ["Thresholds"]


@dataclass(frozen=True)
class Thresholds:
    """What a detector's value is compared with.

    Examples
    --------
    >>> thresholds = Thresholds.read(["psi=0.3", "age:psi=0.5"])
    >>> thresholds.of("psi", "age"), thresholds.of("psi", "sex"), thresholds.of("ks", "age")
    (0.5, 0.3, 0.1)
    """

    general: Mapping[str, float] = field(default_factory=dict)
    by_column: Mapping[tuple[str, str], float] = field(default_factory=dict)

    @classmethod
    def read(cls, given: Sequence[str] | Mapping[str, float]) -> Thresholds:
        """Read ``DETECTOR=NUMBER`` and ``COLUMN:DETECTOR=NUMBER``, or the same as a mapping.

        Raises
        ------
        InvalidArgument
            The detector is unknown, or the number is none or outside what the detector can give.
        """
        pairs = given.items() if isinstance(given, Mapping) else (_split(text) for text in given)
        general: dict[str, float] = {}
        by_column: dict[tuple[str, str], float] = {}
        for name, number in pairs:
            column, colon, detector = str(name).rpartition(":")
            value = _number(detector, number)
            if colon:
                by_column[column, detector] = value
            else:
                general[detector] = value
        return cls(general, by_column)

    def of(self, detector: str, column: str) -> float:
        """The threshold of a detector on a column."""
        general = self.general.get(detector, DETECTORS[detector].threshold)
        return self.by_column.get((column, detector), general)

    @property
    def columns(self) -> set[str]:
        """The columns that have a threshold of their own."""
        return {column for column, _ in self.by_column}

    def text(self) -> str:
        """The thresholds in words."""
        parts = [f"{name} {self.general.get(name, detector.threshold):g}" for name, detector in DETECTORS.items()]
        return ", ".join(
            [*parts, *(f"{name} {value:g} for {column!r}" for (column, name), value in self.by_column.items())]
        )


def _split(text: str) -> tuple[str, str]:
    name, equals, number = str(text).rpartition("=")
    if not equals:
        raise InvalidArgument(
            f"{text!r} is no threshold.", hint="Write DETECTOR=NUMBER or COLUMN:DETECTOR=NUMBER, such as psi=0.3."
        )
    return name.strip(), number


def _number(detector: str, given: str | float) -> float:
    if detector not in DETECTORS:
        raise InvalidArgument.unknown("detector", detector, DETECTORS)
    low, high = DETECTORS[detector].range
    try:
        value = float(given)
    except (TypeError, ValueError):
        value = math.nan
    if not low <= value <= high:
        raise InvalidArgument(
            f"the threshold of {detector} is a number from {low:g} to {high:g} ({DETECTORS[detector].unit}), not {given!r}."
        )
    return value
