"""Training data: what a model may keep of the personal columns of the table it was fitted on: none of their values."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd

from .kinds import KINDS, words_of
from .masking import mask_column
from .searching import found_in

__all__ = ["PersonalColumns", "look_in", "suspicious"]

FIRST = 5  # rows that a model's example may hold: all are looked at
LOOKED_AT = 200  # rows beside them, evenly spread
SHORT = 4  # characters up to which a text stands in any file by chance
LONG = 1e12  # from which a number in a column of any name may be a card's
ADDRESS_OR_NUMBER = re.compile(r"@|(?:\d\D?){7}")


@dataclass(frozen=True)
class PersonalColumns:
    """The personal columns of a training table.

    Parameters
    ----------
    kinds
        By column the kind of personal data, ``declared`` where only a data version says so.
    inside
        Columns whose texts contain it among other words.
    key
        Gives the workspace's key for hashes.
    """

    kinds: Mapping[str, str]
    inside: frozenset[str]
    key: Callable[[], bytes]

    @property
    def whole(self) -> list[str]:
        """The columns whose cells are it; of the others' texts the words without it may be kept."""
        return [name for name in self.kinds if name not in self.inside]

    def masked(self, rows: Any) -> Any:
        """The rows with stand-ins for what is personal: a hash for a text, one digit of a number, the year of a date."""
        if isinstance(rows, pd.DataFrame):
            made = rows.copy()
            for place, label in enumerate(rows.columns):
                if str(label) in self.kinds:
                    made.isetitem(place, self._cells(rows.iloc[:, place], str(label)))
            return made
        if isinstance(rows, pd.Series):
            return self._cells(rows, next(iter(self.kinds)))
        frame = pd.DataFrame(rows).infer_objects()
        frame.columns = [f"x{i}" for i in range(frame.shape[1])]
        return self.masked(frame).to_numpy(dtype=object).reshape(rows.shape)

    def learnt(self, training: Any, holds: Callable[[str], bool]) -> list[str]:
        """The columns of which a model holds values, as `holds` says of some texts of each."""
        table = _as_table(training)
        found = []
        for place, label in enumerate(() if table is None else table.columns):
            if str(label) in self.kinds and table is not None:
                texts = [text for text in table.iloc[:LOOKED_AT, place] if isinstance(text, str) and len(text) > SHORT]
                if any(holds(text) for text in texts[:FIRST]):
                    found.append(str(label))
        return found

    def others(self, categories: Mapping[str, Any], learnt: Collection[str]) -> dict[str, Any]:
        """Of the categories of a table's columns those that may be kept: of columns that are not personal, or that the
        model holds anyway and cannot do without.
        """
        return {name: kept for name, kept in categories.items() if name not in self.kinds or name in learnt}

    def _cells(self, cells: pd.Series[Any], name: str) -> Any:
        from ..check import Column

        if cells.dtype.kind == "b":  # leads to nobody
            return cells
        if cells.dtype.kind in "iuf":
            return _coarse(cells)
        column = Column(0, name, cells, cells.name)
        return mask_column(column, self.kinds[name], self.key(), inside=name in self.inside).to_numpy(dtype=object)


def look_in(training: Any, declared: Collection[str], key: Callable[[], bytes]) -> PersonalColumns | None:
    """The personal columns of what a model was fitted on, None for none.

    The first five rows and 200 spread over the table are looked at, as `found_in` does; a column of numbers only where
    its name says something or its first number is as long as a card's.

    Parameters
    ----------
    training
        A DataFrame, a Series of texts or an array.
    declared
        Columns that data versions declare as personal.

    Examples
    --------
    >>> table = pd.DataFrame({"age": [31, 47, 22], "mail": ["a@x.org", "b@x.org", "c@y.net"]})
    >>> look_in(table, ["age"], bytes).kinds
    {'age': 'declared', 'mail': 'email'}
    """
    frame = _as_table(training)
    if frame is None or not len(frame):
        return None
    said = {str(name) for name in declared}
    places = [i for i, held in enumerate(_may_hold(frame)) if held or str(frame.columns[i]) in said]
    if not places:
        return None
    from ..check import Subject

    last = len(frame) - 1
    rows = np.unique(np.r_[0 : min(FIRST, last + 1), np.linspace(0, last, min(LOOKED_AT, last + 1)).astype(int)])
    kinds: dict[str, str] = {}
    inside = set()
    for column in Subject(frame.iloc[rows, places]).columns:
        found = found_in(column)
        if found is not None:
            kinds[column.name] = found.kind
            inside |= {column.name} if found.inside else set()
        elif column.name in said:
            kinds[column.name] = "declared"
    return PersonalColumns(kinds, frozenset(inside), key) if kinds else None


def suspicious(name: str, labels: Collection[str]) -> bool:
    """Whether labels that are about to be stored hold personal data: addresses and numbers, by `found_in`.

    Examples
    --------
    >>> suspicious("remark", ["fine", "ask ada@example.org"]), suspicious("remark", ["fine", "none"])
    (True, False)
    """
    if not any(map(ADDRESS_OR_NUMBER.search, labels)):
        return False
    from ..check import Subject

    (column,) = Subject(pd.DataFrame({name: list(labels)})).columns
    return found_in(column) is not None


def _as_table(training: Any) -> pd.DataFrame | None:
    """What can hold texts or names as a table; None for a plain array of numbers."""
    if isinstance(training, pd.DataFrame):
        return training
    if isinstance(training, pd.Series):
        return training.to_frame(str(training.name) if training.name is not None else "x0")
    if getattr(getattr(training, "dtype", None), "kind", "") not in ("O", "U") or getattr(training, "ndim", 0) > 2:
        return None
    frame = pd.DataFrame(training)
    frame.columns = [f"x{i}" for i in range(frame.shape[1])]
    return frame


def _may_hold(frame: pd.DataFrame) -> list[bool]:
    """For each column whether it is worth a look: numbers rarely are."""
    kinds = [getattr(dtype, "kind", "O") for dtype in frame.dtypes]
    hinted = [
        kind not in "bcmV" and (kind not in "iufM" or _hinted(str(name)))
        for kind, name in zip(kinds, frame.columns, strict=True)
    ]
    numbers = [i for i, kind in enumerate(kinds) if kind in "iuf" and not hinted[i]]
    first = frame.iloc[:1, numbers].to_numpy(dtype=float, na_value=np.nan)[0] if numbers else ()
    for place, number in zip(numbers, first, strict=True):
        hinted[place] = bool(number >= LONG)
    return hinted


@lru_cache(maxsize=4096)
def _hinted(name: str) -> bool:
    called = words_of(name)
    return any(kind.hint is not None and kind.hint.search(called) for kind in KINDS)


def _coarse(cells: pd.Series[Any]) -> pd.Series[Any]:
    """Numbers with their first digit alone."""

    def one_digit(value: Any) -> Any:
        if not np.isfinite(value):
            return value
        digit, _, power = f"{abs(value):e}".partition("e")
        return int(digit[0]) * 10 ** int(power) * (-1 if value < 0 else 1)

    return cells.map(one_digit, na_action="ignore").astype(cells.dtype)
