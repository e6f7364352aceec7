"""Guards on real deployments: a canary that is worse is taken back, whatever shows it, and one that is no worse stays."""

from __future__ import annotations

import itertools
import os
import signal
import time
from collections import Counter
from http.client import HTTPConnection

import numpy as np
import pandas as pd
import pytest
from under_load import TABLE, ask, three_versions, wait_until

from jupyter_mlops.serving.client import body_of
from jupyter_mlops.serving.deployment_folder import DeploymentFolder, find
from jupyter_mlops.serving.inference_log import read
from jupyter_mlops.serving.news import news
from jupyter_mlops.session import Session

deployed = three_versions


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


@pytest.mark.parametrize("sticky", ["", "X-User"])
def test_a_canary_that_fails_on_what_the_stable_version_answers_is_taken_back(deployed: Session, sticky: str) -> None:
    """It was trained on a column that clients do not send yet; what no version takes counts against none."""
    from sklearn.tree import DecisionTreeClassifier

    more = TABLE.assign(income=TABLE.age * 2)
    model = DecisionTreeClassifier(max_depth=1, random_state=0).fit(more, np.where(TABLE.children > 1, "many", "few"))
    version = deployed.register(model, name="kids", data=more).ref
    deployed.traffic("kids", [f"{version}=50%"], sticky=sticky)
    stored = find(deployed.context.workspace.home, "kids")
    token = DeploymentFolder.of(deployed.context.workspace.home, "kids").token()
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {token}"}
    connection = HTTPConnection(stored.host, stored.port, timeout=30)

    def send(body: bytes, times: int, user: str = "") -> set[tuple[int, str]]:
        found = set()
        for number in range(times):
            connection.request("POST", "/invocations", body, headers | {"X-User": user or str(number)})
            response = connection.getresponse()
            response.read()
            found.add((response.status, response.headers["X-Model-Version"]))
        return found

    assert send(b"{", 300) == {(400, "kids@1"), (400, version)}
    if sticky:  # a client that is always wrong meets only the canary, and all of it counts against that client
        (wrong,) = itertools.islice((u for u in map(str, range(99)) if send(b"{", 1, u) == {(400, version)}), 1)
        assert send(b"{", 400, wrong) == {(400, version)}
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
    deployed.traffic("kids", ["champion=100%"], sticky="")
    connection.close()
