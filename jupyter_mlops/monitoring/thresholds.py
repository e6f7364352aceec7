"""Thresholds: the detectors' defaults and the rules' numbers, and what a user sets instead, for all columns or for one."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ..errors import InvalidArgument
from .detectors import DETECTORS

__all__ = ["RULES", "Rule", "Thresholds"]


@dataclass(frozen=True)
class Rule:
    """A number of the verdict that belongs to no detector.

    Parameters
    ----------
    meaning
        What is compared with it, in words.
    """

    default: float
    meaning: str
    range: tuple[float, float] = (0.0, 1.0)


RULES = {
    "level": Rule(0.01, "the adjusted p-value below which a difference is not chance"),
    "missing": Rule(0.01, "the change of the share of missing values that is worth a finding"),
    "new": Rule(0.0, "the share of rows with new or with vanished categories that is worth a finding"),
}


@dataclass(frozen=True)
class Thresholds:
    """What a detector's value, or a rule's, is compared with.

    Examples
    --------
    >>> thresholds = Thresholds.read(["psi=0.3", "age:psi=0.5", "age:missing=5%"])
    >>> thresholds.of("psi", "age"), thresholds.of("psi", "sex"), thresholds.of("ks", "age")
    (0.5, 0.3, 0.02)
    >>> thresholds.of("missing", "age"), thresholds.of("missing", "sex")
    (0.05, 0.01)
    """

    general: Mapping[str, float] = field(default_factory=dict)
    by_column: Mapping[tuple[str, str], float] = field(default_factory=dict)

    @classmethod
    def read(cls, given: Sequence[str] | Mapping[str, float]) -> Thresholds:
        """Read ``DETECTOR=NUMBER`` and ``COLUMN:DETECTOR=NUMBER``, or the same as a mapping; shares also as ``5%``.

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

    def of(self, name: str, column: str) -> float | None:
        """The threshold of a detector on a column; None for one that only reports."""
        general = self.general.get(name, DETECTORS[name].threshold) if name in DETECTORS else self.rule(name)
        return self.by_column.get((column, name), general)

    def rule(self, name: str, column: str = "") -> float:
        """The number of a rule on a column."""
        return self.by_column.get((column, name), self.general.get(name, RULES[name].default))

    @property
    def columns(self) -> set[str]:
        """The columns that have a threshold of their own."""
        return {column for column, _ in self.by_column}

    @property
    def asked(self) -> set[str]:
        """The detectors that somebody set a threshold for: they are measured."""
        return {*self.general, *(name for _, name in self.by_column)} & set(DETECTORS)

    def text(self, names: Sequence[str] = ()) -> str:
        """The thresholds in words, of these detectors or of all."""
        told = [
            (name, self.general.get(name, detector.threshold))
            for name, detector in DETECTORS.items()
            if not names or name in names
        ]
        parts = [f"{name} {value:g}" for name, value in told if value is not None]
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


def _number(name: str, given: str | float) -> float:
    if name not in DETECTORS and name not in RULES:
        raise InvalidArgument.unknown("detector", name, [*DETECTORS, *RULES])
    low, high = DETECTORS[name].range if name in DETECTORS else RULES[name].range
    meaning = DETECTORS[name].unit if name in DETECTORS else RULES[name].meaning
    try:
        percent = isinstance(given, str) and given.strip().endswith("%")
        value = float(given.strip()[:-1]) / 100 if isinstance(given, str) and percent else float(given)
    except (TypeError, ValueError):
        value = math.nan
    if not low <= value <= high or math.isinf(value):
        raise InvalidArgument(
            f"the threshold of {name} is a number from {low:g} to {high:g} ({meaning}), not {given!r}."
        )
    return value
