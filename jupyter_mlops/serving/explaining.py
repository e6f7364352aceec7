"""Explaining: ``/invocations?explain=true``: predictions with their SHAP values, computed in a process beside the worker.

One process a version explains, one request after the other, and ends when nobody has asked for a while; few may wait, more
are answered 429. Predictions go on meanwhile as if nothing was. See `shapley` for what is computed, `explain_process` for
how.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import struct
import sys
import time
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

import msgspec

from .model import Answer, Ask
from .routing import NoVersion, Route, Slot
from .signature import BAD_REQUEST

if TYPE_CHECKING:
    from .app import App, Request

__all__ = ["Explaining", "asked_for"]

LENGTH = struct.Struct("<I")
MOST_WAITING = 4
IDLE_SECONDS = 120.0


def asked_for(query: bytes) -> bool | None:
    """Whether a query asks for an explanation; None for one that says neither yes nor no.

    Examples
    --------
    >>> asked_for(b"explain=true"), asked_for(b""), asked_for(b"explain=perhaps")
    (True, False, None)
    """
    told = parse_qs(query.decode("latin-1"), keep_blank_values=True).get("explain", ["false"])[0].lower()
    return {"true": True, "1": True, "false": False, "0": False}.get(told)


class Explaining:
    """The explanations of one worker process.

    Parameters
    ----------
    app
        By whose rules.
    """

    def __init__(self, app: App) -> None:
        self._app = app
        self._processes: dict[Slot, _Beside] = {}

    async def respond(self, request: Request, ask: Ask) -> tuple[Answer, Route | None]:
        """Predict and explain; a prediction that cannot be explained is neither answered nor logged."""
        app, began = self._app, time.perf_counter()
        refused = app.admit()
        if refused is not None:
            return refused, None
        try:
            route = app.router.route(request.headers, request.id)
        except NoVersion:
            app.leave()
            return app.not_ready(), None
        told = Answer.error(500, "INTERNAL_ERROR", "The explanation was cut off.")
        try:
            told = await self._explain(route.slot, ask)
        finally:
            if told.status != 200:
                app.leave()
                app.router.finished(route, told.status, 0, time.perf_counter() - began)
        if told.status != 200:
            return told, route
        answer = await app.answered(request, ask, route, began)
        if answer.status == 200 and answer.body.endswith(b"}"):
            answer = msgspec.structs.replace(answer, body=answer.body[:-1] + b',"explanation":' + told.body + b"}")
        return answer, route

    async def _explain(self, slot: Slot, ask: Ask) -> Answer:
        there = self._app.router.slots()
        for gone in [s for s in self._processes if s not in there]:
            self._processes.pop(gone).end()
        if slot.files is None:
            return Answer.error(400, BAD_REQUEST, "This model has no files to explain it by.")
        beside = self._processes.setdefault(slot, _Beside(str(slot.files.path.parent)))
        if beside.waiting >= MOST_WAITING:
            told = f"{beside.waiting} explanations are being computed; send this one again later."
            return Answer.error(429, "RESOURCE_EXHAUSTED", told)
        beside.waiting += 1
        try:
            async with asyncio.timeout(self._app.limits.seconds):
                return await beside.ask(ask)
        except TimeoutError:
            beside.end()
            told = f"The explanation took longer than {self._app.limits.seconds:g} seconds."
            return Answer.error(504, "DEADLINE_EXCEEDED", told)
        finally:
            beside.waiting -= 1

    def close(self) -> None:
        """End the processes."""
        for beside in self._processes.values():
            beside.end()
        self._processes.clear()


class _Beside:
    """A process that explains one version; started when it is first asked, and again when it has ended."""

    def __init__(self, place: str) -> None:
        self._place = place
        self._lock = asyncio.Lock()
        self._process: asyncio.subprocess.Process | None = None
        self._idle: asyncio.TimerHandle | None = None
        self.waiting = 0

    async def ask(self, ask: Ask) -> Answer:
        async with self._lock:
            if self._idle is not None:
                self._idle.cancel()
            process = self._process
            if process is None or process.returncode is not None:
                command = [sys.executable, "-P", "-m", f"{__package__}.explain_process", self._place]
                process = self._process = await asyncio.create_subprocess_exec(
                    *command,
                    stdin=asyncio.subprocess.PIPE,
                    stdout=asyncio.subprocess.PIPE,
                    env={**os.environ, "OMP_NUM_THREADS": "1"},
                )
            try:
                assert process.stdin is not None  # noqa: S101 for the type checker
                assert process.stdout is not None  # noqa: S101 the same
                asked = msgspec.msgpack.encode((ask.content_type, ask.body))
                process.stdin.write(LENGTH.pack(len(asked)) + asked)
                await process.stdin.drain()
                (length,) = LENGTH.unpack(await process.stdout.readexactly(LENGTH.size))
                return msgspec.msgpack.decode(await process.stdout.readexactly(length), type=Answer)
            except (OSError, asyncio.IncompleteReadError):
                self.end()
                told = "The process that explains has ended; the server's log tells why."
                return Answer.error(503, "TEMPORARILY_UNAVAILABLE", told)
            except BaseException:  # the answer of a request that was given up must not be another's
                self.end()
                raise
            finally:
                self._idle = asyncio.get_running_loop().call_later(IDLE_SECONDS, self.end)

    def end(self) -> None:
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
        self._process = None
