"""The same requests to stock MLflow's scoring server and to ours: the same status and the same predictions, or errors."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from served_models import COLUMNS, PEOPLE, save

from jupyter_mlops.serving.app import App
from jupyter_mlops.serving.inference_log import read
from jupyter_mlops.serving.load import ModelFolder
from jupyter_mlops.serving.log_segments import LogWriter
from jupyter_mlops.serving.routing import OneSlot, Slot

TOKEN = "a-token"
Ask = Callable[..., Any]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return save(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def pairs(
    models: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, tuple[Any, Any, Path]]]:
    """For each model: MLflow's application and ours, and where ours logs."""
    import mlflow.pyfunc
    from mlflow.pyfunc import scoring_server

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from starlette.testclient import TestClient

        made: dict[str, tuple[Any, Any, Path]] = {}
        for name in ("people", "array", "bare"):
            log = tmp_path_factory.mktemp("log")
            folder = ModelFolder.open(models[name])
            assert folder.native()
            writer = LogWriter(log, model=f"{name}@1", inputs=folder.inputs)
            app = App(OneSlot(Slot(f"{name}@1", folder.load(allow_pickle=False), writer)), token=TOKEN)
            theirs = TestClient(scoring_server.init(mlflow.pyfunc.load_model(str(models[name]))))
            ours = TestClient(app, headers={"Authorization": f"Bearer {TOKEN}"})
            made[name] = (theirs, ours, log)
        yield made


ROWS = json.loads(PEOPLE.head(3).to_json(orient="values", date_format="iso"))
RECORDS = [dict(zip(COLUMNS, row, strict=True)) for row in ROWS]
BY_COLUMN = {name: [row[i] for row in ROWS] for i, name in enumerate(COLUMNS)}


def split(rows: list[list[Any]] = ROWS, columns: list[str] = COLUMNS) -> dict[str, Any]:
    return {"dataframe_split": {"columns": columns, "data": rows}}


def changed(**columns: Any) -> dict[str, Any]:
    """The rows with some columns of the first row replaced."""
    return split([[columns.get(name, v) for name, v in zip(COLUMNS, ROWS[0], strict=True)], *ROWS[1:]])


CSV = PEOPLE.head(3).drop(columns="since").to_csv(index=False)

REQUESTS: dict[str, tuple[str, Any, str]] = {
    # good
    "split": ("people", split(), ""),
    "split with an index": ("people", {"dataframe_split": {**split()["dataframe_split"], "index": [7, 8, 9]}}, ""),
    "split in another order": ("people", split([r[::-1] for r in ROWS], COLUMNS[::-1]), ""),
    "split with an extra column": ("people", split([[*r, 1] for r in ROWS], [*COLUMNS, "x"]), ""),
    "records": ("people", {"dataframe_records": RECORDS}, ""),
    "instances as records": ("people", {"instances": RECORDS}, ""),
    "inputs as columns": ("people", {"inputs": BY_COLUMN}, ""),
    "inputs as records": ("people", {"inputs": RECORDS}, ""),
    "params that the model does not know": ("people", {**split(), "params": {"a": 1}}, ""),
    "null in a double": ("people", changed(age=None), ""),
    "NaN in a double": ("people", json.dumps(changed(age=float("nan"))), ""),
    "null in a string": ("people", changed(job=None), ""),
    "a new category": ("people", changed(job="pilot"), ""),
    "an int in a double": ("people", changed(age=7), ""),
    "a number as text": ("people", changed(age="7.5", children="3"), ""),
    "nothing but numbers as text": ("people", split([["7.5", "3", *ROWS[0][2:]]]), ""),
    "an optional column left out": ("people", {"dataframe_records": [{**r, "member": True} for r in RECORDS]}, ""),
    "charset": ("people", split(), "application/json; charset=utf-8"),
    "array inputs": ("array", {"inputs": [[1.0, 2.0], [3.5, 4.0]]}, ""),
    "array inputs of ints": ("array", {"inputs": [[1, 2], [3, 4]]}, ""),
    "array instances": ("array", {"instances": [[1.0, 2.0]]}, ""),
    "array as split": ("array", split([[1, 2.5]], ["a", "b"]), ""),
    "no signature, split": ("bare", split([[1.0, 2.0], [3.0, 4.0]], ["a", "b"]), ""),
    "no signature, inputs": ("bare", {"inputs": [[1.0, 2.0]]}, ""),
    "no signature, csv": ("bare", "a,b\n1,2\n3,4\n", "text/csv"),
    # bad
    "missing columns": ("people", split([r[2:] for r in ROWS], COLUMNS[2:]), ""),
    "missing and extra": ("people", split(ROWS, ["years", *COLUMNS[1:]]), ""),
    "missing in records": ("people", {"dataframe_records": [{"age": 1.0}]}, ""),
    "missing in inputs": ("people", {"inputs": {"age": [1.0]}}, ""),
    "text in a double": ("people", changed(age="old"), ""),
    "text in a long": ("people", changed(children="two"), ""),
    "null in a long": ("people", changed(children=None), ""),
    "text in a datetime": ("people", changed(since="yesterday at noon"), ""),
    "just below a long": ("people", changed(children=-(2**63) - 1), ""),
    "a list in a double": ("people", changed(age=[1, 2]), ""),
    "ragged instances": ("people", {"instances": [RECORDS[0], {"age": 1.0}]}, ""),
    "two formats": ("people", {**split(), "instances": [1]}, ""),
    "no format": ("people", {"rows": []}, ""),
    "a list": ("people", [1, 2], ""),
    "a number": ("people", 5, ""),
    "no JSON": ("people", "{", ""),
    "not UTF-8": ("people", b"\xff\xfe{}", ""),
    "empty": ("people", b"", ""),
    "split that is a list": ("people", {"dataframe_split": []}, ""),
    "split without data": ("people", {"dataframe_split": {"columns": ["a"]}}, ""),
    "split with a stranger": ("people", {"dataframe_split": {"data": [[1]], "dtype": "x"}}, ""),
    "records that are a dict": ("people", {"dataframe_records": {"age": 1}}, ""),
    "rows without names": ("people", {"inputs": [[1, 2, 3, 4, 5]]}, ""),
    "csv without a column": ("people", CSV, "text/csv"),
    "array of another width": ("array", {"inputs": [[1.0, 2.0, 3.0]]}, ""),
    "array of text": ("array", {"inputs": [["a", "b"]]}, ""),
    "array of another rank": ("array", {"inputs": [1.0, 2.0]}, ""),
    "what the model refuses": ("bare", split([["a", "b"]], ["a", "b"]), ""),
    "another type": ("people", split(), "text/plain"),
    "another charset": ("people", split(), "application/json; charset=latin-1"),
    "a stranger in the type": ("people", split(), "application/json; version=1"),
}


@pytest.mark.parametrize("name", REQUESTS)
def test_as_mlflow_answers(name: str, pairs: dict[str, tuple[Any, Any, Path]]) -> None:
    model, body, kind = REQUESTS[name]
    theirs, ours, _ = pairs[model]
    raw = body if isinstance(body, bytes) else (body if isinstance(body, str) else json.dumps(body)).encode()
    headers = {"content-type": kind or "application/json"}
    expected = theirs.post("/invocations", content=raw, headers=headers)
    got = ours.post("/invocations", content=raw, headers=headers)
    assert got.status_code == expected.status_code, (got.text, expected.text)
    if expected.status_code == 200:
        assert got.json() == expected.json()
    elif expected.status_code == 400:
        assert got.json()["error_code"] == expected.json()["error_code"], (got.text, expected.text)
        for column in [c for c in COLUMNS if f"column {c}" in expected.json()["message"]]:
            assert column in got.json()["message"]
    assert got.headers["content-type"].partition(";")[0] == expected.headers["content-type"].partition(";")[0]


def test_the_sentences_are_mlflows(pairs: dict[str, tuple[Any, Any, Path]]) -> None:
    """Which columns are missing, extra or mistyped is told in MLflow's words; the table that it repeats is left out."""
    theirs, ours, _ = pairs["people"]
    for name in ("missing columns", "text in a double", "missing in inputs", "split without data"):
        body = json.dumps(REQUESTS[name][1]).encode()
        both = [
            app.post("/invocations", content=body, headers={"content-type": "application/json"})
            for app in (theirs, ours)
        ]
        expected, got = (answer.json()["message"].rpartition("Error: ")[2] for answer in both)
        assert got == expected


def test_the_other_routes(pairs: dict[str, tuple[Any, Any, Path]]) -> None:
    theirs, ours, _ = pairs["people"]
    for method, path in [
        ("GET", "/ping"),
        ("GET", "/health"),
        ("GET", "/version"),
        ("GET", "/nothing"),
        ("GET", "/invocations"),
        ("POST", "/ping"),
        ("GET", "/ping/"),
        ("GET", "/version/"),
        ("POST", "/health/"),
    ]:
        expected, got = (app.request(method, path) for app in (theirs, ours))
        assert got.status_code == expected.status_code
        if expected.status_code == 200:
            assert got.text == expected.text


def test_values_are_not_changed_without_a_word(pairs: dict[str, tuple[Any, Any, Path]]) -> None:
    """Where MLflow would: a fraction cut off, a word that is taken for true, an unknown that is taken for false."""
    _, ours, _ = pairs["people"]
    for column, value in (("children", 1.5), ("children", 2**70), ("member", "no"), ("member", 7)):
        got = ours.post("/invocations", json=changed(**{column: value}))
        assert got.status_code == 400, column
        assert column in got.json()["message"]
    got = ours.post("/invocations", json=split([ROWS[0], ROWS[1][:3]]))  # MLflow fills the short row up
    assert (got.status_code, "same length" in got.json()["message"]) == (400, True)
    _, ours, _ = pairs["bare"]  # MLflow takes the first value of the longer row for its name, and shifts the others
    got = ours.post("/invocations", content="a,b\n1,2,3\n", headers={"content-type": "text/csv"})
    assert (got.status_code, "more values than the header" in got.json()["message"]) == (400, True)


def test_every_shape_reads_back_from_the_log_as_the_model_saw_it(pairs: dict[str, tuple[Any, Any, Path]]) -> None:
    expected = PEOPLE.head(3)
    for name in (
        "split",
        "split in another order",
        "split with an extra column",
        "records",
        "instances as records",
        "inputs as columns",
        "inputs as records",
    ):
        _, ours, log = pairs["people"]
        answer = ours.post(
            "/invocations", json=REQUESTS[name][1], headers={"x-request-id": f"id-{name.replace(' ', '-')}"}
        )
        window = read(log, last=3)
        assert list(window.inputs.index) == [f"{answer.headers['x-request-id']}-{row}" for row in range(3)]
        assert list(window.predictions) == answer.json()["predictions"]
        pd.testing.assert_frame_equal(window.inputs.reset_index(drop=True), expected, check_dtype=True)
    _, ours, log = pairs["array"]
    ours.post("/invocations", json={"inputs": [[1, 2], [3, 4]]})
    assert read(log, last=2).inputs.to_numpy().tolist() == [[1.0, 2.0], [3.0, 4.0]]
    _, ours, log = pairs["bare"]
    ours.post("/invocations", content=b"a,b\n1,2\n", headers={"content-type": "text/csv"})
    assert read(log, last=1).inputs.to_dict("list") == {"a": [1], "b": [2]}
