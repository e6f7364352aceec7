"""Data versions at rest: an MLflow run each, in an experiment of their own, with the manifest as its artifact.

The chunks that manifests name stand in packs beside the runs' artifacts, see `packs`.

A version is visible once its run carries the state ``complete``, which is written last: before that it is invisible,
whatever happens, and a request that is asked again goes on with the run that its first try began. A run that nobody
goes on with is removed by `sweep`.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import threading
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..domain.context import now_ms
from ..domain.data_version import Column, DataVersion
from ..domain.display import clock
from ..domain.reference import Reference
from ..errors import Conflict, NotFound, StoreUnavailable
from . import tags
from .data_erasures import DataErasures, erasures_from_tags, erasures_to_tag
from .data_notes import DataNotes, personal_from_tags, personal_to_tags
from .data_seals import DataSeals, seal_from_tags
from .door import mlflow_errors
from .packs import PackStore, local_path

if TYPE_CHECKING:
    from .store import Store

__all__ = ["DataVersions"]

WRITING, COMPLETE, REMOVED = "writing", "complete", "removed"
ABANDONED_MS = 15 * 60_000
PIECE = 4_000  # characters in one tag; MLflow holds 8,000, its older servers 5,000
FEW_COLUMNS = 200  # their description goes along when the run is made: one round trip less
USERS = 200  # runs looked at for who uses a name


class DataVersions:
    """The data versions of one store's experiment."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._commit = threading.Lock()
        self._saving: set[str] = set()
        self.packs = PackStore(store)
        self.notes = DataNotes(store)
        self.seals = DataSeals(store)
        self.erasures = DataErasures(store)

    @property
    def experiment_id(self) -> str:
        """MLflow's id of the experiment that holds them, made on first use."""
        return self._store.experiment(f"{self._store.workspace.experiment}.data")

    def count(self) -> int:
        """How many there are: the sum of each name's highest number, so nothing has to be listed."""
        return sum(version.version for version in self.latest())

    def personal_columns(self, ref: str) -> list[str]:
        """The columns of a version that were declared to hold personal data."""
        parsed = Reference.parse(ref, "data version")
        return self.notes.personal(self.get(parsed.name, self.resolve(parsed))[1])

    def names(self) -> list[str]:
        """Every name a data version has or had, sorted."""
        with self._door():
            experiment = self._store.client.get_experiment(self.experiment_id)
        return sorted(key.removeprefix(tags.DATA_NAMES) for key in experiment.tags if key.startswith(tags.DATA_NAMES))

    def refs(self) -> list[str]:
        """``name@vN`` of the newest versions, for completion."""
        runs = self._search(f"tags.`{tags.DATA_STATE}` = '{COMPLETE}'", limit=200, order="attributes.start_time DESC")
        return [_version(run).ref for run in runs]

    def latest(self) -> list[DataVersion]:
        """The latest version of each name, newest first."""
        found = [version for name in self.names() for version in self.versions(name, limit=1)]
        return sorted(found, key=lambda version: -version.created_ms)

    def versions(self, name: str, *, limit: int = 1000) -> list[DataVersion]:
        """The versions of one name, newest first."""
        return [_version(run) for run in self._complete(name, limit=limit)]

    def get(self, name: str, number: int | None = None) -> tuple[DataVersion, str]:
        """A version, by default the latest, and the id of its run.

        Raises
        ------
        NotFound
            There is no such version.
        """
        chosen = "" if number is None else f" AND tags.`{tags.DATA_VERSION}` = '{number:08d}'"
        runs = self._complete(name, chosen, limit=1)
        if runs:
            return _version(runs[0]), str(runs[0].info.run_id)
        known = self.versions(name)
        if not known:
            hint = "Save one with `%mlops data save DF --name NAME`."
            raise NotFound.among("data version", name, [version.name for version in self.latest()], hint=hint)
        raise NotFound.among(f"version of {name!r} numbered", f"v{number}", [f"v{v.version}" for v in known])

    def checksum(self, run_id: str) -> str:
        """The digest of a version's manifest; empty for one that was saved before there were manifests."""
        with self._door():
            return str(self._store.client.get_run(run_id).data.tags.get(tags.DATA_MANIFEST, ""))

    def resolve(self, ref: Reference) -> int | None:
        """The number of the version that a reference names; None for the latest.

        An alias is looked for among the names that were given to versions, then among the branches, then it is read
        as a day, ``2026-11-01``: the version that was the latest at its end.

        Raises
        ------
        NotFound
            There is no such name, branch or day.
        """
        if ref.alias is None:
            return ref.version
        given = self.aliases(ref.name)
        if ref.alias in given:
            return given[ref.alias]
        branch = self._complete(ref.name, f" AND tags.`{tags.DATA_BRANCH}` = '{ref.alias}'", limit=1)
        if branch:
            return _version(branch[0]).version
        try:
            day = datetime.strptime(ref.alias, "%Y-%m-%d").astimezone() + timedelta(days=1)
        except ValueError:
            known = sorted({*given, *self.branches(ref.name)})
            raise NotFound.among(f"name or branch of {ref.name!r} called", ref.alias, known) from None
        until = f" AND attributes.start_time < {int(day.timestamp() * 1000)}"
        found = self._complete(ref.name, until, limit=1)
        if found:
            return _version(found[0]).version
        first = self.versions(ref.name)
        if not first:
            self.get(ref.name)
        raise NotFound(
            f"{ref.name} had no version on {ref.alias}.", hint=f"Its first was saved on {clock(first[-1].created_ms)}."
        )

    def aliases(self, name: str) -> dict[str, int]:
        """The names that were given to versions of `name`."""
        with self._door():
            held = self._store.client.get_experiment(self.experiment_id).tags.get(tags.DATA_NAMES + name, "")
        return {str(alias): int(number) for alias, number in json.loads(held or "{}").items()}

    def set_alias(self, name: str, alias: str, number: int | None) -> None:
        """Give a version of `name` another name too, or with None take that name away."""
        with self._commit, self._door():
            given = self.aliases(name)
            if number is None:
                given.pop(alias, None)
            else:
                given[alias] = number
            self._store.client.set_experiment_tag(self.experiment_id, tags.DATA_NAMES + name, json.dumps(given))

    def branches(self, name: str) -> list[str]:
        """The branches of a name besides the main line."""
        return sorted({version.branch for version in self.versions(name) if version.branch})

    def find(self, name: str, digest: str) -> DataVersion | None:
        """The newest version of this name with this content, None if it has none."""
        runs = self._complete(name, f" AND tags.`{tags.DATA_DIGEST}` = '{digest}'", limit=1)
        return _version(runs[0]) if runs else None

    def used_by(self, name: str) -> dict[str, list[str]]:
        """For each digest of this name the newest runs that used it; asks MLflow's own index of dataset inputs."""
        with self._door():
            runs = self._store.client.search_runs(
                [self._store.experiment_id],
                filter_string=f"dataset.name = '{name}'",
                max_results=USERS,
                order_by=["attributes.start_time DESC"],
            )
        users: dict[str, list[str]] = {}
        for run in runs:
            for used in run.inputs.dataset_inputs if run.inputs else ():
                if used.dataset.name == name:
                    users.setdefault(used.dataset.digest, []).append(str(run.info.run_id))
        return {digest: list(dict.fromkeys(ids)) for digest, ids in users.items()}

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
                return _version(earlier)
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
        marks |= dict(_columns_to_tags(version.columns)) if len(version.columns) <= FEW_COLUMNS else {}
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
        columns = [RunTag(key, value) for key, value in _columns_to_tags(version.columns)] if many else []
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
                run_id, tags=[RunTag(tags.DATA_VERSION, f"{number:08d}"), RunTag(tags.RUN_NOTE, _note(ref))]
            )
            client.update_run(run_id, status="FINISHED", name=ref)
            client.set_tag(run_id, tags.DATA_STATE, COMPLETE)
            return _version(client.get_run(run_id))

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
            **dict(_columns_to_tags(version.columns)),
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

    def folder(self, run_id: str, digest: str, cache: Path, *, fresh: bool = False) -> tuple[Path, bool]:
        """A local folder with a version's files, and whether it is our copy of remote ones.

        Parameters
        ----------
        cache
            Where copies of remote files are kept, by digest.
        fresh
            Fetch a new copy.
        """
        with self._door():
            uri = self._store.client.get_run(run_id).info.artifact_uri
            local = local_path(uri)
            if local is not None:
                return local / tags.DATA_FOLDER, False
            kept = cache / digest.partition(":")[2]
            if kept.exists() and not fresh:
                return kept, True
            cache.mkdir(parents=True, exist_ok=True)
            arriving = cache / f"{kept.name}.{run_id}.{threading.get_ident()}"
            shutil.rmtree(arriving, ignore_errors=True)
            arriving.mkdir()
            try:
                came = Path(self._store.client.download_artifacts(run_id, tags.DATA_FOLDER, str(arriving)))
                shutil.rmtree(kept, ignore_errors=True)
                came.replace(kept)
            finally:
                shutil.rmtree(arriving, ignore_errors=True)
            return kept, True

    def remove(self, version: DataVersion) -> None:
        """Make a version invisible, for good; its chunks stay until they are collected."""
        with self._commit, self._door():
            _, run_id = self.get(version.name, version.version)
            self._store.client.set_tag(run_id, tags.DATA_STATE, REMOVED)
            self._store.client.delete_run(run_id)

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

    def _complete(self, name: str, more: str = "", *, limit: int) -> list[Any]:
        wanted = f"tags.`{tags.DATA_NAME}` = '{name}' AND tags.`{tags.DATA_STATE}` = '{COMPLETE}'{more}"
        return self._search(wanted, limit=limit, order=f"tags.`{tags.DATA_VERSION}` DESC")

    def _search(self, wanted: str, *, limit: int, order: str = "", deleted: bool = False) -> list[Any]:
        from mlflow.entities import ViewType

        with self._door():
            return list(
                self._store.client.search_runs(
                    [self.experiment_id],
                    filter_string=wanted,
                    run_view_type=ViewType.ALL if deleted else ViewType.ACTIVE_ONLY,
                    max_results=limit,
                    order_by=[order] if order else None,
                )
            )

    @contextlib.contextmanager
    def _door(self) -> Iterator[None]:
        with mlflow_errors(self._store.workspace.tracking_uri):
            yield


def _version(run: Any) -> DataVersion:
    held = run.data.tags
    seal = seal_from_tags("", held) if tags.DATA_SEALED in held else None
    return DataVersion(
        name=held[tags.DATA_NAME],
        version=int(held.get(tags.DATA_VERSION, 0)),
        digest=held[tags.DATA_DIGEST],
        rows=int(held[tags.DATA_ROWS]),
        columns=tuple(_columns_from_tags(held)),
        bytes=int(held[tags.DATA_BYTES]),
        created_ms=int(run.info.start_time),
        created_by=held.get(tags.USER, ""),
        notebook=held.get(tags.NOTEBOOK, ""),
        kind=held.get(tags.DATA_KIND, "table"),
        branch=held.get(tags.DATA_BRANCH, ""),
        sources=tuple(json.loads(held.get(tags.DATA_SOURCES) or "[]")),
        run=held.get(tags.RUN_KEY, ""),
        personal=tuple(personal_from_tags(held)),
        errors=_count(held, "errors"),
        erasures=erasures_from_tags(held),
        warnings=_count(held, "warnings"),
        sealed_ms=seal.sealed_ms if seal is not None else 0,
        looks=len(seal) if seal is not None else 0,
    )


def _count(held: dict[str, str], what: str) -> int | None:
    told = json.loads(held.get(tags.DATA_CHECKS) or "{}")
    return int(told[what]) if what in told else None


def _note(ref: str) -> str:
    return (
        f"Data version `{ref}`. `jupyter mlops data export {ref} --output FILE.parquet` writes it as Parquet; how to read "
        f"it without: `packs/README.md` beside this experiment's runs."
    )


def sync_tree(folder: Path) -> None:
    """Have the files of a folder safely on disk."""
    for path in (*folder.iterdir(), folder):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _unchanged(version: DataVersion) -> DataVersion:
    return DataVersion(**{**vars(version), "new": False})


def _columns_to_tags(columns: Iterable[Column]) -> Iterator[tuple[str, str]]:
    text = json.dumps([[c.name, c.type, c.missing] for c in columns], separators=(",", ":"))
    for number, start in enumerate(range(0, len(text), PIECE), 1):
        yield tags.DATA_COLUMNS + (f".{number}" if number > 1 else ""), text[start : start + PIECE]


def _columns_from_tags(held: dict[str, str]) -> Iterator[Column]:
    text, number = held.get(tags.DATA_COLUMNS, "[]"), 2
    while (piece := held.get(f"{tags.DATA_COLUMNS}.{number}")) is not None:
        text, number = text + piece, number + 1
    for name, kind, missing in json.loads(text):
        yield Column(name, kind, missing)
