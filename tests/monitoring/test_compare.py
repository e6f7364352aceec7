"""Comparing tables: what is found on real shifts, on broken columns, and how rarely nothing is called drift."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from conftest import real_data

from jupyter_mlops.domain.drift_report import DriftReport
from jupyter_mlops.errors import InvalidArgument
from jupyter_mlops.monitoring.compare import compare, profile_of
from jupyter_mlops.monitoring.sources import FrameSource
from jupyter_mlops.monitoring.thresholds import Thresholds


def drift(reference: pd.DataFrame, current: pd.DataFrame, thresholds=()) -> DriftReport:
    before, found = profile_of(reference, side="reference")
    now, also = profile_of(current, like=before)
    report = compare(before, now, found=[*found, *also], thresholds=Thresholds.read(thresholds))
    wire = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    assert DriftReport.from_dict(wire) == report
    return report


def kinds(report: DriftReport, column: str) -> list[str]:
    return [f"{f.kind}:{f.severity}" for f in report.findings if f.column == column]


def verdicts(report: DriftReport) -> dict[str, bool | None]:
    return {column.name: column.drifted for column in report}


@pytest.fixture(scope="module")
def adult() -> pd.DataFrame:
    return pd.read_csv(real_data("adult.csv.gz"), na_values="?")


def test_two_halves_of_a_real_table_do_not_differ(adult):
    mixed = adult.sample(frac=1, random_state=7)
    report = drift(mixed.iloc[:12_000], mixed.iloc[12_000:])
    assert report.drifted == report.unjudged == ()
    assert [f for f in report.findings if f.severity != "info"] == []


def test_a_real_shift_is_found_where_it_is(adult):
    report = drift(adult[adult["age"] < 40], adult[adult["age"] >= 40])
    assert {"age", "marital_status", "relationship"} <= set(report.drifted)
    assert {"age", "marital_status"} <= set(report.strongly_drifted)
    assert not {"race", "fnlwgt"} & set(report.strongly_drifted)
    by_sex = drift(adult[adult["sex"] == "Male"], adult[adult["sex"] == "Female"])
    assert {"sex", "relationship", "hours_per_week"} <= set(by_sex.drifted)
    assert "vanished-category:warning" in kinds(by_sex, "sex")
    assert "new-category:warning" in kinds(by_sex, "sex")


def test_concept_drift_of_a_real_stream_is_found():
    stream = pd.read_csv(real_data("electricity.csv.gz"))
    early, late = stream.iloc[:15_000], stream.iloc[-15_000:]
    report = drift(early, late)
    assert len(report.drifted) >= 3
    weekday = [c for c in stream.columns if c.lower() == "day"]
    assert not set(weekday) & set(report.drifted)


@pytest.mark.parametrize("rows", [100, 1_000, 10_000])
def test_nothing_is_rarely_called_drift_and_half_a_deviation_always(rows):
    """Fifty columns from five families, the same source on both sides: any alarm in at most a tenth of the tables."""
    rng = np.random.default_rng(rows)
    families = [rng.normal, rng.lognormal, rng.exponential, lambda size: rng.standard_t(2, size), rng.standard_cauchy]
    tables = {100: 20, 1_000: 20, 10_000: 10}[rows]
    alarmed = 0
    for _ in range(tables):
        sides = [
            pd.DataFrame(
                {f"c{i}": families[i % 5](size=rows) for i in range(40)}
                | {f"k{i}": rng.choice(list("abcdefgh"), rows, p=np.arange(8, 0, -1) / 36) for i in range(10)}
            )
            for _ in range(2)
        ]
        report = drift(*sides)
        assert report.unjudged == ()
        alarmed += bool(report.drifted)
    assert alarmed <= tables / 10
    reference = pd.DataFrame({f"c{i}": rng.normal(size=rows) for i in range(10)})
    shifted = pd.DataFrame({f"c{i}": rng.normal(0.5 * (i < 5), size=rows) for i in range(10)})
    found = drift(reference, shifted).drifted
    assert not {f"c{i}" for i in range(5, 10)} & set(found)
    assert len(found) == 5 if rows > 100 else len(found) >= 3


@pytest.fixture(scope="module")
def pair() -> tuple[pd.DataFrame, pd.DataFrame]:
    rng = np.random.default_rng(2)

    def make(rows: int) -> pd.DataFrame:
        return pd.DataFrame(
            {
                "steady": rng.normal(size=rows),
                "number": rng.normal(size=rows),
                "text": rng.choice(["red", "green", "blue"], rows, p=[0.5, 0.3, 0.2]),
            }
        )

    return make(3_000), make(3_000)


BROKEN = {
    "missing": (lambda d: d.drop(columns="number"), "number", None, "missing-column:error"),
    "all missing": (lambda d: d.assign(number=np.nan), "number", None, "empty:error"),
    "all missing text": (lambda d: d.assign(text=None), "text", None, "empty:error"),
    "half missing": (
        lambda d: d.assign(number=d["number"].where(d.index % 2 == 0)),
        "number",
        False,
        "missing-values:warning",
    ),
    "to text": (lambda d: d.assign(number="n" + d["number"].round(1).astype(str)), "number", None, "retyped:error"),
    "to lists": (lambda d: d.assign(number=[[1, 2]] * len(d)), "number", None, "retyped:error"),
    "mixed": (lambda d: d.assign(number=[1, "a"] * (len(d) // 2)), "number", None, "unreadable:error"),
    "objects": (lambda d: d.assign(number=[object()] * len(d)), "number", None, "unreadable:error"),
    "infinite": (
        lambda d: d.assign(number=d["number"].where(d.index > 9, np.inf)),
        "number",
        False,
        "infinite:warning",
    ),
    "constant": (lambda d: d.assign(number=1.5), "number", True, "constant:warning"),
    "huge": (lambda d: d.assign(number=d["number"] * 1e307), "number", True, None),
    "new label": (lambda d: d.assign(text=d["text"].replace("red", "black")), "text", True, "new-category:warning"),
    "lost label": (
        lambda d: d.assign(text=d["text"].replace("red", "blue")),
        "text",
        True,
        "vanished-category:warning",
    ),
    "ids": (lambda d: d.assign(text=[f"id{i}" for i in range(len(d))]), "text", True, "new-category:warning"),
    "few left": (lambda d: d.assign(number=d["number"].where(d.index < 5)), "number", None, "few-rows:warning"),
    "twice": (lambda d: pd.concat([d, d[["number"]]], axis=1), "number", None, "duplicated:error"),
    "whole": (lambda d: d.assign(number=d["number"].round().astype(int)), "number", None, "retyped:info"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_one_bad_column_is_told_of_and_the_others_are_judged(pair, case):
    breaking, column, drifted, finding = BROKEN[case]
    before = pair[1].copy()
    report = drift(pair[0], breaking(pair[1]))
    found = verdicts(report)
    assert found["steady"] is False
    assert len(report.columns) == 3
    if case != "whole":
        assert found[column] is drifted
    if finding:
        assert finding in kinds(report, column)
    assert all(f.message and f.column in ("", column) for f in report.findings)
    pd.testing.assert_frame_equal(pair[1], before)


def test_an_extra_column_is_told_of_and_order_does_not_matter(pair):
    turned = pair[1][["text", "number", "steady"]].assign(new=1)
    report = drift(pair[0], turned)
    assert verdicts(report) == {"steady": False, "number": False, "text": False}
    assert kinds(report, "new") == ["extra-column:warning"]


@pytest.mark.parametrize("rows", [0, 1, 19])
def test_too_few_rows_are_not_called_no_drift(pair, rows):
    report = drift(pair[0], pair[1].iloc[:rows])
    assert set(verdicts(report).values()) == {None}
    assert "drift could not be judged" in report.verdict
    assert f"the current table has {rows}" in report.verdict


def test_thresholds_are_set_for_all_columns_or_for_one(pair):
    moved = pair[1].assign(number=pair[1]["number"] + 0.8)
    assert drift(pair[0], moved).drifted == ("number",)
    off = [f"{name}={value}" for name, value in {"ks": 0.9, "psi": 5, "wasserstein": 5, "js": 0.9}.items()]
    assert drift(pair[0], moved, off).drifted == ()
    report = drift(pair[0], moved, [*off, "number:psi=0.3"])
    assert report.drifted == ("number",)
    assert "psi 0.3 for 'number'" in report.convention
    assert kinds(drift(pair[0], moved, ["nothing:psi=1"]), "nothing") == ["unknown-column:warning"]
    for bad, says in {
        "psi": "DETECTOR=NUMBER",
        "pis=1": "Did you mean 'psi'",
        "ks=2": "from 0 to 1",
        "ks=x": "not 'x'",
    }.items():
        with pytest.raises(InvalidArgument, match=says):
            Thresholds.read([bad])


def test_a_drawing_has_few_bars_and_sums_to_one(adult):
    for column in drift(adult.iloc[:9_000], adult.iloc[9_000:]):
        drawn = column.distribution
        assert 1 < len(drawn.reference) == len(drawn.current) <= 30
        assert len(drawn.labels) in (0, len(drawn.reference))
        assert len(drawn.edges) in (0, len(drawn.reference) + 1)
        assert sum(drawn.reference) == pytest.approx(1, abs=1e-3) == sum(drawn.current)


def test_the_rest_of_the_bad_input_that_others_stumble_over():
    rng = np.random.default_rng(6)
    rows = 3_000
    steady = rng.normal(size=rows)
    endless = np.where(np.arange(rows) % 50 == 0, np.inf, steady)
    reference = pd.DataFrame(
        {
            "was constant": 1.5,
            "constant": 2.0,
            "flag": rng.random(rows) < 0.5,
            "endless": endless,
            "gone text": rng.choice(list("ab"), rows),
            "when": pd.Timestamp("2026-01-01") + pd.to_timedelta(rng.integers(0, 999, rows), unit="h"),
            "number": steady,
        }
    )
    current = reference.assign(
        **{
            "was constant": steady,
            "flag": rng.integers(0, 2, rows),
            "endless": -endless,
            "when": "no date",
            "number": [{"a": 1}] * rows,
        }
    )
    report = drift(reference, current)
    assert verdicts(report) == {
        "was constant": True,
        "constant": False,
        "flag": True,
        "endless": False,
        "gone text": False,
        "when": None,
        "number": None,
    }
    assert "retyped:error" in kinds(report, "when")
    assert kinds(report, "number")
    assert kinds(report, "endless") == ["infinite:info"]
    assert {c.drifted for c in drift(reference, current.head(1))} == {None}
    assert "could not be judged" in drift(reference, current.head(0)).verdict


def test_only_the_chosen_detectors_are_measured_and_every_one_on_demand(pair):
    before, now = (FrameSource(table) for table in pair)
    only = compare(before, now, detectors=["ks"])
    assert {s.detector for c in only for s in c.scores} == {"ks"}
    assert "not-measured:info" in kinds(only, "text")
    every = {s.detector for c in compare(before, now, detectors=["all"]) for s in c.scores}
    assert {"kl", "hellinger", "tv", "emd", "chi2"} <= every
    asked = compare(before, now, thresholds=Thresholds.read(["number:emd=0.5"]))
    assert "emd 0.5 for 'number'" in asked.convention
    with pytest.raises(InvalidArgument, match="Did you mean 'ks'"):
        compare(before, now, detectors=["kss"])
    strict = compare(before, now, thresholds=Thresholds.read(["missing=50%", "level=0"]))
    assert strict.drifted == ()
