"""The model server's application: MLflow's scoring routes and the Open Inference Protocol behind a token, as plain ASGI."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from importlib import metadata
from typing import Any

from .afterwards import Afterwards
from .batching import Batcher
from .credentials import holds
from .explaining import Explaining, asked_for
from .limits import Limits
from .log_segments import Entry
from .model import Answer, Ask
from .request_ids import request_id, trace_of
from .routing import NoVersion, Route, Router, Slot

__all__ = ["App", "Headers", "Request"]

log = logging.getLogger("jupyter_mlops.serving")

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

THREADS = 4  # predictions hold the interpreter's lock for most of their time; more keep small ones moving
# for who watches over the server: they tell nothing but that it lives; and the page that asks for the token
OPEN = ("/ping", "/health", "/v2/health/live", "/v2/health/ready", "/")
RETRY_SECONDS = b"1"
PAGE_POLICY = b"default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; img-src data:; frame-ancestors 'none'"
METRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"


@dataclass(slots=True)
class Request:
    """One request on its way.

    Parameters
    ----------
    id
        The client's own where it sent a usable one.
    trace
        The ``traceparent`` to answer with, None where the client sent none.
    """

    path: str
    query: bytes
    headers: dict[bytes, bytes]
    id: str
    trace: bytes | None
    receive: Receive


class App:
    """Answers ``/ping``, ``/health``, ``/version`` and ``/invocations`` for the versions that a router chooses from.

    Every answer to ``/invocations`` carries ``X-Request-Id``, the client's own where it sent a usable one, and
    ``X-Model-Version``; row ``n`` of the answer is prediction ``<request id>-<n>``. The body is MLflow's, unchanged.
    A prediction is logged before it is answered; one that cannot be logged is not answered, but refused with 503.
    A W3C ``traceparent`` is answered with one of the same trace.

    Parameters
    ----------
    router
        Chooses the version that answers.
    token
        What a client must send as ``Authorization: Bearer <token>``, or as the password of ``Authorization: Basic``.
    limits
        How much is taken.
    """

    def __init__(self, router: Router, *, token: str, limits: Limits | None = None) -> None:
        self.token = token
        self.router = router
        self.limits = limits or Limits()
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="predict")
        self._batchers: dict[Slot, Batcher] = {}
        self._version = _mlflow_version().encode()
        self._asked = 0
        self._explaining = Explaining(self)
        self.afterwards = Afterwards(router)
        self._routes: dict[str, tuple[str, Callable[[Request], Awaitable[tuple[Answer, Headers]]]]] = {
            "/ping": ("GET", self._ping),
            "/health": ("GET", self._ping),
            "/version": ("GET", self._tell_version),
            "/metrics": ("GET", self._metrics),
            "/invocations": ("POST", self._invocations),
            "/features": ("POST", self._features),
            "/openapi.json": ("GET", self._openapi),
            "/": ("GET", self._page),
        }

    @property
    def token(self) -> str:
        """What a client must send; may be replaced while the server runs."""
        return self._token.decode()

    @token.setter
    def token(self, token: str) -> None:
        if not token:
            raise ValueError("a model server needs a token")
        self._token = token.encode()

    @property
    def secret(self) -> bytes:
        """The token as it is compared; another object for every other token."""
        return self._token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        headers = dict(reversed(scope["headers"]))  # the first of several wins
        request = Request(
            scope["path"],
            scope["query_string"],
            headers,
            request_id(headers),
            trace_of(headers),
            receive,
        )
        try:
            answer, extra = await self._answer(scope["method"], request)
        except Exception as error:
            answer, extra = self.failed(error), []
        if request.trace is not None:
            extra = [*extra, (b"traceparent", request.trace)]
        await _send(send, answer, extra)

    def close(self) -> None:
        """Finish the predictions that have begun, and close the logs."""
        self._explaining.close()
        self.afterwards.close()
        self._threads.shutdown(wait=True)
        for slot in self.router.slots():
            slot.writer.close()

    @staticmethod
    def failed(error: Exception) -> Answer:
        """What is answered where the server itself fails."""
        log.error("a request failed", exc_info=error)
        return Answer.error(500, "INTERNAL_ERROR", "The server failed; its log tells why.")

    async def _answer(self, method: str, request: Request) -> tuple[Answer, Headers]:
        bare = request.path.rstrip("/")
        if bare != request.path and bare in self._routes:  # as MLflow's server sends a probe on that asks for /ping/
            return Answer(307, b""), [(b"location", b"?".join(filter(None, (bare.encode(), request.query))))]
        if bare == "/docs":  # where people look who know other servers
            return Answer(307, b""), [(b"location", b"./" if bare == request.path else b"../")]
        if request.path not in OPEN and not self.allowed(request.headers.get(b"authorization", b"")):
            answer = self._turn_away(401, "UNAUTHENTICATED", "Send 'Authorization: Bearer <the deployment's token>'.")
            return self._as_asked(request, answer), [(b"www-authenticate", b"Bearer")]
        found = self._routes.get(request.path)
        if request.path == "/v2" or request.path.startswith("/v2/"):
            from .protocols.open_inference import respond as respond_v2

            return await respond_v2(self, method, request)
        if found is None:
            known = ", ".join(self._routes)
            return Answer.error(404, "ENDPOINT_NOT_FOUND", f"No route {request.path}; there is: {known}."), []
        expected, respond = found
        if method != expected:
            answer = Answer.error(405, "BAD_REQUEST", f"{request.path} takes {expected}, not {method}.")
            return answer, [(b"allow", expected.encode())]
        return await respond(request)

    @staticmethod
    def _as_asked(request: Request, answer: Answer) -> Answer:
        """An error in the words of the protocol that was asked in."""
        if not request.path.startswith("/v2"):
            return answer
        from .protocols.open_inference import error_of

        return error_of(answer)

    def allowed(self, given: bytes) -> bool:
        """Whether an ``Authorization`` header holds the token."""
        return holds(given, self._token)

    async def _ping(self, request: Request) -> tuple[Answer, Headers]:
        if any(slot.ready for slot in self.router.slots()):
            return Answer(200, b"\n"), []
        return Answer(404, b"\n"), []

    async def _tell_version(self, request: Request) -> tuple[Answer, Headers]:
        return Answer(200, self._version), []

    async def _metrics(self, request: Request) -> tuple[Answer, Headers]:
        return Answer(200, self.router.metrics().encode(), METRICS), []

    async def _invocations(self, request: Request) -> tuple[Answer, Headers]:
        body = await self.body(request)
        if isinstance(body, Answer):
            return body, [(b"x-request-id", request.id.encode()), *self.after_refused_body(request)]
        ask = Ask(body, request.headers.get(b"content-type", b"").decode("latin-1"))
        explained = asked_for(request.query)
        if explained is None:
            answer, route = Answer.error(400, "BAD_REQUEST", "'explain' is true or false."), None
        elif explained:
            answer, route = await self._explaining.respond(request, ask)
        else:
            answer, route = await self.predict(request, ask)
        return answer, self.answer_headers(request, answer, route)

    async def _features(self, request: Request) -> tuple[Answer, Headers]:
        from .features import answer_features

        body = await self.body(request)
        if isinstance(body, Answer):
            return body, self.after_refused_body(request)
        refused = self.admit()
        if refused is not None:
            return refused, self.answer_headers(request, refused, None)
        try:
            wanted = request.headers.get(b"x-model", b"")
            slot = next((each for each in self.router.slots() if each.ready and wanted in (b"", each.header)), None)
            if slot is None:
                refused = self.not_ready()
                return refused, self.answer_headers(request, refused, None)
            ask = Ask(body, request.headers.get(b"content-type", b"").decode("latin-1"))
            answered = asyncio.get_running_loop().run_in_executor(self._threads, answer_features, slot.model, ask)
            return await answered, self.answer_headers(request, Answer(200, b""), Route(slot))
        finally:
            self.leave()

    async def _openapi(self, request: Request) -> tuple[Answer, Headers]:
        from .protocols.openapi import document

        return Answer(200, document(next(iter(self.router.slots()), None))), []

    async def _page(self, request: Request) -> tuple[Answer, Headers]:
        from .protocols.openapi import page

        return Answer(200, page(), "text/html; charset=utf-8"), [(b"content-security-policy", PAGE_POLICY)]

    def answer_headers(self, request: Request, answer: Answer, route: Route | None) -> Headers:
        """The headers that go with every answer of a model, but for the trace, which every answer has."""
        return self.answer_headers_of(request.id, answer, route, None)

    @staticmethod
    def answer_headers_of(name: str, answer: Answer, route: Route | None, trace: bytes | None) -> Headers:
        """The same for a request that is known by its id and its trace only."""
        extra = [(b"x-request-id", name.encode())]
        if route is not None:
            extra.append((b"x-model-version", route.slot.header))
        if answer.status in (429, 503):
            extra.append((b"retry-after", RETRY_SECONDS))
        if trace is not None:
            extra.append((b"traceparent", trace))
        return extra

    def admit(self) -> Answer | None:
        """Let one more request in, which has to `leave`; the answer that refuses it where there are too many."""
        if self._asked >= self.limits.requests:
            message = f"{self._asked} requests are being answered; send this one again later."
            return self._turn_away(429, "RESOURCE_EXHAUSTED", message)
        self._asked += 1
        return None

    def admit_all(self, requests: int) -> bool:
        """Let so many requests in at once; False, and none is in, where they are too many."""
        if self._asked + requests > self.limits.requests:
            return False
        self._asked += requests
        return True

    def leave(self, requests: int = 1) -> None:
        """So many requests less are being answered."""
        self._asked -= requests

    def not_ready(self) -> Answer:
        """What is answered where no version is ready."""
        return self._turn_away(503, "TEMPORARILY_UNAVAILABLE", "No model version is ready to answer.")

    def _turn_away(self, status: int, code: str, message: str) -> Answer:
        """The answer where no version is asked, counted: a client that is turned away is told nowhere else."""
        self.router.turned_away(status)
        return Answer.error(status, code, message)

    async def predict(self, request: Request, ask: Ask, *, slot: Slot | None = None) -> tuple[Answer, Route | None]:
        """Let a version answer, log it, and tell the router: the one way by which every protocol predicts.

        Parameters
        ----------
        slot
            The version that must answer; by default the router chooses.
        """
        refused = self.admit()
        if refused is not None:
            return refused, None
        began = time.perf_counter()
        try:
            route = self.router.route(request.headers, request.id)
        except NoVersion:
            self.leave()
            return self.not_ready(), None
        if slot is not None and slot is not route.slot:
            route = replace(route, slot=slot, propensity=1.0)
        return await self.answered(request, ask, route, began), route

    async def answered(self, request: Request, ask: Ask, route: Route, began: float) -> Answer:
        """Let the version of a route answer a request that was let in, log it, and tell the router."""
        try:
            answer = await self.ask(route.slot, ask)
            seconds = time.perf_counter() - began
            if answer.status == 200:
                entry = Entry(
                    request.id,
                    time.time_ns() // 1_000_000,
                    ask.content_type,
                    ask.body,
                    answer.body,
                    answer.rows,
                    seconds * 1000,
                    route.key,
                    route.propensity,
                    answer.probabilities,
                )
                answer = self.log(route.slot, [entry]) or answer
        finally:
            self.leave()
        self.router.finished(route, answer.status, answer.rows, seconds)
        self.afterwards.begin(route, ask, request.id, answer)
        return answer

    async def body(self, request: Request) -> bytes | Answer:
        """The whole body, or the answer that refuses it."""
        encoding = request.headers.get(b"content-encoding", b"").strip().lower()
        if encoding not in (b"", b"identity"):
            told = f"The body is encoded as {encoding.decode('latin-1')!r}; send it as it is, without Content-Encoding."
            self.router.turned_away(415)
            return Answer(415, told.encode(), "text/plain; charset=utf-8")
        length = request.headers.get(b"content-length", b"")
        if length.isdigit() and int(length) > self.limits.body:
            return self._too_large()
        parts: list[bytes] = []
        size = 0
        while True:
            message = await request.receive()
            if message["type"] == "http.disconnect":
                return Answer.error(400, "BAD_REQUEST", "The request ended before its body did.")
            parts.append(message.get("body", b""))
            size += len(parts[-1])
            if size > self.limits.body:
                return self._too_large()
            if not message.get("more_body"):
                return parts[0] if len(parts) == 1 else b"".join(parts)

    @staticmethod
    def after_refused_body(request: Request) -> Headers:
        """What happens to the rest of a body that was refused: it is read and thrown away, so that the client comes to read why.

        One that asked whether to send it does not; what it sends next over this connection would be taken for the body.
        """
        return [(b"connection", b"close")] if b"expect" in request.headers else []

    def _too_large(self) -> Answer:
        message = f"The request is larger than {self.limits.body} bytes; send fewer rows at a time."
        return self._turn_away(413, "BAD_REQUEST", message)

    def _batcher(self, slot: Slot) -> Batcher:
        found = self._batchers.get(slot)
        if found is None:
            there = self.router.slots()
            self._batchers = {known: batcher for known, batcher in self._batchers.items() if known in there}
            found = self._batchers[slot] = Batcher(slot.model, self._threads, partial(self.router.batched, slot))
        return found

    async def ask(self, slot: Slot, ask: Ask) -> Answer:
        """Let a version answer, without a log."""
        future = self._batcher(slot).ask(ask)
        if slot.model.quick and len(ask.body) < 4096:
            return await future  # it is computed in this turn of the loop: a timer would cost more
        try:
            return await asyncio.wait_for(future, self.limits.seconds)
        except TimeoutError:
            message = f"The prediction took longer than {self.limits.seconds:g} seconds."
            return Answer.error(504, "DEADLINE_EXCEEDED", message)

    @staticmethod
    def log(slot: Slot, entries: Sequence[Entry]) -> Answer | None:
        """Log what is about to be answered with 200; what must be answered instead where it cannot be."""
        try:
            slot.writer.append(*entries)
        except OSError as error:
            log.error("the inference log cannot be written: %s", error)  # noqa: TRY400 the reason is all there is to say
            message = f"The prediction cannot be logged, so it is not given: {error.strerror}."
            return Answer.error(503, "TEMPORARILY_UNAVAILABLE", message)
        return None


async def _send(send: Send, answer: Answer, extra: Headers) -> None:
    headers = [
        (b"content-type", answer.media_type.encode()),
        (b"content-length", b"%d" % len(answer.body)),
        *extra,
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
