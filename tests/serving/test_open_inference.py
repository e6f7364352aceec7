"""Open Inference Protocol v2 over REST, asked by Triton's own client with its defaults, and by hand."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from served_models import PEOPLE_TABLE as TABLE
from served_models import RunningServer, people_model, people_pipeline, running

from jupyter_mlops.domain.contract import ColumnRule, Contract
from jupyter_mlops.serving.inference_log import read
from jupyter_mlops.serving.protocols.tensors import described

pipeline, stored = people_pipeline, people_model
KINDS = {"age": "FP64", "children": "INT64", "job": "BYTES", "member": "BOOL"}


@pytest.fixture(scope="module")
def server(stored: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with running(stored, tmp_path_factory.mktemp("home")) as started:
        yield started


@pytest.fixture(scope="module")
def contracted(stored: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """The same model behind a contract that some of what is made up keeps."""
    rules = ColumnRule("age", "number", minimum=0, maximum=1000), ColumnRule("children", "integer", minimum=0)
    jobs = ColumnRule("job", "text", categories=("cook", "smith", "clerk", ""))
    with running(stored, tmp_path_factory.mktemp("held"), contract=Contract("people@v1", (*rules, jobs))) as started:
        yield started


def ask(server: RunningServer, method: str, path: str, data: Any = None) -> tuple[int, Any]:
    body = None if data is None else json.dumps(data).encode()
    status, _, got = server.ask(method, path, body, content_type="application/json")
    return status, json.loads(got)


def inputs(frame: pd.DataFrame) -> list[dict[str, Any]]:
    return [
        {
            "name": n,
            "shape": [len(frame), 1],
            "datatype": KINDS[n],
            "data": frame[n].tolist(),
            "parameters": {"content_type": "pd"},
        }
        for n in frame
    ]


@pytest.mark.parametrize("binary", [True, False])
def test_tritons_client(server: RunningServer, pipeline: Any, binary: bool) -> None:
    http = pytest.importorskip("tritonclient.http")
    client = http.InferenceServerClient(f"127.0.0.1:{server.port}")
    headers = {"Authorization": f"Bearer {server.token}"}
    assert client.is_server_live(headers=headers)
    assert client.is_server_ready(headers=headers)
    assert client.is_model_ready("people", headers=headers)
    told = client.get_model_metadata("people", headers=headers)
    assert {i["name"]: i["datatype"] for i in told["inputs"]} == KINDS
    given = []
    for name in TABLE:
        values = TABLE[name].to_numpy(dtype=object if KINDS[name] == "BYTES" else None).reshape(-1, 1)
        tensor = http.InferInput(name, list(values.shape), KINDS[name])
        tensor.set_data_from_numpy(values, binary_data=binary)
        given.append(tensor)
    wanted = [http.InferRequestedOutput(n, binary_data=binary) for n in ("predict", "predict_proba")]
    answer = client.infer("people", given, outputs=wanted, request_id="triton-1", headers=headers)
    labels = [v.decode() if isinstance(v, bytes) else v for v in answer.as_numpy("predict").tolist()]
    assert labels == pipeline.predict(TABLE).tolist()
    np.testing.assert_allclose(answer.as_numpy("predict_proba"), pipeline.predict_proba(TABLE), rtol=1e-12)
    assert answer.get_response()["id"] == "triton-1"
    logged = read(server.folder.log, last=len(TABLE))
    assert logged.inputs.index[0] == "triton-1-0"
    pd.testing.assert_frame_equal(logged.inputs.reset_index(drop=True), TABLE)
    if binary:  # without outputs named, everything there is comes, as JSON
        assert len(client.infer("people", given, headers=headers).as_numpy("predict")) == len(TABLE)


def test_by_hand(server: RunningServer, pipeline: Any) -> None:
    status, told = ask(
        server, "POST", "/v2/models/people/versions/1/infer", {"id": "äö ü", "inputs": inputs(TABLE.head(3))}
    )
    assert (status, told["id"], told["model_name"], told["model_version"]) == (200, "äö ü", "people", "1")
    assert told["outputs"] == [
        {"name": "predict", "datatype": "BYTES", "shape": [3], "data": pipeline.predict(TABLE.head(3)).tolist()}
    ]
    assert ask(server, "GET", "/v2")[1]["extensions"] == ["binary_tensor_data"]
    assert ask(server, "GET", "/v2/models/people/versions/1/ready") == (200, {"name": "people", "ready": True})


@pytest.mark.parametrize(
    ("path", "data", "status", "told"),
    [
        ("people/infer", {"inputs": []}, 400, "no inputs"),
        (
            "people/infer",
            {"inputs": [{"name": "age", "shape": [2], "datatype": "FP64", "data": [1.0]}]},
            400,
            "1 elements",
        ),
        ("people/infer", {"inputs": [{"name": "age", "shape": [1], "datatype": "FP63", "data": [1.0]}]}, 400, "FP63"),
        ("people/infer", {"inputs": [{"name": "age", "shape": [1], "datatype": "INT64", "data": ["x"]}]}, 400, "INT64"),
        (
            "people/infer",
            {"inputs": [{"name": "age", "shape": [1], "datatype": "FP64", "data": [1.0]}]},
            400,
            "missing inputs",
        ),
        ("people/infer", {"inputs": inputs(TABLE.head(1)), "outputs": [{"name": "x"}]}, 400, "no output 'x'"),
        ("people/versions/9/infer", {"inputs": inputs(TABLE.head(1))}, 404, "no version '9'"),
        ("nobody/infer", {"inputs": inputs(TABLE.head(1))}, 404, "no model 'nobody'"),
        ("people/infer", [1], 400, "object"),
    ],
)
def test_what_does_not_fit_is_told(server: RunningServer, path: str, data: Any, status: int, told: str) -> None:
    got, answer = ask(server, "POST", f"/v2/models/{path}", data)
    assert (got, list(answer)) == (status, ["error"])
    assert told in answer["error"]


def test_a_model_of_texts_says_that_it_takes_texts() -> None:
    told = [{"type": "tensor", "tensor-spec": {"dtype": "object", "shape": [-1]}}]
    slot: Any = SimpleNamespace(inputs=json.dumps(told), outputs="[]", model=SimpleNamespace(classes=()))
    assert described(slot)[0] == [{"name": "inputs", "datatype": "BYTES", "shape": [-1]}]


def test_a_model_with_several_outputs_says_how_many() -> None:
    told = [{"type": "tensor", "tensor-spec": {"dtype": "float64", "shape": [-1, 3]}}]
    slot: Any = SimpleNamespace(inputs="", outputs=json.dumps(told), model=SimpleNamespace(classes=()))
    assert described(slot)[1] == [{"name": "predict", "datatype": "FP64", "shape": [-1, 3]}]


def test_an_index_that_names_other_rows_is_refused(server: RunningServer) -> None:
    """pandas repeats a single row for every name; the compiled path answered it once."""
    columns = list(TABLE.columns)
    row = json.loads(TABLE.head(1).to_json(orient="values"))[0]
    split = {"columns": columns, "data": [row], "index": ["a", "b", "c"]}
    status, answer = ask(server, "POST", "/invocations", {"dataframe_split": split})
    assert (status, "index of 3 for 1 rows" in answer["message"]) == (400, True)
    split["index"] = ["a"]
    assert ask(server, "POST", "/invocations", {"dataframe_split": split})[0] == 200


def test_whole_numbers_beyond_64_bits(server: RunningServer) -> None:
    """They are no INT64, and are not rounded to one; an FP64 holds them as it holds the same written with an exponent."""
    answers = {}
    for column, value in (("children", -(2**63) - 1), ("age", 2**70), ("age", float(2**70))):
        given = inputs(TABLE.head(1))
        next(i for i in given if i["name"] == column)["data"] = [value]
        answers[column, type(value)] = ask(server, "POST", "/v2/models/people/infer", {"inputs": given})
    status, refused = answers["children", int]
    assert (status, "children" in refused["error"]) == (400, True)
    whole, real = answers["age", int], answers["age", float]
    assert (whole[0], whole[1]["outputs"]) == (200, real[1]["outputs"])


def test_nobody_gets_in_without_the_token(server: RunningServer) -> None:
    for path in ("/v2", "/v2/models/people", "/openapi.json"):
        assert server.ask("GET", path, authorization="")[0] == 401
    client = pytest.importorskip("tritonclient.http").InferenceServerClient(f"127.0.0.1:{server.port}")
    with pytest.raises(
        Exception, match="Send 'Authorization: Bearer"
    ):  # in the protocol's words, which its clients read
        client.get_model_metadata("people")
    status, headers, body = server.ask("GET", "/", authorization="")
    assert (status, headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert b"people" not in body
    assert b"http://" not in body
    assert b"https://" not in body


def test_a_compressed_body_is_refused_by_name(server: RunningServer) -> None:
    for path in ("/invocations", "/v2/models/people/infer"):
        status, _, told = server.ask(
            "POST", path, gzip.compress(b"{}"), content_type="application/json", content_encoding="gzip"
        )
        assert (status, b"encoded as 'gzip'" in told) == (415, True)


def test_the_openapi_document(server: RunningServer) -> None:
    status, told = ask(server, "GET", "/openapi.json")
    assert status == 200
    forms = told["paths"]["/invocations"]["post"]["requestBody"]["content"]["application/json"]["schema"]["oneOf"]
    records = next(f["properties"]["dataframe_records"] for f in forms if "dataframe_records" in f["properties"])
    assert list(records["items"]["properties"]) == list(TABLE)


def test_a_trace_goes_through(server: RunningServer) -> None:
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    _, headers, _ = server.predict(TABLE.head(1), traceparent=f"00-{trace}-00f067aa0ba902b7-01")
    version, same, span, flags = headers["traceparent"].split("-")
    assert (version, same, flags) == ("00", trace, "01")
    assert span != "00f067aa0ba902b7"
    assert "traceparent" not in server.predict(TABLE.head(1), traceparent="00-nonsense")[1]


def test_it_serves_without_pandas_and_scikit_learn(server: RunningServer, pipeline: Any) -> None:
    assert "is served by the path compiled" in server.folder.server_log.read_text()
    status, _, body = server.predict(TABLE)
    assert (status, json.loads(body)["predictions"]) == (200, pipeline.predict(TABLE).tolist())


def test_schemathesis_finds_no_failure_of_the_server(server: RunningServer) -> None:
    """Made-up requests by the document, right and wrong ones: never a 5xx."""
    fuzz(server, 60)


@pytest.mark.slow
def test_schemathesis_finds_no_failure_behind_a_contract(contracted: RunningServer) -> None:
    fuzz(contracted, 60)
    ages = pd.DataFrame([{"age": 2000.0, "children": 1, "job": "cook", "member": True}])
    status, _, body = contracted.predict(ages)
    assert (status, b"breaks the contract of people@v1" in body) == (400, True)


@pytest.mark.extended
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("which", ["server", "contracted"])
def test_ten_thousand_made_up_requests(which: str, request: pytest.FixtureRequest) -> None:
    """Never a 5xx, and memory that does not grow: what is used after the first thousand is all that is ever used."""
    server: RunningServer = request.getfixturevalue(which)
    explain_once(server)
    fuzz(server, 1000 // 4)
    before = resident(server.process.pid)
    assert fuzz(server, 2_600) >= 10_000
    assert resident(server.process.pid) < before + 40_000_000


def explain_once(server: RunningServer) -> None:
    """Let the process that explains come up, which takes longer than a client waits where the machine has much to do."""
    rows = [{"age": 40.0, "children": 1, "job": "cook", "member": True}]
    for _ in range(20):
        try:
            if ask(server, "POST", "/invocations?explain=true", {"dataframe_records": rows})[0] == 200:
                return
        except TimeoutError:  # it goes on coming up
            continue
    pytest.fail("nothing was explained")


def resident(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096


def fuzz(server: RunningServer, examples: int) -> int:
    """How many requests were made."""
    schemathesis = pytest.importorskip("schemathesis")
    import requests
    from hypothesis import HealthCheck, Phase, given, settings

    schema = schemathesis.openapi.from_dict(ask(server, "GET", "/openapi.json")[1])
    client = requests.Session()
    made = 0
    for method, path in (("POST", "/invocations"), ("POST", "/v2/models/people/infer")):
        operation = schema[path][method]
        for mode in (schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE):

            @given(operation.as_strategy(generation_mode=mode))
            @settings(
                max_examples=examples // 2 if examples < 1000 else examples,
                deadline=None,
                database=None,
                derandomize=True,
                phases=[Phase.generate],
                suppress_health_check=list(HealthCheck),
            )
            def check(case: Any) -> None:
                nonlocal made
                made += 1
                headers = {"Authorization": f"Bearer {server.token}"}
                base = f"http://127.0.0.1:{server.port}"
                response = case.call(base_url=base, headers=headers, timeout=60, session=client)
                assert response.status_code < 500, (response.text, case.body)

            check()
    client.close()
    return made
