"""Drift of what a real server has logged, kept in a real store and read back with stock MLflow; drift of two tables."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from conftest import real_data
from servers import mlflow_server  # noqa: F401 a fixture

from jupyter_mlops.domain.drift_report import ColumnDrift, DriftReport, Score
from jupyter_mlops.errors import InvalidArgument, NotFound, NotReady
from jupyter_mlops.monitoring.stretch import parse_since

INPUTS = ["age", "education_num", "hours_per_week", "workclass", "sex"]


@pytest.fixture(scope="module")
def adult() -> pd.DataFrame:
    return pd.read_csv(real_data("adult.csv.gz"), na_values="?")


@pytest.fixture(scope="module")
def served(shared_session, adult):
    """A classifier of people under forty, registered with its training data, deployed, and asked about a few."""
    session, young = shared_session, adult[adult["age"] < 40]
    session.register(fitted(young), name="clf", data=young[INPUTS])
    session.deploy("clf")
    with pytest.raises(NotReady, match="clf has logged no predictions of clf@1.*mlops predict clf"):
        session.drift("clf")
    session.predict("clf", young[INPUTS].sample(600, random_state=1))
    return session


def fitted(rows):
    from sklearn.compose import make_column_transformer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    encode = make_column_transformer(
        (StandardScaler(), INPUTS[:3]), (OneHotEncoder(handle_unknown="ignore"), INPUTS[3:])
    )
    return make_pipeline(encode, LogisticRegression(max_iter=300)).fit(rows[INPUTS], rows["income"])


@pytest.mark.extended
def test_the_loop(served, adult):
    quiet = served.drift("clf")
    assert (quiet.deployment, quiet.model, quiet.current_rows) == ("clf", "clf@1", 600)
    assert [column.name for column in quiet] == [*INPUTS, "prediction"]
    assert quiet.drifted == quiet.unjudged == ()

    old = adult.loc[adult["age"] >= 40, INPUTS].head(400)
    served.predict("clf", old.assign(workclass=old["workclass"].where(old.index % 2 == 0)))
    moved = served.drift("clf", last=400, threshold=["education_num:ks=0.5"])
    assert {"age", "prediction"} <= set(moved.drifted)
    assert "missing-values" in {f.kind for f in moved.findings if f.column == "workclass"}
    assert moved.current_rows == 400

    kept = served.reports("clf")
    assert [report.id for report in kept] == [moved.id, quiet.id]
    assert kept[0].verdict == moved.verdict
    assert all(column.distribution is None for column in kept[0])
    assert served.report(moved.id[:6]) == moved
    assert served.drift("clf", since="1h").current_rows == 1_000
    assert served.audit("clf")[0].action == "drift.report"

    from mlflow import MlflowClient

    client = MlflowClient(served.context.workspace.tracking_uri)
    experiment = client.get_experiment_by_name(f"{served.context.workspace.experiment}.monitoring")
    (run,) = client.search_runs([experiment.experiment_id], "tags.`mlops.kind` = 'monitor'")
    assert run.info.status == "FINISHED"
    history = client.get_metric_history(run.info.run_id, "ks.age")
    assert [point.step for point in history] == sorted(point.timestamp for point in history)
    assert history[1].value == pytest.approx(1.0)
    assert len(client.list_artifacts(run.info.run_id, "mlops/reports")) == 3

    served.undeploy("clf")
    assert served.drift("clf", last=400).drifted == served.drift("clf", last=400, threshold={"ks": 0.1}).drifted


@pytest.mark.extended
def test_another_version_that_a_deployment_asks_is_judged_by_itself(served, adult):
    young, old = adult[adult["age"] < 40], adult[adult["age"] >= 40]
    served.register(fitted(old), name="clf", data=old[INPUTS], alias="challenger")
    served.deploy("clf@1", name="two", canary="clf@2=50%")
    for part in range(14):
        served.predict("two", young[INPUTS].iloc[part * 50 : part * 50 + 50])
    one, other = served.drift("two"), served.drift("two@challenger")
    assert (one.model, other.model) == ("clf@1", "clf@2")
    assert one.current_rows + other.current_rows == 700
    assert "age" in other.drifted
    assert "age" not in one.drifted
    assert other == served.report(other.id)
    with pytest.raises(NotFound, match="no model version 'clf@9'"):
        served.drift("two@9")
    with pytest.raises(
        NotReady, match=r"answered by other versions, the newest by clf@[12]. Judge that one: `%mlops drift two@[12]`"
    ):
        served.drift(f"two@{2 if served.predict('two', young[INPUTS].head(5)).model == 'clf@1' else 1}", last=5)
    served.undeploy("two")


@pytest.mark.extended
def test_a_variable_that_is_called_as_the_deployment_stands_for_it(served, adult):
    try:
        for clf in (object(), adult):  # a model, or the table that it learnt from
            served.context.namespace = {"clf": clf, "rows": adult.copy()}
            assert served.drift(clf).deployment == "clf"
        with pytest.raises(InvalidArgument, match="one DataFrame alone cannot be judged"):
            served.drift(served.context.namespace["rows"])
    finally:
        served.context.namespace = None


@pytest.mark.extended
def test_what_cannot_be_compared_is_said_in_one_line(served, adult):
    for given, error, says in [
        (["nope"], NotFound, "no deployment 'nope'; .*mlops deploy"),
        ([adult], InvalidArgument, "one DataFrame alone cannot be judged.*REFERENCE CURRENT"),
        ([adult, 3], InvalidArgument, "no table"),
    ]:
        with pytest.raises(error, match=says):
            served.drift(*given)
    for options in ({"last": 0}, {"since": "soon"}, {"threshold": ["psi"]}, {"threshold": ["pis=1"]}):
        with pytest.raises(InvalidArgument):
            served.drift("clf", **options)
    with pytest.raises(InvalidArgument, match="two tables are compared as they are"):
        served.drift(adult, adult, last=5)
    with pytest.raises(NotReady, match="since then"):
        served.drift("clf", since="2100-01-01")
    with pytest.raises(NotFound, match="no deployment or model 'nope'"):
        served.reports("nope")
    with pytest.raises(NotFound, match="no drift report 'zzz'"):
        served.report("zzz")


@pytest.mark.extended
def test_a_model_without_a_profile_says_so(shared_session):
    from sklearn.linear_model import LinearRegression

    rows = np.arange(40.0)[:, None]
    shared_session.register(LinearRegression().fit(rows, rows[:, 0]), name="bare")
    shared_session.deploy("bare")
    shared_session.predict("bare", pd.DataFrame({"0": [1.0]}))
    with pytest.raises(NotReady, match="bare@1 was registered without a profile.*--data"):
        shared_session.drift("bare")


def test_two_tables_need_no_service_and_are_not_kept(session, adult, tmp_path):
    young, old = adult[adult["age"] < 40], adult[adult["age"] >= 40]
    session.context.namespace = {"young": young}
    young.to_parquet(tmp_path / "young.parquet")
    first = session.drift(young, old)
    second = session.drift(str(tmp_path / "young.parquet"), old)
    assert first.drifted == second.drifted
    assert "age" in first.drifted
    assert first.reference == "young"
    assert first.id == ""
    assert not session.context.service.running()


def report(number: int, column: str = "a/b") -> DriftReport:
    score = Score("psi", number / 10, 0.1, "above", number > 1, 0.5, 0.5)
    drifted = ColumnDrift(column, "numeric", number > 1, (score,))
    return DriftReport(
        "r", "c", (drifted,), created_ms=1_700_000_000_000 + number, model="m@1", deployment="d", id=f"id{number}"
    )


def test_a_report_is_kept_once_and_a_half_written_one_is_not_seen(empty_database, tmp_path):
    import shutil

    from jupyter_mlops.domain.workspace import Workspace
    from jupyter_mlops.store.store import Store

    shutil.copy(empty_database, tmp_path / "mlflow.db")
    artifacts = tmp_path / "artifacts"
    store = Store.open(Workspace(tmp_path, f"sqlite:///{tmp_path / 'mlflow.db'}", "e", artifacts.as_uri()))
    store.reports.record(report(1))
    store.reports.record(report(2))
    assert store.reports.record(report(2, "again")) == report(2)
    assert store.reports.recent() == [report(2), report(1)]
    assert store.reports.recent(limit=1) == [report(2)]
    assert store.reports.recent("m") == store.reports.recent("d") == store.reports.recent("m@1")
    assert store.reports.recent("other") == []
    (file,) = artifacts.rglob("*-id2.json")
    whole = file.read_text()
    file.write_text(whole[:40])
    assert store.reports.recent() == [report(1)]
    assert store.reports.record(report(2)) == report(2)
    assert json.loads(file.read_text()) == json.loads(whole)
    (run,) = store.client.search_runs([store.reports.experiment_id])
    assert run.data.metrics["psi.a_b"] == pytest.approx(0.2)
    assert len(store.client.get_metric_history(run.info.run_id, "psi.a_b")) == 2


def test_since_is_a_length_or_a_time():
    assert parse_since("7d", 10**12) == 10**12 - 7 * 86_400_000
    assert parse_since("2026-11-01T00:00+00:00", 0) == 1_793_491_200_000
    with pytest.raises(InvalidArgument, match="'yesterday' is no time.*24h"):
        parse_since("yesterday", 0)


@pytest.mark.extended
def test_reports_are_kept_on_a_tracking_server_and_read_from_our_copy(mlflow_server, tmp_path):  # noqa: F811 a fixture
    from jupyter_mlops.domain.workspace import Workspace
    from jupyter_mlops.store.store import Store

    store = Store.open(Workspace(tmp_path, mlflow_server, "far"))
    store.reports.record(report(1))
    store.reports.record(report(1))
    store.reports.record(report(3))
    assert store.reports.recent("d") == [report(3), report(1)]
    assert len(list((tmp_path / ".mlops" / "cache" / "reports").iterdir())) == 2
    assert store.reports.load("id3") == report(3)
