"""Folder: files as they are, such as images or a set of Parquet files, as a data version.

Files are cut into chunks by their content, and a chunk is stored once however many files and versions have it. Nothing
is held in memory but the piece that is being worked on. What counts is every regular file's path and bytes, hidden ones
too; links to files count as what they point to. Empty folders, rights and times do not count.
"""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import orjson
from blake3 import blake3

from ..domain.on_disk import sync
from ..errors import Conflict, IntegrityFailure, InvalidArgument
from .byte_cuts import pieces
from .manifest import MANIFEST, checksum
from .pack import Pack, Stored, compress, decompress
from .packs import Reader

__all__ = ["FolderManifest", "StoredFile", "Written", "describe_folder", "extract", "write_folder"]

FORMAT = 1
HEX_DIGITS = 32


@dataclass(frozen=True)
class StoredFile:
    """One file: its path inside the folder with ``/`` between parts, its size, the BLAKE3 of its bytes, its chunks."""

    path: str
    size: int
    digest: str
    chunks: tuple[int, ...] = ()


@dataclass(frozen=True)
class FolderManifest:
    """A folder at rest: its files, and each different chunk once."""

    digest: str
    files: tuple[StoredFile, ...]
    packs: tuple[str, ...]
    chunks: tuple[Stored, ...]

    def to_bytes(self) -> bytes:
        """The manifest as it is written; packs and chunks that no file needs are left out."""
        numbers: dict[int, int] = {}
        for file in self.files:
            for chunk in file.chunks:
                numbers.setdefault(chunk, len(numbers))
        chunks = [self.chunks[chunk] for chunk in numbers]
        used = sorted({chunk.place.pack for chunk in chunks})
        moved = {pack: number for number, pack in enumerate(used)}
        told = {
            "format": FORMAT,
            "kind": "folder",
            "digest": self.digest,
            "packs": [self.packs[pack] for pack in used],
            "files": [[f.path, f.size, f.digest, [numbers[chunk] for chunk in f.chunks]] for f in self.files],
            "chunks": [chunk.to_json(moved) for chunk in chunks],
        }
        return orjson.dumps(told)

    @classmethod
    def from_bytes(cls, held: bytes, *, digest: str = "") -> FolderManifest:
        """The manifest that was written.

        Raises
        ------
        IntegrityFailure
            These are not the bytes that were written, or no manifest of a folder.
        """
        if digest and checksum(held) != digest:
            raise IntegrityFailure("the manifest is not what was saved.")
        try:
            told = orjson.loads(held)
            if (told["kind"], told["format"]) != ("folder", FORMAT):
                raise IntegrityFailure(f"the manifest has format {told['format']}.", hint="Update jupyter-mlops.")
            files = tuple(StoredFile(path, size, hashed, tuple(chunks)) for path, size, hashed, chunks in told["files"])
            return cls(told["digest"], files, tuple(told["packs"]), tuple(map(Stored.from_json, told["chunks"])))
        except (ValueError, KeyError, TypeError, IndexError) as error:
            raise IntegrityFailure(f"the manifest cannot be read: {error!r}.") from error


@dataclass(frozen=True)
class Written:
    """What was put into the staged folder: the manifest's checksum, and the bytes that the version adds."""

    checksum: str
    bytes: int


def describe_folder(root: Path) -> tuple[str, tuple[StoredFile, ...]]:
    """The identity of a folder, or of one file, and its files without chunks, by path.

    Raises
    ------
    InvalidArgument
        There is no file in it, or one whose name is no UTF-8 text.
    """
    files = []
    for path, inside in _files_in(root):
        hasher = blake3(max_threads=blake3.AUTO)
        hasher.update_mmap(path)
        files.append(StoredFile(inside, path.stat().st_size, hasher.hexdigest()[:HEX_DIGITS]))
    if not files:
        raise InvalidArgument(f"there is no file in {root}.", hint="Give a folder with files.")
    return _digest(files), tuple(files)


def write_folder(
    root: Path, files: Iterable[StoredFile], digest: str, into: Path, base: FolderManifest | None = None
) -> Written:
    """Write the manifest, and a pack with the chunks that `base` does not have; safely on disk when it returns.

    Parameters
    ----------
    files, digest
        As `describe_folder` gave them.
    into
        An empty folder.

    Raises
    ------
    Conflict
        A file was changed meanwhile.
    """
    chunks = [] if base is None else list(base.chunks)
    known = {chunk.address: number for number, chunk in enumerate(chunks)}
    same = {} if base is None else {(f.size, f.digest): f.chunks for f in base.files}
    packs = () if base is None else base.packs
    pack = Pack(into / f"{uuid.uuid4().hex}.pack", len(packs))
    stored = []
    for file in files:
        numbers = same.get((file.size, file.digest))
        if numbers is None:
            numbers = _write_file(root, file, pack, chunks, known)
            same[file.size, file.digest] = numbers
        stored.append(StoredFile(file.path, file.size, file.digest, numbers))
    found = pack.close()
    held = FolderManifest(digest, tuple(stored), (*packs, pack.path.name), tuple(chunks)).to_bytes()
    (into / MANIFEST).write_bytes(held)
    sync(into / MANIFEST)
    sync(into)
    return Written(checksum(held), (pack.size if found else 0) + len(held))


def _write_file(
    root: Path, file: StoredFile, pack: Pack, chunks: list[Stored], known: dict[str, int]
) -> tuple[int, ...]:
    hasher, numbers = blake3(), []
    try:
        with (root if root.is_file() else root / file.path).open("rb") as opened:
            for piece in pieces(opened):
                hasher.update(piece)
                name = blake3(piece).hexdigest()[:HEX_DIGITS]
                if name not in known:
                    held, raw = compress([piece])
                    known[name] = len(chunks)
                    chunks.append(Stored(name, len(piece), pack.append(held, raw)))
                numbers.append(known[name])
    except FileNotFoundError as error:
        raise Conflict(f"{file.path} was removed while it was saved.", hint="Save it again.") from error
    if hasher.hexdigest()[:HEX_DIGITS] != file.digest:
        raise Conflict(f"{file.path} was changed while it was saved.", hint="Save it again.")
    return tuple(numbers)


def extract(manifest: FolderManifest, read: Reader, target: Path) -> None:
    """Write the files out, every one checked; the folder is there whole or not at all.

    Raises
    ------
    InvalidArgument
        `target` is there and not empty.
    IntegrityFailure
        What is stored is not what was saved.
    """
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise InvalidArgument(f"{target} is there already and not empty.", hint="Give another folder.")
    target.parent.mkdir(parents=True, exist_ok=True)
    arriving = target.with_name(f".{target.name}.{os.getpid()}.{uuid.uuid4().hex[:8]}")
    try:
        for file in manifest.files:
            path = arriving / _inside(file.path)
            path.parent.mkdir(parents=True, exist_ok=True)
            hasher = blake3()
            with path.open("wb") as written:
                for number in file.chunks:
                    chunk = manifest.chunks[number]
                    held = decompress(read(chunk.place), chunk.place.raw)
                    hasher.update(held)
                    written.write(held)
            if hasher.hexdigest()[:HEX_DIGITS] != file.digest:
                raise IntegrityFailure(f"{file.path} is not what was saved.")
        if target.exists():
            target.rmdir()
        arriving.replace(target)
    finally:
        shutil.rmtree(arriving, ignore_errors=True)


def _inside(path: str) -> PurePosixPath:
    """A path that stays inside the folder it is written into."""
    found = PurePosixPath(path)
    if found.is_absolute() or ".." in found.parts or not found.parts:
        raise IntegrityFailure(f"{path!r} is no path inside a folder.")
    return found


def _files_in(root: Path) -> Iterator[tuple[Path, str]]:
    """Every regular file under a folder with its path inside, in the order of those."""
    if root.is_file():
        found = [(root, root.name)]
    else:
        found = []
        for where, _, names in os.walk(root):
            for name in names:
                path = Path(where) / name
                if path.is_file():
                    found.append((path, path.relative_to(root).as_posix()))
    for path, inside in sorted(found, key=lambda each: each[1]):
        try:
            inside.encode()
        except UnicodeEncodeError as error:
            raise InvalidArgument(f"the name of {path!r} is no UTF-8 text.", hint="Rename it.") from error
        yield path, inside


def _digest(files: list[StoredFile]) -> str:
    whole: list[Any] = [[f.path, f.size, f.digest] for f in files]
    return f"b3:{blake3(orjson.dumps(['folder', 1, whole])).hexdigest()[:HEX_DIGITS]}"
