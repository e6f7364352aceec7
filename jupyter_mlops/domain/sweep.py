"""Sweep: one search over parameters, its trials and the best of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Literal

from .display import Displayed, cut, seconds, table
from .record import Record

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Sweep", "Trial", "TrialState"]

TrialState = Literal["complete", "pruned", "failed", "running"]

SHOWN = 10
WIDEST = 60  # letters of why a trial has failed or was pruned


@dataclass(frozen=True)
class Trial(Record):
    """One set of parameters and what came of it.

    Parameters
    ----------
    number
        From 0 on, in the order in which the trials were begun.
    value
        The metric that is searched over; for a pruned trial the last one it reported, None for none.
    run
        MLflow's id of the child run that it is; empty while the store has not got it.
    reason
        Why it failed or was pruned.
    """

    number: int
    params: dict[str, Any]
    state: TrialState
    value: float | None = None
    metrics: dict[str, float] = field(default_factory=dict)
    took_ms: float = 0.0
    run: str = ""
    reason: str = ""


@dataclass(frozen=True)
class Sweep(Displayed, Record):
    """A search over parameters.

    Parameters
    ----------
    id
        The folder its study is kept in, below ``.mlops/sweeps/``.
    metric, minimize
        What the best is judged by.
    importances
        The share of the metric's variance over the trials that each parameter explains (fANOVA), 0 to 1; empty for
        fewer than four complete trials.
    asked
        How many trials were asked for.
    run
        MLflow's id of the run whose children the trials are.
    model
        The best trial's model, in the process that searched, where the objective returned one.
    """

    id: str
    name: str
    method: str
    metric: str
    minimize: bool
    trials: tuple[Trial, ...]
    asked: int
    seed: int = 0
    space: dict[str, str] = field(default_factory=dict)
    importances: dict[str, float] = field(default_factory=dict)
    run: str = ""
    took_ms: float = 0.0
    notes: tuple[str, ...] = ()
    model: Any = field(default=None, compare=False, repr=False)

    def to_dict(self) -> dict[str, Any]:
        """Everything but the model, which is no data."""
        data = Record.to_dict(self)
        return {f.name: data[f.name] for f in fields(self) if f.name != "model"}

    def __iter__(self) -> Iterator[Trial]:
        return iter(self.trials)

    def __len__(self) -> int:
        return len(self.trials)

    @property
    def best(self) -> Trial | None:
        """The best complete trial; the earlier of two equal ones."""
        done = [trial for trial in self.trials if trial.state == "complete" and trial.value is not None]
        return min(done, key=lambda t: (self.loss(t), t.number), default=None)

    @property
    def best_params(self) -> dict[str, Any]:
        """The best trial's parameters; empty for none."""
        return dict(self.best.params) if self.best is not None else {}

    def loss(self, trial: Trial) -> float:
        """The value, turned so that less is better."""
        value = trial.value if trial.value is not None else float("inf")
        return value if self.minimize or trial.value is None else -value

    def ranked(self) -> list[Trial]:
        """The complete trials, best first, then the others."""
        rank = {"complete": 0, "pruned": 1, "running": 2, "failed": 3}
        return sorted(self.trials, key=lambda t: (rank[t.state], self.loss(t), t.number))

    def counts(self) -> str:
        """How many trials ended how, in words."""
        told = [(state, sum(t.state == state for t in self.trials)) for state in ("complete", "pruned", "failed")]
        return ", ".join(f"{count} {state}" for state, count in told if count) or "none"

    def to_pandas(self) -> pd.DataFrame:
        """One row a trial, in the order of their numbers."""
        import pandas as pd

        rows = [
            {"number": t.number, "state": t.state, self.metric: t.value, **t.params, "took_ms": t.took_ms, "run": t.run}
            for t in self.trials
        ]
        return pd.DataFrame(rows)

    def text(self) -> str:
        way = "smallest" if self.minimize else "largest"
        trials = f"{len(self.trials)} trial{'' if len(self.trials) == 1 else 's'}"
        head = f"{self.name}: {trials} ({self.counts()}) by {self.method} search in {seconds(self.took_ms)}"
        best = self.best
        told = (
            f"{way} {self.metric} {best.value:.6g} in trial {best.number}: {_params(best.params)}"
            if best is not None
            else "no trial has come to an end"
        )
        rows = [
            [t.number, t.state, "-" if t.value is None else f"{t.value:.6g}", _params(t.params), cut(t.reason, WIDEST)]
            for t in self.ranked()[:SHOWN]
        ]
        more = [f"... and {len(self.trials) - SHOWN} more"] if len(self.trials) > SHOWN else []
        weights = ", ".join(f"{name} {share:.0%}" for name, share in self.importances.items())
        tail = [f"importance: {weights}"] if weights else []
        return "\n".join(
            [head, told, table(["trial", "state", self.metric, "parameters", ""], rows), *more, *tail, *self.notes]
        )


def _params(params: dict[str, Any]) -> str:
    return ", ".join(f"{k}={f'{v:.4g}' if isinstance(v, float) else v}" for k, v in params.items())
