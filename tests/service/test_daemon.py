"""The service: starts on demand, is one per workspace, may be killed at any time, and ends by itself."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from jupyter_mlops.errors import InvalidArgument, ServiceOutdated, StoreUnavailable
from jupyter_mlops.service.client import LOCK, ServiceClient
from jupyter_mlops.service.release import RELEASE
from jupyter_mlops.service.wire import socket_path
from jupyter_mlops.session import Session


def pid_of(session: Session) -> int:
    pid = session.status().service_pid
    assert pid is not None
    return pid


def gone(pid: int, seconds: float = 20) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
        except FileNotFoundError:
            return True
        if state == "Z":
            return True
        time.sleep(0.02)
    return False


def test_it_starts_when_first_asked_and_every_client_finds_the_same(shared_session: Session) -> None:
    other = Session.open(root=shared_session.context.workspace.root)
    assert pid_of(shared_session) == pid_of(other)
    assert Path(f"/proc/{pid_of(other)}").exists()
    assert os.getsid(pid_of(other)) == pid_of(other), "it must outlive whoever started it"


def test_only_its_owner_can_open_its_socket(shared_session: Session) -> None:
    pid_of(shared_session)
    path = socket_path(shared_session.context.workspace.root)
    assert path.stat().st_mode & 0o077 == 0
    assert path.parent.stat().st_mode & 0o077 == 0


def test_killed_it_is_back_at_the_next_call(shared_session: Session) -> None:
    first = pid_of(shared_session)
    os.kill(first, signal.SIGKILL)
    assert gone(first)
    assert pid_of(shared_session) != first


def test_killed_in_the_middle_of_a_call_the_call_still_gets_its_answer_once(shared_session: Session) -> None:
    pid = pid_of(shared_session)
    before = len(shared_session.audit(limit=1000))
    killer = threading.Timer(0.05, os.kill, (pid, signal.SIGKILL))
    killer.start()
    answers = [shared_session.context.call("workspace.connect", tracking_uri="", experiment=f"e{i}") for i in range(40)]
    killer.join()
    assert [a["experiment"] for a in answers] == [f"e{i}" for i in range(40)]
    entries = shared_session.audit(limit=1000)
    assert len(entries) - before == 40, "each change stands in the trail exactly once"
    assert {e.outcome for e in entries} == {"done"}


def test_many_that_start_it_at_once_get_one(make_session: Callable[..., Session]) -> None:
    root = make_session().context.workspace.root
    code = (
        "import sys; from pathlib import Path; from jupyter_mlops.session import Session;"
        "print(Session.open(root=Path(sys.argv[1])).status().service_pid)"
    )
    started = [
        subprocess.Popen([sys.executable, "-c", code, str(root)], stdout=subprocess.PIPE, text=True) for _ in range(4)
    ]
    pids = {process.communicate(timeout=60)[0].strip() for process in started}
    assert len(pids) == 1
    assert pids != {""}


def test_with_nothing_to_do_it_ends_by_itself(
    make_session: Callable[..., Session], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLOPS_IDLE_SECONDS", "0.5")
    session = make_session()
    pid = pid_of(session)
    assert gone(pid)
    assert not socket_path(session.context.workspace.root).exists()


def test_a_service_whose_folder_was_removed_takes_in_nothing_of_the_one_that_is_there_now(
    make_session: Callable[..., Session],
) -> None:
    """Somebody starts over by removing ``.mlops``: the new folder's runs are in the new folder's store."""
    session = make_session()
    home = session.context.workspace.home
    first = pid_of(session)
    shutil.rmtree(home)
    with Session.open(root=session.context.workspace.root).run("begun anew") as run:
        run.log_metric("a", 1.0)
    other = Session.open(root=session.context.workspace.root)
    assert [each.name for each in other.runs()] == ["begun anew"]
    assert other.runs()[0].metrics == {"a": 1.0}
    assert pid_of(other) != first
    assert gone(first)
    assert socket_path(session.context.workspace.root).exists(), "the one that ended took the other's socket along"


def test_an_unknown_operation_is_named_and_nothing_breaks(shared_session: Session) -> None:
    with pytest.raises(InvalidArgument, match="unknown operation of the service 'workspace.statu'"):
        shared_session.context.call("workspace.statu")
    assert shared_session.status().service_state == "running"


def test_a_store_that_is_not_there_changes_nothing(shared_session: Session) -> None:
    before = shared_session.status()
    for uri in ("http://127.0.0.1:9", "nonsense", "sqlite:////proc/no/such.db"):
        with pytest.raises(StoreUnavailable):
            shared_session.connect(uri)
    assert shared_session.status().tracking_uri == before.tracking_uri
    assert {e.outcome for e in list(shared_session.audit())[:3]} == {"failed"}


def test_two_notebooks_see_the_switch_of_the_experiment(shared_session: Session) -> None:
    other = Session.open(root=shared_session.context.workspace.root)
    shared_session.connect(experiment="second")
    assert other.status().experiment == "second"


def test_who_waits_is_told_what_changed(shared_session: Session) -> None:
    number = shared_session.context.call("workspace.wait", since=0, seconds=0.1)["number"]
    heard: list[dict[str, object]] = []
    client = ServiceClient(shared_session.context.workspace.root)
    waiting = threading.Thread(target=lambda: heard.append(client.call("workspace.wait", since=number, seconds=20)))
    waiting.start()
    time.sleep(0.1)
    shared_session.connect(experiment="third")
    waiting.join(20)
    assert "audit" in heard[0]["topics"] or "runs" in heard[0]["topics"]


def test_what_others_write_into_the_database_is_told_too(shared_session: Session) -> None:
    number = shared_session.context.call("workspace.wait", since=0, seconds=0.1)["number"]
    heard: list[dict[str, object]] = []
    client = ServiceClient(shared_session.context.workspace.root)
    waiting = threading.Thread(target=lambda: heard.append(client.call("workspace.wait", since=number, seconds=20)))
    waiting.start()
    time.sleep(0.8)
    uri = shared_session.status().tracking_uri
    code = f"from mlflow import MlflowClient; MlflowClient({uri!r}).create_experiment('from outside')"
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
    waiting.join(20)
    assert heard[0]["topics"] == ["store"]


def test_stopping_waits_until_it_has_ended(session: Session) -> None:
    pid = pid_of(session)
    assert session.service.stop() == "the service has ended"
    assert gone(pid, 5)
    assert session.service.stop() == "no service was running"


def test_an_older_service_gives_way_to_a_newer_client(session: Session) -> None:
    """Also one that does not tell its version, as those before 0.1 do not."""
    lock = session.context.workspace.home / LOCK
    told: list[str] = []
    session.context.progress = told.append
    for theirs in ("0.0.9", ""):
        first = pid_of(session)
        assert lock.read_text().splitlines()[0] == RELEASE
        lock.write_text(lock.read_text().replace(RELEASE, theirs) if theirs else "")
        second = pid_of(session)
        assert second != first
        assert gone(first, 1)
        assert lock.read_text().splitlines()[0] == RELEASE
    assert told == [f"the workspace's service was of another version; it is started anew as {RELEASE}"] * 2


def test_a_newer_service_stays_and_the_older_client_is_told(shared_session: Session) -> None:
    pid = pid_of(shared_session)
    lock = shared_session.context.workspace.home / LOCK
    before = lock.read_text()
    lock.write_text(before.replace(RELEASE, "99.1"))
    try:
        with pytest.raises(ServiceOutdated, match=f"is of jupyter_mlops 99.1, and this process of {RELEASE}. Restart"):
            shared_session.status()
        assert shared_session.names("models") == []  # completing is never in the way
    finally:
        lock.write_text(before)
    assert pid_of(shared_session) == pid


def test_it_is_found_where_another_session_has_its_sockets(
    session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that was started at boot or by cron knows no folder of a login's."""
    pid = pid_of(session)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    assert pid_of(Session.open(root=session.context.workspace.root)) == pid


def test_what_a_running_service_does_not_know_is_asked_of_a_new_one_where_the_package_has_changed(
    session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The package is copied, a service is started from the copy, and the copy learns another argument meanwhile."""
    import jupyter_mlops

    copied = tmp_path / "package" / "jupyter_mlops"
    shutil.copytree(
        Path(jupyter_mlops.__file__).parent, copied, ignore=shutil.ignore_patterns("__pycache__", "labextension")
    )
    monkeypatch.setenv("PYTHONPATH", str(copied.parent))
    pid = pid_of(session)
    with pytest.raises(InvalidArgument, match="unknown argument of 'workspace.names' 'more'; known: kind"):
        session.context.call("workspace.names", kind="models", more=1)
    assert pid_of(session) == pid, "nothing has changed on disk: it is the asker's mistake"
    source = copied / "service" / "workspace.py"
    source.write_text(source.read_text().replace("kind: str) -> list[str]:", "kind: str, more: int = 0) -> list[str]:"))
    assert session.context.call("workspace.names", kind="models", more=1) == []
    assert pid_of(session) != pid


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".mlops").write_text("a file in the way")
    with pytest.raises(Exception, match="cannot be started"):
        Session.open(root=tmp_path).status()


def test_the_store_that_the_environment_asks_for_is_the_store_of_a_new_workspace(
    make_session: Callable[..., Session], tmp_path: Path, empty_database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(empty_database, tmp_path / "team.db")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'team.db'}")
    session = make_session()
    with session.run("there"):
        pass
    told = session.status()
    assert (told.tracking_uri, told.runs, told.notes) == (f"sqlite:///{tmp_path / 'team.db'}", 1, ())
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    session.service.stop()
    again = make_session(session.context.workspace.root)
    assert again.status().runs == 1, "and it is remembered"
