"""Kernels, services and stores that go away in the middle of a run: nothing is lost, nothing comes twice."""

from __future__ import annotations

import importlib
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time

import pytest

from jupyter_mlops.errors import StoreUnavailable
from jupyter_mlops.session import Session
from jupyter_mlops.tracking.recording import RETRY_SECONDS

KERNEL = """
import sys
from pathlib import Path
from jupyter_mlops.session import Session
session = Session.open(root=Path(sys.argv[1]))
with session.run("doomed") as run:
    with session.run("inner"):
        number = 0
        while True:
            run.log_metric("loss", 1.0, number)
            number += 1
            if number in (10, 5000):
                print(number, flush=True)
            if number == 5000:
                sys.stdin.read()
"""


def client_of(session: Session):
    from mlflow import MlflowClient

    return MlflowClient(session.context.workspace.tracking_uri)


def journals(session: Session) -> list:
    return [f for f in (session.context.workspace.home / "journal").glob("*") if not f.name.startswith(".")]


def wait_until(true, seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.05)


def start_kernel(session: Session) -> subprocess.Popen:
    command = [sys.executable, "-c", KERNEL, str(session.context.workspace.root)]
    kernel = subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True)
    assert kernel.stdout.readline() == "10\n"
    assert kernel.stdout.readline() == "5000\n"
    return kernel


def kill(kernel: subprocess.Popen) -> None:
    os.kill(kernel.pid, signal.SIGKILL)
    kernel.wait()


def names(session: Session) -> list[str]:
    """The runs' names, none while the store is away."""
    try:
        return sorted(run.name for run in session.runs())
    except StoreUnavailable:
        return []


def service_pid(session: Session) -> int:
    return int(session.status().service_pid)


@pytest.mark.slow
def test_a_killed_kernel_leaves_no_run_running_and_loses_nothing(session):
    kernel = start_kernel(session)
    os.kill(service_pid(session), signal.SIGKILL)
    kill(kernel)
    runs = {run.name: run for run in session.runs()}
    assert {name: (run.status, run.reason) for name, run in runs.items()} == {
        "doomed": ("KILLED", "the kernel ended"),
        "inner": ("KILLED", "the kernel ended"),
    }
    assert runs["inner"].parent == runs["doomed"].id
    history = client_of(session).get_metric_history(runs["doomed"].id, "loss")
    assert sorted(m.step for m in history) == list(range(5000))
    assert journals(session) == []
    assert {e.target for e in session.audit() if e.action == "run.end"} == {"doomed", "inner"}


def test_a_killed_run_lasted_as_long_as_its_kernel(session):
    kernel = start_kernel(session)
    wait_until(lambda: names(session) == ["doomed", "inner"])
    began = time.time()
    time.sleep(1.5)  # in which it records nothing
    kill(kernel)
    wait_until(lambda: {run.status for run in session.runs()} == {"KILLED"})
    assert all(run.ended_ms / 1000 > began + 0.5 for run in session.runs())


@pytest.mark.slow
def test_a_run_whose_journal_is_gone_is_ended_when_looked_at(session):
    with session.run("orphan") as run:
        run.log_metric("m", 1.0)
        run_id = run.id
    session.service.stop()
    client = client_of(session)
    client.update_run(run_id, status="RUNNING")
    for folder in journals(session):
        shutil.rmtree(folder)
    assert session.runs()[0].status == "KILLED"
    client.update_run(run_id, status="RUNNING")
    assert session.context.call("tracking.get", run=run_id)["status"] == "KILLED"
    stock = client.create_run(client.get_run(run_id).info.experiment_id)
    assert session.context.call("tracking.get", run=stock.info.run_id)["status"] == "RUNNING"


@pytest.mark.slow
def test_the_service_killed_again_and_again_loses_and_doubles_nothing(session, tmp_path):
    stop = threading.Event()

    def kill_services() -> None:
        while not stop.wait(0.7):
            log = session.context.service.log
            pids = (
                [line.split()[4] for line in log.read_text().splitlines() if " serves " in line] if log.exists() else []
            )
            if pids and session.context.service.running():
                try:
                    os.kill(int(pids[-1]), signal.SIGKILL)
                except ProcessLookupError:
                    continue

    (tmp_path / "big.bin").write_bytes(os.urandom(1_000_000))
    killer = threading.Thread(target=kill_services)
    made = []
    with session.run("warm"):
        pass
    killer.start()
    try:
        for number in range(2):
            with session.run(f"run {number}") as run:
                for step in range(6000):
                    run.log_metric("loss", step / 7, step)
                run.log_params({f"p{n}": n for n in range(150)})
                run.log_artifact(tmp_path / "big.bin")
                if number == 1:
                    stop.set()
                    killer.join()
            made.append(run)
    finally:
        stop.set()
        killer.join()
    client = client_of(session)
    wait_until(lambda: session.status().pending == 0)
    listed = [run.name for run in session.runs()]
    assert sorted(listed) == ["run 0", "run 1", "warm"]
    for run in made:
        stored = client.get_run(session.context.call("tracking.get", run=run.name)["id"])
        assert stored.info.status == "FINISHED"
        assert len(stored.data.params) == 150
        history = client.get_metric_history(stored.info.run_id, "loss")
        assert sorted(m.step for m in history) == list(range(6000))
        assert [(f.path, f.file_size) for f in client.list_artifacts(stored.info.run_id) if not f.is_dir] == [
            ("big.bin", 1_000_000)
        ]
    ends = [e.target for e in session.audit() if e.action == "run.end"]
    assert sorted(ends) == ["run 0", "run 1", "warm"]


@pytest.mark.slow
def test_a_store_that_is_away_gets_the_run_later(session, capsys, monkeypatch):
    with session.run("before"):
        pass
    database = session.context.workspace.home / "mlflow.db"
    blocker = sqlite3.connect(database, isolation_level=None)
    session.service.stop()
    aside = database.with_suffix(".aside")
    blocker.close()
    database.rename(aside)
    database.mkdir()  # a file cannot be made there
    with session.run("meanwhile") as run:
        run.log_metric("m", 3.0)
    assert run.result.status == "FINISHED"
    assert run.result.metrics == {"m": 3.0}
    told = capsys.readouterr().err
    assert "'meanwhile' is kept in" in told
    asked: list[float] = []
    ask = session.context.tracker.ask
    monkeypatch.setattr(
        session.context.tracker, "ask", lambda *given: (asked.append(given[-1]) if given[2] else None, ask(*given))[1]
    )
    importlib.import_module("mlflow")  # who has it logs into the run, which the store has to have then
    with session.run("again"):
        pass
    assert capsys.readouterr().err == ""
    assert asked == [RETRY_SECONDS] * 2  # the store was away a moment ago: the next cell does not wait for it at length
    told = session.status()
    assert told.away
    assert told.pending
    assert "away:" in told.text()
    assert "not yet stored" in told.text()
    database.rmdir()
    aside.rename(database)
    wait_until(lambda: names(session) == ["again", "before", "meanwhile"])
    found = session.context.call("tracking.get", run="meanwhile")
    assert (found["status"], found["metrics"]) == ("FINISHED", {"m": 3.0})
    wait_until(lambda: run.result.id == found["id"])


def test_what_the_store_turns_down_is_passed_over_with_a_note(session):
    with session.run("mixed") as run:
        client_of(session).log_param(run.id, "p", "theirs")
        run.log_param("p", "ours")
        run.log_metric("m", 1.0)
        run.log_param("q", "kept")
    assert run.result.params == {"p": "theirs", "q": "kept"}
    assert run.result.metrics == {"m": 1.0}
    assert client_of(session).get_run(run.id).data.tags["mlops.notes"] == "not stored: param p"


def test_a_run_ended_in_another_store_after_connect_stays_in_the_first(session, tmp_path, empty_database):
    other = tmp_path / "other.db"
    shutil.copy(empty_database, other)
    client = client_of(session)
    with session.run("moving") as run:
        run_id = run.id
        session.connect(f"sqlite:///{other}")
        run.log_metric("m", 1.0)
    assert client.get_run(run_id).info.status == "FINISHED"
    assert client.get_run(run_id).data.metrics == {"m": 1.0}
