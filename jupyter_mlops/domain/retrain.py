"""Retrain: a challenger that was trained on newer data, compared with the champion, and what became of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from .alert import RetrainRules
from .display import Displayed, clock, table
from .evaluation import Difference
from .record import Record

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["ENDED", "Compared", "Retrain", "RetrainState", "RetrainTable"]

RetrainState = Literal[
    "waiting", "training", "proposed", "kept", "canary", "promoted", "withdrawn", "failed", "refused", "cancelled"
]
ENDED = ("proposed", "kept", "promoted", "withdrawn", "failed", "refused", "cancelled")


@dataclass(frozen=True)
class Compared(Record):
    """Challenger minus champion on one table."""

    on: str
    rows: int
    differences: tuple[Difference, ...]

    def of(self, metric: str) -> Difference | None:
        """One metric's difference."""
        return next((d for d in self.differences if d.metric == metric), None)


@dataclass(frozen=True)
class Retrain(Displayed, Record):
    """One retrain.

    Parameters
    ----------
    model
        The champion: the version that was served when it began.
    challenger
        The new version; empty where none was registered.
    state
        ``proposed``: better, and waits for somebody to promote it; ``kept``: not better, the champion stays;
        ``canary``: gets a share of the requests; ``withdrawn``: its canary broke its guard; ``refused``: too soon or too
        many; the rest as they say.
    how
        What was run: the exported pipeline, or the version's own estimator fitted again.
    metric
        What decided.
    compared
        On fresh rows that neither has seen, and on the frozen table where one was given.
    steps
        What happened when, each in words.
    """

    id: str
    deployment: str
    model: str
    state: RetrainState
    reason: str
    asked_ms: int
    rules: RetrainRules = field(default_factory=RetrainRules)
    by_hand: bool = False
    ended_ms: int | None = None
    challenger: str = ""
    how: str = ""
    metric: str = ""
    training_rows: int = 0
    compared: tuple[Compared, ...] = ()
    error: str = ""
    notes: tuple[str, ...] = ()
    steps: tuple[str, ...] = ()
    pid: int = 0
    started: str = ""
    canary_ms: int = 0

    @property
    def ended(self) -> bool:
        """Whether nothing more happens by itself."""
        return self.state in ENDED

    def text(self) -> str:
        lines = [f"retrain {self.id} of {self.deployment} ({self.model}): {self.state}; {self.reason}"]
        if self.how:
            lines.append(f"{self.how} on {self.training_rows:,} rows{f', registered as {self.challenger}' if self.challenger else ''}")  # fmt: skip
        for compared in self.compared:
            lines.append(f"challenger minus champion on {compared.rows:,} {compared.on} rows:")
            lines += [f"  {d.text()}" for d in compared.differences]
        if self.state == "proposed":
            lines.append(f"bring it in: `%mlops promote {self.challenger} --to champion`")
        if self.error:
            lines.append(f"error: {self.error}")
        return "\n".join([*lines, *(f"note: {n}" for n in self.notes), *self.steps])


@dataclass(frozen=True)
class RetrainTable(Displayed, Record):
    """Retrains, newest first."""

    retrains: tuple[Retrain, ...]

    def __iter__(self) -> Iterator[Retrain]:
        return iter(self.retrains)

    def __len__(self) -> int:
        return len(self.retrains)

    def __getitem__(self, index: int) -> Retrain:
        return self.retrains[index]

    def to_pandas(self) -> pd.DataFrame:
        """One row a retrain."""
        import pandas as pd

        return pd.DataFrame([r.to_dict() for r in self.retrains])

    def text(self) -> str:
        if not self.retrains:
            return "nothing was retrained; `%mlops retrain DEPLOYMENT` does it."
        rows = [
            [r.id, r.deployment, r.state, r.challenger or "-", clock(r.asked_ms)[:16], r.error or r.reason]
            for r in self.retrains
        ]
        return table(["id", "deployment", "state", "challenger", "asked", "why"], rows)
