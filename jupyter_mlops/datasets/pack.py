"""Pack: a file of compressed chunks, written once and read by place; and patches, by which a chunk is told from another.

A pack begins with eight bytes of magic; after it stand chunks end to end, each compressed by zstd on its own. Where a
chunk stands, the manifests say. A chunk is stored ``whole``, or as a patch of another one that is stored whole:

``sparse``
    the number of changed rows as a 32-bit whole number, their places as such, then their values as a chunk's bytes.
``splice``
    two 32-bit whole numbers: how many rows to keep of the former chunk's beginning and end; then the rows between.

Bytes of chunks that nothing refers to any more are overwritten with zeros in place: all other places stay true.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ..errors import IntegrityFailure
from .chunk import Decoded, Encoded, Parts, address, decode, of_array, split
from .squeeze import AS_IS, unsqueeze

__all__ = ["MAGIC", "Pack", "Place", "Stored", "body_of", "compress", "decompress", "patch"]

MAGIC = b"MLOPSPK1"
LEVEL = 1
GAIN = 0.8  # share of its size to which zstd must bring a chunk to be used: without it reading is free
SMALL = 4096  # bytes that are not worth a frame of their own
CHANGED = 0.2  # share of changed rows beyond which a patch is not even tried


@dataclass(frozen=True)
class Place:
    """Where compressed bytes stand: the pack's number in the manifest, the place in it, and both lengths."""

    pack: int
    offset: int
    length: int
    raw: int


@dataclass(frozen=True)
class Stored:
    """One chunk as a manifest names it.

    Parameters
    ----------
    address
        Of the chunk's bytes.
    rows
        How many rows it has.
    how
        ``whole``, ``sparse`` or ``splice``.
    base
        The chunk that is patched; it is stored whole.
    """

    address: str
    rows: int
    place: Place
    how: str = "whole"
    base: Stored | None = None

    def to_json(self, numbers: Mapping[int, int]) -> list[Any]:
        """The chunk as a manifest writes it, where packs have these numbers."""
        place = self.place
        told: list[Any] = [self.address, self.rows, numbers[place.pack], place.offset, place.length, place.raw]
        return told if self.base is None else [*told, self.how, self.base.to_json(numbers)]

    @classmethod
    def from_json(cls, told: list[Any]) -> Stored:
        """The chunk of `to_json`."""
        base = cls.from_json(told[7]) if len(told) > 6 else None
        return cls(told[0], told[1], Place(*told[2:6]), told[6] if base is not None else "whole", base)

    def places(self) -> list[Place]:
        """Everything that has to be read for it."""
        return [self.place] if self.base is None else [self.place, *self.base.places()]


class Pack:
    """A pack that is being written.

    Parameters
    ----------
    path
        The file, which must not be there yet; it is made when the first chunk comes.
    number
        Of this pack in the manifest.
    """

    def __init__(self, path: Path, number: int) -> None:
        self.path = path
        self.number = number
        self.size = len(MAGIC)
        self._file: Any = None

    def append(self, compressed: Any, raw: int) -> Place:
        """Write compressed bytes; say where they stand."""
        if self._file is None:
            self._file = self.path.open("xb")
            self._file.write(MAGIC)
        place = Place(self.number, self.size, len(compressed), raw)
        self._file.write(compressed)
        self.size += len(compressed)
        return place

    def close(self) -> bool:
        """Have everything safely on disk; say whether there is anything."""
        if self._file is None:
            return False
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        return True


def compress(parts: Parts) -> tuple[Any, int]:
    """Buffers as one zstd frame, or as they are where that gains little, and their length before."""
    body = b"".join(parts)
    if len(body) < SMALL:
        return body, len(body)
    held = pa.Codec("zstd", compression_level=LEVEL).compress(body)
    return (held if len(held) < len(body) * GAIN else body), len(body)


def decompress(held: Any, raw: int) -> Any:
    """The bytes that `compress` was given.

    Raises
    ------
    IntegrityFailure
        They cannot be had from what is stored.
    """
    if len(held) == raw:
        return held
    try:
        return pa.Codec("zstd").decompress(held, decompressed_size=raw)
    except (pa.ArrowException, OSError) as error:
        raise IntegrityFailure(f"stored bytes cannot be decompressed: {error}.") from error


def patch(column: Encoded, start: int, stop: int, former: Decoded, former_rows: int) -> tuple[str, Parts] | None:
    """The rows from `start` to `stop` told as a change of a former chunk; None where that is not worth it."""
    rows = stop - start
    if column.form == "arrow" or not rows or not former_rows:
        return None
    same = _equal(column, start, former, former_rows, rows)
    if rows == former_rows:
        places = np.flatnonzero(~same)
        if len(places) > rows * CHANGED:
            return None
        head = np.concatenate([[len(places)], places]).astype("<i4")
        return "sparse", [head.view(np.uint8), *column.take(start, stop, places)]
    shared = min(rows, former_rows)
    before = int(np.argmin(same)) if not same.all() else shared
    ending = _equal_from_end(column, stop, former, former_rows, shared - before)
    after = int(np.argmin(ending)) if not ending.all() else len(ending)
    if before + after < rows * (1 - CHANGED):
        return None
    head = np.array([before, after], "<i4")
    return "splice", [head.view(np.uint8), *column.parts(start + before, stop - after)]


def body_of(
    chunk: Stored,
    form: Any,
    dtype: str,
    read: Callable[[Place], Any],
    into: np.ndarray[Any, Any] | None = None,
) -> Decoded:
    """The rows of a stored chunk, checked against its address.

    Parameters
    ----------
    into
        Takes the values, for the form ``plain``.

    Raises
    ------
    IntegrityFailure
        The bytes are not those that were stored.
    """
    held = decompress(read(chunk.place), chunk.place.raw)
    if chunk.base is None:
        whole = unsqueeze(held, chunk.rows, form, dtype, into)
        body = memoryview(held)
        _check(chunk, split(body[1:], chunk.rows) if body[0] == AS_IS else _parts_of(whole, chunk.rows))
        return whole
    former = body_of(chunk.base, form, dtype, read)
    view = memoryview(held)
    if chunk.how == "sparse":
        count = int(np.frombuffer(view[:4], "<i4")[0])
        places = np.frombuffer(view[4 : 4 + 4 * count], "<i4")
        found = _replace(former, places, decode(view[4 + 4 * count :], count, form, dtype))
    else:
        before, after = (int(x) for x in np.frombuffer(view[:8], "<i4"))
        middle = decode(view[8:], chunk.rows - before - after, form, dtype)
        found = _splice(former, chunk.base.rows, before, after, middle)
    _check(chunk, _parts_of(found, chunk.rows))
    if into is not None:
        into[:] = found.values
    return found


def _check(chunk: Stored, parts: Parts) -> None:
    if address(parts) != chunk.address:
        raise IntegrityFailure(f"the chunk {chunk.address} is not what was stored.")


def _parts_of(found: Decoded, rows: int) -> Parts:
    if found.form == "plain":
        return Encoded("plain", found.dtype, {}, found.values, found.missing).parts(0, rows)
    return of_array(found.values, {}).parts(0, rows)


def _equal(column: Encoded, start: int, former: Decoded, former_rows: int, rows: int) -> np.ndarray[Any, Any]:
    shared = min(rows, former_rows)
    return _same(column, start, former, 0, shared)


def _equal_from_end(column: Encoded, stop: int, former: Decoded, former_rows: int, count: int) -> np.ndarray[Any, Any]:
    """Counted from the last row backwards."""
    found: np.ndarray[Any, Any] = _same(column, stop - count, former, former_rows - count, count)[::-1]
    return found


def _same(column: Encoded, start: int, former: Decoded, first: int, count: int) -> np.ndarray[Any, Any]:
    """Which of `count` rows are the same, bit for bit."""
    if column.form == "plain":
        width = column.values.dtype.itemsize
        one = np.ascontiguousarray(column.values[start : start + count]).view(f"<u{width}")
        other = np.ascontiguousarray(former.values[first : first + count]).view(f"<u{width}")
        same: np.ndarray[Any, Any] = one == other
        if column.missing is not None or former.missing is not None:
            same &= _mask(column.missing, start, count) == _mask(former.missing, first, count)
        return same
    there = former.values.slice(first, count)
    empty = there.is_null().to_numpy(zero_copy_only=False) if there.null_count else np.zeros(count, dtype=bool)
    alike = pc.equal(column.texts(start, start + count), there).fill_null(False).to_numpy(zero_copy_only=False)
    missing = _mask(column.missing, start, count)
    found: np.ndarray[Any, Any] = np.where(missing | empty, missing & empty, alike)
    return found


def _mask(missing: np.ndarray[Any, Any] | None, start: int, count: int) -> np.ndarray[Any, Any]:
    return np.zeros(count, dtype=bool) if missing is None else missing[start : start + count]


def _replace(former: Decoded, places: np.ndarray[Any, Any], new: Decoded) -> Decoded:
    if former.form == "plain":
        values = former.values.copy()
        values[places] = new.values
        missing = None
        if former.missing is not None or new.missing is not None:
            missing = _mask(former.missing, 0, len(values)).copy()
            missing[places] = _mask(new.missing, 0, len(places))
        return Decoded("plain", former.dtype, values, missing)
    rows = np.arange(len(former.values))
    rows[places] = len(rows) + np.arange(len(places))
    return Decoded("text", former.dtype, pa.concat_arrays([former.values, new.values]).take(pa.array(rows)))


def _splice(former: Decoded, rows: int, before: int, after: int, middle: Decoded) -> Decoded:
    if former.form == "plain":
        values = np.concatenate([former.values[:before], middle.values, former.values[rows - after :]])
        missing = None
        if former.missing is not None or middle.missing is not None:
            held = _mask(former.missing, 0, rows)
            missing = np.concatenate(
                [held[:before], _mask(middle.missing, 0, len(middle.values)), held[rows - after :]]
            )
        return Decoded("plain", former.dtype, values, missing)
    pieces = [former.values.slice(0, before), middle.values, former.values.slice(rows - after)]
    return Decoded("text", former.dtype, pa.concat_arrays(pieces))
