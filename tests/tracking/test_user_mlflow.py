"""The user's own MLflow calls inside a run land in it, and MLflow is afterwards as it was."""

from __future__ import annotations

import os
import subprocess
import sys

import mlflow
import pytest
from mlflow import MlflowClient
from mlflow.tracking import fluent

from jupyter_mlops.session import Session


@pytest.fixture
def client(shared_session: Session) -> MlflowClient:
    return MlflowClient(shared_session.context.workspace.tracking_uri)


@pytest.fixture(autouse=True)
def as_before():
    """Every test leaves MLflow as it found it."""

    def state() -> tuple:
        functions = (mlflow.start_run, mlflow.end_run, mlflow.set_tracking_uri, fluent.start_run, fluent.end_run)
        stack = [run.info.run_id for run in fluent._active_run_stack.get()]
        address = os.environ.get("MLFLOW_TRACKING_URI"), mlflow.tracking._tracking_service.utils._tracking_uri
        return functions, stack, address, fluent._active_experiment_id

    before = state()
    yield
    assert state() == before


def test_plain_calls_land_in_our_run_again_and_again(shared_session, client):
    for turn in range(2):
        with shared_session.run("mine") as run:
            mlflow.log_metric("theirs", turn, step=3)
            mlflow.log_params({"depth": 2})
            mlflow.set_tag("team", "red")
            mlflow.log_text("hello", "note.txt")
            assert mlflow.active_run().info.run_id == run.id
        assert mlflow.active_run() is None
        assert run.result.metrics == {"theirs": float(turn)}
        assert run.result.status == "FINISHED"
        assert "note.txt" in run.result.artifacts
    assert client.get_run(run.id).data.tags["team"] == "red"


def test_start_run_makes_a_child_and_end_run_leaves_ours_alone(shared_session, client):
    with shared_session.run("mine") as run:
        mlflow.end_run()
        with mlflow.start_run(run_name="child") as child:
            mlflow.log_metric("inside", 1.0)
        mlflow.log_metric("outside", 2.0)
        with shared_session.run("nested") as nested:
            mlflow.log_metric("nested", 3.0)
        mlflow.log_metric("last", 4.0)
    stored = client.get_run(child.info.run_id)
    assert stored.data.tags["mlflow.parentRunId"] == run.id
    assert stored.info.status == "FINISHED"
    assert stored.info.experiment_id == client.get_run(run.id).info.experiment_id
    assert run.result.metrics == {"last": 4.0, "outside": 2.0}
    assert nested.result.metrics == {"nested": 3.0}


def test_an_error_restores_too_and_fails_the_run(shared_session):
    run = shared_session.run()

    def cell() -> None:
        with run:
            mlflow.log_metric("a", 1.0)
            raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        cell()
    assert run.result.status == "FAILED"
    assert run.result.metrics == {"a": 1.0}


def test_what_was_active_before_is_active_again(shared_session, tmp_path, empty_database):
    own = f"sqlite:///{tmp_path / 'own.db'}"
    (tmp_path / "own.db").write_bytes(empty_database.read_bytes())
    mlflow.set_tracking_uri(own)
    try:
        experiment = MlflowClient(own).create_experiment("own", artifact_location=(tmp_path / "a").as_uri())
        with mlflow.start_run(experiment_id=experiment) as theirs:
            with shared_session.run() as run:
                mlflow.log_metric("ours", 1.0)
            assert mlflow.active_run() is theirs
            assert mlflow.get_tracking_uri() == own
            mlflow.log_metric("theirs", 2.0)
        assert run.result.metrics == {"ours": 1.0}
        assert MlflowClient(own).get_run(theirs.info.run_id).data.metrics == {"theirs": 2.0}
        with shared_session.run() as run:
            mlflow.set_tracking_uri(own)
            with mlflow.start_run(experiment_id=experiment) as elsewhere:
                mlflow.log_metric("m", 1.0)
        assert mlflow.get_tracking_uri() == own
        assert run.result.metrics == {}
        assert MlflowClient(own).get_run(elsewhere.info.run_id).info.status == "FINISHED"
    finally:
        mlflow.set_tracking_uri(None)


def test_mlflows_autologging_logs_once_into_our_run(shared_session):
    from sklearn.datasets import load_iris
    from sklearn.linear_model import LogisticRegression

    X, y = load_iris(return_X_y=True)  # noqa: N806
    mlflow.sklearn.autolog(log_models=False, silent=True)
    try:
        with shared_session.run() as run:
            LogisticRegression(max_iter=500).fit(X, y)
    finally:
        mlflow.sklearn.autolog(disable=True, silent=True)
    assert run.result.params["max_iter"] == "500"
    assert run.result.metrics["training_accuracy_score"] > 0.9
    assert run.result.models == ()
    with shared_session.run() as run:
        LogisticRegression(max_iter=500).fit(X, y)
    assert len(run.result.models) == 1


def test_mlflow_imported_inside_lands_there_and_its_end_ends_nothing(shared_session, client):
    code = f"""
from pathlib import Path
from jupyter_mlops.session import Session
session = Session.open(root=Path({str(shared_session.context.workspace.root)!r}))
run = session.run("imports").__enter__()
import mlflow
mlflow.log_metric("m", 1.0)
print(run.id)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    run_id = done.stdout.strip()
    assert shared_session.context.call("tracking.get", run=run_id)["status"] == "KILLED"
    assert client.get_run(run_id).data.metrics == {"m": 1.0}
