"""Rows matched by content: what came, went, changed and moved where no key says which row is which."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jupyter_mlops.datasets.difference import difference
from jupyter_mlops.datasets.matching import by_content
from jupyter_mlops.session import Session


def people(rows: int = 400) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "n": rng.permutation(rows),
            "x": np.where(rng.random(rows) < 0.1, np.nan, rng.normal(size=rows)),
            "s": pd.Series(rng.integers(0, 50, rows)).map("t{}".format).where(rng.random(rows) > 0.1),
            "c": pd.Categorical(rng.choice(["a", "b", None], rows)),
            "t": pd.Timestamp("2024-01-01", tz="UTC") + pd.to_timedelta(rng.integers(0, 10**6, rows), unit="s"),
            "b": pd.array(rng.choice([True, False, None], rows), dtype="boolean"),
        }
    )


def counts(before: pd.DataFrame, after: pd.DataFrame) -> tuple[int, int, int, int]:
    found = difference(before, after)
    return found.added, found.removed, found.changed, found.moved


def test_removed_rows_leave_the_others_unchanged() -> None:
    before = people()
    after = before.drop(index=[0, 7, 8, 250]).reset_index(drop=True)
    after.loc[100, "x"] = 9.0
    found = difference(before, after)
    assert (found.added, found.removed, found.changed, found.moved) == (0, 4, 1, 0)
    assert found.matched_by == "content"
    assert found.hint == ""
    assert [(c.name, c.cells) for c in found.columns] == [("x", 1)]
    assert [e.row for e in found.examples if e.change == "removed"] == ["0", "7", "8", "250"]
    assert "rows matched by content: 0 added, 4 removed, 1 changed" in found.text()


def test_rows_that_came_and_went_in_equal_numbers_are_seen_too() -> None:
    before = people()
    new = people(403)[400:].assign(n=[-1, -2, -3])
    after = pd.concat([before[3:200], new, before[200:]], ignore_index=True)
    assert counts(before, after) == (3, 3, 0, 0)


def test_the_changed_row_beside_a_removed_one_is_the_one_that_has_more_in_common() -> None:
    before = people()
    after = before.drop(index=[20, 21]).reset_index(drop=True)
    after.loc[20, "x"] = 5.0  # row 22 as it was
    found = difference(before, after)
    assert (found.added, found.removed, found.changed) == (0, 2, 1)
    assert [e.row for e in found.examples] == ["22", "20", "21"]


def test_a_shuffled_table_has_moved_and_not_changed() -> None:
    before = people()
    after = before.sample(frac=1, random_state=1).reset_index(drop=True)
    added, removed, changed, moved = counts(before, after)
    assert (added, removed, changed) == (0, 0, 0)
    assert 300 < moved < 400
    assert f"{moved} moved" in difference(before, after).text()


def test_a_column_that_was_worked_out_anew_does_not_hide_which_rows_went() -> None:
    before = people()
    after = before.drop(index=[5]).assign(x=np.arange(399) * 1.5 + 0.25).reset_index(drop=True)
    found = difference(before, after)
    assert (found.added, found.removed, found.changed) == (0, 1, 399)
    assert [(c.name, c.change) for c in found.columns] == [("x", "changed")]
    assert found.hint == ""


def test_where_nothing_is_the_same_a_key_is_named() -> None:
    before = people()
    after = before.assign(n=before["n"].sample(frac=1, random_state=0).to_numpy(), x=np.arange(400.0), s="new", c="z")
    found = difference(before, after)
    assert found.matched_by == "position"
    assert found.hint == "Most rows differ, matched by position: --key n matches them by a key."
    assert found.hint in found.text()
    assert found.hint in found._repr_mimebundle_()["text/html"]
    assert difference(before, after, key=["n"]).hint == ""


def test_stored_versions_are_matched_by_content_too(session: Session) -> None:
    before = people(3000)
    after = before.drop(index=[4, 1000]).reset_index(drop=True)
    swapped = pd.concat([before[1:], before[:1]], ignore_index=True)
    for frame in (before, after, swapped):
        session.data.save(frame, name="people")
    shorter, turned = session.data.diff("people@v1", "people@v2"), session.data.diff("people@v1", "people@v3")
    assert (shorter.added, shorter.removed, shorter.changed, shorter.moved) == (0, 2, 0, 0)
    assert (turned.added, turned.removed, turned.changed, turned.moved) == (0, 0, 0, 1)


@pytest.mark.parametrize("column", [[[1], [2], None, [3]], [1, 2, 2, 2], ["a", None, "a", "b"]])
def test_tables_of_one_column_of_any_kind(column: list[object]) -> None:
    before = pd.DataFrame({"x": pd.Series(column, dtype=object)})
    found = difference(before, before[1:].reset_index(drop=True))
    assert found.added == 0
    assert found.removed == 1


@given(st.lists(st.integers(0, 5), max_size=12), st.lists(st.integers(0, 5), max_size=12), st.booleans())
@settings(max_examples=300, deadline=None)
def test_every_row_is_matched_once_and_to_an_equal_one_where_there_is_one(
    one: list[int], other: list[int], wide: bool
) -> None:
    before, after = (pd.DataFrame({"x": pd.Series(side, dtype="int64")}) for side in (one, other))
    if wide:
        before["y"], after["y"] = before["x"].astype(str), after["x"].astype(str)
    found, gained = by_content(before, after, list(before.columns))
    assert len(set(found.before.tolist())) == len(found.before) == len(set(found.after.tolist()))
    assert len(found.before) + found.removed == len(before)
    assert len(found.after) + found.added == len(after)
    both = sum(min(one.count(value), other.count(value)) for value in set(one))
    same = (before["x"].to_numpy()[found.before] == after["x"].to_numpy()[found.after]).sum()
    assert same == both
    assert gained == both - sum(a == b for a, b in zip(one, other, strict=False))
