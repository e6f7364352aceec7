"""Column hash: the values of one column in their canonical form, see `identity`, on their way into a digest."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from blake3 import blake3

from ..errors import InvalidArgument

__all__ = ["HEX_DIGITS", "STEP", "Stream", "hash_arrow", "hash_codes", "hash_plain", "hash_texts"]

HEX_DIGITS = 32
BLOCK = 65_536  # values canonicalised at a time: they stay in the processor's cache
STEP = 32_768  # rows; half as many would find a little better what is new in a column, and fill the manifests
BYTES = (pa.binary(), pa.large_binary())
NANOSECONDS = {"s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}


class Stream:
    """The digest of one column: its values, with a fixed value in the empty places, and which places are empty.

    Parameters
    ----------
    mark
        After how many rows to keep the digest of what has come; 0 for never.
    stepped
        Whether to keep what the digest comes from after every `STEP` rows.
    """

    def __init__(self, mark: int = 0, *, stepped: bool = False) -> None:
        self._values = blake3()
        self._texts: Any = None
        self._masks: list[np.ndarray[Any, Any]] = []
        self._parts: list[str] = []
        self._rows = 0
        self._mark = mark
        self._stepped = stepped
        self.missing = 0
        self.begin = ""
        """The digest at the mark."""
        self.steps: list[str] = []
        """After every `STEP` rows what is the same only where all values so far are."""

    def add(self, values: np.ndarray[Any, Any], missing: np.ndarray[Any, Any] | None = None) -> None:
        """Take in values, and where they are missing if any are."""
        for start, stop in self._spans(len(values)):
            self._add(values[start:stop], None if missing is None else missing[start:stop], stop - start)

    def add_texts(
        self, lengths: np.ndarray[Any, Any], missing: np.ndarray[Any, Any] | None, data: memoryview, places: Any
    ) -> None:
        """Take in texts by their lengths in bytes, and their bytes, which begin and end in `data` at `places`."""
        if self._texts is None:
            self._texts = blake3()
        for start, stop in self._spans(len(lengths)):
            self._texts.update(data[int(places[start]) : int(places[stop])])
            self._add(lengths[start:stop], None if missing is None else missing[start:stop], stop - start)

    def add_empty(self, missing: np.ndarray[Any, Any]) -> None:
        """Take in cells that have no value by themselves, only a place and whether they are missing."""
        self._add(np.empty(0), missing, len(missing))

    def _spans(self, rows: int) -> Iterator[tuple[int, int]]:
        """The next rows, cut where the digest is kept."""
        start = 0
        while start < rows:
            at = self._rows
            ends = [rows - start]
            if self._stepped:
                ends.append(STEP - at % STEP)
            if at < self._mark:
                ends.append(self._mark - at)
            yield start, start + min(ends)
            start += min(ends)

    def _add(self, values: np.ndarray[Any, Any], missing: np.ndarray[Any, Any] | None, rows: int) -> None:
        self._values.update(np.ascontiguousarray(values).view(np.uint8).data)
        if missing is not None and missing.any():
            self.missing += int(np.count_nonzero(missing))
            self._masks += [np.zeros(self._rows - sum(map(len, self._masks)), dtype=bool), missing]
        self._rows += rows
        if self._rows == self._mark:
            self.begin = self.digest()
        if self._stepped and self._rows % STEP == 0:
            self.steps.append(self._so_far())

    def _so_far(self) -> str:
        if self.missing:
            return self.digest()
        told = self._values.hexdigest(length=HEX_DIGITS // 2)
        return told if self._texts is None else told + self._texts.hexdigest(length=HEX_DIGITS // 2)

    def add_part(self, part: str) -> None:
        """Take in the digest of something within: a list's items, categories."""
        self._parts.append(part)

    def digest(self) -> str:
        """The digest, once everything is taken in."""
        whole = blake3(self._values.digest())
        if self._texts is not None:
            whole.update(self._texts.digest())
        if self.missing:
            mask = np.concatenate(self._masks)
            whole.update(np.packbits(mask).tobytes().rstrip(b"\0"))  # up to the last one
        parts = json.dumps(self._parts) if self._parts else "[]"
        whole.update(f"[{self._rows}, {self.missing}, {parts}]".encode())
        return str(whole.hexdigest()[:HEX_DIGITS])


def blocks(values: np.ndarray[Any, Any]) -> Iterator[np.ndarray[Any, Any]]:
    """A column's values in pieces that stay in the processor's cache."""
    for start in range(0, len(values), BLOCK):
        yield values[start : start + BLOCK]


def hash_plain(values: np.ndarray[Any, Any], stream: Stream) -> str:
    """Take in a column that NumPy holds; give its logical type."""
    kind = values.dtype.kind
    if kind == "f":
        _hash_floats(values, stream)
    elif kind in "mM":
        unit = np.datetime_data(values.dtype)[0]
        _hash_moments(values.view(np.int64), unit, stream)
        return "timestamp" if kind == "M" else "duration"
    else:
        for block in blocks(values):
            stream.add(block)
    return str(values.dtype.name)


def _hash_floats(values: np.ndarray[Any, Any], stream: Stream) -> None:
    room = np.empty(min(BLOCK, len(values)), values.dtype)
    for block in blocks(values):
        canonical = np.add(block, values.dtype.type(0), out=room[: len(block)])  # -0.0 + 0.0 is 0.0
        if not np.isnan(canonical.min()):  # one NaN makes the least one NaN
            stream.add(canonical)
            continue
        missing = np.isnan(canonical)
        np.putmask(canonical, missing, 0)
        stream.add(canonical, missing)


def _hash_moments(values: np.ndarray[Any, Any], unit: str, stream: Stream) -> None:
    """Whole numbers of the finest unit in which all of them fit into 64 bits; the lowest number is a missing one."""
    empty = np.iinfo(np.int64).min
    reach, holed = 0, False
    for block in blocks(values):
        least, present = int(block.min()), block
        if least == empty:
            holed, present = True, block[block != empty]
            least = int(present.min()) if len(present) else 0
        if len(present):
            reach = max(reach, -least, int(present.max()))
    finest = next(u for u in ("ns", "us", "ms", "s") if reach * NANOSECONDS[unit] // NANOSECONDS[u] < 2**63)
    factor, divisor = NANOSECONDS[unit], NANOSECONDS[finest]
    stream.add_part(finest)
    room = np.empty(min(BLOCK, len(values)), np.int64)
    for block in blocks(values):
        missing = block == empty if holed else None
        scaled = block if missing is None else np.where(missing, 0, block)
        if factor > divisor:
            scaled = np.multiply(scaled, factor // divisor, out=room[: len(block)])
        elif factor < divisor:
            scaled = scaled // (divisor // factor)
        stream.add(scaled, missing)


def hash_arrow(array: pa.Array, stream: Stream) -> str:
    """Take in an Arrow array of any type; give its logical type."""
    kind = array.type
    if isinstance(kind, pa.BaseExtensionType):
        return hash_arrow(array.storage, stream)
    if pa.types.is_floating(kind):
        _hash_floats(array.fill_null(np.nan).to_numpy(zero_copy_only=False), stream)
        return str(np.dtype(kind.to_pandas_dtype()).name)
    if pa.types.is_integer(kind) or pa.types.is_boolean(kind):
        missing = _nulls(array)
        values = array if missing is None else array.fill_null(0 if pa.types.is_integer(kind) else False)
        stream.add(values.to_numpy(zero_copy_only=False), missing)
        return str(kind)
    if pa.types.is_timestamp(kind) or pa.types.is_duration(kind):
        _hash_moments(_as_int64(array), kind.unit, stream)
        zone = getattr(kind, "tz", None)
        return f"timestamp[{_zone(zone)}]" if zone else ("timestamp" if pa.types.is_timestamp(kind) else "duration")
    if pa.types.is_time(kind):
        unit = pa.time64("ns")
        _hash_moments(_as_int64(array.cast(unit)), "ns", stream)
        return "time"
    if pa.types.is_date(kind):
        _hash_moments(_as_int64(array.cast(pa.date32()).cast(pa.timestamp("s"))), "s", stream)
        return "date"
    if pa.types.is_decimal(kind):
        hash_arrow(array.cast(pa.string()), stream)
        return f"decimal({kind.scale})"
    return _hash_nested(array, stream)


def hash_codes(codes: np.ndarray[Any, Any], empty: pa.DictionaryArray, stream: Stream) -> str:
    """A categorical column by its codes, -1 where a cell is missing, and a column without rows of the same categories."""
    kind = hash_arrow(empty, stream)
    for block in blocks(codes):
        missing = block < 0 if int(block.min()) < 0 else None
        wide = block.astype(np.int64)
        if missing is not None:
            wide[missing] = 0
        stream.add(wide, missing)
    return kind


def _hash_nested(array: pa.Array, stream: Stream) -> str:
    kind = array.type
    if pa.types.is_null(kind):
        stream.add_empty(np.ones(len(array), dtype=bool))
        return "null"
    if pa.types.is_dictionary(kind):
        inner = Stream()
        label = hash_arrow(array.dictionary, inner)
        stream.add_part(inner.digest())
        codes = array.indices.fill_null(0).to_numpy(zero_copy_only=False).astype(np.int64)
        stream.add(codes, _nulls(array.indices))
        return f"{'ordered' if kind.ordered else 'category'}[{label}]"
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        inner = Stream()
        label = hash_arrow(array.flatten(), inner)
        stream.add_part(inner.digest())
        missing = _nulls(array)
        lengths = pc.list_value_length(array).fill_null(0).to_numpy(zero_copy_only=False).astype(np.int64)
        stream.add(lengths if missing is None else np.where(missing, 0, lengths), missing)
        return f"list[{label}]"
    if pa.types.is_struct(kind):
        labels = []
        for i in range(kind.num_fields):
            inner = Stream()
            labels.append(f"{kind.field(i).name}: {hash_arrow(array.flatten()[i], inner)}")
            stream.add_part(inner.digest())
        missing = _nulls(array)
        stream.add_empty(np.zeros(len(array), dtype=bool) if missing is None else missing)
        return f"struct[{', '.join(labels)}]"
    text = kind not in BYTES
    try:
        hash_texts([array if not text else array.cast(pa.large_string())], stream)
    except pa.ArrowException as error:
        raise InvalidArgument(f"a data version cannot hold a column of type {kind}.", hint="Convert it.") from error
    return "string" if text else "binary"


def hash_texts(pieces: list[pa.Array], stream: Stream) -> None:
    """Lengths and bytes, each end to end: how the column is cut into pieces does not count."""
    room = np.empty(BLOCK, np.int32)
    for piece in pieces:
        missing = _nulls(piece)
        array, places = piece, _text_places(piece)
        if missing is not None and np.diff(places)[missing].any():
            # Arrow may keep bytes in an empty place: they are no content.
            array = piece.fill_null(b"" if piece.type in BYTES else "")
            places = _text_places(array)
        held = array.buffers()[2]
        data = memoryview(b"" if held is None else held)
        for start in range(0, len(array), BLOCK):
            some = places[start : start + BLOCK + 1]
            lengths = np.subtract(some[1:], some[:-1], out=room[: len(some) - 1], casting="unsafe")
            stream.add_texts(lengths, None if missing is None else missing[start : start + BLOCK], data, some)


def _text_places(array: pa.Array) -> np.ndarray[Any, Any]:
    """Where each text begins in the bytes, and after them where the last ends."""
    offsets = array.buffers()[1]
    width = np.int32 if array.type in (pa.string(), pa.binary()) else np.int64
    if offsets is None or not len(array):
        return np.zeros(0, width)
    return np.frombuffer(offsets, dtype=width)[array.offset : array.offset + len(array) + 1]


def _nulls(array: pa.Array) -> np.ndarray[Any, Any] | None:
    if not array.null_count:
        return None
    missing: np.ndarray[Any, Any] = array.is_null().to_numpy(zero_copy_only=False)
    return missing


def _as_int64(array: pa.Array) -> np.ndarray[Any, Any]:
    whole = array.view(pa.int64())
    if array.null_count:
        whole = whole.fill_null(np.iinfo(np.int64).min)
    found: np.ndarray[Any, Any] = whole.to_numpy(zero_copy_only=False)
    return found


def _zone(name: str) -> str:
    return "UTC" if name in ("+00:00", "Etc/UTC", "UTC+00:00") else name
