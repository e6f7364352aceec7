"""Spilling: a table that comes in pieces and may be larger than memory, as a DataFrame whose columns lie in mapped files.

Each column's values are appended to a file of its own as the pieces come, and the files are mapped, not read: the
operating system may drop their pages whenever it needs the room. What is held in memory is one piece. The DataFrame is
the one that reading everything at once would give, so its identity, its chunks and its versions are the same.
"""

from __future__ import annotations

import errno
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from ..domain.context import Context
from ..errors import InvalidArgument, StoreUnavailable
from .arrow_tables import NULLABLE, from_arrow
from .saving import staging

__all__ = ["LARGE", "batches_of", "is_stream", "spill", "streamed"]

LARGE = 512 * 1024**2  # bytes of a Parquet file's values, decompressed, from which it is not read at once
PIECE_ROWS = 65_536
SUFFIXES = (".parquet", ".pq")
COUNTED = 1_000_000  # rows between two lines of progress


def batches_of(source: Any) -> tuple[pa.Schema, Iterable[pa.RecordBatch]] | None:
    """A source's schema and its pieces, where it comes in pieces: an Arrow reader or dataset, Parquet; None for others.

    Parameters
    ----------
    source
        A `RecordBatchReader`, a `pyarrow.dataset` Dataset or Scanner, a Parquet file, or a folder of them.
    """
    import pyarrow.dataset as ds

    if isinstance(source, pa.RecordBatchReader):
        return source.schema, source
    if isinstance(source, ds.Scanner):
        return source.projected_schema, source.to_batches()
    if isinstance(source, (str, Path)):
        path = Path(source).expanduser()
        inside = () if path.is_file() else sorted(path.rglob("*"))
        kept = [f for f in inside if f.suffix in SUFFIXES and not f.name.startswith(("_", "."))]
        files = [path] if path.is_file() else kept
        if not files:
            raise InvalidArgument(
                f"there is no Parquet file in {source}.", hint="Leave out --as-table to keep its files."
            )
        hive = path.is_dir() and any("=" in part for f in files for part in f.relative_to(path).parts[:-1])
        try:
            source = ds.dataset([str(f) for f in files], format="parquet", partitioning="hive" if hive else None)
        except (pa.ArrowException, OSError) as error:
            first = str(error).strip().split("\n", 1)[0].rstrip(".")
            raise InvalidArgument(f"{path} cannot be read as one table: {first}.") from error
    if isinstance(source, ds.Dataset):
        # Few pieces ahead: what is read before it is wanted is held in memory.
        return source.schema, source.to_batches(batch_size=PIECE_ROWS, batch_readahead=2, fragment_readahead=1)
    return None


def is_stream(source: Any) -> bool:
    """Whether a source is better taken in pieces, by its kind or its size."""
    if type(source).__module__.startswith(("pyarrow.lib", "pyarrow._dataset", "pyarrow.dataset", "pyarrow.ipc")):
        return hasattr(source, "read_next_batch") or (
            hasattr(source, "to_batches") and not isinstance(source, pa.Table)
        )
    if isinstance(source, (str, Path)) and str(source).endswith(SUFFIXES):
        path = Path(source).expanduser()
        if path.is_file():
            import pyarrow.parquet as pq

            try:
                told = pq.read_metadata(path)
            except (pa.ArrowException, OSError):
                return False  # whoever reads it says what is wrong
            return bool(sum(told.row_group(i).total_byte_size for i in range(told.num_row_groups)) > LARGE)
    return False


@contextmanager
def streamed(context: Context, source: Any) -> Iterator[pd.DataFrame]:
    """A source that comes in pieces as a DataFrame, for as long as the block lasts; its files are gone afterwards.

    Raises
    ------
    InvalidArgument
        There is nothing to read, or the pieces do not fit together.
    StoreUnavailable
        The disk has no room for the values.
    """
    found = batches_of(source)
    if found is None:
        raise InvalidArgument(f"a {type(source).__name__} does not come in pieces.")
    with staging(context) as folder:
        try:
            yield spill(*found, folder, context.progress)
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            raise StoreUnavailable(
                f"there is no room in {folder.parent} for the table's values.",
                hint="A table larger than memory lies there, decompressed, while it is saved.",
            ) from error


def spill(
    schema: pa.Schema, batches: Iterable[pa.RecordBatch], folder: Path, progress: Any = lambda _line: None
) -> pd.DataFrame:
    """The pieces of a table as one DataFrame of mapped files in `folder`.

    Examples
    --------
    >>> import tempfile
    >>> reader = pa.table({"n": [1, 2, None], "s": ["a", None, "b"]}).to_reader()
    >>> frame = spill(reader.schema, reader, Path(tempfile.mkdtemp()))
    >>> frame.dtypes.astype(str).tolist(), frame["n"].isna().tolist()
    (['Int64', 'str'], [False, False, True])
    """
    doubled = sorted({name for name in schema.names if schema.names.count(name) > 1})
    if doubled:
        raise InvalidArgument(f"column names must differ; more than one is called {', '.join(doubled)}.")
    columns = [_column(field, folder / f"column-{place:05d}") for place, field in enumerate(schema)]
    rows = told = 0
    try:
        for batch in batches:
            for place, column in enumerate(columns):
                column.add(batch.column(place))
            rows += batch.num_rows
            if rows - told >= COUNTED:
                told = rows
                progress(f"reading: {rows:,} rows")
    except pa.ArrowException as error:
        first = str(error).strip().split("\n", 1)[0].rstrip(".")
        raise InvalidArgument(f"the table cannot be read to its end: {first}.") from error
    finally:
        for column in columns:
            column.close()
    if not rows:
        return from_arrow(schema.empty_table())
    held = {place: column.series(rows) for place, column in enumerate(columns)}
    frame = pd.DataFrame(held, index=pd.RangeIndex(rows), copy=False)
    frame.columns = pd.Index(schema.names)
    return _indexed(frame, schema)


def _indexed(frame: pd.DataFrame, schema: pa.Schema) -> pd.DataFrame:
    """With the index that pandas has described in the schema's metadata."""
    import json

    told = json.loads((schema.metadata or {}).get(b"pandas", b"{}"))
    names = [name for name in told.get("index_columns", ()) if isinstance(name, str) and name in frame.columns]
    ranges = [each for each in told.get("index_columns", ()) if isinstance(each, dict) and each.get("kind") == "range"]
    if names:
        frame = frame.set_index(names)
        frame.index.names = [None if name.startswith("__index_level_") else name for name in names]
    elif ranges and len(range(ranges[0]["start"], ranges[0]["stop"], ranges[0]["step"])) == len(frame):
        frame.index = pd.RangeIndex(ranges[0]["start"], ranges[0]["stop"], ranges[0]["step"], name=ranges[0]["name"])
    numbered = told.get("column_indexes") or [{}]
    if numbered[0].get("pandas_type") == "int64":  # whole numbers as names, which Arrow writes as text
        frame.columns = frame.columns.astype("int64")
    return frame


class _Column:
    """One column on its way into files.

    Parameters
    ----------
    field
        Its name and Arrow type.
    path
        What its files' names begin with.
    """

    def __init__(self, field: pa.Field, path: Path) -> None:
        self.kind = field.type
        self._path = path
        self._files: dict[str, BinaryIO] = {}
        self._sizes: dict[str, int] = {}
        self.rows = 0
        self.missing = 0

    def add(self, array: pa.Array) -> None:
        """Take in a piece."""
        raise NotImplementedError

    def series(self, rows: int) -> Any:
        """All of it as pandas holds it."""
        raise NotImplementedError

    def close(self) -> None:
        """Nothing more comes."""
        for file in self._files.values():
            file.close()

    def write(self, part: str, data: Any) -> None:
        """Append to one of the column's files."""
        if part not in self._files:
            self._files[part] = self._path.with_suffix(f".{part}").open("wb")
        view = memoryview(data).cast("B") if not isinstance(data, bytes) else memoryview(data)
        self._files[part].write(view)
        self._sizes[part] = self._sizes.get(part, 0) + len(view)

    def mapped(self, part: str) -> pa.Buffer:
        """One of the column's files, mapped."""
        if not self._sizes.get(part):
            return pa.py_buffer(b"")
        with pa.memory_map(str(self._path.with_suffix(f".{part}"))) as file:
            return file.read_buffer()

    def note_missing(self, array: pa.Array) -> None:
        """Write down which values are missing, from the first that is."""
        if array.null_count and not self.missing:
            for start in range(0, self.rows, PIECE_ROWS):
                self.write("missing", np.zeros(min(PIECE_ROWS, self.rows - start), dtype=bool))
        if array.null_count or self.missing:
            self.write("missing", np.ascontiguousarray(array.is_null().to_numpy(zero_copy_only=False)))
        self.missing += array.null_count
        self.rows += len(array)


class _Plain(_Column):
    """Numbers, truth values, and times without a zone."""

    def __init__(self, field: pa.Field, path: Path) -> None:
        super().__init__(field, path)
        self.dtype = np.dtype(field.type.to_pandas_dtype()) if not pa.types.is_boolean(field.type) else np.dtype(bool)

    def add(self, array: pa.Array) -> None:
        if self.dtype.kind in "mM":
            values = array.view(pa.int64())
            values = values.fill_null(np.iinfo(np.int64).min) if array.null_count else values
        elif array.null_count:
            gap: Any = float("nan") if self.dtype.kind == "f" else self.dtype.type(0).item()
            values = array.fill_null(pa.scalar(gap, type=array.type))
        else:
            values = array
        if self.dtype.kind not in "fmM":
            self.note_missing(array)
        self.write("values", np.ascontiguousarray(values.to_numpy(zero_copy_only=False)))

    def series(self, rows: int) -> Any:
        values = np.frombuffer(self.mapped("values"), dtype=self.dtype)
        if not self.missing:
            return pd.Series(values, copy=False)
        mask = np.frombuffer(self.mapped("missing"), dtype=bool)
        kind = NULLABLE[self.kind]
        array = pd.arrays.BooleanArray if self.dtype.kind == "b" else pd.arrays.IntegerArray
        return pd.Series(array(values, mask), dtype=kind, copy=False)


class _Text(_Column):
    """Texts: their bytes one after the other, and where each ends."""

    def __init__(self, field: pa.Field, path: Path) -> None:
        super().__init__(field, path)
        self._end = 0
        self.write("ends", np.zeros(1, dtype=np.int64))

    def add(self, array: pa.Array) -> None:
        array = array.cast(pa.large_string())
        self.note_missing(array)
        array = array.fill_null("")
        if not len(array):
            return
        places = np.frombuffer(array.buffers()[1], dtype=np.int64)[array.offset : array.offset + len(array) + 1]
        data = array.buffers()[2]
        if data is not None and places[-1] > places[0]:
            self.write("values", memoryview(data)[int(places[0]) : int(places[-1])])
        self.write("ends", places[1:] - places[0] + self._end)
        self._end += int(places[-1] - places[0])

    def series(self, rows: int) -> Any:
        there = None
        if self.missing:
            missing = np.frombuffer(self.mapped("missing"), dtype=bool)
            there = pa.py_buffer(np.packbits(~missing, bitorder="little"))
        array = pa.LargeStringArray.from_buffers(rows, self.mapped("ends"), self.mapped("values"), there, self.missing)
        kind: Any = pd.StringDtype(na_value=np.nan)
        return pd.Series(kind.__from_arrow__(pa.chunked_array([array])), copy=False)


class _Categories(_Column):
    """A column of categories: each piece may bring new ones, which come after those that are known."""

    def __init__(self, field: pa.Field, path: Path) -> None:
        super().__init__(field, path)
        self._known: pa.Array = pa.array([], type=field.type.value_type)

    def add(self, array: pa.DictionaryArray) -> None:
        new = array.dictionary.filter(pc.invert(pc.is_in(array.dictionary, value_set=self._known)))
        if len(new):
            self._known = pa.concat_arrays([self._known, pc.unique(new)])
        moved = pc.index_in(array.dictionary, value_set=self._known).to_numpy(zero_copy_only=False).astype(np.int32)
        codes = array.indices.fill_null(-1 if pa.types.is_signed_integer(array.indices.type) else 0)
        plain = codes.to_numpy(zero_copy_only=False).astype(np.int64)
        gone = array.is_null().to_numpy(zero_copy_only=False)
        found = moved[np.where(gone, 0, plain)] if len(moved) else np.full(len(plain), -1, dtype=np.int32)
        self.write("values", np.where(gone, np.int32(-1), found).astype(np.int32))

    def series(self, rows: int) -> Any:
        codes = np.frombuffer(self.mapped("values"), dtype=np.int32)
        known = pd.Index(self._known.to_pandas()) if len(self._known) else pd.Index([], dtype=object)
        kind = pd.CategoricalDtype(known, ordered=self.kind.ordered)
        return pd.Series(pd.Categorical.from_codes(codes, dtype=kind), copy=False)


class _Other(_Column):
    """Everything else, as Arrow writes it: times with a zone, dates, decimals, lists, records."""

    def __init__(self, field: pa.Field, path: Path) -> None:
        super().__init__(field, path)
        self._schema = pa.schema([pa.field("values", field.type)])
        self._sink = pa.OSFile(str(path.with_suffix(".arrow")), "wb")
        self._writer = pa.ipc.new_file(self._sink, self._schema)

    def add(self, array: pa.Array) -> None:
        self._writer.write_batch(pa.record_batch([array], schema=self._schema))

    def close(self) -> None:
        self._writer.close()
        self._sink.close()

    def series(self, rows: int) -> Any:
        with pa.memory_map(str(self._path.with_suffix(".arrow"))) as file:
            held = pa.ipc.open_file(file).read_all().column(0)
        if held.null_count == rows and not pa.types.is_nested(held.type) and not pa.types.is_timestamp(held.type):
            return pd.Series(np.full(rows, None, dtype=object), copy=False)  # pandas holds objects, and here none
        return pd.Series(pd.arrays.ArrowExtensionArray(held), copy=False)


def _column(field: pa.Field, path: Path) -> _Column:
    kind = field.type
    if pa.types.is_dictionary(kind):
        return _Categories(field, path)
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or str(kind) == "string_view":
        return _Text(field, path)
    plain = pa.types.is_integer(kind) or pa.types.is_boolean(kind) or pa.types.is_floating(kind)
    times = pa.types.is_duration(kind) or (pa.types.is_timestamp(kind) and kind.tz is None)
    return _Plain(field, path) if plain or times else _Other(field, path)
