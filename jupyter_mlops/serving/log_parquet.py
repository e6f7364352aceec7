"""Log as Parquet: one stretch of one model version's log as columns in memory, and a closed segment as a Parquet file.

A Parquet file of the log is named as the segment was that it is made of. Inputs stand under their own names, everything
else under ``mlops.``: ``mlops.id``, ``mlops.time``, ``mlops.model``, ``mlops.prediction``, ``mlops.latency_ms``,
``mlops.key``, ``mlops.propensity``, ``mlops.role``, ``mlops.row`` (its number in the segment) and one
``mlops.probability.<class>`` a class. A column whose values have no one type is kept as JSON text.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .log_frames import GAP, Entry, Segment
from .log_typing import inputs_of, predictions_of, probabilities_of

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

__all__ = ["PARQUET_SUFFIX", "Facts", "Part", "facts_of", "part_of", "read_part", "roles_are", "write_part"]

PARQUET_SUFFIX = ".parquet"
METADATA = b"mlops.segment"
PREFIX = "mlops."
PROBABILITY = "mlops.probability."
ROWS_A_GROUP = 100_000
SCHEMA = 1


@dataclass(frozen=True)
class Facts:
    """What a closed segment holds, told without reading it.

    Parameters
    ----------
    rows
        How many answered predictions the segment held when it was closed.
    not_logged
        How many were answered meanwhile and are not in it.
    """

    model: str
    rows: int
    last_ms: int
    sample: float = 1.0
    not_logged: int = 0


@dataclass(frozen=True)
class Part:
    """A stretch of one segment as columns, one row a prediction.

    Parameters
    ----------
    numbers
        Each row's number in its segment.
    """

    model: str
    inputs: pd.DataFrame
    predictions: list[Any]
    ids: list[str]
    times: np.ndarray[Any, Any]
    latencies: np.ndarray[Any, Any]
    keys: list[str | None]
    propensities: np.ndarray[Any, Any]
    roles: list[str]
    numbers: np.ndarray[Any, Any]
    classes: tuple[str, ...] = ()
    probabilities: np.ndarray[Any, Any] | None = None

    def __len__(self) -> int:
        return len(self.ids)

    def where(self, mask: np.ndarray[Any, Any]) -> Part:
        """Only the rows that `mask` is true for."""
        import numpy as np

        if mask.all():
            return self
        chosen = np.flatnonzero(mask)

        def some(values: list[Any]) -> list[Any]:
            return [values[i] for i in chosen]

        return Part(
            self.model,
            self.inputs.iloc[chosen].reset_index(drop=True),
            some(self.predictions),
            some(self.ids),
            self.times[chosen],
            self.latencies[chosen],
            some(self.keys),
            self.propensities[chosen],
            some(self.roles),
            self.numbers[chosen],
            self.classes,
            None if self.probabilities is None else self.probabilities[chosen],
        )


def part_of(segment: Segment, found: Sequence[tuple[int, Entry]]) -> Part | None:
    """Entries of a segment as columns; None where there is no prediction among them."""
    import numpy as np

    found = [(before, e) for before, e in found if e.rows and e.status == 200 and e.role != GAP]
    if not found:
        return None
    some = [entry for _, entry in found]
    rows = [entry.rows for entry in some]
    return Part(
        segment.model,
        inputs_of(segment.inputs, some),
        [value for entry in some for value in predictions_of(entry)],
        [f"{entry.id}-{row}" for entry in some for row in range(entry.rows)],
        np.repeat(np.array([e.time_ms for e in some], dtype=np.int64), rows),
        np.repeat(np.array([e.took_ms for e in some], dtype=np.float64), rows),
        [entry.key or None for entry in some for _ in range(entry.rows)],
        np.repeat(np.array([e.propensity for e in some], dtype=np.float64), rows),
        [entry.role for entry in some for _ in range(entry.rows)],
        np.concatenate([np.arange(before, before + entry.rows, dtype=np.int64) for before, entry in found]),
        segment.classes,
        probabilities_of(some, len(segment.classes)),
    )


def write_part(path: Path, part: Part | None, facts: Facts) -> None:
    """Write a closed segment's rows as Parquet, in one step; None for a segment that holds none."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns: dict[str, Any] = {}
    as_json: list[str] = []
    dtypes: dict[str, str] = {}
    if part is not None:
        for name in part.inputs.columns:
            values = part.inputs[name]
            dtypes[name] = str(values.dtype)
            columns[name] = _array(values.tolist() if values.dtype == object else values, name, as_json)
        columns[PREFIX + "id"] = pa.array(part.ids, pa.string())
        columns[PREFIX + "time"] = pa.array(part.times, pa.timestamp("ms", tz="UTC"))
        columns[PREFIX + "model"] = pa.array([part.model] * len(part), pa.string()).dictionary_encode()
        columns[PREFIX + "prediction"] = _array(part.predictions, PREFIX + "prediction", as_json)
        columns[PREFIX + "latency_ms"] = pa.array(part.latencies)
        columns[PREFIX + "key"] = pa.array(part.keys, pa.string())
        columns[PREFIX + "propensity"] = pa.array(part.propensities)
        columns[PREFIX + "role"] = pa.array(part.roles, pa.string()).dictionary_encode()
        columns[PREFIX + "row"] = pa.array(part.numbers)
        for number, label in enumerate(part.classes if part.probabilities is not None else ()):
            columns[PROBABILITY + label] = pa.array(np.ascontiguousarray(part.probabilities[:, number]))  # type: ignore[index]
    told = {"schema": SCHEMA, **vars(facts), "json": as_json, "dtypes": dtypes}
    table = pa.table(columns).replace_schema_metadata({METADATA: json.dumps(told).encode()})
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    try:
        pq.write_table(table, temporary, row_group_size=ROWS_A_GROUP, compression="zstd")
        temporary.chmod(0o600)
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def facts_of(path: Path) -> Facts:
    """What a Parquet file of the log holds, without reading its rows."""
    return _facts(path, path.stat().st_mtime_ns)


@lru_cache(maxsize=4096)
def _facts(path: Path, _changed: int) -> Facts:
    import pyarrow.parquet as pq

    told = json.loads(pq.read_schema(path).metadata[METADATA])
    return Facts(told["model"], told["rows"], told["last_ms"], told["sample"], told["not_logged"])


def read_part(path: Path) -> Part | None:
    """The rows of a Parquet file of the log, as they were in the segment; None where there are none."""
    import numpy as np
    import pandas as pd
    import pyarrow.parquet as pq

    table = pq.read_table(path)
    told = json.loads(table.schema.metadata[METADATA])
    if not table.num_rows:
        return None

    def values(name: str) -> list[Any]:
        found = table[name].to_pylist()
        return [None if v is None else json.loads(v) for v in found] if name in told["json"] else found

    inputs = {}
    for name, dtype in told["dtypes"].items():
        if dtype == "object":
            inputs[name] = pd.Series(values(name), dtype=object)
        else:
            inputs[name] = table[name].to_pandas().astype(dtype)
    classes = tuple(n.removeprefix(PROBABILITY) for n in table.column_names if n.startswith(PROBABILITY))
    return Part(
        told["model"],
        pd.DataFrame(inputs, index=range(table.num_rows)),
        values(PREFIX + "prediction"),
        values(PREFIX + "id"),
        table[PREFIX + "time"].cast("int64").to_numpy(),
        table[PREFIX + "latency_ms"].to_numpy(),
        values(PREFIX + "key"),
        table[PREFIX + "propensity"].to_numpy(),
        values(PREFIX + "role"),
        table[PREFIX + "row"].to_numpy(),
        classes,
        np.column_stack([table[PROBABILITY + label].to_numpy() for label in classes]) if classes else None,
    )


def _array(values: Any, name: str, as_json: list[str]) -> Any:
    """A column as Arrow; as JSON text where its values are of several types, or of one that would not come back equal."""
    import pyarrow as pa

    if not isinstance(values, list):
        return pa.Array.from_pandas(values)
    kinds = {type(value) for value in values if value is not None}
    if len(kinds) <= 1 and kinds <= {str, bytes, bool, int}:
        try:
            return pa.array(values)
        except (pa.ArrowInvalid, OverflowError):
            pass
    if kinds == {float} and None not in values:
        return pa.array(values, pa.float64(), from_pandas=False)
    as_json.append(name)
    return pa.array([None if v is None else json.dumps(v, default=str) for v in values], pa.string())


def roles_are(part: Part, role: str) -> np.ndarray[Any, Any]:
    """Which rows have this role."""
    import numpy as np

    return np.fromiter((of == role for of in part.roles), dtype=bool, count=len(part))
