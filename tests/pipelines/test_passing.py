"""Values written by one process and read by another are the same: types, labels, indexes, shared objects, states."""

from __future__ import annotations

import collections
import datetime as dt
import decimal
import json
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import pandas as frames

from jupyter_mlops.pipelines.fingerprint import compare, take
from jupyter_mlops.pipelines.standalone.passing import CannotPass, Reader, Writer

Point = collections.namedtuple("Point", "x y")  # noqa: PYI024 as notebooks write it


def passed(folder: Path, **values: Any) -> dict[str, Any]:
    """Values written, and read back from what JSON has of them."""
    writer = Writer(folder)
    for name, value in values.items():
        assert writer.add(name, value), writer.entries[name]["why"]
    reader = Reader(folder, json.loads(json.dumps(writer.entries)))
    return {name: reader.value(name) for name in values}


TABLES = {
    "types": pd.DataFrame(
        {
            "i": np.array([1, 2, 3], "int8"),
            "f": np.array([0.1, np.nan, -0.0], "float32"),
            "b": [True, False, True],
            "s": ["a", None, "ü"],
            "when": pd.to_datetime(["2024-01-01", None, "2024-03-01"]).tz_localize("Europe/Zurich"),
            "took": pd.to_timedelta([1, 2, None], "s"),
            "n": pd.array([1, None, 3], "Int64"),
            "t": pd.array([True, None, False], "boolean"),
            "x": pd.array(["a", None, "b"], "string"),
            "c": pd.Categorical(["lo", "hi", None], ["lo", "mid", "hi"], ordered=True),
            "p": pd.period_range("2024-01", periods=3, freq="M"),
            "cut": pd.cut([1, 5, 9], 3),
            "o": [1, "two", (3, 4)],
            "nan": ["a", np.nan, "b"],
            "none": [None, None, None],
            "codes": pd.Categorical([3, 1, 3]),
        }
    ),
    "labels": pd.DataFrame([[1, 2, 3]], columns=["a", "a", 7], index=[dt.date(2024, 1, 1)]),
    "levels": pd.DataFrame(
        {"v": [1, 2, 3, 4]}, index=pd.MultiIndex.from_product([["x", "y"], [1, 2]], names=["k", None])
    ),
    "grouped": pd.DataFrame({"g": list("aab"), "v": [1.5, 2, 3]}).groupby("g").agg({"v": ["mean", "sum"]}),
    "numbered": pd.DataFrame(np.arange(6).reshape(2, 3), index=pd.RangeIndex(4, 8, 2, name="row")),
    "dates": pd.DataFrame({"v": [1.0, 2.0]}, index=pd.date_range("2024-01-01", periods=2, freq="D")),
    "empty": pd.DataFrame({"a": pd.Series([], dtype="float64")}),
    "bare": pd.DataFrame(index=["x", "y"]),
}


@pytest.mark.parametrize("name", TABLES)
def test_tables_come_back_as_they_were(name: str, tmp_path: Path) -> None:
    table = TABLES[name]
    again = passed(tmp_path, table=table)["table"]
    pd.testing.assert_frame_equal(again, table, check_freq=True, check_column_type=True, check_index_type=True)
    fingerprint = take(table, tmp_path, "told")
    assert compare(fingerprint, again, tmp_path) == compare(fingerprint, table, tmp_path)
    assert not compare(fingerprint, again, tmp_path)[0]
    for column in range(table.shape[1]):
        series = table.iloc[:, column]
        (tmp_path / str(column)).mkdir()
        pd.testing.assert_series_equal(passed(tmp_path / str(column), series=series)["series"], series)


@given(frames.data_frames([frames.column("a", dtype=float), frames.column("b", dtype=int), frames.column("c", elements=st.text(max_size=3) | st.none(), dtype=object)]))  # fmt: skip
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_table_comes_back(tmp_path: Path, table: pd.DataFrame) -> None:
    pd.testing.assert_frame_equal(passed(tmp_path, table=table)["table"], table)


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary() | st.dates(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text() | st.integers(), inner, max_size=4) | st.tuples(inner, inner),
    max_leaves=12,
)  # fmt: skip


@given(PLAIN)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_plain_data_comes_back(tmp_path: Path, value: Any) -> None:
    again = passed(tmp_path, value=value)["value"]
    assert again == value
    assert repr(again) == repr(value)


def test_everything_else(tmp_path: Path) -> None:
    values: dict[str, Any] = {
        "array": np.asfortranarray(np.arange(6.0).reshape(2, 3)), "locked": np.broadcast_to(1.5, 3), "dates": np.array(["2024-01-01", "NaT"], "datetime64[D]"),
        "objects": np.array([[1, "a"], [None, [2]]], dtype=object), "scalar": np.float32(0.1), "inf": [float("inf"), float("-inf")],
        "masked": np.ma.masked_array([1.0, 2.0], [False, True]), "stamp": pd.Timestamp("2024-01-01 12:00", tz="UTC"),
        "delta": pd.Timedelta("1D"), "span": dt.timedelta(days=1), "number": decimal.Decimal("1.10"), "path": Path("a/b"),
        "counted": collections.Counter("aab"), "default": collections.defaultdict(list, {"a": [1]}), "index": pd.Index([1, 2], name="n"),
        "moment": dt.datetime(2024, 1, 1, tzinfo=dt.UTC), "mod": np, "function": np.linalg.norm, "kind": collections.OrderedDict, "z": 1 + 2j,
    }  # fmt: skip
    again = passed(tmp_path, **values)
    for name, value in values.items():
        assert type(again[name]) is type(value), name
        assert repr(again[name]) == repr(value), name
    assert again["array"].flags.f_contiguous
    assert again["array"].flags.writeable
    assert not again["locked"].flags.writeable


def test_generators_go_on_where_they_were(tmp_path: Path) -> None:
    new, old = np.random.default_rng(1), np.random.RandomState(2)
    new.random(3)
    old.normal(size=3)
    again = passed(tmp_path, new=new, old=old)
    assert (again["new"].random(), again["old"].normal()) == (new.random(), old.normal())


def test_one_object_stays_one_and_a_circle_is_refused(tmp_path: Path) -> None:
    table = pd.DataFrame({"a": [1]})
    again = passed(tmp_path, first={"t": table}, second=[table, table])
    assert again["second"][0] is again["second"][1] is again["first"]["t"]
    circle: list[Any] = [1]
    circle.append(circle)
    writer = Writer(tmp_path)
    assert not writer.add("circle", circle)
    assert "holds itself" in writer.entries["circle"]["why"]


def test_estimators_need_no_pickle_and_give_the_same_bytes(tmp_path: Path) -> None:
    from sklearn.ensemble import RandomForestClassifier

    inputs = np.random.default_rng(0).normal(size=(40, 3))
    model = RandomForestClassifier(5, random_state=0).fit(inputs, inputs[:, 0] > 0)
    hashes = []
    for i in range(2):
        (tmp_path / str(i)).mkdir()
        writer = Writer(tmp_path / str(i))
        assert writer.add("model", RandomForestClassifier(5, random_state=0).fit(inputs, inputs[:, 0] > 0))
        assert writer.entries["model"]["format"] == "skops"
        hashes.append(writer.entries["model"]["hash"])
        again = Reader(tmp_path / str(i), writer.entries).value("model")
        assert (again.predict_proba(inputs) == model.predict_proba(inputs)).all()
    assert hashes[0] == hashes[1]


def test_what_needs_a_pickle_asks_for_it(tmp_path: Path) -> None:
    for value, why in ((lambda: 1, "lambda"), ((i for i in ()), "generator"), (threading.Lock(), "only a pickle")):
        writer = Writer(tmp_path)
        assert not writer.add("value", value)
        assert why in writer.entries["value"]["why"]
    thing = np.poly1d([1, 2])
    writer = Writer(tmp_path, allow_pickle=True)
    assert writer.add("thing", thing)
    with pytest.raises(CannotPass, match="allow-pickle"):
        Reader(tmp_path, writer.entries).value("thing")
    assert Reader(tmp_path, writer.entries, allow_pickle=True).value("thing") == thing


def test_what_was_changed_afterwards_is_refused(tmp_path: Path) -> None:
    writer = Writer(tmp_path)
    writer.add("a", np.arange(3))
    file = tmp_path / writer.entries["a"]["node"]["file"]
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    with pytest.raises(CannotPass, match="changed"):
        Reader(tmp_path, writer.entries).value("a")
