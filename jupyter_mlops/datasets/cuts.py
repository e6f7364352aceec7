"""Cuts: where a table is cut into segments of rows, decided by the rows' content alone.

A row is cut off where a hash of its anchor, one column that tells rows apart, or several if none does, has so many zero
bits. Rows that come or go somewhere then move the cuts near them and leave all others where they were: what lies
between two old cuts is the same chunk as before, whatever its position has become.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any

import numpy as np

from .chunk import Encoded

__all__ = ["AVERAGE", "Anchor", "choose_anchor", "cut", "pair"]

AVERAGE = 16_384  # rows between two cuts
LEAST, MOST = AVERAGE // 4, AVERAGE * 4
SAMPLE = 2_048
TELLING = 0.25  # share of different values in the sample from which a column alone tells rows apart
MOST_COLUMNS = 6
WINDOW = 16
BLOCK = 32_768
_MIX = np.uint64(0x9E3779B97F4A7C15)
_RARE = np.uint64(2**64 // (AVERAGE - LEAST))  # one hash in so many is below


@dataclass(frozen=True)
class Anchor:
    """What a table is cut by.

    Parameters
    ----------
    columns
        Places of the columns whose values are hashed together.
    window
        How many rows are hashed together; 1 where single rows differ enough.
    """

    columns: tuple[int, ...]
    window: int = 1


def choose_anchor(forms: Mapping[int, Encoded]) -> Anchor:
    """The columns that tell the rows of a table apart best.

    Whole numbers and times before texts before fractions: identifiers and times change least from version to version.

    Parameters
    ----------
    forms
        The columns that could be, by place.
    """
    scores = []
    for place, column in forms.items():
        hashes = _hashes(column, np.linspace(0, max(len(column) - 1, 0), min(SAMPLE, len(column))).astype(np.int64))
        share = len(np.unique(hashes)) / max(len(hashes), 1)
        fraction = column.form == "plain" and np.dtype(column.dtype).kind == "f"
        preferred = 2 if column.form == "plain" and not fraction else int(column.form == "text")
        scores.append((share >= TELLING, preferred if share >= TELLING else 0, round(share, 1), -place))
    scores.sort(reverse=True)
    if scores and scores[0][0]:
        return Anchor((-scores[0][3],))
    best = tuple(sorted(-score[3] for score in sorted(scores, key=lambda s: (-s[2], -s[3]))[:MOST_COLUMNS]))
    return Anchor(best, WINDOW)


def cut(anchor: Anchor, column: Callable[[int], Encoded], rows: int, first: int = 0) -> list[int]:
    """Where segments end, the last at `rows`.

    Parameters
    ----------
    column
        Gives the column at a place.
    first
        Where a cut is known to be, for an anchor of single rows: only what comes after it is looked at and given.

    Examples
    --------
    >>> import pandas as pd
    >>> from .chunk import encode
    >>> x = pd.Series(np.random.default_rng(0).integers(0, 10**9, 100_000))
    >>> ends = cut(Anchor((0,)), lambda _: encode(x, "x"), len(x))
    >>> later = cut(Anchor((0,)), lambda _: encode(x[50:], "x"), len(x) - 50)
    >>> [end - 50 for end in ends] == later
    True
    >>> cut(Anchor((0,)), lambda _: encode(x, "x"), len(x), first=ends[1]) == ends[2:]
    True
    """
    if rows - first <= LEAST:
        return [rows] if rows > first else []
    hashes = np.zeros(rows - first, np.uint64)
    for place in anchor.columns:
        for start in range(first, rows, BLOCK):  # what is worked on stays in the processor's cache
            block = slice(start, min(start + BLOCK, rows))
            into = hashes[block.start - first : block.stop - first]
            into += _hashes(column(place), block)
            into *= _MIX
    if anchor.window > 1:
        sums = np.cumsum(hashes, dtype=np.uint64)
        sums[anchor.window :] -= sums[: -anchor.window].copy()
        hashes = sums * _MIX
    candidates = np.flatnonzero(hashes < _RARE) + 1 + first
    ends, start, place = [], first, 0
    while rows - start > LEAST:
        place = int(np.searchsorted(candidates, start + LEAST))
        following = int(candidates[place]) if place < len(candidates) else rows
        start = min(following, start + MOST, rows)
        ends.append(start)
    if not ends or ends[-1] != rows:
        ends.append(rows)
    return ends


def pair(before: list[str], after: list[str]) -> list[int | None]:
    """For every segment of a table the segment of an earlier one that is most likely its former self.

    Parameters
    ----------
    before, after
        The segments by their anchor's chunks.

    Examples
    --------
    >>> pair(["a", "b", "c"], ["a", "x", "y", "c", "d"])
    [0, 1, 1, 2, 2]
    """
    found: list[int | None] = [None] * len(after)
    for _, a, b, c, d in SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
        for step, place in enumerate(range(c, d)):
            former = min(a + step, max(b - 1, a if b > a else a - 1))
            found[place] = former if 0 <= former < len(before) else None
    return found


def _hashes(column: Encoded, rows: np.ndarray[Any, Any] | slice) -> np.ndarray[Any, Any]:
    """One 64-bit hash a row; the same value always has the same."""
    mixed: np.ndarray[Any, Any]
    values = column.values[rows] if column.form != "arrow" else column.values
    if column.form == "text" and column.starts is not None:
        places, first, lengths = column.starts[:], 0, values
        if isinstance(rows, slice):
            places = column.starts[rows.start : rows.stop + 1]
            first = int(places[0])
        data = np.frombuffer(column.data[first : int(places[-1])], np.uint8)
        ends = (places[1:] if isinstance(rows, slice) else places[1:][rows]) - first
        mixed = lengths.astype(np.uint64)
        for back in range(1, 9):  # the last eight bytes: that is where identifiers differ
            there = lengths >= back
            letters = np.where(there, data[np.maximum(ends - back, 0)] if len(data) else 0, 0)
            mixed = mixed * np.uint64(257) + letters.astype(np.uint64)
    elif column.form == "arrow" or not len(column):
        return np.zeros(len(np.arange(len(column))[rows]), np.uint64)
    else:
        mixed = np.ascontiguousarray(values).view(f"<u{values.dtype.itemsize}").astype(np.uint64)
    for shift in (np.uint64(31), np.uint64(29)):
        mixed ^= mixed >> shift
        mixed *= _MIX
    return mixed
