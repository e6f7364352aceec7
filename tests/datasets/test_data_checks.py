"""The checks: every planted fault is found, its line of code mends it, clean tables stay clean, and nothing breaks the report."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pandas as pd
import pytest
from conftest import real_data
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chi2_contingency
from sklearn.metrics import roc_auc_score

from jupyter_mlops.datasets.check import Check, Column, Subject, check_table
from jupyter_mlops.datasets.checks import CHECKS
from jupyter_mlops.datasets.checks.duplicates import row_numbers
from jupyter_mlops.datasets.checks.label_errors import confident_joint, find_label_errors
from jupyter_mlops.datasets.checks.representativeness import association
from jupyter_mlops.datasets.checks.target_leakage import mean_area
from jupyter_mlops.datasets.contract import learn
from jupyter_mlops.domain.data_check import DataCheck
from jupyter_mlops.errors import NotFound


def clean(n: int = 400, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=n)
    return pd.DataFrame(
        {
            "x": x,
            "z": rng.normal(size=n),
            "job": rng.choice(["clerk", "baker", "smith"], n),
            "y": np.where(x + rng.normal(size=n) > 0, "yes", "no"),
        }
    )


def check(frame: pd.DataFrame, **options: Any) -> DataCheck:
    return check_table(Subject(frame, **options), CHECKS.values())


def test_a_clean_table_has_nothing_worse_than_an_info() -> None:
    for seed in range(5):
        report = check(clean(seed=seed), target="y", by="job", test=clean(seed=seed + 100))
        kinds = {f.check for f in report if f.severity != "info"}
        assert kinds <= {"label_errors"}, report.text()
        assert report.skipped == ()


def with_missing(f: pd.DataFrame) -> pd.DataFrame:
    return f.assign(z=f.z.where(f.index % 5 > 0))


def planted() -> dict[str, tuple[pd.DataFrame, dict[str, Any], str, str, str]]:
    f = clean()
    day = pd.Timestamp("2026-01-01") + pd.to_timedelta(np.arange(len(f)), unit="D")
    timed = f.assign(day=day, paid=day - pd.Timedelta("1D"))
    timed.loc[[3, 4], "paid"] = timed.day.max()
    text = f.z.map("{:.2f}".format)
    test = pd.concat([clean(seed=9), f.head(20)], ignore_index=True)
    return {
        "missing": (with_missing(f), {}, "missing", "warning", "z"),
        "placeholder": (f.assign(job=f.job.where(f.index % 9 > 0, "?")), {}, "missing", "warning", "job"),
        "infinite": (f.assign(z=f.z.where(f.index != 7, np.inf)), {}, "missing", "error", "z"),
        "sentinel": (f.assign(z=f.z.where(f.index % 50 > 0, -999)), {}, "missing", "warning", "z"),
        "target": (f.assign(y=f.y.where(f.index != 3)), {"target": "y"}, "missing", "error", "y"),
        "constant": (f.assign(same=1), {}, "constant", "warning", "same"),
        "rows": (pd.concat([f, f.head(20)], ignore_index=True), {}, "duplicates", "warning", ""),
        "column": (f.assign(again=f.job), {}, "duplicates", "warning", "again"),
        "renamed": (f.assign(code=f.job.map({"clerk": 1, "baker": 2, "smith": 3})), {}, "duplicates", "warning", "code"),
        "outlier": (f.assign(z=f.z.where(f.index != 9, 500.0)), {}, "outliers", "warning", "z"),
        "imbalance": (f.assign(y=np.where(f.index < 12, "rare", "usual")), {"target": "y"}, "imbalance", "warning", "y"),
        "few": (f.assign(y=np.where(f.index < 4, "rare", f.y)), {"target": "y"}, "imbalance", "error", "y"),
        "copy": (f.assign(leak=f.y.map({"yes": 1, "no": 0})), {"target": "y"}, "target_leakage", "error", "leak"),
        "unit": (f.assign(leak=f.z * 100 + 3), {"target": "z"}, "target_leakage", "error", "leak"),
        "identifier": (f.assign(customer_id=np.arange(len(f))), {}, "identifiers", "warning", "customer_id"),
        "text": (f.assign(z=text), {}, "mixed_types", "warning", "z"),
        "types": (f.assign(z=[*text[:20], *f.z[20:]]), {}, "mixed_types", "error", "z"),
        "seen": (f, {"test": test, "target": "y"}, "split_leakage", "error", ""),
        "group": (f.assign(who=f.index // 4), {"test": clean(seed=3).assign(who=f.index // 4 + 90), "group": "who"},
                  "split_leakage", "error", "who"),
        "future": (timed, {"time": "day"}, "time_travel", "error", "paid"),
        "order": (timed.drop(columns="paid"), {"time": "day", "test": timed.tail(50)}, "time_travel", "error", "day"),
        "group shares": (f, {"by": "job", "test": f[f.job != "clerk"]}, "representativeness", "warning", "job"),
        "small group": (f.assign(job=np.where(f.index < 9, "rare", f.job)), {"by": "job"}, "representativeness", "warning", "job"),
        "email": (f.assign(mail=[f"p{i}@example.org" for i in f.index]), {}, "personal_data", "warning", "mail"),
        "contract": (f.assign(job=np.where(f.index < 9, "pirate", f.job)), {"contract": learn(f, "t@v1")}, "contract", "error", "job"),
        "names": (f.set_axis(["x", "x", "job", "y"], axis=1), {}, "duplicates", "error", "x"),
    }  # fmt: skip


def found(report: DataCheck, name: str, severity: str, column: str) -> list[Any]:
    return [f for f in report.of(name) if f.severity == severity and (column in f.columns if column else not f.columns)]


NO_LINE_MENDS = {"group shares", "email", "imbalance", "small group", "contract"}
"""What needs a person, other rows, or the package itself."""


@pytest.mark.parametrize("case", planted())
def test_a_planted_fault_is_found_and_its_code_mends_it(case: str) -> None:
    frame, options, name, severity, column = planted()[case]
    before = frame.copy()
    report = check(frame, **options)
    hits = found(report, name, severity, column)
    assert hits, report.text()
    assert report.skipped == ()
    pd.testing.assert_frame_equal(frame, before)
    assert DataCheck.from_dict(report.to_dict()) == report
    fix = hits[0].fix
    compile(fix, "fix", "exec")
    if case in NO_LINE_MENDS:
        return
    scope: dict[str, Any] = {"df": frame.copy(), "test": options.get("test"), "pd": pd, "np": np}
    exec(fix, scope)
    again = {**options, **({"test": scope["test"]} if "test" in options else {})}
    left = found(check(scope["df"], **again), name, severity, column)
    assert hits[0].message not in [f.message for f in left], fix


def test_a_column_that_nothing_can_be_done_with_breaks_no_report() -> None:
    frame = clean(60).assign(
        lists=[[1, 2]] * 60, dicts=[{"a": i} for i in range(60)], empty=None, nothing=np.nan, mixed=[1, "a", None] * 20,
        when=pd.date_range("2026", periods=60, tz="Europe/Berlin"), span=pd.to_timedelta(range(60), unit="h"),
        complex_=np.arange(60) * 1j, period=pd.period_range("2026", periods=60, freq="D"), bytes_=[b"x"] * 60,
        nullable=pd.array([1, None] * 30, dtype="Int64"), cat=pd.Categorical(["a", None] * 30), flag=pd.array([True, None] * 30, dtype="boolean"),
    )  # fmt: skip
    frame[7] = 1.5
    report = check(frame, target="y", by="job", time="when", test=frame, group="cat", contract=learn(frame, "t@v1"))
    assert not report.of("contract")
    assert report.text()
    assert report.to_pandas().shape[0] == len(report)


def test_what_a_check_cannot_do_is_said_and_the_others_go_on() -> None:
    def broken(subject: Subject, column: Column) -> list[Any]:
        if column.name == "z":
            raise ValueError("cannot be")
        return []

    report = check_table(Subject(clean().assign(same=1)), [Check("broken", "", broken, each=True), CHECKS["constant"]])
    assert [(s.check, s.column, s.reason) for s in report.skipped] == [("broken", "z", "cannot be")]
    assert report.of("constant")


@pytest.mark.parametrize("rows", [0, 1, 2])
def test_hardly_any_rows(rows: int) -> None:
    report = check(clean().head(rows), target="y", by="job", test=clean().head(rows))
    assert report.rows == rows
    assert report.skipped == ()


def test_an_unknown_column_is_named_with_what_there_is() -> None:
    with pytest.raises(NotFound, match="no column 'incme'"):
        check(clean().rename(columns={"y": "income"}), target="incme")


@st.composite
def labelled(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    k, n = draw(st.integers(2, 4)), draw(st.integers(8, 60))
    rng = np.random.default_rng(draw(st.integers(0, 10_000)))
    return rng.integers(0, k, n), rng.dirichlet(np.ones(k), n)


@settings(max_examples=150, deadline=None)
@given(labelled())
def test_confident_learning_is_its_published_definition(case: tuple[np.ndarray, np.ndarray]) -> None:
    labels, p = case
    n, k = p.shape
    means = [p[labels == j, j].mean() if (labels == j).any() else np.inf for j in range(k)]
    joint = np.zeros((k, k))
    for i in range(n):  # equation 1 of the paper, row by row
        over = [j for j in range(k) if p[i, j] >= means[j] - 1e-12]
        if over:
            joint[labels[i], max(over, key=lambda j: p[i, j])] += 1
    assert (confident_joint(labels, p) == joint).all()
    counts = np.bincount(labels, minlength=k)
    scaled = np.array(
        [joint[i] / joint[i].sum() * counts[i] if joint[i].sum() else np.eye(k)[i] * counts[i] for i in range(k)]
    )
    told = find_label_errors(labels, p)
    np.testing.assert_allclose(told.joint, scaled / n)  # equation 2
    expected = set()
    for i in range(k):
        for j in range(k):
            if i != j:
                mine = sorted(np.flatnonzero(labels == i), key=lambda r: -(p[r, j] - p[r, i]))
                expected |= {r for r in mine[: round(scaled[i, j])] if p[r, j] > p[r, i]}
    assert set(told.rows.tolist()) == expected
    assert (np.diff(told.margin) <= 1e-12).all()


def test_planted_wrong_labels_are_found() -> None:
    rng = np.random.default_rng(4)
    n = 1_500
    truth = rng.integers(0, 3, n)
    frame = pd.DataFrame(rng.normal(size=(n, 4)) + np.eye(4)[truth] * 4, columns=list("abcd"))
    wrong = rng.choice(n, 60, replace=False)
    given_ = truth.copy()
    given_[wrong] = (truth[wrong] + rng.integers(1, 3, 60)) % 3
    report = check(frame.assign(y=given_.astype(str), nothing=np.nan, one=1.0), target="y")
    [hit] = report.of("label_errors")  # a column without a value, or with one only, is no reason to find none
    named = {int(r) for r in re.findall(r"\d+", hit.fix)}
    assert len(named & set(wrong.tolist())) >= 18  # of the twenty that the line of code shows
    assert 40 <= hit.count <= 90
    assert hit.numbers["estimated share of wrong labels"] == pytest.approx(0.04, abs=0.02)


def test_numbers_that_hardly_repeat_do_not_say_the_same_as_an_identifier() -> None:
    """Rows that were copied keep their numbers; what else was written beside them makes them different rows."""
    rng = np.random.default_rng(1)
    frame = pd.DataFrame({"id": np.arange(300), "x": rng.normal(size=300)})
    frame = pd.concat([frame, frame.head(20)], ignore_index=True).assign(note=lambda f: [f"n{i}" for i in f.index])
    assert check(frame).of("duplicates") == ()


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from([1.0, 2.0, None]), st.sampled_from(["a", "b", None])), min_size=1, max_size=30)
)
def test_row_numbers_tell_rows_apart_exactly(rows: list[Any]) -> None:
    frame = pd.DataFrame(rows, columns=["n", "s"])
    numbers = row_numbers(Subject(frame).columns)
    keys = [(a if pd.notna(a) else None, b) for a, b in rows]
    assert [[m == n for n in numbers] for m in numbers] == [[a == b for b in keys] for a in keys]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(st.integers(20, 200), min_size=3, max_size=3), min_size=2, max_size=5))
def test_association_is_scipys(table: list[list[int]]) -> None:
    chi2, p, _ = association(np.array(table, dtype=float))
    reference = chi2_contingency(np.array(table), correction=False)
    assert (chi2, p) == pytest.approx((reference.statistic, reference.pvalue))


@settings(max_examples=60, deadline=None)
@given(st.integers(2, 4), st.integers(0, 1000))
def test_mean_area_is_scikit_learns(k: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    p, y = rng.dirichlet(np.ones(k), 60).round(1), np.arange(60) % k
    p = p / p.sum(axis=1, keepdims=True)
    reference = roc_auc_score(y, p[:, 1]) if k == 2 else roc_auc_score(y, p, multi_class="ovr")
    ours = mean_area(p if k > 2 else np.column_stack([1 - p[:, 1], p[:, 1]]), y)
    assert ours == pytest.approx(reference)


def test_personal_data_is_quoted_by_no_finding_and_other_checks_neither() -> None:
    people = clean(40).assign(
        email=[f"ada.l{i}@example.org" for i in range(40)], ssn=[f"123-45-{i + 1000}" for i in range(40)]
    )
    people.loc[3, "email"] = "N/A"
    told = str(check(pd.concat([people, people.head(5)]), target="y").to_dict())
    assert "personal_data" in told
    assert "example.org" not in told
    assert "123-45" not in told


def test_adult_has_no_error_and_its_known_faults() -> None:
    report = check(pd.read_csv(real_data("adult.csv.gz")), target="income", by="sex")
    assert report.errors == 0
    assert report.skipped == ()
    assert {"workclass", "occupation", "native_country"} <= {f.columns[0] for f in report.of("missing")}
    assert not report.of("target_leakage")
    assert report.personal == {}


def test_titanic_names_are_personal() -> None:
    frame = pd.read_csv(real_data("titanic.csv"))
    assert set(check(frame).personal) == {"Name"}


def test_rows_that_are_there_twice_do_not_make_columns_say_the_same():
    """Columns of different numbers map one to one onto each other; that says nothing, also where a whole row stands twice."""
    rng = np.random.default_rng(0)
    f = pd.DataFrame(rng.normal(size=(200, 3)), columns=["a", "b", "c"])
    twice = pd.concat([f, f.tail(5)], ignore_index=True)
    assert [found.columns for found in check(twice).findings if found.check == "duplicates"] == [()]


def test_what_chance_puts_into_the_tails_is_no_outlier() -> None:
    draws = np.random.default_rng(0).normal(size=(500, 300))
    frame = pd.DataFrame(draws, columns=[f"c{i}" for i in range(300)])
    found = [finding for finding in check(frame).findings if finding.check == "outliers"]
    assert len(found) <= 3  # 79 columns have a number beyond 3.5 robust deviations
    frame.loc[9, "c4"] = 8.0
    assert ("c4",) in [finding.columns for finding in check(frame).findings if finding.check == "outliers"]
