"""What a gate is: declared as data, judged on a candidate; and what a candidate brings along. Touches no store."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..domain.data_seal import DataSeal, Look
from ..domain.evaluation import Evaluation, EvaluationRows
from ..domain.gate import Approval, GateResult
from ..errors import InvalidArgument

__all__ = ["Candidate", "Gate", "Option", "failed", "held", "not_judged"]


@dataclass(frozen=True)
class Candidate:
    """A model version that asks for an alias, with everything that a gate may look at.

    Parameters
    ----------
    evaluations, champion_evaluations
        Newest first.
    champion
        ``clf@6``, the version that has the alias now; empty for none.
    data_checks
        For each data version it was trained on, what its checks said: ``{"errors": 0, "warnings": 2}``; None where
        none were made.
    size_bytes
        What the model's files take; None where they cannot be reached.
    """

    ref: str
    alias: str
    author: str = ""
    champion: str = ""
    evaluations: tuple[Evaluation, ...] = ()
    champion_evaluations: tuple[Evaluation, ...] = ()
    rows: Callable[[Evaluation], EvaluationRows] | None = None
    trust: str = ""
    pipeline: Mapping[str, Any] | None = None
    data: tuple[str, ...] = ()
    data_checks: Mapping[str, Mapping[str, Any] | None] = field(default_factory=dict)
    approvals: tuple[Approval, ...] = ()
    roles: Mapping[str, list[str]] = field(default_factory=dict)
    size_bytes: int | None = None
    seal: Callable[[str], DataSeal | None] | None = None
    """Gives a data version's seal with its looks; None for one that is not saved."""
    made_for: Callable[[Look], bool] | None = None
    """Whether a look was made for this candidate."""

    @property
    def newest(self) -> Evaluation | None:
        """The newest evaluation."""
        return self.evaluations[0] if self.evaluations else None

    def evaluation_with(self, part: str) -> Evaluation | None:
        """The newest evaluation that looked at a part: ``slices``, ``calibration``."""
        return next((e for e in self.evaluations if getattr(e, part)), None)


@dataclass(frozen=True)
class Option:
    """One setting of a gate.

    Parameters
    ----------
    default
        What holds when it is not given; None where it must be.
    low, high
        The range of a number.
    """

    name: str
    kind: type
    help: str
    default: Any = None
    required: bool = False
    low: float | None = None
    high: float | None = None

    def read(self, gate: str, value: Any) -> Any:
        """`value` as this option takes it.

        Raises
        ------
        InvalidArgument
            It is of another kind or out of range.
        """
        label = f"{gate}.{self.name}"
        if self.kind is list:
            given = [str(v) for v in value] if isinstance(value, list) else [v for v in str(value).split(",") if v]
            if self.required and not given:
                raise InvalidArgument(
                    f"the gate's {label} names none.", hint="Name at least one, or leave the gate out."
                )
            return given
        if self.kind is float and isinstance(value, (int, float, str)) and not isinstance(value, bool):
            try:
                number = float(value)
            except ValueError:
                raise InvalidArgument(f"the gate's {label} takes a number, not {value!r}.") from None
            if not (self.low is None or number >= self.low) or not (self.high is None or number <= self.high):
                raise InvalidArgument(f"the gate's {label} lies between {self.low} and {self.high}, not at {value}.")
            return number
        if self.kind is bool and isinstance(value, (bool, str)):
            if str(value).lower() in ("true", "false"):
                return str(value).lower() == "true"
        elif self.kind is str and isinstance(value, str):
            return value
        raise InvalidArgument(f"the gate's {label} takes a {self.kind.__name__}, not {value!r}.")


@dataclass(frozen=True)
class Gate:
    """One kind of gate.

    Parameters
    ----------
    judge
        Called as ``judge(candidate, options)`` with every option read.
    main
        The option that a bare value in a rule stands for: ``size = 50``.
    """

    name: str
    help: str
    judge: Callable[[Candidate, Mapping[str, Any]], GateResult]
    options: tuple[Option, ...] = ()
    main: str = ""

    def read(self, rule: Any) -> dict[str, Any]:
        """A rule as declared, ``{"by": 0.01}``, a bare value or true, with every option read or at its default.

        Raises
        ------
        InvalidArgument
            It names an unknown option, lacks one, or a value does not fit.
        """
        known = {option.name: option for option in self.options}
        given = rule if isinstance(rule, Mapping) else {} if rule is True or rule == "" else {self.main: rule}
        for name in given:
            if name not in known:
                raise InvalidArgument.unknown(f"option of the gate {self.name!r}", name or str(rule), known or ["none"])
        missing = [option.name for option in self.options if option.required and option.name not in given]
        if missing:
            example = f"{{ {missing[0]} = ... }}"
            raise InvalidArgument(f"the gate {self.name!r} also needs {', '.join(missing)}.", hint=f"Write {example}.")
        return {n: o.read(self.name, given[n]) if n in given else o.default for n, o in known.items()}


def held(gate: str, ok: bool, needed: str, found: str, hint: str = "") -> GateResult:
    """The result of a gate that could be judged."""
    return GateResult(gate, needed, found, "passed" if ok else "failed", "" if ok else hint)


def failed(gate: str, needed: str, found: str, hint: str = "") -> GateResult:
    """A gate that does not hold."""
    return GateResult(gate, needed, found, "failed", hint)


def not_judged(gate: str, needed: str, found: str, hint: str) -> GateResult:
    """A gate that cannot be judged, with what to run."""
    return GateResult(gate, needed, found, "not judged", hint)
