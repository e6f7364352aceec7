"""Candidate: a new model version made from another, and what it is worth beside it; and the plan and state of an A/B test."""

from __future__ import annotations

from dataclasses import dataclass

from .display import Displayed, table
from .evaluation import Difference
from .evaluation_parts import MetricValue
from .record import Record

__all__ = ["AbPlan", "AbResult", "Candidate", "TradeOff"]


@dataclass(frozen=True)
class TradeOff(Record):
    """What accuracy is left and what gap between groups remains at one strength of a mitigation, 0 to 1."""

    strength: float
    accuracy: float
    gap: float


@dataclass(frozen=True)
class Candidate(Displayed, Record):
    """A changed model, registered as a version, against the one it was made from, on rows neither was changed on.

    Parameters
    ----------
    version
        The new version, ``clf@8``; empty where it was not registered.
    change
        What was done, in words.
    before, after
        The numbers that the change is about.
    differences
        After minus before, on the same rows, of the task's main metrics.
    """

    version: str
    model: str
    change: str
    before: tuple[MetricValue, ...]
    after: tuple[MetricValue, ...]
    differences: tuple[Difference, ...]
    rows: int = 0
    notes: tuple[str, ...] = ()
    trade_off: tuple[TradeOff, ...] = ()
    """Accuracy against the gap, from no mitigation to all of it, on the rows left aside; `gap` names the criterion."""
    gap: str = ""

    def text(self) -> str:
        pairs = [[b.name, str(b), str(a)] for b, a in zip(self.before, self.after, strict=False)]
        head = (
            f"{self.version or 'a candidate'}: {self.change} of {self.model}, measured on {self.rows:,} rows left aside"
        )
        lines = [head, table(["", "before", "after"], pairs), *(d.text() for d in self.differences)]
        if self.trade_off:
            points = [[f"{p.strength:.1f}", f"{p.accuracy:.4f}", f"{p.gap:.4f}"] for p in self.trade_off]
            lines.append(table(["strength", "accuracy", self.gap], points))
        return "\n".join([*lines, *(f"note: {n}" for n in self.notes)])


@dataclass(frozen=True)
class AbPlan(Displayed, Record):
    """How many rows an A/B test needs.

    Parameters
    ----------
    rows_an_arm
        Of a test that is looked at once, two-sided (normal approximation with Cohen's h, as statsmodels' NormalIndPower).
    sequential_rows_an_arm
        By when a test that is looked at after every row has found the effect with this power, by simulation.
    """

    rate: float
    effect: float
    level: float
    power: float
    rows_an_arm: int
    sequential_rows_an_arm: int | None = None

    def text(self) -> str:
        head = f"to find {self.rate:g} against {self.rate + self.effect:g} at {self.level:.0%} with power {self.power:.0%}:"
        lines = [head, f"  {self.rows_an_arm:,} rows an arm, looked at once at the end"]
        if self.sequential_rows_an_arm is not None:
            lines.append(f"  within {self.sequential_rows_an_arm:,} rows an arm, looked at as often as you like")
        return "\n".join(lines)


@dataclass(frozen=True)
class AbResult(Displayed, Record):
    """Two arms by an anytime-valid test on outcomes in the order in which they came.

    Parameters
    ----------
    low, high
        The confidence sequence of A's mean minus B's; in words it is told the other way round, as what B changes.
    decided_at
        The row at which the difference was first beyond chance; None while it is not.
    """

    a: str
    b: str
    outcome: str
    rows_a: int
    rows_b: int
    mean_a: float | None
    mean_b: float | None
    low: float
    high: float
    p_value: float
    level: float
    decided_at: int | None = None
    detectable: float | None = None
    """The smallest change of A's mean that so many rows an arm find with this power, looked at once."""
    power: float = 0.8

    def text(self) -> str:
        means = (
            f"{self.mean_a or 0.0:.4f} over {self.rows_a:,} rows against {self.mean_b or 0.0:.4f} over {self.rows_b:,}"
        )
        word = (
            "no difference beyond chance yet"
            if self.decided_at is None
            else f"a difference since row {self.decided_at:,}"
        )
        return (
            f"{self.a} against {self.b} by {self.outcome}: {word}\n{means}; {self.b} - {self.a} lies in "
            f"[{-self.high:+.4f}, {-self.low:+.4f}] at {self.level:.0%}, anytime-valid p {self.p_value:.3g}\nlook, and stop, whenever you like"
            + (
                f"\nso many rows find a change of {self.detectable:+.4f} with power {self.power:.0%}"
                if self.detectable
                else ""
            )
        )
