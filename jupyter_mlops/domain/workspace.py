"""Workspace, actor, notebook and cell: where work happens, who does it, and from where."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from .display import Displayed, table
from .record import Record

__all__ = ["Actor", "Cell", "Notebook", "Status", "Via", "Workspace"]

Via = Literal["python", "magic", "shell", "panel", "service"]


@dataclass(frozen=True)
class Workspace:
    """A store plus an experiment plus a project folder.

    Parameters
    ----------
    root
        The project folder.
    tracking_uri
        The MLflow store, as MLflow writes it.
    experiment
        The MLflow experiment that runs go to.
    artifact_root
        Where MLflow puts the artifacts of a new experiment; None leaves it to the store.
    """

    root: Path
    tracking_uri: str
    experiment: str
    artifact_root: str | None = None

    @property
    def home(self) -> Path:
        """The folder that holds everything of ours: ``.mlops`` in the project folder."""
        return self.root / ".mlops"


@dataclass(frozen=True)
class Actor(Record):
    """Who asked, from which machine, by which surface, in which notebook, cell and commit."""

    user: str = ""
    host: str = ""
    via: Via = "python"
    notebook: str = ""
    cell: str = ""
    """``In [7]``, and the cell's id where the frontend tells it."""
    commit: str = ""


@dataclass(frozen=True)
class Cell(Record):
    """One execution of one notebook cell.

    Parameters
    ----------
    source
        The code as the user wrote it, magics included.
    count
        The execution count, the number in ``In [n]``.
    id
        The notebook's cell id where the frontend tells it, else empty.
    started_ms, ended_ms
        Milliseconds since 1970.
    outcome
        How it ended; ``running`` until it has.
    """

    source: str
    count: int
    id: str = ""
    started_ms: int = 0
    ended_ms: int | None = None
    outcome: Literal["running", "ok", "error", "interrupted"] = "running"


@dataclass(frozen=True)
class Notebook(Record):
    """The notebook a kernel belongs to, as far as it is known."""

    path: str = ""
    commit: str = ""
    dirty: bool = False


@dataclass(frozen=True)
class Status(Displayed, Record):
    """The workspace at a glance."""

    root: str
    tracking_uri: str
    experiment: str
    user: str
    notebook: str = ""
    service_pid: int | None = None
    service_state: str = "stopped"
    runs: int = 0
    running: int = 0
    data_versions: int = 0
    models: int = 0
    deployments: tuple[str, ...] = ()
    pending: int = 0
    """Events that kernels have logged and the store has not got yet."""
    notes: tuple[str, ...] = ()
    last_run: str = ""
    away: str = ""
    """Why the store cannot be asked; nothing is counted then."""

    def text(self) -> str:
        rows = [
            ("workspace", self.root),
            ("store", f"{self.tracking_uri} · experiment {self.experiment!r}"),
            ("notebook", self.notebook or "unknown"),
            ("service", f"{self.service_state}" + (f", process {self.service_pid}" if self.service_pid else "")),
            *([] if self.away else self._counts()),
            ("deployments", ", ".join(self.deployments) or "none"),
        ]
        if self.pending:
            rows.append(("not yet stored", f"{self.pending} events"))
        told = [f"away: {self.away}"] if self.away else []
        return "\n".join([table(["MLOps", ""], rows), *told, *(f"note: {note}" for note in self.notes)])

    def _counts(self) -> list[tuple[str, str]]:
        return [
            ("runs", f"{self.runs}" + (f", {self.running} running" if self.running else "")),
            ("data versions", str(self.data_versions)),
            ("models", str(self.models)),
        ]
