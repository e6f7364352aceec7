"""Erasing: where a person stands in a data version, down to unused labels and the chunks that others are patches of.

A version has to be written anew when one of its rows is the person's; when a chunk that it refers to, also as the base
of a patch, holds such a row of another version; or when a label that only the person had is still among a column's
categories. What is written anew shares no bytes with what was there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from .manifest import Manifest, StoredColumn
from .packs import Reader
from .snapshot_reading import read_bases, read_snapshot

__all__ = ["Key", "Traces", "cleaned", "scrubbed", "traces_in"]

Spot = tuple[str, int]
"""A chunk by its pack's name and its offset there."""
ERASED = "[erased]"


@dataclass(frozen=True)
class Key:
    """By what a person is known.

    Parameters
    ----------
    column
        A column, or the name of an index level.
    values
        Texts or numbers; 7, 7.0 and "7" are one in a column of numbers, in a column of texts only the same text counts.
    """

    column: str
    values: tuple[Any, ...]

    @property
    def texts(self) -> set[str]:
        """The values as texts."""
        found = {str(value) for value in self.values}
        return found | {str(int(v)) for v in self.numbers if v.is_integer()} if self._all_numbers else found

    @property
    def numbers(self) -> set[float]:
        """Those that are numbers."""
        found = set()
        for value in self.values:
            try:
                found.add(float(value))
            except (TypeError, ValueError):
                continue
        return found

    @property
    def _all_numbers(self) -> bool:
        return all(isinstance(value, (int, float)) for value in self.values)

    def found_in(self, values: Any) -> np.ndarray[Any, Any]:
        """Which of a column's values are the person's.

        Examples
        --------
        >>> Key("id", ("7",)).found_in(pd.Series([7.0, 70.0, None])).tolist()
        [True, False, False]
        >>> Key("id", ("7",)).found_in(pd.Series(["7", "07", None], dtype="category")).tolist()
        [True, False, False]
        """
        held = pd.Series(values)
        if isinstance(held.dtype, pd.CategoricalDtype):
            labels = self.found_in(held.cat.categories) if len(held.cat.categories) else np.zeros(0, dtype=bool)
            return np.isin(held.cat.codes.to_numpy(), np.flatnonzero(labels))
        missing = held.isna().to_numpy()
        if pd.api.types.is_numeric_dtype(held.dtype) and not pd.api.types.is_bool_dtype(held.dtype):
            same = held.astype("float64").isin(self.numbers).to_numpy()
        else:
            same = held.astype(str).isin(self.texts).to_numpy()
        found: np.ndarray[Any, Any] = same & ~missing
        return found


@dataclass
class Traces:
    """What is known of a person's places over all versions.

    Parameters
    ----------
    spots
        Chunks that hold a row of the person, of whatever column.
    labels
        For each column of categories the labels that the person's rows had.
    """

    spots: set[Spot] = field(default_factory=set)
    labels: dict[Any, set[Any]] = field(default_factory=dict)
    versions: dict[str, int] = field(default_factory=dict)
    """For each version how many of its rows are the person's."""
    tainted: set[str] = field(default_factory=set)
    """Versions whose own bytes hold the person beyond their rows."""

    def touched(self, ref: str, manifest: Manifest) -> bool:
        """Whether a version has to be written anew."""
        if self.versions.get(ref) or ref in self.tainted:
            return True
        return any((pack, place.offset) in self.spots for pack, place in manifest.places()) or any(
            self.labels.get(c.identity.name, set()) & _labels(c) for c in manifest.columns
        )


def traces_in(ref: str, manifest: Manifest, read: Reader, key: Key, traces: Traces) -> bool:
    """Look for a person in one version; whether it has the key's column at all."""
    columns = [c for c in manifest.columns if c.identity.name == key.column]
    if not columns:
        return False
    mask = np.zeros(manifest.rows, dtype=bool)
    frame = read_snapshot(manifest, read, columns=[n for n in manifest.names if n == key.column][:1])
    for values in _layers(frame, key.column):
        mask |= key.found_in(values)
    if mask.any():
        traces.versions[ref] = int(mask.sum())
        starts = np.asarray(manifest.starts())
        segments = set((np.searchsorted(starts, np.flatnonzero(mask), side="right") - 1).tolist())
        for column in manifest.columns:
            for number in segments:
                for place in column.chunks[number].places():
                    traces.spots.add((manifest.packs[place.pack], place.offset))
        named = [c.identity.name for c in manifest.columns[: manifest.count] if c.note.get("dtype") == "category"]
        if named:
            held = read_snapshot(manifest, read, columns=named)
            for name in named:
                column_values = held[name]
                gone = set(column_values[mask].dropna()) - set(column_values[~mask].dropna())
                traces.labels.setdefault(name, set()).update(gone)
    for column in columns:
        traces.labels.setdefault(key.column, set()).update(
            label for label in _labels(column) if key.found_in(pd.Series([label])).any()
        )
        patched = {c.base.address for c in column.chunks if c.base is not None}
        if not patched:
            continue
        # codes of a former list of categories cannot be read by the present one: such a column is written anew
        if column.note.get("dtype") == "category" or any(key.found_in(v).any() for v in read_bases(column, read)):
            traces.tainted.add(ref)
    return True


def cleaned(frame: pd.DataFrame, key: Key, labels: Mapping[Any, Iterable[Any]]) -> tuple[pd.DataFrame, int]:
    """A table without the person's rows and labels, and how many rows went.

    An index that only counts goes on counting.

    Examples
    --------
    >>> frame = pd.DataFrame({"id": [1, 2, 3], "city": pd.Categorical(["Rome", "Oslo", "Rome"])})
    >>> left, gone = cleaned(frame, Key("id", (2,)), {"city": {"Oslo"}})
    >>> gone, left.index.tolist(), left["city"].cat.categories.tolist()
    (1, [0, 1], ['Rome'])
    """
    from .identity import has_meaningful_index

    mask = np.zeros(len(frame), dtype=bool)
    for values in _layers(frame, key.column):
        mask |= key.found_in(values)
    meant = has_meaningful_index(frame.index)
    left = frame.loc[~mask] if mask.any() else frame.copy()
    if not meant:
        left = left.reset_index(drop=True)
    for name, gone in labels.items():
        if name in left.columns and isinstance(left[name].dtype, pd.CategoricalDtype):
            used = set(left[name].dropna())
            drop = [c for c in left[name].cat.categories if c in gone and c not in used]
            if drop:
                left[name] = left[name].cat.remove_categories(drop)
    return left, int(mask.sum())


def scrubbed(told: Any, texts: set[str]) -> Any:
    """JSON-ready data in which nothing is, or speaks of, one of these texts.

    Examples
    --------
    >>> scrubbed({"allowed": ["ada", "bob"], "note": "ada is seen twice"}, {"ada"})
    {'allowed': ['bob'], 'note': '[erased] is seen twice'}
    """
    if isinstance(told, dict):
        return {k: scrubbed(v, texts) for k, v in told.items() if str(k) not in texts}
    if isinstance(told, list):
        return [scrubbed(v, texts) for v in told if not (isinstance(v, (str, int, float)) and str(v) in texts)]
    if isinstance(told, str):
        for text in texts:
            told = told.replace(text, ERASED) if len(text) > 2 or told == text else told
    return told


def _layers(frame: pd.DataFrame, name: str) -> Iterable[Any]:
    """The columns and index levels of a name."""
    for place, column in enumerate(frame.columns):
        if column == name:
            yield frame.iloc[:, place]
    for level, own in enumerate(frame.index.names):
        if own == name:
            yield frame.index.get_level_values(level)


def _labels(column: StoredColumn) -> set[Any]:
    """The categories of a stored column, used or not; none for another kind."""
    if column.note.get("dtype") != "category":
        return set()
    from .columns import categories_of

    return set(categories_of(column.note))
