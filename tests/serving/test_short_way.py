"""The short way from the socket to the answer: requests one after the other on a connection, in pieces, wrong, refused."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator

import pytest
from served_models import PEOPLE, RunningServer, running, save, split_body

from jupyter_mlops.serving.inference_log import read


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    models = save(tmp_path_factory.mktemp("models"))
    with running(models["people"], tmp_path_factory.mktemp("home")) as started:
        yield started


def request(server: RunningServer, body: bytes, path: str = "/invocations", **headers: str) -> bytes:
    sent = {"Host": "x", "Authorization": f"Bearer {server.token}", "Content-Type": "application/json"}
    sent |= {name.replace("_", "-"): value for name, value in headers.items()}
    head = "".join(f"{name}: {value}\r\n" for name, value in sent.items())
    return f"POST {path} HTTP/1.1\r\n{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


def answers(connection: socket.socket, count: int) -> list[tuple[int, dict[str, str], bytes]]:
    found, raw = [], b""
    while len(found) < count:
        while b"\r\n\r\n" not in raw:
            raw += received(connection)
        head, _, raw = raw.partition(b"\r\n\r\n")
        lines = head.decode().split("\r\n")
        headers = {k.lower(): v for k, v in (line.split(": ", 1) for line in lines[1:])}
        while len(raw) < int(headers["content-length"]):
            raw += received(connection)
        size = int(headers["content-length"])
        found.append((int(lines[0].split()[1]), headers, raw[:size]))
        raw = raw[size:]
    assert not raw
    return found


def received(connection: socket.socket) -> bytes:
    got = connection.recv(65536)
    assert got, "the connection was closed"
    return got


def connected(server: RunningServer) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.port), timeout=30)


def test_pipelined_requests_are_answered_in_order(server: RunningServer) -> None:
    """Also where some go the short way and some do not, and each is in the log once."""
    with connected(server) as connection:
        sent = b"".join(request(server, split_body(PEOPLE.iloc[[n]]), X_Request_Id=f"pipe{n}") for n in range(5))
        ping = b"GET /ping HTTP/1.1\r\nHost: x\r\n\r\n"
        connection.sendall(sent + ping + request(server, split_body(PEOPLE.head(2)), X_Request_Id="pipe5"))
        got = answers(connection, 7)
    assert [headers.get("x-request-id") for _, headers, _ in got] == [*(f"pipe{n}" for n in range(5)), None, "pipe5"]
    assert {status for status, _, _ in got} == {200}
    logged = [name for name in read(server.folder.log).inputs.index if name.startswith("pipe")]
    assert logged == [*(f"pipe{n}-0" for n in range(5)), "pipe5-0", "pipe5-1"]


def test_a_request_in_pieces(server: RunningServer) -> None:
    whole = request(server, split_body(PEOPLE.head(3)))
    with connected(server) as connection:
        for at in range(0, len(whole), 97):
            connection.sendall(whole[at : at + 97])
        ((status, headers, body),) = answers(connection, 1)
    assert (status, headers["x-model-version"]) == (200, "people@1")
    assert len(json.loads(body)["predictions"]) == 3


def test_the_case_of_headers_and_a_client_that_waits_to_be_told_to_go_on(server: RunningServer) -> None:
    body = split_body(PEOPLE.head(1))
    whole = request(server, body)
    shouted = whole.replace(b"Authorization", b"AUTHORIZATION").replace(b"Content-Length", b"content-LENGTH")
    waits = request(server, body, Expect="100-continue")
    with connected(server) as connection:
        connection.sendall(shouted + whole + shouted)
        assert [status for status, _, _ in answers(connection, 3)] == [200] * 3
        connection.sendall(waits[: -len(body)])
        assert received(connection) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(body)
        ((status, headers, _),) = answers(connection, 1)
    assert (status, headers["x-model-version"]) == (200, "people@1")


def test_every_request_has_an_id_of_its_own(server: RunningServer) -> None:
    with connected(server) as connection:
        connection.sendall(request(server, split_body(PEOPLE.head(1))) * 50)
        names = [headers["x-request-id"] for _, headers, _ in answers(connection, 50)]
    assert len(set(names)) == 50
    assert {len(name) for name in names} == {32}


def test_what_is_refused(server: RunningServer) -> None:
    good = split_body(PEOPLE.head(1))
    with connected(server) as connection:
        connection.sendall(request(server, b"{"))
        connection.sendall(request(server, b"", Content_Type="application/json"))
        connection.sendall(request(server, good, Content_Type="text/plain"))
        connection.sendall(request(server, good, Authorization="Bearer nonsense"))
        connection.sendall(request(server, good, path="/elsewhere"))
        connection.sendall(request(server, b'{"inputs":' + b"[" * 40 + b"]" * 40 + b"}"))
        connection.sendall(request(server, good, Connection="close"))
        got = answers(connection, 7)
        assert connection.recv(1) == b""
    assert [status for status, _, _ in got] == [400, 400, 415, 401, 404, 422, 200]
    assert got[-1][1]["connection"] == "close"


def test_a_client_that_goes_away_harms_nobody(server: RunningServer) -> None:
    for _ in range(20):
        with connected(server) as connection:
            connection.sendall(request(server, split_body(PEOPLE.head(1))))
    with connected(server) as connection:
        connection.sendall(request(server, split_body(PEOPLE.head(1))))
        assert answers(connection, 1)[0][0] == 200


@pytest.mark.parametrize("form", ["instances", "inputs", "dataframe_records"])
def test_every_form_of_a_valid_request_is_answered(server: RunningServer, form: str) -> None:
    records = json.loads(PEOPLE.head(3).to_json(orient="records", date_format="iso"))
    columns = {name: [record[name] for record in records] for name in PEOPLE}
    expected = json.loads(server.predict(PEOPLE.head(3))[2])
    for given in (records, *([columns] if form != "dataframe_records" else [])):
        status, _, body = server.ask(
            "POST", "/invocations", json.dumps({form: given}).encode(), content_type="application/json"
        )
        assert (status, json.loads(body)) == (200, expected)


def test_batches_are_counted(server: RunningServer) -> None:
    server.predict(PEOPLE.head(1))
    text = server.ask("GET", "/metrics")[2].decode()
    line = next(line for line in text.splitlines() if line.startswith("mlops_batch_size_requests_sum"))
    assert float(line.split()[-1]) > 0
