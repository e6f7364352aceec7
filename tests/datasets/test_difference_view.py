"""What a difference shows: the rows and cells that differ, and how far columns have moved, against scipy."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import ks_2samp

from jupyter_mlops.datasets.difference import difference
from jupyter_mlops.datasets.shifts import distance
from jupyter_mlops.domain.data_version import DataDiff
from jupyter_mlops.widgets.data_diff import data_diff

numbers = st.lists(st.floats(-1e6, 1e6) | st.integers(0, 3).map(float), min_size=1, max_size=40)


@given(numbers, numbers)
def test_numbers_move_as_far_as_kolmogorov_and_smirnov_say(one: list[float], other: list[float]) -> None:
    assert distance(pd.Series(one), pd.Series(other)) == pytest.approx(ks_2samp(one, other).statistic, abs=1e-12)


@given(st.lists(st.sampled_from("abcd"), min_size=1), st.lists(st.sampled_from("cdef"), min_size=1))
def test_words_move_by_the_total_variation(one: list[str], other: list[str]) -> None:
    expected = sum(abs(one.count(w) / len(one) - other.count(w) / len(other)) for w in "abcdef") / 2
    for kind in ("object", "category"):
        found = distance(pd.Series(one, dtype=kind), pd.Series(other, dtype=kind))
        assert found == pytest.approx(expected, abs=1e-12)


def test_what_went_missing_counts_as_moving() -> None:
    assert distance(pd.Series([1.0, 2.0]), pd.Series([1.0, 2.0, None, None])) == pytest.approx(0.5)
    assert distance(pd.Series([None, None], dtype=float), pd.Series([1.0])) == 1.0


def test_examples_are_the_rows_that_differ_most_with_the_cells_that_do() -> None:
    before = pd.DataFrame({"id": range(50), "x": 1.0, "s": "same", "<b>": range(50)})
    after = before.drop(index=[4]).reset_index(drop=True)
    after["x"] = 2.5
    after.loc[after.id == 30, "s"] = "<script>"
    after = pd.concat([after, pd.DataFrame({"id": [99], "x": [None], "s": ["new"], "<b>": [0]})], ignore_index=True)
    diff = difference(before, after, key=["id"])
    by_row = {(e.change, e.row): e for e in diff.examples}
    assert diff.shown == ("x", "s", "<b>")
    changed = by_row["changed", "30"]
    assert (changed.before, changed.after, changed.differs) == (("1", "same", "30"), ("2.5", "<script>", "30"), (0, 1))
    assert by_row["removed", "4"].before == ("1", "same", "4")
    assert by_row["added", "99"].after == ("missing", "new", "0")
    assert [(s.column, round(s.distance, 2)) for s in diff.shifts] == [("x", 1.0)]
    assert DataDiff.from_dict(diff.to_dict()) == diff
    assert "1 -> 2.5" in diff.text()
    html = str(data_diff(diff))
    assert "<script>" not in html
    assert 'class="mlops-add">2.5' in html


def test_rows_of_other_length_by_position_and_columns_of_one_side_alone() -> None:
    before = pd.DataFrame({"a": np.arange(3), "old": 1, "t": pd.Categorical(["u", None, "v"])})
    after = pd.DataFrame(
        {"a": np.arange(5), "new": [[1], [2], [3], [4], [5]], "t": pd.Categorical(["u", "w", "v"] + [None] * 2)}
    )
    diff = difference(before, after)
    assert [(e.change, e.row) for e in diff.examples] == [("changed", "1"), ("added", "3"), ("added", "4")]
    assert diff.examples[0].before == ("missing", "1")
    assert data_diff(diff)
