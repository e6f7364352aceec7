"""Difference: what changed between two tables, rows matched by key columns, by position, or by content.

A missing value equals a missing value, whichever of NaN, None, NA and NaT stands for it. Columns whose types differ
are compared by value where their values can be compared: 1 and 1.0 are the same, 1 and "1" are not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from ..domain.data_version import ColumnChange, DataDiff
from ..errors import NotFound
from .comparing import differing
from .identity import ColumnIdentity, Identity, identify
from .matching import Matched, by_content, by_key, by_position, key_of
from .row_examples import choose_rows, examples_of
from .shifts import shifts_of

__all__ = ["Side", "compare", "difference", "seem_apart"]

INDEX = "(index)"


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
        Columns that together name a row in both tables. With none, rows are matched by position; by content where rows
        have come or gone, or a tenth of the rows would have changed in half of the columns, and more rows are equal then.
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
    olds, news = ({c.name: c for c in each.columns} for each in (one, other))
    shared = [name for name in olds if name in news]
    matched_by = ", ".join(map(str, keys)) or "position"
    if one.digest == other.digest:
        return DataDiff(*names, identical=True, rows_before=one.rows, rows_after=other.rows, matched_by=matched_by)
    rows = by_key(before, after, keys, names) if keys else by_position(len(before), len(after))
    in_place = not keys and one.rows == other.rows
    same = {n for n in shared if in_place and (olds[n].digest, olds[n].type) == (news[n].digest, news[n].type)}
    cells, touched = _cells(before, after, rows, [name for name in shared if name not in same])
    whole = len(before) == one.rows
    changed = int(touched.sum())
    apart = changed > 0 if one.rows != other.rows else seem_apart(changed, one.rows, len(cells), len(shared))
    if not keys and whole and apart and {*shared} <= {*before.columns}:
        aligned, gained = by_content(before, after, shared)
        if gained > 0:
            rows, in_place = aligned, False
            cells, touched = _cells(before, after, rows, shared)
            changed = int(touched.sum())
    hint = ""
    columns = sum(bool(differ.any()) for differ in cells.values())
    if not keys and whole and changed * 2 > len(touched) and seem_apart(changed, one.rows, columns, len(shared)):
        hint = f"Most rows differ, matched by {rows.by}: --key {key_of(before, after, shared)} matches them by a key."
    changes = [ColumnChange(str(name), "removed", before=old.type) for name, old in olds.items() if name not in news]
    changes += [ColumnChange(str(name), "added", after=new.type) for name, new in news.items() if name not in olds]
    for name, differ in cells.items():
        changes += _change(olds[name], news[name], int(differ.sum()), before[name], after[name])
    changes += _moved(first, second)
    chosen = choose_rows(cells, *rows.only(len(before), len(after)))
    in_both = list(cells) if in_place else shared
    shown, examples = examples_of(
        (before, after), (rows.before, rows.after), chosen, cells, keys, in_both, (first.places, second.places)
    )
    moved = shifts_of(before, after, [n for n in cells if whole and olds[n].digest != news[n].digest])
    return DataDiff(
        *names,
        identical=False,
        rows_before=one.rows,
        rows_after=other.rows,
        matched_by=rows.by,
        added=rows.added,
        removed=rows.removed,
        changed=changed,
        columns=tuple(changes),
        shown=shown,
        examples=examples,
        shifts=moved,
        moved=rows.moved,
        hint=hint,
    )


def seem_apart(changed: int, rows: int, columns: int, of_columns: int) -> bool:
    """Whether so much differs, matched by position, that rows may rather have come, gone or moved."""
    return changed * 10 > rows and columns * 2 >= of_columns


def _cells(
    before: pd.DataFrame, after: pd.DataFrame, rows: Matched, names: Sequence[Any]
) -> tuple[dict[Any, np.ndarray[Any, Any]], np.ndarray[Any, Any]]:
    """Of columns, in which of the matched rows they differ; and which rows differ at all."""
    touched = np.zeros(len(rows.before), dtype=bool)
    cells: dict[Any, np.ndarray[Any, Any]] = {}
    for name in names:
        cells[name] = differing(before[name].iloc[rows.before], after[name].iloc[rows.after], name)
        touched |= cells[name]
    return cells, touched


def _column(name: str, before: pd.DataFrame, after: pd.DataFrame, names: tuple[str, str]) -> Any:
    """The label of a key column in both tables: a text, or the whole number it is written as."""
    found: Any = name
    for frame, called in zip((before, after), names, strict=True):
        labels = {str(label): label for label in frame.columns}
        if str(name) not in labels:
            raise NotFound.among(f"column in {called} called", str(name), labels)
        found = labels[str(name)]
    return found


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
    if names or not isinstance(index, pd.RangeIndex):
        return names or str(index.dtype)
    return (
        "rows counted"
        + (f" from {index.start}" if index.start else "")
        + (f" by {index.step}" if index.step != 1 else "")
    )


def _listed(labels: list[Any]) -> str:
    shown = ", ".join(str(label) for label in labels[:5])
    return shown if len(labels) <= 5 else f"{shown} and {len(labels) - 5} more"
