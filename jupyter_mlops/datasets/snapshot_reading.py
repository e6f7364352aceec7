"""Reading of snapshots: the very table that was written, every chunk checked against its address."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from .abreast import THREADS
from .columns import restore, restore_codes, unpack
from .files import assemble
from .manifest import Manifest, StoredColumn
from .pack import body_of
from .packs import Reader

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["read_bases", "read_snapshot"]


def read_snapshot(manifest: Manifest, read: Reader, *, columns: Sequence[Any] | None = None) -> pd.DataFrame:
    """Read a table back, every chunk checked against its address.

    Parameters
    ----------
    columns
        Only these columns, by name; the index comes in any case.

    Raises
    ------
    IntegrityFailure
        A chunk is gone or not what was stored.
    """
    wanted = range(manifest.count) if columns is None else [manifest.names.index(name) for name in columns]
    starts = manifest.starts()
    with ThreadPoolExecutor(THREADS) as pool:
        columns_read = [manifest.columns[place] for place in wanted] + list(manifest.columns[manifest.count :])
        found = [_restored(column, starts, read, pool) for column in columns_read]
        every = [finish() for finish in found]
    values, levels = every[: len(wanted)], every[len(wanted) :]
    notes = [manifest.columns[place].note for place in wanted]
    names = [manifest.names[place] for place in wanted]
    level_notes = [column.note for column in manifest.columns[manifest.count :]]
    return assemble(
        manifest.shape,
        names,
        list(zip(values, notes, strict=True)),
        list(zip(levels, level_notes, strict=True)),
        manifest.rows,
    )


def _restored(column: StoredColumn, starts: list[int], read: Reader, pool: ThreadPoolExecutor) -> Callable[[], Any]:
    """Begin to read a column; what is given back waits for it and gives the pandas array that was saved."""
    spans = list(pairwise(starts))
    share = -(-len(spans) // THREADS) or 1
    plain = column.form == "plain"
    values = np.empty(starts[-1] if plain else 0, dtype=column.dtype if plain else "u1")

    def some(first: int) -> list[Any]:
        found = []
        for j in range(first, min(first + share, len(spans))):
            into = values[spans[j][0] : spans[j][1]] if plain else None
            body = body_of(column.chunks[j], column.form, column.dtype, read, into)
            found.append(body.missing if plain else body.values)  # noqa: PD011 no pandas
        return found

    jobs = [pool.submit(some, first) for first in range(0, len(spans), share)]

    def finish() -> Any:
        pieces = [piece for job in jobs for piece in job.result()]
        jobs.clear()  # what a column was read in is let go of before the next is put together
        return _of_numbers(column, values, pieces, spans) if plain else _of_arrays(column, pieces)

    return finish


def read_bases(column: StoredColumn, read: Reader) -> Iterator[Any]:
    """The chunks that a column's chunks are patches of, as pandas arrays; they may hold rows that no version has any more."""
    known = {chunk.base.address: chunk.base for chunk in column.chunks if chunk.base is not None}
    missing = column.note.get("missing")
    plain_note = {**column.note, "missing": {"kind": "None"}} if isinstance(missing, dict) else column.note
    there = replace(column, note=plain_note)
    for base in known.values():
        body = body_of(base, column.form, column.dtype, read)
        if column.form == "plain":
            yield _of_numbers(there, body.values, [body.missing], [(0, base.rows)])
        else:
            yield _of_arrays(there, [body.values])  # noqa: PD011 no pandas


def _of_arrays(column: StoredColumn, pieces: list[pa.Array]) -> Any:
    kind = unpack(column.kind).type
    storage = kind.storage_type if isinstance(kind, pa.BaseExtensionType) else kind
    if not pieces:
        return restore(pa.array([], type=kind), column.note)
    whole = pa.chunked_array(pieces)
    if column.form == "arrow" and whole.type != storage:
        whole = whole.cast(storage)
    return restore(_extended(whole.combine_chunks(), kind), column.note)


def _of_numbers(
    column: StoredColumn, values: np.ndarray[Any, Any], masks: list[Any], spans: list[tuple[int, int]]
) -> Any:
    if column.note["dtype"] == "category":
        return restore_codes(values, column.note)
    if not column.kind:
        return values
    missing = None
    if any(mask is not None for mask in masks):
        missing = np.zeros(len(values), dtype=bool)
        for (start, stop), mask in zip(spans, masks, strict=True):
            if mask is not None:
                missing[start:stop] = mask
    kind = unpack(column.kind).type
    storage = kind.storage_type if isinstance(kind, pa.BaseExtensionType) else kind
    array = pa.array(values, mask=missing)
    if array.type != storage:
        array = array.view(storage)
    return restore(_extended(array, kind), column.note)


def _extended(array: pa.Array, kind: pa.DataType) -> pa.Array:
    if isinstance(array, pa.ChunkedArray):
        array = array.combine_chunks()
    return pa.ExtensionArray.from_storage(kind, array) if isinstance(kind, pa.BaseExtensionType) else array
