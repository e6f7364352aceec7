"""The model server's application: MLflow's scoring routes behind a token, as plain ASGI."""

from __future__ import annotations

import asyncio
import hmac
import logging
import re
import time
import uuid
from collections.abc import Awaitable, Callable, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from importlib import metadata
from typing import Any

from .log_segments import Entry, LogWriter
from .model import Answer, ServedModel

__all__ = ["LARGEST_BODY", "App"]

log = logging.getLogger("jupyter_mlops.serving")

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

LARGEST_BODY = 64 << 20
THREADS = 2  # predictions hold the interpreter's lock for most of their time; a second one keeps small ones moving
REQUEST_ID = re.compile(rb"[A-Za-z0-9._:-]{1,128}")
OPEN = ("/ping", "/health")  # for who watches over the server; they tell nothing but that it lives
ROUTES = {"/ping": "GET", "/health": "GET", "/version": "GET", "/invocations": "POST"}


class App:
    """Answers ``/ping``, ``/health``, ``/version`` and ``/invocations`` for one model.

    Every answer to ``/invocations`` carries ``X-Request-Id``, the client's own where it sent a usable one, and
    ``X-Model-Version``; row ``n`` of the answer is prediction ``<request id>-<n>``. The body is MLflow's, unchanged.
    A prediction is logged before it is answered; one that cannot be logged is not answered, but refused with 503.

    Parameters
    ----------
    model
        The loaded model.
    model_ref
        What it is called: ``clf@7``.
    token
        What a client must send as ``Authorization: Bearer <token>``.
    writer
        The inference log.
    """

    def __init__(
        self, model: ServedModel, *, model_ref: str, token: str, writer: LogWriter, largest_body: int = LARGEST_BODY
    ) -> None:
        if not token:
            raise ValueError("a model server needs a token")
        self._model = model
        self._token = token.encode()
        self._writer = writer
        self._largest_body = largest_body
        self._ref = model_ref.encode("latin-1", "replace")
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="predict")
        self._version = _mlflow_version().encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        path, method = scope["path"], scope["method"]
        headers = dict(reversed(scope["headers"]))  # the first of several wins
        expected = ROUTES.get(path)
        if path not in OPEN and not self._allowed(headers.get(b"authorization", b"")):
            answer = Answer.error(401, "UNAUTHENTICATED", "Send 'Authorization: Bearer <the deployment's token>'.")
            await _send(send, answer, [(b"www-authenticate", b"Bearer")])
        elif expected is None:
            known = ", ".join(ROUTES)
            await _send(send, Answer.error(404, "ENDPOINT_NOT_FOUND", f"No route {path}; there is: {known}."))
        elif method != expected:
            answer = Answer.error(405, "BAD_REQUEST", f"{path} takes {expected}, not {method}.")
            await _send(send, answer, [(b"allow", expected.encode())])
        elif path in OPEN:
            await _send(send, Answer(200, b"\n"))
        elif path == "/version":
            await _send(send, Answer(200, self._version))
        else:
            await self._invocations(headers, receive, send)

    def close(self) -> None:
        """Finish the predictions that have begun, and close the log."""
        self._threads.shutdown(wait=True)
        self._writer.close()

    def _allowed(self, given: bytes) -> bool:
        scheme, _, token = given.partition(b" ")
        return hmac.compare_digest(token.strip(), self._token) and scheme.lower() == b"bearer"

    async def _invocations(self, headers: dict[bytes, bytes], receive: Receive, send: Send) -> None:
        given = headers.get(b"x-request-id", b"")
        request_id = given if REQUEST_ID.fullmatch(given) else uuid.uuid4().hex.encode()
        extra = [(b"x-request-id", request_id), (b"x-model-version", self._ref)]
        length = headers.get(b"content-length", b"")
        body = None if length.isdigit() and int(length) > self._largest_body else await self._body(receive)
        if body is None:
            answer = Answer.error(
                413, "BAD_REQUEST", f"The request is larger than {self._largest_body} bytes; send fewer rows at a time."
            )
            await _send(send, answer, [*extra, (b"connection", b"close")])
            return
        kind = headers.get(b"content-type", b"").decode("latin-1")
        loop = asyncio.get_running_loop()
        answer = await loop.run_in_executor(self._threads, self._predict, request_id.decode(), body, kind)
        await _send(send, answer, extra)

    async def _body(self, receive: Receive) -> bytes | None:
        """The whole body; None when it is too large, or its sender has gone."""
        parts: list[bytes] = []
        size = 0
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return None
            parts.append(message.get("body", b""))
            size += len(parts[-1])
            if size > self._largest_body:
                return None
            if not message.get("more_body"):
                return parts[0] if len(parts) == 1 else b"".join(parts)

    def _predict(self, request_id: str, body: bytes, kind: str) -> Answer:
        began = time.perf_counter()
        answer = self._model.answer(body, kind)
        if answer.status != 200:
            return answer
        took = (time.perf_counter() - began) * 1000
        now = time.time_ns() // 1_000_000
        try:
            self._writer.append(Entry(request_id, now, kind, body, answer.body, answer.rows, took))
        except OSError as error:
            log.error("the inference log cannot be written: %s", error)  # noqa: TRY400 the reason is all there is to say
            return Answer.error(
                503,
                "TEMPORARILY_UNAVAILABLE",
                f"The prediction cannot be logged, so it is not given: {error.strerror}.",
            )
        return answer


async def _send(send: Send, answer: Answer, extra: list[tuple[bytes, bytes]] | None = None) -> None:
    headers = [
        (b"content-type", answer.media_type.encode()),
        (b"content-length", str(len(answer.body)).encode()),
        *(extra or ()),
    ]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body})


def _mlflow_version() -> str:
    """What ``/version`` tells: the version of MLflow beside the model, though it need not be loaded."""
    for name in ("mlflow", "mlflow-skinny"):
        try:
            return metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return ""
