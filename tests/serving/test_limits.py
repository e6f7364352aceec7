"""Limits: too many requests at once, a prediction that takes too long, a client that is too slow, and nobody ready."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from jupyter_mlops.serving.app import App
from jupyter_mlops.serving.http_server import Server
from jupyter_mlops.serving.inference_log import count
from jupyter_mlops.serving.limits import Limits
from jupyter_mlops.serving.log_segments import LogWriter
from jupyter_mlops.serving.model import Answer, Ask
from jupyter_mlops.serving.routing import OneSlot, Slot
from jupyter_mlops.serving.short_way import protocol_for

TOKEN = "t" * 40


class Slow:
    """A model that answers when it is told to."""

    path, path_reason, quick, classes = "dataframe", "", False, ()

    def __init__(self) -> None:
        self.go = threading.Event()

    def answer_many(self, asks: Sequence[Ask]) -> list[Answer]:
        self.go.wait(20)
        return [Answer(200, b'{"predictions":[1]}', rows=1) for _ in asks]


@pytest.fixture
def slot(tmp_path: Path) -> Slot:
    writer = LogWriter(tmp_path / "log", model="m@1", inputs="")
    return Slot("m@1", Slow(), writer)


class Noting(OneSlot):
    """A router that notes whom no version was asked for."""

    def __init__(self, slot: Slot) -> None:
        super().__init__(slot)
        self.away: list[int] = []

    def turned_away(self, status: int) -> None:
        self.away.append(status)


async def post(app: App) -> tuple[int, dict[str, str], Any]:
    """One request by the ASGI protocol: status, headers, body."""
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b'{"inputs": [[1]]}'}

    async def send(message: Any) -> None:
        sent.append(message)

    headers = [(b"authorization", f"Bearer {TOKEN}".encode()), (b"content-type", b"application/json")]
    scope = {"type": "http", "method": "POST", "path": "/invocations", "query_string": b"", "headers": headers}
    await app(scope, receive, send)
    told = {k.decode(): v.decode() for k, v in sent[0]["headers"]}
    return sent[0]["status"], told, json.loads(sent[1]["body"])


def test_more_than_may_be_answered_at_once_are_sent_away(slot: Slot, tmp_path: Path) -> None:
    router = Noting(slot)

    async def run() -> list[tuple[int, dict[str, str], Any]]:
        app = App(router, token=TOKEN, limits=Limits(requests=2))
        waiting = [asyncio.create_task(post(app)) for _ in range(3)]
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        slot.model.go.set()
        found = [await task for task in waiting]
        found.append(await post(app))  # there is room again
        assert app.admit_all(2)
        assert not app.admit_all(1)
        app.leave(2)
        app.close()
        return found

    found = asyncio.run(run())
    assert sorted(status for status, _, _ in found) == [200, 200, 200, 429]
    ((_, headers, body),) = [one for one in found if one[0] == 429]
    assert (headers["retry-after"], body["error_code"]) == ("1", "RESOURCE_EXHAUSTED")
    assert router.away == [429]
    assert count(tmp_path / "log") == 3


def test_what_takes_too_long_is_given_up_and_not_logged(slot: Slot, tmp_path: Path) -> None:
    async def run() -> tuple[int, dict[str, str], Any]:
        app = App(OneSlot(slot), token=TOKEN, limits=Limits(seconds=0.1))
        found = await post(app)
        slot.model.go.set()
        app.close()
        return found

    status, _, body = asyncio.run(run())
    assert (status, body["error_code"]) == (504, "DEADLINE_EXCEEDED")
    assert "longer than 0.1 seconds" in body["message"]
    assert count(tmp_path / "log") == 0


def test_where_nobody_is_ready(slot: Slot) -> None:
    slot.ready = False
    app = App(OneSlot(slot), token=TOKEN)
    status, headers, body = asyncio.run(post(app))
    app.close()
    assert (status, headers["retry-after"], body["error_code"]) == (503, "1", "TEMPORARILY_UNAVAILABLE")


def test_a_client_that_is_silent_in_the_middle_is_let_go(slot: Slot) -> None:
    """Half a head, half a body, and nothing at all; who sends a whole request late but steadily is answered."""
    slot.model.go.set()
    head = (
        f"POST /invocations HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\nContent-Type: application/json\r\n"
    )
    body = b'{"inputs": [[1]]}'
    whole = head.encode() + f"Content-Length: {len(body)}\r\n\r\n".encode() + body

    async def answer(port: int, *pieces: bytes, pause: float = 0.0) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(pause)
        got = await asyncio.wait_for(reader.read(), 60)  # until it is let go
        writer.close()
        return got

    router = Noting(slot)

    async def run() -> list[bytes]:
        app = App(router, token=TOKEN, limits=Limits(silence=3.0))
        config = uvicorn.Config(
            app, http=protocol_for(app), lifespan="off", log_config=None, timeout_keep_alive=app.limits.silence
        )
        listening = asyncio.Event()
        server = Server(config, listening.set)
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            serving = asyncio.create_task(server.serve([listener]))
            await listening.wait()
            port = listener.getsockname()[1]
            steady = [whole[:40], whole[40:-10], *(whole[len(whole) - 10 + n :][:1] for n in range(10))]
            found = await asyncio.gather(
                answer(port),
                answer(port, whole[:40]),
                answer(port, whole[:-5]),
                answer(port, *steady, pause=0.4),
                answer(port, whole),
            )
            server.should_exit = True
            await serving
        app.close()
        return list(found)

    nothing, half_a_head, half_a_body, late, at_once = asyncio.run(run())
    assert nothing == b""
    assert router.away == [408, 408]
    assert half_a_head.startswith(b"HTTP/1.1 408 ")
    assert half_a_body.startswith(b"HTTP/1.1 408 ")
    assert late.startswith(b"HTTP/1.1 200 ")
    assert at_once.startswith(b"HTTP/1.1 200 ")
