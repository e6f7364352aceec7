"""The point-in-time join: the same as looking row by row, for any times, keys, ties, gaps and TTLs."""

from __future__ import annotations

from datetime import date
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jupyter_mlops.datasets.features.joining import join
from jupyter_mlops.datasets.features.point_in_time import EARLY, EXPIRED, KEYLESS, UNKNOWN, Ordered, times_of
from jupyter_mlops.domain.data_version import Column
from jupyter_mlops.domain.feature_view import FeatureView
from jupyter_mlops.errors import InvalidArgument, NotFound

NOWHERE = {"unknown": UNKNOWN, "early": EARLY, "expired": EXPIRED, "keyless": KEYLESS}


def looked_up(
    rows: list[tuple[Any, ...]], labels: list[tuple[Any, ...]], ttl: float | None, *, created: bool
) -> list[int]:
    """Row by row, as the words say it: the newest row of the entity not after the label, within its time to live."""
    found = []
    for *key, at in labels:
        if any(part is None for part in key) or at is None:
            found.append(KEYLESS)
            continue
        mine = [
            (when, (-1 if written is None else written) if created else 0, place)
            for place, (*other, when, written) in enumerate(rows)
            if other == key and when is not None
        ]
        seen = [each for each in mine if each[0] <= at]
        if not mine:
            found.append(UNKNOWN)
        elif not seen:
            found.append(EARLY)
        else:
            when, _, place = max(seen)
            found.append(EXPIRED if ttl is not None and at - when > ttl else place)
    return found


KEYS = st.one_of(st.none(), st.sampled_from(["a", "b", "c", "d"]))
NUMBERS = st.one_of(st.none(), st.integers(0, 3))
TIMES = st.one_of(st.none(), st.integers(0, 12))


@settings(max_examples=300, deadline=None)
@given(
    rows=st.lists(st.tuples(KEYS, NUMBERS, TIMES, TIMES), max_size=25),
    labels=st.lists(st.tuples(KEYS, NUMBERS, TIMES), min_size=1, max_size=15),
    ttl=st.one_of(st.none(), st.integers(0, 6)),
    created=st.booleans(),
    moments=st.booleans(),
    units=st.tuples(st.sampled_from(["s", "ms", "us", "ns"]), st.sampled_from(["s", "ms", "us", "ns"])),
    zones=st.tuples(st.sampled_from([None, "UTC", "Asia/Tokyo"]), st.sampled_from([None, "UTC", "America/Lima"])),
)
def test_every_label_finds_what_looking_row_by_row_finds(
    rows: list[Any],
    labels: list[Any],
    ttl: float | None,
    created: bool,
    moments: bool,
    units: tuple[str, str],
    zones: tuple[str | None, str | None],
) -> None:
    def times(values: list[Any], side: int) -> pd.Series:
        if not moments:
            return pd.Series(values, dtype="Int64")
        held = pd.Series([pd.NaT if v is None else pd.Timestamp(1_700_000_000 + v, unit="s") for v in values])
        held = held.astype(f"datetime64[{units[side]}]")
        zone = zones[side]
        return held if zone is None else held.dt.tz_localize("UTC").dt.tz_convert(zone)

    text = [pd.Series([row[0] for row in which], dtype=object) for which in (rows, labels)]
    whole = [pd.Series([row[1] for row in which], dtype="Int64") for which in (rows, labels)]
    if moments:  # keys may be stored in different ways on both sides
        text[0] = text[0].astype("category" if rows else object)
        whole[1] = whole[1].astype("Float64")
    written = times_of(times([row[3] for row in rows], 0), "written") if created else None
    ordered = Ordered([text[0], whole[0]], times_of(times([row[2] for row in rows], 0), "at"), written)
    found = ordered.find([text[1], whole[1]], times_of(times([row[2] for row in labels], 1), "at"), ttl)
    assert found.rows.tolist() == looked_up(rows, labels, ttl, created=created)
    usable = [row for row in rows if None not in row[:3]]
    assert ordered.ties == len(usable) - len({row[:3] for row in usable})
    assert ordered.unusable == len(rows) - len(usable)
    for place, age, label in zip(found.rows, found.ages, labels, strict=True):
        assert np.isnan(age) if place < 0 else age == label[2] - rows[place][2]


def view_of(rows: pd.DataFrame, *, time: str = "at", ttl: float | None = None, name: str = "v") -> Any:
    features = tuple(Column(c, str(rows[c].dtype)) for c in rows.columns if c not in ("id", time))
    return FeatureView(name, 1, "", ("t@v1",), ("id",), features, time=time, ttl=ttl, rows=len(rows)), lambda: rows


def test_it_agrees_with_pandas_own_asof_merge_on_many_rows() -> None:
    rng = np.random.default_rng(5)
    rows = pd.DataFrame(
        {
            "id": rng.integers(0, 900, 40_000),
            "at": pd.Timestamp("2026-01-01") + pd.to_timedelta(rng.permutation(40_000) * 37, unit="s"),
            "x": rng.normal(size=40_000),
        }
    )
    labels = pd.DataFrame(
        {"id": rng.integers(0, 1_000, 20_000), "when": rows["at"].min() + pd.to_timedelta(rng.integers(0, 1_500_000, 20_000), unit="s")}
    )  # fmt: skip
    made = join(labels, [view_of(rows, ttl=86_400.0)], "when").table
    theirs = pd.merge_asof(
        labels.reset_index().sort_values("when"),
        rows.sort_values("at"),
        left_on="when",
        right_on="at",
        by="id",
        tolerance=pd.Timedelta(days=1),
    ).set_index("index").sort_index()  # fmt: skip
    np.testing.assert_array_equal(made["x"], theirs["x"])


def test_the_labels_stay_as_they_are_and_types_are_kept_where_nothing_is_missing() -> None:
    rows = pd.DataFrame(
        {
            "id": [1, 1, 2],
            "at": [1, 5, 2],
            "whole": [1, 2, 3],
            "large": [2**60, 2**60 + 1, 2**60 + 2],
            "flag": [True, False, True],
            "word": ["a", "b", "c"],
            "kind": pd.Categorical(["u", "v", "u"]),
        }
    )
    labels = pd.DataFrame({"id": [2, 1], "t": [9, 9], "word": ["p", "q"]}, index=["second", "first"])
    found = join(labels, [view_of(rows)], "t")
    pd.testing.assert_frame_equal(found.table[["id", "t", "word"]], labels)
    assert found.features == ("whole", "large", "flag", "v__word", "kind")
    assert found.table.dtypes[["whole", "large", "flag"]].astype(str).tolist() == ["int64", "int64", "bool"]
    assert found.table["v__word"].tolist() == ["c", "b"]
    gone = join(pd.DataFrame({"id": [1, 7], "t": [2, 2]}), [view_of(rows)], "t").table
    assert gone.dtypes[["whole", "large", "flag"]].astype(str).tolist() == ["float64", "Int64", "boolean"]
    assert gone["large"][0] == 2**60
    assert gone["kind"].dtype == rows["kind"].dtype
    nothing = join(pd.DataFrame({"id": [1], "t": [2]}), [view_of(rows.iloc[:0])], "t")
    assert nothing.joins[0].unknown == 1
    assert nothing.table["whole"].isna().all()


def test_what_does_not_fit_is_told_with_what_to_do() -> None:
    rows = pd.DataFrame({"id": [1, 2], "at": pd.to_datetime(["2026-01-01", "2026-01-02"]), "x": [1.0, 2.0]})
    view = view_of(rows)
    labels = pd.DataFrame({"id": [1], "t": pd.to_datetime(["2026-01-03"])})
    with pytest.raises(InvalidArgument, match="id holds text in the labels and number in v@v1"):
        join(labels.assign(id="1"), [view], "t")
    with pytest.raises(InvalidArgument, match="holds text, neither times nor numbers"):
        join(labels.assign(t="2026-01-03"), [view], "t")
    with pytest.raises(InvalidArgument, match="labels' time column holds numbers, the view's times"):
        join(labels.assign(t=5), [view], "t")
    with pytest.raises(InvalidArgument, match="say when each label was given"):
        join(labels, [view])
    with pytest.raises(NotFound, match="'id'"):
        join(labels.rename(columns={"id": "who"}), [view], "t")
    with pytest.raises(NotFound, match="'when'"):
        join(labels, [view], "when")
    with pytest.raises(InvalidArgument, match="two columns would be called v__x"):
        join(labels.assign(x=1, v__x=2), [view], "t")
    days = join(labels.assign(t=[date(2026, 1, 1)]), [view], "t")
    assert days.joins[0].joined == 1
    zoned = join(labels.assign(t=labels["t"].dt.tz_localize("Asia/Tokyo")), [view], "t")
    assert zoned.joins[0].notes == ("the view's times bear no zone and were taken as UTC",)


def test_a_tie_is_broken_by_when_a_row_was_written() -> None:
    rows = pd.DataFrame({"id": [1, 1, 1], "at": [3, 3, 3], "written": [2, 9, 4], "x": [1, 2, 3]})
    view, read = view_of(rows)
    labels = pd.DataFrame({"id": [1], "t": [3]})
    assert join(labels, [(view, read)], "t").table["x"].tolist() == [3]
    later = FeatureView(**{**vars(view), "created": "written"})
    found = join(labels, [(later, read)], "t")
    assert found.table["x"].tolist() == [2]
    assert found.joins[0].ties == 2
