"""The model server as a process, where no Jupyter package and no mlflow can be imported: its door, its log, its end."""

from __future__ import annotations

import contextlib
import json
import os
import re
import resource
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from served_models import PEOPLE, RunningServer, running, save, split_body

from jupyter_mlops.serving.inference_log import count, read
from jupyter_mlops.serving.limits import Limits


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return save(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def server(models: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with running(models["people"], tmp_path_factory.mktemp("home")) as started:
        yield started


def test_it_predicts_and_names_every_row(server: RunningServer) -> None:
    status, headers, body = server.predict(PEOPLE.head(4), x_request_id="mine-1")
    assert status == 200
    assert len(json.loads(body)["predictions"]) == 4
    assert (headers["x-request-id"], headers["x-model-version"]) == ("mine-1", "people@1")
    assert list(read(server.folder.log, last=4).inputs.index) == [f"mine-1-{row}" for row in range(4)]
    status, headers, _ = server.predict(PEOPLE.head(1), x_request_id="no good; id")
    assert re.fullmatch("[0-9a-f]{32}", headers["x-request-id"])


def test_nobody_gets_in_without_the_token(server: RunningServer) -> None:
    before = count(server.folder.log)
    for given in (
        "",
        "Bearer",
        "Bearer wrong",
        f"Basic {server.token}",
        "Basic !",
        server.token,
        f"Bearer {server.token}x",
    ):
        for method, path in (("POST", "/invocations"), ("GET", "/version"), ("GET", "/nothing")):
            status, headers, body = server.ask(method, path, b"{}", authorization=given)
            assert (status, headers["www-authenticate"]) == (401, "Bearer"), (given, path)
            assert server.token.encode() not in body
    for path in ("/ping", "/health"):
        assert server.ask("GET", path, authorization="")[::2] == (200, b"\n")
    assert count(server.folder.log) == before
    assert not any("access-control" in name for name in server.predict(PEOPLE.head(1), origin="http://x")[1])


def test_what_is_no_prediction_is_told_so(server: RunningServer) -> None:
    assert server.ask("GET", "/nothing")[0] == 404
    status, headers, _ = server.ask("GET", "/invocations")
    assert (status, headers["allow"]) == (405, "POST")
    assert server.ask("POST", "/ping")[0] == 405
    assert server.ask("POST", "/invocations", b"x", content_type="text/plain")[0] == 415
    assert server.ask("POST", "/invocations", b"x")[0] == 415
    status, _, body = server.predict(PEOPLE.drop(columns=["age", "job"]))
    assert status == 400
    assert "Model is missing inputs ['age', 'job']" in json.loads(body)["message"]


def test_a_body_that_is_too_large_is_refused_before_it_is_read(server: RunningServer) -> None:
    head = (
        f"POST /invocations HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {server.token}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {Limits().body + 1}\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        connection.sendall(head.encode())
        assert connection.makefile("rb").readline().startswith(b"HTTP/1.1 413")


def test_who_sends_a_body_that_is_too_large_comes_to_read_why(server: RunningServer) -> None:
    """The rest is read and thrown away; were the connection closed meanwhile, the client would see no more than that."""
    connection = HTTPConnection("127.0.0.1", server.port, timeout=60)
    headers = {"Authorization": f"Bearer {server.token}", "Content-Type": "application/json"}
    with contextlib.closing(connection):
        for path in ("/invocations", "/v2/models/people/infer"):
            connection.request("POST", path, b" " * (Limits().body + 1), headers)
            answer = connection.getresponse()
            assert (answer.status, b"larger than" in answer.read()) == (413, True)
        connection.request("POST", "/invocations", split_body(PEOPLE.head(1)), headers)
        assert connection.getresponse().status == 200


def test_it_listens_on_loopback_only(server: RunningServer) -> None:
    lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
    listening = [line.split()[1] for line in lines if line.split()[3] == "0A"]
    assert [address for address in listening if address.endswith(f":{server.port:04X}")] == [
        f"0100007F:{server.port:04X}"
    ]


def test_curl_with_the_token(server: RunningServer) -> None:
    asked = [
        "curl", "-sS", "-H", f"Authorization: Bearer {server.token}", "-H", "Content-Type: application/json",
        "-d", split_body(PEOPLE.head(2)).decode(), f"http://127.0.0.1:{server.port}/invocations",
    ]  # fmt: skip
    try:
        done = subprocess.run(asked, capture_output=True, text=True, check=True)
    except FileNotFoundError:
        pytest.skip("curl is not installed")
    assert len(json.loads(done.stdout)["predictions"]) == 2


def test_mlflows_own_client(server: RunningServer) -> None:
    """`ScoringServerClient` takes no headers; the token goes as the password of the address."""
    import mlflow
    from mlflow.pyfunc.scoring_server.client import ScoringServerClient

    client = ScoringServerClient(f"any:{server.token}@127.0.0.1", server.port)
    client.wait_server_ready(timeout=10)
    assert client.get_version() == mlflow.__version__
    answer = client.invoke(PEOPLE.head(5).assign(age=float("nan")))
    assert len(answer.get_predictions(predictions_format="dataframe")) == 5
    with pytest.raises(Exception, match="401"):
        ScoringServerClient(f"{server.token}:wrong@127.0.0.1", server.port).invoke(PEOPLE.head(1))


def test_health_answers_while_predictions_run(server: RunningServer) -> None:
    big = pd.concat([PEOPLE] * 700, ignore_index=True)
    answered: list[int] = []
    threads = [threading.Thread(target=lambda: answered.append(server.predict(big)[0])) for _ in range(3)]
    for thread in threads:
        thread.start()
    seen = 0
    while any(thread.is_alive() for thread in threads):
        assert server.ask("GET", "/health")[0] == 200
        seen += not answered
    for thread in threads:
        thread.join()
    assert answered == [200, 200, 200]
    assert seen


def test_what_cannot_be_logged_is_not_answered(server: RunningServer) -> None:
    before = read(server.folder.log)
    pid = server.process.pid
    many = pd.concat([PEOPLE] * 20)
    answered = 0
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))  # as if the disk were full
    try:
        while (answer := server.predict(many, x_request_id=f"full{answered}"))[0] == 200:  # the log's tail takes some
            answered += 1
            assert answered < 100
        assert (answer[0], json.loads(answer[2])["error_code"]) == (503, "TEMPORARILY_UNAVAILABLE")
    finally:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    assert server.predict(PEOPLE.head(2), x_request_id="after")[0] == 200
    after = read(server.folder.log)
    full = [f"full{number}-{row}" for number in range(answered) for row in range(len(many))]
    assert list(after.inputs.index) == [*before.inputs.index, *full, "after-0", "after-1"]


def test_the_token_is_in_no_log_and_no_other_file(server: RunningServer) -> None:
    token = server.token.encode()
    holding = [p for p in server.folder.path.rglob("*") if p.is_file() and token in p.read_bytes()]
    assert holding == [server.folder.token_file]
    assert server.folder.token_file.stat().st_mode & 0o777 == 0o600
    for segment in server.folder.log.iterdir():
        assert segment.stat().st_mode & 0o077 == 0


def test_no_answered_prediction_is_missing_after_kill_9(models: dict[str, Path], tmp_path: Path) -> None:
    answered: list[tuple[str, Any]] = []
    with running(models["array"], tmp_path) as server:
        body = json.dumps({"inputs": [[1.0, 2.0], [3.0, 4.0]]}).encode()

        def stream(number: int) -> None:
            for turn in range(100_000):
                name = f"{number}-{turn}"
                try:
                    status, _, got = server.ask(
                        "POST", "/invocations", body, content_type="application/json", x_request_id=name
                    )
                except OSError:
                    return
                if status == 200:
                    answered.append((name, json.loads(got)["predictions"]))

        threads = [threading.Thread(target=stream, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        while len(answered) < 200:
            time.sleep(0.01)
        os.kill(server.process.pid, signal.SIGKILL)
        for thread in threads:
            thread.join()
        window = read(server.folder.log)
    logged = dict(zip(window.inputs.index, window.predictions, strict=True))
    for name, predictions in answered:
        assert [logged[f"{name}-0"], logged[f"{name}-1"]] == predictions
    assert count(tmp_path / "deployments" / "people" / "log") == len(window)


def test_it_ends_when_asked_after_what_it_has_taken(models: dict[str, Path], tmp_path: Path) -> None:
    big = pd.concat([PEOPLE] * 700, ignore_index=True)
    body = split_body(big)
    with running(models["people"], tmp_path) as server:
        connection = HTTPConnection("127.0.0.1", server.port, timeout=60)
        headers = {"Authorization": f"Bearer {server.token}", "Content-Type": "application/json"}
        connection.request("POST", "/invocations", body, headers)  # megabytes: all but the last of it has been read
        server.process.send_signal(signal.SIGTERM)
        answer = connection.getresponse()
        assert (answer.status, len(json.loads(answer.read())["predictions"])) == (200, len(big))
        server.process.wait(20)


@pytest.mark.slow
def test_a_pickle_is_loaded_only_when_the_user_says_so(models: dict[str, Path], tmp_path: Path) -> None:
    with (
        pytest.raises(AssertionError, match="runs code that is stored in it"),
        running(models["pickled"], tmp_path / "a"),
    ):
        pass
    with running(models["pickled"], tmp_path / "b", allow_pickle=True) as server:
        body = json.dumps({"inputs": [[1.0, 2.0]]}).encode()
        assert server.ask("POST", "/invocations", body, content_type="application/json")[0] == 200


@pytest.mark.slow
def test_another_flavor_goes_through_mlflow(tmp_path: Path) -> None:
    import mlflow

    class Doubled(mlflow.pyfunc.PythonModel):
        def predict(self, context, model_input, params=None):
            return model_input["x"] * 2

    mlflow.pyfunc.save_model(tmp_path / "doubled", python_model=Doubled(), pip_requirements=["pandas"])
    with running(tmp_path / "doubled", tmp_path, blocked=False, allow_pickle=True) as server:
        status, _, body = server.predict(pd.DataFrame({"x": [1, 2]}))
        assert (status, json.loads(body)) == (200, {"predictions": [{"x": 2}, {"x": 4}]})
        status, _, body = server.predict(pd.DataFrame({"y": [1]}))
        assert (status, b"Traceback" in body) == (400, False)
        assert "KeyError: 'x'" in server.folder.server_log.read_text()  # why is told to whoever keeps the server
        assert read(server.folder.log).inputs["x"].tolist() == [1, 2]
