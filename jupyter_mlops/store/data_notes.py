"""What is said of data versions at rest: check reports and contracts as artifacts of their runs, counts and columns as tags."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import tags
from .door import mlflow_errors

if TYPE_CHECKING:
    from .store import Store

__all__ = ["DataNotes", "personal_from_tags", "personal_to_tags"]

PIECE = 4_000  # characters in one tag


class DataNotes:
    """Reports, contracts and declarations of one store's data versions, by the id of their run."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def keep_check(self, run_id: str, report: str, counts: dict[str, Any]) -> None:
        """Keep a report, and last its counts, which gates read."""
        self._put(run_id, tags.CHECKS_FILE, report)
        with mlflow_errors(self._store.workspace.tracking_uri):
            self._store.client.set_tag(run_id, tags.DATA_CHECKS, json.dumps(counts))

    def keep_contract(self, run_id: str, contract: str) -> str:
        """Keep a contract unless there is one; give the one that is kept."""
        kept = self.contract(run_id)
        if kept:
            return kept
        self._put(run_id, tags.CONTRACT_FILE, contract)
        return contract

    def contract(self, run_id: str) -> str:
        """The contract as JSON, empty for none."""
        return self._get(run_id, tags.CONTRACT_FILE)

    def check(self, run_id: str) -> str:
        """The newest report as JSON, empty for none."""
        return self._get(run_id, tags.CHECKS_FILE)

    def declare_personal(self, run_id: str, columns: list[str]) -> list[str]:
        """Add columns to those that hold personal data; give all of them. What was declared stays declared."""
        before = self.personal(run_id)
        every = [*before, *(c for c in columns if c not in before)]
        if every != before:
            with mlflow_errors(self._store.workspace.tracking_uri):
                for key, piece in personal_to_tags(every).items():
                    self._store.client.set_tag(run_id, key, piece)
        return every

    def personal(self, run_id: str) -> list[str]:
        """The columns that were declared to hold personal data."""
        with mlflow_errors(self._store.workspace.tracking_uri):
            return personal_from_tags(self._store.client.get_run(run_id).data.tags)

    def text(self, run_id: str, path: str) -> str:
        """One of these artifacts as it stands, empty for none."""
        return self._get(run_id, path)

    def replace(self, run_id: str, path: str, text: str) -> None:
        """Put another text in an artifact's place."""
        self._put(run_id, path, text)

    def _put(self, run_id: str, path: str, text: str) -> None:
        folder, _, name = path.rpartition("/")
        with mlflow_errors(self._store.workspace.tracking_uri), tempfile.TemporaryDirectory() as place:
            file = Path(place) / name
            file.write_text(text)
            self._store.client.log_artifact(run_id, str(file), folder)

    def _get(self, run_id: str, path: str) -> str:
        folder = path.rpartition("/")[0]
        with mlflow_errors(self._store.workspace.tracking_uri):
            if path not in {file.path for file in self._store.client.list_artifacts(run_id, folder)}:
                return ""
            with tempfile.TemporaryDirectory() as place:
                return Path(self._store.client.download_artifacts(run_id, path, place)).read_text()


def personal_to_tags(columns: Iterable[str]) -> dict[str, str]:
    """The tags that declare columns; none for none."""
    text = json.dumps(list(columns))
    if text == "[]":
        return {}
    return {
        tags.DATA_PERSONAL + (f".{number}" if number > 1 else ""): text[start : start + PIECE]
        for number, start in enumerate(range(0, len(text), PIECE), 1)
    }


def personal_from_tags(held: Mapping[str, str]) -> list[str]:
    """The columns that a run's tags declare."""
    text, number = held.get(tags.DATA_PERSONAL, ""), 2
    while (piece := held.get(f"{tags.DATA_PERSONAL}.{number}")) is not None:
        text, number = text + piece, number + 1
    return [str(column) for column in json.loads(text or "[]")]
