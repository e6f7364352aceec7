"""Row examples: a few of the rows in which two tables differ, as texts, with the cells that do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from ..domain.data_version import RowExample

__all__ = ["Chosen", "choose_rows", "examples_of"]

EACH = 5  # rows of a kind
COLUMNS = 8
LONGEST = 40  # characters of a cell


@dataclass(frozen=True)
class Chosen:
    """Which rows to show: places among the matched pairs, in the first table, in the second."""

    changed: np.ndarray[Any, Any]
    removed: np.ndarray[Any, Any]
    added: np.ndarray[Any, Any]


def choose_rows(
    cells: Mapping[Any, np.ndarray[Any, Any]], removed: np.ndarray[Any, Any], added: np.ndarray[Any, Any]
) -> Chosen:
    """Of rows in both those with the most cells that differ, of the others the first."""
    differing = [np.asarray(differ, dtype=np.int64) for differ in cells.values() if len(differ)]
    how_many = np.sum(differing, axis=0) if differing else np.zeros(0, dtype=np.int64)
    most = np.argsort(-how_many, kind="stable")[:EACH]
    return Chosen(np.sort(most[how_many[most] > 0]), removed[:EACH], added[:EACH])


def examples_of(
    tables: tuple[pd.DataFrame, pd.DataFrame],
    pairs: tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]],
    chosen: Chosen,
    cells: Mapping[Any, np.ndarray[Any, Any]],
    keys: Sequence[Any],
    in_both: Sequence[Any],
    numbers: tuple[np.ndarray[Any, Any] | None, np.ndarray[Any, Any] | None] = (None, None),
) -> tuple[tuple[str, ...], tuple[RowExample, ...]]:
    """The columns that are shown, changed ones first, and the rows.

    Parameters
    ----------
    pairs
        The places in both tables of the rows that are in both.
    cells
        For columns that differ, in which of those rows.
    keys
        The columns that name a row; they are its label and not shown again.
    in_both
        The columns that may be shown.
    numbers
        What the rows of both tables are called where there are no keys; counted where None.
    """
    before, after = tables
    common = [name for name in in_both if name not in keys]
    counts = {name: int(differ.sum()) for name, differ in cells.items()}
    shown = sorted(common, key=lambda name: -counts.get(name, 0))[:COLUMNS]
    left, right = pairs
    found = []
    for place in chosen.changed:
        was, now = _texts(before, left[place], shown), _texts(after, right[place], shown)
        differs = tuple(i for i, name in enumerate(shown) if name in cells and len(cells[name]) and cells[name][place])
        found.append(RowExample("changed", _label(before, left[place], keys, numbers[0]), was, now, differs))
    found += [
        RowExample("removed", _label(before, p, keys, numbers[0]), before=_texts(before, p, shown))
        for p in chosen.removed
    ]
    found += [
        RowExample("added", _label(after, p, keys, numbers[1]), after=_texts(after, p, shown)) for p in chosen.added
    ]
    return (tuple(map(str, shown)) if found else ()), tuple(found)


def _label(frame: pd.DataFrame, place: Any, keys: Sequence[Any], numbers: np.ndarray[Any, Any] | None) -> str:
    if keys:
        return ", ".join(_texts(frame, place, keys))
    return f"{place if numbers is None else numbers[place]:,}"


def _texts(frame: pd.DataFrame, place: Any, names: Sequence[Any]) -> tuple[str, ...]:
    return tuple(_text(frame[name].iloc[place]) for name in names)


def _text(value: Any) -> str:
    if pd.api.types.is_scalar(value) and pd.isna(value):
        return "missing"
    text = f"{value:.6g}" if isinstance(value, (float, np.floating)) else str(value)
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"
