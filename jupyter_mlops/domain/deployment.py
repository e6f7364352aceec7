"""Deployment: a model version behind a server on this machine; what it answered; the inference log's place."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from .display import Displayed, ago, table
from .record import Record
from .traffic import Traffic

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "BatchResult",
    "Deployment",
    "DeploymentState",
    "DeploymentTable",
    "LogRules",
    "Manifest",
    "Predictions",
    "VersionStatus",
    "WorkerStatus",
]

AWAY = {
    "401": "without the token", "408": "too slow", "413": "too large", "415": "encoded", "429": "too many at once",
    "503": "while none was ready",
}  # fmt: skip
DeploymentState = Literal["starting", "running", "restarting", "failed", "stopped"]


@dataclass(frozen=True)
class LogRules(Record):
    """What a deployment writes into its inference log, how long it is kept, and what happens when it cannot be written.

    Parameters
    ----------
    unwritable
        What a server does when a prediction cannot be logged: ``refuse`` answers 503 in its place, ``serve`` answers
        all the same and counts what was not logged.
    slow_ms
        Where serving goes on, a write that takes longer makes the server leave the log alone for a second.
    sample
        Which share of the requests is logged, above 0 to 1, chosen by their ids.
    mask
        Columns whose values are hashed before they are written.
    blank
        Columns whose values are left out.
    keep_days
        Rows older than this many days are removed; 0 keeps them.
    keep_bytes
        The oldest rows are removed while the log is larger; 0 keeps them.
    """

    unwritable: Literal["refuse", "serve"] = "refuse"
    slow_ms: float = 250.0
    sample: float = 1.0
    mask: tuple[str, ...] = ()
    blank: tuple[str, ...] = ()
    keep_days: float = 0.0
    keep_bytes: int = 0

    def facts(self) -> dict[str, Any]:
        """What the audit trail tells of them: those that are not the usual.

        Examples
        --------
        >>> LogRules(sample=0.1, mask=("ssn",)).facts()
        {'log_sample': 0.1, 'log_mask': 'ssn'}
        """
        usual = LogRules().to_dict()
        other = {key: value for key, value in self.to_dict().items() if value != usual[key]}
        return {f"log_{key}": ", ".join(v) if isinstance(v, list) else v for key, v in other.items()}


@dataclass(frozen=True)
class WorkerStatus(Record):
    """One server process of a deployment.

    Parameters
    ----------
    health
        ``healthy``; ``silent`` when its ``/health`` did not answer; ``refusing`` when it refuses predictions because the
        inference log cannot be written, ``unlogged`` when it answers them nevertheless.
    memory
        Bytes of resident memory.
    requests
        How many it has answered.
    """

    pid: int
    health: str
    memory: int = 0
    requests: int = 0


@dataclass(frozen=True)
class VersionStatus(Record):
    """One model version under a deployment, counted since its servers were started.

    Parameters
    ----------
    path
        By which way it computes: ``compiled``, ``encoder``, ``dataframe`` or ``pyfunc``.
    path_reason
        Why by no faster one.
    refused
        Requests answered with 400 to 499: what clients sent wrong, and rows on which the model raised, as MLflow answers.
    errors
        Requests answered with 500 and above.
    p50_ms, p99_ms
        Latency quantiles in milliseconds, at most 20 % too high; None before the first request.
    """

    model: str
    role: str
    weight: float
    path: str = ""
    path_reason: str = ""
    requests: int = 0
    refused: int = 0
    errors: int = 0
    predictions: int = 0
    p50_ms: float | None = None
    p99_ms: float | None = None


@dataclass(frozen=True)
class Deployment(Displayed, Record):
    """One deployment, told as it is now.

    Parameters
    ----------
    name
        The deployment's name; by default the model's.
    model
        The model version it serves: ``clf@7``.
    asked
        What `deploy` was given: ``clf@champion``.
    url
        Where it answers; always loopback unless the user said otherwise.
    grpc
        Where it answers over gRPC: ``127.0.0.1:8081``; empty for nowhere.
    token_file
        The file, readable by its owner only, that holds the token.
    predictions
        Rows answered, over every process that served this deployment.
    contract
        Whose contract its requests have to keep: a data version or a file; empty for none.
    turned_away
        Requests for which no version was asked, by HTTP status, since its servers were started: without the token (401),
        too slow (408), too large (413), encoded (415), too many at once (429), none ready (503).
    release
        The version of this package that its processes run, which goes on when the package is upgraded.
    other_release
        The version that is installed, where its processes run another; else empty.
    """

    name: str
    model: str
    state: DeploymentState
    url: str
    asked: str = ""
    pid: int | None = None
    started_ms: int = 0
    restarts: int = 0
    predictions: int = 0
    python: str = ""
    token_file: str = ""
    log: str = ""
    error: str = ""
    workers: tuple[WorkerStatus, ...] = ()
    traffic: Traffic = field(default_factory=Traffic)
    versions: tuple[VersionStatus, ...] = ()
    not_logged: int = 0
    turned_away: dict[str, int] = field(default_factory=dict)
    on_boot: str = ""
    grpc: str = ""
    contract: str = ""
    release: str = ""
    other_release: str = ""

    def text(self) -> str:
        tail = f": {self.error}" if self.error else ""
        if self.state == "stopped":
            return (
                f"{self.name} no longer serves {self.model}; its {self.predictions} predictions are kept in {self.log}"
            )
        told = [
            f"{self.name} serves {self.model} at {self.url}, {self.state}{tail}",
            f"POST {self.url}/invocations with 'Authorization: Bearer <the token in {self.token_file}>'",
        ]
        if self.grpc:
            told.append(f"gRPC (Open Inference Protocol) at {self.grpc}, the token as metadata 'authorization'")
        if len(self.versions) > 1:
            rows = [
                [
                    v.model,
                    v.role,
                    f"{v.weight:.4g}",
                    v.path,
                    v.requests,
                    v.refused,
                    v.errors,
                    v.p50_ms or "",
                    v.p99_ms or "",
                ]
                for v in self.versions
            ]
            head = ["model", "part", "share", "path", "requests", "refused", "errors", "p50 ms", "p99 ms"]
            told.append(table(head, rows))
        told += [f"{v.model} computes by {v.path}: {v.path_reason}" for v in self.versions if v.path_reason]
        if self.contract:
            told.append(f"requests have to keep the contract of {self.contract}")
        if self.log_failing:
            told.append(self.log_failing)
        if self.not_logged:
            told.append(f"{self.not_logged} predictions were answered and could not be logged")
        if self.turned_away:
            told.append(self.away())
        told += [f"{d.what}: {d.why}" for d in reversed(self.traffic.decisions)]
        if self.on_boot:
            told.append(self.on_boot)
        if self.other_release:
            told.append(self.outdated())
        return "\n".join(told)

    def away(self) -> str:
        """How many requests were turned away before a version was asked, and why; empty where none was.

        Examples
        --------
        >>> Deployment("clf", "clf@1", "running", "", turned_away={"413": 1, "429": 1200}).away()
        'requests turned away before a version was asked: 1 too large (413), 1,200 too many at once (429)'
        """
        told = [f"{many:,} {AWAY.get(status, 'refused')} ({status})" for status, many in self.turned_away.items()]
        return f"requests turned away before a version was asked: {', '.join(told)}" if told else ""

    @property
    def log_failing(self) -> str:
        """That the inference log cannot be written, and what comes of it; empty while it can."""
        found = {worker.health for worker in self.workers}
        if "refusing" in found:
            return f"{self.name} refuses predictions with 503: its log cannot be written; `%mlops logs {self.name}` tells why"
        return f"{self.name} answers without a log, which cannot be written" if "unlogged" in found else ""

    def outdated(self) -> str:
        """What its processes run, what is installed, and what to do."""
        return (
            f"{self.name} runs jupyter_mlops {self.release}, and {self.other_release} is installed: deploy it again "
            f"with its options, as `%mlops deploy {self.asked or self.model} --name {self.name}`, and the new server takes "
            "over without losing a request"
        )


@dataclass(frozen=True)
class DeploymentTable(Displayed, Record):
    """The workspace's deployments.

    Parameters
    ----------
    named
        Whether one was asked for by its name, and is told of in full.
    """

    deployments: tuple[Deployment, ...]
    named: bool = False

    def __iter__(self) -> Iterator[Deployment]:
        return iter(self.deployments)

    def __len__(self) -> int:
        return len(self.deployments)

    def __getitem__(self, index: int) -> Deployment:
        return self.deployments[index]

    def to_pandas(self) -> pd.DataFrame:
        """One row a deployment."""
        import pandas as pd

        return pd.DataFrame([d.to_dict() for d in self.deployments])

    def text(self) -> str:
        if not self.deployments:
            return "no deployments; start one with `%mlops deploy MODEL@ALIAS`."
        now = int(time.time() * 1000)
        rows = [
            [
                d.name,
                ", ".join(f"{v.model} {v.weight:.4g}" for v in d.versions if v.weight)
                if len(d.versions) > 1
                else d.model,
                d.state,
                d.url,
                f"{sum(w.health == 'healthy' for w in d.workers)}/{len(d.workers)}",
                f"{sum(w.memory for w in d.workers) / 1e6:.0f} MB",
                d.predictions,
                d.versions[0].p50_ms if d.versions and d.versions[0].p50_ms is not None else "",
                d.versions[0].p99_ms if d.versions and d.versions[0].p99_ms is not None else "",
                d.restarts,
                ago(d.started_ms, now),
            ]
            for d in self.deployments
        ]
        heads = ["deployment", "model", "state", "url", "healthy", "memory", "predictions", "p50 ms", "p99 ms"]
        told = [table([*heads, "restarts", "started"], rows)]
        if self.named:
            return "\n".join([*told, *(line for d in self.deployments for line in d.text().splitlines()[1:])])
        told += [f"{d.name}: {n.what}: {n.why}" for d in self.deployments for n in reversed(d.traffic.decisions[-2:])]
        told += [d.log_failing for d in self.deployments if d.log_failing]
        told += [d.outdated() for d in self.deployments if d.other_release]
        return "\n".join(told)


@dataclass(frozen=True)
class Predictions(Displayed, Record):
    """What a model server answered to one request, one value a row."""

    values: tuple[Any, ...]
    ids: tuple[str, ...]
    """One id a row; `label` and the inference log know the prediction by it."""
    model: str = ""
    deployment: str = ""
    took_ms: float = 0.0

    def __iter__(self) -> Iterator[Any]:
        return iter(self.values)

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, index: int) -> Any:
        return self.values[index]

    def to_pandas(self) -> pd.DataFrame:
        """One row a prediction, indexed by its id."""
        import pandas as pd

        return pd.DataFrame({"prediction": list(self.values)}, index=pd.Index(self.ids, name="id"))

    def text(self) -> str:
        shown = ", ".join(str(v) for v in self.values[:10])
        more = f", ... ({len(self.values)} in all)" if len(self.values) > 10 else ""
        return f"[{shown}{more}] from {self.model} in {self.took_ms:.1f} ms"


@dataclass(frozen=True)
class Rollback(Displayed, Record):
    """An alias that went back, and the deployments that went with it."""

    model: str
    alias: str
    version: int
    previous: int | None = None
    deployments: tuple[str, ...] = ()

    @property
    def was_another(self) -> bool:
        """Whether the alias pointed at another version before."""
        return self.previous not in (None, self.version)

    def text(self) -> str:
        before = f" (it was version {self.previous})" if self.was_another else ""
        served = f"; {', '.join(self.deployments)} answers by it" if self.deployments else "; no deployment follows it"
        return f"{self.model}@{self.alias} is version {self.version} again{before}{served}"


@dataclass(frozen=True)
class Erasure(Displayed, Record):
    """Rows that were erased from an inference log, and the labels of predictions that are in it no more.

    Parameters
    ----------
    unread
        Files of the log that cannot be read, so that nobody knows whether they hold more.
    """

    deployment: str
    rows: int
    files: int = 0
    labels: int = 0
    unread: tuple[str, ...] = ()

    def text(self) -> str:
        labels = f", and {self.labels} labels" if self.labels else ""
        told = f"{self.rows} rows were erased from the inference log of {self.deployment}{labels}"
        if self.unread:
            told += f"; not from what cannot be read, delete it if it may hold more: {', '.join(self.unread)}"
        return told


@dataclass(frozen=True)
class BatchResult(Displayed, Record):
    """A batch of predictions on disk.

    Parameters
    ----------
    folder
        The Parquet dataset: the source's columns, ``prediction``, ``prediction_id`` and ``model``.
    skipped
        How many rows an earlier, interrupted run had predicted.
    """

    deployment: str
    model: str
    folder: str
    rows: int
    parts: int
    skipped: int = 0

    def text(self) -> str:
        before = f" ({self.skipped:,} of them before)" if self.skipped else ""
        return f"{self.model} has predicted {self.rows:,} rows{before} into {self.parts} files in {self.folder}"


@dataclass(frozen=True)
class Manifest(Displayed, Record):
    """A deployment written for another place."""

    target: str
    model: str
    folder: str
    files: tuple[str, ...]
    told: str = ""

    def text(self) -> str:
        return f"{self.model} for {self.target} is in {self.folder}: {', '.join(self.files)}\n{self.told}"
