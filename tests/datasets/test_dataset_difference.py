"""What changed between two tables, by position and by key."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from made_frames import objects

from jupyter_mlops.datasets.difference import difference
from jupyter_mlops.datasets.packs import Packs
from jupyter_mlops.errors import InvalidArgument, NotFound
from jupyter_mlops.session import Session


def changes(before: pd.DataFrame, after: pd.DataFrame, **keywords: object) -> list[tuple[str, str, int]]:
    return [(c.name, c.change, c.cells) for c in difference(before, after, **keywords).columns]


def test_by_position() -> None:
    before = pd.DataFrame({"x": [1.0, np.nan, 3.0], "s": ["a", None, "c"], "gone": [1, 2, 3]})
    after = pd.DataFrame({"x": [1.0, np.nan, 4.0, 5.0], "s": ["a", "b", "d", "e"], "new": [1, 2, 3, 4]})
    found = difference(before, after, names=("a", "b"))
    assert (found.added, found.removed, found.changed, found.matched_by) == (1, 0, 2, "position")
    assert changes(before, after) == [
        ("gone", "removed", 0),
        ("new", "added", 0),
        ("x", "changed", 1),
        ("s", "changed", 2),
    ]
    assert "1 added, 0 removed, 2 changed" in found.text()
    assert difference(before, before.copy()).identical


def test_by_key_of_several_columns_in_any_order() -> None:
    before = pd.DataFrame({"id": [1, 1, 2, 3], "k": ["a", "b", "a", "a"], "v": [1, 2, 3, 4]})
    after = pd.DataFrame({"id": [3, 2, 1, 9], "k": pd.Categorical(["a", "a", "b", "z"]), "v": [4, 30, 2, 9]})
    found = difference(before, after, key=["id", "k"])
    assert (found.added, found.removed, found.changed, found.matched_by) == (1, 1, 1, "id, k")
    assert [(c.name, c.change, c.cells) for c in found.columns] == [("k", "retyped", 0), ("v", "changed", 1)]


def test_keys_that_name_no_row_or_several() -> None:
    frame = pd.DataFrame({"id": [1, 1, 2], "n": [1.0, None, 2.0], "s": ["a", "b", "c"]})
    with pytest.raises(NotFound, match="no column in before called 'nope'; there is: id, n, s"):
        difference(frame, frame, key=["nope"])
    other = frame.assign(s=["x", "y", "z"])
    with pytest.raises(InvalidArgument, match="the key id names more than one row of before: 1"):
        difference(frame, other, key=["id"])
    with pytest.raises(InvalidArgument, match="the key n is missing in 1 rows of before"):
        difference(frame, other, key=["n"])
    with pytest.raises(InvalidArgument, match="types that do not compare"):
        difference(frame, other.assign(s=[1, 2, 3]), key=["s"])


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (pd.Series([1, 2, 3]), pd.Series([1.0, 2.0, 4.0]), ("x", "retyped", 1)),
        (pd.Series([1, 2, 3]), pd.Series(["1", "2", "3"]), ("x", "retyped", 3)),
        (pd.Series(["a", "b"]), pd.Series(pd.Categorical(["a", "c"])), ("x", "retyped", 1)),
        (pd.Series(pd.Categorical(["a"])), pd.Series(pd.Categorical(["a"], ["a", "b"])), ("x", "categories", 0)),
        (
            pd.Series(pd.to_datetime(["2020"])),
            pd.Series(pd.to_datetime(["2021"])).dt.as_unit("ns"),
            ("x", "changed", 1),
        ),
        (pd.Series(pd.to_datetime(["2020"])), pd.Series(pd.to_datetime(["2020"])).dt.as_unit("ns"), None),
        (objects([[1], [2], None]), objects([[1], [3], None]), ("x", "changed", 1)),
        (pd.Series(pd.cut([1, 5], [0, 3, 6])), pd.Series(pd.cut([1, 2], [0, 3, 6])), ("x", "changed", 1)),
        (objects([None, np.nan, pd.NA]), pd.Series([np.nan] * 3), ("x", "retyped", 0)),
        (pd.Series([True, False]), pd.Series([True, True], dtype="boolean"), ("x", "changed", 1)),
        (
            pd.Series(pd.period_range("2020", periods=2, freq="M")),
            pd.Series(pd.period_range("2021", periods=2, freq="M")),
            ("x", "changed", 2),
        ),
        (pd.Series([1.0, 2.0]), pd.Series([1.0, 2.0], dtype="float32"), ("x", "retyped", 0)),
    ],
)
def test_values_are_compared_across_types(
    before: pd.Series, after: pd.Series, expected: tuple[str, str, int] | None
) -> None:
    found = changes(before.to_frame("x"), after.to_frame("x"))
    assert found == ([expected] if expected else [])


def test_order_of_columns_and_index_are_told() -> None:
    frame = pd.DataFrame({"a": [1, 2], "b": [3, 4]})
    assert changes(frame, frame[["b", "a"]]) == [("b", "moved", 0), ("a", "moved", 0)]
    assert changes(frame, frame.set_index(pd.Index([5, 6]))) == [("(index)", "changed", 0)]
    assert changes(frame, frame.rename_axis(columns="c")) == [("(columns)", "renamed", 0)]


def changes_of(frame: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Tables that differ from one in every way that a stored difference must tell."""
    few = frame.copy()
    few.loc[[5, 59_000], "x"] = [1.25, np.nan]
    few.loc[30_000, "s"] = None
    return {
        "few": few,
        "same": frame.copy(),
        "retyped": frame.assign(n=frame["n"].astype("int32"), x=frame["x"].astype("float32")),
        "categories": frame.assign(c=frame["c"].cat.rename_categories({"a": "z"})),
        "columns": frame.drop(columns="x").assign(new=1)[["s", "n", "c", "new"]],
        "renamed": frame.rename_axis(columns="of"),
        "longer": pd.concat([frame, frame[:5]], ignore_index=True),
        "indexed": frame.set_index(pd.Index(np.arange(len(frame)) + 1)),
        "shuffled": frame.sample(frac=1, random_state=0).reset_index(drop=True),
    }


def test_stored_versions_differ_as_their_tables_do(shared_session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    rows = 60_000
    frame = pd.DataFrame(
        {
            "n": np.arange(rows),
            "x": np.where(rng.random(rows) < 0.1, np.nan, rng.normal(size=rows)),
            "s": "t" + pd.Series(rng.integers(0, 10**6, rows)).astype(str),
            "c": pd.Categorical(rng.choice(["a", "b"], rows)),
        }
    )
    data = shared_session.data
    data.save(frame, name="base")
    read: list[int] = []
    whole = Packs.read
    monkeypatch.setattr(Packs, "read", lambda self, name, place: read.append(1) or whole(self, name, place))
    for what, other in changes_of(frame).items():
        data.save(other, name=what)
        read.clear()
        found = data.diff("base@v1", f"{what}@v1")
        cost = len(read)
        expected = difference(frame, other, names=("base@v1", f"{what}@v1"))
        assert found == expected, what
        if what == "few":
            assert 0 < cost <= 14  # of about 40 chunks in both
        if what in ("same", "renamed"):
            assert cost == 0
