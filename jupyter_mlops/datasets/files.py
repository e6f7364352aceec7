"""Files: how a data version lies in its folder, and the way back to the very same table.

``data.parquet`` holds the table, readable by anything that reads Parquet; pandas reads it as it was as far as Parquet
and pandas' own metadata go. What goes beyond (objects, sparse columns, categories that are no texts) stands under the
key ``mlops`` of the file's metadata, and `read_table` restores it. ``schema.json`` says in plain JSON what the columns
are and what their digests are, and ``profile/`` holds the reference profile.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from ..errors import IntegrityFailure, InvalidArgument, NotFound
from .arrow_tables import from_arrow
from .columns import Record, record, restore, to_arrow, to_file
from .identity import ColumnIdentity, Identity, check_shape, has_meaningful_index, identify

__all__ = ["FILE", "assemble", "check_target", "describe", "layers", "read_table", "read_verified", "write_table"]

FILE = "data.parquet"
SCHEMA = "schema.json"
FORMAT = 1
ROW_GROUP = 100_000  # rows: a worker with little memory can read one at a time
KEY = b"mlops"


def read_verified(folder: Path, digest: str, ref: str) -> pd.DataFrame:
    """Read a data version and check that it is what its digest says.

    Raises
    ------
    IntegrityFailure
        The file is gone, cannot be read, or holds another table than was saved.
    """
    hint = "Restore the file from a backup, or save the table again as a new version."
    try:
        frame = read_table(folder / FILE)
    except FileNotFoundError as error:
        raise IntegrityFailure(f"the file of {ref} is gone: {folder / FILE}.", hint=hint) from error
    except (OSError, pa.ArrowException, ValueError, KeyError, TypeError) as error:
        raise IntegrityFailure(f"the file of {ref} cannot be read: {folder / FILE}: {error}.", hint=hint) from error
    try:
        found = identify(frame)
    except InvalidArgument as error:
        raise IntegrityFailure(f"the file of {ref} was changed: {error.message}", hint=hint) from error
    if found.digest != digest:
        saved = _read_identity(folder / SCHEMA)
        what = "; ".join(saved.differences(found)[:5]) if saved and saved.digest == digest else "its content differs"
        raise IntegrityFailure(f"the file of {ref} was changed since it was saved: {what}.", hint=hint)
    return frame


def check_target(given: str | Path) -> Path:
    """Where a file may be written.

    Raises
    ------
    NotFound
        There is no such folder.
    InvalidArgument
        It is a folder itself, or one that may not be written to.
    """
    target = Path(given).expanduser()
    if target.is_dir():
        raise InvalidArgument(f"{target} is a folder.", hint="Name a file in it.")
    if not target.absolute().parent.is_dir():
        raise NotFound(f"no folder {str(target.parent)!r} to write {target.name!r} into.", hint="Make it first.")
    if not os.access(target.absolute().parent, os.W_OK):
        raise InvalidArgument(f"the folder {target.parent} cannot be written to.", hint="Choose another.")
    return target


def write_table(frame: pd.DataFrame, path: Path) -> None:
    """Write a table as one Parquet file that `read_table` reads back equal."""
    check_shape(frame)
    if not len(frame.columns):
        raise InvalidArgument("the table has no columns.", hint="Save a table with at least one.")
    arrays: list[pa.Array] = []
    names: list[str] = []
    known: dict[str, Any] = {
        "format": FORMAT,
        "labels": "text" if isinstance(frame.columns[0], str) else "number",
        "labelled": _plain(frame.columns.name),
        "columns": [],
        "index": None,
    }
    described: list[dict[str, Any]] = []
    for i, name in enumerate(frame.columns):
        array, note, shown = _one(frame.iloc[:, i], name, str(name))
        arrays.append(array)
        names.append(str(name))
        known["columns"].append(note)
        described.append(shown)
    index: list[Any] = []
    if isinstance(frame.index, pd.RangeIndex):
        span = (frame.index.start, frame.index.stop, frame.index.step)
        known["index"] = {"range": span, "name": _plain(frame.index.name)}
        keys = dict(zip(("start", "stop", "step"), span, strict=True))
        index = [{"kind": "range", "name": _text(frame.index.name), **keys}]
    elif has_meaningful_index(frame.index):
        known["index"] = {"levels": [], "multiple": frame.index.nlevels > 1, "names": []}
        for i, name in enumerate(list[Any](frame.index.names)):
            free = isinstance(name, str) and name not in names
            field = name if free else f"__index_level_{i}__"
            array, note, shown = _one(frame.index.get_level_values(i), name, field)
            if frame.index.nlevels == 1:
                note |= record(frame.index, array)
            arrays.append(array)
            names.append(field)
            index.append(field)
            known["index"]["levels"].append(note)
            known["index"]["names"].append(_plain(name))
            described.append(shown)
    pandas_metadata = {
        "index_columns": index or [{"kind": "range", "name": None, "start": 0, "stop": len(frame), "step": 1}],
        "column_indexes": [_column_index(frame.columns)],
        "columns": described,
        "creator": {"library": "pyarrow", "version": pa.__version__},
        "pandas_version": pd.__version__,
    }
    table = pa.table(arrays, names=names)
    table = table.replace_schema_metadata({b"pandas": json.dumps(pandas_metadata), KEY: json.dumps(known)})
    pq.write_table(table, path, compression="zstd", row_group_size=ROW_GROUP)


def read_table(path: Path) -> pd.DataFrame:
    """Read a Parquet file of `write_table` back equal; any other Parquet file as `from_arrow` does."""
    # A plain file handle: pyarrow's own path handling would read "key=value" folders as columns.
    with path.open("rb") as file:
        table = pq.ParquetFile(file).read()
    metadata = table.schema.metadata or {}
    if KEY not in metadata:
        return from_arrow(table)
    known = json.loads(metadata[KEY])
    count = len(known["columns"])
    if known["format"] != FORMAT or table.num_columns < count:
        raise ValueError(f"its format is {known['format']}, with {table.num_columns} of {count} columns")
    values = [(restore(table.column(i), note), note) for i, note in enumerate(known["columns"])]
    notes = (known["index"] or {}).get("levels", ())
    levels = [(restore(table.column(count + i), note), note) for i, note in enumerate(notes)]
    return assemble(known, table.column_names[:count], values, levels, table.num_rows)


def layers(frame: pd.DataFrame) -> list[tuple[Any, pd.Series[Any] | pd.Index[Any]]]:
    """What of a table has to be stored as values: its columns, then the levels of an index that is more than counted."""
    check_shape(frame)
    found: list[tuple[Any, Any]] = list(frame.items())
    if not isinstance(frame.index, pd.RangeIndex) and has_meaningful_index(frame.index):
        found += [(name, frame.index.get_level_values(i)) for i, name in enumerate(list[Any](frame.index.names))]
    return found


def describe(frame: pd.DataFrame) -> dict[str, Any]:
    """What pandas knows of a table besides its `layers`, as JSON-ready data; `assemble` reads it."""
    index: dict[str, Any] | None = None
    if isinstance(frame.index, pd.RangeIndex):
        span = (frame.index.start, frame.index.stop, frame.index.step)
        index = {"range": span, "name": _plain(frame.index.name)}
    elif has_meaningful_index(frame.index):
        index = {"multiple": frame.index.nlevels > 1, "names": [_plain(name) for name in frame.index.names]}
        freq = getattr(frame.index, "freqstr", None)
        if freq is not None and isinstance(frame.index, pd.DatetimeIndex | pd.TimedeltaIndex):
            index["freq"] = freq
    labels = "text" if isinstance(frame.columns[0], str) else "number"
    return {"labels": labels, "labelled": _plain(frame.columns.name), "index": index}


def assemble(
    shape: dict[str, Any],
    names: Sequence[Any],
    values: Sequence[tuple[Any, Record]],
    levels: Sequence[tuple[Any, Record]],
    rows: int,
) -> pd.DataFrame:
    """Put a table together from restored columns and index levels, each with its record.

    Parameters
    ----------
    shape
        As `describe` gave it.
    """
    arrays = {i: pd.Series(held, dtype=_as_is(note), copy=False) for i, (held, note) in enumerate(values)}
    frame = pd.DataFrame(arrays, copy=False) if arrays else pd.DataFrame(index=range(rows))
    frame.index = _index(shape["index"], levels, rows)
    labels: list[Any] = [str(n) if shape["labels"] == "text" else int(n) for n in names]
    frame.columns = pd.Index(labels, name=shape["labelled"])
    return frame


def _one(values: pd.Series[Any] | pd.Index[Any], name: Any, field: str) -> tuple[pa.Array, Record, dict[str, Any]]:
    """A column as it goes into the file, what is known of it besides, and how pandas' metadata describes it."""
    whole = to_arrow(values, name)
    note = record(values, whole)
    array = to_file(values, whole)
    dtype = values.dtype
    shown: dict[str, Any] = {
        "name": _text(name),
        "field_name": field,
        "pandas_type": _pandas_type(array.type),
        "numpy_type": _numpy_type(dtype),
        "metadata": None,
    }
    if pa.types.is_timestamp(array.type) and array.type.tz:
        shown["metadata"] = {"timezone": array.type.tz}
    if isinstance(dtype, pd.CategoricalDtype):
        plain = str(array.type) if pa.types.is_integer(array.type) or pa.types.is_floating(array.type) else "object"
        kept = pa.types.is_dictionary(array.type)
        shown["numpy_type"] = "int32" if kept else plain
        shown["metadata"] = {"num_categories": len(array.dictionary), "ordered": bool(dtype.ordered)} if kept else None
    return array, note, shown


def _index(known: dict[str, Any] | None, levels: Sequence[tuple[Any, Record]], rows: int) -> pd.Index[Any]:
    if known is None:
        return pd.RangeIndex(rows)
    if "range" in known:
        return pd.RangeIndex(range(*known["range"]), name=known["name"])
    if known["multiple"]:
        return pd.MultiIndex.from_arrays([held for held, _ in levels], names=known["names"])
    (held, note), name = levels[0], known["names"][0]
    index = pd.Index(held, name=name, dtype=object) if note["dtype"] == "object" else pd.Index(held, name=name)
    freq = known.get("freq", note.get("freq"))
    if freq is not None:
        index.freq = freq
    found: pd.Index[Any] = index
    return found


def _as_is(note: Record) -> Any:
    """Keeps pandas from finding a better type for a column of objects."""
    return object if note["dtype"] == "object" else None


def _column_index(columns: pd.Index[Any]) -> dict[str, Any]:
    text = isinstance(columns[0], str)
    return {
        "name": _text(columns.name),
        "field_name": _text(columns.name),
        "pandas_type": "unicode" if text else "int64",
        "numpy_type": str(columns.dtype) if text else "int64",
        "metadata": {"encoding": "UTF-8"} if text else None,
    }


def _numpy_type(dtype: Any) -> str:
    """The dtype by a name that pandas understands when it reads the metadata."""
    if isinstance(dtype, pd.SparseDtype):
        return str(dtype.subtype)
    try:
        pd.api.types.pandas_dtype(str(dtype))
    except (TypeError, NotImplementedError):  # Arrow's nested types and those with parameters
        return "object"
    return str(dtype)


def _pandas_type(kind: pa.DataType) -> str:
    """Arrow's type under the name that pandas' metadata has for it."""
    checks = {
        "categorical": pa.types.is_dictionary,
        "datetimetz": lambda k: pa.types.is_timestamp(k) and k.tz is not None,
        "datetime": pa.types.is_timestamp,
        "timedelta": pa.types.is_duration,
        "unicode": lambda k: pa.types.is_string(k) or pa.types.is_large_string(k),
        "bytes": lambda k: pa.types.is_binary(k) or pa.types.is_large_binary(k),
        "decimal": pa.types.is_decimal,
        "date": pa.types.is_date,
        "time": pa.types.is_time,
        "empty": pa.types.is_null,
        "float16": pa.types.is_float16,
        "float32": pa.types.is_float32,
        "float64": pa.types.is_float64,
    }
    named = next((name for name, check in checks.items() if check(kind)), "")
    return named or (str(kind) if pa.types.is_primitive(kind) else "object")


def _read_identity(path: Path) -> Identity | None:
    try:
        data = json.loads(path.read_text())
        parts = [tuple(ColumnIdentity(**each) for each in data[key]) for key in ("columns", "index")]
        return Identity(data["digest"], data["rows"], parts[0], parts[1])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _plain(name: Any) -> Any:
    return name if name is None or isinstance(name, str) else int(name)


def _text(name: Any) -> str | None:
    return None if name is None else str(name)
