"""Deployments through the real service, with a registered model: deploy, predict, replace, take down, and every kind of death."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from served_models import PEOPLE

from jupyter_mlops import __version__
from jupyter_mlops.errors import Conflict, InvalidArgument, NotFound, NotReady, PredictionRefused
from jupyter_mlops.serving.deployment_folder import DeploymentFolder, find
from jupyter_mlops.serving.inference_log import count, read
from jupyter_mlops.serving.orders import WORKERS
from jupyter_mlops.serving.process import Process
from jupyter_mlops.session import Session

TABLE = PEOPLE.drop(columns="since").assign(age=PEOPLE.age.where(PEOPLE.age != 3.0))


@pytest.fixture(scope="module")
def registered(make_session: Callable[..., Session]) -> Session:
    """A workspace with two versions of one model, and a deployment of the first."""
    from sklearn.compose import make_column_transformer
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder

    session = make_session()
    target = np.where(TABLE.children > 1, "many", "few")
    for depth in (2, 3):
        encode = make_column_transformer((OneHotEncoder(handle_unknown="ignore"), ["job"]), remainder="passthrough")
        model = make_pipeline(encode, RandomForestClassifier(5, max_depth=depth, random_state=0)).fit(TABLE, target)
        session.register(model, name="people", data=TABLE, alias="champion" if depth == 2 else "")
    session.deploy("people@champion")
    return session


def folder_of(session: Session, name: str = "people") -> DeploymentFolder:
    return DeploymentFolder.of(session.context.workspace.home, name)


def wait_until(true: Callable[[], Any], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(0.05)


def test_deploy_and_predict(registered: Session) -> None:
    (deployed,) = registered.deployments()
    assert (deployed.name, deployed.model, deployed.asked, deployed.state) == (
        "people",
        "people@1",
        "people@champion",
        "running",
    )
    answer = registered.predict("people", TABLE)
    assert set(answer.values) <= {"many", "few"}
    assert (answer.model, answer.deployment, len(answer), len(set(answer.ids))) == ("people@1", "people", 60, 60)
    window = read(Path(deployed.log), last=60)
    assert list(window.inputs.index) == list(answer.ids)
    assert list(window.predictions) == list(answer.values)
    pd.testing.assert_frame_equal(window.inputs.reset_index(drop=True), TABLE)
    assert list(registered.predict("people", TABLE.head(2).to_dict("records"))) == [answer[0], answer[1]]
    assert registered.deployments()[0].predictions == count(Path(deployed.log)) == 62
    (one,) = registered.deployments("people@champion")
    assert (one.name, "Authorization: Bearer" in registered.deployments("people").text()) == ("people", True)
    with pytest.raises(NotFound, match="people"):
        registered.deployments("nobody")
    assert registered.names("deployments") == ["people"]
    assert registered.status().deployments == ("people",)


def test_big_tables_go_in_pieces(registered: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jupyter_mlops.serving.client.ROWS_A_REQUEST", 25)
    answer = registered.predict("people", TABLE)
    assert [name.rpartition("-")[2] for name in answer.ids] == [str(n % 25) for n in range(60)]
    assert len({name.rpartition("-")[0] for name in answer.ids}) == 3


def test_a_table_that_does_not_fit_is_told_in_one_line(registered: Session) -> None:
    folder = folder_of(registered)
    before = count(folder.log)
    for table, told in [
        (TABLE.drop(columns=["age", "job"]), "missing columns: age, job"),
        (TABLE.assign(income=1), r"columns it does not take: income.*`TABLE.drop\(columns=\['income'\]\)`"),
        (TABLE.assign(age="old"), "age must be double and holds text"),
        (TABLE.assign(job=5), "job must be string and holds numbers"),
        (TABLE.assign(children=1.5), "children must be long and holds fractions"),
        (
            TABLE.assign(children=TABLE.children.where(TABLE.children > 0)),
            "children must be long and holds missing values",
        ),
    ]:
        with pytest.raises(PredictionRefused, match=told) as caught:
            registered.predict("people", table)
        assert "\n" not in str(caught.value)
        assert "It takes age (double)" in str(caught.value)
    with pytest.raises(InvalidArgument, match="no rows"):
        registered.predict("people", TABLE.head(0))
    with pytest.raises(NotFound, match="no deployment 'peopel'.*there is: people"):
        registered.predict("peopel", TABLE)
    assert count(folder.log) == before


def test_a_deployment_that_cannot_come_up_leaves_nothing(registered: Session) -> None:
    home = registered.context.workspace.home
    there = sorted(p.name for p in (home / "deployments").iterdir())
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(Conflict, match=f"port {port} is in use"):
            registered.deploy("people@1", name="second", port=port)
    running = find(home, "people")
    with pytest.raises(Conflict, match=f"port {running.port} is in use"):
        registered.deploy("people@1", name="second", port=running.port)
    with pytest.raises(NotFound, match="people"):
        registered.deploy("people@9", name="second")
    with pytest.raises(InvalidArgument, match="65535"):
        registered.deploy("people@1", port=70_000)
    with pytest.raises(InvalidArgument, match="cannot name"):
        registered.deploy("people@1", name="../x")
    registered.context.interpreter, before = "/nowhere/python", registered.context.interpreter
    try:
        with pytest.raises(InvalidArgument, match="/nowhere/python"):
            registered.deploy("people@1", name="second")
    finally:
        registered.context.interpreter = before
    assert sorted(p.name for p in (home / "deployments").iterdir()) == there
    assert [d.name for d in registered.deployments()] == ["people"]


def test_processes_of_another_release_are_told_of(registered: Session) -> None:
    """An upgrade of the package leaves what is deployed running on the old one; a worker too old to tell says nothing."""
    (told,) = registered.deployments()
    assert (told.release, told.other_release) == (__version__, "")
    assert "is installed" not in told.text()
    workers = folder_of(registered).generation(find(registered.context.workspace.home, "people").generation) / WORKERS
    (state,) = workers.glob("*.json")
    before = state.read_text()
    for release, says in (
        ("0.0.9", "people runs jupyter_mlops 0.0.9"),
        ("", "people runs jupyter_mlops of an older version"),
    ):
        state.write_text(json.dumps({**json.loads(before), "release": release}))
        (told,) = registered.deployments()
        assert f"{says}, and {__version__} is installed: deploy it again" in told.text()
        assert "`%mlops deploy people@champion --name people`" in registered.deployments().text()
    state.write_text(before)
    assert registered.deployments()[0].other_release == ""


@pytest.mark.extended
def test_a_broken_model_does_not_replace_a_working_one(registered: Session, tmp_path: Path) -> None:
    """The new server must answer its own example before the old one is let go."""
    told = find(registered.context.workspace.home, "people")
    home = registered.context.workspace.home
    examples = [p for p in home.rglob("serving_input_example.json") if "deployments" not in p.parts]
    whole = {path: path.read_bytes() for path in examples}
    try:
        for path in examples:
            path.write_text('{"dataframe_split": {"columns": ["x"], "data": [[1]]}}')
        with pytest.raises(NotReady, match="cannot predict its own input example.*missing inputs"):
            registered.deploy("people@1", name="people")
        with pytest.raises(NotReady):
            registered.deploy("people@1", name="fresh")
    finally:
        for path, before in whole.items():
            path.write_bytes(before)
    assert find(home, "people") == told
    assert not (home / "deployments" / "fresh").exists()
    assert len(registered.predict("people", TABLE.head(1))) == 1
    assert len(list((folder_of(registered).path / "generations").iterdir())) == 1


def test_kill_9_of_the_server(registered: Session) -> None:
    before = registered.deployments()[0]
    rows = count(Path(before.log))
    os.kill(before.pid, signal.SIGKILL)
    wait_until(lambda: Process.of(before.pid) is None or registered.deployments()[0].pid != before.pid)
    assert registered.deployments()[0].state in ("restarting", "running")
    assert len(registered.predict("people", TABLE)) == 60  # waits for the server to come back
    after = registered.deployments()[0]
    assert (after.state, after.url, after.restarts) == ("running", before.url, before.restarts + 1)
    assert after.pid != before.pid
    assert after.predictions == rows + 60
    restarts = [e for e in registered.audit("people") if e.action == "deployment.restart"]
    assert restarts
    assert restarts[0].actor.via == "service"


def test_kill_9_of_the_service(registered: Session) -> None:
    before = registered.deployments()[0]
    os.kill(registered.status().service_pid, signal.SIGKILL)
    wait_until(lambda: not registered.context.service.running())
    assert len(registered.predict("people", TABLE.head(3))) == 3  # needs no service
    assert not registered.context.service.running()
    after = registered.deployments()[0]
    assert (after.pid, after.state, after.restarts) == (before.pid, "running", before.restarts)


@pytest.mark.extended
def test_a_deploy_that_the_service_dies_in_is_done_once(registered: Session) -> None:
    pid = registered.status().service_pid
    registered.context.progress = lambda line: os.kill(pid, signal.SIGKILL) if line == "warming up" else None
    try:
        deployed = registered.deploy("people@2", name="late")
    finally:
        registered.context.progress = lambda _: None
    folder = folder_of(registered, "late")
    wait_until(lambda: len(folder.processes()) == 1)
    assert [p.pid for p in folder.processes()] == [deployed.pid]
    assert len([e for e in registered.audit("late") if e.action == "deployment.deploy" and e.outcome == "done"]) == 1
    others = [p for p in Path("/proc").iterdir() if p.name.isdigit() and str(folder.path) in cmdline(p)]
    wait_until(lambda: [p.name for p in others if str(folder.path) in cmdline(p)] == [str(deployed.pid)])
    registered.undeploy("late")


def cmdline(process: Path) -> str:
    try:
        return (process / "cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return ""


@pytest.mark.extended
@pytest.mark.parametrize("workers", [1, 2])
def test_the_servers_of_a_deployment_whose_folder_was_removed_end(registered: Session, workers: int) -> None:
    """As of a whole project that somebody has removed: nobody would ever end them."""
    name = f"doomed{workers}"
    registered.deploy("people@1", name=name, workers=workers)
    folder = folder_of(registered, name)

    def running() -> list[Path]:
        return [p for p in Path("/proc").iterdir() if p.name.isdigit() and f"{folder.path} " in cmdline(p)]

    assert len(running()) == (1 if workers == 1 else 1 + workers)
    shutil.rmtree(folder.path)
    wait_until(lambda: not running())
    assert name not in [deployment.name for deployment in registered.deployments()]


@pytest.mark.extended
def test_a_server_that_dies_again_and_again_is_given_up(registered: Session) -> None:
    registered.deploy("people@1", name="fragile")
    folder = folder_of(registered, "fragile")
    stored = find(registered.context.workspace.home, "fragile")
    (folder.generation(stored.generation) / "model" / "MLmodel").write_text("flavors: 1")
    os.kill(registered.deployments()[0].pid, signal.SIGKILL)
    wait_until(lambda: find(registered.context.workspace.home, "fragile").state == "failed", 90)
    failed = next(d for d in registered.deployments() if d.name == "fragile")
    assert (failed.state, failed.pid) == ("failed", None)
    assert "MLmodel" in failed.error
    with pytest.raises(NotReady, match="has failed"):
        registered.predict("fragile", TABLE)
    registered.undeploy("fragile")


@pytest.mark.extended
def test_deploying_again_replaces_without_a_gap(registered: Session) -> None:
    before = registered.deployments()[0]
    lines: list[str] = []
    registered.context.progress = lines.append
    try:
        after = registered.deploy("people@2", name="people")
    finally:
        registered.context.progress = lambda _: None
    assert (after.model, after.url) == ("people@2", before.url)
    lines = [line for line in lines if not line.startswith("compiling")]  # unless an earlier test had it compiled
    assert lines == ["people goes on serving people@1 until people@2 answers", "loading people@2", "warming up"]
    assert Process.of(before.pid) is None
    assert registered.predict("people", TABLE.head(1)).model == "people@2"
    assert after.predictions == before.predictions
    told = registered.context.call("serving.log_of", name="people")
    assert (told["model"], told["deployment"]) == ("people@2", "people")
    assert set(read(Path(told["folder"])).models) == {"people@1", "people@2"}
    assert (Path(told["files"]) / "MLmodel").exists()


def test_undeploy_leaves_the_log_and_no_process(registered: Session) -> None:
    folder = folder_of(registered)
    pids = [process.pid for process in folder.processes()]
    rows = count(folder.log)
    assert pids
    assert rows
    stopped = registered.undeploy("people")
    assert (stopped.state, stopped.predictions) == ("stopped", rows)
    assert not [pid for pid in pids if Process.of(pid)]
    assert not list(registered.deployments())
    assert not folder.token_file.exists()
    assert count(folder.log) == rows
    assert registered.context.call("serving.log_of", name="people")["rows"] == rows
    for name in ("people", "nothing"):
        with pytest.raises(NotFound, match="there is none yet"):
            registered.undeploy(name)
    assert json.loads((folder.path / "deployment.json").read_text())["state"] == "stopped"
