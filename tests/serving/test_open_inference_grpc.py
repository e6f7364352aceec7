"""Open Inference Protocol v2 over gRPC, asked by Triton's own client, on two processes that share the port."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from served_models import PEOPLE_TABLE as TABLE
from served_models import RunningServer, people_model, people_pipeline, running

from jupyter_mlops.serving.inference_log import count, read
from jupyter_mlops.serving.protocols.messages import PROTOCOL, messages

grpc = pytest.importorskip("grpc")
triton = pytest.importorskip("tritonclient.grpc")

pipeline, stored = people_pipeline, people_model
KINDS = {"age": "FP64", "children": "INT64", "job": "BYTES", "member": "BOOL"}
FIELDS = {"FP64": "fp64_contents", "INT64": "int64_contents", "BYTES": "bytes_contents", "BOOL": "bool_contents"}


@pytest.fixture(scope="module")
def server(stored: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with running(stored, tmp_path_factory.mktemp("home"), grpc=True, workers=2) as started:
        yield started


@pytest.fixture(scope="module")
def client(server: RunningServer) -> Iterator[Any]:
    with triton.InferenceServerClient(f"127.0.0.1:{server.grpc_port}") as made:
        yield made


@pytest.fixture
def headers(server: RunningServer) -> dict[str, str]:
    return {"authorization": f"Bearer {server.token}"}


def given(table: pd.DataFrame) -> list[Any]:
    """As Triton's client sends by itself: raw contents."""
    made = []
    for name in table:
        values = table[name].to_numpy(dtype=object if KINDS[name] == "BYTES" else None).reshape(-1, 1)
        made.append(triton.InferInput(name, list(values.shape), KINDS[name]))
        made[-1].set_data_from_numpy(values)
    return made


def test_the_messages_are_those_of_the_protocol() -> None:
    """Every field has the number, type and label that Triton's generated code gives it."""
    from tritonclient.grpc import service_pb2

    theirs = service_pb2.DESCRIPTOR.message_types_by_name
    nested = {n.name: n for m in ("ModelInferRequest", "ModelInferResponse", "ModelMetadataResponse")
              for n in theirs[m].nested_types}  # fmt: skip
    checked = 0
    for name in PROTOCOL:
        other = theirs.get(name) or nested[name]
        for field in messages()[name].DESCRIPTOR.fields:
            same = other.fields_by_name[field.name]
            repeated = [getattr(f, "is_repeated", None) for f in (field, same)]
            assert (field.number, field.type, repeated[0]) == (same.number, same.type, repeated[1]), (name, field.name)
            checked += 1
    assert checked > 50
    assert messages()["InferParameter"].DESCRIPTOR.fields[0].containing_oneof.name == "parameter_choice"


def test_what_the_server_tells(client: Any, headers: dict[str, str]) -> None:
    assert client.is_server_live()  # whoever watches over it needs no token
    assert client.is_server_ready()
    assert client.is_model_ready("people", headers=headers)
    assert client.is_model_ready("people", "1", headers=headers)
    assert list(client.get_server_metadata(headers=headers).extensions) == ["binary_tensor_data"]
    told = client.get_model_metadata("people", headers=headers)
    assert (told.name, list(told.versions), {i.name: i.datatype for i in told.inputs}) == ("people", ["1"], KINDS)
    assert [o.name for o in told.outputs] == ["predict", "predict_proba"]


def test_raw_contents(server: RunningServer, client: Any, pipeline: Any, headers: dict[str, str]) -> None:
    wanted = [triton.InferRequestedOutput(name) for name in ("predict_proba", "predict")]
    answer = client.infer(
        "people", given(TABLE), outputs=wanted, request_id="triton-g1", headers={**headers, "traceparent": TRACE}
    )
    told = answer.get_response()
    assert (told.model_name, told.model_version, told.id) == ("people", "1", "triton-g1")
    assert [o.name for o in told.outputs] == ["predict_proba", "predict"]
    assert [v.decode() for v in answer.as_numpy("predict").tolist()] == pipeline.predict(TABLE).tolist()
    np.testing.assert_allclose(answer.as_numpy("predict_proba"), pipeline.predict_proba(TABLE), rtol=1e-12)
    logged = read(server.folder.log, last=len(TABLE))
    assert logged.inputs.index[0] == "triton-g1-0"
    pd.testing.assert_frame_equal(logged.inputs.reset_index(drop=True), TABLE)


TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def call(server: RunningServer, name: str, request: Any, **sent: str) -> tuple[Any, dict[str, str]]:
    """The answer of one call made without Triton's client, and the metadata it came with."""
    with grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}") as channel:
        method = channel.unary_unary(f"/inference.GRPCInferenceService/{name}")
        data = request if isinstance(request, bytes) else request.SerializeToString()
        metadata = [("authorization", f"Bearer {server.token}"), *((k.replace("_", "-"), v) for k, v in sent.items())]
        raw, told = method.with_call(data, metadata=metadata, timeout=30)
        return messages()[f"{name}Response"].FromString(raw), dict(told.initial_metadata())


def typed(table: pd.DataFrame, **more: Any) -> Any:
    """A request with contents in the field of each datatype."""
    request = messages()["ModelInferRequest"](model_name="people", **more)
    for name in table:
        tensor = request.inputs.add(name=name, datatype=KINDS[name], shape=[len(table)])
        values = [v.encode() if isinstance(v, str) else v for v in table[name].tolist()]
        getattr(tensor.contents, FIELDS[KINDS[name]]).extend(values)
    return request


def test_typed_contents(server: RunningServer, pipeline: Any) -> None:
    answer, told = call(server, "ModelInfer", typed(TABLE.head(5), model_version="1"), traceparent=TRACE)
    assert [v.decode() for v in answer.outputs[0].contents.bytes_contents] == pipeline.predict(TABLE.head(5)).tolist()
    assert not answer.raw_output_contents
    assert told["x-model-version"] == "people@1"
    assert told["traceparent"][:36] == TRACE[:36]
    assert f"{told['x-request-id']}-0" in read(server.folder.log, last=5).inputs.index


@pytest.mark.parametrize(
    ("change", "code", "told"),
    [
        (lambda r: setattr(r, "model_name", "nobody"), "NOT_FOUND", "no model 'nobody'; there is: people"),
        (lambda r: setattr(r, "model_version", "9"), "NOT_FOUND", "no version '9' of people; there is: 1"),
        (lambda r: r.outputs.add(name="shap"), "INVALID_ARGUMENT", "no output 'shap'"),
        (lambda r: r.inputs.pop(), "INVALID_ARGUMENT", "member"),
        (lambda r: r.inputs[0].shape.append(2), "INVALID_ARGUMENT", "its shape [1, 2] holds 2"),
        (lambda r: setattr(r.inputs[0], "datatype", "FP16"), "INVALID_ARGUMENT", "fp64_contents"),
        (lambda r: setattr(r.inputs[0], "datatype", "COMPLEX"), "INVALID_ARGUMENT", "COMPLEX"),
        (lambda r: r.raw_input_contents.append(b"1"), "INVALID_ARGUMENT", "1 raw contents come with 4 inputs"),
        (lambda r: r.ClearField("inputs"), "INVALID_ARGUMENT", "no inputs"),
        (lambda r: r.inputs[2].contents.bytes_contents.__setitem__(0, b"\xff"), "INVALID_ARGUMENT", "no UTF-8"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told(server: RunningServer, change: Any, code: str, told: str) -> None:
    request = typed(TABLE.head(1))
    change(request)
    before = count(server.folder.log)
    with pytest.raises(grpc.RpcError) as caught:
        call(server, "ModelInfer", request)
    assert caught.value.code().name == code
    assert told in caught.value.details()
    assert count(server.folder.log) == before


def test_nobody_gets_in_without_the_token(server: RunningServer, client: Any) -> None:
    for wrong in ({}, {"authorization": "Bearer wrong"}, {"authorization": server.token}):
        for ask in (
            lambda w: client.infer("people", given(TABLE.head(1)), headers=w),
            lambda w: client.get_model_metadata("people", headers=w),
            lambda w: client.is_model_ready("people", headers=w),
            lambda w: client.get_server_metadata(headers=w),
        ):
            with pytest.raises(Exception, match="Bearer <the deployment's token>") as caught:
                ask(wrong)
            assert server.token not in str(caught.value)


def test_garbage_and_unknown_calls(server: RunningServer) -> None:
    for name, data, code in (
        ("ModelInfer", b"\xff\xff\xff", "INVALID_ARGUMENT"),
        ("ModelStreamInfer", b"", "UNIMPLEMENTED"),
    ):
        with pytest.raises(grpc.RpcError) as caught:
            call(server, name, data)
        assert caught.value.code().name == code


def test_both_processes_answer(server: RunningServer) -> None:
    """The system shares connections out among the processes; each writes a log of its own."""
    for _ in range(24):
        call(server, "ModelInfer", typed(TABLE.head(1)))
    assert len({path.stem.partition("-")[2] for path in server.folder.log.glob("*.seg")}) == 2


def test_without_grpcio_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    from jupyter_mlops.errors import MissingDependency
    from jupyter_mlops.serving.protocols.open_inference_grpc import GrpcServer

    monkeypatch.setitem(sys.modules, "grpc.aio", None)
    with pytest.raises(MissingDependency, match=r"pip install 'jupyter-mlops\[grpc\]'"):
        GrpcServer(None, "127.0.0.1", 1)
