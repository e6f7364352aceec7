"""Data versions at rest: an MLflow run each, in an experiment of their own, with the manifest as its artifact.

The chunks that manifests name stand in packs beside the runs' artifacts, see `packs`.

A version is visible once its run carries the state ``complete``, which is written last: before that it is invisible,
whatever happens, and a request that is asked again goes on with the run that its first try began. A run that nobody
goes on with is removed by `sweep`.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..domain.context import now_ms
from ..domain.data_version import DataVersion
from ..domain.on_disk import sync
from ..errors import Conflict, StoreUnavailable
from . import tags
from .data_catalogue import COMPLETE, DataCatalogue
from .data_erasures import DataErasures, erasures_to_tag
from .data_notes import personal_to_tags
from .data_seals import DataSeals
from .data_tags import columns_to_tags, note_of, version_from_run
from .packs import PackStore, local_path

if TYPE_CHECKING:
    from .store import Store

__all__ = ["DataVersions"]

WRITING, REMOVED = "writing", "removed"
ABANDONED_MS = 15 * 60_000
FEW_COLUMNS = 200  # their description goes along when the run is made: one round trip less


class DataVersions(DataCatalogue):
    """The data versions of one store's experiment, and how they are saved and removed."""

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self._saving: set[str] = set()
        self.packs = PackStore(store)
        self.seals = DataSeals(store)
        self.erasures = DataErasures(store)

    def save(
        self, version: DataVersion, folder: Path, *, request: str, checksum: str = "", base: str = ""
    ) -> DataVersion:
        """Store a folder as the next version of its name, once for each `request`.

        The same content under the same name is not stored again: its version comes back with ``new=False``.

        Parameters
        ----------
        version
            Everything but its number.
        folder
            Holds what `datasets.snapshot` wrote; may be gone if an earlier try of this request was done with it.
        checksum
            Of the manifest.
        base
            The id of the run whose version's chunks this one builds on, and after an ``@`` its manifest's checksum.
        """
        with self._door():
            earlier = self._of_request(request)
            if earlier is not None and earlier.data.tags.get(tags.DATA_STATE) == COMPLETE:
                return version_from_run(earlier)
            found = self.find(version.name, version.digest)
            if found is not None:
                self._give_up(earlier)
                return _unchanged(found)
            # The run comes first: while there is an unfinished one, nobody takes a pack for garbage.
            run_id = self._begin(version, request, checksum) if earlier is None else str(earlier.info.run_id)
            self._saving.add(run_id)
            try:
                for pack in folder.glob("*.pack"):
                    self.packs.put(pack)
                self._fill(run_id, version, folder)
                return self._publish(run_id, version, base)
            finally:
                self._saving.discard(run_id)

    def _begin(self, version: DataVersion, request: str, checksum: str = "") -> str:
        client, experiment = self._store.client, self.experiment_id
        key = tags.DATA_NAMES + version.name
        with self._commit:  # MLflow's own look-then-insert fails when two set a tag at once
            if key not in client.get_experiment(experiment).tags:
                client.set_experiment_tag(experiment, key, "")
        marks = {
            tags.SCHEMA_TAG: tags.SCHEMA,
            tags.KIND: "data",
            tags.REQUEST: request,
            tags.USER: version.created_by,
            tags.NOTEBOOK: version.notebook,
            tags.DATA_NAME: version.name,
            tags.DATA_STATE: WRITING,
            tags.DATA_DIGEST: version.digest,
            tags.DATA_ROWS: str(version.rows),
            tags.DATA_BYTES: str(version.bytes),
            tags.DATA_MANIFEST: checksum,
            tags.DATA_KIND: version.kind,
            tags.DATA_BRANCH: version.branch,
            tags.DATA_SOURCES: json.dumps(version.sources) if version.sources else "",
            tags.RUN_KEY: version.run,
        }
        marks |= personal_to_tags(version.personal)
        marks = {key: value for key, value in marks.items() if value}
        marks |= dict(columns_to_tags(version.columns)) if len(version.columns) <= FEW_COLUMNS else {}
        run = client.create_run(experiment, start_time=now_ms(), tags=marks, run_name=f"{version.name}@...")
        return str(run.info.run_id)

    def _fill(self, run_id: str, version: DataVersion, folder: Path) -> None:
        from mlflow.entities import Param, RunTag

        client = self._store.client
        params = {
            "name": version.name,
            "digest": version.digest,
            "rows": version.rows,
            "columns": len(version.columns),
            "bytes": version.bytes,
        }
        many = len(version.columns) > FEW_COLUMNS
        columns = [RunTag(key, value) for key, value in columns_to_tags(version.columns)] if many else []
        client.log_batch(run_id, params=[Param(key, str(value)) for key, value in params.items()])
        for start in range(0, len(columns), 100):
            client.log_batch(run_id, tags=columns[start : start + 100])
        client.log_artifacts(run_id, str(folder), tags.DATA_FOLDER)
        stored = {Path(file.path).name: file.file_size for file in client.list_artifacts(run_id, tags.DATA_FOLDER)}
        for file in folder.iterdir():
            if file.is_file() and stored.get(file.name) != file.stat().st_size:
                raise StoreUnavailable(f"the artifact store did not keep {file.name}.", hint="Save the table again.")
        local = local_path(client.get_run(run_id).info.artifact_uri)
        if local is not None:
            sync_tree(local / tags.DATA_FOLDER)

    def _publish(self, run_id: str, version: DataVersion, base: str) -> DataVersion:
        """Give the version its number and make it visible, one at a time."""
        from mlflow.entities import RunTag

        client = self._store.client
        with self._commit:
            found = self.find(version.name, version.digest)
            if found is not None:  # somebody else was saving the same content
                self._give_up(client.get_run(run_id))
                return _unchanged(found)
            if base and self._outdated(base):
                self._give_up(client.get_run(run_id))
                raise Conflict("the version that this one builds on was changed meanwhile.", hint="Save it again.")
            given = client.get_run(run_id).data.tags.get(tags.DATA_VERSION)
            number = int(given) if given else self._next(version.name)
            ref = f"{version.name}@v{number}"
            client.log_batch(
                run_id, tags=[RunTag(tags.DATA_VERSION, f"{number:08d}"), RunTag(tags.RUN_NOTE, note_of(ref))]
            )
            client.update_run(run_id, status="FINISHED", name=ref)
            client.set_tag(run_id, tags.DATA_STATE, COMPLETE)
            return version_from_run(client.get_run(run_id))

    def _outdated(self, base: str) -> bool:
        """Whether a version was removed, or written anew without somebody's rows, since it was taken as a base."""
        run_id, _, seen = base.partition("@")
        run = self._store.client.get_run(run_id)
        return run.info.lifecycle_stage != "active" or bool(seen and seen != run.data.tags.get(tags.DATA_MANIFEST))

    def rewrite(self, run_id: str, version: DataVersion, manifest: Path, packs: list[Path], checksum: str) -> None:
        """Give a version other content: packs and manifest first, then the tags that make it count, in one step.

        Parameters
        ----------
        version
            As it will be, its erasures included.
        manifest
            The file, named by its checksum.
        """
        held = {
            tags.DATA_DIGEST: version.digest,
            tags.DATA_ROWS: str(version.rows),
            tags.DATA_ERASURES: erasures_to_tag(version.erasures),
            tags.DATA_MANIFEST: checksum,
            **dict(columns_to_tags(version.columns)),
        }
        with self._door():
            before = self._store.client.get_run(run_id).data.tags
            held |= {k: "" for k in before if k.startswith(tags.DATA_COLUMNS) and k not in held}  # a part too many
            for pack in packs:
                self.packs.put(pack)
            self.erasures.put(run_id, manifest)
            with self._commit:
                self.erasures.switch(run_id, held)
            self.erasures.clean(run_id, checksum)

    def _next(self, name: str) -> int:
        """One more than any version ever had, deleted ones too: a reference never comes to mean other content."""
        runs = self._search(
            f"tags.`{tags.DATA_NAME}` = '{name}'", limit=1, order=f"tags.`{tags.DATA_VERSION}` DESC", deleted=True
        )
        return 1 + (int(runs[0].data.tags.get(tags.DATA_VERSION, 0)) if runs else 0)

    def remove(self, version: DataVersion, request: str) -> None:
        """Make a version invisible, for good; its chunks stay until they are collected."""
        from mlflow.entities import RunTag

        with self._commit, self._door():
            _, run_id = self.get(version.name, version.version)
            marks = {tags.DATA_STATE: REMOVED, tags.DATA_REMOVED: request}
            self._store.client.log_batch(run_id, tags=[RunTag(key, value) for key, value in marks.items()])
            self._store.client.delete_run(run_id)

    def removed_by(self, request: str) -> list[tuple[DataVersion, str]]:
        """The versions that a request removed, with the ids of their runs; those it left half removed go now."""
        runs = self._search(f"tags.`{tags.DATA_REMOVED}` = '{request}'", limit=50_000, deleted=True)
        with self._door():
            for run in runs:
                if run.info.lifecycle_stage == "active":
                    self._store.client.delete_run(run.info.run_id)
        return [(version_from_run(run), str(run.info.run_id)) for run in runs]

    def unfinished(self) -> bool:
        """Whether a version is being saved, by whomever."""
        return bool(self._search(f"tags.`{tags.DATA_STATE}` = '{WRITING}'", limit=1))

    def sweep(self) -> int:
        """Remove what saves left unfinished that nobody goes on with; give how many."""
        old = now_ms() - ABANDONED_MS
        runs = self._search(f"tags.`{tags.DATA_STATE}` = '{WRITING}' AND attributes.start_time < {old}", limit=100)
        left = [run for run in runs if str(run.info.run_id) not in self._saving]
        with self._door():
            for run in left:
                self._give_up(run)
        return len(left)

    def _give_up(self, run: Any | None) -> None:
        if run is None:
            return
        client, run_id = self._store.client, run.info.run_id
        if tags.DATA_VERSION in run.data.tags:
            client.delete_tag(run_id, tags.DATA_VERSION)
        client.set_terminated(run_id, status="FAILED")
        client.delete_run(run_id)
        local = local_path(run.info.artifact_uri)
        if local is not None:
            shutil.rmtree(local / tags.DATA_FOLDER, ignore_errors=True)

    def _of_request(self, request: str) -> Any | None:
        runs = self._search(f"tags.`{tags.REQUEST}` = '{request}'", limit=1)
        return runs[0] if runs else None


def sync_tree(folder: Path) -> None:
    """Have the files of a folder safely on disk."""
    for path in (*folder.iterdir(), folder):
        sync(path)


def _unchanged(version: DataVersion) -> DataVersion:
    return DataVersion(**{**vars(version), "new": False})
