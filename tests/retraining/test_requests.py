"""Requests for retrains: one at a time, not too soon, not too many; a process that dies leaves the champion as it was."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from jupyter_mlops.domain.alert import Alert, Monitor, RetrainRules
from jupyter_mlops.domain.context import now_ms
from jupyter_mlops.domain.retrain import Retrain, RetrainTable
from jupyter_mlops.errors import NotReady
from jupyter_mlops.monitoring.alerts import State, write_state
from jupyter_mlops.monitoring.labels import Labels
from jupyter_mlops.monitoring.operations_alerts import ask_for_retrain
from jupyter_mlops.retraining import operations
from jupyter_mlops.retraining.jobs import PROCESS, read_job, read_jobs, write_job, write_json
from jupyter_mlops.retraining.operations import cancel, retrain, retrains
from jupyter_mlops.serving.deployment_folder import DeploymentFolder
from jupyter_mlops.serving.process import Process

sys.path.insert(0, str(Path(__file__).parent.parent / "monitoring"))

from logs import answered, deployed, host_at, writer_of


@pytest.fixture
def audited():
    return []


@pytest.fixture
def host(tmp_path, empty_database, audited):
    made = host_at(tmp_path, empty_database, audited)
    folder = deployed(made)
    ids = answered(writer_of(folder), np.linspace(-2, 2, 100), now_ms() - 1_000)
    stored = folder.read()
    folder.write(replace(stored, state="running"))
    made.shared["labelled"] = ids
    return made


def label_all(host):
    from jupyter_mlops.serving.inference_log import read

    folder = host.workspace.home / "deployments" / "m"
    wanted = {i: int(n % 2) for n, i in enumerate(host.shared["labelled"])}
    Labels(folder / "labels").add("x", now_ms(), read(folder / "log"), wanted, replace_=False)


def asked(host, id_, **rules):
    ask_for_retrain(host.workspace.home, id_, "m", RetrainRules(**rules), "an alert")
    operations._take_up(host)
    return read_job(host.workspace.home, id_)


def test_a_request_without_labels_is_refused_and_does_not_count(host, audited):
    assert asked(host, "a").state == "refused"
    assert "too few" in read_job(host.workspace.home, "a").error
    label_all(host)
    assert asked(host, "b").state == "waiting"
    assert [a[2] for a in audited] == ["retrain.refused"]


def test_there_are_no_storms(host):
    label_all(host)
    home = host.workspace.home
    first = asked(host, "a")
    assert asked(host, "a") == first  # the same request again
    assert "goes on" in asked(host, "b").error
    write_job(home, replace(first, state="kept", ended_ms=now_ms()))
    assert "less than 6h ago" in asked(host, "c").error
    write_job(home, replace(first, state="kept", asked_ms=now_ms() - 7_200_000))
    assert asked(host, "d", cooldown="1h", a_day=1).error.startswith("1 in the last 24 hours")
    write_job(home, replace(first, state="kept", asked_ms=now_ms() - 90_000_000))
    assert asked(host, "e").state == "waiting"
    assert not list((home / "retraining" / "asked").iterdir())


def test_a_process_that_dies_or_fails_leaves_champion_and_traffic(host, audited):
    home = host.workspace.home
    before = (home / "deployments" / "m" / "deployment.json").read_bytes() if (home / "deployments" / "m" / "deployment.json").exists() else b""  # fmt: skip
    base = Retrain("a", "m", "m@1", "training", "r", now_ms(), pid=2**22 + 1, started="never")
    write_job(home, base)
    operations._watch(host, base)
    assert (read_job(home, "a").state, read_job(home, "a").challenger) == ("failed", "")
    second = replace(base, id="b")
    write_job(home, second)
    write_json(home / "retraining" / "jobs" / "b" / "result.json", {"error": "boom"})
    operations._watch(host, second)
    assert (read_job(home, "b").state, read_job(home, "b").error) == ("failed", "boom")
    assert [a[2] for a in audited] == ["retrain.failed"] * 2
    now = (home / "deployments" / "m" / "deployment.json").read_bytes() if before else b""
    assert now == before
    assert host.store.models.names() == []


def test_by_hand_it_is_told_what_is_missing_and_can_be_cancelled(host):
    with pytest.raises(NotReady, match="no labelled predictions"):
        retrain(host, name="m")
    label_all(host)
    job = Retrain.from_dict(retrain(host, name="m"))
    assert (job.state, job.by_hand) == ("waiting", True)
    assert retrain(host, name="m")["id"] == job.id
    assert cancel(host, id=job.id)["state"] == "cancelled"
    (shown,) = RetrainTable.from_dict(retrains(host, name="m"))
    assert shown.ended
    assert len(read_jobs(host.workspace.home)) == 1


def test_a_schedule_waits_until_a_retrain_may_be(host):
    home = host.workspace.home
    rules = RetrainRules(after_labels=80)
    for name in ("gone", "m"):  # the monitor of a deployment that is no more is in nobody's way
        write_state(home, State(Monitor(name, "1h", (), retrain=rules)))
    operations._trigger(host)
    assert not (home / "retraining" / "asked").exists()
    label_all(host)
    write_job(home, Retrain("a", "m", "m@1", "kept", "r", now_ms(), ended_ms=now_ms()))
    operations._trigger(host)
    assert not (home / "retraining" / "asked").exists()  # the last one was a moment ago
    write_job(home, Retrain("a", "m", "m@1", "kept", "r", now_ms() - 90_000_000, ended_ms=now_ms()))
    operations._trigger(host)
    operations._take_up(host)
    operations._trigger(host)
    operations._take_up(host)
    (job, _) = read_jobs(home)
    assert (job.state, job.reason) == ("waiting", "100 new labels")


def test_what_an_open_alert_was_refused_is_asked_for_again_when_it_may_be(host):
    home, rules = host.workspace.home, RetrainRules(cooldown="1h", a_day=2)
    alert = Alert("a1", "m", "m@1", "drift", "3 columns", now_ms(), now_ms())
    quiet = replace(alert, id="a2", rule="rows > 0")
    state = State(Monitor("m", "1h", ("drift", "rows > 0"), ("retrain",), retrain=rules), [alert, quiet])
    state.silenced = {"rows > 0": now_ms() + 3_600_000}
    write_state(home, state)

    def turn():
        operations._trigger(host)
        operations._take_up(host)
        return {job.id: job.state for job in read_jobs(home)}

    assert turn() == {}  # the alert's own request comes first
    for id_ in ("a1", "a2"):
        assert asked(host, id_, cooldown="1h").state == "refused"
    assert len(turn()) == 2  # no labels yet
    label_all(host)
    assert turn() == {"a1": "refused", "a2": "refused", "a1-2": "waiting"}
    assert "asked again" in read_job(home, "a1-2").reason
    assert len(turn()) == 3  # it goes on: no storm
    other = replace(read_job(home, "a1-2"), state="failed", ended_ms=now_ms())
    write_job(home, other)
    assert len(turn()) == 3  # one that was carried out is not asked for again
    # a new alert within the cool-down is refused, and asked for again after it: until it is over
    state.alerts = [replace(alert, resolved_ms=now_ms()), replace(alert, id="a3")]
    write_state(home, state)
    assert "less than 1h ago" in asked(host, "a3", cooldown="1h").error
    assert "a3-2" not in turn()
    write_job(home, replace(other, asked_ms=now_ms() - 3_700_000))
    state.alerts = [replace(state.alerts[1], resolved_ms=now_ms())]
    write_state(home, state)
    assert "a3-2" not in turn()
    state.alerts = [replace(state.alerts[0], resolved_ms=None)]
    write_state(home, state)
    assert turn()["a3-2"] == "waiting"


def test_a_process_from_before_a_kill_is_gone_on_with(host, monkeypatch):
    label_all(host)
    home = host.workspace.home
    job = asked(host, "a")
    folder = home / "retraining" / "jobs" / "a"
    served = DeploymentFolder.of(home, "m")
    served.write(replace(served.read(), python=sys.executable))
    monkeypatch.setattr(operations, "locate", lambda *_: (SimpleNamespace(data=()), folder))
    monkeypatch.setattr(operations, "child_environment", lambda **_: {})
    monkeypatch.setattr(operations, "START", "import sys; sys.stdin.read(); import time; time.sleep(60)")
    operations._start(host, job)
    first = read_job(home, "a")
    assert (first.state, first.pid > 0) == ("training", True)
    try:
        write_job(home, job)  # as if the service had been killed before it wrote that down
        operations._start(host, job)
        assert read_job(home, "a").state == "waiting"
        write_json(folder / PROCESS, {"pid": first.pid, "started": first.started})
        operations._start(host, job)
        again = read_job(home, "a")
        assert (again.state, again.pid) == ("training", first.pid)
    finally:
        Process(first.pid, first.started).end(1.0)
    operations._watch(host, again)
    assert read_job(home, "a").state == "failed"
