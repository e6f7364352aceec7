"""Seals of data versions at rest: a tag that counts from when, and a tag for each look, so that writers never meet."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from ..domain.data_seal import DataSeal, Look
from . import tags
from .door import mlflow_errors

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .store import Store

__all__ = ["DataSeals", "seal_from_tags"]


class DataSeals:
    """The seals of one store's data versions, by the id of their run."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def seal(self, run_id: str, at_ms: int, by: str) -> None:
        """Have every look counted from now on; a version that is sealed stays as it is."""
        with self._store.write_lock, mlflow_errors(self._store.workspace.tracking_uri):
            if tags.DATA_SEALED not in self._store.client.get_run(run_id).data.tags:
                told = json.dumps({"at_ms": at_ms, "by": by})
                self._store.client.set_tag(run_id, tags.DATA_SEALED, told)

    def look(self, run_id: str, request: str, look: Look) -> None:
        """Count a look, once for each `request`."""
        told = {key: value for key, value in look.to_dict().items() if value}
        with mlflow_errors(self._store.workspace.tracking_uri):
            self._store.client.set_tag(run_id, tags.DATA_LOOK + request, json.dumps(told))

    def of(self, run_id: str, ref: str) -> DataSeal:
        """A version's seal with its looks."""
        with mlflow_errors(self._store.workspace.tracking_uri):
            return seal_from_tags(ref, self._store.client.get_run(run_id).data.tags)


def seal_from_tags(ref: str, held: Mapping[str, str]) -> DataSeal:
    """The seal that a run's tags tell of."""
    told: dict[str, Any] = json.loads(held.get(tags.DATA_SEALED) or "{}")
    looks = [Look.from_dict(json.loads(text)) for key, text in held.items() if key.startswith(tags.DATA_LOOK)]
    looks.sort(key=lambda look: -look.at_ms)
    return DataSeal(ref, int(told.get("at_ms", 0)), str(told.get("by", "")), tuple(looks))
