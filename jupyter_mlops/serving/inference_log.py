"""The inference log as tables: a window of it holds inputs typed by the model's signature, predictions, ids and times."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .log_frames import ANSWERED, SEGMENT_SUFFIX, SHADOW, Entry, Segment, segment_paths
from .log_parquet import PARQUET_SUFFIX, Part, facts_of, part_of, read_part, roles_are

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

__all__ = ["Window", "count", "end_of", "read", "read_after", "read_shadow"]

SETTLED_NS = 60_000_000_000  # a segment that begins is on disk well within this


@dataclass(frozen=True)
class Window:
    """What a deployment was asked and what it answered, one row a prediction, oldest first.

    Parameters
    ----------
    inputs
        What the model was given, by column, in the types of its signature; indexed by prediction id. Columns that were
        sent and that the model does not take are left out. For a model trained on arrays the columns are ``"0"``, ``"1"``...
    predictions
        What it answered.
    times
        When, in UTC.
    models
        Which model version answered each row: ``clf@7``.
    probabilities
        The class probabilities, one column a class, NaN where a row has none; None where no row has any.
    latency_ms
        How long the whole request took that the row came in, from body to answer.
    keys
        By what the choice of the version was made sticky; None where by nothing.
    propensities
        With which probability this version was chosen, from above 0 to 1.
    """

    inputs: pd.DataFrame
    predictions: pd.Series
    times: pd.Series
    models: pd.Series
    probabilities: pd.DataFrame | None = None
    latency_ms: pd.Series | None = None
    keys: pd.Series | None = None
    propensities: pd.Series | None = None

    def __len__(self) -> int:
        return len(self.inputs)

    def where(self, mask: Any) -> Window:
        """Only the rows that `mask`, one boolean a row, is true for."""
        return self._each(lambda part: part[mask])

    def newest(self, rows: int) -> Window:
        """Only so many of the newest rows."""
        return self._each(lambda part: part.iloc[max(len(self) - rows, 0) :])

    def to_pandas(self) -> pd.DataFrame:
        """Everything in one table; the columns that are no inputs are ``mlops.prediction``, ``mlops.time`` and so on."""
        named = {
            "mlops.prediction": self.predictions,
            "mlops.time": self.times,
            "mlops.model": self.models,
            "mlops.latency_ms": self.latency_ms,
            "mlops.key": self.keys,
            "mlops.propensity": self.propensities,
        }
        table = self.inputs.assign(**{name: column for name, column in named.items() if column is not None})
        if self.probabilities is None:
            return table
        return table.join(self.probabilities.add_prefix("mlops.probability."))

    def _each(self, change: Callable[[Any], Any]) -> Window:
        parts: dict[str, Any] = {field.name: getattr(self, field.name) for field in fields(self)}
        changed: dict[str, Any] = {name: None if part is None else change(part) for name, part in parts.items()}
        return Window(**changed)


def read(
    folder: Path,
    *,
    last: int | None = None,
    since_ms: int | None = None,
    until_ms: int | None = None,
    models: Collection[str] | None = None,
) -> Window:
    """Read a stretch of the log in `folder`; writers are not disturbed.

    Parameters
    ----------
    last
        Only the newest rows, as many.
    since_ms
        Only rows answered at or after this time, in milliseconds since 1970.
    until_ms
        Only rows answered before this time.
    models
        Only rows that these model versions answered: ``{"clf@7"}``.
    """
    parts: dict[str, Part] = {}
    newest: list[np.ndarray[Any, Any]] = []
    for stored in sorted(_stored(folder), key=lambda s: (s.last_ms, s.name), reverse=True):
        if models is not None and stored.model not in models:
            continue
        if since_ms is not None and stored.last_ms < since_ms:
            break
        if last is not None and stored.last_ms < _cutoff(newest, last):
            break
        part = stored.part(since_ms, until_ms, last)
        if part is None:
            continue
        parts[stored.name] = part
        newest.append(part.times)
    window = _window([parts[name] for name in sorted(parts)])
    if last is not None and len(window) > last:
        return window.newest(last)
    return window


def read_after(folder: Path, position: str = "") -> tuple[Window, str]:
    """What was answered since an earlier reading, each row once, and the position to go on from the next time.

    Parameters
    ----------
    position
        What the earlier reading gave; empty for the log's beginning.

    Notes
    -----
    Rows are given when they are found, which is the order of their times within one server process; a row that another
    process has written a little later than its time is given with the next reading.
    """
    parts, position = _rest(folder, position, typed=True)
    return _window(parts), position


def end_of(folder: Path) -> str:
    """The position from which `read_after` gives only what is answered from now on; no row is read for it."""
    return _rest(folder, "", typed=False)[1]


def _rest(folder: Path, position: str, *, typed: bool) -> tuple[list[Part], str]:
    """What was answered since `position`, where it is wanted typed, and how far that goes."""
    state = json.loads(position) if position else {}
    floor, done = str(state.get("floor", "")), {str(k): tuple(v) for k, v in state.get("open", {}).items()}
    parts: list[Part] = []
    open_: dict[str, tuple[int, int]] = {}
    settled = True  # whether every segment so far is closed and read to its end
    for stored in sorted(_stored(folder), key=lambda s: s.name):
        if stored.name <= floor:
            continue
        rows, offset = done.get(stored.name, (0, 0))
        part, rows, offset, closed = stored.rest(rows, offset, typed=typed)
        if part is not None:
            parts.append(part)
        settled = settled and closed and _begun_ns(stored.name) < time.time_ns() - SETTLED_NS
        if settled:
            floor = stored.name
        else:
            open_[stored.name] = (rows, offset)
    return parts, json.dumps({"floor": floor, "open": open_})


def read_shadow(folder: Path, *, since_ms: int | None = None) -> Window:
    """What shadows would have answered; the ids are those of the requests that were copied."""
    parts = []
    for stored in sorted(_stored(folder), key=lambda s: s.name):
        if since_ms is not None and stored.last_ms < since_ms:
            continue
        part = stored.part(since_ms, role=SHADOW)
        if part is not None:
            parts.append(part)
    return _window(parts)


def count(folder: Path) -> int:
    """How many answered predictions the log holds."""
    return sum(stored.rows for stored in _stored(folder))


class _Stored:
    """A segment at rest, raw or as Parquet; which of the two may change while one reads."""

    def __init__(self, folder: Path, name: str) -> None:
        self.name = name
        self._parquet = folder / f"{name}{PARQUET_SUFFIX}"
        self.raw: Segment | None = None
        try:
            facts = facts_of(self._parquet)
            self.model, self.rows, self.last_ms = facts.model, facts.rows, facts.last_ms
        except FileNotFoundError:
            self.raw = Segment.open(folder / f"{name}{SEGMENT_SUFFIX}")
            if self.raw is None:
                raise
            self.model = self.raw.model
            self.rows, self.last_ms = self.raw.last()

    def part(
        self, since_ms: int | None = None, until_ms: int | None = None, last: int | None = None, role: str = ANSWERED
    ) -> Part | None:
        """Its rows of one role and stretch; of a raw segment no more is typed than is wanted."""
        since, until = since_ms or 0, 1 << 62 if until_ms is None else until_ms
        if self.raw is not None:
            try:
                found = [
                    pair for pair in self.raw.entries()[0] if pair[1].role == role and since <= pair[1].time_ms < until
                ]
                return part_of(self.raw, found if last is None else _newest(found, last))
            except FileNotFoundError:  # it has become Parquet
                pass
        import numpy as np

        part = _gone(self._parquet)
        if part is None:
            return None
        part = part.where(roles_are(part, role) & (part.times >= since) & (part.times < until))
        if last is not None and len(part) > last:
            part = part.where(part.numbers >= np.sort(part.numbers)[len(part) - last] if last else part.numbers < 0)
        return part if len(part) else None

    def rest(self, rows: int, offset: int, *, typed: bool) -> tuple[Part | None, int, int, bool]:
        """The answered rows after the first `rows`; how many there are and where they end; whether that is all there will be."""
        part = None
        if self.raw is not None:
            try:
                closed = not self.raw.writing()
                found, end = self.raw.entries(offset)
                part = part_of(self.raw, found) if typed else None
                after = found[-1][0] + found[-1][1].counted if found else rows
                return (None if part is None else part.where(roles_are(part, ANSWERED))), after, end, closed
            except FileNotFoundError:
                pass
        if typed:
            part = _gone(self._parquet)
        if part is not None:
            part = part.where(roles_are(part, ANSWERED) & (part.numbers >= rows))
        return part, self.rows, offset, True


def _gone(path: Path) -> Part | None:
    try:
        return read_part(path)
    except FileNotFoundError:  # too old to be kept
        return None


def _stored(folder: Path) -> Iterator[_Stored]:
    names = {path.stem for path in segment_paths(folder)}
    names |= {p.stem for p in folder.glob(f"*{PARQUET_SUFFIX}") if p.name[0] != "."} if folder.is_dir() else set()
    for name in names:
        try:
            yield _Stored(folder, name)
        except FileNotFoundError:  # not begun yet, or removed meanwhile
            continue


def _begun_ns(name: str) -> int:
    return int(name.partition("-")[0])


def _cutoff(newest: Sequence[np.ndarray[Any, Any]], last: int) -> int:
    """What is older than this is not among the `last` newest of these times."""
    import numpy as np

    if sum(len(times) for times in newest) < last or not last:
        return 0 if last else 1 << 62
    times = np.concatenate(newest)
    return int(np.partition(times, len(times) - last)[len(times) - last])


def _newest(found: list[tuple[int, Entry]], last: int) -> list[tuple[int, Entry]]:
    """The newest entries with as many rows; the oldest of them may bring some more."""
    rows = taken = 0
    while rows < last and taken < len(found):
        taken += 1
        rows += found[-taken][1].rows
    return found[len(found) - taken :]


def _window(parts: Sequence[Part]) -> Window:
    """Parts as one window, in the order of their times."""
    import numpy as np
    import pandas as pd

    parts = [part for part in parts if len(part)]
    times = np.concatenate([p.times for p in parts]) if parts else np.array([], dtype=np.int64)
    order = np.argsort(times, kind="stable")
    ids = [i for part in parts for i in part.ids]
    index = pd.Index([ids[i] for i in order], name="id", dtype="object")

    def column(values: Any, name: str, dtype: Any = None) -> pd.Series:
        listed = [value for part in values for value in part]
        return pd.Series(
            [listed[i] for i in order], index=index, name=name, dtype=dtype if listed or dtype else "object"
        )

    inputs = pd.concat([p.inputs for p in parts], ignore_index=True).iloc[order] if parts else pd.DataFrame()
    inputs.index = index
    return Window(
        inputs,
        column([p.predictions for p in parts], "prediction"),
        pd.Series(pd.to_datetime(times[order], unit="ms", utc=True), index=index, name="time"),
        column([[p.model] * len(p) for p in parts], "model", "object"),
        _probabilities(parts, order, index),
        column([p.latencies for p in parts], "latency_ms", "float64"),
        column([p.keys for p in parts], "key", "object"),
        column([p.propensities for p in parts], "propensity", "float64"),
    )


def _probabilities(parts: Sequence[Part], order: Any, index: pd.Index) -> pd.DataFrame | None:
    import pandas as pd

    if not any(part.probabilities is not None for part in parts):
        return None
    tables = [
        pd.DataFrame(index=range(len(part)))
        if part.probabilities is None
        else pd.DataFrame(part.probabilities, columns=list(part.classes))
        for part in parts
    ]
    table: pd.DataFrame = pd.concat(tables, ignore_index=True).iloc[order]
    table.index = index
    return table
