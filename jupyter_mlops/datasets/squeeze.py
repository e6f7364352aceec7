"""Squeeze: a chunk's bytes made smaller by what its values have in common, before zstd sees them.

What is stored begins with one byte that says how the rest is to be read:

``0``
    the chunk's bytes, see `chunk`, as they are.
``1`` narrow
    whole numbers: the least of them and a step as 64-bit numbers, a byte for the width w, then the chunk's flag byte
    and missing bits, then for each row ``(value - least) / step`` as a w-byte number.
``2`` decimal
    64-bit floats of few decimals: as narrow, with the number of decimals instead of the step; the value is exactly
    the whole number divided by that power of ten. After the width stand values that are told apart (NaN, -0.0, many
    decimals): how many, their rows as 32-bit numbers, and they themselves.
``3`` dictionary
    texts of which few differ: their number and the length of what follows as 32-bit numbers, the different texts as a
    chunk's bytes, a byte for the width w, the chunk's flag byte and missing bits, then for each row the text's number
    as a w-byte number.
"""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
import pyarrow as pa

from .chunk import Decoded, Encoded, Form, Parts, decode, of_array

__all__ = ["AS_IS", "squeeze", "unsqueeze"]

AS_IS, NARROW, DECIMAL, DICTIONARY = range(4)
HEAD = struct.Struct("<BqqB")
DICTIONARY_HEAD = struct.Struct("<BII")
DECIMALS = (0, 1, 2, 3, 4, 6)
FEW = 4  # a dictionary is worth it when each of its texts stands for so many rows
SAMPLE = 256
LARGEST = 2.0**52
ODD = 0.05  # share of values that are told apart at the most


def squeeze(column: Encoded, start: int, stop: int) -> Parts:
    """The rows from `start` to `stop` as they are stored."""
    parts = column.parts(start, stop)
    if stop - start < SAMPLE:
        return [bytes([AS_IS]), *parts]
    if column.form == "plain":
        made = _narrow(column.values[start:stop], parts[:-1])
    elif column.form == "text":
        made = _dictionary(column.texts(start, stop), parts[: -2 if column.data is not None else -1])
    else:
        made = None
    return made or [bytes([AS_IS]), *parts]


def unsqueeze(held: Any, rows: int, form: Form, dtype: str, into: np.ndarray[Any, Any] | None = None) -> Decoded:
    """The rows of what `squeeze` gave.

    Parameters
    ----------
    into
        Takes the values, for the form ``plain``; they are then not held anywhere else.
    """
    view = memoryview(held)
    how = view[0]
    if how == AS_IS:
        found = decode(view[1:], rows, form, dtype)
        if into is not None:
            into[:] = found.values
        return found
    if how == DICTIONARY:
        _, count, length = DICTIONARY_HEAD.unpack_from(view)
        place = DICTIONARY_HEAD.size
        texts = decode(view[place : place + length], count, "text", dtype).values
        place += length
        width = view[place]
        missing, place = _missing(view, place + 1, rows)
        numbers = np.frombuffer(view[place : place + width * rows], f"<u{width}")
        return Decoded(form, dtype, texts.take(pa.array(numbers, mask=missing)))
    _, least, step, width = HEAD.unpack_from(view)
    place, odd = HEAD.size, 0
    if how == DECIMAL:
        odd = int(np.frombuffer(view[place : place + 4], "<u4")[0])
        at = np.frombuffer(view[place + 4 : place + 4 + 4 * odd], "<u4")
        apart = np.frombuffer(view[place + 4 + 4 * odd : place + 4 + 12 * odd], "<f8")
        place += 4 + 12 * odd
    missing, place = _missing(view, place, rows)
    numbers = np.frombuffer(view[place : place + width * rows], f"<u{width}") if width else np.zeros(rows, "<u1")
    values = np.empty(rows, dtype) if into is None else into
    if how == DECIMAL:  # both are whole numbers far below 2**53: their sum is exact in floats too
        np.add(numbers, float(least), out=values, dtype=np.float64)
        values /= 10.0**step
        if odd:
            values[at] = apart
        return Decoded(form, dtype, values, missing)
    whole = values.view("<i8") if values.itemsize == 8 else np.empty(rows, "<i8")
    if step != 1:
        np.multiply(numbers, step, out=whole, dtype=np.int64, casting="unsafe")
        whole += least
    else:
        np.add(numbers, least, out=whole, dtype=np.int64, casting="unsafe")
    if values.itemsize != 8:
        values[:] = whole
    return Decoded(form, dtype, values, missing)


def _missing(view: memoryview, place: int, rows: int) -> tuple[np.ndarray[Any, Any] | None, int]:
    if not view[place]:
        return None, place + 1
    width = -(-rows // 8)
    bits = np.frombuffer(view[place + 1 : place + 1 + width], np.uint8)
    return np.unpackbits(bits, count=rows).astype(bool), place + 1 + width


def _narrow(values: np.ndarray[Any, Any], head: Parts) -> Parts | None:
    kind = values.dtype
    if kind.kind in "iumM" and kind.itemsize >= 2:
        whole = values.view("<i8") if kind.kind in "mM" else values
        least, most = int(whole.min()), int(whole.max())
        if most >= 2**63 or most - least >= 2**62:
            return None
        offset = whole.astype("<i8", copy=False) - least
        step = int(np.gcd.reduce(offset[:SAMPLE])) or 1
        if step != 1 and (offset % step).any():
            step = 1
        return _written(
            NARROW, least, step, offset // step if step != 1 else offset, (most - least) // step, kind, head
        )
    if kind == np.float64:
        return _decimal(values, head)
    return None


def _decimal(values: np.ndarray[Any, Any], head: Parts) -> Parts | None:
    for places in DECIMALS:
        factor = 10.0**places
        with np.errstate(all="ignore"):
            if _odd(values[:SAMPLE], factor)[1].sum() > SAMPLE * ODD:
                continue
            whole, odd = _odd(values, factor)
        rows = np.flatnonzero(odd)
        if len(rows) > len(values) * ODD:
            continue
        numbers = np.where(odd, whole[~odd][0] if len(rows) else 0.0, whole) if len(rows) else whole
        least = int(numbers.min())
        offset = numbers.astype("<i8") - least
        apart = [np.array([len(rows)], "<u4"), rows.astype("<u4"), values[rows].view("<u8")]
        head = [*(part.view(np.uint8) for part in apart), *head]
        return _written(DECIMAL, least, places, offset, int(offset.max()), values.dtype, head)
    return None


def _odd(values: np.ndarray[Any, Any], factor: float) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """The nearest whole numbers, and where they do not give the very float back, bit for bit."""
    whole = np.rint(values * factor) + 0.0  # no negative zero: an integer has none
    same = (whole / factor).view("<u8") == np.ascontiguousarray(values).view("<u8")
    return whole, ~same | ~(np.abs(whole) < LARGEST)


def _written(
    how: int, least: int, step: int, offset: np.ndarray[Any, Any], most: int, kind: np.dtype[Any], head: Parts
) -> Parts | None:
    width = next(w for w in (0, 1, 2, 4, 8) if most < 256**w)
    if width >= kind.itemsize:
        return None
    numbers: Parts = [offset.astype(f"<u{width}").view(np.uint8)] if width else []
    return [HEAD.pack(how, least, step, width), *head, *numbers]


def _dictionary(texts: pa.Array, head: Parts) -> Parts | None:
    if len(texts.slice(0, 4 * SAMPLE).unique()) > 2 * SAMPLE:
        return None
    coded = texts.dictionary_encode()
    count = len(coded.dictionary)
    if count * FEW > len(texts):
        return None
    held = of_array(coded.dictionary, {})
    body = b"".join(held.parts(0, count))
    width = 1 if count <= 256 else 2
    numbers = coded.indices.to_numpy(zero_copy_only=False).astype(f"<u{width}").view(np.uint8)
    return [DICTIONARY_HEAD.pack(DICTIONARY, count, len(body)), body, bytes([width]), *head, numbers]
