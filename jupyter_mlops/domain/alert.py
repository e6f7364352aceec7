"""Alert: a rule over windows of a deployment that holds, from when it began to hold until it holds no more; and who watches."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from .display import Displayed, border, table
from .record import Record

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Alert", "AlertTable", "Judgement", "Monitor", "MonitorTable", "RetrainRules", "RuleState"]

RuleState = Literal["ok", "pending", "firing", "unknown"]


@dataclass(frozen=True)
class Judgement(Record):
    """How a rule stood at the last look.

    Parameters
    ----------
    state
        ``pending`` while it holds, but not for long enough; ``unknown`` where nothing could be measured.
    value
        What was measured in the newest window that could be judged.
    told
        The value in words, or why there is none.
    window_end_ms
        The end of that window.
    """

    rule: str
    state: RuleState = "unknown"
    value: float | None = None
    told: str = ""
    window_end_ms: int = 0
    silenced_until_ms: int = 0


@dataclass(frozen=True)
class RetrainRules(Record):
    """How a retrain that a monitor asks for is done.

    Parameters
    ----------
    pipeline
        The folder of an exported pipeline; empty refits the model version's own estimator.
    frozen
        A data version on which champion and challenger are compared besides the fresh rows; empty for none.
    target
        The column of truth in the training data; empty where it is clear.
    metric
        What decides; empty for the headline metric.
    promote
        Whether a better challenger is brought in by a canary; else it is proposed.
    canary
        The share of requests that the canary gets.
    canary_for
        How long it must stand its guard before it becomes the champion.
    after_labels
        A number of new labels after which to retrain without any alert; 0 for never.
    every
        How often to retrain without any alert; empty for never.
    cooldown
        The least time between two retrains.
    a_day
        The most retrains in 24 hours.
    """

    pipeline: str = ""
    frozen: str = ""
    target: str = ""
    metric: str = ""
    promote: bool = False
    canary: float = 0.1
    canary_for: str = "1h"
    after_labels: int = 0
    every: str = ""
    cooldown: str = "6h"
    a_day: int = 4
    allow_pickle: bool = False


@dataclass(frozen=True)
class Monitor(Displayed, Record):
    """What is watched of one deployment, how often, and what is done then.

    Parameters
    ----------
    name
        The deployment.
    then
        What an alert brings about: ``alert``, ``retrain``, ``rollback``.
    sinks
        Where alerts go besides the notebook, the panel and the store: ``log``, ``webhook:URL``, ``email:ADDRESS``.
    """

    name: str
    every: str
    rules: tuple[str, ...]
    then: tuple[str, ...] = ("alert",)
    sinks: tuple[str, ...] = ()
    retrain: RetrainRules = RetrainRules()
    created_ms: int = 0
    looked_ms: int = 0
    next_ms: int = 0
    judgements: tuple[Judgement, ...] = ()
    error: str = ""
    notes: tuple[str, ...] = ()

    @property
    def firing(self) -> int:
        """How many of its rules fire now."""
        return sum(j.state == "firing" for j in self.judgements)

    def text(self) -> str:
        rows = [[j.rule, j.state, j.told or "-", border(j.window_end_ms or None)] for j in self.judgements]
        head = f"{self.name}: {len(self.rules)} rules every {self.every}, then {', '.join(self.then)}"
        where = f"alerts go to the notebook, the panel and the store{''.join(f', {s}' for s in self.sinks)}"
        lines = [head, where, table(["rule", "state", "measured", "window to"], rows)]
        return "\n".join([*lines, *([f"cannot look: {self.error}"] if self.error else []), *self.notes])


@dataclass(frozen=True)
class MonitorTable(Displayed, Record):
    """Every monitor of the workspace."""

    monitors: tuple[Monitor, ...]

    def __iter__(self) -> Iterator[Monitor]:
        return iter(self.monitors)

    def __len__(self) -> int:
        return len(self.monitors)

    def __getitem__(self, index: int) -> Monitor:
        return self.monitors[index]

    def to_pandas(self) -> pd.DataFrame:
        """One row a rule."""
        import pandas as pd

        return pd.DataFrame(
            [{"deployment": m.name, "every": m.every, **j.to_dict()} for m in self for j in m.judgements]
        )

    def text(self) -> str:
        if not self.monitors:
            return "nothing is monitored; `%mlops monitor DEPLOYMENT --every 1h --when RULE` watches a deployment."
        return "\n\n".join(m.text() for m in self.monitors)


@dataclass(frozen=True)
class Alert(Displayed, Record):
    """One alert.

    Parameters
    ----------
    opened_ms, resolved_ms
        The ends of the windows in which the rule began to hold (for as long as it must) and held no more; None while open.
    found_ms
        When that was found.
    told
        The measured value in words.
    sent
        What became of it: ``store``, ``log``, ``webhook:URL``, each with how it went.
    """

    id: str
    deployment: str
    model: str
    rule: str
    told: str
    opened_ms: int
    found_ms: int
    value: float | None = None
    resolved_ms: int | None = None
    silenced: bool = False
    sent: dict[str, str] | None = None

    @property
    def state(self) -> str:
        """``firing`` or ``resolved``."""
        return "firing" if self.resolved_ms is None else "resolved"

    @property
    def sentence(self) -> str:
        """The alert in one line."""
        end = "" if self.resolved_ms is None else f"; resolved at {border(self.resolved_ms)}"
        return f"{self.deployment} ({self.model}): {self.rule}: {self.told}, since {border(self.opened_ms)}{end}"

    def text(self) -> str:
        return f"{self.state} {self.sentence} [{self.id}]"


@dataclass(frozen=True)
class AlertTable(Displayed, Record):
    """Alerts, newest first."""

    alerts: tuple[Alert, ...]

    def __iter__(self) -> Iterator[Alert]:
        return iter(self.alerts)

    def __len__(self) -> int:
        return len(self.alerts)

    def __getitem__(self, index: int) -> Alert:
        return self.alerts[index]

    @property
    def firing(self) -> tuple[Alert, ...]:
        """Those that are open."""
        return tuple(a for a in self.alerts if a.resolved_ms is None)

    def to_pandas(self) -> pd.DataFrame:
        """One row an alert."""
        import pandas as pd

        return pd.DataFrame([{**a.to_dict(), "state": a.state} for a in self.alerts])

    def text(self) -> str:
        if not self.alerts:
            return "no alerts"
        rows = [
            [
                a.state + (" (silenced)" if a.silenced else ""),
                a.deployment,
                a.rule,
                a.told,
                border(a.opened_ms),
                a.id,
            ]
            for a in self.alerts
        ]
        return f"{len(self.firing)} firing\n" + table(["state", "deployment", "rule", "measured", "since", "id"], rows)
