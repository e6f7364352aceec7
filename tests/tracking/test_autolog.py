"""Autologging: what the user's code does with scikit-learn is recorded, and scikit-learn is as before afterwards."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import sklearn.metrics
import skops.io  # noqa: F401 it puts finders of its own on the path for modules
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.cluster import KMeans
from sklearn.datasets import load_diabetes, load_iris
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.metrics import accuracy_score, confusion_matrix, make_scorer, roc_auc_score
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from jupyter_mlops.session import Session

METHODS = ("fit", "predict", "predict_proba", "decision_function", "score", "__init_subclass__")


@pytest.fixture(scope="module")
def iris():
    return load_iris(return_X_y=True, as_frame=True)


@pytest.fixture(scope="module")
def client(shared_session: Session):
    from mlflow import MlflowClient

    return MlflowClient(shared_session.context.workspace.tracking_uri)


@pytest.fixture
def session(shared_session: Session) -> Session:
    """The session of a kernel in which this module's names are the user's."""
    shared_session.context.namespace = globals()
    yield shared_session
    shared_session.context.namespace = None


def snapshot() -> dict:
    """Every method and function that could have been replaced."""
    classes, waiting = {}, [BaseEstimator]
    while waiting:
        cls = waiting.pop()
        for owner in cls.__mro__[:-1]:
            for name in METHODS:
                method = vars(owner).get(name)
                classes[owner, name] = getattr(method, "fn", method)
        waiting.extend(type.__subclasses__(cls))
    functions = {name: getattr(sklearn.metrics, name) for name in sklearn.metrics.__all__}
    return {**classes, **functions, "mine": accuracy_score, "path": list(sys.meta_path)}


class Constant(ClassifierMixin, BaseEstimator):
    """Somebody else's estimator."""

    def __init__(self, answer: int = 0) -> None:
        self.answer = answer

    def fit(self, X, y):  # noqa: N803
        self.classes_ = np.unique(y)
        self.n_features_in_ = X.shape[1]
        return self

    def predict(self, X):  # noqa: N803
        return np.full(len(X), self.answer)


def test_everything_is_as_before(session, iris):
    before = snapshot()
    with session.run():
        from sklearn.metrics import f1_score as bound_inside

        LogisticRegression().fit(*iris)
    with pytest.raises(ValueError, match="inconsistent"), session.run():
        LogisticRegression().fit(iris[0], iris[1][:3])
    after = snapshot()
    changed = [key for key in before if after.get(key) is not before[key] and key != "path"]
    assert changed == []
    assert before["path"] == after["path"]
    assert pickle.loads(pickle.dumps(bound_inside)) is sklearn.metrics.f1_score


def test_a_pipeline_is_logged_as_mlflow_names_it(session, iris, client):
    X, y = iris  # noqa: N806
    X_test, y_test = X[::3], y[::3]  # noqa: N806
    with session.run() as run:
        model = make_pipeline(StandardScaler(), LogisticRegression(C=0.5)).fit(X, y)
        predictions = model.predict(X_test)
        accuracy_score(y_test, predictions)
        sklearn.metrics.accuracy_score(y_test, predictions)
        roc_auc_score(y_test, model.predict_proba(X_test), multi_class="ovr")
        roc_auc_score(y_test == 1, model.predict_proba(X_test)[:, 1])
        accuracy_score([0, 1], [0, 0])
        confusion_matrix(y_test, predictions)
        model.score(X_test, y_test)
    found = run.result
    assert run.notes == []
    assert found.params["logisticregression__C"] == "0.5"
    assert "steps" in found.params
    assert {name for name in found.metrics if not name.startswith("training_")} == {
        "accuracy_score",
        "accuracy_score_X_test",
        "accuracy_score-2_X_test",
        "roc_auc_score_X_test",
        "roc_auc_score-2_X_test",
        "Pipeline_score_X_test",
    }
    assert found.metrics["accuracy_score"] == 0.5
    assert {name.removeprefix("training_") for name in found.metrics if name.startswith("training_")} == {
        *("accuracy_score", "f1_score", "precision_score", "recall_score", "log_loss", "roc_auc", "score")
    }
    assert found.metrics["training_log_loss"] == sklearn.metrics.log_loss(y, model.predict_proba(X))
    assert found.data[0].startswith("X#b3:")
    stored = client.get_run(found.id)
    assert stored.data.tags["estimator_class"] == "sklearn.pipeline.Pipeline"
    logged = client.get_logged_model(found.models[0])
    assert logged.source_run_id == found.id
    assert {metric.key for metric in logged.metrics} == set(found.metrics)
    key, digest = session.context.known_models.find(model)
    assert logged.tags["mlops.model_key"] == key
    assert logged.tags["mlops.digest"] == digest


def test_training_metrics_equal_mlflows_own(session, iris):
    from mlflow.sklearn.utils import _get_classifier_metrics, _get_regressor_metrics

    X, y = load_diabetes(return_X_y=True)  # noqa: N806
    with session.run() as run:
        regression = LinearRegression().fit(X, y)
    theirs = _get_regressor_metrics(regression, "training_", X, y, None)
    assert run.result.metrics == pytest.approx({**theirs, "training_score": regression.score(X, y)})
    weights = np.linspace(0.1, 1, len(iris[1]))
    with session.run() as run:
        classifier = LogisticRegression().fit(*iris, weights)
    theirs = _get_classifier_metrics(classifier, "training_", *iris, weights, None)
    assert run.result.metrics == pytest.approx({**theirs, "training_score": classifier.score(*iris, weights)})


def test_a_search_logs_what_it_found_and_only_its_best(session, iris, client):
    with session.run() as run:
        search = GridSearchCV(
            LogisticRegression(), {"C": [0.1, 1.0]}, scoring=make_scorer(accuracy_score), cv=3, n_jobs=2
        )
        search.fit(*iris)
        cross_val_score(LogisticRegression(), *iris, cv=3)
    assert run.notes == []
    assert run.result.params["best_C"] == str(search.best_params_["C"])
    assert run.result.metrics["best_cv_score"] == search.best_score_
    assert len(run.result.models) == 1
    assert "cv_results.csv" in run.result.artifacts
    assert client.get_logged_model(run.result.models[0]).tags["mlops.estimator"] == "LogisticRegression"


def test_inner_fits_are_parts_and_later_fits_have_their_own_names(session, iris):
    with session.run() as run:
        StandardScaler().fit(iris[0])
        LogisticRegression(C=2).fit(*iris)
        RandomForestClassifier(n_estimators=5, n_jobs=2).fit(*iris)
        RandomForestClassifier(n_estimators=6).fit(*iris)
        KMeans(3).fit_predict(iris[0])
    params = run.result.params
    assert params["C"] == "2"
    assert params["RandomForestClassifier.n_estimators"] == "5"
    assert params["RandomForestClassifier-2.n_estimators"] == "6"
    assert params["KMeans.n_clusters"] == "3"
    assert not any(name.startswith(("StandardScaler", "DecisionTree")) for name in params)
    assert "RandomForestClassifier-2.training_score" in run.result.metrics
    assert len(run.result.models) == 4


@pytest.mark.parametrize("stored", ["together", "one by one"])
@pytest.mark.parametrize("fits", [1, 2])
def test_models_have_all_metrics_of_their_run(session, iris, client, fits, stored):
    with session.run("metrics of models") as run:
        run.log_metric("before", 1.0)
        if stored == "one by one":
            assert run.id  # has been asked for, so what came before is in the store
        for strength in range(fits):
            LogisticRegression(max_iter=500, C=strength + 1).fit(*iris)
            assert stored == "together" or client.get_run(run.id)
        run.log_metric("after", 2.0)
        run.log_metric("after", 3.0, step=1)
    run_metrics = client.get_run(run.result.id).data.metrics
    assert {"before", "after", "training_log_loss"} <= set(run_metrics)
    assert len(run.result.models) == fits
    for model_id in run.result.models:
        of_model = {metric.key: metric.value for metric in client.get_logged_model(model_id).metrics}
        assert of_model == run_metrics


def test_a_loop_of_fits_stays_small(session, iris):
    with session.run() as run:
        for _ in range(25):
            Constant().fit(*iris)
    assert any("more than 20 fits" in note for note in run.notes)
    assert len(run.result.metrics) <= 20 * 7


def test_other_peoples_estimators_are_seen_also_those_made_inside(session, iris):
    with session.run() as run:

        class Inside(Constant):
            def fit(self, X, y):  # noqa: N803
                return super().fit(X, y)

        model = Inside(answer=1).fit(*iris)
        model.score(*iris)
    assert run.result.params["answer"] == "1"
    assert run.result.metrics["training_accuracy_score"] == pytest.approx(1 / 3)
    assert "RuntimeError" not in " ".join(run.notes)


def test_what_goes_wrong_inside_us_is_a_note(session, iris, monkeypatch):
    monkeypatch.setattr("jupyter_mlops.tracking.fits.write_package", lambda *_, **__: 1 / 0)
    with session.run() as run:
        assert LogisticRegression().fit(*iris).n_features_in_ == 4
    assert run.notes == ["not logged: ZeroDivisionError: division by zero"]
    assert run.result.status == "FINISHED"
    assert run.result.metrics["training_accuracy_score"] > 0.9


def test_a_saved_version_is_the_data_of_its_fit(session, iris):
    X = iris[0].copy()  # noqa: N806
    session.context.known_tables.remember(X, "iris@v2", "b3:" + "2" * 32)
    with session.run() as run:
        LogisticRegression().fit(X, iris[1])
    assert run.result.data == ("iris@v2",)


def test_plotlys_figures_are_kept(session, client, tmp_path):
    import plotly.graph_objects as go

    with session.run() as run:
        figure = go.Figure(go.Scatter(y=[1, 2]))
        figure.update_layout(title="Two points")
        go.Figure()
        named = go.Figure(go.Bar(y=[3]))
        run.log_figure(named, "plots/bars")
    assert run.result.artifacts == (
        "mlops/figures/01-two-points.plotly.json",
        "mlops/requirements.txt",
        "plots/bars.plotly.json",
    )
    path = client.download_artifacts(run.result.id, "plots/bars.plotly.json", str(tmp_path))
    assert '"bar"' in Path(path).read_text()


def test_matplotlibs_figures_are_kept_also_when_they_are_closed(session, client, tmp_path):
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    plt.close("all")  # a figure that is open already is not one of this run
    with session.run() as run:
        plt.plot([1, 2])
        plt.title("A line")
        plt.close("all")
        plt.figure()
    assert run.result.artifacts == ("mlops/figures/01-a-line.png", "mlops/requirements.txt")
    path = client.download_artifacts(run.result.id, run.result.artifacts[0], str(tmp_path))
    assert Path(path).read_bytes()[:4] == b"\x89PNG"


def test_modules_that_come_later_are_watched_and_nothing_is_loaded_for_it(session):
    code = f"""
import sys
from pathlib import Path
from jupyter_mlops.session import Session
session = Session.open(root=Path({str(session.context.workspace.root)!r}))
with session.run("late") as run:
    for heavy in ("sklearn", "pandas", "numpy", "mlflow", "matplotlib", "plotly"):
        assert heavy not in sys.modules, heavy
    from sklearn.datasets import load_iris
    from sklearn.tree import DecisionTreeClassifier
    from sklearn.metrics import accuracy_score
    X, y = load_iris(return_X_y=True)
    model = DecisionTreeClassifier(max_depth=2).fit(X, y)
    accuracy_score(y, model.predict(X))
assert "mlflow" not in sys.modules
assert type(accuracy_score).__name__ == "function"
print(run.result.params["max_depth"], round(run.result.metrics["accuracy_score_X"], 2), run.notes)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout == "2 0.96 []\n", done.stderr
