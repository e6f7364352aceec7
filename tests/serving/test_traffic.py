"""Traffic on real deployments: canaries, shadows, sticky keys, following an alias, rolling back, and every change
under load without one failed or unlogged request."""

from __future__ import annotations

import os
import resource
import signal
import time
from http.client import HTTPConnection
from pathlib import Path

import pandas as pd
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from under_load import TABLE, Load, ask, three_versions, wait_until

from jupyter_mlops.errors import InvalidArgument, NotFound, NotReady
from jupyter_mlops.serving.client import body_of
from jupyter_mlops.serving.deployment_folder import DeploymentFolder, find
from jupyter_mlops.serving.inference_log import read, read_shadow
from jupyter_mlops.session import Session

deployed = three_versions


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

    large = body_of(pd.concat([TABLE] * 150))  # the tails of the log are full after a few

    def statuses() -> set[int]:
        found = set()
        for _ in range(12):  # each of two workers is asked
            connection = HTTPConnection(stored.host, stored.port, timeout=30)
            connection.request("POST", "/invocations", large, headers)
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
