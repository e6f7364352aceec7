"""Difference: what changed between two tables, rows matched by key columns or by position.

A missing value equals a missing value, whichever of NaN, None, NA and NaT stands for it. Columns whose types differ
are compared by value where their values can be compared: 1 and 1.0 are the same, 1 and "1" are not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from ..domain.data_version import ColumnChange, DataDiff
from ..errors import InvalidArgument, NotFound
from .columns import to_arrow
from .identity import ColumnIdentity, Identity, identify
from .row_examples import choose_rows, examples_of
from .shifts import shifts_of

__all__ = ["Side", "compare", "difference"]

INDEX = "(index)"


@dataclass(frozen=True)
class Matched:
    """Which row of the one table is which of the other."""

    before: np.ndarray[Any, Any]
    after: np.ndarray[Any, Any]
    removed: int
    added: int

    def only(self, rows_before: int, rows_after: int) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
        """The rows that are in the first table alone, and in the second alone."""
        gone, new = np.ones(rows_before, dtype=bool), np.ones(rows_after, dtype=bool)
        gone[self.before] = False
        new[self.after] = False
        return np.flatnonzero(gone), np.flatnonzero(new)


@dataclass(frozen=True)
class Side:
    """One of two tables that are compared.

    Parameters
    ----------
    frame
        Its rows and columns; of those that are the same in both sides any may be left out of both, where both have as
        many rows and these are matched by position.
    identity
        Of the whole table.
    label
        What its columns together are called.
    places
        Which rows of the whole table are there, where not all are.
    """

    frame: pd.DataFrame
    identity: Identity
    label: Any = None
    places: np.ndarray[Any, Any] | None = None

    @classmethod
    def of(cls, frame: pd.DataFrame) -> Side:
        """A table that is there."""
        return cls(frame, identify(frame), frame.columns.name)


def difference(
    before: pd.DataFrame, after: pd.DataFrame, *, key: Sequence[str] = (), names: tuple[str, str] = ("before", "after")
) -> DataDiff:
    """What changed from one table to another.

    Parameters
    ----------
    key
        Columns that together name a row in both tables; none matches rows by position.
    names
        What the tables are called.

    Raises
    ------
    NotFound
        A key column is not in both tables.
    InvalidArgument
        A key is missing in a row, names two rows, or is of types that do not compare.

    Examples
    --------
    >>> a = pd.DataFrame({"id": [1, 2, 3], "x": [0.5, None, 2.0]})
    >>> b = pd.DataFrame({"id": [2, 3, 4], "x": [None, 2.5, 3.0]})
    >>> d = difference(a, b, key=["id"])
    >>> d.added, d.removed, d.changed, d.columns[0].name, d.columns[0].cells
    (1, 1, 1, 'x', 1)
    """
    return compare(Side.of(before), Side.of(after), key=key, names=names)


def compare(
    first: Side, second: Side, *, key: Sequence[str] = (), names: tuple[str, str] = ("before", "after")
) -> DataDiff:
    """As `difference`, of tables of which not everything need be there."""
    before, after, one, other = first.frame, second.frame, first.identity, second.identity
    keys = [_column(name, before, after, names) for name in key]
    matched_by = ", ".join(map(str, keys)) or "position"
    if one.digest == other.digest:
        return DataDiff(*names, identical=True, rows_before=one.rows, rows_after=other.rows, matched_by=matched_by)
    rows = _by_key(before, after, keys, names) if keys else _by_position(len(before), len(after))
    olds, news = ({c.name: c for c in each.columns} for each in (one, other))
    changes = [ColumnChange(str(name), "removed", before=old.type) for name, old in olds.items() if name not in news]
    changes += [ColumnChange(str(name), "added", after=new.type) for name, new in news.items() if name not in olds]
    touched = np.zeros(len(rows.before), dtype=bool)
    cells: dict[Any, np.ndarray[Any, Any]] = {}
    for name in [name for name in olds if name in news]:
        in_place = not keys and one.rows == other.rows
        if in_place and olds[name].digest == news[name].digest and olds[name].type == news[name].type:
            continue
        differ = cells[name] = _differing(before[name].iloc[rows.before], after[name].iloc[rows.after], name)
        touched |= differ
        changes += _change(olds[name], news[name], int(differ.sum()), before[name], after[name])
    changes += _moved(first, second)
    in_both = [name for name in olds if name in (cells if not keys and one.rows == other.rows else news)]
    chosen = choose_rows(cells, *rows.only(len(before), len(after)))
    shown, examples = examples_of(
        (before, after), (rows.before, rows.after), chosen, cells, keys, in_both, (first.places, second.places)
    )
    whole = len(before) == one.rows
    moved = shifts_of(before, after, [n for n in cells if whole and olds[n].digest != news[n].digest])
    return DataDiff(
        *names,
        identical=False,
        rows_before=one.rows,
        rows_after=other.rows,
        matched_by=matched_by,
        added=rows.added,
        removed=rows.removed,
        changed=int(touched.sum()),
        columns=tuple(changes),
        shown=shown,
        examples=examples,
        shifts=moved,
    )


def _column(name: str, before: pd.DataFrame, after: pd.DataFrame, names: tuple[str, str]) -> Any:
    """The label of a key column in both tables: a text, or the whole number it is written as."""
    found: Any = name
    for frame, called in zip((before, after), names, strict=True):
        labels = {str(label): label for label in frame.columns}
        if str(name) not in labels:
            raise NotFound.among(f"column in {called} called", str(name), labels)
        found = labels[str(name)]
    return found


def _by_position(before: int, after: int) -> Matched:
    common = np.arange(min(before, after))
    return Matched(common, common, removed=max(0, before - after), added=max(0, after - before))


def _by_key(before: pd.DataFrame, after: pd.DataFrame, keys: list[Any], names: tuple[str, str]) -> Matched:
    sides = []
    for frame, called in zip((before, after), names, strict=True):
        side = frame[keys].reset_index(drop=True)
        shown = ", ".join(map(str, keys))
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
                hint="Choose columns that name each row once, or leave --key out to match rows by position.",
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
    return Matched(rows_before, rows_after, len(before) - len(both), len(after) - len(both))


def _change(
    old: ColumnIdentity, new: ColumnIdentity, cells: int, before: pd.Series[Any], after: pd.Series[Any]
) -> list[ColumnChange]:
    name = str(old.name)
    if old.type != new.type:
        return [ColumnChange(name, "retyped", old.type, new.type, cells)]
    if isinstance(before.dtype, pd.CategoricalDtype) and isinstance(after.dtype, pd.CategoricalDtype):
        was, now = list(before.dtype.categories), list(after.dtype.categories)
        if was != now:
            return [ColumnChange(name, "categories", _listed(was), _listed(now), cells)]
    return [ColumnChange(name, "changed", cells=cells)] if cells else []


def _moved(before: Side, after: Side) -> list[ColumnChange]:
    had, has = ([column.name for column in side.identity.columns] for side in (before, after))
    was = [name for name in had if name in set(has)]
    now = [name for name in has if name in set(had)]
    moved = [
        ColumnChange(str(name), "moved", f"place {was.index(name) + 1}", f"place {place + 1}")
        for place, name in enumerate(now)
        if was[place] != name
    ]
    if before.label != after.label:
        moved.append(ColumnChange("(columns)", "renamed", str(before.label), str(after.label)))
    if before.identity.index != after.identity.index:
        moved.append(ColumnChange(INDEX, "changed", _of_index(before.frame.index), _of_index(after.frame.index)))
    return moved


def _of_index(index: pd.Index[Any]) -> str:
    names = ", ".join(str(name) for name in index.names if name is not None)
    return names or ("rows counted" if isinstance(index, pd.RangeIndex) else str(index.dtype))


def _listed(labels: list[Any]) -> str:
    shown = ", ".join(str(label) for label in labels[:5])
    return shown if len(labels) <= 5 else f"{shown} and {len(labels) - 5} more"


def _differing(before: pd.Series[Any], after: pd.Series[Any], name: Any) -> np.ndarray[Any, Any]:
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
