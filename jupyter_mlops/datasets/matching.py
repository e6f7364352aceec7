"""Matching: which row of one table is which row of another: by key, by position, or by content.

By content as a diff of texts does it (patience): rows that are there once in each table, as many of them as stand in
the same order, cut both tables into gaps. Equal rows in the same gap are the same row, then equal rows anywhere, which
have moved; what then is left of a gap in both tables has changed.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from ..errors import InvalidArgument
from .comparing import numbered

__all__ = ["Matched", "by_content", "by_key", "by_position", "key_of"]

Rows = np.ndarray[Any, Any]

SPREAD = (np.uint64(0x9E3779B97F4A7C15), np.uint64(0xD6E8FEB86659FD93))
SAMPLE = 1000
FAMILIAR = 0.5
"""A column with a smaller share of values that are in both tables was worked out anew; it does not tell rows apart."""
LARGEST_GAP = 250_000
"""Pairs of rows in a gap up to which those that have most cells in common are looked for."""
KEYS_TRIED = 8


@dataclass(frozen=True)
class Matched:
    """Which row of the one table is which of the other."""

    before: Rows
    after: Rows
    removed: int
    added: int
    by: str = "position"
    moved: int = 0
    """Rows that stand in another order."""

    def only(self, rows_before: int, rows_after: int) -> tuple[Rows, Rows]:
        """The rows that are in the first table alone, and in the second alone."""
        gone, new = np.ones(rows_before, dtype=bool), np.ones(rows_after, dtype=bool)
        gone[self.before] = False
        new[self.after] = False
        return np.flatnonzero(gone), np.flatnonzero(new)


def by_position(before: int, after: int) -> Matched:
    """The first row is the first row."""
    common = np.arange(min(before, after))
    return Matched(common, common, removed=max(0, before - after), added=max(0, after - before))


def by_key(before: pd.DataFrame, after: pd.DataFrame, keys: list[Any], names: tuple[str, str]) -> Matched:
    """Rows with the same values in some columns.

    Raises
    ------
    InvalidArgument
        A key is missing in a row, names two rows, or is of types that do not compare.
    """
    shown = ", ".join(map(str, keys))
    sides = []
    for frame, called in zip((before, after), names, strict=True):
        side = frame[keys].reset_index(drop=True)
        empty = int(side.isna().any(axis=1).sum())
        if empty:
            raise InvalidArgument(
                f"the key {shown} is missing in {empty:,} rows of {called}.", hint="Drop them, or choose another key."
            )
        twice = side.duplicated()
        if twice.any():
            example = ", ".join(str(value) for value in side[twice].iloc[0])
            raise InvalidArgument(
                f"the key {shown} names more than one row of {called}: {example} and {int(twice.sum()) - 1:,} more.",
                hint="Choose columns that name each row once, or leave --key out to match rows without one.",
            )
        for label in keys:
            if isinstance(side[label].dtype, pd.CategoricalDtype):
                side[label] = side[label].astype(side[label].cat.categories.dtype)
        sides.append(side.set_axis(range(len(keys)), axis=1))
    try:
        on: list[Any] = list(range(len(keys)))
        left, right = (side.assign(row=np.arange(len(side))) for side in sides)
        both = left.merge(right, on=on, suffixes=("_before", "_after")).sort_values("row_before")
    except (ValueError, TypeError) as error:
        kinds = " and ".join(", ".join(str(kind) for kind in side.dtypes) for side in sides)
        raise InvalidArgument(
            f"the key is of types that do not compare: {kinds}.", hint="Convert it in one of the tables."
        ) from error
    rows_before, rows_after = both["row_before"].to_numpy(), both["row_after"].to_numpy()
    return Matched(rows_before, rows_after, len(before) - len(both), len(after) - len(both), by=shown)


def key_of(before: pd.DataFrame, after: pd.DataFrame, names: Sequence[Any]) -> str:
    """A column that names every row of both tables, whole numbers or texts; ``COLUMN`` where there is none."""
    for name in [name for name in names if name in before][:KEYS_TRIED]:
        sides = (before[name], after[name])
        if all(pd.api.types.is_integer_dtype(s.dtype) or pd.api.types.is_string_dtype(s.dtype) for s in sides) and all(
            s.notna().all() and s.is_unique for s in sides
        ):
            return str(name)
    return "COLUMN"


def by_content(before: pd.DataFrame, after: pd.DataFrame, names: Sequence[Any]) -> tuple[Matched, int]:
    """Equal rows, and between them those that have most in common; and how many more are equal than by position.

    Parameters
    ----------
    names
        The columns to go by; those whose values do not compare, or are new altogether, are passed over.
    """
    one, other, told = _fingerprints(before, after, names)
    if not told:
        return by_position(len(before), len(after)), 0
    left, right = _anchors(one, other)
    gap_one, gap_other = _gaps(left, len(one)), _gaps(right, len(other))
    pairs = [(left, right)]
    for within in (True, False):
        rest_one, rest_other = _rest(pairs, len(one), len(other))
        ours, theirs = one[rest_one], other[rest_other]
        if within:
            ours, theirs = _mix(ours, gap_one[rest_one]), _mix(theirs, gap_other[rest_other])
        a, b = _same(ours, theirs)
        pairs.append((rest_one[a], rest_other[b]))
    common = min(len(one), len(other))
    gained = sum(len(a) for a, _ in pairs) - int(np.count_nonzero(one[:common] == other[:common]))
    moved = len(pairs[-1][0])
    rest_one, rest_other = _rest(pairs, len(one), len(other))
    pairs.append(_alike_in_gaps(before, after, told, (rest_one, rest_other), (gap_one, gap_other)))
    a, b = (np.concatenate([pair[side] for pair in pairs]) for side in (0, 1))
    order = np.argsort(a, kind="stable")
    a, b = a[order], b[order]
    return Matched(a, b, len(one) - len(a), len(other) - len(b), by="content", moved=moved), gained


def _fingerprints(before: pd.DataFrame, after: pd.DataFrame, names: Sequence[Any]) -> tuple[Rows, Rows, list[Any]]:
    """A number for each row of both tables, and the columns that it stands for."""
    one, other, told = _mixed(before, after, names)
    if told and np.count_nonzero(np.isin(other, one)) * 2 <= min(len(one), len(other)):
        again = _mixed(before, after, told, only_familiar=True)
        if again[2]:
            return again
    return one, other, told


def _mixed(
    before: pd.DataFrame, after: pd.DataFrame, names: Sequence[Any], *, only_familiar: bool = False
) -> tuple[Rows, Rows, list[Any]]:
    one, other, told = np.zeros(len(before), np.uint64), np.zeros(len(after), np.uint64), []
    for name in names:
        pair = numbered(before[name], after[name], name)
        if pair is not None and (not only_familiar or _familiar(*pair)):
            one, other = _mix(one, pair[0]), _mix(other, pair[1])
            told.append(name)
    return one, other, told


def _familiar(one: Rows, other: Rows) -> bool:
    sample = other[:: max(1, len(other) // SAMPLE)]
    return not len(sample) or float(np.isin(sample, one).mean()) >= FAMILIAR


def _mix(one: Rows, other: Rows) -> Rows:
    """Two numbers to one: multiplied and folded, so that every bit counts."""
    with np.errstate(over="ignore"):
        mixed = (one * SPREAD[0]) ^ (other.astype(np.uint64) * SPREAD[1] + SPREAD[0])
        mixed ^= mixed >> np.uint64(29)
        mixed *= SPREAD[1]
        mixed ^= mixed >> np.uint64(32)
    return mixed


def _anchors(one: Rows, other: Rows) -> tuple[Rows, Rows]:
    """Rows that are there once in each table and stand in the same order, as many as there are."""
    once = [np.unique(side, return_index=True, return_counts=True) for side in (one, other)]
    kept = [(values[counts == 1], places[counts == 1]) for values, places, counts in once]
    _, a, b = np.intersect1d(kept[0][0], kept[1][0], assume_unique=True, return_indices=True)
    left, right = kept[0][1][a], kept[1][1][b]
    order = np.argsort(left)
    left, right = left[order], right[order]
    keep = _longest_rise(right)
    return left[keep], right[keep]


def _longest_rise(values: Rows) -> Rows:
    """The places of a longest run of values that rises."""
    if len(values) < 2 or bool((np.diff(values) > 0).all()):
        return np.arange(len(values))
    tails: list[int] = []  # the least value that a rise of each length ends in, and where that stands
    places: list[int] = []
    before = np.full(len(values), -1)
    for place, value in enumerate(values.tolist()):
        length = bisect_left(tails, value)
        if length:
            before[place] = places[length - 1]
        if length == len(tails):
            tails.append(value)
            places.append(place)
        else:
            tails[length], places[length] = value, place
    found, place = [], places[-1]
    while place >= 0:
        found.append(place)
        place = int(before[place])
    return np.array(found[::-1])


def _gaps(anchors: Rows, rows: int) -> Rows:
    """After how many anchors each row comes."""
    steps = np.zeros(rows, dtype=np.int64)
    steps[np.sort(anchors)] = 1
    return np.cumsum(steps)


def _rest(pairs: list[tuple[Rows, Rows]], rows: int, others: int) -> tuple[Rows, Rows]:
    a, b = (np.concatenate([pair[side] for pair in pairs]) for side in (0, 1))
    return Matched(a, b, 0, 0).only(rows, others)


def _same(one: Rows, other: Rows) -> tuple[Rows, Rows]:
    """Pairs of equal numbers, the first with the first of several."""
    _, a, b = np.intersect1d(_told_apart(one), _told_apart(other), assume_unique=True, return_indices=True)
    return a, b


def _told_apart(values: Rows) -> Rows:
    """Numbers of which equal ones are told apart by how many came before."""
    order = np.argsort(values, kind="stable")
    ranked = values[order]
    begins = np.r_[True, ranked[1:] != ranked[:-1]][: len(values)]
    count = np.arange(len(values))
    count = count - np.maximum.accumulate(np.where(begins, count, 0))
    found = np.empty_like(values)
    found[order] = _mix(ranked, count)
    return found


def _alike_in_gaps(
    before: pd.DataFrame, after: pd.DataFrame, names: Sequence[Any], rest: tuple[Rows, Rows], gaps: tuple[Rows, Rows]
) -> tuple[Rows, Rows]:
    """Of the rows that are left, those of the same gap that are the same row, changed."""
    one, other = rest
    in_gaps = gaps[0][one], gaps[1][other]
    both = np.intersect1d(*in_gaps)
    if not len(both) or not names:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    sides = (before.iloc[one], after.iloc[other])
    pairs = [pair for name in names if (pair := numbered(sides[0][name], sides[1][name], name)) is not None]
    ours, theirs = (np.column_stack([pair[side] for pair in pairs]) for side in (0, 1))
    first, last = ([np.searchsorted(side, both, where) for side in in_gaps] for where in ("left", "right"))
    even = (last[0] - first[0]) == (last[1] - first[1])
    in_even = [even[np.searchsorted(both, side).clip(max=len(both) - 1)] & np.isin(side, both) for side in in_gaps]
    a, b = [one[in_even[0]]], [other[in_even[1]]]
    for x0, x1, y0, y1 in np.column_stack([first[0], last[0], first[1], last[1]])[~even]:
        if (x1 - x0) * (y1 - y0) > LARGEST_GAP:
            i = j = np.arange(min(x1 - x0, y1 - y0))
        else:
            i, j = _most_alike((ours[x0:x1, None, :] == theirs[None, y0:y1, :]).sum(axis=2), len(pairs))
        a.append(one[x0 + i])
        b.append(other[y0 + j])
    return np.concatenate(a), np.concatenate(b)


def _most_alike(same: Rows, of: int) -> tuple[Rows, Rows]:
    """Pairs in the same order with most equal cells together; none of which less than a third of the cells is equal."""
    rows, others = same.shape
    worth = np.where(same * 3 >= of, same, 0)
    best = np.zeros((rows + 1, others + 1), dtype=np.int64)
    for i in range(1, rows + 1):
        taken = best[i - 1, :-1] + worth[i - 1]
        best[i, 1:] = np.maximum.accumulate(np.maximum(taken, best[i - 1, 1:]))
    pairs, i, j = [], rows, others
    while i and j:
        if best[i, j] == best[i - 1, j]:
            i -= 1
        elif best[i, j] == best[i, j - 1]:
            j -= 1
        else:
            i, j = i - 1, j - 1
            pairs.append((i, j))
    found = np.array(pairs[::-1], dtype=np.int64).reshape(-1, 2)
    return found[:, 0], found[:, 1]
