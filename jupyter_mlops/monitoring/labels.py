"""Labels: ground truth that came later, joined to the predictions of a log; kept in batches beside it, each written whole or not at all.

A batch is one Parquet file whose name tells when it came, by which request, which times of predictions it covers and how
many rows it has, so that a reading opens only what it needs and a request that is asked again after a crash finds what it
left. A file appears under its name only when all of it is on disk.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..domain.on_disk import sync
from ..domain.performance import Labelled
from ..errors import InvalidArgument

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from ..serving.inference_log import Window

__all__ = ["Labels", "match", "plain"]

FEW, LONGEST_KEY = 3, 60  # of rows without a prediction, so many are named, and so much of each name
NAME = re.compile(r"(\d{13})-([0-9a-zA-Z]+)-(\d+)-(\d+)-(\d+)-(\d+)\.parquet")


@dataclass(frozen=True)
class Batch:
    """One file: when it came, the request, the first and last time of its predictions, how many are new, and its rows."""

    path: Path
    came_ms: int
    request: str
    first_ms: int
    last_ms: int
    new: int
    rows: int


class Labels:
    """The labels of one deployment's predictions.

    Parameters
    ----------
    folder
        Where they are kept; made on first use.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def batches(self) -> list[Batch]:
        """Every batch, in the order in which they came."""
        found: list[Batch] = []
        for path in sorted(self._folder.glob("*.parquet")) if self._folder.is_dir() else ():
            parts = NAME.fullmatch(path.name)
            if parts:
                came, first, last, new, rows = (int(parts[i]) for i in (1, 3, 4, 5, 6))
                batch = Batch(path, came, parts[2], first, last, new, rows)
                if found and (found[-1].came_ms, found[-1].request) == (came, parts[2]):
                    # what `forget` was interrupted in: the one that holds less is the newer
                    found[-1] = min(found[-1], batch, key=lambda b: b.rows)
                else:
                    found.append(batch)
        return found

    def count(self) -> int:
        """How many predictions have a label."""
        return sum(batch.new for batch in self.batches())

    def newest(self) -> int:
        """When the newest batch came, in milliseconds since 1970; each came later than all before it, 0 where there is none."""
        return max((batch.came_ms for batch in self.batches()), default=0)

    def answered_of(self, after_ms: int) -> NDArray[np.int64]:
        """When those predictions were answered whose labels came, or were replaced, after a batch that came at `after_ms`."""
        import pyarrow.parquet as pq

        fresh = [b.path for b in self.batches() if b.came_ms > after_ms]
        times = [pq.ParquetFile(path).read(columns=["time_ms"])["time_ms"].to_numpy() for path in fresh]
        return np.concatenate(times, dtype=np.int64) if times else np.empty(0, np.int64)

    def read(self, since_ms: int = 0, until_ms: int = 1 << 62) -> dict[str, Any]:
        """The label of each labelled prediction that was answered in a stretch, by prediction id; a replaced one is gone."""
        import pyarrow.parquet as pq

        found: dict[str, Any] = {}
        for batch in self.batches():
            if batch.last_ms < since_ms or batch.first_ms >= until_ms or not batch.rows:
                continue
            # ParquetFile, and not read_table: a folder's name is no partition
            table = pq.ParquetFile(batch.path).read()
            times = table["time_ms"].to_numpy()
            inside = (times >= since_ms) & (times < until_ms)
            texts, ids = table["label"].to_pylist(), table["id"].to_pylist()
            known = {text: json.loads(text) for text in set(texts)}
            found.update((ids[i], known[texts[i]]) for i in np.flatnonzero(inside))
        return found

    def add(self, request: str, came_ms: int, window: Window, wanted: dict[str, Any], *, replace_: bool) -> Labelled:
        """Keep labels of predictions that are in `window`; give the counts, the same again for a request that is known.

        Parameters
        ----------
        wanted
            One label for each prediction id.
        replace_
            Whether a label that is there and differs is replaced.
        """
        with self._locked():
            times = window.times.dt.as_unit("ms").astype("int64")
            spans = dict(zip(window.times.index, times, strict=True))
            ids = [id_ for id_ in wanted if id_ in spans]
            first = min((int(spans[i]) for i in ids), default=0)
            last = max((int(spans[i]) for i in ids), default=0)
            before = self.read(first, last + 1) if ids else {}
            again = next((b for b in self.batches() if b.request == request), None)
            if again is not None:
                return Labelled("", 0, new=again.new, replaced=again.rows - again.new, labelled=self.count())
            fresh = [i for i in ids if i not in before]
            known = [i for i in ids if i in before]
            same = [i for i in known if plain(before[i]) == plain(wanted[i])]
            other = [i for i in known if plain(before[i]) != plain(wanted[i])]
            kept = fresh + (other if replace_ else [])
            if kept:
                rows = [(i, json.dumps(wanted[i], ensure_ascii=False), int(spans[i])) for i in kept]
                self._write(request, came_ms, rows, len(fresh))
            delays = [came_ms - int(spans[i]) for i in fresh]
            return Labelled(
                deployment="",
                rows=0,
                new=len(fresh),
                repeated=len(same),
                replaced=len(other) if replace_ else 0,
                conflicting=0 if replace_ else len(other),
                labelled=self.count(),
                delay_ms=float(np.median(delays)) if delays else None,
            )

    def forget(self, answered: Callable[[int, int], Collection[str]]) -> int:
        """Remove the labels of predictions that are in the log no more; how many predictions lost theirs.

        Each file gives way to one without them in one step; asked again after a crash, it goes on.

        Parameters
        ----------
        answered
            Gives the ids of the predictions in the log from a time on until before another.
        """
        import pyarrow.parquet as pq

        if not self._folder.is_dir():
            return 0
        with self._locked():
            gone: set[str] = set()
            counted: set[str] = set()  # a prediction's label is new in the first file that has it
            for batch in self.batches():
                rows = list(zip(*pq.ParquetFile(batch.path).read().to_pydict().values(), strict=True))
                there = set(answered(batch.first_ms, batch.last_ms + 1)) if rows else set()
                left = [row for row in rows if row[0] in there]
                new = len({row[0] for row in left} - counted)
                counted |= {row[0] for row in left}
                gone |= {row[0] for row in rows} - there
                if len(left) < len(rows) or new != batch.new:
                    times = [row[2] for row in left] or [batch.first_ms]
                    put = self._put(batch.came_ms, batch.request, left, (min(times), max(times)), new)
                    if put != batch.path:
                        batch.path.unlink()
            known = {batch.path for batch in self.batches()}
            for path in set(self._folder.glob("*.parquet")) - known:  # what an interrupted one left
                path.unlink()
            sync(self._folder)
        return len(gone)

    def _write(self, request: str, came_ms: int, rows: list[tuple[str, str, int]], new: int) -> None:
        times = [row[2] for row in rows]
        # later ones win, also if clocks go back
        came = max(came_ms, max((b.came_ms + 1 for b in self.batches()), default=0))
        self._put(came, request, rows, (min(times), max(times)), new)

    def _put(
        self, came: int, request: str, rows: list[tuple[str, str, int]], between: tuple[int, int], new: int
    ) -> Path:
        import pyarrow as pa
        import pyarrow.parquet as pq

        ids, labels, times = zip(*rows, strict=True) if rows else ((), (), ())
        table = pa.table(
            {
                "id": pa.array(ids, pa.string()),
                "label": pa.array(labels, pa.string()),
                "time_ms": pa.array(times, pa.int64()),
            }
        )
        name = f"{came:013d}-{request}-{between[0]}-{between[1]}-{new}-{len(rows)}.parquet"
        temporary = self._folder / f".{name}.{os.getpid()}"
        try:
            with temporary.open("wb") as file:
                pq.write_table(table, file)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(self._folder / name)
            sync(self._folder)
        finally:
            temporary.unlink(missing_ok=True)
        return self._folder / name

    @contextmanager
    def _locked(self) -> Iterator[None]:
        import fcntl

        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with (self._folder / "lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


def match(window: Window, table: pd.DataFrame, *, on: str, target: str) -> tuple[dict[str, Any], Labelled]:
    """The label of each prediction that a table names, and what of the table could not be used.

    Parameters
    ----------
    on
        The column that says which predictions a row belongs to: prediction ids if it is called ``id`` or ``mlops.id``;
        the key by which a version was chosen, ``key``; else one of the model's inputs. A key or input belongs to every
        prediction that has it.
    target
        The column of labels.

    Examples
    --------
    >>> import pandas as pd
    >>> from jupyter_mlops.serving.inference_log import Window
    >>> log = Window(pd.DataFrame({"n": [1, 2]}, index=["a-0", "a-1"]), pd.Series([0, 0]), pd.Series([0, 0]), pd.Series([0, 0]))
    >>> match(log, pd.DataFrame({"id": ["a-1", "x"], "y": [1, 1]}), on="id", target="y")[0]
    {'a-1': 1}
    """
    rows, column = len(table), _names(window, on)
    usable = table[[on, target]].dropna()
    keys = [plain(value) for value in usable[on]]
    labels = [_json(value) for value in usable[target]]
    by_key: dict[str, Any] = {}
    torn: set[str] = set()
    duplicate = 0
    for key, label in zip(keys, labels, strict=True):
        if key in by_key:
            duplicate += plain(by_key[key]) == plain(label)
            torn |= set() if plain(by_key[key]) == plain(label) else {key}
        else:
            by_key[key] = label
    wanted: dict[str, Any] = {}
    found: set[str] = set()
    conflicting = 0
    for id_, key in column:
        if key in torn:
            conflicting += 1
            found.add(key)
        elif key in by_key:
            wanted[id_] = by_key[key]
            found.add(key)
    unknown = [key for key in keys if key not in found]
    told = Labelled(
        "",
        rows,
        duplicate=duplicate,
        missing=rows - len(usable),
        conflicting=conflicting,
        unknown=len(unknown),
        strangers=tuple(key[:LONGEST_KEY] for key in dict.fromkeys(unknown))[:FEW],
        on=on,
    )
    return wanted, told


def summed(first: Labelled, second: Labelled) -> Labelled:
    """What the matching told and what the keeping told, together."""
    return replace(
        second,
        rows=first.rows,
        duplicate=first.duplicate,
        missing=first.missing,
        unknown=first.unknown,
        strangers=first.strangers,
        conflicting=first.conflicting + second.conflicting,
        on=first.on,
    )


def plain(value: Any) -> str:
    """A value as the text by which values are compared: a whole number is written alike as integer and as float.

    Examples
    --------
    >>> plain(1.0), plain(True), plain("a"), plain(np.int64(3)), plain(0.5)
    ('1', 'True', 'a', '3', '0.5')
    """
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def _names(window: Window, on: str) -> Iterator[tuple[str, str]]:
    """Every prediction id with what the table names it by."""
    if on in ("id", "mlops.id"):
        return ((str(i), str(i)) for i in window.inputs.index)
    if on in ("key", "mlops.key") and window.keys is not None:
        return ((str(i), str(k)) for i, k in window.keys.items() if k)
    if on in window.inputs.columns:
        return ((str(i), plain(v)) for i, v in window.inputs[on].items())
    known = ["id", "key", *map(str, window.inputs.columns)]
    raise InvalidArgument.unknown(
        "column to join on", on, known, hint="Predictions are known by their id, see `predict`."
    )


def _json(value: Any) -> Any:
    """A label as JSON has it."""
    if isinstance(value, np.generic):
        value = value.item()
    return value if isinstance(value, (bool, int, float, str)) else str(value)
