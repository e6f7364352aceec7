"""Audit segments at rest: every writer's chain as artifacts of one MLflow run a writer, on the store all of them share.

A segment holds a thousand places of the chain and is named by its first. It is made from the writer's own file alone, so
writing it again gives the same; how far a writer has come stands in a tag that is set after the segment is there.
"""

from __future__ import annotations

import re
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import tags
from .door import mlflow_errors

if TYPE_CHECKING:
    from .store import Store

__all__ = ["SEGMENT", "AuditSegments", "Head"]

SEGMENT = 1000  # places of a chain in one artifact
MOST_WRITERS = 1000
FILE = re.compile(r"(\d{10})\.jsonl")


@dataclass(frozen=True)
class Head:
    """How far a writer's chain has come on the store.

    Parameters
    ----------
    changes
        The place of the last entry that is a change, not an anchor to other chains.
    """

    writer: str
    place: int
    hash: str
    changes: int


class AuditSegments:
    """The audit record of one store's experiment."""

    def __init__(self, store: Store) -> None:
        self._store = store

    @property
    def experiment_id(self) -> str:
        """MLflow's id of the experiment that holds the writers' runs, made on first use."""
        return self._store.experiment(f"{self._store.workspace.experiment}.audit")

    def name(self) -> str:
        """A name of this record that is the same for all who reach the store, by whatever address."""
        with mlflow_errors(self._store.workspace.tracking_uri):
            experiment = self._store.client.get_experiment(self.experiment_id)
        return f"{experiment.experiment_id}:{experiment.creation_time}"

    def heads(self) -> dict[str, Head]:
        """How far each writer has come."""
        found: dict[str, Head] = {}
        for run in self._runs():
            head = _head(run)
            if head is not None and (head.writer not in found or found[head.writer].place < head.place):
                found[head.writer] = head
        return found

    def put(self, writer: str, segments: dict[int, bytes], head: Head) -> None:
        """Write segments of a chain, by their first place, then how far it has come."""
        with mlflow_errors(self._store.workspace.tracking_uri):
            run_id = self._run(writer)
            with tempfile.TemporaryDirectory() as folder:
                for first, lines in segments.items():
                    file = Path(folder) / f"{first:010d}.jsonl"
                    file.write_bytes(lines)
                    self._store.client.log_artifact(run_id, str(file), tags.AUDIT_FOLDER)
            told = f"{head.place}:{head.hash}:{head.changes}"
            self._store.client.set_tag(run_id, tags.AUDIT_HEAD, told)

    def read(self, writer: str) -> list[bytes]:
        """Every line of a writer's chain that the store holds, in order."""
        with mlflow_errors(self._store.workspace.tracking_uri), tempfile.TemporaryDirectory() as folder:
            lines: list[bytes] = []
            for run in self._runs():
                if run.data.tags.get(tags.AUDIT_WRITER) == writer:
                    for path in self._listed(run):
                        arrived = Path(self._store.client.download_artifacts(run.info.run_id, path, folder))
                        lines += arrived.read_bytes().split(b"\n")[:-1]
        return lines

    def firsts(self, writer: str) -> list[int]:
        """The first places of a writer's segments, in order."""
        with mlflow_errors(self._store.workspace.tracking_uri):
            own = [run for run in self._runs() if run.data.tags.get(tags.AUDIT_WRITER) == writer]
            return [int(path.rpartition("/")[2][:10]) for run in own for path in self._listed(run)]

    def empty(self, writer: str, first: int) -> None:
        """Leave nothing in a segment: its places are past their retention."""
        with mlflow_errors(self._store.workspace.tracking_uri), tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / f"{first:010d}.jsonl"
            file.write_bytes(b"")
            self._store.client.log_artifact(self._run(writer), str(file), tags.AUDIT_FOLDER)

    def _runs(self) -> list[Any]:
        with mlflow_errors(self._store.workspace.tracking_uri):
            return list(
                self._store.client.search_runs(
                    [self.experiment_id],
                    filter_string=f"tags.`{tags.KIND}` = 'audit'",
                    max_results=MOST_WRITERS,
                    order_by=["attributes.start_time ASC"],
                )
            )

    def _run(self, writer: str) -> str:
        client = self._store.client
        found = [run for run in self._runs() if run.data.tags.get(tags.AUDIT_WRITER) == writer]
        if found:
            return str(found[0].info.run_id)
        run = client.create_run(
            self.experiment_id,
            run_name=f"audit of {self._store.workspace.root.name} ({writer[:8]})",
            tags={
                tags.SCHEMA_TAG: tags.SCHEMA,
                tags.KIND: "audit",
                tags.AUDIT_WRITER: writer,
                tags.RUN_NOTE: f"One workspace's audit trail: chained JSON lines in `{tags.AUDIT_FOLDER}`; "
                "`jupyter mlops audit verify` checks them.",
            },
        )
        client.set_terminated(run.info.run_id, status="FINISHED")
        return str(run.info.run_id)

    def _listed(self, run: Any) -> list[str]:
        files = self._store.client.list_artifacts(run.info.run_id, tags.AUDIT_FOLDER)
        return sorted(file.path for file in files if FILE.fullmatch(file.path.rpartition("/")[2]))


def _head(run: Any) -> Head | None:
    writer = run.data.tags.get(tags.AUDIT_WRITER)
    parts = run.data.tags.get(tags.AUDIT_HEAD, "").split(":")
    if not writer or len(parts) != 3:
        return None
    try:
        return Head(writer, int(parts[0]), parts[1], int(parts[2]))
    except ValueError:
        return None
