"""Draft: a table about to become a version: its identity, and which of its chunks an earlier version has already.

A column is looked at once: what finds out its digest finds out the addresses of its chunks while its values are still near
the processor. What is not near costs as much to fetch as to hash.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from ..errors import InvalidArgument
from .abreast import abreast
from .chunk import Encoded, addresses, encode
from .column_hash import STEP
from .columns import pack
from .cuts import Anchor, choose_anchor, cut, pair
from .files import layers
from .identity import ColumnIdentity, identify_begun, identify_index, identity_of, is_light
from .manifest import Manifest, StoredColumn
from .packs import Reader

__all__ = ["Base", "Draft", "Plan"]


@dataclass(frozen=True)
class Base:
    """An earlier version to build on: its manifest and a reader of its chunks."""

    manifest: Manifest
    read: Reader


@dataclass(frozen=True)
class Plan:
    """A column of which chunks may have to be written.

    Parameters
    ----------
    made
        The column without its chunks.
    column
        Its values, ready to be cut.
    former
        What it was in the base, where its chunks can be used.
    addresses
        Of its chunks.
    """

    made: StoredColumn
    column: Encoded
    former: StoredColumn | None
    addresses: list[str]


class Draft:
    """A table, identified, and cut where it will be.

    Parameters
    ----------
    frame
        The table; it must not change before it is written.
    base
        An earlier version to build on.

    Attributes
    ----------
    identity
        The table's.
    layers
        What has values to store, see `files.layers`.
    told
        The identity of each of these, and of levels of an index that have none.
    ends
        Where segments end, the last at the table's end.
    pairs
        Which former segment each segment comes from.

    Raises
    ------
    InvalidArgument
        The table has no columns, or one that a data version cannot hold.

    Examples
    --------
    >>> from jupyter_mlops.datasets.identity import identify
    >>> frame = pd.DataFrame({"x": range(50_000), "y": "a"})
    >>> draft = Draft(frame)
    >>> draft.identity == identify(frame), draft.ends[-1]
    (True, 50000)
    """

    def __init__(self, frame: pd.DataFrame, base: Base | None = None) -> None:
        if not len(frame.columns):
            raise InvalidArgument("the table has no columns.", hint="Save a table with at least one.")
        self.frame = frame
        self.base = base
        self.layers = layers(frame)
        self.count = len(frame.columns)
        self._former = {} if base is None else _by_key(base.manifest)
        self._kept: dict[int, Encoded] = {}
        self._found: dict[int, tuple[ColumnIdentity, str]] = {}
        self._plans: dict[int, StoredColumn | Plan] = {}
        self.anchor = self._anchor(self.count)
        levels = identify_index(frame)
        self._found.update({self.count + at: (level, "") for at, level in enumerate(levels)})
        light = [place for place in range(self.count) if is_light(self.layers[place][1].dtype)]
        self._abreast(self._identify, [place for place in light if place in self.anchor.columns])
        for place in self.anchor.columns:
            self._identify(place)
        self.ends = self._ends(len(frame))
        self._same_cuts = base is not None and base.manifest.starts()[1:] == self.ends
        self._abreast(self._look, light)
        for place in range(self.count):
            self._identify(place)
        self.told = [self._found[place][0] for place in range(len(self._found))]
        self.identity = identity_of(frame, self.told[: self.count], levels)
        self.pairs = self._pairs()

    def _abreast(self, work: Callable[[int], None], places: Iterable[int]) -> None:
        columns = list(self.frame.items())
        abreast(work, places, weight=lambda place: columns[place][1].memory_usage(index=False))

    def _identify(self, place: int) -> None:
        if place not in self._found:
            name, values = self.layers[place]
            mark = 0 if self.base is None else self.base.manifest.rows
            self._found[place] = identify_begun(values, name, mark)

    def _look(self, place: int) -> None:
        """Identify a column that needs no memory beside it, and see what of it is new."""
        self._identify(place)
        self._plans[place] = self._planned(place)

    def plan(self, place: int) -> StoredColumn | Plan:
        """A column as it was in the base, or what may have to be written of it; to be asked for once."""
        return self._plans.pop(place, None) or self._planned(place)

    def encoded(self, place: int) -> Encoded:
        """A column ready to be cut; those of the anchor are made once."""
        if place in self._kept:
            return self._kept[place]
        name, values = self.layers[place]
        made = encode(values, name)
        if place in self.anchor.columns:
            self._kept[place] = made
        return made

    def _anchor(self, count: int) -> Anchor:
        if self.base is not None:
            names = [c.identity.name for c in self.base.manifest.columns]
            mine = {name: place for place, (name, _) in enumerate(self.layers[:count])}
            wanted = [names[place] for place in self.base.manifest.anchor.columns]
            if all(name in mine for name in wanted):
                return Anchor(tuple(mine[name] for name in wanted), self.base.manifest.anchor.window)
        # Columns that cost nothing to look at come first; texts only where no number tells rows apart.
        cheap = {
            p: encode(v, n)
            for p, (n, v) in enumerate(self.layers[:count])
            if isinstance(v.dtype, np.dtype) and v.dtype != object
        }
        found = choose_anchor(cheap)
        if found.window == 1:
            return found
        rest = {}
        for place, (name, values) in enumerate(self.layers[:count]):
            if place not in cheap:
                sample = pd.Series(values).iloc[
                    np.linspace(0, max(len(values) - 1, 0), min(len(values), 2048)).astype(int)
                ]
                rest[place] = encode(sample, name)
        other = choose_anchor(rest) if rest else found
        if other.window == 1 or not cheap:
            return other
        return found

    def _ends(self, rows: int) -> list[int]:
        """Where segments end: an anchor that has not changed is cut where it was."""
        if self.base is not None and self.base.manifest.rows == rows:
            pairs = [(p, self._former.get(_key(p, self.layers[p][0], self.count))) for p in self.anchor.columns]
            if all(former is not None and self._unchanged(place, former) for place, former in pairs):
                return self.base.manifest.starts()[1:]
        begun = self._begun()
        return [*begun, *cut(self.anchor, self.encoded, rows, begun[-1] if begun else 0)]

    def _begun(self) -> list[int]:
        """The cuts that stand where they stood because the anchor begins as it did; the last one was only its end."""
        if self.base is None or self.anchor.window > 1:
            return []
        formers = [(p, self._former.get(_key(p, self.layers[p][0], self.count))) for p in self.anchor.columns]
        known = min(0 if former is None else self._known(place, former) for place, former in formers)
        return [end for end in self.base.manifest.starts()[1:-1] if end <= known]

    def _known(self, place: int, former: StoredColumn) -> int:
        """How many of a column's first rows its digests say to be those that it had."""
        now, begin = self._found[place]
        if self.base is None or now.type != former.identity.type:
            return 0
        if begin and begin == former.identity.digest:
            return self.base.manifest.rows
        steps = list(zip(now.steps, former.identity.steps, strict=False))
        return STEP * next((n for n, (mine, theirs) in enumerate(steps) if mine != theirs), len(steps))

    def _same_as(self, place: int, former: StoredColumn) -> bool:
        """Whether a column is as it was, found out without looking at its values once more."""
        name, values = self.layers[place]
        if not isinstance(values, pd.Series) or isinstance(values.dtype, pd.CategoricalDtype):
            return False
        if values.dtype == object or not self._same_cuts or not self._unchanged(place, former):
            return False
        shell = encode(values.iloc[:0], name)  # of these types pandas knows nothing that depends on the values
        kind = "" if shell.kind is None else pack(pa.array([], type=shell.kind))
        return (shell.form, shell.dtype, kind, shell.note) == (former.form, former.dtype, former.kind, former.note)

    def _kept_segments(self, place: int, former: StoredColumn, column: Encoded) -> int:
        """How many of the first segments hold what they held, known by the column's digests."""
        if self.base is None or column.form == "arrow" or former.note != column.note:
            return 0
        known = self._known(place, former)
        pairs = list(zip(self.base.manifest.starts()[1:], self.ends, strict=False))
        return next((n for n, (one, other) in enumerate(pairs) if one != other or one > known), len(pairs))

    def _addresses(self, column: Encoded, first: int = 0) -> list[str]:
        """The addresses of a column's chunks, from the segment `first` on."""
        return addresses(column, list(pairwise([0, *self.ends]))[first:])

    def _planned(self, place: int) -> StoredColumn | Plan:
        """A column as it was, or what may have to be written of it."""
        name = self.layers[place][0]
        former = self._former.get(_key(place, name, self.count))
        if former is not None and self._same_as(place, former):
            return former
        column = self.encoded(place)
        kind = "" if column.kind is None else pack(pa.array([], type=column.kind))
        made = StoredColumn(ColumnIdentity(name, "", "", 0), column.form, column.dtype, kind, column.note, ())
        if former is None or not former.like(made):
            return Plan(made, column, None, self._addresses(column))
        if self._same_cuts and former.note == column.note and self._unchanged(place, former):
            return replace(made, chunks=former.chunks)
        same = self._kept_segments(place, former, column)
        kept = [chunk.address for chunk in former.chunks[:same]]
        return Plan(made, column, former, [*kept, *self._addresses(column, same)])

    def _unchanged(self, place: int, former: StoredColumn) -> bool:
        """Whether the column's digests say that it is what it was."""
        now, then = self._found[place][0], former.identity
        return (now.type, now.digest, now.missing) == (then.type, then.digest, then.missing)

    def _pairs(self) -> list[int | None]:
        """Which former segment each segment comes from, by the chunks of the first column that they are cut by."""
        if self.base is None or not self.anchor.columns:
            return [None] * len(self.ends)
        if self._same_cuts:
            return list(range(len(self.ends)))
        first = self.anchor.columns[0]
        plan = self._plans[first] = self._plans.get(first) or self._planned(first)
        former = self._former.get(_key(first, self.layers[first][0], self.count))
        # Where the cuts differ no column is found unchanged: it is a plan.
        addresses = plan.addresses if isinstance(plan, Plan) else [chunk.address for chunk in plan.chunks]
        return pair([chunk.address for chunk in former.chunks] if former else [], addresses)


def _key(place: int, name: Any, count: int) -> Any:
    """What a column or index level is found by in another version."""
    return name if place < count else ("index", place - count)


def _by_key(manifest: Manifest) -> dict[Any, StoredColumn]:
    return {_key(i, c.identity.name, manifest.count): c for i, c in enumerate(manifest.columns)}
