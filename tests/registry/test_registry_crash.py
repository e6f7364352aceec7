"""A registration or promotion that dies after any one of its calls to the store, asked again: done exactly once."""

from __future__ import annotations

import shutil
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression

from jupyter_mlops.domain.workspace import Actor
from jupyter_mlops.registry import operations
from jupyter_mlops.settings import Settings
from jupyter_mlops.store import alias_history
from jupyter_mlops.store.host import Host
from jupyter_mlops.store.store import Store
from jupyter_mlops.tracking.model_package import write_package


class Killed(BaseException):
    """The process has died; nothing of it can answer any more."""


class Mortal:
    """MLflow's client, which dies right after its n-th call has had its effect."""

    def __init__(self, client: Any) -> None:
        self.client = client
        self.left: int | None = None

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.client, name)

        def call(*args: Any, **keywords: Any) -> Any:
            if self.left == 0:
                raise Killed
            answer = found(*args, **keywords)
            if self.left is not None:
                self.left -= 1
                if self.left == 0:
                    raise Killed
            return answer

        return call if callable(found) else found


@pytest.fixture(scope="module")
def host(empty_database: Path, tmp_path_factory: pytest.TempPathFactory) -> Host:
    root = tmp_path_factory.mktemp("crash")
    (root / ".mlops").mkdir()
    shutil.copy(empty_database, root / ".mlops" / "mlflow.db")
    settings = Settings.load(root=root)
    store = Store.open(settings.workspace())
    store.client = Mortal(store.client)
    return Host(
        settings=settings,
        workspace=settings.workspace(),
        open_store=lambda: store,
        changed=lambda _topic: None,
        stopping=threading.Event(),
        audit=lambda *_: None,
        actor=Actor("me", "here"),
    )


def until_it_lives(host: Host, act: Any) -> Any:
    """Let `act` die after its first call, then after its second, ...; give the answer of the try that lives."""
    mortal: Any = host.store.client
    for calls in range(1, 100):
        mortal.left = calls
        try:
            return act(calls)
        except Killed:
            mortal.left = None
            act(calls)
        finally:
            mortal.left = None
    return pytest.fail("it never lives")


def test_a_registration_that_dies_anywhere_is_made_once(host: Host, tmp_path: Path) -> None:
    frame = pd.DataFrame({"x": np.arange(9.0)})
    folder = tmp_path / "model"
    write_package(LinearRegression().fit(frame, frame["x"]), folder, training=frame)
    store = host.store
    run = store.client.create_run(store.experiment_id)
    store.client.log_metric(run.info.run_id, "r2", 0.5)
    tries: list[int] = []

    def act(number: int) -> Any:
        tries.append(number)
        host.request = f"register-{number}"
        return operations.register(host, name=f"m{number}", alias="champion", folder=str(folder), key=f"key-{number}")

    until_it_lives(host, act)
    count = max(tries)
    assert count > 8
    for number in range(1, count + 1):
        versions = store.models.versions(f"m{number}")
        assert [(int(v.version), v.aliases) for v in versions] == [(1, ["champion"])], number
        assert len(alias_history.read(store.models, f"m{number}", "champion")) == 1
        key = f"key-{number}"
        logged = store.client.search_logged_models([store.experiment_id], f"tags.`mlops.model_key` = '{key}'")
        assert [str(model.status) for model in logged] == ["READY"], number


def test_a_promotion_that_dies_anywhere_is_made_once(host: Host, tmp_path: Path) -> None:
    store = host.store
    frame = pd.DataFrame({"x": np.arange(9.0)})
    for slope in (1, 2):
        write_package(LinearRegression().fit(frame, slope * frame["x"]), tmp_path / "m", training=frame)
        host.request = f"make-{slope}"
        operations.register(host, name="p", alias="champion", folder=str(tmp_path / "m"), key=f"p-{slope}")

    def act(number: int) -> Any:
        host.request = f"promote-{number}"
        version = 2 - number % 2
        answer = operations.promote(host, model=f"p@{version}", alias="champion")
        assert (answer["version"], answer["previous"]) == (version, 3 - version)
        return answer

    until_it_lives(host, act)
    moves = alias_history.read(store.models, "p", "champion")
    assert len({move.request for move in moves}) == len(moves)
    assert [move.before for move in moves[1:]] == [move.version for move in moves[:-1]]


def test_a_logged_model_whose_upload_died_is_completed(host: Host, tmp_path: Path) -> None:
    frame = pd.DataFrame({"x": np.arange(9.0)})
    write_package(LinearRegression().fit(frame, frame["x"]), tmp_path / "model", training=frame)
    store = host.store
    run_id = store.client.create_run(store.experiment_id).info.run_id

    def act(number: int) -> Any:
        place = {"run_id": run_id, "key": f"log-{number}"}
        return store.models.log("line", tmp_path / "model", **place)

    until_it_lives(host, act)
    linked = [output.model_id for output in store.client.get_run(run_id).outputs.model_outputs]
    assert len(linked) == len(set(linked)) >= 4
    assert {str(store.models.logged(model_id).status) for model_id in linked} == {"READY"}


def test_a_model_whose_files_are_being_stored_is_waited_for(
    host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run's model is announced before it is stored; registering it meanwhile makes no second one of it."""
    frame = pd.DataFrame({"x": np.arange(9.0)})
    write_package(LinearRegression().fit(frame, frame["x"]), tmp_path / "model", training=frame)
    store, mortal = host.store, host.store.client
    run_id = store.client.create_run(store.experiment_id).info.run_id

    def log() -> str:
        return store.models.log("line", tmp_path / "model", run_id=run_id, key="slow")

    mortal.left = 2  # the search, the announcement
    with pytest.raises(Killed):
        log()
    mortal.left = None
    announced = store.models.by_key("slow", store.experiment_id)
    assert announced is not None
    assert str(announced.status) == "PENDING"
    looked: list[str] = []

    def pending(_host: Host) -> int:
        looked.append("looked")
        if len(looked) == 3:
            log()
        return int(len(looked) < 3)  # the last look comes after everything has arrived

    monkeypatch.setattr(operations, "pending", pending)
    host.request = "register-slow"
    told = operations.register(
        host, name="slow", folder=str(tmp_path / "model"), key="register-slow", known="slow", run_key=""
    )
    assert (told["model_id"], told["run_id"]) == (announced.model_id, run_id)
    assert [output.model_id for output in store.client.get_run(run_id).outputs.model_outputs] == [announced.model_id]
