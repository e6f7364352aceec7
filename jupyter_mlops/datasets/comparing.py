"""Comparing: cells of two columns side by side, a missing value equal to a missing value, whatever stands for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from .cells import is_text
from .columns import to_arrow

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["differing", "numbered"]

MISSING = np.uint64(0xBF58476D1CE4E5B9)
"""What stands for a missing value among the bits of others."""


def differing(before: pd.Series[Any], after: pd.Series[Any], name: Any) -> np.ndarray[Any, Any]:
    """Where two columns of the same length differ."""
    one, other = _comparable(to_arrow(before, name)), _comparable(to_arrow(after, name))
    empty, vacant = (np.asarray(array.is_null().to_numpy(zero_copy_only=False)) for array in (one, other))
    try:
        one, other = _alike(one, other)
        unequal = pc.not_equal(one, other).fill_null(False).to_numpy(zero_copy_only=False)
    except pa.ArrowException:  # lists, and types without anything in common
        pairs = zip(one.to_pylist(), other.to_pylist(), strict=True)
        unequal = np.fromiter((x is not None and y is not None and x != y for x, y in pairs), bool, len(one))
    found: np.ndarray[Any, Any] = (empty != vacant) | (unequal & ~empty & ~vacant)
    return found


def numbered(
    before: pd.Series[Any], after: pd.Series[Any], name: Any
) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]] | None:
    """Two columns of any lengths as whole numbers, equal where cells are equal; None where their types do not compare.

    Examples
    --------
    >>> import pandas as pd
    >>> one, other = numbered(pd.Series(["a", None, "b"]), pd.Series(["b", "a"], dtype="category"), "x")
    >>> one[0] == other[1], one[2] == other[0], one[1] in other
    (np.True_, np.True_, False)
    """
    one, other = _alike(_comparable(to_arrow(before, name)), _comparable(to_arrow(after, name)))
    if is_text(one.type) and is_text(other.type):
        one, other = one.cast(pa.large_string()), other.cast(pa.large_string())
    if one.type != other.type:
        return None
    kind = one.type
    plain = pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_temporal(kind)
    if plain and kind.bit_width <= 64:
        return _bits(one), _bits(other)
    try:
        both = pa.chunked_array([one, other]).combine_chunks().dictionary_encode(null_encoding="encode")
    except pa.ArrowException:  # lists and what else has no order
        return None
    codes = both.indices.to_numpy(zero_copy_only=False).astype(np.uint64)
    return codes[: len(one)], codes[len(one) :]


def _bits(array: pa.Array) -> np.ndarray[Any, Any]:
    """Numbers as the bits they are kept in, missing ones all the same."""
    width = array.type.bit_width // 8
    if pa.types.is_floating(array.type):
        plain = array.fill_null(0).to_numpy(zero_copy_only=False) + array.type.to_pandas_dtype()(0)  # -0.0 is 0.0
    else:
        plain = array.view(getattr(pa, f"int{8 * width}")()).fill_null(0).to_numpy(zero_copy_only=False)
    bits: np.ndarray[Any, Any] = np.ascontiguousarray(plain).view(f"u{width}").astype(np.uint64)
    if array.null_count:
        bits[array.is_null().to_numpy(zero_copy_only=False)] = MISSING
    return bits


def _comparable(array: pa.Array) -> pa.Array:
    if isinstance(array.type, pa.BaseExtensionType):
        array = array.storage
    if pa.types.is_dictionary(array.type):
        inner = array.dictionary
        if isinstance(inner.type, pa.BaseExtensionType):
            array = pa.DictionaryArray.from_arrays(array.indices, inner.storage)
        array = array.dictionary_decode()
    if pa.types.is_floating(array.type):  # NaN is a missing value here, as it is in the identity
        array = pc.if_else(pc.is_nan(array), pa.scalar(None, array.type), array)
    return array


def _alike(one: pa.Array, other: pa.Array) -> tuple[pa.Array, pa.Array]:
    """Two arrays of one type, or of types that Arrow compares; times in their finer unit."""
    kinds = (one.type, other.type)
    if kinds[0] == kinds[1]:
        return one, other
    if all(pa.types.is_timestamp(kind) for kind in kinds) and (kinds[0].tz is None) == (kinds[1].tz is None):
        unit = next(unit for unit in ("ns", "us", "ms", "s") if unit in (kinds[0].unit, kinds[1].unit))
        zone = None if kinds[0].tz is None else "UTC"
        return one.cast(pa.timestamp(unit, zone)), other.cast(pa.timestamp(unit, zone))
    return one, other
