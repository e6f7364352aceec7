"""Data catalogue: which data versions there are, by name, number, branch, day and content, and where their files are."""

from __future__ import annotations

import contextlib
import json
import shutil
import threading
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..domain.data_version import DataVersion
from ..domain.display import clock
from ..domain.reference import Reference
from ..errors import NotFound
from . import tags
from .data_notes import DataNotes
from .data_tags import version_from_run
from .door import mlflow_errors
from .packs import local_path

if TYPE_CHECKING:
    from .store import Store

__all__ = ["COMPLETE", "DataCatalogue"]

COMPLETE = "complete"
"""The state of a version that is there for everyone."""
USERS = 200  # runs looked at for who uses a name


class DataCatalogue:
    """What data versions there are in one store's experiment."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._commit = threading.Lock()
        self.notes = DataNotes(store)

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
        return [version_from_run(run).ref for run in runs]

    def latest(self) -> list[DataVersion]:
        """The latest version of each name, newest first."""
        found = [version for name in self.names() for version in self.versions(name, limit=1)]
        return sorted(found, key=lambda version: -version.created_ms)

    def versions(self, name: str, *, limit: int = 1000) -> list[DataVersion]:
        """The versions of one name, newest first."""
        return [version_from_run(run) for run in self._complete(name, limit=limit)]

    def get(self, name: str, number: int | None = None) -> tuple[DataVersion, str]:
        """A version, by default the latest of the main line, and the id of its run.

        Raises
        ------
        NotFound
            There is no such version.
        """
        if number is None:
            run = self._newest(name)
        else:
            run = next(iter(self._complete(name, f" AND tags.`{tags.DATA_VERSION}` = '{number:08d}'", limit=1)), None)
        if run is not None:
            return version_from_run(run), str(run.info.run_id)
        known = self.versions(name)
        if not known:
            hint = "Save one with `%mlops data save DF --name NAME`."
            raise NotFound.among("data version", name, [version.name for version in self.latest()], hint=hint)
        raise NotFound.among(f"version of {name!r} numbered", f"v{number}", [f"v{v.version}" for v in known])

    def _newest(self, name: str, condition: str = "") -> Any | None:
        """The run of the newest version of the main line; of any line where there is nothing but branches."""
        found = self._complete(name, condition, limit=1)
        if found and version_from_run(found[0]).branch:
            found = [
                run for run in self._complete(name, condition, limit=1000) if not version_from_run(run).branch
            ] or found
        return found[0] if found else None

    def checksum(self, run_id: str) -> str:
        """The digest of a version's manifest; empty for one that was saved before there were manifests."""
        with self._door():
            return str(self._store.client.get_run(run_id).data.tags.get(tags.DATA_MANIFEST, ""))

    def resolve(self, ref: Reference) -> int | None:
        """The number of the version that a reference names; None for the latest.

        An alias is looked for among the names that were given to versions, then among the branches, then it is read
        as a day, ``2026-11-01``: the version of the main line that was the latest at its end.

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
            return version_from_run(branch[0]).version
        try:
            day = datetime.strptime(ref.alias, "%Y-%m-%d").astimezone() + timedelta(days=1)
        except ValueError:
            known = sorted({*given, *self.branches(ref.name)})
            raise NotFound.among(f"name or branch of {ref.name!r} called", ref.alias, known) from None
        until = f" AND attributes.start_time < {int(day.timestamp() * 1000)}"
        found = self._newest(ref.name, until)
        if found is not None:
            return version_from_run(found).version
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
        return version_from_run(runs[0]) if runs else None

    def sealed(self, digest: str) -> DataVersion | None:
        """The newest sealed version of any name with this content, None if there is none."""
        condition = f"tags.`{tags.DATA_DIGEST}` = '{digest}' AND tags.`{tags.DATA_SEALED}` LIKE '%'"
        with self._door():
            runs = self._store.client.search_runs([self.experiment_id], condition, max_results=1)
        return version_from_run(runs[0]) if runs else None

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

    def local_folder(self, run_id: str) -> Path | None:
        """The folder with a version's files where it is on this machine, else None."""
        with self._door():
            local = local_path(self._store.client.get_run(run_id).info.artifact_uri)
        return None if local is None else local / tags.DATA_FOLDER

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
