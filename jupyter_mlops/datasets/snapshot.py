"""Snapshot: a table written as chunks that another version does not have yet; `snapshot_reading` reads it back.

One column is written at a time: what is needed beyond the table itself is at most one column. Threads do what takes
long: hashing the chunks of whole columns, compressing, and reading back. To hand a single chunk's hash or a patch from
thread to thread takes longer than to make it.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from ..domain.on_disk import sync
from ..errors import InvalidArgument
from .abreast import THREADS, abreast
from .chunk import Encoded, address, encode
from .column_hash import BLOCK
from .columns import pack
from .cuts import Anchor, choose_anchor, cut, pair
from .files import describe, layers
from .identity import ColumnIdentity, Identity, is_light
from .manifest import MANIFEST, Manifest, StoredColumn, checksum
from .pack import Pack, Stored, body_of, compress, patch
from .packs import Reader
from .squeeze import squeeze

__all__ = ["Base", "Written", "write_snapshot"]


@dataclass(frozen=True)
class Base:
    """An earlier version to build on: its manifest and a reader of its chunks."""

    manifest: Manifest
    read: Reader


@dataclass(frozen=True)
class Written:
    """What a snapshot has put into its folder.

    Parameters
    ----------
    pack
        The new pack's name, empty where no chunk was new.
    checksum
        Of the manifest's bytes.
    bytes
        What the version added: the pack and the manifest.
    """

    pack: str
    checksum: str
    bytes: int


def write_snapshot(frame: pd.DataFrame, folder: Path, identity: Identity, base: Base | None = None) -> Written:
    """Write a table's manifest, and a pack with the chunks that `base` does not have, into an empty folder.

    Everything is safely on disk when it returns.

    Parameters
    ----------
    identity
        Of this frame, as `identify` gave it.
    """
    if not len(frame.columns):
        raise InvalidArgument("the table has no columns.", hint="Save a table with at least one.")
    writer = _Writer(frame, folder, identity, base)
    writer.plan()
    with ThreadPoolExecutor(THREADS) as pool:
        columns = tuple(writer.column(place, pool) for place in range(len(writer.layers)))
    counted = len(frame.columns)
    # A counted index has a meaning but no values to store.
    told = writer.told[: len(writer.layers)]
    columns = tuple(replace(column, identity=_named(each)) for column, each in zip(columns, told, strict=True))
    found = writer.pack.close()
    shape = {**describe(frame), "means": [list(vars(_named(each)).values())[:4] for each in identity.index]}
    before = () if base is None else base.manifest.packs
    manifest = Manifest(
        identity.digest,
        len(frame),
        tuple(int(n) for n in np.diff([0, *writer.ends])),
        writer.anchor,
        (*before, writer.pack.path.name),
        shape,
        columns,
        counted,
    )
    held = manifest.to_bytes()
    (folder / MANIFEST).write_bytes(held)
    sync(folder / MANIFEST)
    sync(folder)
    size = writer.pack.size if found else 0
    return Written(writer.pack.path.name if found else "", checksum(held), size + len(held))


@dataclass(frozen=True)
class _Plan:
    """A column of which chunks may have to be written.

    Parameters
    ----------
    made
        The column without its chunks.
    former
        What it was in the base, where its chunks can be used.
    addresses
        Of its chunks.
    """

    made: StoredColumn
    column: Encoded
    former: StoredColumn | None
    addresses: list[str]


class _Writer:
    """The columns of one table on their way into a pack."""

    def __init__(self, frame: pd.DataFrame, folder: Path, identity: Identity, base: Base | None) -> None:
        self.layers = layers(frame)
        self.count = len(frame.columns)
        self.told = [*identity.columns, *identity.index]
        self.begins = identity.begins
        self.base = base
        self.pack = Pack(folder / f"{uuid.uuid4().hex}.pack", 0 if base is None else len(base.manifest.packs))
        self._kept: dict[int, Encoded] = {}
        self.anchor = self._anchor(self.count)
        self.former = {} if base is None else _by_key(base.manifest)
        self.ends = self._ends(len(frame))
        self._plans: dict[int, StoredColumn | _Plan] = {}
        self.same_cuts = base is not None and base.manifest.starts()[1:] == self.ends
        self.pairs: list[int | None] = []

    def plan(self) -> None:
        """Find out what there is to write, and which former segment each segment comes from."""
        light = [place for place, (_, values) in enumerate(self.layers) if is_light(values.dtype)]
        sizes = [values.memory_usage(index=False) if isinstance(values, pd.Series) else 0 for _, values in self.layers]
        self._plans = dict(zip(light, abreast(self._planned, light, weight=sizes.__getitem__), strict=True))
        self.pairs = self._pairs()

    def encoded(self, place: int) -> Encoded:
        """A column ready to be cut; those of the anchor are made once."""
        if place in self._kept:
            return self._kept[place]
        name, values = self.layers[place]
        made = encode(values, name)
        if hasattr(self, "anchor") and place in self.anchor.columns:
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
            pairs = [(p, self.former.get(_key(p, self.layers[p][0], self.count))) for p in self.anchor.columns]
            if all(former is not None and self._unchanged(place, former) for place, former in pairs):
                return self.base.manifest.starts()[1:]
        begun = self._begun()
        return [*begun, *cut(self.anchor, self.encoded, rows, begun[-1] if begun else 0)]

    def _begun(self) -> list[int]:
        """The cuts that stand where they stood because the anchor begins as it did; the last one was only its end."""
        if self.base is None or self.anchor.window > 1:
            return []
        formers = [(p, self.former.get(_key(p, self.layers[p][0], self.count))) for p in self.anchor.columns]
        known = min(0 if former is None else self._known(place, former) for place, former in formers)
        return [end for end in self.base.manifest.starts()[1:-1] if end <= known]

    def _known(self, place: int, former: StoredColumn) -> int:
        """How many of a column's first rows its digests say to be those that it had."""
        if self.base is None or place >= len(self.told) or self.told[place].type != former.identity.type:
            return 0
        begin = self.begins[place] if place < min(self.count, len(self.begins)) else ""
        if begin and begin == former.identity.digest:
            return self.base.manifest.rows
        steps = list(zip(self.told[place].steps, former.identity.steps, strict=False))
        return BLOCK * next((n for n, (mine, theirs) in enumerate(steps) if mine != theirs), len(steps))

    def _same_as(self, place: int, former: StoredColumn) -> bool:
        """Whether a column is as it was, found out without looking at its values once more."""
        name, values = self.layers[place]
        if not isinstance(values, pd.Series) or isinstance(values.dtype, pd.CategoricalDtype):
            return False
        if values.dtype == object or not self.same_cuts or not self._unchanged(place, former):
            return False
        shell = encode(values.iloc[:0], name)  # of these types pandas knows nothing that depends on the values
        kind = "" if shell.kind is None else pack(pa.array([], type=shell.kind))
        return (shell.form, shell.dtype, kind, shell.note) == (former.form, former.dtype, former.kind, former.note)

    def _kept_segments(self, place: int, former: StoredColumn, column: Encoded) -> int:
        """How many of the first segments hold what they held, known by the column's digests."""
        if self.base is None or column.form != "plain" or former.note != column.note:
            return 0
        known = self._known(place, former)
        pairs = list(zip(self.base.manifest.starts()[1:], self.ends, strict=False))
        return next((n for n, (one, other) in enumerate(pairs) if one != other or one > known), len(pairs))

    def addresses(self, column: Encoded, first: int = 0) -> list[str]:
        """The addresses of a column's chunks, from the segment `first` on."""
        return [address(column.parts(*span)) for span in list(pairwise([0, *self.ends]))[first:]]

    def _planned(self, place: int) -> StoredColumn | _Plan:
        """A column as it was, or what may have to be written of it."""
        name = self.layers[place][0]
        former = self.former.get(_key(place, name, self.count))
        if former is not None and self._same_as(place, former):
            return former
        column = self.encoded(place)
        kind = "" if column.kind is None else pack(pa.array([], type=column.kind))
        made = StoredColumn(ColumnIdentity(name, "", "", 0), column.form, column.dtype, kind, column.note, ())
        if former is None or not former.like(made):
            return _Plan(made, column, None, self.addresses(column))
        if self.same_cuts and former.note == column.note and self._unchanged(place, former):
            return replace(made, chunks=former.chunks)
        same = self._kept_segments(place, former, column)
        kept = [chunk.address for chunk in former.chunks[:same]]
        return _Plan(made, column, former, [*kept, *self.addresses(column, same)])

    def column(self, place: int, pool: ThreadPoolExecutor) -> StoredColumn:
        """Write one column."""
        plan = self._plans.pop(place, None) or self._planned(place)
        if isinstance(plan, StoredColumn):
            return plan
        column, former, addresses = plan.column, plan.former, plan.addresses
        known = {} if former is None else {chunk.address: chunk for chunk in former.chunks}
        spans = list(pairwise([0, *self.ends]))
        whole = []
        for j in (j for j, each in enumerate(addresses) if each not in known):
            told = None if former is None else self._patched(column, *spans[j], former, j)
            if told is None:
                whole.append(j)
            else:
                known[addresses[j]] = self._put(addresses[j], spans[j], *told)

        def compressed(j: int) -> tuple[Any, int]:
            return compress(squeeze(column, *spans[j]))

        for j, held in zip(whole, _windowed(pool, compressed, whole), strict=True):
            known[addresses[j]] = self._put(addresses[j], spans[j], held)
        return replace(plan.made, chunks=tuple(known[each] for each in addresses))

    def _patched(
        self, column: Encoded, start: int, stop: int, former: StoredColumn, j: int
    ) -> tuple[tuple[Any, int], str, Stored] | None:
        """A segment as a change of the one that it comes from, compressed; None where that is not worth it."""
        at = self.pairs[j]
        if at is None or self.base is None:
            return None
        base = former.chunks[at].base or former.chunks[at]
        held = body_of(base, column.form, column.dtype, self.base.read)
        told = patch(column, start, stop, held, base.rows)
        return None if told is None else (compress(told[1]), told[0], base)

    def _put(
        self, name: str, span: tuple[int, int], held: tuple[Any, int], how: str = "whole", base: Stored | None = None
    ) -> Stored:
        return Stored(name, span[1] - span[0], self.pack.append(*held), how, base)

    def _unchanged(self, place: int, former: StoredColumn) -> bool:
        """Whether the column's digests say that it is what it was."""
        now = self.told[place] if place < len(self.told) else None
        then = former.identity
        return now is not None and (now.type, now.digest, now.missing) == (then.type, then.digest, then.missing)

    def _pairs(self) -> list[int | None]:
        """Which former segment each segment comes from, by the chunks of the first column that they are cut by."""
        if self.base is None or not self.anchor.columns:
            return [None] * len(self.ends)
        if self.same_cuts:
            return list(range(len(self.ends)))
        first = self.anchor.columns[0]
        plan = self._plans[first] = self._plans.get(first) or self._planned(first)
        former = self.former.get(_key(first, self.layers[first][0], self.count))
        # Where the cuts differ no column is found unchanged: it is a plan.
        addresses = plan.addresses if isinstance(plan, _Plan) else [chunk.address for chunk in plan.chunks]
        return pair([chunk.address for chunk in former.chunks] if former else [], addresses)


def _key(place: int, name: Any, count: int) -> Any:
    """What a column or index level is found by in another version."""
    return name if place < count else ("index", place - count)


def _by_key(manifest: Manifest) -> dict[Any, StoredColumn]:
    return {_key(i, c.identity.name, manifest.count): c for i, c in enumerate(manifest.columns)}


def _windowed(pool: ThreadPoolExecutor, work: Callable[[int], Any], places: Sequence[int]) -> Iterator[Any]:
    """Results in order, few of them in memory at a time."""
    waiting: list[Any] = []
    for place in places:
        waiting.append(pool.submit(work, place))
        if len(waiting) > 2 * THREADS:
            yield waiting.pop(0).result()
    for each in waiting:
        yield each.result()


def _named(identity: ColumnIdentity) -> ColumnIdentity:
    name = identity.name
    return replace(identity, name=int(name) if isinstance(name, np.integer) else name)
