"""Curves of iterative estimators, scores of folds, and what two runs do not have in common."""

from __future__ import annotations

import math

import pytest
from scipy import stats

from jupyter_mlops.session import Session
from jupyter_mlops.tracking.differences import data_differences, fold_differences, other_versions, paired_folds
from jupyter_mlops.widgets import draw

FIT = """
import numpy as np
from sklearn.datasets import make_classification
from sklearn.ensemble import GradientBoostingClassifier, HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score, cross_validate
from sklearn.neural_network import MLPClassifier
X, y = make_classification(120, random_state=0)
"""


@pytest.fixture(scope="module")
def session(make_session) -> Session:
    """A workspace with runs of a kernel's namespace, made once."""
    session = make_session()
    names: dict = {"__name__": "__main__", "session": session}
    session.context.namespace = names
    exec(FIT, names)
    body = """
with session.run("boosting"):
    GradientBoostingClassifier(n_estimators=7, random_state=0).fit(X, y)
with session.run("histogram"):
    HistGradientBoostingClassifier(max_iter=6, early_stopping=True, random_state=0).fit(X, y)
with session.run("perceptron"):
    MLPClassifier(max_iter=5, random_state=0).fit(X, y)
with session.run("search"):
    search = GridSearchCV(LogisticRegression(), {"C": [0.1, 1.0]}, cv=4).fit(X, y)
for name, C in (("one", 0.001), ("two", 1.0), ("three", 3.0), ("four", 9.0)):
    with session.run(name) as run:
        scores = cross_val_score(LogisticRegression(C=C), X, y, cv=5, scoring="accuracy")
        cross_validate(LogisticRegression(C=C), X, y, cv=3, scoring=["roc_auc", "f1"])
        run.log_param("C", C)
        run.log_param("kind", name)
plain = cross_val_score
"""
    exec(body, names)
    return session


def curve(session: Session, run: str, metric: str) -> list[float]:
    told = session.context.call("tracking.history", run=run, metric=metric)
    first = 0 if run == "histogram" else 1  # histogram boosting scores before its first tree
    assert told["steps"] == list(range(first, len(told["steps"]) + first))
    return told["values"]


@pytest.mark.parametrize(
    ("run", "metric", "length"),
    [("boosting", "train_score", 7), ("histogram", "validation_score", 7), ("perceptron", "loss_curve", 5)],
)
def test_iterations_are_a_curve(session, run, metric, length):
    values = curve(session, run, metric)
    assert len(values) == length
    assert len(set(values)) > 1


def test_a_search_tells_the_folds_of_its_best(session):
    search = session.context.namespace["search"]
    assert curve(session, "search", "best_cv_score_fold") == pytest.approx(
        [search.cv_results_[f"split{i}_test_score"][search.best_index_] for i in range(4)]
    )
    run = session.context.call("tracking.get", run="search")
    assert run["metrics"]["best_cv_score_std"] > 0


def test_cross_validation_tells_its_folds_and_their_spread(session):
    scores = session.context.namespace["scores"]
    assert curve(session, "four", "cv_accuracy_fold") == pytest.approx(scores.tolist())
    metrics = session.context.call("tracking.get", run="four")["metrics"]
    assert metrics["cv_accuracy_mean"] == pytest.approx(scores.mean())
    assert metrics["cv_accuracy_std"] == pytest.approx(scores.std(ddof=1))
    assert len(curve(session, "four", "cv_roc_auc_fold")) == 3
    assert "cv_f1_mean" in metrics
    assert session.context.namespace["plain"].__module__ == "sklearn.model_selection._validation"
    assert type(session.context.namespace["plain"]).__name__ == "function"  # put back


def test_two_runs_are_compared_over_folds(session):
    told = session.compare("one", "two")
    found = {one.metric: one for one in told.folds}
    assert set(found) == {"cv_accuracy", "cv_roc_auc", "cv_f1"}
    a, b = curve(session, "one", "cv_accuracy_fold"), curve(session, "two", "cv_accuracy_fold")
    mean = sum(y - x for x, y in zip(a, b, strict=True)) / 5
    assert found["cv_accuracy"].difference == pytest.approx(mean)
    # without the correction it is the paired t-test: t differs by the square root of (1/k) / (1/k + 1/(k-1))
    plain = stats.ttest_rel(b, a)
    corrected = plain.statistic * math.sqrt((1 / 5) / (1 / 5 + 1 / 4))
    assert found["cv_accuracy"].p == pytest.approx(2 * stats.t.sf(abs(corrected), 4))
    assert found["cv_accuracy"].low < mean < found["cv_accuracy"].high
    assert "p = " in told.text()
    assert "cv_accuracy_fold" not in told.metrics, "its value is the last fold's alone"
    assert told.metrics["cv_accuracy_mean"][0] == pytest.approx(sum(a) / 5)
    html = draw(told)["text/html"]
    assert "95 % interval" in html


def test_many_runs_are_lines_through_their_axes(session):
    told = session.compare("one", "two", "three", "four")
    html = draw(told)["text/html"]
    assert html.count("<polyline") >= 4
    assert "every line a run" in html
    assert ">kind<" in html
    assert "every line a run" not in draw(session.compare("one", "two"))["text/html"]


def test_metrics_of_evaluations_stand_with_their_intervals(session):
    from sklearn.datasets import load_iris
    from sklearn.linear_model import LogisticRegression

    frame = load_iris(as_frame=True).frame
    found = []
    for strength in (0.01, 1.0):
        with session.run(f"C{strength}") as run:
            model = LogisticRegression(C=strength, max_iter=500).fit(frame.drop(columns="target"), frame["target"])
            found.append(session.evaluate(model, data=frame, target="target"))
            run.log_metric("plain", strength)
    told = session.compare("C0.01", "C1.0")
    for place, evaluation in enumerate(found):
        one = next(m for m in evaluation.metrics if m.name == "accuracy")
        assert (told.low["evaluation.accuracy"][place], told.high["evaluation.accuracy"][place]) == (one.low, one.high)
        assert f"{one.value:.6g} [{one.low:.4g}, {one.high:.4g}]" in told.text()
    assert "plain" not in told.low
    assert told.interval("evaluation.accuracy", 1) in draw(told)["text/html"]


def test_long_numbers_and_magnitudes_of_parameters_are_drawn_to_be_read():
    from jupyter_mlops.domain.run import Run, RunComparison

    rates = ("0.0002529838120180262", "0.08116887253273007", "0.08116887253273009", "1.0")
    runs = tuple(Run(f"{i}" * 32, f"r{i}", "FINISHED", metrics={"a": float(i)}) for i in range(4))
    html = draw(RunComparison(runs, {"a": (0.0, 1.0, 2.0, 3.0)}, {"lr": rates}))["text/html"]
    assert f'title="{rates[0]}">0.00025298</span>' in html
    assert rates[1] in html, "what differs further on is written out"
    assert ">lr (log)</text>" in html
    height = 190 - 20 - 34  # the axis: 0.08 stands well above the middle of 0.00025 to 1, not at its foot
    placed = [float(line.split('"')[0].split(",")[1].split()[0]) for line in html.split('<polyline points="')[1:]]
    assert 34 < placed[1] < 34 + height / 2


def test_folds_of_another_number_are_not_paired():
    from jupyter_mlops.domain.run import Run, Series

    runs = [Run("1" * 32, "a", "FINISHED"), Run("2" * 32, "b", "FINISHED")]
    curves = [
        Series(runs[0].id, "cv_x_fold", (1, 2, 3), (0.1, 0.2, 0.3)),
        Series(runs[1].id, "cv_x_fold", (1, 2), (0.1, 0.2)),
    ]
    assert fold_differences(runs, curves) == ()
    same = paired_folds("x", [0.5, 0.6], [0.5, 0.6])
    assert (same.difference, same.low, same.high) == (0.0, 0.0, 0.0)
    assert math.isnan(same.p)


def test_environments_and_tables_that_differ_are_named():
    assert other_versions("# Python 3.11.1, linux\na==1\n", "# Python 3.12.0, linux\na==2\n") == (
        "Python 3.11.1 -> 3.12.0",
        "a 1 -> 2",
    )
    assert other_versions("", "a==2\n") == ()
    one = [{"name": "X", "digest": "aaaaaaaaaaaaaaaa", "ref": ""}]
    other = [{"name": "X", "digest": "bbbb", "ref": "adult@v2"}, {"name": "Z", "digest": "cc", "ref": ""}]
    assert data_differences([one, other]) == {"X": ("aaaaaaaaaaaa", "adult@v2"), "Z": ("", "cc")}
    first, second = ({"name": "adult", "digest": d, "ref": f"adult@v{d}"} for d in "12")
    found = data_differences([[first], [second, first]])  # the second was made from the first
    assert found == {"adult": ("adult@v1", "adult@v1, adult@v2")}
