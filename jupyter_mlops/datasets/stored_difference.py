"""Stored difference: what changed between two data versions, reading only the chunks that they do not share."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..domain.data_version import DataDiff
from .difference import Side, compare, seem_apart
from .manifest import Manifest, StoredColumn
from .opened import Opened
from .shifts import LEAST, distance
from .snapshot_reading import read_snapshot

__all__ = ["stored_difference"]


def stored_difference(before: Opened, after: Opened) -> DataDiff | None:
    """What changed, rows matched by position; None where the whole tables have to be read for it.

    Where both were cut alike, a segment whose chunks are the same ones is the same in both and is not read.
    """
    one, other = before.manifest, after.manifest
    if one is None or other is None:
        return None
    first, second = one.identity(), other.identity()
    if first.digest != second.digest and (one.rows != other.rows or first.index != second.index):
        return None
    theirs = {column.identity.name: column for column in other.columns[: other.count]}
    pairs = [(c, theirs[c.identity.name]) for c in one.columns[: one.count] if c.identity.name in theirs]
    pairs = [(a, b) for a, b in pairs if (a.identity.type, a.identity.digest) != (b.identity.type, b.identity.digest)]
    if first.digest == second.digest:
        pairs = []
    places = list(range(len(one.segments)))
    rows, numbers = one.rows, None
    if one.segments == other.segments:
        places = [j for j in places if any(not _shared(a, b, j) for a, b in pairs)]
        starts = one.starts()
        numbers = np.concatenate([np.arange(starts[j], starts[j + 1]) for j in places] or [np.arange(0)])
        one, other = _part(one, places), _part(other, places)
    elif not pairs:
        one, other = _part(one, []), _part(other, [])
    names = [a.identity.name for a, _ in pairs]
    sides = [
        Side(
            read_snapshot(manifest, opened.packs.of(manifest), columns=names),
            identity,
            manifest.shape["labelled"],
            numbers,
        )
        for manifest, opened, identity in ((one, before, first), (other, after, second))
    ]
    if one.rows < rows:
        share = one.rows / rows
        far = (share * (distance(sides[0].frame[name], sides[1].frame[name]) or 0.0) for name in names)
        if any(each >= LEAST for each in far):  # to say from where to where, all rows are needed
            return None
    found = compare(*sides, names=(before.version.ref, after.version.ref))
    partly = one.rows < rows or len(names) < len(theirs)
    if partly and seem_apart(found.changed, rows, len(names), len(theirs)):
        return None  # which takes all of both to see
    return found


def _shared(a: StoredColumn, b: StoredColumn, segment: int) -> bool:
    """Whether two columns are the same in a segment: the same bytes, read in the same way."""
    return a.like(b) and a.note == b.note and a.chunks[segment].address == b.chunks[segment].address


def _part(manifest: Manifest, segments: list[int]) -> Manifest:
    """Only some segments of a table, without its index."""
    columns = tuple(
        replace(column, chunks=tuple(column.chunks[j] for j in segments))
        for column in manifest.columns[: manifest.count]
    )
    rows = tuple(manifest.segments[j] for j in segments)
    shape = {**manifest.shape, "index": None}
    return replace(manifest, rows=sum(rows), segments=rows, shape=shape, columns=columns)
