"""Frames for property tests: columns drawn as plain values, and the many ways in which pandas can hold each of them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from hypothesis import strategies as st

Build = Callable[[list[Any]], pd.Series]


def objects(values: list[Any]) -> pd.Series:
    held = np.empty(len(values), dtype=object)
    held[:] = values
    return pd.Series(held, dtype=object)


def as_dtype(dtype: Any) -> Build:
    return lambda values: pd.Series(values, dtype=dtype)


def chunked(kind: pa.DataType) -> Build:
    """In Arrow, in two pieces, the first of them a slice of something longer."""

    def build(values: list[Any]) -> pd.Series:
        half = len(values) // 2
        longer = pa.array([*values[:half], *values], type=kind)
        pieces = [longer.slice(0, half), longer.slice(2 * half)]
        return pd.Series(pd.arrays.ArrowExtensionArray(pa.chunked_array(pieces, type=kind)))

    return build


def strided(dtype: str, empty: Any) -> Build:
    """Every second value of an array twice as long, in the other byte order."""

    def build(values: list[Any]) -> pd.Series:
        wide = np.array([empty if v is None else v for v in values for _ in (0, 1)], dtype=dtype)
        return pd.Series(wide[::2])

    return build


def moments(unit: str, zone: str | None) -> Build:
    def build(values: list[Any]) -> pd.Series:
        series = pd.Series(pd.to_datetime(pd.Series(values, dtype=object), utc=zone is not None)).dt.as_unit(unit)
        return series if zone is None else series.dt.tz_convert(zone)

    return build


@dataclass(frozen=True)
class Kind:
    """A logical type: how to draw values, how to hold them with and without missing ones, and another value."""

    arrow: pa.DataType
    cells: st.SearchStrategy[Any]
    builds: tuple[Build, ...]
    whole_builds: tuple[Build, ...] = ()
    other: Callable[[Any], Any] = lambda value: value


SIXTY_FOUR = st.integers(-(2**63), 2**63 - 1)
FLOATS = st.floats(allow_nan=False)
TEXTS = st.text(st.characters(exclude_categories=("Cs",)), max_size=6)
MOMENTS = st.datetimes(dt.datetime(1700, 1, 1), dt.datetime(2200, 1, 1))  # noqa: DTZ001 drawn without a zone

KINDS: dict[str, Kind] = {
    "whole": Kind(
        pa.int64(),
        SIXTY_FOUR,
        (as_dtype("Int64"), as_dtype("int64[pyarrow]"), chunked(pa.int64()), objects),
        (as_dtype("int64"), strided(">i8", 0)),
        lambda v: v - 1 if v > 0 else v + 1,
    ),
    "float": Kind(
        pa.float64(),
        FLOATS,
        (as_dtype("float64"), as_dtype("Float64"), chunked(pa.float64()), strided(">f8", np.nan), objects),
        other=lambda v: 1.0 if v != 1 else 2.0,
    ),
    "truth": Kind(
        pa.bool_(),
        st.booleans(),
        (as_dtype("boolean"), chunked(pa.bool_()), objects),
        (as_dtype("bool"),),
        other=lambda v: not v,
    ),
    "text": Kind(
        pa.string(),
        TEXTS,
        (
            objects,
            as_dtype("str"),
            as_dtype("string[python]"),
            as_dtype("string[pyarrow]"),
            chunked(pa.string()),
            chunked(pa.large_string()),
        ),
        other=lambda v: v + "x",
    ),
    "moment": Kind(
        pa.timestamp("us"),
        MOMENTS,
        (moments("us", None), moments("ns", None), chunked(pa.timestamp("us"))),
        other=lambda v: v + dt.timedelta(microseconds=1),
    ),
    "zoned": Kind(
        pa.timestamp("us", "Europe/Berlin"),
        MOMENTS.map(lambda v: v.replace(tzinfo=dt.UTC)),
        (moments("us", "Europe/Berlin"), moments("ns", "Europe/Berlin"), chunked(pa.timestamp("us", "Europe/Berlin"))),
        other=lambda v: v + dt.timedelta(microseconds=1),
    ),
    "duration": Kind(
        pa.duration("us"),
        st.timedeltas(dt.timedelta(-1000), dt.timedelta(1000)),
        (as_dtype("timedelta64[us]"), as_dtype("timedelta64[ns]"), chunked(pa.duration("us"))),
        other=lambda v: v + dt.timedelta(microseconds=1),
    ),
    "date": Kind(
        pa.date32(),
        st.dates(),
        (objects, chunked(pa.date32())),
        other=lambda v: dt.date.fromordinal(v.toordinal() % 3_000_000 + 1),
    ),
}


@dataclass(frozen=True)
class Drawn:
    """A table as plain values: for each column its name, kind, values and which two ways to hold it."""

    columns: tuple[tuple[str, str, list[Any], Build, Build], ...]

    def frame(self, way: int) -> pd.DataFrame:
        held = {name: (one, other)[way](values) for name, _, values, one, other in self.columns}
        return pd.DataFrame(held)


def in_arrow(columns: list[tuple[str, str, list[Any]]]) -> pd.DataFrame:
    """Columns of names, kinds and values, each held in Arrow."""
    return pd.DataFrame({name: chunked(KINDS[key].arrow)(values) for name, key, values in columns})


@st.composite
def tables(draw: st.DrawFn, *, least_rows: int = 0) -> Drawn:
    """Tables of up to 8 rows and 4 columns."""
    rows = draw(st.integers(least_rows, 8))
    names = draw(st.lists(TEXTS.filter(bool), min_size=1, max_size=4, unique=True))
    columns = []
    for name in names:
        key = draw(st.sampled_from(sorted(KINDS)))
        kind = KINDS[key]
        missing = draw(st.booleans())
        values = draw(st.lists(st.none() | kind.cells if missing else kind.cells, min_size=rows, max_size=rows))
        builds = kind.builds if any(v is None for v in values) else (*kind.builds, *kind.whole_builds)
        if not any(v is not None for v in values):  # a column of nothing but missing objects has no kind
            builds = tuple(build for build in builds if build is not objects)
        columns.append((name, key, values, draw(st.sampled_from(builds)), draw(st.sampled_from(builds))))
    return Drawn(tuple(columns))
