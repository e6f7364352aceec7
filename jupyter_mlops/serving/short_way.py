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
from .request_ids import request_id, trace_of
from .routing import NoVersion, Route, Slot

if TYPE_CHECKING:
    from .app import App, Headers

__all__ = ["Asked", "ShortWay", "protocol_for"]

PATH = b"/invocations"
LONGEST_LENGTH = 6  # digits of a content-length that may be small enough


class Asked:
    """A request on the short way; to its connection it is the cycle that is not complete yet.

    Parameters
    ----------
    connection
        Whose request it is.
    headers
        Names in lower case.
    keep_alive
        Whether the connection stays open afterwards.
    """

    __slots__ = (
        "began", "connection", "disconnected", "headers", "keep_alive", "message_event", "parts", "response_complete",
    )  # fmt: skip

    def __init__(self, connection: Any, headers: dict[bytes, bytes], *, keep_alive: bool) -> None:
        self.connection = connection
        self.headers = headers
        self.keep_alive = keep_alive
        self.parts: list[bytes] = []
        self.response_complete = self.disconnected = False
        self.message_event = NOBODY_WAITS
        self.began = 0.0

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

    def takes(self, headers: dict[bytes, bytes]) -> bool:
        """Whether a request with these headers may go this way."""
        length = headers.get(b"content-length", b"")
        return (
            length.isdigit()
            and len(length) <= LONGEST_LENGTH
            and int(length) <= min(LARGEST_NOW, self._app.limits.body)
            and b"transfer-encoding" not in headers
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
        app = self._app
        slots: dict[Slot, list[tuple[Asked, Route, str, Ask]]] = {}
        for asked in waiting:
            headers = asked.headers
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
            ask = Ask(body, headers.get(b"content-type", b"").decode("latin-1"))
            slots.setdefault(route.slot, []).append((asked, route, name, ask))
        for slot, members in slots.items():
            self._together(slot, members)

    def _together(self, slot: Slot, members: list[tuple[Asked, Route, str, Ask]]) -> None:
        app, now = self._app, time.time_ns() // 1_000_000
        answers: Any = [None] * len(members)
        if slot.model.quick:
            try:
                answers = slot.model.answer_now([member[3] for member in members])
            except Exception:  # the long way tells what is wrong with which
                answers = [None] * len(members)
        done, entries = [], []
        ended = time.perf_counter()
        for member, answer in zip(members, answers, strict=True):
            asked, route, name, ask = member
            if answer is None:
                task = asyncio.get_running_loop().create_task(self._alone(*member))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
                continue
            done.append((member, answer))
            if answer.status == 200:
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
        for (asked, route, name, ask), computed in done:
            answer = computed if refused is None else refused
            app.leave()
            app.router.finished(route, answer.status, answer.rows, ended - asked.began)
            asked.reply(answer, app.answer_headers_of(name, answer, route, trace_of(asked.headers)))
            app.shadow(route, ask, name, answer)

    async def _alone(self, asked: Asked, route: Route, name: str, ask: Ask) -> None:
        """What cannot be computed on the loop."""
        request = Request("/invocations", b"", asked.headers, name, trace_of(asked.headers), _no_body)
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

        def on_message_begin(self) -> None:
            self.url = b""
            self.expect_100_continue = False
            self.headers = []
            self._reading = None

        def on_headers_complete(self) -> None:
            if (
                self.url == PATH
                and self.parser.get_method() == b"POST"
                and (self.cycle is None or self.cycle.response_complete)
                and not self.expect_100_continue
                and not self.parser.should_upgrade()
                and self.parser.get_http_version() == "1.1"
            ):
                headers = dict(reversed(self.headers))
                if short.takes(headers):
                    self._reading = Asked(self, headers, keep_alive=self.parser.should_keep_alive())
                    self.cycle = self._reading  # type: ignore[assignment]
                    return
            url, headers_sent, expects = self.url, self.headers, self.expect_100_continue
            super().on_message_begin()
            self.url, self.expect_100_continue = url, expects
            self.headers.extend(headers_sent)
            super().on_headers_complete()

        def on_body(self, body: bytes) -> None:
            if self._reading is not None:
                self._reading.parts.append(body)
            else:
                super().on_body(body)

        def on_message_complete(self) -> None:
            asked, self._reading = self._reading, None
            if asked is not None:
                short.add(asked)
            else:
                super().on_message_complete()

    return Protocol
