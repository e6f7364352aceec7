"""Evaluations at rest: native in MLflow, newest first, whole or not at all."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression

from jupyter_mlops.domain.evaluation import Evaluation, EvaluationRows
from jupyter_mlops.domain.evaluation_parts import MetricValue, Slice, Slices
from jupyter_mlops.errors import IntegrityFailure, NotFound
from jupyter_mlops.evaluation.rows import write_rows
from jupyter_mlops.session import Session
from jupyter_mlops.store.models import model_id_of
from jupyter_mlops.store.store import Store

TABLE = pd.DataFrame(np.random.default_rng(0).normal(size=(60, 2)), columns=["a", "b"])
TARGET = np.where(TABLE["a"] > 0, "yes", "no")
ROWS = EvaluationRows(
    np.arange(60),
    (TARGET == "yes").astype(int),
    np.zeros(60, dtype=int),
    np.zeros(60),
    np.full((60, 2), 0.5),
    ("no", "yes"),
)


def made(model: str, when: int = 1_700_000_000_000, accuracy: float = 0.5, **facts: Any) -> Evaluation:
    slices = Slices("accuracy", True, 0.5, (Slice("a = 1", 10, 0.1, 0.2, worse=True),))
    metrics = (MetricValue("accuracy", accuracy, 0.4, 0.6), MetricValue("roc_auc", None))
    return Evaluation(
        model, "binary", 60, metrics, created_ms=when, data="t@v1", data_digest="d" * 64, slices=slices, **facts
    )


@pytest.fixture(scope="module")
def store(shared_session: Session) -> Store:
    shared_session.register(LogisticRegression().fit(TABLE, TARGET), name="clf", data=TABLE)
    return Store.open(shared_session.context.workspace)


def keep(session: Session, told: Evaluation, tmp_path: Path) -> Evaluation:
    write_rows(ROWS, tmp_path / "rows.npz")
    answer = session.context.call(
        "evaluation.store", evaluation=told.to_dict(), model=told.model, rows=str(tmp_path / "rows.npz")
    )
    return Evaluation.from_dict({**told.to_dict(), **answer})


def test_evaluations_of_a_version_come_newest_first_with_their_rows(
    shared_session: Session, store: Store, tmp_path: Path
) -> None:
    located = shared_session.context.call("evaluation.locate", model="clf")
    assert (located["ref"], Path(located["folder"]).is_dir()) == ("clf@1", True)
    kept = [
        keep(shared_session, made("clf@1", 1_700_000_000_000 + n, n / 10, model_id=located["model_id"]), tmp_path)
        for n in (1, 3, 2)
    ]
    found = store.evaluations.of("clf", 1)
    assert [e.metrics[0].value for e in found] == [0.3, 0.2, 0.1]
    assert found[0] == kept[1]
    rows = store.evaluations.rows(found[0])
    assert (rows.classes, rows.task, rows.row_id.tolist()) == (("no", "yes"), "binary", list(range(60)))
    np.testing.assert_array_equal(rows.target, ROWS.target)
    listed = shared_session.context.call("evaluation.list", model="clf")
    assert [e["id"] for e in listed["evaluations"]] == [e.id for e in found]
    assert Evaluation.from_dict(shared_session.context.call("evaluation.show", id=kept[0].id[:16])) == kept[0]
    with pytest.raises(NotFound, match="no evaluation 'zz'"):
        store.evaluations.load("zz")


def test_stock_mlflow_shows_the_metrics_at_the_model(shared_session: Session, store: Store, tmp_path: Path) -> None:
    kept = keep(
        shared_session, made("clf@1", 1_700_000_001_000, model_id=model_id_of(store.models.version("clf", 1))), tmp_path
    )
    model = store.client.get_logged_model(kept.model_id)
    assert "evaluation.accuracy" in {metric.key for metric in model.metrics}
    assert store.client.get_run(kept.run_id).data.metrics["evaluation.accuracy"] == 0.5
    assert "evaluation.roc_auc" not in store.client.get_run(kept.run_id).data.metrics  # not defined there


def test_an_estimator_that_nobody_logged_has_evaluations_too(
    shared_session: Session, store: Store, tmp_path: Path
) -> None:
    first, second = (keep(shared_session, made("forest", 1_700_000_000_000 + n), tmp_path) for n in (1, 2))
    assert first.run_id == second.run_id
    assert [e.id for e in store.evaluations.recent("forest")] == [second.id, first.id]
    assert store.client.get_run(first.run_id).info.status == "FINISHED"


def test_what_is_damaged_or_half_written_is_not_taken_for_whole(
    shared_session: Session, store: Store, tmp_path: Path
) -> None:
    good, cut, changed = (keep(shared_session, made("damaged", 1_700_000_000_000 + n), tmp_path) for n in range(3))
    run = store.client.get_run(good.run_id)
    folder = Path(run.info.artifact_uri.removeprefix("file://")) / "mlops" / "evaluations"
    (folder / cut.id / "evaluation.json").write_text('{"model": "damag')
    shutil.copy(folder / good.id / "rows.npz", tmp_path / "other")
    (folder / changed.id / "rows.npz").write_bytes((tmp_path / "other").read_bytes()[:-9])
    assert [e.id for e in store.evaluations.recent("damaged")] == [changed.id, good.id]
    with pytest.raises(IntegrityFailure, match="not those that were stored"):
        store.evaluations.rows(changed)
    with pytest.raises(IntegrityFailure, match="cannot be read"):
        store.evaluations.load(cut.id)
