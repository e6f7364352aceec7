"""Columns: one pandas column as Arrow data, what pandas alone knows of it, and the same column back from both.

Arrow holds values and missing values of every type we store. What it cannot hold (that a column was of Python
objects, which kind of string pandas used, what an index of dates is called) goes into a small record beside it.
"""

from __future__ import annotations

import base64
import datetime as dt
import decimal
import zlib
from collections.abc import Callable
from importlib import import_module
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from pandas.api.types import is_object_dtype

from ..errors import InvalidArgument

# Registers Arrow's types for periods and intervals with pyarrow, as pandas does before it reads a Parquet file.
import_module("pandas.core.arrays.arrow.extension_types")

__all__ = ["Record", "categories_of", "pack", "record", "restore", "restore_codes", "to_arrow", "to_file", "unpack"]

Record = dict[str, Any]

NUMBERS = (int, float, np.integer, np.floating)
# What a column of Python objects may consist of, besides missing values: one of these families, never two.
FAMILIES: dict[str, tuple[type, ...]] = {
    "text": (str,),
    "truth": (bool, np.bool_),
    "number": NUMBERS,
    "decimal": (decimal.Decimal,),
    "moment": (dt.datetime, np.datetime64),  # before "date": a datetime is a date too
    "date": (dt.date,),
    "time": (dt.time,),
    "duration": (dt.timedelta, np.timedelta64),
    "bytes": (bytes,),
    "list": (list,),
    "tuple": (tuple,),
    "array": (np.ndarray,),
}
MISSING: dict[str, Any] = {"None": None, "nan": np.nan, "NA": pd.NA, "NaT": pd.NaT}


def to_arrow(values: pd.Series[Any] | pd.Index[Any], name: object) -> pa.Array:
    """A column as one Arrow array; `name` is what errors call it.

    Raises
    ------
    InvalidArgument
        The column mixes kinds of objects, or is of a type that a data version cannot hold.
    """
    dtype = values.dtype
    try:
        if isinstance(dtype, pd.CategoricalDtype):
            held: Any = values.array
            codes = pa.array(held.codes.astype(np.int32), mask=held.codes < 0)
            array = pa.DictionaryArray.from_arrays(codes, to_arrow(held.categories, name), ordered=bool(held.ordered))
        elif is_object_dtype(dtype):
            array = _objects(values.to_numpy(dtype=object), name)
        elif isinstance(dtype, pd.SparseDtype):
            array = to_arrow(pd.Series(np.asarray(values.array)), name)
        elif isinstance(dtype, pd.DatetimeTZDtype):
            utc = pd.Series(values).dt.tz_convert(None).to_numpy()
            array = pa.array(utc, from_pandas=True).cast(pa.timestamp(dtype.unit, pa.lib.tzinfo_to_string(dtype.tz)))
        elif isinstance(dtype, np.dtype) and dtype.kind not in "biufmM":
            raise pa.ArrowNotImplementedError(str(dtype))
        else:
            native = getattr(values.array, "__arrow_array__", None)
            array = native() if native else pa.array(_native_order(pd.Series(values)), from_pandas=True)
    except (pa.ArrowException, UnicodeEncodeError, OverflowError) as error:
        raise InvalidArgument(
            f"column {name!r} of type {dtype} cannot be stored in a data version: {_first_line(error)}.",
            hint=f"Convert it, for example with df[{name!r}].astype(str), or leave it out.",
        ) from error
    if isinstance(array, pa.ChunkedArray):
        array = _one_chunk(array)
    if isinstance(dtype, pd.ArrowDtype) and pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()  # to Arrow a dictionary is an encoding, and Parquet may write another
    return array


def to_file(values: pd.Series[Any] | pd.Index[Any], array: pa.Array) -> pa.Array:
    """The array of `to_arrow` as it goes into a Parquet file, which cannot hold every kind of category.

    Categories that are texts stay a dictionary; numbers and times stand as plain values; for anything else, such as
    intervals, stand their labels. `restore` finds the categories again by what stands for them.
    """
    if not isinstance(values.dtype, pd.CategoricalDtype):
        return array
    faces = _faces(array.dictionary, values.dtype.categories)
    found = pa.DictionaryArray.from_arrays(array.indices, faces, ordered=array.type.ordered)
    return found if _is_text(faces.type) else found.dictionary_decode()


def _faces(categories: pa.Array, index: pd.Index[Any]) -> pa.Array:
    """What stands in a file for each category."""
    kind = categories.type
    if _is_text(kind) or (pa.types.is_primitive(kind) and len(categories.unique()) == len(categories)):
        return categories
    labels = pa.array([str(category) for category in index], type=pa.string())
    return labels if len(labels.unique()) == len(labels) else pa.array(range(len(index)), type=pa.int64())


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _one_chunk(array: pa.ChunkedArray) -> pa.Array:
    if array.num_chunks == 1:
        return array.chunk(0)
    combined = array.unify_dictionaries().combine_chunks()
    return combined.combine_chunks() if isinstance(combined, pa.ChunkedArray) else combined


def _native_order(values: pd.Series[Any]) -> pd.Series[Any]:
    """The same values in this machine's byte order."""
    dtype = values.dtype
    if isinstance(dtype, np.dtype) and not dtype.isnative:
        return values.astype(dtype.newbyteorder("="))
    return values


def _objects(values: np.ndarray[Any, Any], name: object) -> pa.Array:
    missing = np.asarray(_missing(values))
    present = values[~missing]
    types = {type(value) for value in present}
    families = {family_of(kind) for kind in types}
    if not types:
        return pa.nulls(len(values))
    if len(families) > 1 or None in families:
        found = ", ".join(sorted(kind.__name__ for kind in types))
        what = "mixes" if len(types) > 1 else "holds objects of type"
        raise InvalidArgument(
            f"column {name!r} {what} {found}; a data version needs one kind of value in a column.",
            hint=f"Convert it, for example with df[{name!r}] = df[{name!r}].astype(str).",
        )
    family = families.pop()
    if family == "moment":
        return pa.array(_moments(values, present, missing, name), from_pandas=True)
    if family == "duration":
        return pa.array(pd.to_timedelta(pd.Series(values)).to_numpy(), from_pandas=True)
    if family == "array" and any(item.ndim != 1 or item.dtype == object for item in present):
        raise InvalidArgument(
            f"column {name!r} holds arrays of more than one dimension or of objects.", hint="Store them flat."
        )
    return pa.array(_emptied(values, missing), type=_whole(present, family))


def _whole(present: np.ndarray[Any, Any], family: str | None) -> pa.DataType | None:
    """The type of whole numbers too large for a signed 64-bit integer; otherwise pyarrow finds out by itself."""
    if family != "number" or any(isinstance(value, (float, np.floating)) for value in present):
        return None
    return pa.uint64() if max(present) > 2**63 - 1 else pa.int64()


def _moments(
    values: np.ndarray[Any, Any], present: np.ndarray[Any, Any], missing: np.ndarray[Any, Any], name: object
) -> pd.Series[Any]:
    zones = {str(getattr(value, "tzinfo", None)) for value in present}
    if len(zones) > 1:
        raise InvalidArgument(
            f"column {name!r} mixes time zones: {', '.join(sorted(zones))}.",
            hint=f"Convert it with pd.to_datetime(df[{name!r}], utc=True).",
        )
    found: pd.Series[Any] = pd.to_datetime(pd.Series(_emptied(values, missing)))
    return found


def _emptied(values: np.ndarray[Any, Any], missing: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The same objects with None for every kind of missing value."""
    if not missing.any():
        return values
    emptied = values.copy()
    emptied[missing] = None
    return emptied


def _missing(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    found: np.ndarray[Any, Any] = pd.isna(pd.Series(values, dtype=object)).to_numpy()
    return found


def family_of(kind: type) -> str | None:
    """The family in `FAMILIES` of a Python type, None where it belongs to none."""
    if issubclass(kind, FAMILIES["truth"]):  # bool is an int
        return "truth"
    return next((family for family, types in FAMILIES.items() if issubclass(kind, types)), None)


def record(values: pd.Series[Any] | pd.Index[Any], array: pa.Array) -> Record:
    """What pandas knows of a column and Arrow does not, as JSON-ready data."""
    dtype = values.dtype
    found: Record = {"dtype": str(dtype)}
    if isinstance(dtype, pd.CategoricalDtype):
        found = {"dtype": "category", "ordered": bool(dtype.ordered)}
        found["categories"] = {**record(dtype.categories, array.dictionary), "values": pack(array.dictionary)}
        found["name"] = dtype.categories.name if isinstance(dtype.categories.name, str) else None
    elif isinstance(dtype, pd.StringDtype):
        found |= {"storage": dtype.storage, "missing": "nan" if _is_nan(dtype.na_value) else "NA"}
    elif isinstance(dtype, pd.SparseDtype):
        fill = np.asarray(dtype.fill_value).item()
        found |= {"sparse": str(dtype.subtype), "fill": "nan" if _is_nan(fill) else fill}
    elif isinstance(dtype, pd.ArrowDtype):
        found["arrow"] = pack(pa.array([], type=dtype.pyarrow_dtype))
    elif is_object_dtype(dtype):
        objects = values.to_numpy(dtype=object)
        missing = _missing(objects)
        first = next(iter(objects[~missing]), None)
        family = "stamp" if isinstance(first, pd.Timestamp | pd.Timedelta) else family_of(type(first))
        found |= {"missing": _kinds_of_missing(objects[missing]), "family": family}
    if isinstance(values, pd.DatetimeIndex | pd.TimedeltaIndex) and values.freq is not None:
        found["freq"] = values.freqstr
    return found


def _kinds_of_missing(values: np.ndarray[Any, Any]) -> Record:
    """Which of None, NaN, NA and NaT stand in a column of objects: one for all, or one code a place."""
    kinds = list(MISSING)
    codes = [
        next((i for i, kind in enumerate(kinds) if value is MISSING[kind]), kinds.index("nan")) for value in values
    ]
    used = sorted(set(codes))
    if len(used) <= 1:
        return {"kind": kinds[used[0]] if used else "None"}
    return {"kinds": kinds, "codes": base64.b64encode(zlib.compress(bytes(codes))).decode()}


def _empty_places(known: Record, count: int) -> list[Any]:
    if "kind" in known:
        return [MISSING[known["kind"]]] * count
    return [MISSING[known["kinds"][code]] for code in zlib.decompress(base64.b64decode(known["codes"]))]


def _is_nan(value: object) -> bool:
    return isinstance(value, float) and value != value  # noqa: PLR0124 only NaN differs from itself


def restore(column: pa.ChunkedArray | pa.Array, known: Record) -> Any:
    """The pandas array that `to_arrow` and `record` were made of."""
    column = _one_chunk(column) if isinstance(column, pa.ChunkedArray) else column
    name = known["dtype"]
    if name == "category":
        return _restore_category(column, known)
    if name == "object":
        return _restore_objects(column, known)
    if "arrow" in known:
        kind = unpack(known["arrow"]).type
        column = column.dictionary_encode() if pa.types.is_dictionary(kind) else column
        return pd.arrays.ArrowExtensionArray(pa.chunked_array([column.cast(kind)]))
    if "storage" in known:
        return _string_dtype(known).__from_arrow__(pa.chunked_array([column]))  # type: ignore[attr-defined]
    if "sparse" in known:
        dense = _plain(column, np.dtype(known["sparse"]))
        return pd.arrays.SparseArray(dense, fill_value=np.nan if known["fill"] == "nan" else known["fill"])
    if name.startswith("datetime64[") and "," in name:  # the zone comes from Arrow, which names every one
        unit = name[len("datetime64[") : name.index(",")]
        zoned = pa.chunked_array([column.cast(pa.timestamp(unit, column.type.tz))])
        return zoned.to_pandas().dt.as_unit(unit).array
    dtype: Any = pd.api.types.pandas_dtype(name)
    if isinstance(dtype, np.dtype):
        return _plain(column, dtype)
    return dtype.__from_arrow__(pa.chunked_array([column]))


def _restore_category(column: pa.Array, known: Record) -> pd.Categorical:
    saved = known["categories"]
    categories = categories_of(known)
    # Codes are looked up by value: a reader of Parquet may number a dictionary anew.
    plain = column.dictionary_decode() if pa.types.is_dictionary(column.type) else column
    faces = _faces(unpack(saved["values"]), categories).cast(plain.type)
    codes = pc.index_in(plain, value_set=faces).fill_null(-1).to_numpy(zero_copy_only=False)
    if (codes < 0).sum() > plain.null_count:
        raise ValueError("a cell holds a value that is none of its column's categories")
    return pd.Categorical.from_codes(codes, categories=categories, ordered=known["ordered"])


def restore_codes(codes: np.ndarray[Any, Any], known: Record) -> pd.Categorical:
    """The categories' column that these codes were taken from."""
    return pd.Categorical.from_codes(codes, categories=categories_of(known), ordered=known["ordered"])


def categories_of(known: Record) -> pd.Index[Any]:
    """The categories of a column of them, used or not."""
    saved = known["categories"]
    values = restore(unpack(saved["values"]), saved)
    found: pd.Index[Any] = pd.Index(values, name=known["name"], dtype=object if saved["dtype"] == "object" else None)
    return found


def _string_dtype(known: Record) -> pd.StringDtype:
    make: Callable[..., pd.StringDtype] = pd.StringDtype
    if known["missing"] == "NA":
        return make(known["storage"])
    return make(known["storage"], na_value=np.nan)


def _plain(column: pa.Array, dtype: np.dtype[Any]) -> np.ndarray[Any, Any]:
    if dtype.kind in "mM":
        unit = np.datetime_data(dtype)[0]
        column = column.cast(pa.timestamp(unit) if dtype.kind == "M" else pa.duration(unit))
    values: np.ndarray[Any, Any] = column.to_numpy(zero_copy_only=False).astype(dtype, copy=False)
    return values if values.flags.writeable else values.copy()


def _restore_objects(column: pa.Array, known: Record) -> np.ndarray[Any, Any]:
    values = np.empty(len(column), dtype=object)
    stamp = pd.Timedelta if pa.types.is_duration(column.type) else pd.Timestamp
    made: Callable[[Any], Any] = {"tuple": tuple, "stamp": stamp}.get(known["family"], lambda value: value)
    items = column if known["family"] == "array" else column.to_pylist()
    empty = iter(_empty_places(known["missing"], column.null_count))
    for i, value in enumerate(items):
        if known["family"] == "array":
            values[i] = next(empty) if not value.is_valid else value.values.to_numpy(zero_copy_only=False).copy()  # noqa: PD011 Arrow's
        else:
            values[i] = next(empty) if value is None else made(value)
    return values


def pack(array: pa.Array) -> str:
    """An Arrow array as text: an IPC stream in base64."""
    sink = pa.BufferOutputStream()
    batch = pa.record_batch([array], names=["values"])
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    return base64.b64encode(sink.getvalue()).decode()


def unpack(text: str) -> pa.Array:
    """The array of `pack`."""
    with pa.ipc.open_stream(base64.b64decode(text)) as reader:
        column = reader.read_all().column(0)
    return _one_chunk(column) if column.num_chunks else pa.array([], type=column.type)


def _first_line(error: BaseException) -> str:
    return str(error).strip().split("\n", 1)[0].rstrip(".")[:200]
