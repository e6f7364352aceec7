"""Manifest: what a data version consists of, as JSON: its columns, where its rows are cut, and every chunk's place."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import orjson
from blake3 import blake3

from ..errors import IntegrityFailure
from .chunk import Form
from .columns import Record
from .cuts import Anchor
from .identity import ColumnIdentity, Identity
from .pack import Place, Stored

__all__ = ["FORMAT", "MANIFEST", "Manifest", "StoredColumn"]

MANIFEST = "manifest.json"
FORMAT = 3


@dataclass(frozen=True)
class StoredColumn:
    """One column or index level at rest.

    Parameters
    ----------
    identity
        Its name, logical type, digest and number of missing cells.
    kind
        Arrow's type, packed as by `columns.pack`, where the values are not just NumPy's.
    """

    identity: ColumnIdentity
    form: Form
    dtype: str
    kind: str
    note: Record
    chunks: tuple[Stored, ...]

    def like(self, other: StoredColumn) -> bool:
        """Whether the same rows would give the same bytes as in `other`."""
        return (self.form, self.dtype, self.kind) == (other.form, other.dtype, other.kind)


@dataclass(frozen=True)
class Manifest:
    """A data version at rest.

    Parameters
    ----------
    segments
        Rows of each segment; every column has one chunk for each.
    packs
        Names of the packs that chunks stand in, by number.
    shape
        What pandas knows of the table as a whole: kinds of labels, the index.
    columns
        The columns in order, then the levels of an index that is stored.
    count
        How many of them are columns.
    """

    digest: str
    rows: int
    segments: tuple[int, ...]
    anchor: Anchor
    packs: tuple[str, ...]
    shape: dict[str, Any]
    columns: tuple[StoredColumn, ...]
    count: int

    @property
    def names(self) -> list[Any]:
        """The columns' names, in order."""
        return [column.identity.name for column in self.columns[: self.count]]

    def identity(self) -> Identity:
        """The table's identity, as it was when it was saved."""
        columns = tuple(column.identity for column in self.columns[: self.count])
        return Identity(self.digest, self.rows, columns, tuple(ColumnIdentity(*each) for each in self.shape["means"]))

    def places(self) -> Iterator[tuple[str, Place]]:
        """Every stretch of a pack that the version needs, with the pack's name; some more than once."""
        for column in self.columns:
            for chunk in column.chunks:
                for place in chunk.places():
                    yield self.packs[place.pack], place

    def starts(self) -> list[int]:
        """Where each segment begins, and after them the number of rows."""
        found = [0]
        for rows in self.segments:
            found.append(found[-1] + rows)
        return found

    def to_bytes(self) -> bytes:
        """The manifest as it is written; packs that nothing stands in any more are left out."""
        used = sorted({place.pack for c in self.columns for chunk in c.chunks for place in chunk.places()})
        moved = {pack: number for number, pack in enumerate(used)}
        told = {
            "format": FORMAT,
            "digest": self.digest,
            "rows": self.rows,
            "count": self.count,
            "segments": self.segments,
            "anchor": {"columns": self.anchor.columns, "window": self.anchor.window},
            "packs": [self.packs[pack] for pack in used],
            "shape": self.shape,
            "columns": [
                {
                    **vars(c.identity),
                    "form": c.form,
                    "dtype": c.dtype,
                    "kind": c.kind,
                    "note": c.note,
                    "chunks": [chunk.to_json(moved) for chunk in c.chunks],
                }
                for c in self.columns
            ],
        }
        return orjson.dumps(told, default=_plain)

    @classmethod
    def from_bytes(cls, held: bytes, *, digest: str = "") -> Manifest:
        """The manifest that was written.

        Parameters
        ----------
        digest
            Of these bytes, as `checksum` gave it when they were written; empty skips the check.

        Raises
        ------
        IntegrityFailure
            These are not the bytes that were written, or no manifest.
        """
        if digest and checksum(held) != digest:
            raise IntegrityFailure("the manifest is not what was saved.")
        try:
            told = orjson.loads(held)
            if told["format"] != FORMAT:
                raise IntegrityFailure(
                    f"the manifest has format {told['format']}; this version reads {FORMAT}.",
                    hint="Update jupyter-mlops.",
                )
            columns = tuple(
                StoredColumn(
                    ColumnIdentity(c["name"], c["type"], c["digest"], c["missing"], tuple(c.get("steps", ()))),
                    c["form"],
                    c["dtype"],
                    c["kind"],
                    c["note"],
                    tuple(Stored.from_json(chunk) for chunk in c["chunks"]),
                )
                for c in told["columns"]
            )
            return cls(
                told["digest"],
                told["rows"],
                tuple(told["segments"]),
                Anchor(tuple(told["anchor"]["columns"]), told["anchor"]["window"]),
                tuple(told["packs"]),
                told["shape"],
                columns,
                told["count"],
            )
        except (ValueError, KeyError, TypeError, IndexError) as error:
            raise IntegrityFailure(f"the manifest cannot be read: {error!r}.") from error


def checksum(held: bytes) -> str:
    """The digest by which a manifest's bytes are checked."""
    return str(blake3(held).hexdigest()[:32])


def _plain(value: Any) -> Any:
    if hasattr(value, "item"):
        return value.item()
    raise TypeError(type(value).__name__)
