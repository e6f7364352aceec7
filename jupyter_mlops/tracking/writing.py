"""Writing: one batch of a journal's events, put into the store."""

from __future__ import annotations

import json
import logging
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..domain.workspace import Actor
from ..errors import MLOpsError, StoreUnavailable
from ..store import tags
from ..store.host import Host
from ..store.store import Store
from .journal import FILES, Event, alive

__all__ = ["Writing", "label_tags"]

LONGEST_TAG = 4900
LONGEST_NOTE = 4000

log = logging.getLogger("jupyter_mlops.tracking")

GATHERED = ("metric", "param", "tag", "note", "commit", "trust", "facts")


def label_tags(label: str, reasons: dict[str, str]) -> dict[str, str]:
    """A trust label as a run's tags."""
    kept = dict(reasons)
    while len(json.dumps(kept)) > LONGEST_TAG:
        kept.popitem()
    return {tags.TRUST: label, tags.TRUST_REASONS: json.dumps(kept)}


class Writing:
    """Writes events; what comes in many is gathered for each run and sent together.

    That it may come after files and data that were logged later is no matter: nothing refers from one to the other. A
    logged model takes its run's parameters along, and what has ended gets no more.

    Parameters
    ----------
    runs
        The journal's runs by number, as far as they have begun: this is kept up to date.
    store
        Gives the store that a run was begun in.
    again
        Whether some of the events may be in the store already: runs and models are looked for before they are made.
    """

    def __init__(
        self,
        host: Host,
        folder: Path,
        tag: str,
        runs: dict[str, dict[str, Any]],
        store: Callable[[Host, str], Store],
        *,
        again: bool = True,
    ) -> None:
        self._host = host
        self._folder = folder
        self._tag = tag
        self._runs = runs
        self._store_of = store
        self._again = again
        self._gathered: dict[str, list[Event]] = defaultdict(list)
        self.count = 0
        """How many of the events are in the store for certain."""

    def write(self, events: list[Event]) -> None:
        """Write the events.

        Raises
        ------
        StoreUnavailable
            The store is away; `count` tells how far it went.
        """
        for number, event in enumerate(events, 1):
            if event.kind in GATHERED:
                self._gathered[str(event.run)].append(event)
                continue
            if event.kind in ("start", "end"):  # not before a model: the metrics that come before it belong to it
                self._flush()
            self._one(event)
            if not self._gathered:
                self.count = number
        self._flush()
        self.count = len(events)

    def pass_over(self, event: Event) -> None:
        """Leave an event out and say so on its run."""
        run = self._runs.get(str(event.run))
        if run is None:
            return
        run["noted"] = True
        text = f"not stored: {event.kind} {event.payload.get('key') or event.payload.get('name') or ''}".strip()
        try:
            self._store(run).runs.add_notes(run["id"], [text])
        except MLOpsError:
            log.exception("a note on the run %s", run["id"])

    def _flush(self) -> None:
        """Send what has been gathered."""
        for number, events in list(self._gathered.items()):
            run = self._runs.get(number)
            if run is not None:
                self._batch(run, events)
            del self._gathered[number]

    def _batch(self, run: dict[str, Any], events: list[Event]) -> None:
        try:
            self._send(run, events)
        except StoreUnavailable:
            raise
        except MLOpsError as error:  # the store turns something down: find what, and keep the rest
            if len(events) == 1:
                log.warning("passed over %s of the run %s: %s", events[0].kind, run["id"], error)
                self.pass_over(events[0])
                return
            half = len(events) // 2
            self._batch(run, events[:half])
            self._batch(run, events[half:])

    def _send(self, run: dict[str, Any], events: list[Event]) -> None:
        runs = self._store(run).runs
        metrics = [
            (e.payload["key"], e.payload["value"], e.at_ms, e.payload["step"]) for e in events if e.kind == "metric"
        ]
        params = {e.payload["key"]: e.payload["value"] for e in events if e.kind == "param"}
        held = {e.payload["key"]: e.payload["value"] for e in events if e.kind == "tag"}
        for event in events:
            if event.kind == "commit":
                told = {tags.COMMIT: event.payload["commit"], tags.SOURCE_COMMIT: event.payload["commit"]}
                held |= {**told, tags.DIRTY: str(event.payload["dirty"]).lower()}
            elif event.kind == "trust":
                held |= label_tags(event.payload["label"], event.payload["reasons"])
            elif event.kind == "facts":
                held[tags.FACTS] = json.dumps(event.payload["facts"])[:LONGEST_TAG]
        model = run["models"][0] if len(run["models"]) == 1 else ""
        run["unattached"] = run.get("unattached", True) or bool(metrics and not model)
        notes = [e.payload["text"] for e in events if e.kind == "note"]
        first = not run.get("noted", True) and not self._again
        if notes and first:  # with the rest; later ones are added to what is there
            held[tags.NOTES] = "\n".join(dict.fromkeys(notes))[:LONGEST_NOTE]
        runs.log_batch(run["id"], metrics, params, held, model_id=model)
        if notes and not first:
            runs.add_notes(run["id"], notes)
        run["noted"] = run.get("noted", True) or bool(notes)

    def _one(self, event: Event) -> None:
        try:
            if event.kind == "start":
                self._start(event)
            elif str(event.run) in self._runs:
                run = self._runs[str(event.run)]
                handle = {"artifact": self._artifact, "data": self._data, "model": self._model, "end": self._end}
                if event.kind in handle:
                    handle[event.kind](run, event)
        except StoreUnavailable:
            raise
        except MLOpsError as error:
            log.warning("passed over %s: %s", event.kind, error)
            self.pass_over(event)
        except (KeyError, TypeError, ValueError, AttributeError):
            log.exception("passed over %s", event)
            self.pass_over(event)

    def _start(self, event: Event) -> None:
        told = event.payload
        store = self._host.store
        parent = next((run["id"] for run in self._runs.values() if run["key"] == told["parent"]), "")
        if told["parent"] and not parent:  # of another process: a trial of a sweep
            parent = store.runs.id_of(told["parent"]) or ""
        held = {
            tags.SCHEMA_TAG: tags.SCHEMA,
            tags.KIND: "run",
            tags.RUN_KEY: told["key"],
            tags.KERNEL: self._tag,
            tags.USER: told["user"],
            tags.NOTEBOOK: told["notebook"],
            tags.SOURCE_NAME: told["notebook"],
            tags.SOURCE_TYPE: "NOTEBOOK" if told["notebook"] else "LOCAL",
            tags.PARENT: parent,
        }
        held[tags.CELL] = told.get("cell", "")
        run_id = ""
        reopened = told.get("again") == "resume" and bool(told.get("cell"))
        if reopened:
            run_id = store.runs.id_of(told["key"]) or store.runs.reopen(
                told["cell"], told["notebook"], told["key"], self._elsewhere
            )
        run_id = run_id or store.runs.create(
            told["name"],
            key=told["key"],
            started_ms=told["started_ms"],
            tags={k: v for k, v in held.items() if v},
            again=self._again,
        )
        self._runs[str(event.run)] = {
            "id": run_id,
            "key": told["key"],
            "name": told["name"],
            "ended": False,
            "models": [],
            "unattached": reopened,
            "noted": reopened or self._again,
            "store": store.workspace.tracking_uri,
            "supersedes": [told["cell"], told["notebook"]]
            if told.get("again") == "supersede" and told.get("cell")
            else [],
        }
        if told["source"].strip():
            store.runs.log_text(run_id, tags.SOURCE_FILE, told["source"])
        actor = Actor(told["user"], told["host"], told["via"], told["notebook"], told["where"], told["commit"])
        self._runs[str(event.run)]["actor"] = actor.to_dict()
        self._host.audit(f"run.start:{told['key']}", actor, "run.start", told["name"], {"run_id": run_id})

    def _elsewhere(self, kernel: str) -> bool:
        """Whether another kernel than this journal's, by its tag, may still be recording."""
        workspace, _, journal = kernel.partition("/")
        here = workspace == self._tag.partition("/")[0]
        return kernel != self._tag and not (here and not alive(self._folder.parent / journal))

    def _artifact(self, run: dict[str, Any], event: Event) -> None:
        place = self._folder / event.payload["file"]
        if place.exists():
            self._store(run).runs.log_artifact(run["id"], place, event.payload["path"])

    def _data(self, run: dict[str, Any], event: Event) -> None:
        self._store(run).runs.log_input(run["id"], **event.payload)

    def _model(self, run: dict[str, Any], event: Event) -> None:
        told = event.payload
        folder = self._folder / FILES / told["folder"] / "model"
        if not folder.exists():
            return
        store = self._store(run)
        waiting = self._gathered.get(str(event.run), ())
        params = {e.payload["key"]: e.payload["value"] for e in waiting if e.kind == "param"}
        model_id = store.models.log(
            told["name"], folder, run_id=run["id"], key=told["key"], params=params, again=self._again
        )
        if model_id not in run["models"]:
            run["models"].append(model_id)

    def _end(self, run: dict[str, Any], event: Event) -> None:
        told = event.payload
        store = self._store(run)
        if run.get("unattached", True) or len(run["models"]) > 1:
            for model_id in run["models"]:
                store.models.attach_metrics(model_id, run["id"])
        store.runs.end(run["id"], told["status"], told["ended_ms"], told["reason"])
        if told["status"] == "FINISHED" and run.get("supersedes"):
            cell, notebook = run["supersedes"]
            store.runs.supersede(cell, notebook, run["id"])
        run["ended"] = True
        details = {key: value for key, value in told.items() if key != "ended_ms" and value}
        actor = Actor.from_dict(run["actor"])
        self._host.audit(f"run.end:{run['key']}", actor, "run.end", run["name"], {"run_id": run["id"], **details})

    def _store(self, run: dict[str, Any]) -> Store:
        return self._store_of(self._host, run["store"])
