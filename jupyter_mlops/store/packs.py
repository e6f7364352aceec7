"""Packs at rest: a folder ``packs`` beside the artifacts of the data versions, wherever those are.

A pack is put there before the version that needs it becomes visible, and under its name only once it is whole.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import threading
from collections.abc import Iterable
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlparse

from ..domain.on_disk import sync
from .door import mlflow_errors

if TYPE_CHECKING:
    from .store import Store

__all__ = ["PackStore", "local_path"]

FOLDER = "packs"
README = "README.md"
ARROW_READS = ("s3", "gs", "gcs", "abfs", "abfss", "hdfs", "viewfs")


class PackStore:
    """The packs of one store's data versions."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._root: str | None = None

    @property
    def root(self) -> str:
        """Where they lie: a folder or a URI."""
        if self._root is None:
            experiment = self._store.client.get_experiment(self._store.datasets.experiment_id)
            place = str(experiment.artifact_location).rstrip("/")
            local = local_path(place)
            self._root = str(local / FOLDER) if local is not None else f"{place}/{FOLDER}"
        return self._root

    @property
    def local(self) -> Path | None:
        """The folder, None where they lie elsewhere."""
        return local_path(self.root)

    def put(self, pack: Path) -> None:
        """Move a pack to the others; one that is there already under its name is the same."""
        folder = self.local
        if folder is None:
            with mlflow_errors(self._store.workspace.tracking_uri):
                self._repository().log_artifact(str(pack))
            pack.unlink()  # or it would go among the version's own artifacts too
            return
        if not folder.exists():
            folder.mkdir(parents=True, exist_ok=True)
            (folder / README).write_text(layout())
        arriving = folder / f".{pack.name}.{os.getpid()}"
        try:
            pack.replace(folder / pack.name)
        except FileNotFoundError:
            if not (folder / pack.name).exists():  # not moved by an earlier try either
                raise
        except OSError:  # another file system
            shutil.copyfile(pack, arriving)
            sync(arriving)
            arriving.replace(folder / pack.name)
        sync(folder)

    def location(self, names: Iterable[str], cache: Path) -> str:
        """Where a process that knows no MLflow can read these packs: a folder, or a URI that Arrow reads.

        Parameters
        ----------
        cache
            Takes copies of packs that only MLflow can fetch.
        """
        if self.local is not None:
            return str(self.local)
        if urlparse(self.root).scheme in ARROW_READS:
            return self.root + _endpoint(self.root)
        cache.mkdir(parents=True, exist_ok=True)
        for name in set(names):
            if (cache / name).exists():
                continue
            arriving = cache / f"arriving.{os.getpid()}.{threading.get_ident()}"
            shutil.rmtree(arriving, ignore_errors=True)
            arriving.mkdir()
            try:
                with mlflow_errors(self._store.workspace.tracking_uri):
                    came = Path(self._repository().download_artifacts(name, str(arriving)))
                came.replace(cache / name)
            finally:
                shutil.rmtree(arriving, ignore_errors=True)
        return str(cache)

    def sizes(self) -> dict[str, int]:
        """Every pack that is there, with its size in bytes."""
        folder = self.local
        if folder is not None:
            return {file.name: file.stat().st_size for file in folder.glob("*.pack")} if folder.exists() else {}
        with mlflow_errors(self._store.workspace.tracking_uri):
            listed = self._repository().list_artifacts("")
        return {Path(file.path).name: int(file.file_size or 0) for file in listed if file.path.endswith(".pack")}

    def occupied(self) -> dict[str, int]:
        """For each pack on this machine's file systems the room it takes, holes not counted."""
        folder = self.local
        if folder is None or not folder.exists():
            return {}
        return {file.name: file.stat().st_blocks * 512 for file in folder.glob("*.pack")}

    def remove(self, name: str) -> None:
        """Remove a pack; one that is gone already is no error."""
        if self.local is not None:
            (self.local / name).unlink(missing_ok=True)
            return
        with mlflow_errors(self._store.workspace.tracking_uri), contextlib.suppress(FileNotFoundError):
            self._repository().delete_artifacts(name)

    def blank(self, name: str, kept: list[tuple[int, int]], cache: Path) -> int:
        """Overwrite everything in a pack but the kept stretches with zeros; say how many bytes.

        The pack is written anew beside the old one and takes its place at once, so a reader finds the one or the
        other; on this machine's file systems the zeros are holes and take no space.

        Parameters
        ----------
        kept
            Offsets and lengths, not overlapping.
        """
        self.location([name], cache)
        source = (self.local or cache) / name
        if self.local is None and urlparse(self.root).scheme in ARROW_READS:
            source = self._fetched(name, cache)
        arriving = source.with_name(f".{name}.{os.getpid()}")
        size, written = source.stat().st_size, 0
        with source.open("rb") as old, arriving.open("wb") as new:
            for offset, length in sorted(kept):
                old.seek(offset)
                new.seek(offset)
                new.write(old.read(length))
                written += length
            new.truncate(size)
            new.flush()
            os.fsync(new.fileno())
        arriving.replace(source)
        if self.local is None:
            with mlflow_errors(self._store.workspace.tracking_uri):
                self._repository().log_artifact(str(source))
        else:
            sync(self.local)
        return size - written

    def _fetched(self, name: str, cache: Path) -> Path:
        cache.mkdir(parents=True, exist_ok=True)
        with mlflow_errors(self._store.workspace.tracking_uri):
            return Path(self._repository().download_artifacts(name, str(cache)))

    def _repository(self) -> Any:
        from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

        return get_artifact_repository(self.root, tracking_uri=self._store.workspace.tracking_uri)


def layout() -> str:
    """The text that lies beside the packs and says how to read them without us."""
    return resources.files(__package__).joinpath("packs_readme.md").read_text()


def local_path(uri: str) -> Path | None:
    """The folder or file a URI means on this machine; None for one elsewhere."""
    parsed = urlparse(uri)
    if parsed.scheme == "file":
        return Path(unquote(parsed.path))
    return Path(uri) if not parsed.scheme else None


def _endpoint(uri: str) -> str:
    """MLflow's own setting for an S3 that is not Amazon's, as Arrow takes it."""
    from mlflow.environment_variables import MLFLOW_S3_ENDPOINT_URL

    endpoint = MLFLOW_S3_ENDPOINT_URL.get() if uri.startswith("s3:") else None
    if not endpoint:
        return ""
    parsed = urlparse(endpoint)
    return f"?scheme={parsed.scheme}&endpoint_override={parsed.netloc}"
