"""``?explain=true``: Shapley values against shap's own, and through a real server: additive, bounded, not in the way."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from served_models import PEOPLE_TABLE as TABLE
from served_models import RunningServer, people_model, people_pipeline, running, split_body

from jupyter_mlops.serving.inference_log import count
from jupyter_mlops.serving.shapley import EXACT, shapley

pipeline, stored = people_pipeline, people_model


def model(width: int) -> Any:
    """A function whose columns act together by twos and threes."""

    def ask(columns: Any) -> Any:
        x = np.array([list(c) for c in columns], dtype=float).T
        return np.column_stack([x[:, 0] * x[:, 1] + np.sin(x[:, 2]) * x[:, -1] * x[:, 0], x.sum(axis=1)])

    assert width >= 3
    return ask


@pytest.mark.parametrize("width", [3, 6])
def test_exact_values_are_those_of_shap(width: int) -> None:
    shap = pytest.importorskip("shap")
    rng = np.random.default_rng(0)
    background, row = rng.normal(size=(20, width)), rng.normal(size=width)
    ask = model(width)
    theirs = shap.ExactExplainer(lambda x: ask(x.T), shap.maskers.Independent(background, max_samples=100))(row[None])
    exact = getattr(theirs, "values")[0]  # noqa: B009 the linter takes it for a DataFrame's
    ours = shapley(ask, list(row), [list(c) for c in background.T])
    assert ours.method == "exact"
    np.testing.assert_allclose(ours.contributions, exact, atol=1e-9)
    np.testing.assert_allclose(ours.base, theirs.base_values[0], atol=1e-9)


def test_permutations_come_close_to_exact_values_and_add_up() -> None:
    shap = pytest.importorskip("shap")
    rng = np.random.default_rng(1)
    width = EXACT + 3
    background, row = rng.normal(size=(20, width)), rng.normal(size=width)
    ask = model(width)
    theirs = shap.ExactExplainer(lambda x: ask(x.T), shap.maskers.Independent(background, max_samples=100))(row[None])
    exact = getattr(theirs, "values")[0]  # noqa: B009 the linter takes it for a DataFrame's
    ours = shapley(ask, list(row), [list(c) for c in background.T])
    assert ours.method == "permutations"
    np.testing.assert_allclose(ours.base + ours.contributions.sum(axis=0), ask(row[:, None])[0], atol=1e-9)
    np.testing.assert_allclose(ours.contributions[:, 1], exact[:, 1], atol=1e-9)  # no columns act together
    spread = np.abs(exact[:, 0]).sum()
    assert np.abs(ours.contributions[:, 0] - exact[:, 0]).max() < 0.1 * spread


@pytest.fixture(scope="module")
def server(stored: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    from jupyter_mlops.datasets.profile import Profile

    Profile.of(TABLE).write(stored / "mlops" / "profile")
    with running(stored, tmp_path_factory.mktemp("home")) as started:
        yield started


def explain(server: RunningServer, table: pd.DataFrame, query: str = "explain=true") -> tuple[int, Any]:
    status, _, body = server.ask("POST", f"/invocations?{query}", split_body(table), content_type="application/json")
    return status, json.loads(body)


def test_predictions_come_with_what_made_them(server: RunningServer, pipeline: Any) -> None:
    before = count(server.folder.log)
    status, told = explain(server, TABLE.head(3))
    assert status == 200, told
    assert told["predictions"] == pipeline.predict(TABLE.head(3)).tolist()
    found = told["explanation"]
    assert (found["output"], found["classes"], found["columns"]) == ("probability", ["high", "low"], list(TABLE))
    values, base = np.array(found["values"]), np.array(found["base"])
    assert values.shape == (3, 4, 2)
    np.testing.assert_allclose(base + values.sum(axis=1), pipeline.predict_proba(TABLE.head(3)), atol=1e-9)
    assert np.abs(values[:, 0]).min() > 10 * np.abs(values[:, 3]).max()  # the age decides
    assert found["background"] == {"rows": 50, "from": "training profile, column by column"}
    assert found["additivity_error"] < 1e-9
    assert explain(server, TABLE.head(3)) == (status, told)  # the same again
    assert count(server.folder.log) == before + 6


def test_what_cannot_be_explained_is_told_and_not_logged(server: RunningServer) -> None:
    before = count(server.folder.log)
    for table, query, status, told in [
        (pd.concat([TABLE.head(7)] * 3), "explain=true", 413, "from 1 to 20"),
        (TABLE.head(1), "explain=perhaps", 400, "true or false"),
        (TABLE.head(1).drop(columns="job"), "explain=1", 400, "job"),
    ]:
        got, answer = explain(server, table, query)
        assert (got, told in answer["message"]) == (status, True), answer
    assert count(server.folder.log) == before
    assert "explanation" not in explain(server, TABLE.head(1), "explain=false")[1]
    document = json.loads(server.ask("GET", "/openapi.json")[2])
    assert document["paths"]["/invocations"]["post"]["parameters"][0]["name"] == "explain"


def test_few_may_wait_and_predictions_go_on(server: RunningServer) -> None:
    """More explanations than may wait are answered 429; a prediction beside them is answered before they are."""
    found: list[int] = []
    ended: list[float] = []

    def ask() -> None:
        found.append(explain(server, TABLE.head(20))[0])
        ended.append(time.monotonic())

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    answered = []
    while any(thread.is_alive() for thread in threads):
        assert server.predict(TABLE.head(1))[0] == 200
        answered.append(time.monotonic())
    for thread in threads:
        thread.join()
    assert set(found) == {200, 429}
    assert len([t for t in answered if t < max(ended)]) >= 5


def test_the_process_beside_is_started_again(server: RunningServer) -> None:
    assert explain(server, TABLE.head(1))[0] == 200
    beside = [p for p in Path("/proc").iterdir() if p.name.isdigit() and explains(p, server)]
    assert len(beside) == 1
    import os
    import signal

    os.kill(int(beside[0].name), signal.SIGKILL)
    while explains(beside[0], server):
        time.sleep(0.05)
    answers = [explain(server, TABLE.head(1))[0] for _ in range(2)]
    assert answers[-1] == 200


def explains(process: Path, server: RunningServer) -> bool:
    try:
        command = (process / "cmdline").read_bytes()
        return b"explain_process" in command and str(server.folder.path).encode() in command
    except OSError:
        return False
