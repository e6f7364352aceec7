"""Fingerprints: equal values are equal, and of different ones the place and the size of the difference are told."""

from __future__ import annotations

import io
import math
import sqlite3
import threading
import zipfile
from collections import defaultdict
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV

from jupyter_mlops.pipelines import fingerprint
from jupyter_mlops.pipelines.fingerprint import NotComparable, difference, take

TABLE = pd.DataFrame(
    {
        "n": [1.0, np.nan, 3.0],
        "s": ["a", None, "c"],
        "c": pd.Categorical(["x", "y", "x"]),
        "t": pd.to_datetime(["2020-01-01", "2020-01-02", None]),
    },
    index=pd.Index([10, 20, 30], name="i"),
)

DAYS = pd.date_range("2020-01-01", periods=3)


def changed(**columns: Any) -> pd.DataFrame:
    return TABLE.assign(**columns)


SAME: list[tuple[Any, Any]] = [
    (1.0, 1.0 + 1e-12),
    (float("nan"), float("nan")),
    (np.float64(2.5), 2.5),
    (3, np.int64(3)),
    ("text", "text"),
    (None, None),
    (TABLE, TABLE.copy()),
    (TABLE["n"], TABLE["n"] * (1 + 1e-13)),
    (np.arange(6.0).reshape(2, 3), np.arange(6.0).reshape(2, 3) * (1 + 1e-12)),
    (np.array(["a", None], dtype=object), np.array(["a", None], dtype=object)),
    ({"a": [1, 2.0], "b": TABLE}, {"a": [1, 2.0 + 1e-12], "b": TABLE.copy()}),
    ({"x", "y"}, {"y", "x"}),
    (pd.Timestamp("2020-01-01"), pd.Timestamp("2020-01-01")),
]

DIFFERENT: list[tuple[Any, Any, str]] = [
    (1.0, 1.0 + 1e-6, "1.0 became 1.000001"),
    (1, 1.0, "was 1 (int), is 1.0 (float)"),
    (True, 1, "was True (bool)"),
    (float("nan"), 1.0, "nan became 1.0"),
    ("a", "b", "'a' became 'b'"),
    (TABLE, changed(n=[1.0, np.nan, 3.1]), "column n, row 30: 3.0 became 3.1 (1 of 3 rows differ)"),
    (TABLE, changed(s=["a", "b", "c"]), "column s, row 20:"),
    (TABLE, TABLE.head(2), "3 rows became 2"),
    (TABLE, TABLE.drop(columns="s"), "lost column s"),
    (TABLE, TABLE[["s", "n", "c", "t"]], "the columns are in another order"),
    (TABLE, changed(n=[1, 2, 3]), "column n was float64, is int64"),
    (TABLE, TABLE.reset_index(drop=True), "the index differs"),
    (pd.Series([1, 2], name=0), pd.DataFrame({0: [1, 2]}), "was a Series, is a DataFrame"),
    (pd.Series([1, 2], dtype=object), pd.Series(["1", "2"], dtype=object), "1 became '1'"),
    (pd.Series([1, 0], dtype=object), pd.Series([True, False], dtype=object), "1 became True"),
    (DAYS.to_series(), pd.DatetimeIndex(list(DAYS)).to_series(), "the frequency of the labels"),
    (pd.Series(1, DAYS), pd.Series(1, DAYS.asi8), "the index was of datetime64"),
    (np.ma.array([1, 2], mask=[0, 1], fill_value=2), np.ma.array([1, 2], fill_value=2), "other elements are masked"),
    (np.ma.array([1, 2]), np.array([1, 2]), "class was MaskedArray, is ndarray"),
    (np.asmatrix([[1.0]]), np.array([[1.0]]), "class was matrix, is ndarray"),
    (TABLE, TABLE.iloc[::-1], "column n, row 30"),
    (np.zeros(3), np.zeros(4), "shape was [3], is [4]"),
    (np.zeros(3), np.zeros(3, dtype="float32"), "dtype was float64, is float32"),
    (np.zeros((2, 2)), np.array([[0.0, 0.0], [0.5, 0.0]]), "at [1, 0]: 0.0 became 0.5 (1 of 4 differ)"),
    ([1, 2], [1, 2, 3], "2 items became 3"),
    ([1, {"a": 2}], [1, {"a": 3}], "item 1: item 'a': 2 became 3"),
    ({"a": 1}, {"b": 1}, "item 'a' became 'b'"),
    ([1], (1,), "was a list, is a tuple"),
    (TABLE, 3, "was a DataFrame, is a int"),
]


@pytest.mark.parametrize(("was", "now"), SAME)
def test_the_same(was: Any, now: Any, tmp_path: Path) -> None:
    assert difference(take(was, tmp_path, "v"), now, tmp_path) == ""


@pytest.mark.parametrize(("was", "now", "told"), DIFFERENT)
def test_what_differs_is_told(was: Any, now: Any, told: str, tmp_path: Path) -> None:
    assert told in difference(take(was, tmp_path, "v"), now, tmp_path)


def test_without_a_copy_the_summary_tells(tmp_path: Path) -> None:
    kept = take(TABLE, tmp_path, "v")
    (tmp_path / "v.parquet").unlink()
    assert "column n differs: mean 2.0 became 2.05, max 3.0 became 3.1" in difference(
        kept, changed(n=[1.0, np.nan, 3.1]), tmp_path
    )


def test_estimators_are_what_they_predict(tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=(60, 3))
    y = (x[:, 0] > 0).astype(int)
    kept = take(LogisticRegression().fit(x, y), tmp_path, "m", used_on=pd.DataFrame(x, columns=list("abc")))
    assert difference(kept, LogisticRegression().fit(x, y), tmp_path) == ""
    assert "C=1.0 became 0.1" in difference(kept, LogisticRegression(C=0.1).fit(x, y), tmp_path)
    assert "in what it has learnt, item 1: item 'coef_': at [0, 0]" in difference(
        kept, LogisticRegression().fit(x[:55], y[:55]), tmp_path
    )
    assert "was a LogisticRegression, is a Ridge" in difference(kept, Ridge().fit(x, y), tmp_path)
    unfitted = take(LogisticRegression(), tmp_path, "u", used_on=x)
    assert difference(unfitted, LogisticRegression(), tmp_path) == ""
    assert difference(unfitted, LogisticRegression().fit(x, y), tmp_path)


def test_a_search_is_compared_without_what_a_clock_measured(tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=(60, 3))
    y = (x[:, 0] > 0).astype(int)

    def search(values: list[float]) -> GridSearchCV:
        return GridSearchCV(LogisticRegression(), {"C": values}, cv=3).fit(x, y)

    kept = take(search([0.1, 1.0]), tmp_path, "s")
    assert difference(kept, search([0.1, 1.0]), tmp_path) == ""
    assert difference(kept, search([0.1, 2.0]), tmp_path)


class Own:
    def __init__(self, rows: list[int]) -> None:
        self.rows = rows


def test_objects_are_what_they_hold(tmp_path: Path) -> None:
    kept = take({"a": Own([1, 2])}, tmp_path, "o")
    assert difference(kept, {"a": Own([1, 2])}, tmp_path) == ""
    assert "item 1: item 'rows': item 1: 2 became 3" in difference(kept, {"a": Own([1, 3])}, tmp_path)
    loop = Own([1])
    loop.rows.append(loop)  # type: ignore[arg-type]
    assert difference(take(loop, tmp_path, "l"), loop, tmp_path) == ""
    assert difference(take(np.random.default_rng(1), tmp_path, "g"), np.random.default_rng(2), tmp_path)


def test_drawings_are_what_they_show(tmp_path: Path) -> None:
    figure = pytest.importorskip("matplotlib.figure")

    def drawn(y: list[float]) -> Any:
        made = figure.Figure()
        made.add_subplot().plot([1, 2], y, label="y")
        return made

    kept = take(drawn([3.0, 4.0]), tmp_path, "f")
    assert difference(kept, drawn([3.0, 4.0]), tmp_path) == ""
    assert "4.0 became 5.0" in difference(kept, drawn([3.0, 5.0]), tmp_path)


@pytest.mark.parametrize("value", [{"a": io.TextIOWrapper(io.BytesIO())}])
def test_what_cannot_be_compared_says_so(value: Any, tmp_path: Path) -> None:
    with pytest.raises(NotComparable):
        take(value, tmp_path, "v")


def test_what_belongs_to_a_process_is_what_it_holds(tmp_path: Path) -> None:
    def database(name: str) -> sqlite3.Connection:
        made = sqlite3.connect(":memory:")
        made.execute("create table t (a, b)")
        made.execute("insert into t values (1.5, ?)", [name])
        return made

    kept = take(database("x"), tmp_path, "d")
    assert difference(kept, database("x"), tmp_path) == ""
    assert "VALUES(1.5" in difference(kept, database("y"), tmp_path)
    closed = database("x")
    closed.close()
    assert difference(kept, closed, tmp_path)
    with pytest.raises(NotComparable, match="a sqlite3.Cursor: how far it has read is known to the database alone"):
        take(database("x").cursor(), tmp_path, "c")

    text = tmp_path / "a.txt"
    text.write_text("one two")
    with text.open() as first, text.open() as second, zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        first.read(3)
        kept = take(first, tmp_path, "f")
        assert "0" in difference(kept, second, tmp_path)
        second.read(3)
        assert difference(kept, second, tmp_path) == ""
        kept = take(archive, tmp_path, "z")
        archive.writestr("b.txt", "b")
        assert difference(kept, archive, tmp_path)
    free, held = threading.Lock(), threading.Lock()
    held.acquire()
    assert difference(take(free, tmp_path, "l"), held, tmp_path)
    assert difference(take(free, tmp_path, "l"), threading.Lock(), tmp_path) == ""


def test_times_taken_with_a_clock_do_not_count_and_all_else_does(tmp_path: Path) -> None:
    def scores(time: float, score: float) -> dict[str, Any]:
        return {"fit_time": np.array([time]), "score_time": np.array([0.1]), "test_score": np.array([score])}

    kept = take(scores(1.0, 0.5), tmp_path, "scores")
    assert kept["measured"] == ["fit_time", "score_time"]
    assert difference(kept, scores(2.0, 0.5), tmp_path) == ""
    assert "test_score" in difference(kept, scores(1.0, 0.6), tmp_path)
    without = scores(1.0, 0.5)
    del without["fit_time"]
    assert "items became" in difference(kept, without, tmp_path)
    frame = take(pd.DataFrame(scores(1.0, 0.5)), tmp_path, "frame")
    assert difference(frame, pd.DataFrame(scores(3.0, 0.5)), tmp_path) == ""
    assert "column test_score" in difference(frame, pd.DataFrame(scores(1.0, 0.6)), tmp_path)
    alone = take(pd.DataFrame({"fit_time": [1.0]}), tmp_path, "alone")  # somebody's own column of that name
    assert "column fit_time" in difference(alone, pd.DataFrame({"fit_time": [2.0]}), tmp_path)


def test_texts_in_memory_and_objects_that_do_not_like_to_be_looked_at(tmp_path: Path) -> None:
    text = io.StringIO("a\nb")
    kept = take(text, tmp_path, "text")
    assert difference(kept, io.StringIO("a\nb"), tmp_path) == ""
    text.readline()
    assert difference(kept, text, tmp_path)

    class Shy:
        @property
        def __dict__(self) -> Any:
            raise RuntimeError("no")

        def __reduce_ex__(self, protocol: Any) -> Any:
            raise RuntimeError("no")

    with pytest.raises(NotComparable, match="Shy"):
        take(Shy(), tmp_path, "shy")
    assert take(np.dtype("S3"), tmp_path, "dtype") == take(np.dtype("S3"), tmp_path, "dtype")
    grouped = pd.DataFrame({"k": ["a", "b"], "v": [1, 2]}).groupby("k")
    del grouped.obj["k"]
    assert take(grouped, tmp_path, "grouped")["kind"] == "object"
    long = "x" * 500
    assert "at character 400 of 500" in difference(
        take(long, tmp_path, "long"), long[:400] + "y" + long[401:], tmp_path
    )


def test_where_a_process_draws_is_no_setting_of_a_notebook(tmp_path: Path) -> None:
    matplotlib = pytest.importorskip("matplotlib")
    settings = matplotlib.RcParams(matplotlib.rcParams)
    kept = take(settings, tmp_path, "settings")
    settings["interactive"] = not settings["interactive"]
    assert difference(kept, settings, tmp_path) == ""
    settings["font.size"] = 3.0
    assert "font.size" in difference(kept, settings, tmp_path)


def test_a_drawing_is_what_it_shows_once_it_is_drawn(tmp_path: Path) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    def drawn(*, shown: bool, end: float = 3.0) -> dict[str, Any]:
        figure = Figure()
        FigureCanvasAgg(figure)
        axes = figure.add_subplot()
        axes.plot([0, 1], [0, end], label="a")
        axes.yaxis.set_major_formatter("{x:.1f} K")
        found = {"labels": axes.get_yticklabels(), "legend": axes.legend(), "shift": axes.transAxes + axes.transData}
        if shown:
            figure.canvas.draw()
        return found

    expected = {name: take(value, tmp_path, name) for name, value in drawn(shown=True).items()}
    for name, value in drawn(shown=False).items():
        assert not difference(expected[name], value, tmp_path), name
    assert "became" in difference(expected["labels"], drawn(shown=False, end=90.0)["labels"], tmp_path)


def test_the_folder_that_a_copy_stands_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    there, here = tmp_path / "there", tmp_path / "here"
    expected = take([str(there / "a.csv"), there, "there"], tmp_path, "paths")
    given = [str(here / "a.csv"), here, "there"]
    assert "became" in difference(expected, given, tmp_path)
    monkeypatch.setitem(fingerprint.PLACES, str(here), str(there))
    assert not difference(expected, given, tmp_path)


def test_content_counts_where_printing_leaves_some_of_it_out(tmp_path: Path) -> None:
    long = np.arange(5000.0)
    other = long.copy()
    other[2500] += 1
    cells = take(pd.DataFrame({"v": [long, long]}), tmp_path, "cells")
    assert difference(cells, pd.DataFrame({"v": [long, long.copy()]}), tmp_path) == ""
    with np.printoptions(precision=2, threshold=5):
        assert "1 of 2 rows differ" in difference(cells, pd.DataFrame({"v": [long, other]}), tmp_path)
        curve = take(np.poly1d([1.0, 2.001]), tmp_path, "curve")
        assert "2.001 became 2.002" in difference(curve, np.poly1d([1.0, 2.002]), tmp_path)
    held = pd.DataFrame({"a": range(500)})
    tables = take(pd.Series([held, 1], dtype=object), tmp_path, "tables")
    assert difference(tables, pd.Series([held.copy(), 1], dtype=object), tmp_path) == ""
    assert difference(tables, pd.Series([held.replace(250, 0), 1], dtype=object), tmp_path)
    fields = np.array([("a", [1]), ("b", [2])], dtype=[("s", "U1"), ("o", object)])
    kept = take(fields, tmp_path, "fields")
    fields["o"][1] = [3]
    assert difference(kept, fields, tmp_path)
    told = take(TABLE, tmp_path, "told")
    noted = TABLE.copy()
    noted.attrs["source"] = "made"
    assert "what it tells of itself" in difference(told, noted, tmp_path)


def test_how_a_drawing_is_styled_and_cut_counts(tmp_path: Path) -> None:
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    def drawn(style: str = "r--", *, limit: float = 5, title: str = "all", label: str = "a") -> Any:
        figure, axes = plt.subplots()
        axes.plot([0, 1, 2], [1, 2, 3], style)
        axes.set_xlim(0, limit)
        axes.set_xticks([0, 1], [label, "b"])
        figure.suptitle(title)
        return figure

    kept = take(drawn(), tmp_path, "figure")
    assert difference(kept, drawn(), tmp_path) == ""
    for other in (drawn("b--"), drawn(limit=6), drawn(title="some"), drawn(label="c"), drawn("r:")):
        assert difference(kept, other, tmp_path)
    plt.close("all")


def test_when_the_results_of_a_library_were_made_is_no_part_of_them(tmp_path: Path) -> None:
    def fitted(second: int, slope: float = 1.0, until: int = 1, *, module: str = "econometrics") -> Any:
        made = type("Results", (), {"__module__": module})()
        made._datetime = datetime(2026, 1, 1, 12, 0, second, 123456, UTC)
        made._time_fit_was_called = f"2026-01-01 12:00:{second} UTC"
        made._until, made.slope = datetime(2026, 1, until, tzinfo=UTC), slope
        return made

    kept = take(fitted(1), tmp_path, "fitted")
    assert difference(kept, fitted(2), tmp_path) == ""
    assert "slope" in difference(kept, fitted(2, 1.1), tmp_path)
    assert "_until" in difference(kept, fitted(2, until=2), tmp_path)
    own = take(fitted(1, module="__main__"), tmp_path, "own")
    assert "_datetime" in difference(own, fitted(2, module="__main__"), tmp_path)


def test_generators_are_as_far_as_they_have_come_and_closed_files_what_they_were(tmp_path: Path) -> None:
    def counting(first: int) -> Any:
        yield first
        for step in (1, 2):
            yield first + step

    def read(first: int, times: int) -> Any:
        made = counting(first)
        for _ in range(times):
            next(made, None)
        return made

    for times in range(5):
        kept = take(read(1, times), tmp_path, "made")
        assert difference(kept, read(1, times), tmp_path) == ""
        assert times > 3 or difference(kept, read(1, times + 1), tmp_path)
    assert difference(take(read(1, 2), tmp_path, "made"), read(2, 2), tmp_path)
    with (tmp_path / "a.txt").open("w") as first, (tmp_path / "b.txt").open("w") as second:
        pass
    kept = take(first, tmp_path, "file")
    assert difference(kept, first, tmp_path) == ""
    assert difference(kept, second, tmp_path)


def _bars(make: Callable[[Any], Any]) -> Any:
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots()
    make(axes)
    plt.close(figure)
    return figure


def _labelled(make: Callable[[Any], Any]) -> Any:
    def drawn(axes: Any) -> None:
        axes.plot([1, 2], label="a")
        make(axes)

    return _bars(drawn)


def _adding(n: int) -> Any:
    return lambda x: x + n


class _Recent:
    """One of a notebook's own classes, in which what is called a cache is all that it holds."""

    __module__ = "__main__"

    def __init__(self, key: int) -> None:
        self.cache = {key: 1}


def _locked(values: list[float], *, locked: bool) -> Any:
    made = np.array(values)
    made.flags.writeable = not locked
    return made


DAILY = pd.Series(range(3), index=DAYS)
LITTLE = [
    pytest.param(lambda n: TABLE.groupby("c")[["n"] if n else ["s"]], id="which columns of groups"),
    pytest.param(lambda n: TABLE.groupby("c", as_index=bool(n)), id="how groups are told"),
    pytest.param(lambda n: DAILY.resample(f"{n + 1}D"), id="what a resampler asks for"),
    pytest.param(lambda n: TABLE.style.format(precision=n), id="a table's style"),
    pytest.param(lambda n: TABLE.style.format(precision=n).to_html(), id="a table's style, written out"),
    pytest.param(lambda n: [_adding(n)], id="what a function holds of what is around it"),
    pytest.param(lambda n: [lambda x, by=n: x + by], id="defaults"),
    pytest.param(lambda n: [(lambda x: x + 1) if n else (lambda x: x - 1)], id="operators"),
    pytest.param(_Recent, id="a cache of one's own"),
    pytest.param(lambda n: defaultdict(int if n else list, a=1), id="what a dict makes of what is missing"),
    pytest.param(lambda n: _bars(lambda axes: axes.pie([1, 1 + n])), id="a pie"),
    pytest.param(lambda n: _bars(lambda axes: axes.imshow([[1, 2]], vmax=5 + n)), id="the colours of an image"),
    pytest.param(lambda n: _bars(lambda axes: axes.table([[str(n)]])), id="a table in a drawing"),
    pytest.param(lambda n: _bars(lambda axes: axes.scatter([1, 2], [1, 2], s=10 + n)), id="the size of dots"),
    pytest.param(lambda n: _bars(lambda axes: axes.fill([1, 2, 3], [1, 2, n])), id="a polygon"),
    pytest.param(lambda n: _bars(lambda axes: axes.text(n, 1, "here")), id="where a text stands"),
    pytest.param(
        lambda n: _bars(lambda axes: axes.annotate("this", (n, 1), (2, 2))), id="what an annotation points at"
    ),
    pytest.param(lambda n: _bars(lambda axes: axes.plot([1, 2], linewidth=n + 1)), id="the width of a line"),
    pytest.param(lambda n: _bars(lambda axes: axes.scatter([1], [1], alpha=0.5 + n / 2)), id="what shines through"),
    pytest.param(lambda n: _bars(lambda axes: axes.bar([1], [1], edgecolor="rg"[n])), id="the colour of an edge"),
    pytest.param(lambda n: _bars(lambda axes: axes.grid(bool(n))), id="a grid"),
    pytest.param(lambda n: _bars(lambda axes: axes.axis("off" if n else "on")), id="axes that are not shown"),
    pytest.param(lambda n: _bars(lambda axes: axes.set_title(str(n), loc="left")), id="a title at the left"),
    pytest.param(lambda n: _bars(lambda axes: axes.figure.set_size_inches(4, 4 + n)), id="the size of a figure"),
    pytest.param(lambda n: _labelled(lambda axes: axes.legend(loc=n + 1)), id="where a legend stands"),
    pytest.param(
        lambda n: _labelled(lambda axes: axes.legend(bbox_to_anchor=(1 + n, 1))), id="what a legend is anchored to"
    ),
    pytest.param(lambda n: _labelled(lambda axes: axes.legend(frameon=bool(n))), id="a legend's frame"),
    pytest.param(lambda n: _labelled(lambda axes: axes.figure.legend(loc=n + 1)), id="where a figure's legend stands"),
    pytest.param(lambda n: _bars(lambda axes: axes.tick_params("x", rotation=45 * n)), id="ticks that are turned"),
    pytest.param(
        lambda n: _bars(lambda axes: [label.set_rotation(30 * n) for label in axes.get_yticklabels()]),
        id="labels of ticks that are turned",
    ),
    pytest.param(lambda n: _bars(lambda axes: axes.tick_params(labelsize=8 + n)), id="the size of ticks' labels"),
    pytest.param(
        lambda n: _bars(lambda axes: axes.figure.subplots_adjust(hspace=0.2 + n)), id="the room between drawings"
    ),
    pytest.param(lambda n: _bars(lambda axes: axes.figure.add_subplot(2, 2 + n, 1)), id="the grid of drawings"),
    pytest.param(lambda n: _bars(lambda axes: axes.set_position((0, 0, 1, 1 + n))), id="where axes stand"),
    pytest.param(
        lambda n: _bars(lambda axes: axes.figure.subplots(1, 2, width_ratios=[1, 1 + n])), id="how wide drawings are"
    ),
    pytest.param(lambda n: pd.Series([None if n else math.nan, "a"], dtype=object), id="None where NaN was"),
    pytest.param(lambda n: pd.Series([math.nan if n else None, "a"], dtype=object), id="NaN where None was"),
    pytest.param(lambda n: _locked([1.0, 2.0], locked=bool(n)), id="an array that was made read-only"),
]


@pytest.mark.parametrize("make", LITTLE)
def test_little_things_count(make: Callable[[int], Any], tmp_path: Path) -> None:
    kept = take(make(0), tmp_path, "made")
    assert difference(kept, make(0), tmp_path) == ""
    assert difference(kept, make(1), tmp_path)
