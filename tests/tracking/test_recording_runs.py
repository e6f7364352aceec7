"""Runs from end to end: recorded here, read by stock MLflow."""

from __future__ import annotations

import contextlib
import json

import pytest
from servers import mlflow_server

from jupyter_mlops.errors import Conflict, InvalidArgument, NotFound
from jupyter_mlops.session import Session

__all__ = ["mlflow_server"]


@pytest.fixture(scope="module")
def client(shared_session: Session):
    from mlflow import MlflowClient

    return MlflowClient(shared_session.context.workspace.tracking_uri)


def test_a_run_is_what_stock_mlflow_reads(shared_session, client, tmp_path):
    (tmp_path / "notes.txt").write_text("hello")
    (tmp_path / "plots").mkdir()
    (tmp_path / "plots" / "a.svg").write_text("<svg/>")
    with shared_session.run("whole", source="x = 1\n") as run:
        for step in range(3):
            run.log_metric("loss", 1.0 / (step + 1), step)
        run.log_metrics({"auc": 0.9, "not": float("nan")})
        run.log_params({"depth": 3, "long": "y" * 9000})
        run.set_tag("team", "blue")
        run.log_artifact(tmp_path / "notes.txt", "docs")
        run.log_artifact(str(tmp_path / "plots"))
        during = run.id
    stored = client.get_run(during)
    assert stored.info.status == "FINISHED"
    assert stored.info.run_name == "whole"
    assert stored.info.end_time >= stored.info.start_time == run.started_ms
    assert stored.data.metrics["loss"] == pytest.approx(1 / 3)
    assert [m.step for m in client.get_metric_history(during, "loss")] == [0, 1, 2]
    assert stored.data.params["depth"] == "3"
    assert len(stored.data.params["long"]) == 6000
    assert stored.data.tags["team"] == "blue"
    assert stored.data.tags["mlops.schema"] == "1"
    assert [file.path for file in client.list_artifacts(during, "docs")] == ["docs/notes.txt"]
    assert [file.path for file in client.list_artifacts(during, "plots")] == ["plots/a.svg"]
    assert run.result.id == during
    assert run.result.source == "x = 1\n"
    assert run.result.duration_ms is not None
    assert list((shared_session.context.workspace.home / "journal").glob("*/files/*")) == []


def test_a_failing_run_is_failed_and_its_error_goes_on(shared_session):
    with pytest.raises(ZeroDivisionError, match="division"), shared_session.run("fails") as run:
        _ = 1 / 0
    assert run.result.status == "FAILED"
    assert run.result.reason == "ZeroDivisionError: division by zero"


def test_an_interrupted_run_is_killed(shared_session):
    with pytest.raises(KeyboardInterrupt), shared_session.run("stopped") as run:
        raise KeyboardInterrupt
    assert (run.result.status, run.result.reason) == ("KILLED", "interrupted")


def test_leaving_by_exit_is_no_failure(shared_session):
    with pytest.raises(SystemExit), shared_session.run("leaves") as run:
        raise SystemExit
    assert run.result.status == "FINISHED"


def test_a_run_inside_a_run_is_its_child(shared_session, client):
    with shared_session.run("outer") as outer:
        assert shared_session.context.recorder is outer
        for number in range(2):
            with shared_session.run(f"inner {number}") as inner:
                inner.log_metric("m", number)
        assert shared_session.context.recorder is outer
    assert shared_session.context.recorder is None
    assert client.get_run(inner.result.id).data.tags["mlflow.parentRunId"] == outer.id
    assert inner.result.parent == outer.id
    assert shared_session.runs(outer.id).facts["children"].startswith(f"2: inner 1 ({inner.result.id[:8]}), inner 0 (")
    assert shared_session.runs(inner.result.id).facts["part of"] == f"outer ({outer.id})"
    assert inner.result.metrics == {"m": 1.0}


def test_a_run_that_was_never_left_is_in_nobodys_way(shared_session):
    left = shared_session.run("left")
    left.__enter__()
    with shared_session.run("after") as after:
        pass
    left.__exit__(None, None, None)
    assert after.result.parent == left.id
    assert shared_session.context.recorder is None


def test_wrong_uses_are_told_and_harm_nothing(shared_session, tmp_path):
    run = shared_session.run("careful")
    with pytest.raises(Conflict, match="has not begun"):
        run.log_metric("a", 1)
    with run:
        with pytest.raises(InvalidArgument, match="takes a number, not 'high'"):
            run.log_metric("a", "high")
        with pytest.raises(InvalidArgument, match="step is a whole number"):
            run.log_metric("a", 1.0, step="x")
        for name in ("", "a//b", "../a", "k?", "x" * 251, 7):
            with pytest.raises(InvalidArgument, match="cannot name a metric"):
                run.log_metric(name, 1.0)
        with pytest.raises(NotFound, match="no file"):
            run.log_artifact(tmp_path / "gone")
        with pytest.raises(InvalidArgument, match="no folder inside a run"):
            run.log_artifact(__file__, "../up")
        with pytest.raises(InvalidArgument, match="is no figure"):
            run.log_figure("picture")
        run.log_param("p", 1)
        run.log_param("p", 1)
        with pytest.raises(Conflict, match="is '1' already"):
            run.log_param("p", 2)
    with pytest.raises(Conflict, match="has ended"):
        run.log_metric("a", 1.0)
    with pytest.raises(Conflict, match="begun already"):
        run.__enter__()
    with pytest.raises(InvalidArgument, match="cannot name a run"):
        shared_session.run("")
    assert run.result.metrics == {}
    assert run.result.params == {"p": "1"}


def test_runs_are_listed_filtered_ordered_and_found(shared_session):
    for value in (0.1, 0.9, 0.5):
        with shared_session.run("score") as run:
            run.log_metric("rank", value)
    table = shared_session.runs(filter="metrics.rank > 0.2", order_by="rank")
    assert [r.metrics["rank"] for r in table] == [0.9, 0.5]
    assert shared_session.runs(filter="metrics.rank < 1", order_by="rank asc")[0].metrics["rank"] == 0.1
    assert len(shared_session.runs(limit=2)) == 2
    assert shared_session.runs(limit=2).more
    assert not shared_session.runs(filter="metrics.rank > 0.2").more
    with pytest.raises(InvalidArgument, match="MLflow's filters look like"):
        shared_session.runs(filter="rank >> 3")
    with pytest.raises(InvalidArgument, match="--limit takes"):
        shared_session.runs(limit=0)
    get = shared_session.context.call
    assert get("tracking.get", run="score")["id"] == run.id
    assert get("tracking.get", run=run.id[:10])["id"] == run.id
    assert get("tracking.get", run=run.id)["id"] == run.id
    with pytest.raises(NotFound, match="no run 'scor'; there is: score"):
        get("tracking.get", run="scor")
    assert "score" in shared_session.names("runs")


def test_compare_tells_what_differs(shared_session):
    made = []
    for depth in (2, 3):
        with shared_session.run("tree", source=f"fit(depth={depth})\nshow()\n") as run:
            run.log_params({"depth": depth, "seed": 0})
            for step in range(3000):
                run.log_metric("loss", 5.0 if step == 1234 else 1.0 / (step + depth), step)
            run.log_metric("acc", depth / 10)
        made.append(run)
    compared = shared_session.compare(*made)
    assert compared.params == {"depth": ("2", "3")}
    assert compared.same == {"seed": "0"}
    assert compared.metrics["acc"] == (0.2, 0.3)
    assert {curve.metric for curve in compared.curves} == {"loss"}
    assert all(len(curve.steps) <= 500 and max(curve.values) == 5.0 for curve in compared.curves)
    assert "-fit(depth=2)\n+fit(depth=3)" in compared.source_diff
    assert "(" in compared.text()
    with pytest.raises(InvalidArgument, match="at least two runs"):
        shared_session.compare(made[0].id)
    with pytest.raises(NotFound):
        shared_session.compare(made[0].id, "nothing")


def test_the_trail_tells_of_beginnings_and_ends(shared_session):
    with shared_session.run("audited") as run:
        pass
    entries = [entry for entry in shared_session.audit() if entry.target == "audited"]
    assert [entry.action for entry in entries] == ["run.end", "run.start"]
    assert entries[0].details["run_id"] == run.id
    assert entries[0].actor == entries[1].actor
    assert entries[0].actor.via == "python"


def test_cells_are_noted_and_give_runs_their_code(shared_session):
    shared_session.cell_started("print(1)", 4, "abc")
    with shared_session.run("of a cell") as run:
        pass
    shared_session.cell_finished("ok")
    cell = shared_session.context.cells[-1]
    assert (cell.count, cell.id, cell.outcome) == (4, "abc", "ok")
    assert cell.ended_ms >= cell.started_ms
    assert run.result.source == "print(1)"


def test_saved_tables_that_the_code_reads_are_its_inputs(shared_session, client):
    import pandas as pd
    from mlflow.data import get_source

    class Namespace(dict): ...

    table, other = pd.DataFrame({"a": [1.5]}), pd.DataFrame({"b": ["x"]})
    shared_session.context.known_tables.remember(table, "prices@v3", "b3:" + "0" * 32)
    shared_session.context.known_tables.remember(other, "unread@v1", "b3:" + "1" * 32)
    shared_session.context.namespace = Namespace(table=table, other=other)
    try:
        with shared_session.run("reads", source="print(table.shape)\ntable = None") as run:
            shared_session.context.namespace["table"] = None
    finally:
        shared_session.context.namespace = None
    assert run.result.data == ("prices@v3",)
    held = client.get_run(run.id).inputs.dataset_inputs[0].dataset
    assert (held.name, held.digest) == ("prices", "b3:" + "0" * 32)
    assert json.loads(held.schema)["mlflow_colspec"] == [{"type": "double", "name": "a", "required": True}]
    assert get_source(held).to_dict() == {"tags": {"mlops.data": "prices@v3"}}


def test_a_name_that_a_run_binds_itself_is_not_what_it_was_before(shared_session):
    """In a loop over versions the last turn's table still stands under the name when the next run begins."""
    import pandas as pd

    class Namespace(dict): ...

    tables = [pd.DataFrame({"a": [float(i)]}) for i in range(2)]
    for i, table in enumerate(tables):
        shared_session.context.known_tables.remember(table, f"turns@v{i}", "b3:" + str(i) * 32)
    namespace = shared_session.context.namespace = Namespace(table=tables[0])
    source = "for table in tables:\n    with mlops.run('turn'):\n        table = load()\n        fit(table)"
    try:
        with shared_session.run("turn", source=source) as run:
            namespace["table"] = tables[1]
    finally:
        shared_session.context.namespace = None
    assert run.result.data == ("turns@v1",)


@pytest.mark.slow
def test_a_tracking_server_gets_the_same(make_session, mlflow_server):
    from mlflow import MlflowClient
    from sklearn.datasets import load_iris
    from sklearn.linear_model import LogisticRegression

    session = make_session()
    session.connect(mlflow_server, experiment="far")
    X, y = load_iris(return_X_y=True, as_frame=True)  # noqa: N806
    with session.run("remote", source="fit()") as run:
        LogisticRegression(max_iter=500).fit(X, y)
        for step in range(1500):
            run.log_metric("loss", 1.0, step)
    assert run.notes == []
    stored = MlflowClient(mlflow_server).get_run(run.result.id)
    assert stored.info.status == "FINISHED"
    assert len(MlflowClient(mlflow_server).get_metric_history(stored.info.run_id, "loss")) == 1500
    assert [m.model_id for m in stored.outputs.model_outputs] == list(run.result.models)
    assert stored.inputs.dataset_inputs[0].dataset.name == "X"
    assert run.result.source == "fit()"
    assert session.runs()[0].id == run.result.id
    assert session.status().runs == 1


def test_a_run_that_another_kernel_records_stays_its_own(session):
    """Two kernels at one cell: neither goes on with the other's run, and the one that began last is the newest."""
    other = Session.open(root=session.context.workspace.root)
    for each in (session, other):
        each.cell_started("with mlops.run(): fit()", 7, "cell-1")
    with session.run("first") as first:
        first.log_metric("loss", 1.0)
        assert first.id
        with other.run("second", again="resume") as second:
            second.log_metric("loss", 2.0)
        other.cell_finished("ok")
        other.cell_started("with mlops.run(): fit()", 8, "cell-1")
        with other.run("third", again="supersede") as third:
            third.log_metric("loss", 3.0)
    assert len({run.result.id for run in (first, second, third)}) == 3
    assert first.result.metrics["loss"] == 1.0
    told = {run.name: run.superseded_by for run in session.runs()}
    assert told == {"first": third.result.id, "second": third.result.id, "third": ""}


def test_a_cell_that_runs_again_supersedes_resumes_or_stands_beside(session):
    def ran(again: str, failing: bool = False):
        session.cell_started("with mlops.run(): fit()", 7, "cell-1")
        with contextlib.suppress(ZeroDivisionError), session.run("again", again=again) as run:
            run.log_metric("loss", 1.0)
            _ = 1 / (not failing)
        session.cell_finished("error" if failing else "ok")
        return run.result

    def superseded() -> dict[str, str]:
        return {run.id: run.superseded_by for run in session.runs(filter="attributes.run_name = 'again'", limit=50)}

    first = ran("supersede")
    failed = ran("supersede", failing=True)
    assert superseded() == {first.id: "", failed.id: ""}  # a failed run takes nobody's place
    second = ran("")
    assert superseded() == {first.id: second.id, failed.id: second.id, second.id: ""}
    beside = ran("sibling")
    assert superseded()[second.id] == superseded()[beside.id] == ""
    resumed = ran("resume")
    assert resumed.id == beside.id
    assert resumed.status == "FINISHED"
    with pytest.raises(InvalidArgument, match="supersede"):
        session.run("again", again="twice")
