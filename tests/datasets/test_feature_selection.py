"""Feature selection: methods agree with scikit-learn's own, choose anew on each fold, repeat by the seed, and are runs."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from sklearn.feature_selection import mutual_info_classif
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from jupyter_mlops.datasets.selection import METHODS, Chosen, Method, Problem
from jupyter_mlops.datasets.selection.method import keeping
from jupyter_mlops.datasets.selection.selecting import select
from jupyter_mlops.domain.feature_selection import FeatureSelection, SelectionStep
from jupyter_mlops.errors import InvalidArgument, NotFound
from jupyter_mlops.session import Session
from jupyter_mlops.tracking.model_file import store_estimator

RANKING = [name for name in METHODS if name != "pca"]


def made(rows: int = 240, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({f"noise{i}": rng.normal(size=rows) for i in range(3)})
    frame["signal"] = rng.normal(size=rows)
    frame["word"] = rng.choice(["a", "b", "c"], rows)
    frame["flag"] = rng.random(rows) < 0.5
    frame.loc[::17, "signal"] = np.nan
    frame.loc[::23, "word"] = None
    score = 3 * frame["signal"].fillna(0) + 3 * (frame["word"] == "a") + rng.normal(size=rows) * 0.3
    return frame.assign(y=score > 1)


def problem(**more: object) -> Problem:
    frame = made()
    return Problem(frame.drop(columns="y"), frame["y"], **{"keep": 2, **more})  # type: ignore[arg-type]


@pytest.mark.parametrize("name", RANKING)
def test_a_method_finds_the_columns_that_matter_the_same_ones_each_time(name: str) -> None:
    asked = problem()
    found, again = METHODS[name].choose(asked), METHODS[name].choose(asked)
    assert set(found.kept) == {"signal", "word"}
    assert found.scores == again.scores
    assert list(found.scores) == sorted(found.scores, key=lambda column: -found.scores[column])
    given = found.transformer.transform(made())
    assert list(given.columns) == ["signal", "word"]
    stored = store_estimator(found.transformer)[0]
    assert (stored.format, stored.trusted) == ("skops", ())


def test_scores_are_those_of_scikit_learn() -> None:
    frame = made()[["signal", "noise0", "noise1", "y"]].fillna(0.0)
    asked = Problem(frame.drop(columns="y"), frame["y"], keep=1, seed=3)
    theirs = mutual_info_classif(frame.drop(columns="y"), frame["y"], discrete_features=[False] * 3, random_state=3)
    found = METHODS["mutual-information"].choose(asked).scores
    np.testing.assert_allclose([found[c] for c in ("signal", "noise0", "noise1")], theirs)
    kept = METHODS["pca"].choose(Problem(asked.inputs, asked.target, variance=0.6))
    scaled = StandardScaler().fit_transform(asked.inputs)
    shares = np.linalg.eigvalsh(np.cov(scaled.T))[::-1] / np.trace(np.cov(scaled.T))
    np.testing.assert_allclose(list(kept.scores.values()), shares[: len(kept.kept)])
    assert kept.variance is not None
    assert kept.variance >= 0.6 > kept.variance - shares[len(kept.kept) - 1]


def test_on_every_fold_a_method_sees_the_training_rows_only(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = problem(estimator=LogisticRegression())
    seen: list[set[int]] = []

    def choose(some: Problem) -> Chosen:
        seen.append(set(some.inputs.index))
        return keeping(some, range(some.inputs.shape[1]))

    monkeypatch.setitem(METHODS, "spy", Method("spy", "place", choose))
    found = select(asked, ["spy"], folds=3, name="y", progress=lambda _line: None)
    assert [len(rows) for rows in seen] == [160, 160, 160, 240]
    for rows, (train, test) in zip(seen, asked.folds(3), strict=False):
        assert rows == set(train.inputs.index)
        assert not rows & set(test.inputs.index)
    assert len(found["spy"].folds) == 3
    assert found["all"].folds == select(asked, [], folds=3, name="y", progress=lambda _line: None)["all"].folds


def test_a_number_is_predicted_as_a_number_and_gaps_in_the_target_are_told() -> None:
    frame = made()
    target = frame["signal"].fillna(0) * 2.5
    target[:7] = np.nan
    asked = Problem(frame.drop(columns="y"), target, keep=1, estimator=Ridge())
    found = select(asked, ["rfe", "pca"], folds=2, name="t", progress=lambda _line: None)
    assert (found.metric, found.rows) == ("R²", 233)
    assert found.notes == ("7 rows without a target were left out",)
    assert found["rfe"].kept == ("signal",)
    assert found["rfe"].score == pytest.approx(1.0, abs=0.05)
    with pytest.raises(NotFound, match="shap"):
        found["shap"]
    pipeline = make_pipeline(found.transformer("pca"), Ridge()).fit(frame[found_columns(frame)], frame["y"])
    assert len(pipeline.predict(frame[found_columns(frame)])) == 240


def found_columns(frame: pd.DataFrame) -> list[str]:
    return [column for column in frame.columns if column != "y"]


def test_mean_spread_and_best() -> None:
    steps = (
        SelectionStep("all", "", ("a", "b"), {}, (0.5, 0.7)),
        SelectionStep("rfe", "", ("a",), {"a": 1.0}, (0.5, 0.7)),
    )
    found = FeatureSelection("y", "ROC AUC", 10, 2, steps)
    assert (found.steps[0].score, round(found.steps[0].spread or 0, 6)) == (0.6, 0.141421)
    assert found.best is steps[1]  # the same with fewer columns


def test_it_is_a_run_with_a_child_for_each_method(session: Session) -> None:
    found = session.data.select(made(), target="y", method=["mutual-information", "pca"], keep=2)
    assert [(step.method, bool(step.run)) for step in found.steps] == [
        ("all", True),
        ("mutual-information", True),
        ("pca", True),
    ]
    runs = {run.id: run for run in session.runs(limit=10)}
    assert runs[found.run].params["selection.best"] == found.best.method
    child = runs[found["pca"].run]
    assert child.metrics["variance kept"] == pytest.approx(found["pca"].variance)
    assert child.metrics[found.metric] == pytest.approx(found["pca"].score)
    assert json.dumps(found.to_dict())
    assert found.transformer("mutual-information").transform(made()).shape == (240, 2)
    for wrong, says in (
        ({"target": "nope"}, "no column 'nope'"),
        ({"target": "y", "keep": 9}, "--keep takes a number up to 6"),
        ({"target": "y", "variance": 1.0}, "--variance is a share"),
        ({"target": "y", "folds": 1}, "--folds takes a number from 2"),
        ({"target": "y", "columns": ["flag"]}, "fewer than two columns"),
    ):
        with pytest.raises((InvalidArgument, NotFound), match=says):
            session.data.select(made(), **wrong)
    with pytest.raises(InvalidArgument, match="at holds times"):
        session.data.select(made().assign(at=pd.Timestamp("2026-01-01")), target="y")
