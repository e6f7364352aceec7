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
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from blake3 import blake3

from ..errors import InvalidArgument
from .abreast import abreast
from .column_hash import HEX_DIGITS, Stream, hash_arrow, hash_codes, hash_plain, hash_texts
from .columns import to_arrow

__all__ = [
    "ColumnIdentity",
    "Identity",
    "check_shape",
    "digest",
    "glance",
    "has_meaningful_index",
    "identify",
    "identify_begun",
    "identify_column",
    "identify_index",
    "identity_of",
    "is_light",
    "type_of",
]

SCHEME = "b3"  # canonical form 1, BLAKE3 cut to 128 bits: 35 characters, where MLflow holds 36
GLANCED_CELLS = 200_000
GLANCED_ROWS = 1000


@dataclass(frozen=True)
class ColumnIdentity:
    """One column's or index level's logical type, digest and number of missing values.

    Parameters
    ----------
    steps
        Digests of the column's first `column_hash.STEP` rows, of twice as many and so on. Where two columns' begin to
        differ, so do the columns.
    """

    name: Any
    type: str
    digest: str
    missing: int
    steps: tuple[str, ...] = field(default=(), compare=False, repr=False)


@dataclass(frozen=True)
class Identity:
    """A table's digest, and those of its parts, by which differences can be named."""

    digest: str
    rows: int
    columns: tuple[ColumnIdentity, ...]
    index: tuple[ColumnIdentity, ...] = ()

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


def identify(frame: pd.DataFrame) -> Identity:
    """The identity of a table.

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
    columns = list(frame.items())
    light = [i for i, (_, column) in enumerate(columns) if is_light(column.dtype)]
    sizes = [column.memory_usage(index=False) for _, column in columns]
    made = abreast(lambda i: identify_column(columns[i][1], columns[i][0]), light, weight=sizes.__getitem__)
    found = dict(zip(light, made, strict=True))
    every = [found.get(i) or identify_column(column, name) for i, (name, column) in enumerate(columns)]
    return identity_of(frame, every, identify_index(frame))


def identify_index(frame: pd.DataFrame) -> tuple[ColumnIdentity, ...]:
    """The identities of an index's levels; none of one that carries no meaning."""
    if not has_meaningful_index(frame.index):
        return ()
    return tuple(
        identify_column(frame.index.get_level_values(i), frame.index.names[i]) for i in range(frame.index.nlevels)
    )


def identity_of(frame: pd.DataFrame, columns: Sequence[ColumnIdentity], index: Sequence[ColumnIdentity]) -> Identity:
    """The identity of a table whose columns and index levels have these."""
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
    return Identity(digest, len(frame), tuple(columns), tuple(index))


def digest(table: pd.DataFrame) -> str:
    """A table's digest alone, see `identify`."""
    return identify(table).digest


def glance(table: Any) -> str | None:
    """A mark of a table's content that a change in place nearly always changes: the digest of a table of up to 200,000
    cells, and of some 1,000 evenly spread rows of a larger one. None for what has none.

    Examples
    --------
    >>> table = pd.DataFrame({"a": [1, 2]})
    >>> before = glance(table)
    >>> table.loc[1, "a"] = 3
    >>> glance(table) == before
    False
    """
    if not isinstance(table, pd.DataFrame):
        return None
    some = table if table.size <= GLANCED_CELLS else table.iloc[:: max(1, len(table) // GLANCED_ROWS)]
    try:
        return f"{len(table)} {digest(some)}"
    except Exception:  # what it was changed to may have no digest
        return None


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


def is_light(dtype: Any) -> bool:
    """Whether a column of this type is hashed where it lies, without memory beside it."""
    if isinstance(dtype, pd.StringDtype):
        return dtype.storage == "pyarrow"
    return isinstance(dtype, np.dtype) and dtype.kind in "biufmM"


def _plain_name(name: Any) -> Any:
    return int(name) if isinstance(name, np.integer) else name


def identify_column(values: pd.Series[Any] | pd.Index[Any], name: Any) -> ColumnIdentity:
    """The identity of one column or index level."""
    return identify_begun(values, name, 0)[0]


def identify_begun(values: pd.Series[Any] | pd.Index[Any], name: Any, mark: int) -> tuple[ColumnIdentity, str]:
    """The identity of a column, and what its digest would be if it ended after `mark` rows; empty if it ends before."""
    dtype = values.dtype
    stream = Stream(mark, stepped=True)
    if isinstance(dtype, np.dtype) and dtype.kind in "biufmM":
        kind = hash_plain(_plain_values(values), stream)
    elif isinstance(dtype, pd.StringDtype) and dtype.storage == "pyarrow":
        held: Any = values.array
        array = held.__arrow_array__()
        hash_texts(array.chunks if isinstance(array, pa.ChunkedArray) else [array], stream)
        kind = "string"
    elif isinstance(dtype, pd.CategoricalDtype):
        kind = hash_codes(values.array.codes, to_arrow(values[:0], name), stream)
    else:
        kind = hash_arrow(to_arrow(values, name), stream)
        if isinstance(dtype, pd.PeriodDtype | pd.IntervalDtype):
            kind = str(dtype)
    return ColumnIdentity(name, kind, stream.digest(), stream.missing, tuple(stream.steps)), stream.begin


def _plain_values(values: pd.Series[Any] | pd.Index[Any]) -> np.ndarray[Any, Any]:
    plain = values.to_numpy()
    return plain if plain.dtype.isnative else plain.astype(plain.dtype.newbyteorder("="))
