"""A table that is written comes back equal: types, index, categories, missing values; a changed file is noticed."""

from __future__ import annotations

import datetime as dt
import decimal
import uuid
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from made_frames import Drawn, objects, tables

from jupyter_mlops.datasets.draft import Draft
from jupyter_mlops.datasets.files import FILE, read_table, read_verified, write_table
from jupyter_mlops.datasets.identity import digest, identify
from jupyter_mlops.datasets.manifest import MANIFEST, Manifest
from jupyter_mlops.datasets.packs import Packs
from jupyter_mlops.datasets.snapshot import write_snapshot
from jupyter_mlops.datasets.snapshot_reading import read_snapshot
from jupyter_mlops.errors import IntegrityFailure, InvalidArgument

DAYS = ["2020-01-01 00:00:00", None, "2021-02-03 04:05:06", "1900-01-01 00:00:00"]
MOMENTS = pd.Series(pd.to_datetime(DAYS))
ARROW = pd.ArrowDtype

# Four cells of every type a data version holds; most with a missing one.
COLUMNS: dict[str, pd.Series] = {
    "int8": pd.Series([1, 2, 3, 4], dtype="int8"),
    "uint64": pd.Series([1, 2, 3, 2**64 - 1], dtype="uint64"),
    "Int64": pd.Series([1, None, 3, 2**62], dtype="Int64"),
    "float64": pd.Series([1.5, np.nan, np.inf, -0.0]),
    "float32": pd.Series([1, 2, -np.inf, np.nan], dtype="float32"),
    "float16": pd.Series([1, 2, 3, np.nan], dtype="float16"),
    "Float64": pd.Series([1, None, 3, 4], dtype="Float64"),
    "bool": pd.Series([True, False, True, True]),
    "boolean": pd.Series([True, None, True, False], dtype="boolean"),
    "objects of bool": objects([True, None, False, True]),
    "str": pd.Series(["a", None, "ü", ""]),
    "string": pd.Series(["a", None, "ü", ""], dtype="string"),
    "string in Python": pd.Series(["a", None, "ü", ""], dtype="string[python]"),
    "objects of text, None": objects(["a", None, "b", ""]),
    "objects of text, NaN": objects(["a", np.nan, "b", ""]),
    "objects of text, NA": objects(["a", pd.NA, "b", ""]),
    "objects of text, None and NaN": objects([None, np.nan, "b", np.nan]),
    "datetime64[us]": MOMENTS.dt.as_unit("us"),
    "datetime64[ns]": MOMENTS.dt.as_unit("ns"),
    "datetime64[s]": MOMENTS.dt.as_unit("s"),
    "zone": MOMENTS.dt.tz_localize("Europe/Berlin"),
    "UTC": MOMENTS.dt.tz_localize("UTC").dt.as_unit("ms"),
    "offset": MOMENTS.dt.tz_localize(dt.timezone(dt.timedelta(hours=2))).dt.as_unit("s"),
    "timedelta": pd.Series(pd.to_timedelta(["1s", None, "2D", "3ns"])),
    "timedelta64[s]": pd.Series(pd.to_timedelta([1, None, 3, 4], unit="s")).astype("timedelta64[s]"),
    "categories": pd.Series(pd.Categorical(["x", None, "y", "x"], categories=["z", "y", "x"])),
    "ordered": pd.Series(pd.Categorical(["x", None, "y", "x"], categories=["z", "y", "x"], ordered=True)),
    "categories of numbers": pd.Series(pd.Categorical([3, None, 1, 3], categories=[3, 2, 1])),
    "categories of floats": pd.Series(pd.Categorical([3.5, None, 1, 3.5])),
    "categories of moments": pd.Series(pd.Categorical(MOMENTS)),
    "categories of objects": pd.Series(pd.Categorical(objects(["b", None, "a", "b"]))),
    "categories of bool": pd.Series(pd.Categorical([True, None, False, True])),
    "cut": pd.Series(pd.cut([1.0, 2.0, np.nan, 9.0], 3)),
    "intervals": pd.Series(pd.arrays.IntervalArray.from_breaks([0, 1, 2, 3, 4])),
    "periods": pd.Series(pd.period_range("2020", periods=4, freq="M")),
    "dates": objects([dt.date(2020, 1, 1), None, dt.date(2020, 1, 2), dt.date(1, 1, 1)]),
    "times": objects([dt.time(1), None, dt.time(2, 3, 4, 5), None]),
    "objects of datetime": objects([pd.Timestamp("2020"), pd.NaT, pd.Timestamp("1900"), pd.Timestamp("2021")]),
    "objects of timedelta": objects([dt.timedelta(1), None, dt.timedelta(2), None]),
    "decimals": objects([decimal.Decimal("1.10"), None, decimal.Decimal("2.25"), None]),
    "bytes": objects([b"a", None, b"\xff", b""]),
    "objects of int": objects([1, None, 3, 2**40]),
    "objects of uint64": objects([2**64 - 1, 1, None, 2]),
    "lists": objects([[1, 2], None, [], [3]]),
    "lists of text": objects([["a"], ["b", None], [], None]),
    "arrays": objects([np.array([1.0, 2.0]), None, np.array([]), np.array([3.0])]),
    "nothing": objects([None, None, None, None]),
    "sparse": pd.Series(pd.arrays.SparseArray([np.nan, 0, 1, 2])),
    "sparse int": pd.Series(pd.arrays.SparseArray([0, 0, 1, 2])),
    "arrow int": pd.Series([1, None, 3, 4], dtype="int64[pyarrow]"),
    "arrow text": pd.Series(["a", None, "b", "c"], dtype=ARROW(pa.string())),
    "arrow list": pd.Series([[1], None, [2], []], dtype=ARROW(pa.list_(pa.int64()))),
    "arrow struct": pd.Series([{"a": 1}, None, {"a": 2}, {"a": None}], dtype=ARROW(pa.struct([("a", pa.int64())]))),
    "arrow decimal": pd.Series([decimal.Decimal("1.1"), None, None, None], dtype=ARROW(pa.decimal128(5, 2))),
    "arrow zone": pd.Series(MOMENTS.tolist(), dtype=ARROW(pa.timestamp("s", "Asia/Tokyo"))),
    "arrow categories": pd.Series(["a", None, "b", "a"], dtype=ARROW(pa.dictionary(pa.int32(), pa.string()))),
}

INDEXES = {
    "named": pd.Index(list("abcd"), name="k"),
    "range": pd.RangeIndex(5, 9),
    "named range": pd.RangeIndex(4, name="r"),
    "days": pd.date_range("2020", periods=4, freq="D"),
    "hours": pd.date_range("2020", periods=4, freq="h", tz="UTC", name="t"),
    "levels": pd.MultiIndex.from_product([[1, 2], ["a", "b"]], names=["x", None]),
    "categories": pd.CategoricalIndex(list("abab"), name="c"),
    "objects": pd.Index([4, 3, 2, 1], dtype=object),
    "durations": pd.timedelta_range("1s", periods=4),
    "periods": pd.period_range("2020", periods=4, freq="D"),
    "a column's name": pd.Index(["a"] * 4, name="x"),
    "intervals": pd.IntervalIndex.from_breaks(range(5)),
}


def through_chunks(frame: pd.DataFrame, folder: Path) -> pd.DataFrame:
    place = folder / uuid.uuid4().hex
    place.mkdir()
    written = write_snapshot(Draft(frame), place)
    manifest = Manifest.from_bytes((place / MANIFEST).read_bytes(), digest=written.checksum)
    assert manifest.identity() == identify(frame)
    with Packs(str(place)) as packs:
        return read_snapshot(manifest, packs.of(manifest))


def there_and_back(frame: pd.DataFrame, folder: Path) -> pd.DataFrame:
    write_table(frame, folder / FILE)
    back = read_table(folder / FILE)
    pd.testing.assert_frame_equal(frame, back, check_exact=True)
    back = through_chunks(frame, folder)
    pd.testing.assert_frame_equal(frame, back, check_exact=True)
    assert digest(back) == digest(frame)
    return back


@pytest.mark.parametrize("name", COLUMNS)
def test_a_column_of_every_type_comes_back_equal(name: str, tmp_path: Path) -> None:
    back = there_and_back(pd.DataFrame({name: COLUMNS[name]}), tmp_path)
    if isinstance(back[name].dtype, pd.CategoricalDtype):
        assert list(back[name].cat.categories) == list(COLUMNS[name].cat.categories)
    elif back[name].dtype == object:
        kinds = [type(value) for value in COLUMNS[name]]
        assert [type(value) for value in back[name]] == kinds


def test_all_types_beside_each_other_and_the_result_can_be_written_to(tmp_path: Path) -> None:
    frame = pd.DataFrame(COLUMNS)
    back = there_and_back(frame, tmp_path)
    there_and_back(frame[:0], tmp_path)
    back.loc[0, "float64"] = 7.0
    back.loc[0, "int8"] = 7
    back.loc[0, "str"] = "z"
    assert back.loc[0, ["float64", "int8", "str"]].tolist() == [7.0, 7, "z"]


@pytest.mark.parametrize("name", INDEXES)
def test_an_index_comes_back_equal_and_stock_pandas_reads_it(name: str, tmp_path: Path) -> None:
    frame = pd.DataFrame({"x": [1, 2, 3, 4]}, index=INDEXES[name])
    back = there_and_back(frame, tmp_path)
    assert getattr(back.index, "freq", None) == getattr(frame.index, "freq", None)
    stock = pd.read_parquet(tmp_path / FILE)
    expected = frame.set_axis(pd.Index([4, 3, 2, 1])) if name == "objects" else frame  # Parquet knows no objects
    pd.testing.assert_frame_equal(stock, expected, check_freq=False)


def test_numbered_columns_come_back_equal(tmp_path: Path) -> None:
    frame = pd.DataFrame(np.arange(6.0).reshape(2, 3))
    there_and_back(frame, tmp_path)
    there_and_back(frame.rename_axis(columns="what"), tmp_path)
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / FILE), frame.rename_axis(columns="what"))


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(tables())
def test_any_table_comes_back_equal(tmp_path: Path, drawn: Drawn) -> None:
    for way in (0, 1):
        frame = drawn.frame(way)
        native = {  # pandas keeps no byte order apart
            name: frame[name].astype(frame[name].dtype.newbyteorder("="))
            for name in frame
            if isinstance(frame[name].dtype, np.dtype) and not frame[name].dtype.isnative
        }
        write_table(frame, tmp_path / FILE)
        for back in (read_table(tmp_path / FILE), through_chunks(frame, tmp_path)):
            pd.testing.assert_frame_equal(back, frame.assign(**native), check_exact=True, check_dtype=not native)
            assert digest(back) == digest(frame)


def test_stock_pandas_reads_the_common_types_as_they_were(tmp_path: Path) -> None:
    common = ["int8", "Int64", "float64", "bool", "boolean", "str", "string", "zone", "timedelta", "ordered", "dates"]
    frame = pd.DataFrame({name: COLUMNS[name] for name in common})
    write_table(frame, tmp_path / FILE)
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / FILE), frame)
    for name, column in COLUMNS.items():
        write_table(column.to_frame(name), tmp_path / FILE)
        assert len(pd.read_parquet(tmp_path / FILE)) == 4, name


def test_row_groups_stay_small(tmp_path: Path) -> None:
    write_table(pd.DataFrame({"x": np.arange(250_000)}), tmp_path / FILE)
    parquet = pq.ParquetFile(tmp_path / FILE)
    assert [parquet.metadata.row_group(i).num_rows for i in range(3)] == [100_000, 100_000, 50_000]


def test_a_version_saved_as_one_parquet_file_is_still_read(tmp_path: Path) -> None:
    frame = pd.DataFrame({"x": [1.0, 2.0, None], "s": ["a", "b", "a"]})
    write_table(frame, tmp_path / FILE)
    pd.testing.assert_frame_equal(read_verified(tmp_path, digest(frame), "t@v1"), frame)
    write_table(frame.assign(s="c"), tmp_path / FILE)
    with pytest.raises(IntegrityFailure, match="t@v1 was changed since it was saved"):
        read_verified(tmp_path, digest(frame), "t@v1")
    (tmp_path / FILE).write_bytes((tmp_path / FILE).read_bytes()[:100])
    with pytest.raises(IntegrityFailure, match="cannot be read"):
        read_verified(tmp_path, digest(frame), "t@v1")
    (tmp_path / FILE).unlink()
    with pytest.raises(IntegrityFailure, match="is gone"):
        read_verified(tmp_path, digest(frame), "t@v1")


def test_a_table_without_columns_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidArgument, match="no columns"):
        write_table(pd.DataFrame(index=range(3)), tmp_path / FILE)
