"""Drains: how kernels' journals get into the store, inside the service: in order, in batches, and nothing twice.

How far a journal has been drained is written down after each batch. After a crash the last batch is sent again, which
changes nothing: a run is found by its key, metrics and parameters are known to the store by their content, artifacts
take the place of themselves, models are found by their key. A store that is away is waited for; an event that the store
turns down is passed over with a note on the run, so that it holds nothing up.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import shutil
import threading
import time
from pathlib import Path
from typing import Any

from ..domain.run import Run
from ..domain.workspace import Actor, Workspace
from ..errors import MLOpsError, NotFound, StoreUnavailable
from ..store import tags
from ..store.host import Host
from ..store.store import Store
from . import journal as journals
from .journal import Event
from .writing import Writing

__all__ = ["Drain", "Drains", "drains", "kernel_tag"]

log = logging.getLogger("jupyter_mlops.tracking")

STATE = "drained.json"
BATCH = 4000
TRIES = 3
KERNEL_ENDED = "the kernel ended"
UNFINISHED_SECONDS = 3600.0
DEAD_SECONDS = 30.0


class Drain:
    """One journal on its way into the store.

    Parameters
    ----------
    folder
        The journal's.
    """

    def __init__(self, folder: Path, tag: str) -> None:
        self.folder = folder
        self.tag = tag
        self._lock = threading.Lock()
        self._gone = False
        self._alive_ms = 0  # when its kernel was last seen alive
        self._failures = 0
        # whether the next events may be in the store already: before a crash, or a store that went away
        self._again = True
        self._stores: dict[str, Store] = {}
        self._state: dict[str, Any] = {"position": 0, "runs": {}, "last_ms": 0}
        with contextlib.suppress(OSError, ValueError):
            self._state |= json.loads((folder / STATE).read_text())

    @property
    def position(self) -> int:
        """How far it has got."""
        return int(self._state["position"])

    @property
    def open_runs(self) -> int:
        """How many runs have begun and not ended."""
        return sum(not run["ended"] for run in self._state["runs"].values())

    def run_id(self, key: str) -> str:
        """The store's id of the run with this key, empty if it is not known here."""
        return next((str(run["id"]) for run in self._state["runs"].values() if run["key"] == key), "")

    def run(self, host: Host, *, until: int | None = None, seconds: float = 3600.0) -> bool:
        """Drain what is there, or up to a position; whether it got there in time.

        Raises
        ------
        StoreUnavailable
            The store is away; nothing is lost.
        """
        deadline = time.monotonic() + seconds
        if not self._lock.acquire(timeout=seconds):
            return False
        try:
            if self._gone or (until is not None and self.position >= until):
                return True
            over = not journals.alive(self.folder)  # looked at first: what is written after this is not missed
            if not over:
                self._alive_ms = int(time.time() * 1000)
            while time.monotonic() < deadline and not host.stopping.is_set():
                events = journals.read_events(self.folder, self.position, BATCH)
                if events:
                    self._apply(host, events)
                if len(events) < BATCH:
                    if over:
                        self._finish(host)
                    return until is None or self.position >= until or over
            return False
        finally:
            self._lock.release()

    def _apply(self, host: Host, events: list[Event]) -> None:
        writing = self._writing(host)
        self._again = True
        try:
            writing.write(events)
            done = events
        except StoreUnavailable:
            done = events[: writing.count]
            self._failures = 0 if done else self._failures + 1
            if not done and self._failures >= TRIES and _answers(host):
                self._alone(host, writing, events[0])
                done, self._failures = events[:1], 0
            if done:
                self._save(host, done)
            raise
        self._failures = 0
        self._save(host, done)
        self._again = False
        if any(event.kind in ("start", "end", "model") for event in events):
            host.changed("runs")
        if any(event.kind == "data" for event in events):
            host.changed("data")

    def _alone(self, host: Host, writing: Writing, event: Event) -> None:
        """Write one event by itself, or pass it over where a store that is well cannot take it.

        A store that has only just come back takes it: it may have failed so often because it was away.
        """
        for _ in range(TRIES):
            one = self._writing(host)
            try:
                one.write([event])
            except StoreUnavailable:
                if not _answers(host):
                    raise
            else:
                return
        log.warning("passed over: %s", event)
        writing.pass_over(event)

    def _writing(self, host: Host) -> Writing:
        return Writing(host, self.folder, self.tag, self._state["runs"], self._store, again=self._again)

    def _save(self, host: Host, done: list[Event]) -> None:
        """Note how far it is, then throw away the staged files that are stored."""
        for store in (host.store, *self._stores.values()):
            store.sync()
        self._state["position"] = done[-1].end
        self._state["last_ms"] = max(self._state["last_ms"], *(event.at_ms for event in done))
        temporary = self.folder / f"{STATE}.tmp"
        temporary.write_text(json.dumps(self._state))
        temporary.replace(self.folder / STATE)
        for event in done:
            place = event.payload.get("file") or event.payload.get("folder")
            if event.kind == "artifact" and place:
                shutil.rmtree((self.folder / place).parent, ignore_errors=True)
            elif event.kind == "model" and place:
                shutil.rmtree(self.folder / journals.FILES / place, ignore_errors=True)

    def _finish(self, host: Host) -> None:
        """The kernel is gone and its journal drained: end what it left open, and remove the journal."""
        owner = journals.read_owner(self.folder)
        actor = Actor(str(owner.get("user", "")), str(owner.get("host", "")), "service", str(owner.get("notebook", "")))
        ended_ms = max(int(self._state["last_ms"]), self._alive_ms) or int(time.time() * 1000)
        for run in reversed(self._state["runs"].values()):  # children first
            if not run["ended"]:
                with contextlib.suppress(NotFound):
                    self._store(host, run["store"]).runs.end(run["id"], "KILLED", ended_ms, KERNEL_ENDED)
                details = {"run_id": run["id"], "status": "KILLED", "reason": KERNEL_ENDED}
                host.audit(f"run.end:{run['key']}", actor, "run.end", run["name"], details)
                run["ended"] = True
        removed = self.folder.with_name(f".{self.folder.name}.{os.getpid()}")
        with contextlib.suppress(OSError):
            self.folder.rename(removed)
        shutil.rmtree(removed, ignore_errors=True)
        self._gone = True
        host.changed("runs")

    def _store(self, host: Host, uri: str) -> Store:
        """The store a run was begun in: `connect` may have chosen another one since."""
        current = host.store
        if not uri or uri == current.workspace.tracking_uri:
            return current
        if uri not in self._stores:
            before = current.workspace
            self._stores[uri] = Store.open(Workspace(before.root, uri, before.experiment, before.artifact_root))
        return self._stores[uri]


class Drains:
    """The journals of one workspace."""

    def __init__(self, home: Path, tag: str) -> None:
        self.home = home / journals.FOLDER
        self.tag = tag
        self._known: dict[str, Drain] = {}
        self._lock = threading.Lock()
        self._ending = threading.Lock()
        self._orphans_looked = False

    def open(self, journal: str) -> Drain | None:
        """The drain of a journal, None for one that is drained and gone."""
        with self._lock:
            folder = self.home / journal
            if not folder.is_dir():
                self._known.pop(journal, None)
                return None
            return self._known.setdefault(journal, Drain(folder, f"{self.tag}/{journal}"))

    def all(self) -> list[Drain]:
        """One for each journal, the oldest first."""
        try:
            folders = [f for f in self.home.iterdir() if f.is_dir() and not f.name.startswith(".")]
            folders.sort(key=lambda folder: folder.stat().st_ctime)
        except FileNotFoundError:
            return []
        return [drain for folder in folders if (drain := self.open(folder.name)) is not None]

    def turn(self, host: Host, *, seconds: float = 3600.0) -> None:
        """Drain all that there is.

        Parameters
        ----------
        seconds
            How long the journals of living kernels may take; those of dead ones are brought to their end.
        """
        _ = host.store  # opening it counts for nothing
        deadline = time.monotonic() + seconds
        for drain in self.all():
            over = not journals.alive(drain.folder)
            try:
                drain.run(host, seconds=DEAD_SECONDS if over else max(0.0, deadline - time.monotonic()))
            except StoreUnavailable:
                raise
            except Exception:  # one journal that cannot be read must not hold up the others
                log.exception("draining %s", drain.folder)
        self._sweep(host)

    def _sweep(self, host: Host) -> None:
        """Once: end what a removed journal left running, and clear what was made or removed halfway."""
        if self._orphans_looked:
            return
        self._orphans_looked = True
        for run in host.store.runs.running(self.tag):
            if self.orphaned(host, run.id):
                self.end_orphan(host, run)
        for folder in self.home.glob(".*"):
            with contextlib.suppress(OSError):
                if time.time() - folder.stat().st_mtime > UNFINISHED_SECONDS:
                    shutil.rmtree(folder, ignore_errors=True)

    def orphaned(self, host: Host, run_id: str) -> bool:
        """Whether a run was recorded by a kernel of this workspace whose journal is gone."""
        held = host.store.runs.tags(run_id).get(tags.KERNEL, "")
        workspace, _, journal = held.partition("/")
        return bool(journal) and workspace == self.tag and not (self.home / journal).exists()

    def end_orphan(self, host: Host, run: Run) -> None:
        """End a run that nothing will end any more."""
        with self._ending:
            if host.store.runs.status(run.id) != "RUNNING":  # another thread was quicker
                return
            host.store.runs.end(run.id, "KILLED", int(time.time() * 1000), KERNEL_ENDED)
        actor = Actor(run.user, host.actor.host, "service", run.notebook)
        details = {"run_id": run.id, "status": "KILLED", "reason": KERNEL_ENDED}
        host.audit(f"run.end:{run.id}", actor, "run.end", run.name, details)
        host.changed("runs")

    def pending(self) -> int:
        """How many events wait."""
        return sum(journals.count_events(drain.folder, drain.position) for drain in self.all())

    def busy(self) -> bool:
        """Whether a run is being recorded or something waits."""
        return any(drain.open_runs or journals.read_events(drain.folder, drain.position, 1) for drain in self.all())


def drains(host: Host) -> Drains:
    """The drains of this service."""
    found: Drains = host.shared.setdefault("tracking", Drains(host.workspace.home, kernel_tag(host)))
    return found


def kernel_tag(host: Host) -> str:
    """What marks the runs of this workspace in a store that several may share.

    Examples
    --------
    A digest of the machine's name and the project folder: ``3f1c90ab55de``.
    """
    return hashlib.sha256(f"{host.settings.host}:{host.workspace.root}".encode()).hexdigest()[:12]


def _answers(host: Host) -> bool:
    try:
        host.store.runs.names()
    except MLOpsError:
        return False
    return True
