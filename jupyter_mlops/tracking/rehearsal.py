"""Rehearsal: a run's cells executed again in a process of their own, recorded into a folder and not into the store.

Everything that a run records is recorded as ever, so results have the names they had. What would change the workspace
is left out: the service is only asked to read.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..domain.context import Context, Service
from ..domain.workspace import Cell
from ..errors import NotReady
from .code_slice import CodeSlice, loads_of, slice_code, stored_cells
from .executions import transform_of
from .facts import environment
from .journal import FOLDER, Event, read_events
from .user_mlflow import ScratchRuns

__all__ = ["Rehearsal"]

READS = frozenset(
    f"{stage}.{name}"
    for stage, names in {
        "data": ("locate", "log", "look", "looks"),
        "evaluation": ("locate", "list", "show"),
        "registry": ("models", "show", "history"),
        "monitoring": ("reports", "report"),
        "tracking": ("search", "get", "history", "compare"),
        "workspace": ("status", "names"),
    }.items()
    for name in names
)
MOST_EVENTS = 10_000_000


class _ReadingService(Service):
    """The workspace's service, for reading only; runs are said to be drained, so nobody waits for them."""

    def __init__(self, service: Service, scratch: ScratchRuns) -> None:
        self._service = service
        self._scratch = scratch

    def call(
        self,
        operation: str,
        /,
        *,
        progress: Callable[[str], None] | None = None,
        timeout: float | None = None,
        **arguments: Any,
    ) -> Any:
        if operation == "tracking.flush":
            return {"drained": True, "run_id": self._scratch.id(str(arguments.get("run", ""))), "run": None}
        if operation not in READS:
            raise NotReady(f"{operation} is not carried out while a run is being executed again.")
        return self._service.call(operation, progress=progress, timeout=timeout, **arguments)

    def running(self) -> bool:
        return self._service.running()

    def start(self) -> None:
        self._service.start()


class Rehearsal:
    """One execution of a stored run.

    Parameters
    ----------
    context
        The session's, from now on without the right to change anything.
    spec
        What `reproducing` has written down: ``cells``, ``number``, ``data``.
    folder
        Where what is recorded goes.
    """

    def __init__(self, context: Context, spec: Mapping[str, Any], folder: Path) -> None:
        self._context = context
        self._spec = spec
        self._folder = folder
        told, self._cells = stored_cells(str(spec["cells"]))
        self.automatic = bool(told["run"].get("automatic"))
        self._loads = loads_of(told)
        # what the cells log with MLflow itself goes into a store that is thrown away, once it is read
        context.workspace = replace(context.workspace, tracking_uri=f"sqlite:///{folder / 'mlflow.db'}")
        self._scratch = ScratchRuns(context.workspace.tracking_uri, folder / "artifacts")
        context.service = _ReadingService(context.service, self._scratch)

    def code(self) -> CodeSlice:
        """What to execute."""
        return slice_code(self._cells, transform_of(self._context))

    def pin(self, cell: Cell) -> None:
        """Let names of data versions lead, in the cell that is executed next, to what they led to when it ran."""
        self._context.pinned = self._loads.get(cell.count, {})

    def recognise(self) -> None:
        """Know the tables in memory that hold the content of a data version which the run used."""
        wanted = {one["digest"]: one["ref"] for one in self._spec["data"] if one["ref"]}
        digest_of = self._context.hooks.get("digest")
        if not wanted or digest_of is None:
            return
        for table in list((self._context.namespace or {}).values()):
            if type(table).__name__ in ("DataFrame", "Table") and self._context.known_tables.find(table) is None:
                digest = digest_of(table)
                if digest in wanted:
                    self._context.known_tables.remember(table, wanted[digest], digest)

    def results(self) -> dict[str, Any]:
        """What the run gave this time; `begun` is false when no run came of it."""
        number = int(self._spec["number"])
        for journal in sorted((self._folder / FOLDER).glob("*"), key=lambda folder: folder.stat().st_ctime):
            events = read_events(journal, 0, MOST_EVENTS)
            starts = [event for event in events if event.kind == "start" and not event.payload["parent"]]
            if number < len(starts):
                own = starts[number]
                logged = self._scratch.logged(str(own.payload["key"]))
                return _results([event for event in events if event.run == own.run], *logged)
            number -= len(starts)
        return {"begun": False, "environment": environment()[0]}


def _results(events: Sequence[Event], metrics: Mapping[str, float], params: Mapping[str, str]) -> dict[str, Any]:
    """What a run's events tell, with the metrics and parameters that were logged with MLflow itself."""
    latest: dict[str, tuple[int, int, float]] = {}
    for event in events:
        if event.kind == "metric":
            told = event.payload
            value = (int(told["step"]), event.at_ms, float(told["value"]))
            before = latest.get(told["key"])
            if before is None or value[:2] >= before[:2]:
                latest[told["key"]] = value
    end = next((event.payload for event in events if event.kind == "end"), {"status": "FAILED", "reason": ""})
    return {
        "begun": True,
        "metrics": {
            key: None if math.isnan(value) else value
            for key, value in {**{key: value for key, (_, _, value) in latest.items()}, **metrics}.items()
        },
        "params": {event.payload["key"]: event.payload["value"] for event in events if event.kind == "param"}
        | dict(params),
        "models": {event.payload["name"]: event.payload["digest"] for event in events if event.kind == "model"},
        "data": [
            {name: str(event.payload.get(name, "")) for name in ("name", "digest", "ref")}
            for event in events
            if event.kind == "data"
        ],
        "status": str(end["status"]),
        "reason": str(end.get("reason", "")),
        "notes": [event.payload["text"] for event in events if event.kind == "note"],
        "environment": environment()[0],
    }
