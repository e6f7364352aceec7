"""Chunk: some rows of one column as bytes, the bytes' address, and the same rows back.

A chunk's bytes are, one after another: one byte that is 1 if cells are missing and else 0; if it is 1, one bit a row,
most significant first, set where the cell is missing; then the values. How those are written is the column's form:

``plain``
    the values as a NumPy array of the column's dtype, little-endian; truth values as bytes 0 and 1.
``text``
    the length of every text in bytes as 32-bit whole numbers, then the texts in UTF-8 (or the bytes) end to end.
``arrow``
    an Arrow IPC stream of one column (nested types, decimals); missing cells stand in the stream, the first byte is 0.

The address of a chunk is the first 32 hexadecimal digits of the BLAKE3 of these bytes, the values first: hashed from
where they begin, they fill its blocks evenly.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Any, Literal, overload

import numpy as np
import pandas as pd
import pyarrow as pa
from blake3 import blake3

from .columns import Record, record, to_arrow, to_file

__all__ = ["Decoded", "Encoded", "Form", "address", "addresses", "decode", "encode", "of_array", "split"]

Form = Literal["plain", "text", "arrow"]
Parts = list[Any]
"""Buffers that together are a chunk's bytes."""

HEX_DIGITS = 32
WHOLE, HOLED = b"\0", b"\1"
TEXTS = (pa.string(), pa.large_string(), pa.binary(), pa.large_binary())
CARRIED_AS = {64: "<i8", 32: "<i4"}


@dataclass(frozen=True)
class Encoded:
    """A whole column, ready to be cut into chunks.

    Parameters
    ----------
    dtype
        NumPy's name of what the values are written as, for the form ``plain``; Arrow's type for ``text``.
    note
        What pandas knows besides, see `columns.record`.
    values
        The values, the `Lengths` of the texts, or the Arrow array.
    missing
        Where cells are missing; None if none is.
    starts, data
        Of texts: where each begins in the bytes (one more than there are texts), and the bytes.
    kind
        Arrow's type, where the values are not just NumPy's.
    """

    form: Form
    dtype: str
    note: Record
    values: Any
    missing: np.ndarray[Any, Any] | None = None
    starts: np.ndarray[Any, Any] | Starts | None = None
    data: Any = None
    kind: pa.DataType | None = None

    def __len__(self) -> int:
        return len(self.values)

    def parts(self, start: int, stop: int) -> Parts:
        """The bytes of the rows from `start` to `stop`, as buffers."""
        if self.form == "arrow":
            return [WHOLE, _stream(self.values.slice(start, stop - start))]
        head: Parts = [WHOLE]
        if self.missing is not None and self.missing[start:stop].any():
            head = [HOLED, np.packbits(self.missing[start:stop])]
        body: Parts = [np.ascontiguousarray(self.values[start:stop]).view(np.uint8)]
        if self.form == "text" and self.starts is not None and self.data is not None:
            body.append(self.data[int(self.starts[start]) : int(self.starts[stop])])
        return head + body

    def take(self, start: int, stop: int, rows: np.ndarray[Any, Any]) -> Parts:
        """The bytes of single rows, counted from `start`."""
        missing = None if self.missing is None else self.missing[start:stop][rows]
        if self.form == "plain":
            picked = Encoded("plain", self.dtype, self.note, self.values[start:stop][rows], missing)
        else:
            texts = self.texts(start, stop).take(pa.array(rows))
            picked = replace(of_array(texts, self.note), missing=missing)
        return picked.parts(0, len(picked))

    def texts(self, start: int, stop: int) -> pa.Array:
        """The rows as texts, an empty one where the cell is missing."""
        wide = pa.large_string() if "string" in self.dtype else pa.large_binary()
        if self.starts is None:
            return pa.array([], type=wide)
        first, last = int(self.starts[start]), int(self.starts[stop])
        places = pa.py_buffer(self.starts[start : stop + 1] - first)
        return pa.Array.from_buffers(wide, stop - start, [None, places, pa.py_buffer(self.data[first:last])])


class Lengths:
    """How many bytes each of some texts has, worked out for the rows that are asked for."""

    def __init__(self, starts: np.ndarray[Any, Any] | Starts) -> None:
        self._starts = starts

    def __len__(self) -> int:
        return len(self._starts) - 1

    def __getitem__(self, rows: slice | np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        if isinstance(rows, slice):
            start, stop, _ = rows.indices(len(self))
            held = self._starts
            pieces = held.within(start, stop) if isinstance(held, Starts) else iter([held[start : stop + 1]])
            lengths, place = np.empty(max(stop - start, 0), "<i4"), 0
            for its in pieces:
                count = len(its) - 1
                np.subtract(its[1:], its[:-1], out=lengths[place : place + count], casting="unsafe")
                place += count
            return lengths
        starts = self._starts[:]
        found: np.ndarray[Any, Any] = (starts[1:][rows] - starts[:-1][rows]).astype("<i4")
        return found


class Starts:
    """Where texts that lie in several pieces begin, worked out for the rows that are asked for."""

    def __init__(self, pieces: list[np.ndarray[Any, Any]]) -> None:
        self._pieces = pieces
        self._rows = [0, *accumulate(len(piece) - 1 for piece in pieces)]
        self._places = [0, *accumulate(int(piece[-1] - piece[0]) for piece in pieces)]

    def __len__(self) -> int:
        return self._rows[-1] + 1

    def within(self, start: int, stop: int) -> Iterator[np.ndarray[Any, Any]]:
        """Where the texts from `start` to `stop` begin and the last ends, by pieces, each counted by itself."""
        for piece, row in zip(self._pieces, self._rows, strict=False):
            first, last = max(start, row), min(stop, row + len(piece) - 1)
            if first < last:
                yield piece[first - row : last - row + 1]

    @overload
    def __getitem__(self, where: int) -> int: ...

    @overload
    def __getitem__(self, where: slice) -> np.ndarray[Any, Any]: ...

    def __getitem__(self, where: int | slice) -> int | np.ndarray[Any, Any]:
        if isinstance(where, int):
            at = min(bisect_right(self._rows, where) - 1, len(self._pieces) - 1)
            its = self._pieces[at]
            return int(its[where - self._rows[at]]) - int(its[0]) + self._places[at]
        start, stop, _ = where.indices(len(self))
        found = np.empty(max(stop - start, 0), "<i8")
        for piece, row, place in zip(self._pieces, self._rows, self._places, strict=False):
            first, last = max(start, row), min(stop, row + len(piece))
            if first < last:  # where one piece ends the next begins: both say the same of it
                its = piece[first - row : last - row]
                np.add(its, place - piece[0], out=found[first - start : last - start])
        return found


class Joined:
    """The bytes of texts that lie in several pieces, read as if they stood end to end."""

    def __init__(self, pieces: list[memoryview]) -> None:
        self._pieces = pieces
        self._ends = [0, *accumulate(len(piece) for piece in pieces)]

    def __getitem__(self, where: slice) -> Any:
        start, stop = int(where.start or 0), self._ends[-1] if where.stop is None else int(where.stop)
        first = max(bisect_right(self._ends, start) - 1, 0)
        found = []
        for piece, begin, end in zip(self._pieces[first:], self._ends[first:], self._ends[first + 1 :], strict=False):
            if begin >= stop:
                break
            found.append(piece[max(start - begin, 0) : min(stop, end) - begin])
        return found[0] if len(found) == 1 else b"".join(found)


@dataclass(frozen=True)
class Decoded:
    """The rows of one chunk: values, and where they are missing."""

    form: Form
    dtype: str
    values: Any
    missing: np.ndarray[Any, Any] | None = None


def address(parts: Parts) -> str:
    """The address of a chunk."""
    head = 2 if parts[0][0] else 1
    hasher = blake3(parts[head])
    for part in (*parts[head + 1 :], *parts[:head]):
        hasher.update(part)
    return hasher.hexdigest(length=HEX_DIGITS // 2)


def addresses(column: Encoded, spans: Iterable[tuple[int, int]]) -> list[str]:
    """The addresses of a column's chunks, each given by its first row and the one after its last."""
    if column.form != "plain" or column.missing is not None:
        return [address(column.parts(*span)) for span in spans]
    found = []
    values = np.ascontiguousarray(column.values)
    width, body = values.itemsize, values.view(np.uint8).data
    for start, stop in spans:  # as `address`, without a list and a new array for each
        hasher = blake3(body[start * width : stop * width])
        hasher.update(WHOLE)
        found.append(hasher.hexdigest(length=HEX_DIGITS // 2))
    return found


def split(body: memoryview, rows: int) -> Parts:
    """A chunk's bytes as the parts that they were made of."""
    place = 1 + (-(-rows // 8) if body[0] else 0)
    return [body[:1], *([body[1:place]] if body[0] else []), body[place:]]


def encode(values: pd.Series[Any] | pd.Index[Any], name: object) -> Encoded:
    """A column or index level, ready to be cut.

    Raises
    ------
    InvalidArgument
        A data version cannot hold it.

    Examples
    --------
    >>> column = encode(pd.Series([1.5, None, 2.5]), "x")
    >>> column.form, column.dtype, sum(len(bytes(part)) for part in column.parts(0, 2))
    ('plain', '<f8', 17)
    """
    dtype = values.dtype
    if isinstance(dtype, np.dtype) and dtype.kind in "biufmM" and dtype.itemsize <= 8:
        plain = values.to_numpy()
        plain = plain if plain.dtype.isnative else plain.astype(plain.dtype.newbyteorder("="))
        note = record(values, pa.nulls(0))
        return Encoded("plain", plain.dtype.str, {**note, "dtype": str(plain.dtype)}, plain)
    if isinstance(dtype, pd.StringDtype) and dtype.storage == "pyarrow":
        held: Any = values.array
        native = held.__arrow_array__()
        if isinstance(native, pa.ChunkedArray) and native.num_chunks > 1:
            return _of_pieces(native, record(values, native))
    if isinstance(dtype, pd.CategoricalDtype):
        codes: np.ndarray[Any, Any] = values.array.codes
        return Encoded("plain", codes.dtype.str, record(values, to_arrow(values[:0], name)), codes)
    array = to_arrow(values, name)
    return of_array(to_file(values, array), record(values, array))


def of_array(array: pa.Array, note: Record) -> Encoded:
    """An Arrow array, ready to be cut."""
    whole = array.type
    if isinstance(whole, pa.BaseExtensionType):
        array = array.storage
    kind = array.type
    missing = np.asarray(array.is_null().to_numpy(zero_copy_only=False)) if array.null_count else None
    if kind in TEXTS:
        wide = array.cast(pa.large_string() if kind in TEXTS[:2] else pa.large_binary())
        if not len(wide):
            return Encoded("text", str(kind), note, Lengths(np.zeros(1, "<i8")), missing, kind=whole)
        starts = _starts_of(wide)
        if missing is not None and np.diff(starts)[missing].any():
            # Arrow may keep bytes in an empty place: they are no content
            wide = wide.fill_null("" if kind in TEXTS[:2] else b"")
            starts = _starts_of(wide)
        data = wide.buffers()[2]
        held = memoryview(data) if data is not None else memoryview(b"")
        return Encoded("text", str(kind), note, Lengths(starts), missing, starts, held, whole)
    if pa.types.is_boolean(kind):
        values = array.fill_null(False) if missing is not None else array
        return Encoded("plain", "|b1", note, values.to_numpy(zero_copy_only=False), missing, kind=whole)
    if pa.types.is_integer(kind) or pa.types.is_floating(kind):
        values = array.fill_null(0) if missing is not None else array
        found = values.to_numpy(zero_copy_only=False)
        return Encoded("plain", found.dtype.str, note, found, missing, kind=whole)
    if pa.types.is_temporal(kind) and kind.bit_width in CARRIED_AS:
        numbers = array.view(pa.int64() if kind.bit_width == 64 else pa.int32())
        found = (numbers.fill_null(0) if missing is not None else numbers).to_numpy(zero_copy_only=False)
        return Encoded("plain", CARRIED_AS[kind.bit_width], note, found, missing, kind=whole)
    return Encoded("arrow", "", note, array, kind=whole)


def _starts_of(texts: pa.Array) -> np.ndarray[Any, Any]:
    """Where each text begins in the bytes, and where the last one ends."""
    return np.frombuffer(texts.buffers()[1], "<i8")[texts.offset : texts.offset + len(texts) + 1]


def _of_pieces(array: pa.ChunkedArray, note: Record) -> Encoded:
    """Texts as they lie, without putting them together first."""
    pieces = [of_array(piece, note) for piece in array.chunks if len(piece)]
    if not pieces:
        return of_array(pa.array([], type=array.type), note)
    starts = Starts([np.asarray(piece.starts) for piece in pieces])
    missing = np.concatenate([_missing_of(piece) for piece in pieces]) if array.null_count else None
    data = Joined([_data_of(piece) for piece in pieces])
    return replace(pieces[0], values=Lengths(starts), missing=missing, starts=starts, data=data)


def _missing_of(piece: Encoded) -> np.ndarray[Any, Any]:
    return np.zeros(len(piece), dtype=bool) if piece.missing is None else piece.missing


def _data_of(piece: Encoded) -> memoryview:
    places: Any = piece.starts
    found: memoryview = piece.data[int(places[0]) : int(places[-1])]
    return found


def decode(body: Any, rows: int, form: Form, dtype: str) -> Decoded:
    """The rows of a chunk."""
    view = memoryview(body)
    if form == "arrow":
        with pa.ipc.open_stream(pa.py_buffer(view[1:])) as reader:
            column = reader.read_all().column(0)
        return Decoded(form, dtype, column.combine_chunks() if column.num_chunks != 1 else column.chunk(0))
    place, missing = 1, None
    if view[0]:
        width = -(-rows // 8)
        missing = np.unpackbits(np.frombuffer(view[1 : 1 + width], np.uint8), count=rows).astype(bool)
        place += width
    if form == "plain":
        width = np.dtype(dtype).itemsize * rows
        return Decoded(form, dtype, np.frombuffer(view[place : place + width], dtype), missing)
    lengths = np.frombuffer(view[place : place + 4 * rows], "<i4")
    starts = np.zeros(rows + 1, "<i8")
    np.cumsum(lengths, out=starts[1:])
    empty = None if missing is None else pa.py_buffer(np.packbits(~missing, bitorder="little"))
    wide = pa.large_string() if "string" in dtype else pa.large_binary()
    buffers = [empty, pa.py_buffer(starts), pa.py_buffer(view[place + 4 * rows :])]
    return Decoded(form, dtype, pa.Array.from_buffers(wide, rows, buffers))


def _stream(array: pa.Array) -> Any:
    array = pa.concat_arrays([array])  # a slice by itself: its buffers hold its own rows only
    sink = pa.BufferOutputStream()
    batch = pa.record_batch([array], names=["values"])
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    return sink.getvalue()
