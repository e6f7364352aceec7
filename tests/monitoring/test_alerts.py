"""Alerts from real logs: they open once, resolve, are silenced, sent signed, and never fire twice, whatever dies when."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import shutil
import signal
import threading
import time
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer

import numpy as np
import pandas as pd
import pytest
from logs import answered, deployed, host_at, writer_of

from jupyter_mlops.datasets.profile import ColumnProfile, Profile
from jupyter_mlops.domain.alert import AlertTable, Monitor, MonitorTable
from jupyter_mlops.domain.context import now_ms
from jupyter_mlops.domain.signature import SignatureColumn
from jupyter_mlops.errors import InvalidArgument, NotFound
from jupyter_mlops.monitoring import operations_alerts
from jupyter_mlops.monitoring.alerts import read_state, write_state
from jupyter_mlops.monitoring.operations_alerts import alerts, busy, look_at_all, monitor, monitors, silence, unmonitor
from jupyter_mlops.monitoring.operations_performance import label
from jupyter_mlops.monitoring.sinks import SINKS, check_sink
from jupyter_mlops.monitoring.sinks.webhook import secret_of
from jupyter_mlops.serving.metrics import MONITORED_FILE

HOUR = 3_600_000
MINUTE = 60_000
START = now_ms() // HOUR * HOUR - 6 * HOUR


class Receiver:
    """A webhook's other end, on loopback."""

    def __init__(self) -> None:
        self.got: list[tuple[dict[str, str], bytes]] = []
        self.status = 200
        self.before = lambda: None
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                outer.got.append(({k.lower(): v for k, v in self.headers.items()}, body))
                outer.before()
                self.send_response(outer.status)
                self.end_headers()

            def log_message(self, *_args: object) -> None:
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def receiver():
    made = Receiver()
    yield made
    made.server.shutdown()
    made.server.server_close()


@pytest.fixture
def audited():
    return []


@pytest.fixture
def host(tmp_path, empty_database, audited):
    made = host_at(tmp_path, empty_database, audited)
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"n": rng.normal(size=2_000), "s": rng.choice(list("ab"), 2_000)})
    predicted = ColumnProfile.of(pd.Series((table["n"] > 0).astype(int)), "prediction")
    profile = Profile(len(table), Profile.of(table).columns, prediction=(predicted,))
    made.shared["monitoring"] = {"references": {"m@1": profile}}
    return made


def hours_of_traffic(host, shifts, took=1.0):
    rng = np.random.default_rng(1)
    folder = deployed(host)
    writer = writer_of(folder)
    for i, shift in enumerate(shifts):
        answered(writer, rng.normal(shift, 1, 200), START + i * HOUR + 1, took_ms=took)
    return folder, writer


def due(host, name="m"):
    """Let a monitor be due again."""
    state = read_state(host.workspace.home, name)
    state.monitor = replace(state.monitor, next_ms=0)
    for post in state.outbox:
        post.next_ms = 0
    write_state(host.workspace.home, state)


def test_an_alert_opens_once_is_sent_signed_and_resolves(host, receiver):
    _, writer = hours_of_traffic(host, [0, 0, 1, 1])
    with pytest.raises(NotFound, match="monitor 'm'"):
        unmonitor(host, name="m")
    assert not busy(host)
    rules = ["drift(n) for 2 windows", "psi(n) > 5", "missing(n) > 5%", "auc < 0.8", "p99 > 50ms"]
    made = monitor(host, name="m", every="1h", rules=rules, sinks=["log", f"webhook:{receiver.url}"])
    assert Monitor.from_dict(made).rules == tuple(rules)
    assert busy(host)
    for _ in range(3):
        look_at_all(host)
        due(host)
    (seen,) = MonitorTable.from_dict(monitors(host))
    assert {j.rule: j.state for j in seen.judgements} == {
        "drift(n) for 2 windows": "firing",
        "psi(n) > 5": "ok",
        "missing(n) > 5%": "ok",
        "auc < 0.8": "unknown",
        "p99 > 50ms": "ok",
    }
    (alert,) = AlertTable.from_dict(alerts(host))
    assert (alert.rule, alert.state, alert.opened_ms) == (rules[0], "firing", START + 4 * HOUR)
    assert alert.sent[f"webhook:{receiver.url} firing"] == "answered 200"
    ((headers, body),) = receiver.got
    key = base64.b64decode(secret_of(host.workspace.home).removeprefix("whsec_"))
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    mac = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    assert headers["webhook-signature"] == f"v1,{mac}"
    assert json.loads(body)["type"] == "alert.firing"
    assert (host.workspace.home / "monitors" / "webhook.secret").stat().st_mode & 0o777 == 0o600
    assert len((host.workspace.home / "alerts.log").read_text().splitlines()) == 1

    answered(writer, np.random.default_rng(2).normal(0, 1, 200), START + 4 * HOUR + 1)
    for _ in range(2):
        due(host)
        look_at_all(host)
    (alert,) = AlertTable.from_dict(alerts(host))
    assert (alert.state, alert.resolved_ms) == ("resolved", START + 5 * HOUR)
    assert [json.loads(body)["type"] for _, body in receiver.got] == ["alert.firing", "alert.resolved"]
    assert host.store.alerts.recent()[0].resolved_ms == alert.resolved_ms
    (run,) = host.store.client.search_runs([host.store.reports.experiment_id])
    points = host.store.client.get_metric_history(run.info.run_id, "alert.drift_n_ for 2 windows")
    assert [p.value for p in points] == [1.0, 0.0]
    unmonitor(host, name="m@1")
    assert not busy(host)
    assert len(AlertTable.from_dict(alerts(host, name="m"))) == 1


def test_labels_that_come_when_their_window_is_long_over_are_judged(host, tmp_path):
    folder = deployed(host)
    writer = writer_of(folder)
    day = now_ms() // (60 * MINUTE) * 60 * MINUTE - 20 * HOUR
    wrong, right = (answered(writer, np.linspace(-2, 2, 60), day + i * HOUR) for i in range(2))
    answered(writer, np.linspace(-2, 2, 60), now_ms() - 10 * MINUTE)  # nobody knows yet what became of these
    monitor(host, name="m", every="5min", rules=["accuracy < 0.8", "estimated(accuracy) < 0.1"])
    for _ in range(2):
        look_at_all(host)
        due(host)
    assert {j.state for j in MonitorTable.from_dict(monitors(host)).monitors[0].judgements} == {"unknown", "ok"}

    def labels(request, ids, truth, **keywords):
        file = tmp_path / f"{request}.parquet"
        pd.DataFrame({"id": ids, "y": truth}).to_parquet(file)
        label(replace(host, request=request), name="m", file=str(file), on="id", target="y", **keywords)
        look_at_all(host)  # it is not due: the labels are why it looks

    truth = [int(v >= 0) for v in np.linspace(-2, 2, 60)]
    state = read_state(host.workspace.home, "m")
    state.monitor = replace(state.monitor, next_ms=now_ms() + HOUR)
    write_state(host.workspace.home, state)
    labels("first", wrong, [1 - y for y in truth])
    (alert,) = AlertTable.from_dict(alerts(host))
    window = day - (day - 4 * 24 * HOUR) % (5 * MINUTE) + 5 * MINUTE
    assert (alert.rule, alert.state, alert.value, alert.opened_ms) == ("accuracy < 0.8", "firing", 0.0, window)
    told = (folder.path / MONITORED_FILE).read_text()
    assert 'metric="accuracy",kind="realised"} 0.0' in told.replace(", ", ",")
    assert 'kind="estimated"' in told
    labels("second", wrong, truth, replace=True)  # they were wrong, and so was the alert
    (alert,) = AlertTable.from_dict(alerts(host))
    assert (alert.state, alert.resolved_ms) == ("resolved", window)
    labels("third", right, [1 - y for y in truth])
    newest, _ = AlertTable.from_dict(alerts(host))
    assert (newest.state, newest.opened_ms) == ("firing", window + HOUR)


def test_a_dead_receiver_is_tried_again_and_a_refusal_is_told(host, receiver):
    hours_of_traffic(host, [1, 1])
    receiver.status = 500
    monitor(host, name="m", every="1h", rules=["drift"], sinks=[f"webhook:{receiver.url}"])
    look_at_all(host)
    look_at_all(host)
    assert len(receiver.got) == 1  # not before its time
    assert "answered 500; tried again later" in str(AlertTable.from_dict(alerts(host))[0].sent)
    receiver.status = 200
    due(host)
    look_at_all(host)
    assert [h["webhook-id"] for h, _ in receiver.got] == [receiver.got[0][0]["webhook-id"]] * 2
    assert "answered 200" in str(AlertTable.from_dict(alerts(host))[0].sent)


class Killed(BaseException):
    """Stands for SIGKILL: nothing catches it, and what is on disk is what it was."""


def test_wherever_it_dies_the_alert_is_one_and_every_message_has_one_id(host, receiver):
    hours_of_traffic(host, [1, 1])
    for dies in range(1, 14):
        with pytest.MonkeyPatch.context() as patch:
            die(host, receiver, patch, dies)
        shutil.rmtree(host.workspace.home / "monitors")
        shutil.rmtree(host.workspace.home / "retraining")
        (host.workspace.home / "alerts.log").unlink()
        receiver.got.clear()


def die(host, receiver, monkeypatch, dies):
    monitor(host, name="m", every="1h", rules=["drift"], then=["retrain"], sinks=["log", f"webhook:{receiver.url}"])
    steps = 0

    def step(real):
        def stepped(*args, **keywords):
            nonlocal steps
            steps += 1
            if steps == dies:
                raise Killed
            done = real(*args, **keywords)
            steps += 1
            if steps == dies:
                raise Killed
            return done

        return stepped

    for name in ("write_state", "_send"):
        monkeypatch.setattr(operations_alerts, name, step(getattr(operations_alerts, name)))
    try:
        look_at_all(host)
    except Killed:
        pass
    else:
        assert steps < dies
    steps = 1_000
    for _ in range(2):
        due(host)
        look_at_all(host)
    (alert,) = read_state(host.workspace.home, "m").alerts
    assert alert.state == "firing"
    assert [a.id for a in host.store.alerts.recent()].count(alert.id) == 1
    assert len((host.workspace.home / "alerts.log").read_text().splitlines()) == 1
    assert {h["webhook-id"] for h, _ in receiver.got} == {f"{alert.id}-firing"}
    assert [p.stem for p in (host.workspace.home / "retraining" / "asked").iterdir()] == [alert.id]
    assert read_state(host.workspace.home, "m").outbox == []


def test_silence_keeps_it_in_the_store_alone(host, receiver):
    hours_of_traffic(host, [1, 1])
    monitor(host, name="m", every="1h", rules=["drift"], then=["retrain"], sinks=[f"webhook:{receiver.url}"])
    with pytest.raises(NotFound, match="rule"):
        silence(host, name="m", rule="auc < 1", until_ms=now_ms() + HOUR)
    silence(host, name="m", until_ms=now_ms() + HOUR)
    look_at_all(host)
    (alert,) = AlertTable.from_dict(alerts(host, firing=True))
    assert alert.silenced
    assert receiver.got == []
    assert not (host.workspace.home / "retraining").exists()


def test_what_cannot_work_is_refused_before_anything_is_watched(host):
    folder = deployed(host)
    folder.write(replace(folder.read(), inputs=(SignatureColumn("n", "double"), SignatureColumn("s", "string"))))
    for keywords, said in (
        ({"rules": []}, "needs a rule"),
        ({"rules": ["psy(n) > 1"]}, "psi"),
        ({"rules": ["missing(s) > 5%", "psi(prediction) > 1", "psi(nn) > 1"]}, "unknown column in a rule 'nn'"),
        ({"rules": ["drift"], "sinks": ["pager:x"]}, "webhook"),
        ({"rules": ["drift"], "sinks": ["webhook:ftp://x"]}, "https://HOST"),
        ({"rules": ["drift"], "sinks": ["email:me@example.org"]}, "MLOPS_SMTP"),
        ({"rules": ["drift"], "then": ["explode"]}, "rollback"),
        ({"rules": ["drift"], "every": "1parsec"}, "length of time"),
    ):
        with pytest.raises(InvalidArgument) as caught:
            monitor(host, name="m", **{"every": "1h", **keywords})
        assert said in f"{caught.value.message} {caught.value.hint}"
    assert not busy(host)
    for name, sink in SINKS.items():
        assert sink.name == name == sink.example.partition(":")[0]
    check_sink("email:me@example.org", "smtps://u:p@host")


@pytest.mark.extended
def test_the_service_watches_alone_and_a_kill_in_the_middle_sends_no_second_alert(session, receiver):
    from sklearn.linear_model import LogisticRegression

    rng = np.random.default_rng(0)
    x = pd.DataFrame({"a": rng.normal(size=500), "b": rng.normal(size=500)})
    session.register(LogisticRegression().fit(x, (x["a"] > 0).astype(int)), name="clf", data=x)
    session.deploy("clf")
    killed = []

    def kill_service() -> None:
        if not killed:
            killed.append(session.status().service_pid)
            os.kill(killed[0], signal.SIGKILL)

    receiver.before = kill_service
    session.monitor("clf", every="2s", when=["drift(a)", "rows < 0"], to=[f"webhook:{receiver.url}"])
    deadline = time.monotonic() + 60
    while len(receiver.got) < 2 and time.monotonic() < deadline:
        session.predict("clf", x.head(100) + 3)
        session.monitors()  # whoever needs the service starts it again
        time.sleep(0.5)
    assert killed
    for _ in range(6):
        session.predict("clf", x.head(100) + 3)
        time.sleep(0.5)
    found = session.alerts("clf")
    assert len({a.id for a in found}) == len(found)
    firing = [h["webhook-id"] for h, body in receiver.got if json.loads(body)["type"] == "alert.firing"]
    assert set(firing) <= {f"{a.id}-firing" for a in found}
    assert firing[0] == firing[1]  # it may have been lost on the way, and is known by its id
    opened = [a.opened_ms for a in found]
    assert len(set(opened)) == len(opened)
    assert session.monitors()[0].judgements[0].rule == "drift(a)"
    session.unmonitor("clf")
    assert len(session.monitors()) == 0
