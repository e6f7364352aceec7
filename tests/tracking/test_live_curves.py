"""Curves of a fit while it lasts: they come in time, they are right, and the fit is to the bit what it is without them."""

from __future__ import annotations

import sys
import time

import lightgbm
import numpy as np
import pytest
import sklearn.model_selection._search as search_module
import sklearn.model_selection._validation as validation_module
import xgboost
from joblib import parallel_config
from sklearn.base import clone
from sklearn.datasets import make_classification
from sklearn.ensemble import (
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
)
from sklearn.linear_model import LogisticRegression, SGDClassifier, SGDRegressor
from sklearn.metrics import accuracy_score, log_loss
from sklearn.model_selection import GridSearchCV, KFold, cross_val_score, cross_validate
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from jupyter_mlops.domain.training import Training
from jupyter_mlops.session import Session
from jupyter_mlops.tracking import live_curves
from jupyter_mlops.widgets import draw

X, y = make_classification(240, random_state=0, n_informative=6, n_classes=3)
two = (y > 0).astype(int)

MODELS = {
    "histogram": (HistGradientBoostingClassifier(max_iter=6, random_state=0), y, {"training_loss": 7}),
    "stopping": (
        HistGradientBoostingClassifier(max_iter=6, early_stopping=True, random_state=0),
        y,
        {"train_score": 7, "validation_score": 7},
    ),
    "absolute": (
        HistGradientBoostingRegressor(max_iter=6, loss="absolute_error", random_state=0),
        y * 1.0,
        {"training_loss": 7},
    ),
    "boosting": (
        GradientBoostingClassifier(n_estimators=6, subsample=0.5, random_state=0),
        y,
        {"train_score": 6, "oob_scores": 6},
    ),
    "perceptron": (MLPClassifier(max_iter=5, random_state=0), y, {"loss_curve": 5}),
    "pipeline": (
        make_pipeline(StandardScaler(), MLPRegressor(max_iter=5, random_state=0)),
        y * 1.0,
        {"loss_curve": 5},
    ),
    "descent": (
        SGDClassifier(max_iter=6, tol=None, random_state=0),
        y,
        {"training_loss": 6, "training_loss_2": 6, "training_loss_3": 6},
    ),
    "descending": (
        SGDRegressor(max_iter=6, tol=None, early_stopping=True, random_state=0),
        y * 1.0,
        {"training_loss": 6, "validation_score": 6},
    ),
    "xgboost": (xgboost.XGBClassifier(n_estimators=6, n_jobs=1, random_state=0), y, {"training/mlogloss": 6}),
    "lightgbm": (
        lightgbm.LGBMClassifier(n_estimators=6, n_jobs=1, verbose=-1, random_state=0),
        y,
        {"training/multi_logloss": 6},
    ),
    "search": (
        GridSearchCV(LogisticRegression(), {"C": [0.1, 1.0, 10.0]}, cv=3),
        two,
        {"candidate_score": 3, "best_cv_score_fold": 3},
    ),
}


@pytest.fixture(scope="module")
def session(make_session) -> Session:
    session = make_session()
    session.context.namespace = globals()
    return session


def curve(session: Session, run: str, metric: str) -> dict[int, float]:
    told = session.context.call("tracking.history", run=run, metric=metric)
    return dict(zip(told["steps"], told["values"], strict=True))


def state(model) -> bytes:
    return (model.predict_proba(X) if hasattr(model, "predict_proba") else model.predict(X)).tobytes()


@pytest.mark.filterwarnings("ignore:Stochastic Optimizer", "ignore:Maximum number of iter")
@pytest.mark.parametrize("name", MODELS)
def test_a_watched_fit_is_the_same_to_the_bit_and_has_its_curve(session, name, capfd):
    model, target, lengths = MODELS[name]
    alone, watched = clone(model).fit(X, target), clone(model)
    held = sys.stdout, sys.stderr, search_module.Parallel, xgboost.sklearn.train, lightgbm.sklearn.train
    methods = [vars(cls)["_get_loss"] for cls in (HistGradientBoostingClassifier, HistGradientBoostingRegressor)]
    capfd.readouterr()
    with session.run(name) as run:
        watched.fit(X, target)
    told = capfd.readouterr()
    assert (told.out, told.err, run.notes) == ("", "", [])
    assert state(watched) == state(alone)
    assert vars(watched).keys() == vars(alone).keys()
    assert watched.get_params().keys() == alone.get_params().keys()
    for metric, length in lengths.items():
        points = curve(session, run.id, metric)
        first = 0 if length == 7 else 1
        assert list(points) == list(range(first, first + length))
        assert len(set(points.values())) > 1
    assert held == (sys.stdout, sys.stderr, search_module.Parallel, xgboost.sklearn.train, lightgbm.sklearn.train)
    assert methods == [
        vars(cls)["_get_loss"] for cls in (HistGradientBoostingClassifier, HistGradientBoostingRegressor)
    ]


def test_losses_worked_out_on_the_way_are_those_of_the_stages(session):
    with session.run("losses") as run:
        model = HistGradientBoostingClassifier(max_iter=5, random_state=0).fit(X, y)
        trees = xgboost.XGBClassifier(n_estimators=5, n_jobs=1).fit(X, y)
    staged = [log_loss(y, chances) for chances in model.staged_predict_proba(X)]
    assert list(curve(session, run.id, "training_loss").values())[1:] == pytest.approx(staged)
    same = xgboost.XGBClassifier(n_estimators=5, n_jobs=1).fit(X, y, eval_set=[(X, y)], verbose=False)
    expected = same.evals_result()["validation_0"]["mlogloss"]
    found = curve(session, run.id, "XGBClassifier.training/mlogloss")
    assert list(found.values()) == pytest.approx(expected, abs=1e-5)  # as XGBoost prints it
    assert state(trees) == state(same)


def test_tables_to_evaluate_on_are_curves_of_their_own(session):
    with session.run("evaluated") as run:
        xgboost.XGBClassifier(n_estimators=4, n_jobs=1).fit(X, y, eval_set=[(X, y), (X[:50], y[:50])], verbose=False)
        lightgbm.LGBMClassifier(n_estimators=4, n_jobs=1, verbose=-1).fit(X, y, eval_set=[(X, y)], eval_names=["all"])
    assert len(curve(session, run.id, "validation_1/mlogloss")) == 4
    assert len(curve(session, run.id, "LGBMClassifier.all/multi_logloss")) == 4
    metrics = session.context.call("tracking.get", run=run.id)["metrics"]
    assert not [name for name in metrics if "training/" in name]


def test_points_are_logged_while_the_fit_lasts_and_an_interrupt_keeps_them(session, monkeypatch):
    monkeypatch.setattr(live_curves, "EVERY", 0.02)
    seen = []

    def monitor(i, _model, _locals):
        deadline, before = time.monotonic() + 10, len(seen)
        while i > 0 and len(seen) == before and time.monotonic() < deadline:  # the thread that looks comes when it can
            time.sleep(0.01)
            value = run.known.metrics.get("train_score")
            if value is not None and value not in seen:
                seen.append(value)
        if i == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), session.run("broken off") as run:
        GradientBoostingClassifier(n_estimators=50, random_state=0).fit(X, y, monitor=monitor)
    assert len(seen) == 4
    assert run.result.status == "KILLED"
    kept = list(curve(session, run.id, "train_score").values())
    whole = GradientBoostingClassifier(n_estimators=5, random_state=0).fit(X, y).train_score_.tolist()
    assert kept == pytest.approx(whole[:4])
    assert "accuracy" not in str(run.known.metrics)


@pytest.mark.parametrize("backend", ["sequential", "threading"])
def test_folds_are_logged_as_they_come(session, backend):
    seen = []

    def scoring(model, inputs, target):
        seen.append(dict(run.known.metrics))
        return accuracy_score(target, model.predict(inputs))

    plain = cross_val_score(LogisticRegression(), X, two, cv=4, scoring="accuracy")
    before = validation_module.Parallel
    with session.run("folds") as run, parallel_config(backend, n_jobs=1 if backend == "sequential" else 2):
        scores = cross_val_score(LogisticRegression(), X, two, cv=4, scoring=scoring)
        many = cross_validate(LogisticRegression(), X, two, cv=KFold(3).split(X), scoring=["f1", "accuracy"])
    assert validation_module.Parallel is before
    assert scores.tolist() == plain.tolist()
    if backend == "sequential":
        assert "cv_score_fold" not in seen[0]
        assert [told["cv_score_fold"] for told in seen[1:]] == scores[:-1].tolist()
        assert seen[-1]["cv_score_mean"] == pytest.approx(scores[:-1].mean())
        assert seen[-1]["cv_score_std"] == pytest.approx(scores[:-1].std(ddof=1))
    assert curve(session, run.id, "cv_score_fold") == dict(enumerate(scores, 1))
    assert list(curve(session, run.id, "cv_score_std")) == [2, 3, 4]
    assert list(curve(session, run.id, "cv_f1_fold").values()) == many["test_f1"].tolist()


def test_a_loop_over_batches_is_one_model_with_a_curve(session):
    model = SGDClassifier(random_state=0)
    perceptron = MLPClassifier(hidden_layer_sizes=(4,), random_state=0)
    with session.run("loop") as run:
        for start in range(0, 240, 40):
            part = slice(start, start + 40)
            model.partial_fit(X[part], two[part], classes=[0, 1])
            perceptron.partial_fit(X[part], two[part], classes=[0, 1])
    other = SGDClassifier(random_state=0)
    scores = []
    for start in range(0, 240, 40):
        part = slice(start, start + 40)
        scores.append(other.partial_fit(X[part], two[part], classes=[0, 1]).score(X[part], two[part]))
    assert np.array_equal(model.coef_, other.coef_)
    assert curve(session, run.id, "batch_score") == dict(enumerate(scores, 1))
    assert list(curve(session, run.id, "MLPClassifier.loss_curve").values()) == perceptron.loss_curve_
    told = run.result
    assert told.params["alpha"] == "0.0001"
    assert len(told.models) == 2
    assert not [name for name in told.metrics if name.startswith("training_")]


def test_a_long_fit_has_a_picture_that_stays(session, monkeypatch):
    monkeypatch.setattr(live_curves, "EVERY", 0.01)
    monkeypatch.setattr(live_curves, "PICTURE_AFTER", 0.1)
    shown: list[tuple[Training, bool]] = []
    said: list[str] = []
    monkeypatch.setitem(session.context.hooks, "show", lambda _key, thing, stays=False: shown.append((thing, stays)))
    monkeypatch.setattr(session.context, "progress", said.append)
    with session.run("picture"):
        GradientBoostingClassifier(n_estimators=9, random_state=0).fit(
            X, y, monitor=lambda *_: time.sleep(0.1) or False
        )
    assert [stays for _, stays in shown] == [False] * (len(shown) - 1) + [True]
    assert len(shown) > 1
    last = shown[-1][0]
    assert (last.state, last.done, last.total) == ("done", 9, 9)
    assert len(last.curves[0].steps) == 9
    assert "GradientBoostingClassifier: iteration 9 of 9 · train_score" in last.text()
    assert "<polyline" in draw(last)["text/html"]
    assert "" in said  # the line gives way to the picture
    shown.clear()
    with session.run("short"):
        GradientBoostingClassifier(n_estimators=2, random_state=0).fit(X, y)
    assert shown == []


def test_folds_are_drawn_with_their_spread():
    from jupyter_mlops.domain.run import Series

    curves = (
        Series("", "cv_auc_fold", (1, 2, 3), (0.7, 0.8, 0.9)),
        Series("", "cv_auc_mean", (2, 3), (0.75, 0.8)),
        Series("", "cv_auc_std", (2, 3), (0.07, 0.1)),
    )
    html = draw(Training("LogisticRegression", "fold", 3, 5, 100.0, curves))["text/html"]
    assert html.count("<circle") == 3
    assert html.count("<polyline") == 3
    assert "fold 3 of 5" in html
