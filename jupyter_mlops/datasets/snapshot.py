"""Snapshot: a table written as chunks that another version does not have yet; `snapshot_reading` reads it back.

One column is written at a time: what is needed beyond the table itself is at most one column. Threads do what takes
long: hashing whole columns (see `draft`), compressing, and reading back. To hand a single chunk's hash or a patch from
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

from ..domain.on_disk import sync
from .abreast import THREADS
from .chunk import Encoded
from .draft import Draft
from .files import describe
from .identity import ColumnIdentity
from .manifest import MANIFEST, Manifest, StoredColumn, checksum
from .pack import Pack, Stored, body_of, compress, patch
from .squeeze import squeeze

__all__ = ["Written", "write_snapshot"]


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


def write_snapshot(draft: Draft, folder: Path) -> Written:
    """Write a table's manifest, and a pack with the chunks that its base does not have, into an empty folder.

    Everything is safely on disk when it returns.
    """
    writer = _Writer(draft, folder)
    with ThreadPoolExecutor(THREADS) as pool:
        columns = tuple(writer.column(place, pool) for place in range(len(draft.layers)))
    # A counted index has a meaning but no values to store.
    told = draft.told[: len(draft.layers)]
    columns = tuple(replace(column, identity=_named(each)) for column, each in zip(columns, told, strict=True))
    found = writer.pack.close()
    levels = [list(vars(_named(each)).values())[:4] for each in draft.identity.index]
    before = () if draft.base is None else draft.base.manifest.packs
    manifest = Manifest(
        draft.identity.digest,
        draft.identity.rows,
        tuple(int(n) for n in np.diff([0, *draft.ends])),
        draft.anchor,
        (*before, writer.pack.path.name),
        {**describe(draft.frame), "means": levels},
        columns,
        draft.count,
    )
    held = manifest.to_bytes()
    (folder / MANIFEST).write_bytes(held)
    sync(folder / MANIFEST)
    sync(folder)
    size = writer.pack.size if found else 0
    return Written(writer.pack.path.name if found else "", checksum(held), size + len(held))


class _Writer:
    """The columns of one table on their way into a pack."""

    def __init__(self, draft: Draft, folder: Path) -> None:
        self._draft = draft
        self._spans = list(pairwise([0, *draft.ends]))
        number = 0 if draft.base is None else len(draft.base.manifest.packs)
        self.pack = Pack(folder / f"{uuid.uuid4().hex}.pack", number)

    def column(self, place: int, pool: ThreadPoolExecutor) -> StoredColumn:
        """Write one column."""
        plan = self._draft.plan(place)
        if isinstance(plan, StoredColumn):
            return plan
        column, former, named = plan.column, plan.former, plan.addresses
        known = {} if former is None else {chunk.address: chunk for chunk in former.chunks}
        spans = self._spans
        whole = []
        for j in (j for j, each in enumerate(named) if each not in known):
            told = None if former is None else self._patched(column, *spans[j], former, j)
            if told is None:
                whole.append(j)
            else:
                known[named[j]] = self._put(named[j], spans[j], *told)

        def compressed(j: int) -> tuple[Any, int]:
            return compress(squeeze(column, *spans[j]))

        for j, held in zip(whole, _windowed(pool, compressed, whole), strict=True):
            known[named[j]] = self._put(named[j], spans[j], held)
        return replace(plan.made, chunks=tuple(known[each] for each in named))

    def _patched(
        self, column: Encoded, start: int, stop: int, former: StoredColumn, j: int
    ) -> tuple[tuple[Any, int], str, Stored] | None:
        """A segment as a change of the one that it comes from, compressed; None where that is not worth it."""
        at, built_on = self._draft.pairs[j], self._draft.base
        if at is None or built_on is None:
            return None
        base = former.chunks[at].base or former.chunks[at]
        held = body_of(base, column.form, column.dtype, built_on.read)
        told = patch(column, start, stop, held, base.rows)
        return None if told is None else (compress(told[1]), told[0], base)

    def _put(
        self, name: str, span: tuple[int, int], held: tuple[Any, int], how: str = "whole", base: Stored | None = None
    ) -> Stored:
        return Stored(name, span[1] - span[0], self.pack.append(*held), how, base)


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
