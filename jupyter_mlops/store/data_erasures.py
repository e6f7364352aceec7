"""Erasures at rest: a data version's files replaced by others without the person, switched by one tag.

The new manifest stands beside the old one until the tag `mlops.dataset.manifest` names it: a reader finds the one or
the other, whole. The old one goes last.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..domain.data_erasure import ErasedRows, manifest_name
from . import tags
from .door import mlflow_errors
from .packs import local_path

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from .store import Store

__all__ = ["DataErasures", "erasures_from_tags", "erasures_to_tag"]


class DataErasures:
    """Replaces the files of one store's data versions, by the id of their run."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def put(self, run_id: str, manifest: Path) -> None:
        """Put a manifest beside the one that counts; `manifest` is named by its checksum already."""
        with self._door():
            self._store.client.log_artifact(run_id, str(manifest), tags.DATA_FOLDER)

    def switch(self, run_id: str, held: Mapping[str, str]) -> None:
        """Let a version's tags say what its new files hold; the manifest's own last."""
        from mlflow.entities import RunTag

        last = {tags.DATA_MANIFEST: held[tags.DATA_MANIFEST]}
        rest = {key: value for key, value in held.items() if key not in last}
        with self._door():
            self._store.client.log_batch(run_id, tags=[RunTag(k, v) for k, v in {**rest, **last}.items()])

    def clean(self, run_id: str, checksum: str) -> None:
        """Remove every file of a version but the manifest with this checksum."""
        with self._door():
            files = [f.path for f in self._store.client.list_artifacts(run_id, tags.DATA_FOLDER) if not f.is_dir]
            if manifest_name(checksum) not in {Path(path).name for path in files}:
                return  # it was never replaced
            for path in files:
                if Path(path).name != manifest_name(checksum):
                    self._delete(run_id, path)

    def removed(self, name: str) -> Iterator[tuple[str, Path | None]]:
        """The runs of versions of a name that were removed, and their folders where those are on this machine."""
        from mlflow.entities import ViewType

        client = self._store.client
        with self._door():
            found = client.search_runs(
                [self._store.datasets.experiment_id],
                filter_string=f"tags.`{tags.DATA_NAME}` = '{name}'",
                run_view_type=ViewType.DELETED_ONLY,
                max_results=50_000,
            )
        for run in found:
            local = local_path(run.info.artifact_uri)
            yield str(run.info.run_id), None if local is None else local / tags.DATA_FOLDER

    def clear(self, run_id: str, folder: Path | None) -> None:
        """Remove all files of a version that was removed."""
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)
            return
        with self._door():
            for file in self._store.client.list_artifacts(run_id, tags.DATA_FOLDER):
                self._delete(run_id, file.path)

    def _delete(self, run_id: str, path: str) -> None:
        from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

        uri = str(self._store.client.get_run(run_id).info.artifact_uri)
        local = local_path(uri)
        if local is not None:
            (local / path).unlink(missing_ok=True)
            return
        get_artifact_repository(uri, tracking_uri=self._store.workspace.tracking_uri).delete_artifacts(path)

    def _door(self) -> Any:
        return mlflow_errors(self._store.workspace.tracking_uri)


def erasures_to_tag(erasures: Iterable[ErasedRows]) -> str:
    """As they stand in a tag."""
    return json.dumps([[e.at_ms, e.rows, e.digest, e.by, e.request] for e in erasures][-40:])


def erasures_from_tags(held: Mapping[str, str]) -> tuple[ErasedRows, ...]:
    """The erasures that a version's tags tell of, oldest first."""
    return tuple(ErasedRows(*told) for told in json.loads(held.get(tags.DATA_ERASURES) or "[]"))
