"""Register, list and promote models through the real service; read back by stock MLflow."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from servers import mlflow_server  # noqa: F401 a fixture
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from jupyter_mlops.errors import InvalidArgument, MLOpsError, NotFound, NotReady
from jupyter_mlops.session import Session

RNG = np.random.default_rng(7)
TABLE = pd.DataFrame(RNG.normal(size=(80, 3)), columns=["a", "b", "c"])
TARGET = np.where(TABLE["a"] > 0, "yes", "no")


def fitted(strength: float = 1.0) -> Any:
    return make_pipeline(StandardScaler(), LogisticRegression(C=strength)).fit(TABLE, TARGET)


@pytest.fixture
def stock(shared_session: Session) -> Iterator[Any]:
    """Stock MLflow on the workspace's store."""
    import mlflow

    uri = shared_session.context.workspace.tracking_uri
    mlflow.set_tracking_uri(uri)
    yield mlflow.MlflowClient(uri)
    mlflow.set_tracking_uri(None)


def test_a_registered_model_is_one_of_stock_mlflow(shared_session: Session, stock: Any) -> None:
    import mlflow.pyfunc

    model = fitted()
    told = shared_session.register(model, name="clf", data=TABLE, alias="champion")
    assert (told.ref, told.aliases, told.format) == ("clf@1", ("champion",), "skops")
    assert [column.type for column in told.inputs] == ["double"] * 3
    assert told.profile
    assert told.estimator == "Pipeline(LogisticRegression)"

    version = stock.get_model_version_by_alias("clf", "champion")
    assert (version.version, version.source) == (1, f"models:/{told.model_id}")
    assert "Pipeline(LogisticRegression)" in version.description
    logged = stock.get_logged_model(told.model_id)
    assert str(logged.status) == "READY"
    assert json.loads(logged.tags["mlflow.modelVersions"]) == [{"name": "clf", "version": 1}]
    loaded = mlflow.pyfunc.load_model("models:/clf@champion")
    np.testing.assert_array_equal(loaded.predict(TABLE), model.predict(TABLE))
    assert loaded.metadata.model_id == told.model_id
    staged = shared_session.context.workspace.home / "staging" / "register"
    assert list(staged.iterdir()) == []


def test_what_is_not_there_is_not_rolled_back(shared_session: Session) -> None:
    with pytest.raises(NotFound, match="no model 'nothere'"):
        shared_session.rollback("nothere")


def test_the_same_model_is_registered_once(shared_session: Session) -> None:
    model = fitted(0.5)
    first = shared_session.register(model, name="once")
    again = shared_session.register(model, name="once", alias="champion")
    assert again.ref == first.ref == "once@1"
    assert again.aliases == ("champion",)
    assert any("unchanged" in note for note in again.notes)
    assert any("drift will need a reference" in note or "no signature" in note for note in first.notes)
    with_data = shared_session.register(model, name="once", data=TABLE)
    assert (with_data.version, with_data.profile) == (2, True)
    assert shared_session.register(model, name="once", data=TABLE).version == 2
    assert shared_session.register(fitted(0.25), name="once").version == 3


def test_an_array_is_the_data_of_a_model_fitted_on_one(shared_session: Session) -> None:
    model = LogisticRegression().fit(TABLE.to_numpy(), TARGET)
    told = shared_session.register(model, name="plain", data=TABLE.to_numpy())
    assert [(column.name, column.type) for column in told.inputs] == [("array", "float64[-1, 3]")]
    assert told.profile


def test_a_saved_table_is_named_as_the_models_data(shared_session: Session, stock: Any) -> None:
    train = TABLE.assign(target=TARGET)
    saved = shared_session.data.save(train, name="train")
    told = shared_session.register(fitted(12.0), name="documented", data=train)
    assert told.data == (saved.ref,)
    assert saved.ref in stock.get_model_version("documented", "1").description
    assert shared_session.register(fitted(13.0), name="documented", data=saved.ref).data == (saved.ref,)


def test_models_lists_versions_newest_first_with_their_aliases(shared_session: Session) -> None:
    for strength in (1.0, 2.0):
        shared_session.register(fitted(strength), name="listed", alias="latest-one")
    table = shared_session.models("listed")
    assert [(v.ref, v.aliases) for v in table] == [("listed@2", ("latest-one",)), ("listed@1", ())]
    assert "listed@2" in table.text()
    assert list(table.to_pandas()["version"]) == [2, 1]
    assert {"listed"} <= {v.name for v in shared_session.models()}
    assert "listed@latest-one" in shared_session.names("model-versions")
    assert "listed" in shared_session.names("models")
    assert "latest-one" in shared_session.names("aliases")


def test_promote_moves_an_alias_tells_what_was_before_and_keeps_the_history(
    shared_session: Session, stock: Any
) -> None:
    for strength in (1.0, 2.0, 3.0):
        shared_session.register(fitted(strength), name="moved")
    first = shared_session.promote("moved@1", to="champion")
    assert (first.version, first.previous) == (1, None)
    shared_session.promote("moved", to="challenger")
    moved = shared_session.promote("moved@challenger", to="champion")
    assert (moved.version, moved.previous) == (3, 1)
    assert shared_session.promote("moved@v3", to="champion").previous == 3
    assert stock.get_registered_model("moved").aliases == {"champion": 3, "challenger": 3, "previous": 1}
    history = json.loads(stock.get_registered_model("moved").tags["mlops.alias.champion.history"])
    assert [(move["before"], move["version"]) for move in history] == [(None, 1), (1, 3)]
    assert history[1]["by"] == shared_session.context.actor.user
    trail = [(entry.action, entry.target) for entry in shared_session.audit(target="moved")]
    assert ("model.promote", "moved@challenger") in trail
    assert trail[-1] == ("model.register", "moved")


def test_a_long_history_keeps_every_move(shared_session: Session, stock: Any) -> None:
    from jupyter_mlops.settings import Settings
    from jupyter_mlops.store import alias_history
    from jupyter_mlops.store.store import Store

    shared_session.register(fitted(9.0), name="restless")
    store = Store.open(Settings.load(root=shared_session.context.workspace.root).workspace())
    for number in range(90):
        move = alias_history.Move(number, None, 1, "me", "r" * 32)
        alias_history.append(store.models, "restless", "x", move, store.models.tags("restless"))
    assert [move.version for move in alias_history.read(store.models, "restless", "x")] == list(range(90))
    tags = stock.get_registered_model("restless").tags
    assert all(len(value) <= 5000 for value in tags.values())
    assert "mlops.alias.x.history.2" in tags


MISTAKES: dict[str, tuple[Callable[[Session], Any], type[MLOpsError], str]] = {
    "not fitted": (lambda s: s.register(LogisticRegression(), name="bad"), NotReady, "is not fitted"),
    "no estimator": (lambda s: s.register(TABLE, name="bad"), InvalidArgument, "not a DataFrame"),
    "no name": (lambda s: s.register(fitted(), name="bad name"), InvalidArgument, "cannot name a model"),
    "a number as alias": (lambda s: s.register(fitted(), name="bad", alias="3"), InvalidArgument, "cannot be an alias"),
    "a lambda": (
        lambda s: s.register(
            make_pipeline(FunctionTransformer(lambda x: x), LogisticRegression()).fit(TABLE, TARGET), name="bad"
        ),
        InvalidArgument,
        "without pickle",
    ),
    "other data": (lambda s: s.register(fitted(), name="bad", data=TABLE[["a"]]), InvalidArgument, "lacks 2 of"),
    "an unknown run": (lambda s: s.register("no-such-run", name="bad"), NotFound, "no run 'no-such-run'"),
    "an unknown logged model": (lambda s: s.register("m-nothing", name="bad"), NotFound, "m-nothing"),
    "an unknown model": (lambda s: s.promote("clff@1", to="champion"), NotFound, "no model 'clff'"),
    "an unknown version": (lambda s: s.promote("clf@99", to="champion"), NotFound, "no model version 'clf@99'.*clf@1"),
    "an unknown alias": (lambda s: s.promote("clf@champ", to="x"), NotFound, "Did you mean 'clf@champion'"),
    "an unknown list": (lambda s: s.models("nothing"), NotFound, "no model 'nothing'"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_clear_line_and_makes_nothing(shared_session: Session, mistake: str) -> None:
    shared_session.register(fitted(), name="clf", alias="champion")
    act, kind, text = MISTAKES[mistake]
    with pytest.raises(kind, match=text) as caught:
        act(shared_session)
    assert "\n" not in str(caught.value)
    assert "bad" not in {v.name for v in shared_session.models()}
    assert not list((shared_session.context.workspace.home / "staging" / "register").glob("*"))


def test_a_damaged_model_file_is_told(shared_session: Session) -> None:
    told = shared_session.register(fitted(77.0), name="damaged", data=TABLE)
    assert shared_session.context.call("registry.show", model="damaged")["profile"] is True
    home = shared_session.context.workspace.home
    file = next((home / "artifacts").rglob(f"{told.model_id}/artifacts/model.skops"))
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    with pytest.raises(MLOpsError, match="not the one that was stored"):
        shared_session.context.call("registry.show", model="damaged")


@pytest.mark.slow
def test_killing_the_service_again_and_again_leaves_one_version(session: Session) -> None:
    """The service is killed at ever later moments of a registration; the client asks again."""
    for round_, wait in enumerate((0.03, 0.1, 0.2)):
        session.status()
        pid = session.status().service_pid
        assert pid is not None

        def kill(pid: int = pid, wait: float = wait) -> None:
            time.sleep(wait)
            os.kill(pid, signal.SIGKILL)

        killer = threading.Thread(target=kill)
        killer.start()
        told = session.register(fitted(1.0 + round_), name="clf", data=TABLE, alias="champion")
        killer.join()
        assert told.version == round_ + 1
        assert told.aliases == ("champion",)
    versions = session.models("clf")
    assert [v.version for v in versions] == [3, 2, 1]
    from mlflow import MlflowClient

    client = MlflowClient(session.context.workspace.tracking_uri)
    experiment = client.get_experiment_by_name(session.context.workspace.experiment).experiment_id
    logged = client.search_logged_models([experiment])
    assert len(logged) == 3
    assert {str(model.status) for model in logged} == {"READY"}
    history = json.loads(client.get_registered_model("clf").tags["mlops.alias.champion.history"])
    assert [move["version"] for move in history] == [1, 2, 3]


@pytest.mark.slow
def test_the_same_on_a_tracking_server(session: Session, mlflow_server: str) -> None:  # noqa: F811
    import mlflow.pyfunc

    session.connect(mlflow_server, experiment="remote")
    model = fitted()
    told = session.register(model, name="clf", data=TABLE, alias="champion")
    assert told.ref == "clf@1"
    assert session.register(model, name="clf", data=TABLE).version == 1
    assert session.register(fitted(3.0), name="clf").version == 2
    assert session.promote("clf@2", to="champion").previous == 1
    assert [v.aliases for v in session.models("clf")] == [("champion",), ("previous",)]
    shown = session.context.call("registry.show", model="clf@1")  # fetched into the cache, checked
    assert [column["name"] for column in shown["inputs"]] == ["a", "b", "c"]
    cached = session.context.workspace.home / "cache" / "models" / told.model_id
    assert (cached / "model.skops").exists()
    assert (cached / "mlops" / "profile").exists()
    with pytest.raises(NotFound, match="no model version 'clf@9'"):
        session.promote("clf@9", to="champion")
    with pytest.raises(NotFound, match="no model 'nothing'"):
        session.promote("nothing", to="champion")
    try:
        mlflow.set_tracking_uri(mlflow_server)
        client = mlflow.MlflowClient()
        assert json.loads(client.get_logged_model(told.model_id).tags["mlflow.modelVersions"])[0]["name"] == "clf"
        loaded = mlflow.pyfunc.load_model("models:/clf/1")
        np.testing.assert_array_equal(loaded.predict(TABLE), model.predict(TABLE))
    finally:
        mlflow.set_tracking_uri(None)


def test_files_in_the_store_lie_where_stock_mlflow_puts_them(shared_session: Session) -> None:
    told = shared_session.register(fitted(5.0), name="placed", data=TABLE)
    home: Path = shared_session.context.workspace.home
    folder = next((home / "artifacts").rglob(f"models/{told.model_id}/artifacts"))
    files = {str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file()}
    assert {"MLmodel", "model.skops", "requirements.txt", "conda.yaml", "python_env.yaml"} <= files
    assert {"input_example.json", "serving_input_example.json"} <= files
    assert any(file.startswith("mlops/profile/") for file in files)
