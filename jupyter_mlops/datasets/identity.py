"""Identity: a digest over the full logical content of a table.

Two tables have the same digest when they have the same column names in the same order, the same logical types, and in
every cell the same value or none, in the same row order, under the same index if that carries meaning. How the table
was built does not count: NumPy, nullable or Arrow backing, chunks, file format, byte order.

What counts as the same, in detail (the canonical form, number 1):

- The logical type is the kind and width of the values: ``int64`` for pandas' ``int64``, ``Int64`` and
  ``int64[pyarrow]``; ``string`` for all kinds of string column; a column of Python objects has the type its values have.
- NaN in a column of floats is a missing value, whatever its bits; -0.0 is 0.0.
- A timestamp is a moment: its unit does not count, its time zone does, and having none differs from having one.
- A categorical column differs from a column of the same texts; its categories, their order, and whether they are
  ordered are part of the type.
- An index without a name that counts 0, 1, 2, ... carries no meaning. Every other index counts like columns.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from blake3 import blake3

from ..errors import InvalidArgument
from .columns import to_arrow

__all__ = [
    "ColumnIdentity",
    "Identity",
    "check_shape",
    "digest",
    "has_meaningful_index",
    "identify",
    "identify_column",
    "type_of",
]

SCHEME = "b3"  # canonical form 1, BLAKE3 cut to 128 bits: 35 characters, where MLflow holds 36
HEX_DIGITS = 32
BLOCK = 65_536  # values canonicalised at a time: they stay in the processor's cache
PARALLEL = 1_000_000  # cells from which threads are worth starting
BYTES = (pa.binary(), pa.large_binary())
NANOSECONDS = {"s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}


@dataclass(frozen=True)
class ColumnIdentity:
    """One column's or index level's logical type, digest and number of missing values."""

    name: Any
    type: str
    digest: str
    missing: int


@dataclass(frozen=True)
class Identity:
    """A table's digest, and those of its parts, by which differences can be named."""

    digest: str
    rows: int
    columns: tuple[ColumnIdentity, ...]
    index: tuple[ColumnIdentity, ...] = ()
    begins: tuple[str, ...] = field(default=(), compare=False)
    """For each column the digest of its first rows alone, as many as were asked for; empty where that is not known."""

    def differences(self, other: Identity) -> list[str]:
        """What differs between this table and another, in words."""
        if self.digest == other.digest:
            return []
        found = [] if self.rows == other.rows else [f"{self.rows} rows became {other.rows}"]
        mine, theirs = ({c.name: c for c in each.columns} for each in (self, other))
        found += [f"column {name!r} is gone" for name in mine if name not in theirs]
        found += [f"column {name!r} is new" for name in theirs if name not in mine]
        for name in [name for name in mine if name in theirs]:
            before, after = mine[name], theirs[name]
            if before.type != after.type:
                found.append(f"column {name!r} was {before.type} and is {after.type}")
            elif before.digest != after.digest and self.rows == other.rows:
                found.append(f"column {name!r} has other values")
        if self.index != other.index:
            found.append("the index differs")
        return found or ["the columns stand in another order or are named otherwise"]


def identify(frame: pd.DataFrame, *, mark: int = 0) -> Identity:
    """The identity of a table.

    Parameters
    ----------
    mark
        After how many rows to note what the columns' digests would be if they ended there, for columns of numbers and
        times: a column that was only appended to is then known without a second look.

    Raises
    ------
    InvalidArgument
        A column cannot be stored in a data version, or the columns' names cannot.

    Examples
    --------
    >>> a = pd.DataFrame({"x": [1, 2], "y": ["a", None]})
    >>> b = pd.DataFrame({"x": [1, 2], "y": ["a", None]}).convert_dtypes(dtype_backend="pyarrow")
    >>> identify(a).digest == identify(b).digest, identify(a).digest == identify(a[::-1]).digest
    (True, False)
    """
    check_shape(frame)
    found = _identify_columns(frame, mark)
    columns = tuple(column for column, _ in found)
    index: tuple[ColumnIdentity, ...] = ()
    if has_meaningful_index(frame.index):
        levels = range(frame.index.nlevels)
        index = tuple(identify_column(frame.index.get_level_values(i), frame.index.names[i]) for i in levels)
    whole = json.dumps(
        {
            "form": 1,
            "rows": len(frame),
            "of columns": _plain_name(frame.columns.name),
            "columns": [[_plain_name(c.name), c.type, c.digest] for c in columns],
            "index": [[_plain_name(c.name), c.type, c.digest] for c in index],
        },
        separators=(",", ":"),
    )
    digest = f"{SCHEME}:{blake3(whole.encode()).hexdigest()[:HEX_DIGITS]}"
    return Identity(digest, len(frame), columns, index, tuple(begin for _, begin in found))


def digest(table: pd.DataFrame) -> str:
    """A table's digest alone, see `identify`."""
    return identify(table).digest


def check_shape(frame: pd.DataFrame) -> None:
    """Raise unless the columns have names that can be stored: all text or all whole numbers, each once.

    Raises
    ------
    InvalidArgument
        They do not; the message names them.
    """
    if frame.columns.nlevels > 1:
        raise InvalidArgument(
            "the table has columns of several levels, which a data version cannot hold.",
            hint="Flatten them: df.columns = ['_'.join(map(str, c)) for c in df.columns].",
        )
    odd = [c for c in frame.columns if isinstance(c, bool) or not isinstance(c, (str, int, np.integer))]
    if odd or len({isinstance(c, str) for c in frame.columns}) > 1:
        shown = ", ".join(repr(c) for c in (odd or list(frame.columns))[:5])
        raise InvalidArgument(
            f"column names must be all text or all whole numbers; these are not: {shown}.",
            hint="Rename them: df.columns = df.columns.astype(str).",
        )
    if not frame.columns.is_unique:
        twice = ", ".join(repr(c) for c in frame.columns[frame.columns.duplicated()].unique()[:5])
        raise InvalidArgument(f"column names must differ; more than one is called {twice}.", hint="Rename them.")
    for name in [frame.columns.name, *frame.index.names]:
        if name is not None and not isinstance(name, (str, int, np.integer)):
            raise InvalidArgument(f"an index cannot be called {name!r}.", hint="Name it by a text, with rename_axis.")


def has_meaningful_index(index: pd.Index[Any]) -> bool:
    """Whether an index says more than the rows' positions.

    Examples
    --------
    >>> frame = pd.DataFrame({"x": [1, 2, 3]})
    >>> has_meaningful_index(frame.index), has_meaningful_index(frame[1:].index)
    (False, True)
    """
    if index.nlevels > 1 or index.name is not None:
        return True
    if isinstance(index, pd.RangeIndex):
        return (len(index) > 0 and index.start != 0) or (len(index) > 1 and index.step != 1)
    if not pd.api.types.is_integer_dtype(index.dtype):
        return len(index) > 0 or index.dtype != object
    return not np.array_equal(index.to_numpy(), np.arange(len(index)))


def type_of(values: pd.Series[Any] | pd.Index[Any], name: Any) -> str:
    """A column's logical type."""
    return identify_column(values[:0] if values.dtype != object else values, name).type


def _identify_columns(frame: pd.DataFrame, mark: int) -> tuple[tuple[ColumnIdentity, str], ...]:
    """All columns' identities; of columns that need no memory beside them several at a time."""
    names = list(frame.columns)
    found: dict[int, tuple[ColumnIdentity, str]] = {}
    if len(frame) * len(names) > PARALLEL:
        light = [i for i, dtype in enumerate(frame.dtypes) if _is_light(dtype)]
        with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
            made = pool.map(lambda i: _identified(frame.iloc[:, i], names[i], mark), light)
            found = dict(zip(light, made, strict=True))
    return tuple(found.get(i) or _identified(frame.iloc[:, i], name, mark) for i, name in enumerate(names))


def _is_light(dtype: Any) -> bool:
    """Whether a column of this type is hashed where it lies."""
    if isinstance(dtype, pd.StringDtype):
        return dtype.storage == "pyarrow"
    return isinstance(dtype, np.dtype) and dtype.kind in "biufmM"


def _plain_name(name: Any) -> Any:
    return int(name) if isinstance(name, np.integer) else name


def identify_column(values: pd.Series[Any] | pd.Index[Any], name: Any) -> ColumnIdentity:
    """The identity of one column or index level."""
    return _identified(values, name, 0)[0]


def _identified(values: pd.Series[Any] | pd.Index[Any], name: Any, mark: int) -> tuple[ColumnIdentity, str]:
    dtype = values.dtype
    stream = _Stream()
    if isinstance(dtype, np.dtype) and dtype.kind in "biufmM":
        stream.mark = mark
        kind = _hash_plain(_plain_values(values), stream)
    elif isinstance(dtype, pd.StringDtype) and dtype.storage == "pyarrow":
        held: Any = values.array
        array = held.__arrow_array__()
        _hash_texts(array.chunks if isinstance(array, pa.ChunkedArray) else [array], stream)
        kind = "string"
    elif isinstance(dtype, pd.CategoricalDtype):
        kind = _hash_codes(values.array.codes, to_arrow(values[:0], name), stream)
    else:
        kind = _hash_arrow(to_arrow(values, name), stream)
        if isinstance(dtype, pd.PeriodDtype | pd.IntervalDtype):
            kind = str(dtype)
    return ColumnIdentity(name, kind, stream.digest(), stream.missing), stream.begin


def _plain_values(values: pd.Series[Any] | pd.Index[Any]) -> np.ndarray[Any, Any]:
    plain = values.to_numpy()
    return plain if plain.dtype.isnative else plain.astype(plain.dtype.newbyteorder("="))


class _Stream:
    """The digest of one column: its values, with a fixed value in the empty places, and which places are empty."""

    def __init__(self) -> None:
        self._values = blake3()
        self._masks: list[np.ndarray[Any, Any]] = []
        self._parts: list[str] = []
        self._rows = 0
        self.missing = 0
        self.mark = 0
        """After how many rows to keep the digest of what has come; `blocks` ends one there."""
        self.begin = ""

    def add(self, values: np.ndarray[Any, Any], missing: np.ndarray[Any, Any] | None = None) -> None:
        """Take in values, and where they are missing if any are."""
        self.add_bytes(np.ascontiguousarray(values).view(np.uint8))
        if missing is not None and missing.any():
            self.missing += int(np.count_nonzero(missing))
            self._masks += [np.zeros(self._rows - sum(map(len, self._masks)), dtype=bool), missing]
        self._rows += len(values) if missing is None else len(missing)
        if self._rows == self.mark:
            self.begin = self.digest()

    def blocks(self, values: np.ndarray[Any, Any]) -> Iterator[np.ndarray[Any, Any]]:
        """A column's values in pieces that stay in the processor's cache."""
        start = 0
        while start < len(values):
            stop = min(start + BLOCK, len(values))
            if start < self.mark < stop:
                stop = self.mark
            yield values[start:stop]
            start = stop

    def add_bytes(self, values: Any) -> None:
        """Take in bytes that are no values by themselves."""
        self._values.update(values)

    def add_part(self, part: str) -> None:
        """Take in the digest of something within: a list's items, categories."""
        self._parts.append(part)

    def digest(self) -> str:
        """The digest, once everything is taken in."""
        whole = blake3(self._values.digest())
        if self.missing:
            mask = np.concatenate(self._masks)
            whole.update(np.packbits(mask[: np.flatnonzero(mask)[-1] + 1]).tobytes())
        whole.update(json.dumps([self._rows, self.missing, self._parts]).encode())
        return str(whole.hexdigest()[:HEX_DIGITS])


def _hash_plain(values: np.ndarray[Any, Any], stream: _Stream) -> str:
    kind = values.dtype.kind
    if kind == "f":
        _hash_floats(values, stream)
    elif kind in "mM":
        unit = np.datetime_data(values.dtype)[0]
        _hash_moments(values.view(np.int64), unit, stream)
        return "timestamp" if kind == "M" else "duration"
    else:
        for block in stream.blocks(values):
            stream.add(block)
    return str(values.dtype.name)


def _hash_floats(values: np.ndarray[Any, Any], stream: _Stream) -> None:
    room = np.empty(min(BLOCK, len(values)), values.dtype)
    for block in stream.blocks(values):
        canonical = np.add(block, values.dtype.type(0), out=room[: len(block)])  # -0.0 + 0.0 is 0.0
        if not np.isnan(canonical.min()):  # one NaN makes the least one NaN
            stream.add(canonical)
            continue
        missing = np.isnan(canonical)
        canonical[missing] = 0
        stream.add(canonical, missing)


def _hash_moments(values: np.ndarray[Any, Any], unit: str, stream: _Stream) -> None:
    """Whole numbers of the finest unit in which all of them fit into 64 bits; the lowest number is a missing one."""
    empty = np.iinfo(np.int64).min
    reach, holed = 0, False
    for block in stream.blocks(values):
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
    for block in stream.blocks(values):
        missing = block == empty if holed else None
        scaled = block if missing is None else np.where(missing, 0, block)
        if factor > divisor:
            scaled = np.multiply(scaled, factor // divisor, out=room[: len(block)])
        elif factor < divisor:
            scaled = scaled // (divisor // factor)
        stream.add(scaled, missing)


def _hash_arrow(array: pa.Array, stream: _Stream) -> str:
    kind = array.type
    if isinstance(kind, pa.BaseExtensionType):
        return _hash_arrow(array.storage, stream)
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
        _hash_arrow(array.cast(pa.string()), stream)
        return f"decimal({kind.scale})"
    return _hash_nested(array, stream)


def _hash_codes(codes: np.ndarray[Any, Any], empty: pa.DictionaryArray, stream: _Stream) -> str:
    """A categorical column by its codes, -1 where a cell is missing, and a column without rows of the same categories."""
    kind = _hash_arrow(empty, stream)
    for block in stream.blocks(codes):
        missing = block < 0 if int(block.min()) < 0 else None
        wide = block.astype(np.int64)
        if missing is not None:
            wide[missing] = 0
        stream.add(wide, missing)
    return kind


def _hash_nested(array: pa.Array, stream: _Stream) -> str:
    kind = array.type
    if pa.types.is_null(kind):
        stream.add(np.empty(0), np.ones(len(array), dtype=bool))
        return "null"
    if pa.types.is_dictionary(kind):
        inner = _Stream()
        label = _hash_arrow(array.dictionary, inner)
        stream.add_part(inner.digest())
        codes = array.indices.fill_null(0).to_numpy(zero_copy_only=False).astype(np.int64)
        stream.add(codes, _nulls(array.indices))
        return f"{'ordered' if kind.ordered else 'category'}[{label}]"
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        inner = _Stream()
        label = _hash_arrow(array.flatten(), inner)
        stream.add_part(inner.digest())
        missing = _nulls(array)
        lengths = pc.list_value_length(array).fill_null(0).to_numpy(zero_copy_only=False).astype(np.int64)
        stream.add(lengths if missing is None else np.where(missing, 0, lengths), missing)
        return f"list[{label}]"
    if pa.types.is_struct(kind):
        labels = []
        for i in range(kind.num_fields):
            inner = _Stream()
            labels.append(f"{kind.field(i).name}: {_hash_arrow(array.flatten()[i], inner)}")
            stream.add_part(inner.digest())
        stream.add(np.empty(0), _nulls(array) if array.null_count else np.zeros(len(array), dtype=bool))
        return f"struct[{', '.join(labels)}]"
    text = kind not in BYTES
    try:
        _hash_texts([array if not text else array.cast(pa.large_string())], stream)
    except pa.ArrowException as error:
        raise InvalidArgument(f"a data version cannot hold a column of type {kind}.", hint="Convert it.") from error
    return "string" if text else "binary"


def _hash_texts(pieces: list[pa.Array], stream: _Stream) -> None:
    """All lengths, then all bytes: how the column is cut into pieces does not count."""
    bodies = []
    for piece in pieces:
        missing = _nulls(piece)
        array, places = piece, _text_places(piece)
        if missing is not None and np.diff(places)[missing].any():
            # Arrow may keep bytes in an empty place: they are no content.
            array = piece.fill_null(b"" if piece.type in BYTES else "")
            places = _text_places(array)
        for start in range(0, len(array), BLOCK):
            lengths = np.diff(places[start : start + BLOCK + 1]).astype(np.int64, copy=False)
            stream.add(lengths, None if missing is None else missing[start : start + BLOCK])
        data = array.buffers()[2]
        if data is not None and len(places):
            bodies.append(memoryview(data)[int(places[0]) : int(places[-1])])
    for body in bodies:
        stream.add_bytes(body)


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
