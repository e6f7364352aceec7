"""Search space: the parameters of a sweep, and the values each may take; written as text or as Python values.

============================  ====================================================================
``depth=2..8``                whole numbers from 2 to 8
``rate=0.1..1.0``             numbers from 0.1 to 1
``rate=0.1..1.0:0.1``         in steps of 0.1
``C=0.001..100:log``          numbers, each order of magnitude as likely as the next
``kind=gini,entropy,none``    one of these; numbers, ``true``, ``false`` and ``none`` are read as such
============================  ====================================================================

Several stand side by side, separated by spaces. In Python also a mapping: ``{"depth": range(2, 9), "C": (0.001, 100, "log"), "kind": ["gini", "entropy"]}``.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ..errors import InvalidArgument

__all__ = ["Choice", "Range", "SearchSpace"]

GRID_POINTS = 5
"""How many values a grid tries of a range that names no step."""
NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
SPAN = re.compile(rf"({NUMBER})\.\.({NUMBER})(?::(log|{NUMBER}))?")
WORDS = {"true": True, "false": False, "none": None}


@dataclass(frozen=True)
class Choice:
    """One of some values."""

    values: tuple[Any, ...]

    def points(self) -> tuple[Any, ...]:
        """The values a grid tries."""
        return self.values

    def suggest(self, trial: Any, name: str) -> Any:
        """A value for an Optuna trial, which keeps its place: not every value is one that Optuna can keep."""
        return self.values[trial.suggest_categorical(name, range(len(self.values)))]

    def restore(self, kept: Any) -> Any:
        """The value that a trial has kept."""
        return self.values[kept]

    def __str__(self) -> str:
        return ",".join(str(value) for value in self.values)


@dataclass(frozen=True)
class Range:
    """Numbers from `low` to `high`, both included."""

    low: float
    high: float
    integer: bool = False
    log: bool = False
    step: float | None = None

    def points(self) -> tuple[Any, ...]:
        """The values a grid tries: every step, else `GRID_POINTS` at equal distances (equal ratios for ``log``)."""
        if self.step is not None:
            count = math.floor((self.high - self.low) / self.step + 1e-9) + 1
            return tuple(self._clean(self.low + i * self.step) for i in range(count))
        if self.integer and self.high - self.low < GRID_POINTS:
            return tuple(range(int(self.low), int(self.high) + 1))
        parts = [i / (GRID_POINTS - 1) for i in range(GRID_POINTS)]
        if self.log:
            values = [self.low * (self.high / self.low) ** part for part in parts]
        else:
            values = [self.low + (self.high - self.low) * part for part in parts]
        return tuple(dict.fromkeys(self._clean(value) for value in values))

    def suggest(self, trial: Any, name: str) -> Any:
        """A value for an Optuna trial."""
        if self.integer:
            step = 1 if self.step is None else int(self.step)
            return trial.suggest_int(name, int(self.low), int(self.high), step=step, log=self.log)
        return trial.suggest_float(name, self.low, self.high, step=self.step, log=self.log)

    def restore(self, kept: Any) -> Any:
        """The value that a trial has kept."""
        return kept

    def _clean(self, value: float) -> Any:
        return round(value) if self.integer else float(f"{value:.12g}")

    def __str__(self) -> str:
        tail = ":log" if self.log else f":{self.step:g}" if self.step is not None else ""
        return f"{self.low:g}..{self.high:g}{tail}"


@dataclass(frozen=True)
class SearchSpace:
    """Parameters by name, and which of them count only beside a value of another.

    Parameters
    ----------
    conditions
        ``{"forest.depth": ("model", "forest")}``: suggested only where ``model`` is ``forest``.
    """

    domains: Mapping[str, Choice | Range]
    conditions: Mapping[str, tuple[str, Any]] = field(default_factory=dict)

    @classmethod
    def read(cls, given: Mapping[str, Any] | Iterable[str] | str) -> SearchSpace:
        """Read a space from its text or Python form.

        Raises
        ------
        InvalidArgument
            A parameter is written in no form we know, or there is none.

        Examples
        --------
        >>> space = SearchSpace.read(["depth=2..4", "C=0.01..100:log", "kind=gini,none"])
        >>> {name: domain.points() for name, domain in space.domains.items()}
        {'depth': (2, 3, 4), 'C': (0.01, 0.1, 1.0, 10.0, 100.0), 'kind': ('gini', None)}
        """
        if isinstance(given, Mapping):
            domains = {str(name): _domain(str(name), value) for name, value in given.items()}
        else:
            domains = {}
            for text in " ".join([given] if isinstance(given, str) else given).split():
                name, equals, rest = text.partition("=")
                if not equals or not name.isidentifier():
                    raise _unreadable(text)
                if name in domains:
                    raise InvalidArgument(f"the space has {name!r} twice.", hint="Give each parameter its values once.")
                domains[name] = _domain(name, rest)
        if not domains:
            raise InvalidArgument("a sweep needs at least one parameter.", hint="For example `--space depth=2..8`.")
        return cls(domains)

    def suggest(self, trial: Any) -> dict[str, Any]:
        """A value of each parameter that counts, for an Optuna trial."""
        chosen: dict[str, Any] = {}
        for name, domain in self.domains.items():
            condition = self.conditions.get(name)
            if condition is None or chosen.get(condition[0]) == condition[1]:
                chosen[name] = domain.suggest(trial, name)
        return chosen

    def complete(self, kept: Mapping[str, Any]) -> bool:
        """Whether a trial has kept every parameter that counts."""
        chosen = self.restore(kept)
        counts = {name: self.conditions.get(name) for name in self.domains}
        return all(name in chosen for name, on in counts.items() if on is None or chosen.get(on[0]) == on[1])

    def restore(self, kept: Mapping[str, Any]) -> dict[str, Any]:
        """The values of a trial, out of what Optuna has kept of them."""
        return {name: domain.restore(kept[name]) for name, domain in self.domains.items() if name in kept}

    def grid(self) -> SearchSpace:
        """The space of the grid's points only."""
        return SearchSpace({name: Choice(domain.points()) for name, domain in self.domains.items()}, self.conditions)

    def combinations(self) -> list[dict[str, Any]]:
        """Every combination of the grid's points.

        Examples
        --------
        >>> len(SearchSpace.read({"a": [1, 2, 3], "b": (0.0, 1.0)}).combinations())
        15
        """
        points = [domain.points() for domain in self.domains.values()]
        return [dict(zip(self.domains, values, strict=True)) for values in itertools.product(*points)]

    def described(self) -> dict[str, str]:
        """Each parameter's values as text."""
        return {name: str(domain) for name, domain in self.domains.items()}


def _domain(name: str, given: Any) -> Choice | Range:
    if isinstance(given, (Choice, Range)):
        return given
    if isinstance(given, range) and given:
        return _checked(name, Range(given.start, given[-1], True, False, given.step if given.step != 1 else None))
    if isinstance(given, tuple) and len(given) in (2, 3) and all(_is_number(value) for value in given[:2]):
        low, high = given[:2]
        tail = given[2] if len(given) == 3 else None
        integer = (
            isinstance(low, int) and isinstance(high, int) and (tail is None or tail == "log" or isinstance(tail, int))
        )
        if tail is not None and tail != "log" and not _is_number(tail):
            raise _unreadable(f"{name}={given!r}")
        return _checked(name, Range(low, high, integer, tail == "log", tail if _is_number(tail) else None))
    if isinstance(given, str):
        span = SPAN.fullmatch(given)
        if span is None:
            if ".." in given:
                raise _unreadable(f"{name}={given}")
            return _choice(name, [_value(part.strip()) for part in given.split(",") if part.strip()])
        low, high, tail = span.groups()
        parts = [low, high, *([tail] if tail and tail != "log" else [])]
        integer = all(re.fullmatch(r"[-+]?\d+", part) for part in parts)
        step = float(tail) if tail and tail != "log" else None
        return _checked(name, Range(float(low), float(high), integer, tail == "log", step))
    if isinstance(given, Sequence) and not isinstance(given, range):
        return _choice(name, given)
    raise _unreadable(f"{name}={given!r}")


def _choice(name: str, values: Sequence[Any]) -> Choice:
    if not values:
        raise _unreadable(f"{name}=")
    return Choice(tuple(values))


def _checked(name: str, found: Range) -> Range:
    if not found.low < found.high or not math.isfinite(found.high - found.low):
        raise InvalidArgument(f"the range of {name!r} goes from {found.low:g} to {found.high:g}; it must go upwards.")
    if found.log and found.low <= 0:
        raise InvalidArgument(f"the range of {name!r} begins at {found.low:g}; a `log` range begins above 0.")
    if found.step is not None and found.step <= 0:
        raise InvalidArgument(f"the step of {name!r} is {found.step:g}; it must be above 0.")
    if found.step is not None and found.step > found.high - found.low:
        raise InvalidArgument(
            f"the step of {name!r} is {found.step:g}, which is wider than {found.low:g}..{found.high:g}."
        )
    if found.step is not None:  # the last step: what lies beyond is never reached
        return replace(found, high=found.points()[-1])
    return found


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _value(text: str) -> Any:
    if text.lower() in WORDS:
        return WORDS[text.lower()]
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _unreadable(text: str) -> InvalidArgument:
    return InvalidArgument(
        f"{text!r} is no parameter with its values.",
        hint="Write `depth=2..8`, `C=0.01..100:log`, `rate=0..1:0.1` or `kind=gini,entropy`.",
    )
