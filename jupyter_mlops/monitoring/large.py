"""Large tables: Parquet datasets, Arrow streams and Dask frames, read so that memory stays within a budget.

A column of a dataset is read alone, and exactly, as long as it fits into the budget several times over; beyond, and for a
stream, which can be read once only, batches become profiles that are merged like a tournament, each pair once a round, so
that an error of the groups of sorted values grows with the logarithm of the number of batches. It is measured, not
estimated, and stands in the report's convention.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..datasets.profile import ColumnProfile, Kind, Profile
from ..errors import InvalidArgument
from .hours import joined
from .sources import SAMPLED, ProfileSource, Source

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

__all__ = ["MEMORY", "DatasetSource", "folded", "large_source", "parse_size"]

MEMORY = 1 << 30  # bytes that the two sides of one column may take together
LARGE = 64 << 20  # a single Parquet file from so many bytes on is read column by column
COPIES = 8  # of a column: as read, in one piece, sorted, and room, on both sides
BATCH_ROWS = 1 << 18
FEWEST_ROWS = 1 << 12  # of a batch, whatever the budget
READ_AHEAD = 2  # batches
SAMPLE_ROWS = 1_000  # that tell how wide a column is
WIDEST_NUMBER = 8  # bytes
SIZES = {
    "": 1,
    "k": 1000,
    "m": 1000**2,
    "g": 1000**3,
    "t": 1000**4,
    "ki": 1 << 10,
    "mi": 1 << 20,
    "gi": 1 << 30,
    "ti": 1 << 40,
}
SMALLEST = 16 << 20  # a budget in bytes that a batch can be read within


def parse_size(text: str) -> int:
    """A size in bytes.

    Raises
    ------
    InvalidArgument
        The text is none, or the size is too small for anything.

    Examples
    --------
    >>> parse_size("2GiB"), parse_size("500 MB")
    (2147483648, 500000000)
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kmgt]i?)?b?", text.strip().lower())
    size = int(float(found[1]) * SIZES[found[2] or ""]) if found else 0
    if size < SMALLEST:
        told = "is no size" if not found else "is too small: at least 16MiB are needed"
        raise InvalidArgument(f"{text!r} {told}.", hint="Write one such as 512MiB or 2GiB.")
    return size


def large_source(given: Any, *, memory: int = MEMORY) -> Source | None:
    """A source for a table that should not be loaded whole; None for any other.

    Parameters
    ----------
    given
        The path of a folder of Parquet files or of a large Parquet file, an Arrow dataset or record batch reader, or
        a Dask DataFrame.
    memory
        The budget in bytes.
    """
    kind = f"{type(given).__module__}.{type(given).__name__}"
    if isinstance(given, (str, Path)):
        return _of_path(Path(given).expanduser(), memory)
    if kind.startswith("pyarrow") and hasattr(given, "to_batches") and hasattr(given, "count_rows"):
        return DatasetSource(given, memory=memory)
    if kind.startswith("pyarrow") and hasattr(given, "read_next_batch"):
        return ProfileSource(folded(_batches(given)))
    if hasattr(given, "npartitions") and hasattr(given, "to_delayed"):
        return ProfileSource(_of_partitions(given))
    return None


class DatasetSource:
    """An Arrow dataset, one column at a time."""

    def __init__(self, dataset: Any, *, memory: int = MEMORY) -> None:
        self._dataset = dataset
        self._memory = memory
        self.rows = int(dataset.count_rows())
        self.names = tuple(str(name) for name in dataset.schema.names)

    def read(self, place: int, like: ColumnProfile | None) -> ColumnProfile:
        """The profile of one column: of all its values at once, or where they are too many of batches merged."""
        name, kind = self.names[place], None if like is None else like.kind
        field = self._dataset.schema.field(place)
        width = self._width(name)
        if self.rows * width * COPIES <= self._memory:
            column = self._dataset.to_table(columns=[name]).column(0)
            array = _one(column)
            del column
            return ColumnProfile.of_arrow(array, name, type_=_type_name(field.type), kind=kind, most=sys.maxsize)
        parts = Tournament()
        size = max(FEWEST_ROWS, min(BATCH_ROWS, self._memory // (width * COPIES * READ_AHEAD)))
        for batch in self._dataset.to_batches(
            columns=[name], batch_size=size, batch_readahead=READ_AHEAD, fragment_readahead=1
        ):
            if batch.num_rows:
                part = ColumnProfile.of_arrow(batch.column(0), name, type_=_type_name(field.type), kind=kind)
                kind = kind or (part.kind if part.present else None)
                parts.add(Profile(part.rows, (part,)))
        whole = parts.result()
        return ColumnProfile(name, "categorical", _type_name(field.type), 0) if whole is None else whole.columns[0]

    def _width(self, name: str) -> int:
        """How many bytes a cell of a column takes, at least a number's, by the first rows."""
        head = self._dataset.head(
            SAMPLE_ROWS, columns=[name], batch_size=SAMPLE_ROWS, batch_readahead=1, fragment_readahead=1
        )
        return max(WIDEST_NUMBER, -(-int(head.nbytes) // max(int(head.num_rows), 1)))

    def sampled(self) -> pd.DataFrame:
        """Rows drawn at random, seeded."""
        import numpy as np

        rows = min(self.rows, SAMPLED)
        places = np.sort(np.random.default_rng(0).choice(self.rows, rows, replace=False))
        found: pd.DataFrame = self._dataset.take(places).to_pandas()
        return found


class Tournament:
    """Profiles of parts, merged in pairs of equally many parts."""

    def __init__(self) -> None:
        self._rounds: list[Profile | None] = []

    def add(self, part: Profile) -> None:
        """Take in the profile of one more part."""
        for i, waiting in enumerate(self._rounds):
            if waiting is None:
                self._rounds[i] = part
                return
            part = joined([waiting, part]) or part
            self._rounds[i] = None
        self._rounds.append(part)

    def result(self) -> Profile | None:
        """The profile of all parts; None of none."""
        return joined([part for part in self._rounds if part is not None])


def folded(batches: Iterable[pa.RecordBatch]) -> Profile:
    """The profile of a stream of record batches, each read once.

    Examples
    --------
    >>> import pyarrow as pa
    >>> batches = pa.table({"n": [1.0, 2.0, 2.0]}).to_batches(max_chunksize=2)
    >>> folded(batches)["n"].counts.tolist()
    [1, 2]
    """
    parts = Tournament()
    kinds: dict[str, Kind] = {}
    names: tuple[str, ...] = ()
    types: list[str] = []
    for batch in batches:
        names = tuple(batch.schema.names)
        types = [_type_name(field.type) for field in batch.schema]
        columns = [
            ColumnProfile.of_arrow(batch.column(i), name, type_=types[i], kind=kinds.get(name))
            for i, name in enumerate(names)
        ]
        kinds |= {c.name: c.kind for c in columns if c.present and c.name not in kinds}
        parts.add(Profile(batch.num_rows, tuple(columns)))
    found = parts.result()
    if found is None:
        return Profile(0, tuple(ColumnProfile(n, "categorical", t, 0) for n, t in zip(names, types, strict=True)))
    return found


def _batches(reader: Any) -> Iterator[pa.RecordBatch]:
    """Record batches put together until they are worth a profile."""
    import pyarrow as pa

    waiting: list[Any] = []
    rows = 0
    for batch in reader:
        waiting.append(batch)
        rows += batch.num_rows
        if rows >= BATCH_ROWS:
            yield from pa.Table.from_batches(waiting).combine_chunks().to_batches()
            waiting, rows = [], 0
    if waiting:
        yield from pa.Table.from_batches(waiting).combine_chunks().to_batches()


def _of_partitions(frame: Any) -> Profile:
    """The profile of a Dask DataFrame: its workers profile the partitions and merge them in pairs."""
    import dask

    profiled = dask.delayed(Profile.of)
    pair = dask.delayed(lambda a, b: joined([a, b]))
    parts = [profiled(part) for part in frame.to_delayed()]
    while len(parts) > 1:
        parts = [pair(parts[i], parts[i + 1]) if i + 1 < len(parts) else parts[i] for i in range(0, len(parts), 2)]
    found: Profile = dask.compute(parts[0])[0]
    return found


def _of_path(path: Path, memory: int) -> Source | None:
    if path.is_dir():
        if not any(path.rglob("*.parquet")):
            raise InvalidArgument(
                f"{path} is a folder without Parquet files.", hint="Give a file, or a folder of Parquet files."
            )
    elif not (path.suffix in (".parquet", ".pq") and path.is_file() and path.stat().st_size >= LARGE):
        return None
    import pyarrow.dataset

    return DatasetSource(pyarrow.dataset.dataset(path, format="parquet"), memory=memory)


def _one(column: Any) -> Any:
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def _type_name(kind: Any) -> str:
    """The logical type as a data version names it."""
    import pyarrow as pa

    names = (
        (
            pa.types.is_floating,
            {"double": "float64", "float": "float32", "halffloat": "float16"}.get(str(kind), "float64"),
        ),
        (pa.types.is_timestamp, f"timestamp[{kind.tz}]" if getattr(kind, "tz", None) else "timestamp"),
        (pa.types.is_duration, "duration"),
        (pa.types.is_date, "date"),
        (pa.types.is_time, "time"),
        (pa.types.is_dictionary, "category[string]"),
        (lambda k: pa.types.is_string(k) or pa.types.is_large_string(k) or pa.types.is_string_view(k), "string"),
        (lambda k: pa.types.is_binary(k) or pa.types.is_large_binary(k), "binary"),
    )
    return next((name for holds, name in names if holds(kind)), str(kind))
