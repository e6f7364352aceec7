"""Run: one tracked execution, a table of them, and how several compare."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, Self

from .display import Displayed, ago, clock, cut, seconds, table
from .record import Record
from .run_columns import RunColumns

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "FOLD",
    "FoldDifference",
    "Run",
    "RunComparison",
    "RunStatus",
    "RunTable",
    "Series",
    "Trust",
    "telling_metrics",
]

FOLD = "_fold"
"""Ends the names of metrics whose steps are the folds of cross-validation."""
WIDEST = 40  # letters of a parameter where runs stand side by side

RunStatus = Literal["RUNNING", "FINISHED", "FAILED", "KILLED", "SCHEDULED"]

Trust = Literal["reproducible", "consistent", "stale", "unknown"]
"""Whether the notebook as it stands gives a run again.

``reproducible``: it was executed again in a fresh process and gave the same. ``consistent``: the cells as they stand are
the ones that ran, in an order that works from top to bottom. ``stale``: they are not, and the reasons say which.
``unknown``: nobody can tell, and the reasons say why.
"""


def telling_metrics(names: Collection[str]) -> list[str]:
    """What says most first: what the user measured before what scikit-learn did on training data; no single folds.

    The value that a run has of a metric over folds is the last fold's: it says nothing that the mean does not say better.

    Examples
    --------
    >>> telling_metrics(["training_score", "cv_auc_fold", "cv_auc_mean", "scaffold_fold"])
    ['cv_auc_mean', 'scaffold_fold', 'training_score']
    """
    means = {*names, *(name.removesuffix("_mean") for name in names if name.endswith("_mean"))}
    kept = [name for name in names if not (name.endswith(FOLD) and name.removesuffix(FOLD) in means)]
    return sorted(kept, key=lambda name: name.startswith("training_"))


@dataclass(frozen=True)
class Run(Displayed, Record):
    """One tracked execution, as the store tells it.

    Parameters
    ----------
    id
        MLflow's run id.
    data
        The data versions it used: ``adult@v3``, or ``name#digest`` for a table that was not saved.
    models
        MLflow's ids of the models it made.
    reason
        Why it failed or was killed, in one line.
    trust
        See `Trust`.
    trust_reasons
        By cell as the notebook numbers it (empty for the whole), what speaks against it.
    superseded_by
        The run of the same cell that took its place.
    facts
        What it took: seconds, CPU seconds, peak memory, seeds, energy.
    notes
        What could not be recorded, and why.
    """

    id: str
    name: str
    status: RunStatus
    experiment: str = ""
    started_ms: int = 0
    ended_ms: int | None = None
    metrics: dict[str, float] = field(default_factory=dict)
    params: dict[str, str] = field(default_factory=dict)
    data: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    artifacts: tuple[str, ...] = ()
    notebook: str = ""
    commit: str = ""
    user: str = ""
    source: str = ""
    kind: str = "run"
    parent: str = ""
    reason: str = ""
    trust: Trust = "unknown"
    trust_reasons: dict[str, str] = field(default_factory=dict)
    superseded_by: str = ""
    facts: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def note(self) -> str:
        """The first of the notes, and how many more there are; empty for none."""
        more = f", and {len(self.notes) - 1} more" if len(self.notes) > 1 else ""
        return f"{self.notes[0].rstrip('.')}{more}" if self.notes else ""

    @property
    def duration_ms(self) -> int | None:
        """How long it took, None while it runs."""
        return None if self.ended_ms is None else self.ended_ms - self.started_ms

    def text(self) -> str:
        rows = [
            ("run", f"{self.name} ({self.id})"),
            ("status", self.status + (f": {self.reason}" if self.reason else "")),
            ("started", clock(self.started_ms)),
            ("took", seconds(self.duration_ms)),
            *((f"metric {k}", f"{v:.6g}") for k, v in self.metrics.items()),
            ("parameters", str(len(self.params))),
            ("data", ", ".join(self.data) or "-"),
            ("models", str(len(self.models))),
            ("trust", self.trust),
            *((f"  cell {cell}" if cell else "", why) for cell, why in self.trust_reasons.items()),
            *self.facts.items(),
            *(("note" if i == 0 else "", line) for i, line in enumerate(self.notes)),
            *([("superseded by", self.superseded_by)] if self.superseded_by else []),
        ]
        return table(["", ""], rows).lstrip("\n ")


@dataclass(frozen=True)
class RunTable(Displayed, Record):
    """Runs, newest first, as `runs` found them."""

    runs: Sequence[Run]
    experiment: str = ""
    filter: str = ""
    more: bool = False
    """Whether the store holds more than were asked for."""

    def __iter__(self) -> Iterator[Run]:
        return iter(self.runs)

    def __len__(self) -> int:
        return len(self.runs)

    def __getitem__(self, index: int) -> Run:
        return self.runs[index]

    def with_trust(self, labels: Mapping[str, tuple[Trust, dict[str, str]]]) -> Self:
        """The same table with other trust labels and reasons for some runs, by their ids."""
        if not labels:
            return self
        columns = RunColumns.of(self.runs)
        plain = {
            **columns.plain,
            "trust": [*columns.plain["trust"]],
            "trust_reasons": [*columns.plain["trust_reasons"]],
        }
        for i, run in enumerate(plain["id"]):
            if run in labels:
                plain["trust"][i], plain["trust_reasons"][i] = labels[run]
        return replace(self, runs=RunColumns(plain, columns.sets, columns.metrics, columns.params))

    def to_dict(self) -> dict[str, Any]:
        """The table as JSON-ready data; columns stay columns."""
        told: dict[str, Any] = {"experiment": self.experiment, "filter": self.filter, "more": self.more}
        if isinstance(self.runs, RunColumns):
            return {"columns": self.runs.to_dict(), **told}
        return {"runs": [run.to_dict() for run in self.runs], **told}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        columns = data.get("columns")
        runs = tuple(map(Run.from_dict, data.get("runs", ()))) if columns is None else RunColumns.from_dict(columns)
        told = {name: data[name] for name in ("experiment", "filter", "more") if name in data}
        return cls(runs, **told)

    def metric_names(self) -> list[str]:
        """Every metric any of the runs has, the most common first."""
        counts: dict[str, int] = {}
        if isinstance(self.runs, RunColumns):
            counts = self.runs.name_counts()
        else:
            for run in self.runs:
                for name in run.metrics:
                    counts[name] = counts.get(name, 0) + 1
        return sorted(counts, key=lambda name: (-counts[name], name))

    def to_pandas(self) -> pd.DataFrame:
        """One row a run; metrics and parameters as ``metrics.x`` and ``params.y``, as MLflow names them."""
        import numpy as np
        import pandas as pd
        import pyarrow as pa

        columns = RunColumns.of(self.runs)

        def read(texts: list[str], names: int) -> Any:
            return pa.array(" ".join(texts).split(" ")).cast(pa.float64()).to_numpy().reshape(-1, names).T

        def empty() -> Any:
            return np.full(len(columns), np.nan)

        plain = columns.plain
        started, ended = pd.Series(plain["started_ms"], dtype="int64"), pd.Series(plain["ended_ms"], dtype="float64")
        told: dict[str, Any] = {
            "run_id": plain["id"],
            "name": plain["name"],
            "status": plain["status"],
            "start_time": pd.to_datetime(started, unit="ms", utc=True),
            "seconds": (ended - started) / 1000,
            "trust": plain["trust"],
        }
        told |= {f"metrics.{name}": values for name, values in columns.metric_columns(read, empty).items()}
        told |= {f"params.{name}": values for name, values in columns.param_columns().items()}
        return pd.DataFrame(told)

    def text(self) -> str:
        if not self.runs:
            return f"no runs where {self.filter}." if self.filter else "no runs yet; begin a cell with `%%mlops run`."
        names = telling_metrics(self.metric_names())[:4]
        now = int(time.time() * 1000)
        rows = [
            [
                run.name,
                run.id[:8],
                run.status,
                ago(run.started_ms, now),
                seconds(run.duration_ms),
                "superseded" if run.superseded_by else run.trust,
                *(f"{run.metrics[n]:.4g}" if n in run.metrics else "-" for n in names),
            ]
            for run in self.runs
        ]
        tail = "\n... and more; ask with `--limit`" if self.more else ""
        return table(["run", "id", "status", "started", "took", "trust", *names], rows) + tail


@dataclass(frozen=True)
class Series(Record):
    """One metric of one run over its steps, thinned for drawing."""

    run: str
    metric: str
    steps: tuple[int, ...]
    values: tuple[float, ...]


@dataclass(frozen=True)
class FoldDifference(Record):
    """How two runs' scores differ over the folds of cross-validation, paired by the fold's number.

    The corrected resampled t-test of Nadeau and Bengio (2003): the variance of the differences is multiplied by
    ``1/k + 1/(k - 1)`` in the place of ``1/k``, since the folds' training rows overlap; ``k - 1`` degrees of freedom. It
    holds where both runs used the same splits.

    Parameters
    ----------
    metric
        The metric whose steps are the folds.
    means
        The first two runs' means.
    difference, low, high
        The second less the first, and the interval of 95 %.
    p
        Two-sided; nan where the differences do not vary.
    """

    metric: str
    folds: int
    means: tuple[float, ...]
    difference: float
    low: float
    high: float
    p: float

    def text(self) -> str:
        """One line."""
        told = f"{self.metric}: {self.means[0]:.5g} -> {self.means[1]:.5g}" if len(self.means) == 2 else self.metric
        return f"{told}, difference {self.difference:+.4g} [{self.low:+.4g}, {self.high:+.4g}], p = {self.p:.3g} ({self.folds} folds)"


@dataclass(frozen=True)
class RunComparison(Displayed, Record):
    """Several runs side by side: what differs, what is the same, and the curves of metrics with steps."""

    runs: tuple[Run, ...]
    metrics: dict[str, tuple[float | None, ...]]
    params: dict[str, tuple[str | None, ...]]
    """Only the parameters that differ; a value a run, None where it has none."""
    same: dict[str, str] = field(default_factory=dict)
    curves: tuple[Series, ...] = ()
    source_diff: str = ""
    """A unified diff of the first two runs' cells; empty when they are the same."""
    environment: tuple[str, ...] = ()
    """Distributions that are not the same for the first two runs: ``scikit-learn 1.7.0 -> 1.8.0``."""
    data: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Tables that not all runs used alike, by name: each run's version or digest, empty where it used none."""
    folds: tuple[FoldDifference, ...] = ()
    low: dict[str, tuple[float | None, ...]] = field(default_factory=dict)
    """Where the interval of a metric begins, for those that `evaluate` measured; a value a run, None where it has none."""
    high: dict[str, tuple[float | None, ...]] = field(default_factory=dict)

    def interval(self, metric: str, place: int) -> str:
        """The interval of a run's metric, in brackets; empty where it has none."""
        low, high = (ends.get(metric, ())[place : place + 1] for ends in (self.low, self.high))
        return f"[{low[0]:.4g}, {high[0]:.4g}]" if low and high and None not in (low[0], high[0]) else ""

    @property
    def folds_note(self) -> str:
        """What the paired tests over folds rest on, where that is in doubt; else empty."""
        other = any(len({*values[:2]}) > 1 for values in self.data.values())
        return "these runs used other tables: their folds are pairs only where they hold the same rows" if other else ""

    def to_pandas(self) -> pd.DataFrame:
        """One row a metric or differing parameter, one column a run."""
        import pandas as pd

        columns = [f"{run.name} ({run.id[:8]})" for run in self.runs]
        rows = {("metric", k): v for k, v in self.metrics.items()} | {("param", k): v for k, v in self.params.items()}
        return pd.DataFrame.from_dict(rows, orient="index", columns=columns)

    def text(self) -> str:
        heads = ["", *(f"{run.name} ({run.id[:8]})" for run in self.runs)]
        rows: list[list[object]] = [
            [name, *("-" if v is None else f"{v:.6g} {self.interval(name, i)}".rstrip() for i, v in enumerate(values))]
            for name, values in self.metrics.items()
        ]
        rows += [
            [name, *("-" if v is None else cut(v, WIDEST) for v in values)] for name, values in self.params.items()
        ]
        rows += [[f"data {name}", *(value or "-" for value in values)] for name, values in self.data.items()]
        tail = f"\n{len(self.same)} parameters are the same" if self.same else ""
        tail += "".join(f"\n{one.text()}" for one in self.folds)
        tail += f"\n{self.folds_note}" if self.folds and self.folds_note else ""
        tail += f"\nenvironment: {', '.join(self.environment)}" if self.environment else ""
        return table(heads, rows) + tail + (f"\n\n{self.source_diff}" if self.source_diff else "")
