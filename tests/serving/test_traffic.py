"""Traffic on real deployments: canaries, shadows, sticky keys, following an alias, rolling back, guards, and every change
under load without one failed or unlogged request."""

from __future__ import annotations

import os
import resource
import signal
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from jupyter_mlops.errors import InvalidArgument, NotFound, NotReady
from jupyter_mlops.serving.client import body_of
from jupyter_mlops.serving.deployment_folder import DeploymentFolder, find
from jupyter_mlops.serving.inference_log import read, read_shadow
from jupyter_mlops.serving.news import news
from jupyter_mlops.session import Session

TABLE = pd.DataFrame({"age": np.arange(60) % 17 * 1.5, "children": np.arange(60) % 4})


@pytest.fixture(scope="module")
def deployed(make_session: Callable[..., Session]) -> Session:
    """Three versions: 1 and 2 predict much alike, 3 always says `many`."""
    from sklearn.tree import DecisionTreeClassifier

    session = make_session()
    target = np.where(TABLE.children > 1, "many", "few")
    for number in (1, 2, 3):
        labels = target if number < 3 else np.where(TABLE.age > -1, "many", "few")
        model = DecisionTreeClassifier(max_depth=number, random_state=0).fit(TABLE, labels)
        session.register(model, name="kids", data=TABLE, alias={1: "champion", 2: "challenger", 3: "constant"}[number])
    session.deploy("kids@champion", workers=2)
    return session


def wait_until(true: Callable[[], object], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(0.05)


class Load:
    """Asks without pause over several connections; a connection that breaks is opened again and the request sent again."""

    def __init__(self, session: Session, name: str = "kids") -> None:
        home = session.context.workspace.home
        self.stored = find(home, name)
        self.folder = DeploymentFolder.of(home, name)
        self.token = self.folder.token()
        self.answered: dict[str, str] = {}
        self.failed: list[str] = []
        self.again = 0
        self.began_ms = int(time.time() * 1000) - 1000
        self._stop = threading.Event()

    def _ask(self) -> None:
        body = body_of(TABLE.head(1))
        connection = HTTPConnection(self.stored.host, self.stored.port, timeout=30)
        while not self._stop.is_set():
            request_id = uuid.uuid4().hex
            headers = {
                "Content-Type": "application/json",
                "Authorization": f"Bearer {self.token}",
                "X-Request-Id": request_id,
            }
            for attempt in range(20):
                try:
                    connection.request("POST", "/invocations", body, headers)
                    response = connection.getresponse()
                    told = response.read()
                    break
                except (OSError, HTTPException) as error:
                    connection.close()
                    self.again += 1
                    if attempt == 19:
                        self.failed.append(repr(error))
                    time.sleep(0.02)
            if response.status == 200:
                self.answered[request_id] = response.headers["X-Model-Version"]
            else:
                self.failed.append(f"{response.status} {told[:200]!r}")
        connection.close()

    @contextmanager
    def unjudged(self, connections: int = 4) -> Iterator[Load]:
        """Under load, whatever comes of it."""
        threads = [threading.Thread(target=self._ask) for _ in range(connections)]
        for thread in threads:
            thread.start()
        try:
            time.sleep(0.3)
            yield self
            time.sleep(0.3)
        finally:
            self._stop.set()
            for thread in threads:
                thread.join()

    def unlogged(self) -> set[str]:
        """What was answered and is not in the log."""
        ids = read(self.folder.log, since_ms=self.began_ms).inputs.index
        return set(self.answered) - {name.rpartition("-")[0] for name in ids}

    @contextmanager
    def running(self) -> Iterator[Load]:
        """Under load, of which not one request may fail or be unlogged."""
        with self.unjudged():
            yield self
        assert not self.failed, self.failed[:3]
        assert self.answered
        assert not self.unlogged()


def ask(session: Session, count: int, name: str = "kids", **headers: str) -> Counter[str]:
    stored, folder = (
        find(session.context.workspace.home, name),
        DeploymentFolder.of(session.context.workspace.home, name),
    )
    connection = HTTPConnection(stored.host, stored.port, timeout=30)
    sent = {"Content-Type": "application/json", "Authorization": f"Bearer {folder.token()}"}
    found: Counter[str] = Counter()
    for _ in range(count):
        connection.request("POST", "/invocations", body_of(TABLE.head(1)), sent | headers)
        response = connection.getresponse()
        response.read()
        assert response.status == 200
        found[response.headers["X-Model-Version"]] += 1
    connection.close()
    return found


def test_what_is_deployed_is_told_truthfully(deployed: Session) -> None:
    ask(deployed, 20)
    (told,) = deployed.deployments()
    assert len(told.workers) == 2
    assert {worker.health for worker in told.workers} == {"healthy"}
    assert all(1e7 < worker.memory < 2e9 for worker in told.workers)
    assert sum(worker.requests for worker in told.workers) == told.versions[0].requests == 20
    assert told.versions[0].path
    assert 0 < told.versions[0].p50_ms <= told.versions[0].p99_ms
    assert [s.model for s in deployed.traffic("kids")] == ["kids@1"]


def test_a_log_that_cannot_be_written_is_told_while_it_lasts(deployed: Session) -> None:
    stored = find(deployed.context.workspace.home, "kids")
    headers = {
        "Content-Type": "application/json",
        "Authorization": f"Bearer {DeploymentFolder.of(deployed.context.workspace.home, 'kids').token()}",
    }

    def statuses() -> set[int]:
        found = set()
        for _ in range(12):  # each of two workers is asked
            connection = HTTPConnection(stored.host, stored.port, timeout=30)
            connection.request("POST", "/invocations", body_of(TABLE.head(1)), headers)
            found.add(connection.getresponse().status)
            connection.close()
        return found

    def told_in_time(wanted: bool) -> bool:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            statuses()
            if ("refuses predictions with 503" in deployed.deployments().text()) is wanted:
                return True
        return False

    pids = [worker.pid for worker in deployed.deployments()[0].workers]
    for pid in pids:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))  # as if the disk were full
    try:
        assert 503 in statuses()
        assert told_in_time(True)
    finally:
        for pid in pids:
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    assert told_in_time(False)
    assert statuses() == {200}


def test_a_canary_gets_its_share_and_keys_stick(deployed: Session) -> None:
    told = deployed.traffic("kids", ["champion=70%", "challenger=30%"], sticky="X-User", reason="try")
    assert [(s.model, s.role, s.weight) for s in told.answering] == [
        ("kids@1", "stable", 0.7),
        ("kids@2", "canary", 0.3),
    ]
    assert 55 < ask(deployed, 300)["kids@2"] < 130
    for user in ("ada", "grace", "alan"):
        assert len(ask(deployed, 5, **{"X-User": user})) == 1
    share = sum(ask(deployed, 1, **{"X-User": f"u{n}"})["kids@2"] for n in range(200))
    assert 35 < share < 90
    window = read(DeploymentFolder.of(deployed.context.workspace.home, "kids").log, last=200)
    assert set(window.keys) == {f"u{n}" for n in range(200)}
    assert {m: set(window.propensities[window.models == m].round(6)) for m in ("kids@1", "kids@2")} == {
        "kids@1": {0.7},
        "kids@2": {0.3},
    }
    deployed.traffic("kids", holdout=0.2)
    ask(deployed, 10)
    window = read(DeploymentFolder.of(deployed.context.workspace.home, "kids").log, last=10)
    assert set(window.propensities.round(6)) <= {0.66, 0.34}
    assert any(e.action == "deployment.traffic" for e in deployed.audit("kids"))
    deployed.traffic("kids", ["champion=100%"], sticky="", holdout=0.0)
    assert set(ask(deployed, 30)) == {"kids@1"}


def test_a_shadow_is_asked_and_never_answers(deployed: Session) -> None:
    deployed.traffic("kids", shadow=["constant"])  # of the model that is served, as for a share
    folder = DeploymentFolder.of(deployed.context.workspace.home, "kids")
    assert set(ask(deployed, 25)) == {"kids@1"}
    wait_until(lambda: len(read_shadow(folder.log)) >= 25)
    shadow = read_shadow(folder.log)
    assert set(shadow.models) == {"kids@3"}
    assert set(shadow.predictions) == {"many"}
    assert set(shadow.inputs.index) <= set(read(folder.log).inputs.index)
    (told,) = deployed.deployments()
    assert next(v for v in told.versions if v.role == "shadow").requests >= 25
    deployed.traffic("kids", shadow=[])


def test_mistakes_change_nothing(deployed: Session) -> None:
    before = deployed.traffic("kids")
    for shares, told in [
        (["champion=70%", "challenger=50%"], "120%"),
        (["challenger=lots"], "no share"),
    ]:
        with pytest.raises(InvalidArgument, match=told):
            deployed.traffic("kids", shares)
    with pytest.raises(NotFound):
        deployed.traffic("kids", ["kids@99=10%"])
    with pytest.raises(NotFound):
        deployed.traffic("nothing")
    with pytest.raises(InvalidArgument, match="answers over TLS only"):
        deployed.deploy("kids@1", name="open", host="0.0.0.0")
    assert deployed.traffic("kids") == before


def test_the_audit_trail_tells_what_the_traffic_was_changed_to(deployed: Session) -> None:
    deployed.traffic("kids", ["champion=90%", "challenger=10%"], max_loss=0.1, reason="a trial")
    told = deployed.audit("kids", action="deployment.traffic", limit=1).entries[0]
    assert told.details["traffic"] == "kids@champion 0.9, kids@challenger 0.1 (canary)"
    assert (told.details["guard"], told.details["reason"]) == ("outcome 0.1", "a trial")
    assert told.result["versions"].startswith("kids@1 0.9, kids@2 0.1 (canary)")
    deployed.traffic("kids", ["champion=100%"], max_loss=0.02)


def test_a_version_that_cannot_be_loaded_takes_no_traffic(deployed: Session) -> None:
    home = deployed.context.workspace.home
    examples = [p for p in home.rglob("serving_input_example.json") if "deployments" not in p.parts]
    whole = {path: path.read_bytes() for path in examples}
    deployed.traffic("kids", ["champion=100%"])
    try:
        for path in examples:
            path.write_text('{"dataframe_split": {"columns": ["x"], "data": [[1]]}}')
        with pytest.raises(NotReady, match=r"cannot load kids@3.*input example"):
            deployed.traffic("kids", ["kids@3=50%"])
    finally:
        for path, content in whole.items():
            path.write_bytes(content)
    assert set(ask(deployed, 20)) == {"kids@1"}


def test_traffic_rollback_and_a_kill_under_load(deployed: Session) -> None:
    """No request fails and none is unlogged; a client whose server is killed in the middle of its request asks again."""
    deployed.traffic("kids", ["champion=100%"])
    with Load(deployed).running() as load:
        deployed.traffic("kids", ["kids@2=50%"])
        deployed.traffic("kids", ["kids@2=100%"])
    assert set(load.answered.values()) == {"kids@1", "kids@2"}
    assert load.again == 0
    began = time.monotonic()
    with Load(deployed).running() as load:
        told = deployed.rollback("kids", to="kids@1", reason="on second thoughts")
        took = time.monotonic() - began
    assert (told.version, told.deployments) == (1, ("kids",))
    assert set(load.answered.values()) == {"kids@1", "kids@2"}
    assert load.again == 0
    assert took < 10  # the figure is in the benchmark; this only tells that nothing was loaded
    with Load(deployed).running() as load:
        (told,) = deployed.deployments()
        os.kill(told.workers[0].pid, signal.SIGKILL)
        wait_until(lambda: back(deployed, told.workers[0].pid))


def back(session: Session, gone: int) -> bool:
    """Whether another process answers in the place of the one that is gone."""
    (told,) = session.deployments()
    return [w.health for w in told.workers] == ["healthy"] * 2 and gone not in {w.pid for w in told.workers}


def test_a_hung_worker_is_ended_and_brought_back(deployed: Session) -> None:
    (before,) = deployed.deployments()
    os.kill(before.workers[0].pid, signal.SIGSTOP)
    wait_until(lambda: back(deployed, before.workers[0].pid))
    assert deployed.deployments()[0].restarts > before.restarts


def test_a_rollback_does_not_wait_for_a_hung_worker(deployed: Session) -> None:
    """It is ended, and who takes its place follows; the client whose request it had sends that again."""
    deployed.traffic("kids", ["champion=100%"])
    deployed.traffic("kids", ["kids@2=100%"])
    hung = deployed.deployments()[0].workers[0].pid
    os.kill(hung, signal.SIGSTOP)
    told = deployed.rollback("kids", to="kids@1", reason="it hangs")
    assert (told.version, told.deployments) == (1, ("kids",))
    assert hung not in {worker.pid for worker in deployed.deployments()[0].workers}
    assert set(ask(deployed, 20)) == {"kids@1"}
    wait_until(lambda: back(deployed, hung))


def test_what_watches_over_the_workers_is_watched_itself(deployed: Session) -> None:
    """A server whose first process hangs would bring no worker back that dies."""
    before = deployed.deployments()[0]
    assert before.pid is not None
    with Load(deployed).running():
        os.kill(before.pid, signal.SIGSTOP)
        wait_until(lambda: deployed.deployments()[0].pid not in (None, before.pid))
        wait_until(lambda: back(deployed, before.workers[0].pid))
    assert deployed.deployments()[0].restarts > before.restarts


def test_who_is_killed_again_and_again_is_brought_back_and_ends_no_other(deployed: Session) -> None:
    """As by a request that kills its process, or on a disk that is full when a process starts."""
    before = deployed.deployments()[0]
    with Load(deployed).running():
        for _ in range(6):
            (told,) = deployed.deployments()
            for worker in told.workers:
                os.kill(worker.pid, signal.SIGKILL)
            wait_until(lambda told=told: all(back(deployed, worker.pid) for worker in told.workers))  # type: ignore[misc]
    after = deployed.deployments()[0]
    assert (after.pid, after.restarts) == (before.pid, before.restarts + 12)


def test_a_change_of_traffic_brings_back_a_server_that_has_just_died(deployed: Session) -> None:
    """While a deployment is being changed nobody else looks after it."""
    (told,) = deployed.deployments()
    assert told.pid is not None
    with Load(deployed).running():
        for pid in (told.pid, *(worker.pid for worker in told.workers)):
            os.kill(pid, signal.SIGKILL)
        deployed.traffic("kids", ["champion=50%", "kids@2=50%"])
    assert [share.model for share in deployed.traffic("kids").answering] == ["kids@1", "kids@2"]
    deployed.traffic("kids", ["champion=100%"])
    assert set(ask(deployed, 20)) == {"kids@1"}


def test_a_deployment_that_is_rolled_back_by_its_name_need_not_follow_the_alias(deployed: Session) -> None:
    deployed.deploy("kids@1", name="numbered", workers=1)
    try:
        deployed.traffic("numbered", ["kids@2=100%"])
        assert "numbered" in deployed.rollback("numbered", to="kids@1").deployments
        assert deployed.traffic("numbered").stable.model == "kids@1"
    finally:
        deployed.undeploy("numbered")


def test_it_follows_its_alias_and_rolls_back(deployed: Session) -> None:
    deployed.traffic("kids", ["champion=100%"])
    deployed.promote("kids@2", to="champion")
    # what is to be is written down before the workers do it, so that a crash in between changes nothing
    wait_until(lambda: deployed.deployments()[0].model == "kids@2")
    wait_until(lambda: set(ask(deployed, 20)) == {"kids@2"}, seconds=10)
    assert "follows kids@champion" in deployed.deployments()[0].traffic.decisions[-1].what
    told = deployed.rollback("kids", reason="no good")
    assert (told.version, told.previous, told.deployments) == (1, 2, ("kids",))
    assert set(ask(deployed, 20)) == {"kids@1"}
    assert [v.version for v in deployed.models("kids") if "champion" in v.aliases] == [1]
    time.sleep(2.5)
    assert deployed.deployments()[0].model == "kids@1"


def test_a_rollback_takes_a_canary_of_the_version_that_it_leaves_out_of_the_traffic(deployed: Session) -> None:
    deployed.traffic("kids", ["kids@1=50%", "kids@2=50%"])  # by number, so it follows no alias
    deployed.promote("kids@2", to="champion")
    assert deployed.rollback("kids", reason="no good").version == 1
    assert not deployed.traffic("kids").of_role("canary")
    assert deployed.traffic("kids").decisions[-1].what == "rolled back from kids@2 to kids@1"
    assert set(ask(deployed, 40)) == {"kids@1"}


def test_the_version_before_is_ready_though_it_never_answered_here(deployed: Session) -> None:
    deployed.promote("kids@2", to="champion")
    deployed.deploy("kids@champion", workers=2)
    assert not deployed.traffic("kids").of_role("kept")
    wait_until(lambda: [share.model for share in deployed.traffic("kids").of_role("kept")] == ["kids@1"])
    assert set(ask(deployed, 20)) == {"kids@2"}
    told = deployed.rollback("kids")
    assert (told.version, told.deployments) == (1, ("kids",))
    assert set(ask(deployed, 20)) == {"kids@1"}


def test_a_canary_that_breaks_its_guard_is_taken_back(deployed: Session) -> None:
    deployed.traffic("kids", ["kids@3=50%"], max_drift=0.2)
    for _ in range(40):
        ask(deployed, 100)
        if not deployed.traffic("kids").of_role("canary"):
            break
    told = deployed.traffic("kids")
    assert not told.of_role("canary")
    assert "took the canary kids@3 back" in told.decisions[-1].what
    lines = news(deployed.context)
    assert len(lines) == 1, lines
    assert lines[0].startswith("kids: took the canary kids@3 back: ")
    assert news(deployed.context) == []  # told once
    assert "predictions of" in told.decisions[-1].why
    # as with the alias: the decision is written down before the workers carry it out
    wait_until(lambda: set(ask(deployed, 20)) == {"kids@1"}, seconds=10)
    assert any(e.action == "deployment.traffic" and e.actor.via == "service" for e in deployed.audit("kids"))


def test_labels_are_held_against_a_canary_once_and_outlive_the_service(deployed: Session) -> None:
    """The same labels brought every day are no new evidence; those that came before a restart still are."""
    deployed.traffic("kids", ["champion=50%", "kids@2=50%"], max_drift=0.0)
    folder = DeploymentFolder.of(deployed.context.workspace.home, "kids")
    wait_until((folder.path / "canary.json").exists)
    began = int(time.time() * 1000)
    while min(Counter(read(folder.log, since_ms=began).models).get(model, 0) for model in ("kids@1", "kids@2")) < 60:
        ask(deployed, 40)
    window = read(folder.log, since_ms=began)
    said = pd.DataFrame({"id": window.inputs.index, "model": list(window.models), "label": list(window.predictions)})
    said = said.groupby("model").head(60).reset_index(drop=True)
    rank = said.groupby("model").cumcount()
    wrong = (said.model == "kids@2") & (rank % 2 == 0)
    said.loc[wrong, "label"] = said.label[wrong].map({"many": "few", "few": "many"})
    for _ in range(12):
        deployed.label("kids", said[rank < 8][["id", "label"]])
    time.sleep(2.5)  # the guard looks every second
    assert deployed.traffic("kids").of_role("canary"), "eight labels of each show nothing, however often they come"
    deployed.label("kids", said[rank < 30][["id", "label"]])
    os.kill(deployed.status().service_pid, signal.SIGKILL)
    wait_until(lambda: not deployed.context.service.running())
    wait_until(lambda: not deployed.traffic("kids").of_role("canary"), seconds=20)
    told = deployed.traffic("kids").decisions[-1]
    assert "took the canary kids@2 back" in told.what
    assert "the loss: 0.5 of 30 against 0 of the stable version's 30" in told.why
    wait_until(lambda: not (folder.path / "canary.json").exists())


def test_a_canary_that_fails_on_what_the_stable_version_answers_is_taken_back(deployed: Session) -> None:
    """It was trained on a column that clients do not send yet; what no version takes counts against none."""
    from sklearn.tree import DecisionTreeClassifier

    more = TABLE.assign(income=TABLE.age * 2)
    model = DecisionTreeClassifier(max_depth=1, random_state=0).fit(more, np.where(TABLE.children > 1, "many", "few"))
    version = deployed.register(model, name="kids", data=more).ref
    deployed.traffic("kids", [f"{version}=50%"])
    stored = find(deployed.context.workspace.home, "kids")
    token = DeploymentFolder.of(deployed.context.workspace.home, "kids").token()
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {token}"}
    connection = HTTPConnection(stored.host, stored.port, timeout=30)

    def send(body: bytes, times: int) -> set[tuple[int, str]]:
        found = set()
        for _ in range(times):
            connection.request("POST", "/invocations", body, headers)
            response = connection.getresponse()
            response.read()
            found.add((response.status, response.headers["X-Model-Version"]))
        return found

    assert send(b"{", 300) == {(400, "kids@1"), (400, version)}
    time.sleep(2.5)  # the guard looks every second
    assert deployed.traffic("kids").of_role("canary"), "both refuse what is no JSON"
    good = body_of(TABLE.head(1))
    assert send(good, 40) == {(200, "kids@1"), (400, version)}
    (seen,) = deployed.deployments("kids")
    for _ in range(40):
        if not deployed.traffic("kids").of_role("canary"):
            break
        send(good, 100)
        time.sleep(0.1)
    (trial,) = (v for v in seen.versions if v.model == version)
    assert (trial.errors, trial.refused) == (0, trial.requests), "what a model raises on is told, though it is no 500"
    told = deployed.traffic("kids").decisions[-1]
    assert f"took the canary {version} back" in told.what
    assert "failed requests: " in told.why
    wait_until(lambda: send(good, 20) == {(200, "kids@1")}, seconds=10)
    connection.close()


def test_metrics_token_logs_and_forgetting(deployed: Session) -> None:
    stored, folder = (
        find(deployed.context.workspace.home, "kids"),
        DeploymentFolder.of(deployed.context.workspace.home, "kids"),
    )

    def get(path: str, token: str) -> tuple[int, str]:
        connection = HTTPConnection(stored.host, stored.port, timeout=10)
        connection.request("GET", path, headers={"Authorization": f"Bearer {token}"})
        response = connection.getresponse()
        return response.status, response.read().decode()

    before = folder.token()
    status, text = get("/metrics", before)
    assert status == 200
    families = {family.name: family for family in text_string_to_metric_families(text)}
    counted = {s.labels["model"]: s.value for s in families["mlops_predictions"].samples}
    assert {
        v.model: v.predictions for v in deployed.deployments()[0].versions if v.predictions
    }.items() <= counted.items()
    assert counted["kids@1"] > 0
    deployed.new_token("kids")
    assert folder.token() != before
    for _ in range(10):
        assert get("/metrics", before)[0] == 401
        assert get("/metrics", folder.token())[0] == 200
    assert "loading kids@" in deployed.logs("kids", lines=400)
    rows = len(read(folder.log))
    gone = int((read(folder.log).inputs["age"] == 0).sum())
    assert deployed.forget("kids", "age", "0").rows >= gone
    assert len(read(folder.log)) == rows - gone
    ask(deployed, 5)
    assert len(read(folder.log)) == rows - gone + 5
    assert Path(folder.path / "deployment.json").stat().st_mode & 0o077 == 0
