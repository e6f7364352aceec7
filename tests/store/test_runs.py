"""Runs at rest: the quick ways of asking give what MLflow's client gives, on a database and on a tracking server."""

from __future__ import annotations

import math

import pytest
from servers import mlflow_server

from jupyter_mlops.domain.workspace import Workspace
from jupyter_mlops.errors import InvalidArgument, NotFound
from jupyter_mlops.store import run_queries
from jupyter_mlops.store.store import Store

__all__ = ["mlflow_server"]


@pytest.fixture(params=["sqlite", pytest.param("server", marks=pytest.mark.slow)], scope="module")
def store(request, tmp_path_factory, empty_database):
    root = tmp_path_factory.mktemp("runs")
    if request.param == "server":
        return Store.open(Workspace(root, request.getfixturevalue("mlflow_server"), "runs"))
    (root / "mlflow.db").write_bytes(empty_database.read_bytes())
    return Store.open(Workspace(root, f"sqlite:///{root / 'mlflow.db'}", "runs", (root / "artifacts").as_uri()))


def make(store: Store, name: str, key: str, **tags: str) -> str:
    return store.runs.create(name, key=key, started_ms=1_000 + len(key), tags={"mlops.run_key": key, **tags})


def test_a_run_is_created_once_for_each_key(store):
    first = make(store, "once", "k1")
    assert make(store, "once", "k1") == first
    assert store.runs.id_of("k1") == first
    assert store.runs.id_of("k0") is None


def test_batches_of_any_size_fit_and_may_come_twice(store):
    run_id = make(store, "large", "k22")
    metrics = [("loss", float(step), 5, step) for step in range(2500)] + [
        ("odd", math.nan, 5, 0),
        ("odd", math.inf, 6, 1),
    ]
    params = {f"p{n}": "v" * 500 for n in range(230)}
    tags = {f"t{n}": "w" for n in range(230)}
    for _ in range(2):
        store.runs.log_batch(run_id, metrics, params, tags)
        store.runs.log_input(run_id, name="adult", digest="b3:1", ref="adult@v1", role="input", rows=2, columns=1)
        store.runs.end(run_id, "FAILED", 9_999, "why")
    run = store.runs.get(run_id)
    assert len(run.params) == 230
    assert run.metrics["loss"] == 2499
    assert (run.status, run.ended_ms, run.reason, run.data) == ("FAILED", 9_999, "why", ("adult@v1",))
    history = store.client.get_metric_history(run_id, "loss")
    assert len(history) == 2500
    wanted = sorted((m.step, m.value) for m in history)
    assert run_queries.curve(store, run_id, "loss", 5000) == wanted
    assert store.runs.stepped(run_id) == ["loss", "odd"]
    curve = store.runs.history(run_id, "loss", points=500)
    assert len(curve.steps) <= 500
    assert (curve.values[0], curve.values[-1]) == (0.0, 2499.0)
    assert math.isnan(run_queries.curve(store, run_id, "odd", 10)[0][1])


def test_the_quick_answers_are_the_clients(store):
    for number in range(3):
        make(store, f"run {number}", f"key{'x' * number}")
    make(store, "a drift report", "monitor-key", **{"mlops.kind": "monitor"})
    stock = store.client.create_run(store.experiment_id, run_name="stock").info.run_id
    gone = make(store, "deleted", "deleted-key")
    store.client.delete_run(gone)
    every = store.client.search_runs([store.experiment_id], max_results=1000, order_by=["attributes.start_time DESC"])
    ours = [run for run in every if run.data.tags.get("mlops.kind", "run") == "run"]
    assert len(every) == len(ours) + 1
    assert run_queries.counts(store) == (len(ours), sum(run.info.status == "RUNNING" for run in ours))
    assert set(run_queries.newest(store, 100)) == {(run.info.run_name, run.info.run_id) for run in ours}
    found, more = store.runs.search(limit=100)
    assert {run.id for run in found} == {run.info.run_id for run in ours}
    assert not more
    assert store.runs.find("stock").id == stock
    assert store.runs.find(stock[:9]).id == stock
    assert len(store.runs.search(limit=2)[0]) == 2
    assert store.runs.search(limit=2)[1]


def test_what_cannot_be_asked_or_found_is_told(store):
    with pytest.raises(InvalidArgument, match="the filter 'accuracy >'.*MLflow's filters look like"):
        store.runs.search(filter="accuracy >")
    with pytest.raises(NotFound, match='no run "it\'s not there"; there is: '):
        store.runs.find("it's not there")
    with pytest.raises(NotFound):
        store.runs.find("0" * 32)


def test_notes_are_added_once(store):
    run_id = make(store, "noted", "k-noted")
    store.runs.add_notes(run_id, ["one"])
    store.runs.add_notes(run_id, ["one", "two"])
    assert store.runs.tags(run_id)["mlops.notes"] == "one\ntwo"


def test_artifacts_and_code_come_back(store, tmp_path):
    run_id = make(store, "files", "k-files")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "a.txt").write_text("a")
    for _ in range(2):
        store.runs.log_artifact(run_id, tmp_path / "folder", "deep/down")
        store.runs.log_text(run_id, "mlops/cell.py", "x = 'ä'\n")
    run = store.runs.get(run_id)
    assert run.artifacts == ("deep/down/folder/a.txt", "mlops/cell.py")
    assert run.source == "x = 'ä'\n"
