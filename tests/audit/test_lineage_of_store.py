"""Lineage against a real service and store: by what was recorded, from either end, and without a name for what was not saved."""

from __future__ import annotations

import json

import pandas as pd
import pytest

from jupyter_mlops.domain.lineage import Lineage
from jupyter_mlops.errors import NotFound
from jupyter_mlops.session import Session
from jupyter_mlops.store.run_entities import dataset_input

RAW = pd.DataFrame({"id": range(6), "x": [0.5, 1.5, 2.5, 3.5, 4.5, 5.5]})


def edges(graph: Lineage) -> set[tuple[str, str, str]]:
    names = {node.key: node.label for node in graph.nodes}
    return {(names[edge.source], edge.how, names[edge.target]) for edge in graph.edges}


def test_from_a_table_to_what_came_of_it_and_back(shared_session: Session) -> None:
    from mlflow import MlflowClient

    session = shared_session
    raw = session.data.save(RAW, name="raw")
    clean = session.data.save(RAW[RAW.x > 1], name="clean", from_=["raw"])
    other = session.data.save(RAW[RAW.x > 2], name="raw")
    client = MlflowClient(session.context.workspace.tracking_uri)
    experiment = client.get_experiment_by_name(session.context.workspace.experiment)
    owner = experiment.experiment_id if experiment else client.create_experiment(session.context.workspace.experiment)
    fit = client.create_run(owner, run_name="fit").info.run_id
    client.log_inputs(fit, datasets=[dataset_input("clean", clean.digest, ref=clean.ref)])
    client.log_inputs(fit, datasets=[dataset_input("X", "md5:12ab")])
    client.set_terminated(fit)
    elsewhere = client.create_run(owner, run_name="elsewhere").info.run_id
    client.log_inputs(elsewhere, datasets=[dataset_input("raw", other.digest, ref=other.ref)])
    client.create_registered_model("clf")
    client.create_model_version("clf", f"runs:/{fit}/model", run_id=fit, tags={"mlops.data": json.dumps([clean.ref])})
    home = session.context.workspace.home
    (home / "deployments" / "shop").mkdir(parents=True)
    stored = {"name": "shop", "model": "clf@1", "asked": "clf", "state": "failed", "generation": "a", "request": "a"}
    (home / "deployments" / "shop" / "deployment.json").write_text(
        json.dumps({**stored, "host": "127.0.0.1", "port": 1, "python": "python"})
    )

    chain = {
        ("raw@v1", "went into", "clean@v1"),
        ("clean@v1", "read by", "fit"),
        ("fit", "made", "clf@1"),
        ("clf@1", "served by", "shop"),
    }
    assert edges(session.lineage(raw.ref)) == chain
    back = edges(session.lineage("shop", kind="deployment"))
    assert back == chain | {("X #md5:12ab", "read by", "fit")}
    assert edges(session.lineage("fit")) == back
    assert edges(session.lineage("clf@1")) == back
    assert edges(session.lineage(other.ref)) == {("raw@v2", "read by", "elsewhere")}
    assert "└─ run fit" in session.lineage("clean@v1").text()


def test_what_is_not_there_and_what_a_name_also_means(shared_session: Session) -> None:
    shared_session.data.save(RAW, name="twice")
    with pytest.raises(NotFound, match="'nothing' is no data version"):
        shared_session.lineage("nothing")
    with pytest.raises(NotFound, match="deployment"):
        shared_session.lineage("twice", kind="deployment")
    alone = shared_session.lineage("twice")
    assert (alone.of, len(alone), alone.edges) == ("data:twice@v1", 1, ())
    assert "nothing is known" in alone.text()
