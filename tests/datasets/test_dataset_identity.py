"""A table's digest depends on its content, all of it, and on nothing else."""

from __future__ import annotations

import datetime as dt
import io
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from made_frames import KINDS, Drawn, in_arrow, objects, tables

from jupyter_mlops.datasets.identity import digest, identify
from jupyter_mlops.datasets.tables import as_table
from jupyter_mlops.domain.context import Context
from jupyter_mlops.domain.workspace import Workspace
from jupyter_mlops.errors import InvalidArgument

MANY = settings(max_examples=1000, deadline=None, suppress_health_check=list(HealthCheck))
SOME = settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))


@MANY
@given(tables())
def test_how_a_table_was_built_does_not_count(drawn: Drawn) -> None:
    assert digest(drawn.frame(0)) == digest(drawn.frame(1))


@SOME
@given(tables(least_rows=1), st.data())
def test_one_changed_cell_counts(drawn: Drawn, data: st.DataObject) -> None:
    columns = [(name, key, values) for name, key, values, _, _ in drawn.columns]
    place = data.draw(st.integers(0, len(columns) - 1))
    name, key, values = columns[place]
    row = data.draw(st.integers(0, len(values) - 1))
    if values[row] is None:
        new = data.draw(KINDS[key].cells)
    else:
        new = data.draw(st.sampled_from([None, KINDS[key].other(values[row])]))
    changed = [*columns]
    changed[place] = (name, key, [*values[:row], new, *values[row + 1 :]])
    before, after = identify(in_arrow(columns)), identify(in_arrow(changed))
    assert before.digest != after.digest
    assert before.differences(after) == [f"column {name!r} has other values"]


@SOME
@given(tables(least_rows=2))
def test_names_and_orders_count(drawn: Drawn) -> None:
    frame = drawn.frame(0)
    renamed = frame.set_axis([frame.columns[0] + "_" * 7, *frame.columns[1:]], axis=1)
    assert digest(frame) != digest(renamed)
    if not all(values == values[::-1] for _, _, values, _, _ in drawn.columns):
        assert digest(frame) != digest(frame[::-1].reset_index(drop=True))
    if len(frame.columns) > 1:
        assert digest(frame) != digest(frame[frame.columns[::-1]])


def test_an_index_counts_when_it_carries_meaning() -> None:
    frame = pd.DataFrame({"x": [1, 2, 3]})
    same = [frame.set_index(pd.Index([0, 1, 2])), frame[frame.x > 0], pd.concat([frame[:1], frame[1:]])]
    assert {digest(each) for each in same} == {digest(frame)}
    other = [
        frame.set_index(pd.Index([1, 2, 3])),
        frame.set_index(pd.Index(["0", "1", "2"])),
        frame.rename_axis("id"),
        frame.rename_axis("row"),
        frame[::-1],
        frame.set_index(pd.MultiIndex.from_arrays([[0, 1, 2], [0, 1, 2]])),
    ]
    assert len({digest(each) for each in [frame, *other]}) == 1 + len(other)
    assert digest(frame.set_index(pd.RangeIndex(5, 8))) == digest(frame.set_index(pd.Index([5, 6, 7])))


def test_categories_their_order_and_orderedness_are_type() -> None:
    values = ["a", "b", None]
    held = [
        pd.Series(values),
        pd.Series(pd.Categorical(values)),
        pd.Series(pd.Categorical(values, categories=["b", "a"])),
        pd.Series(pd.Categorical(values, categories=["a", "b", "c"])),
        pd.Series(pd.Categorical(values, ordered=True)),
        pd.Series(pd.Categorical([1, 2, None])),
    ]
    assert len({digest(pd.DataFrame({"x": each})) for each in held}) == len(held)
    arrow = pd.Series(pa.array(values).dictionary_encode().to_pandas())
    assert digest(pd.DataFrame({"x": arrow})) == digest(pd.DataFrame({"x": held[1]}))


def test_moments_are_moments_and_zones_are_type() -> None:
    naive = pd.Series(pd.to_datetime(["2024-03-01 00:00:00", None, "1969-12-31 23:59:59"]))
    utc, berlin = naive.dt.tz_localize("UTC"), naive.dt.tz_localize("UTC").dt.tz_convert("Europe/Berlin")
    assert len({digest(pd.DataFrame({"t": each})) for each in (naive, utc, berlin)}) == 3
    units = {digest(pd.DataFrame({"t": naive.astype(f"datetime64[{unit}]")})) for unit in ("s", "ms", "us", "ns")}
    assert len(units) == 1
    far = pd.Series([dt.datetime(9999, 1, 1), dt.datetime(1, 1, 1)]).astype("datetime64[us]")  # noqa: DTZ001 naive
    assert digest(pd.DataFrame({"t": far})) == digest(pd.DataFrame({"t": far.astype("datetime64[s]")}))


def test_floats_have_one_zero_and_one_kind_of_missing() -> None:
    payload = np.array([0x7FF8000000000001, 0xFFF8000000000000], dtype=np.uint64).view(np.float64)
    one, other = pd.DataFrame({"x": [np.nan, np.nan, 0.0]}), pd.DataFrame({"x": [*payload, -0.0]})
    other["x"] = np.concatenate([payload, [-0.0]])
    assert digest(one) == digest(other)
    assert digest(one) == digest(pd.DataFrame({"x": pd.array([None, None, 0.0], dtype="Float64")}))
    assert digest(one) != digest(one.astype("float32"))


def test_a_file_of_the_same_content_has_the_same_digest() -> None:
    frame = pd.DataFrame(
        {"n": [1, 2, 3], "x": [0.1, np.nan, 1e300], "s": ["ä", None, "c,\n"], "b": [True, False, True]}
    )
    text = io.StringIO(frame.to_csv(index=False))
    parquet, feather = io.BytesIO(), io.BytesIO()
    frame.to_parquet(parquet, row_group_size=2)
    pyarrow.feather.write_feather(frame, feather, chunksize=2)
    read = [pd.read_csv(text), pd.read_parquet(parquet), pd.read_parquet(parquet, dtype_backend="pyarrow")]
    read.append(pd.read_feather(feather))
    assert {digest(each) for each in read} == {digest(frame)}


def test_a_block_border_does_not_count() -> None:
    values = np.random.default_rng(0).normal(size=200_000)
    values[[0, 65_535, 65_536, 199_999]] = np.nan
    frame = pd.DataFrame({"x": values})
    arrow = pd.Series(pd.arrays.ArrowExtensionArray(pa.chunked_array([pa.array(p) for p in np.array_split(values, 7)])))
    assert digest(frame) == digest(arrow.to_frame("x"))


def test_a_digest_fits_into_mlflow() -> None:
    found = digest(pd.DataFrame({"x": [1]}))
    assert found == "b3:" + found[3:]
    assert len(found) == 35


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"x": objects(["a", 1])}, "column 'x' mixes int, str"),
        ({"x": objects([True, 1])}, "column 'x' mixes bool, int"),
        ({"x": objects([{"a": 1}])}, "column 'x' holds objects of type dict"),
        ({"x": [1j]}, "column 'x' of type complex128 cannot be stored"),
        ({"x": objects([2**70])}, "column 'x' of type object cannot be stored"),
        ({1.5: [1]}, "not: 1.5"),
        ({"a": [1], 1: [2]}, "'a', 1"),
        ({("a", "b"): [1]}, "several levels"),
    ],
)
def test_what_cannot_be_stored_is_refused_by_name(columns: dict[object, object], message: str) -> None:
    with pytest.raises(InvalidArgument, match=message.replace("(", r"\(")):
        identify(pd.DataFrame(columns))


def test_two_columns_of_one_name_are_refused() -> None:
    frame = pd.DataFrame([[1, 2]], columns=["a", "a"])
    with pytest.raises(InvalidArgument, match="more than one is called 'a'"):
        identify(frame)


ROWS = {
    "i": pa.array([1, None, 3]),
    "b": pa.array([True, None, False]),
    "s": pa.array(["a", None, "c"]),
    "t": pa.array([dt.datetime(2020, 1, 1), None, dt.datetime(2021, 1, 1)], pa.timestamp("us")),  # noqa: DTZ001 naive
    "z": pa.array([0, None, 10**15], pa.timestamp("us", "Europe/Berlin")),
    "d": pa.array([dt.date(2020, 1, 1), None, dt.date(2021, 1, 1)]),
    "l": pa.array([[1], None, [2, 3]]),
    "p": pa.array([{"a": 1}, None, {"a": 2}]),
    "x": pa.array([1.5, None, 2.0]),
}


@pytest.mark.parametrize("name", ROWS)
def test_arrow_polars_and_pandas_hold_the_same(name: str, tmp_path: Path) -> None:
    polars = pytest.importorskip("polars")
    table = pa.table({name: ROWS[name]})
    parquet = tmp_path / "t.parquet"
    pyarrow.parquet.write_table(table, parquet)
    context = Context(Workspace(tmp_path, "", ""), None)
    given = [table, table.to_reader(), polars.from_arrow(table), polars.from_arrow(table).lazy(), parquet]
    whole = table.to_pandas(types_mapper=pd.ArrowDtype)
    assert {digest(as_table(context, each)) for each in given} == {digest(whole)}
