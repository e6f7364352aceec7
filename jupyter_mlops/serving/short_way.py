"""Short way: small predictions from the socket to the answer without an ASGI task a request, all that came in one turn together.

uvicorn's protocol makes a scope, a task and two messages for every request; for a prediction of some microseconds that is
most of the work. ``POST /invocations`` with a small body and the right token is taken here as it is parsed. What has come
in one turn of the event loop is computed together, logged by one call of the system, and answered. Everything else, and
whatever is not plain, goes the way of any ASGI application.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from .app import Request
from .batching import LARGEST_NOW
from .log_segments import Entry
from .model import Answer, Ask
from .request import JSON
from .request_ids import new_id, request_id, trace_of
from .routing import NoVersion, Route, Slot

if TYPE_CHECKING:
    from .app import App, Headers

__all__ = ["Asked", "ShortWay", "protocol_for"]

PATH = b"/invocations"
LONGEST_LENGTH = 6  # digits of a content-length that may be small enough
ANSWERED = (
    b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\nx-request-id: %b\r\nx-model-version: "
)


class Heard:
    """The head of a request, which a client mostly sends again word by word over the same connection.

    Parameters
    ----------
    sent
        The headers as they came, word by word.
    headers
        The same by name in lower case; the first of several wins.
    token
        The token that they were let in by.
    """

    __slots__ = ("content_type", "headers", "keep_alive", "named", "sent", "token")

    def __init__(
        self, sent: list[tuple[bytes, bytes]], headers: dict[bytes, bytes], token: bytes, *, keep_alive: bool
    ) -> None:
        self.sent = sent
        self.headers = headers
        self.token = token
        self.keep_alive = keep_alive
        self.content_type = headers.get(b"content-type", b"").decode("latin-1")
        self.named = b"x-request-id" in headers or b"traceparent" in headers


class Asked:
    """A request on the short way; to its connection it is the cycle that is not complete yet.

    Parameters
    ----------
    connection
        Whose request it is.
    heard
        Its head.
    """

    __slots__ = ("began", "connection", "disconnected", "heard", "message_event", "parts", "response_complete")

    def __init__(self, connection: Any, heard: Heard) -> None:
        self.connection = connection
        self.heard = heard
        self.parts: list[bytes] = []
        self.response_complete = self.disconnected = False
        self.message_event = NOBODY_WAITS
        self.began = 0.0

    @property
    def keep_alive(self) -> bool:
        """Whether the connection stays open afterwards; uvicorn clears it when the server ends."""
        return self.heard.keep_alive

    @keep_alive.setter
    def keep_alive(self, keep: bool) -> None:
        if keep != self.heard.keep_alive:
            heard = self.heard
            self.heard = Heard(heard.sent, heard.headers, heard.token, keep_alive=keep)

    def answered(self, answer: Answer, name: str, head: bytes) -> None:
        """Send a prediction; as `reply`, in one piece."""
        if self.disconnected or not self.heard.keep_alive or self.heard.named:
            extra = [(b"x-request-id", name.encode()), (b"x-model-version", head[len(ANSWERED) : -4])]
            trace = trace_of(self.heard.headers)
            self.reply(answer, extra if trace is None else [*extra, (b"traceparent", trace)])
            return
        self.response_complete = True
        body = answer.body
        connection = self.connection
        connection.transport.write(head % (len(body), name.encode()) + body)
        connection.on_response_complete()

    def reply(self, answer: Answer, extra: Headers) -> None:
        """Send the answer, and let the connection go on."""
        self.response_complete = True
        if self.disconnected:
            return
        lines = [
            STATUS_LINE[answer.status],
            b"content-type: %b\r\ncontent-length: %d\r\n" % (answer.media_type.encode(), len(answer.body)),
        ]
        lines += [b"%b: %b\r\n" % header for header in extra]
        lines.append(b"\r\n" if self.keep_alive else b"connection: close\r\n\r\n")
        lines.append(answer.body)
        connection = self.connection
        connection.transport.write(b"".join(lines))
        if not self.keep_alive:
            connection.transport.close()
        connection.on_response_complete()


class _NobodyWaits:
    def set(self) -> None:
        """Nothing waits for a body here."""


NOBODY_WAITS: Any = _NobodyWaits()
TOO_SLOW = b"HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
Member = tuple[Asked, Route, str, Ask]


class ShortWay:
    """Answers what has come in one turn of the loop.

    Parameters
    ----------
    app
        By whose rules.
    """

    def __init__(self, app: App) -> None:
        self._app = app
        self._waiting: list[Asked] = []
        self._tasks: set[asyncio.Task[None]] = set()

    def hear(self, sent: list[tuple[bytes, bytes]], before: Heard | None, *, keep_alive: bool) -> Heard | None:
        """The head of a request that may go this way, None for any other; `before` is what its connection sent last."""
        if (
            before is not None
            and before.sent == sent
            and before.token is self._app.secret
            and before.keep_alive == keep_alive
        ):
            return before
        headers = {name.lower(): value for name, value in reversed(sent)}
        if b"expect" in headers or not self.takes(headers):
            return None
        return Heard(sent, headers, self._app.secret, keep_alive=keep_alive)

    def takes(self, headers: dict[bytes, bytes]) -> bool:
        """Whether a request with these headers may go this way."""
        length = headers.get(b"content-length", b"")
        return (
            length.isdigit()
            and len(length) <= LONGEST_LENGTH
            and int(length) <= min(LARGEST_NOW, self._app.limits.body)
            and b"transfer-encoding" not in headers
            and b"content-encoding" not in headers
            and self._app.allowed(headers.get(b"authorization", b""))
        )

    def add(self, asked: Asked) -> None:
        """Answer a request whose body is there."""
        asked.began = time.perf_counter()
        self._waiting.append(asked)
        if len(self._waiting) == 1:
            asyncio.get_running_loop().call_soon(self._answer)

    def _answer(self) -> None:
        waiting, self._waiting = self._waiting, []
        router = self._app.router
        route = router.plain()
        if route is not None and self._app.admit_all(len(waiting)):
            router.began(len(waiting))
            members = []
            for asked in waiting:
                heard = asked.heard
                name = request_id(heard.headers) if heard.named else new_id()
                body = asked.parts[0] if len(asked.parts) == 1 else b"".join(asked.parts)
                members.append((asked, route, name, Ask(body, heard.content_type)))
            self._together(route.slot, members)
        else:
            self._one_by_one(waiting)

    def _one_by_one(self, waiting: list[Asked]) -> None:
        """Where each request is routed for itself, or some are refused."""
        app = self._app
        slots: dict[Slot, list[Member]] = {}
        for asked in waiting:
            headers = asked.heard.headers
            name = request_id(headers)
            refused = app.admit()
            if refused is None:
                try:
                    route = app.router.route(headers, name)
                except NoVersion:
                    app.leave()
                    refused = app.not_ready()
            if refused is not None:
                asked.reply(refused, app.answer_headers_of(name, refused, None, trace_of(headers)))
                continue
            body = asked.parts[0] if len(asked.parts) == 1 else b"".join(asked.parts)
            slots.setdefault(route.slot, []).append((asked, route, name, Ask(body, asked.heard.content_type)))
        for slot, members in slots.items():
            self._together(slot, members)

    def _together(self, slot: Slot, members: list[Member]) -> None:
        app, now = self._app, time.time_ns() // 1_000_000
        answers: Any = [None] * len(members)
        if slot.model.quick:
            try:
                answers = slot.model.answer_now([member[3] for member in members])
            except Exception:  # the long way tells what is wrong with which
                answers = [None] * len(members)
        done: list[tuple[Member, Answer]] = []
        entries = []
        ended = time.perf_counter()
        for member, answer in zip(members, answers, strict=True):
            if answer is None:
                task = asyncio.get_running_loop().create_task(self._alone(*member))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
                continue
            done.append((member, answer))
            if answer.status == 200:
                asked, route, name, ask = member
                entries.append(
                    Entry(
                        name,
                        now,
                        ask.content_type,
                        ask.body,
                        answer.body,
                        answer.rows,
                        (ended - asked.began) * 1000,
                        route.key,
                        route.propensity,
                        answer.probabilities,
                    )
                )
        if not done:
            return
        app.router.batched(slot, len(done))
        refused = app.log(slot, entries) if entries else None
        app.leave(len(done))
        app.router.finished_all(
            slot, [((refused or answer).status, answer.rows, ended - member[0].began) for member, answer in done]
        )
        head = b"%b%b\r\n\r\n" % (ANSWERED, slot.header.replace(b"%", b"%%"))
        for (asked, route, name, ask), computed in done:
            answer = computed if refused is None else refused
            if answer.status == 200 and answer.media_type == JSON:
                asked.answered(answer, name, head)
            else:
                asked.reply(answer, app.answer_headers_of(name, answer, route, trace_of(asked.heard.headers)))
            if route.shadows or answer.status != 200:
                app.afterwards.begin(route, ask, name, answer)

    async def _alone(self, asked: Asked, route: Route, name: str, ask: Ask) -> None:
        """What cannot be computed on the loop."""
        request = Request("/invocations", b"", asked.heard.headers, name, trace_of(asked.heard.headers), _no_body)
        try:
            answer = await self._app.answered(request, ask, route, asked.began)
        except Exception as error:
            answer = self._app.failed(error)
        asked.reply(answer, self._app.answer_headers_of(name, answer, route, request.trace))


async def _no_body() -> dict[str, Any]:
    return {"type": "http.disconnect"}


def protocol_for(app: App) -> type[HttpToolsProtocol]:
    """The HTTP protocol of uvicorn with the short way for an application's predictions."""
    short = ShortWay(app)

    class Protocol(HttpToolsProtocol):
        _reading: Asked | None = None
        _heard: Heard | None = None
        _awaited_since: float | None = None  # since when the client is waited for; None while it waits for its answer
        _sending = False

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            self._awaited_since = self.loop.time()
            self.timeout_keep_alive_task = self.loop.call_later(self.timeout_keep_alive, self._look_whether_silent)

        def on_message_begin(self) -> None:
            self._awaited_since = self.loop.time()
            self._sending = True
            self.url = b""
            self.expect_100_continue = False
            self.headers = []
            self._reading = None

        def on_header(self, name: bytes, value: bytes) -> None:
            self.headers.append((name, value))  # mostly the same as before, which is seen without looking into them

        def on_headers_complete(self) -> None:
            if (
                self.url == PATH
                and (self.cycle is None or self.cycle.response_complete)
                and self.parser.get_method() == b"POST"
                and not self.parser.should_upgrade()
                and self.parser.get_http_version() == "1.1"
            ):
                heard = short.hear(self.headers, self._heard, keep_alive=self.parser.should_keep_alive())
                if heard is not None:
                    self._heard = heard
                    self._reading = self.cycle = Asked(self, heard)  # type: ignore[assignment]
                    return
            url, sent = self.url, self.headers
            super().on_message_begin()
            self.url = url
            for name, value in sent:
                super().on_header(name, value)
            super().on_headers_complete()

        def on_body(self, body: bytes) -> None:
            self._awaited_since = self.loop.time()
            if self._reading is not None:
                self._reading.parts.append(body)
            else:
                super().on_body(body)

        def on_message_complete(self) -> None:
            asked, self._reading = self._reading, None
            self._sending = False
            refused = self.cycle is not None and self.cycle.response_complete  # before all of it was there
            self._awaited_since = self.loop.time() if refused else None
            if asked is not None:
                short.add(asked)
            else:
                super().on_message_complete()

        # One timer watches over a connection for as long as it is open, where uvicorn makes and takes back one a request,
        # and none over a client that sends half of one.

        def _unset_keepalive_if_required(self) -> None:
            """The timer stays."""

        def on_response_complete(self) -> None:
            self.server_state.total_requests += 1
            if self.transport.is_closing():
                return
            self.flow.resume_reading()
            if self.pipeline:
                cycle, application = self.pipeline.pop()
                self._start_asgi_task(cycle, application)
            elif not self._sending:
                self._awaited_since = self.loop.time()

        def _look_whether_silent(self) -> None:
            since, now = self._awaited_since, self.loop.time()
            if since is not None and now - since >= self.timeout_keep_alive - 0.01:
                if not self.transport.is_closing():
                    begun = getattr(self.cycle, "response_started", False) and not self.cycle.response_complete
                    if self._sending and not begun:
                        app.router.turned_away(408)
                        self.transport.write(TOO_SLOW)
                    self.transport.close()
                return
            rest = self.timeout_keep_alive - (0.0 if since is None else now - since)
            self.timeout_keep_alive_task = self.loop.call_later(rest, self._look_whether_silent)

        def connection_lost(self, exc: Exception | None) -> None:
            if self.timeout_keep_alive_task is not None:
                self.timeout_keep_alive_task.cancel()
                self.timeout_keep_alive_task = None
            super().connection_lost(exc)

    return Protocol
