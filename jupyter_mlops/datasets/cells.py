"""Cells: a column's cells as numbers or as labels, from whatever Arrow type they have."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

__all__ = ["UNITS", "decoded", "is_text", "numbers_of", "texts_of"]

UNITS = {"s": 1.0, "ms": 1e3, "us": 1e6, "ns": 1e9}
"""How many of a unit make a second."""


def decoded(array: pa.Array) -> pa.Array:
    """Labels in full where an array holds them as codes."""
    if not pa.types.is_dictionary(array.type):
        return array
    if isinstance(array.type.value_type, pa.BaseExtensionType) or pa.types.is_nested(array.type.value_type):
        labels = pa.array([str(value) for value in array.dictionary.to_pylist()])
        array = pa.DictionaryArray.from_arrays(array.indices, labels)
    # What was declared to be categories stays so, whatever they are called.
    return texts_of(array.dictionary_decode())


def is_text(kind: pa.DataType) -> bool:
    """Whether the cells are texts."""
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def numbers_of(array: pa.Array) -> np.ndarray[Any, Any] | None:
    """The cells that are present as numbers; None where they are none."""
    kind = array.type
    array = array.drop_null() if array.null_count else array
    if pa.types.is_integer(kind) or pa.types.is_floating(kind):
        plain: np.ndarray[Any, Any] = array.to_numpy(zero_copy_only=False)
        return plain
    if pa.types.is_timestamp(kind) or pa.types.is_duration(kind) or pa.types.is_time(kind):
        unit = UNITS[kind.unit]
        whole = array.view(pa.int32() if kind.bit_width == 32 else pa.int64())
        return np.asarray(whole.to_numpy(zero_copy_only=False), dtype=np.float64) / unit
    if pa.types.is_date(kind):
        days = array.cast(pa.date32()).view(pa.int32()).to_numpy(zero_copy_only=False)
        return np.asarray(days, dtype=np.float64) * 86_400.0
    if pa.types.is_decimal(kind):
        return np.asarray(array.cast(pa.float64()).to_numpy(zero_copy_only=False), dtype=np.float64)
    return None


def texts_of(array: pa.Array) -> pa.Array | None:
    """The cells as labels; None where they have none. Whole numbers read the same whether stored as such or not."""
    kind = array.type
    if is_text(kind):
        return array
    if pa.types.is_boolean(kind):
        return pc.if_else(array, "True", "False")
    if pa.types.is_integer(kind) or pa.types.is_decimal(kind) or pa.types.is_temporal(kind):
        return array.cast(pa.string())
    if pa.types.is_floating(kind):
        values = array.to_numpy(zero_copy_only=False).astype(np.float64)
        labels = [None if np.isnan(v) else (str(int(v)) if v.is_integer() else repr(v)) for v in values.tolist()]
        return pa.array(labels, pa.string())
    if pa.types.is_null(kind):
        return array.cast(pa.string())
    return None
