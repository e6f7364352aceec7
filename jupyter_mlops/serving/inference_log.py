"""The inference log as tables: a window of it holds inputs typed by the model's signature, predictions, ids and times."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from .log_segments import Entry, Segment, count, entries
from .request import decode, media_type, parse
from .signature import Signature

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Window", "count", "read"]


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
    """

    inputs: pd.DataFrame
    predictions: pd.Series
    times: pd.Series
    models: pd.Series

    def __len__(self) -> int:
        return len(self.inputs)

    def to_pandas(self) -> pd.DataFrame:
        """Everything in one table; the columns that are no inputs are ``mlops.prediction``, ``mlops.time`` and ``mlops.model``."""
        return self.inputs.assign(
            **{"mlops.prediction": self.predictions, "mlops.time": self.times, "mlops.model": self.models}
        )


def read(folder: Path, *, last: int | None = None, since_ms: int | None = None) -> Window:
    """Read a stretch of the log in `folder`; writers are not disturbed.

    Parameters
    ----------
    last
        Only the newest rows, as many.
    since_ms
        Only rows answered at or after this time, in milliseconds since 1970.
    """
    import pandas as pd

    found = sorted(
        ((segment, entry) for segment, some in entries(folder, last=last, since_ms=since_ms) for entry in some),
        key=lambda pair: pair[1].time_ms,
    )
    tables = [_table(segment.inputs, some) for segment, some in _runs(found)]
    inputs = pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()
    ids: list[str] = []
    times: list[int] = []
    models: list[str] = []
    predictions: list[Any] = []
    for segment, entry in found:
        ids += [f"{entry.id}-{row}" for row in range(entry.rows)]
        times += [entry.time_ms] * entry.rows
        models += [segment.model] * entry.rows
        predictions += _predictions(entry)
    index = pd.Index(ids, name="id", dtype="object")
    inputs.index = index
    window = Window(
        inputs,
        pd.Series(predictions, index=index, name="prediction", dtype=None if predictions else "object"),
        pd.Series(pd.to_datetime(times, unit="ms", utc=True), index=index, name="time"),
        pd.Series(models, index=index, name="model", dtype="object"),
    )
    if last is not None and len(window) > last:
        return Window(
            *(part.iloc[-last:] if last else part.iloc[:0] for part in vars(window).values()),
        )
    return window


def _runs(found: Sequence[tuple[Segment, Entry]]) -> list[tuple[Segment, list[Entry]]]:
    """Neighbouring entries of one segment together: typing many at once costs as much as typing one."""
    runs: list[tuple[Segment, list[Entry]]] = []
    for segment, entry in found:
        if runs and runs[-1][0].inputs == segment.inputs:
            runs[-1][1].append(entry)
        else:
            runs.append((segment, [entry]))
    return runs


def _table(inputs: str, some: list[Entry]) -> pd.DataFrame:
    """The inputs of entries that one signature types, one row a prediction."""
    import pandas as pd

    signature = _signature(inputs)
    tables: list[pd.DataFrame] = []
    waiting: list[Entry] = []
    held: Any = None
    for entry in [*some, None]:
        bare = None if entry is None else _bare(entry)
        if held is not None and bare is not None and bare[0] == held[0]:
            held[1].extend(bare[1])
            waiting.append(entry)  # type: ignore[arg-type]  # not None where bare is not
            continue
        if held is not None:
            tables.append(_typed_together(held, waiting, signature))
        held, waiting = bare, [] if entry is None else [entry]
        if bare is None and entry is not None:
            tables.append(_typed(entry, signature))
    return pd.concat(tables, ignore_index=True)


def _bare(entry: Entry) -> tuple[Any, list[Any]] | None:
    """Rows that can be typed together with others of the same key; None for the rarer shapes."""
    if not entry.content_type.startswith("application/json"):
        return None
    data = decode(entry.request)
    split, records = data.get("dataframe_split"), data.get("dataframe_records")
    if isinstance(split, dict) and isinstance(split.get("data"), list) and len(split["data"]) == entry.rows:
        return ("split", tuple(split.get("columns") or ())), split["data"]
    if isinstance(records, list) and len(records) == entry.rows:
        return ("records",), records
    return None


def _typed_together(held: tuple[Any, list[Any]], some: list[Entry], signature: Signature | None) -> pd.DataFrame:
    import pandas as pd

    key, rows = held
    try:
        frame = pd.DataFrame(rows, columns=list(key[1]) or None) if key[0] == "split" else pd.DataFrame(rows)
        return _named(frame if signature is None else signature.enforce(signature.cast(frame)), len(rows))
    except Exception:  # what fits alone may not fit together: two ways of writing a date
        return pd.concat([_typed(entry, signature) for entry in some], ignore_index=True)


def _typed(entry: Entry, signature: Signature | None) -> pd.DataFrame:
    """One entry by the server's own code; what that cannot read (it once could) is kept as it was sent."""
    import pandas as pd

    try:
        data = parse(entry.request, media_type(entry.content_type), signature)
        return _named(data if signature is None else signature.enforce(data), entry.rows)
    except Exception:
        return pd.DataFrame({"request": [entry.request.decode(errors="replace")] * entry.rows})


def _named(data: Any, rows: int) -> pd.DataFrame:
    import numpy as np
    import pandas as pd

    if isinstance(data, np.ndarray) and data.ndim > 2:
        data = data.reshape(len(data), -1)
    if isinstance(data, dict) and all(np.isscalar(value) for value in data.values()):
        data = [data]
    frame = data if isinstance(data, pd.DataFrame) else pd.DataFrame(data)
    if len(frame) != rows:
        raise ValueError("the model answered another number of rows than it was asked")
    return frame.rename(columns=str).reset_index(drop=True)


def _signature(inputs: str) -> Signature | None:
    try:
        return Signature.parse(inputs)
    except ValueError:  # nested columns: read as they were sent
        return None


def _predictions(entry: Entry) -> list[Any]:
    try:
        data = orjson.loads(entry.response)
    except orjson.JSONDecodeError:
        data = decode(entry.response)
    values = data.get("predictions", data) if isinstance(data, dict) else data
    return values if isinstance(values, list) and len(values) == entry.rows else [values] * entry.rows
