"""Afterwards: other versions are asked what was just answered: shadows, and the stable one where a version on trial refused.

It has a thread of its own, so that no client waits behind it. Where copies come faster than they are answered, those that
find `WAITING` before them are not made: a slow shadow must not hold what is sent to it for ever.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial

from .model import Answer, Ask
from .routing import Route, Router, Slot

__all__ = ["Afterwards"]

log = logging.getLogger("jupyter_mlops.serving")

WAITING = 256


class Afterwards:
    """Asks other versions the same, once the answer has left; nobody waits for them.

    Parameters
    ----------
    router
        Told what they answered.
    """

    def __init__(self, router: Router) -> None:
        self._router = router
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="afterwards")
        self._waiting: set[Future[None]] = set()

    def begin(self, route: Route, ask: Ask, request_id: str, answer: Answer) -> None:
        """Ask the shadows of a route, and the stable version where another has refused what a client sent.

        What both refuse is the client's fault; what only a version on trial refuses is that version's.
        """
        for shadow in route.shadows:
            self._later(partial(self._copy, route, shadow, ask, request_id, answer))
        if 400 <= answer.status < 500 and route.slot is not self._router.slots()[0]:
            self._later(partial(self._doubt, route.slot, self._router.slots()[0], ask))

    def close(self) -> None:
        """Finish the copy that has begun; the rest is not made."""
        self._thread.shutdown(wait=True, cancel_futures=True)

    def _later(self, work: Callable[[], None]) -> None:
        if len(self._waiting) < WAITING:
            future = self._thread.submit(work)
            self._waiting.add(future)
            future.add_done_callback(self._done)

    def _done(self, future: Future[None]) -> None:
        self._waiting.discard(future)
        if not future.cancelled() and future.exception() is not None:
            log.warning("another version could not be asked the same: %r", future.exception())

    def _copy(self, route: Route, shadow: Slot, ask: Ask, request_id: str, answer: Answer) -> None:
        began = time.perf_counter()
        copied = shadow.model.answer_many([ask])[0]
        self._router.shadowed(route, shadow, ask, request_id, answer, copied, time.perf_counter() - began)

    def _doubt(self, slot: Slot, stable: Slot, ask: Ask) -> None:
        if stable.model.answer_many([ask])[0].status == 200:
            self._router.refused_alone(slot)
