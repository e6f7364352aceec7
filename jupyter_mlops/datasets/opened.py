"""Opened: a data version that was found, before its values are read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from ..domain.context import Context
from ..domain.data_erasure import manifest_in
from ..domain.data_version import DataVersion
from ..errors import IntegrityFailure, InvalidArgument, NotFound, Unavailable

if TYPE_CHECKING:
    import pandas as pd

    from .draft import Base
    from .folder import FolderManifest, StoredFile
    from .manifest import Manifest
    from .packs import Packs

__all__ = ["Opened", "count_look", "open_base", "open_version", "sealed_as"]

HINT = "Restore the files from a backup, or save the table again as a new version."


@dataclass(frozen=True)
class Opened:
    """A data version: what is known of it, its manifest, and the packs its values stand in.

    Parameters
    ----------
    manifest
        None for a version that was saved as one Parquet file, before there were manifests.
    run
        The id of its MLflow run.
    """

    version: DataVersion
    manifest: Manifest | None
    packs: Packs
    folder: Path
    run: str
    checksum: str = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.packs.__exit__()

    def read(self, columns: Sequence[Any] | None = None) -> pd.DataFrame:
        """The table, or some of its columns.

        Raises
        ------
        IntegrityFailure
            Its files are not what was saved.
        """
        if self.version.kind == "folder":
            raise InvalidArgument(
                f"{self.version.ref} is a folder of files, no table.",
                hint=f"Write it out: data load {self.version.ref} --to DIR.",
            )
        if self.version.kind == "view":
            raise InvalidArgument(
                f"{self.version.ref} is a feature view.", hint=f"Its rows: data load {self.version.ref}."
            )
        if self.manifest is None:
            from .files import read_verified

            frame = read_verified(self.folder, self.version.digest, self.version.ref)
            return frame if columns is None else frame[list(columns)]
        from .snapshot_reading import read_snapshot

        try:
            return read_snapshot(self.manifest, self.packs.of(self.manifest), columns=columns)
        except IntegrityFailure as error:
            raise IntegrityFailure(f"{self.version.ref} is not what was saved: {error.message}", hint=HINT) from error

    def files(self) -> tuple[StoredFile, ...]:
        """The files of a folder's version, by path.

        Raises
        ------
        IntegrityFailure
            The manifest is not what was saved.
        """
        with self._whole():
            return self._of_folder().files

    def extract(self, target: Path) -> None:
        """Write the files of a folder's version into a folder that is not there yet, or empty.

        Raises
        ------
        IntegrityFailure
            They are not what was saved.
        """
        from .folder import extract
        from .packs import Reader

        with self._whole():
            manifest = self._of_folder()
            extract(manifest, Reader(self.packs, manifest.packs), target)

    def _of_folder(self) -> FolderManifest:
        from .folder import FolderManifest
        from .manifest import MANIFEST

        return FolderManifest.from_bytes((self.folder / MANIFEST).read_bytes(), digest=self.checksum)

    @contextmanager
    def _whole(self) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError as error:
            raise IntegrityFailure(f"{error.filename} of {self.version.ref} is gone.", hint=HINT) from error
        except IntegrityFailure as error:
            raise IntegrityFailure(f"{self.version.ref} is not what was saved: {error.message}", hint=HINT) from error


def open_version(context: Context, ref: str) -> Opened:
    """Find a data version and read its manifest; at a sealed one this is a look, which is counted first.

    Raises
    ------
    NotFound
        There is no such data version.
    IntegrityFailure
        Its manifest is gone or not what was saved.
    """
    found = context.call("data.locate", ref=str(ref))
    version = DataVersion.from_dict(found["version"])
    _counted(context, version)
    if version.erased:
        context.progress(f"{version.ref}: {version.erased}")
    try:
        return opened(found)
    except IntegrityFailure:
        if not found["copy"]:
            raise
        # Only our copy of a remote file may be damaged: fetch it anew before blaming the store.
        return opened(context.call("data.locate", ref=str(ref), fresh=True))


def count_look(context: Context, ref: str) -> None:
    """Count a look at a table in memory that holds a data version, if that is sealed."""
    _counted(context, DataVersion.from_dict(context.call("data.locate", ref=ref)["version"]))


def sealed_as(context: Context, digest: str) -> str:
    """The sealed version that a table is whose content has this digest, wherever it comes from; empty for none.

    A store that does not answer knows of no seal: a table that the user brings along needs no store to be evaluated on.
    """
    if not digest:
        return ""
    try:
        return str(context.call("data.sealed_as", digest=digest)["ref"])
    except Unavailable:
        return ""


def _counted(context: Context, version: DataVersion) -> None:
    if version.sealed_ms:
        purpose, candidate = context.looking_for
        context.call("data.look", ref=version.ref, purpose=purpose, candidate=candidate())


def open_base(found: dict[str, Any] | None) -> tuple[Base | None, str]:
    """What a new version can build on, of what the service told, and the id of that version's run with its manifest's checksum.

    A base that cannot be read is none: the new version is then stored whole.
    """
    from .draft import Base

    if found is None or DataVersion.from_dict(found["version"]).kind != "table":
        return None, ""
    try:
        there = opened(found)
    except (IntegrityFailure, NotFound):
        return None, ""
    if there.manifest is None:
        return None, ""
    return Base(there.manifest, there.packs.of(there.manifest)), f"{there.run}@{there.checksum}"


def opened(found: dict[str, Any]) -> Opened:
    """A data version as the service located it."""
    from .manifest import MANIFEST, Manifest
    from .packs import Packs

    # the checksum says which one counts where rows were erased

    version, folder = DataVersion.from_dict(found["version"]), Path(found["folder"])
    manifest = None
    if found["checksum"] and version.kind == "table":
        try:
            held = manifest_in(folder, found["checksum"]).read_bytes()
            manifest = Manifest.from_bytes(held, digest=found["checksum"])
        except FileNotFoundError as error:
            raise IntegrityFailure(f"the manifest of {version.ref} is gone: {folder / MANIFEST}.", hint=HINT) from error
        except IntegrityFailure as error:
            raise IntegrityFailure(f"{version.ref} cannot be read: {error.message}", hint=HINT) from error
    return Opened(version, manifest, Packs(found["packs"]), folder, found["run"], found["checksum"])
