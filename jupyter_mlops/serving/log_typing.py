"""Log typing: the raw bodies of a segment's entries as one table, each value in the type of the model's signature."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import orjson

from .log_frames import Entry
from .request import decode, media_type, parse
from .signature import Signature

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

__all__ = ["inputs_of", "predictions_of", "probabilities_of"]


def inputs_of(inputs: str, some: Sequence[Entry]) -> pd.DataFrame:
    """What a model was given, one row a prediction; `inputs` is the signature as MLflow writes it."""
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
    return tables[0] if len(tables) == 1 else pd.concat(tables, ignore_index=True)


def predictions_of(entry: Entry) -> list[Any]:
    """What was answered, one value a row."""
    try:
        data = orjson.loads(entry.response)
    except orjson.JSONDecodeError:
        data = decode(entry.response)
    values = data.get("predictions", data) if isinstance(data, dict) else data
    return values if isinstance(values, list) and len(values) == entry.rows else [values] * entry.rows


def probabilities_of(some: Sequence[Entry], classes: int) -> np.ndarray[Any, Any] | None:
    """The class probabilities, one row a prediction, NaN where an entry has none; None where no entry has any."""
    import numpy as np

    if not classes or not any(entry.probabilities for entry in some):
        return None
    rows = []
    for entry in some:
        values = np.frombuffer(entry.probabilities, dtype="<f8")
        fits = values.size == entry.rows * classes
        rows.append(values.reshape(entry.rows, classes) if fits else np.full((entry.rows, classes), np.nan))
    return np.concatenate(rows)


def _bare(entry: Entry) -> tuple[Any, list[Any]] | None:
    """Rows that can be typed together with others of the same key; None for the rarer shapes."""
    if not entry.content_type.startswith("application/json"):
        return None
    try:
        data = decode(entry.request)
    except Exception:  # `_typed` keeps it as it was sent
        return None
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
