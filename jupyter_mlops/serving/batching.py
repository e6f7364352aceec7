"""Batching without a timer: a model is given what waits while it computes; who comes alone waits for nobody.

A model that is quick (`answer_now`) computes on the event loop: what has arrived in one turn of the loop is one batch.
Any other computes in a thread, and is given what came meanwhile when it is done. A request that the quick way cannot take
goes to the thread.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from .model import Answer, Ask, ServedModel

__all__ = ["Batcher"]

LARGEST_NOW = 64 << 10  # bytes of a body that may be computed on the event loop
LARGEST_BATCH = 256  # requests


class Batcher:
    """Asks one model for many requests together.

    Parameters
    ----------
    model
        The model.
    threads
        Where slow predictions run.
    batched
        Told how many requests were asked together.
    """

    def __init__(self, model: ServedModel, threads: ThreadPoolExecutor, batched: Callable[[int], None]) -> None:
        self._model = model
        self._batched = batched
        self._threads = threads
        self._now: list[tuple[Ask, asyncio.Future[Answer]]] = []
        self._small = _Lane(model, threads, batched)
        self._large = _Lane(model, threads, batched)  # so that small requests do not stand behind a large one

    def ask(self, ask: Ask) -> asyncio.Future[Answer]:
        """The answer to come."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Answer] = loop.create_future()
        if len(ask.body) > LARGEST_NOW:
            self._large.add(ask, future)
        elif self._model.quick:
            self._now.append((ask, future))
            if len(self._now) == 1:
                loop.call_soon(self._answer_now)
        else:
            self._small.add(ask, future)
        return future

    def _answer_now(self) -> None:
        batch, self._now = self._now, []
        answers = _answers_now(self._model, [ask for ask, _ in batch])
        now = len(answers) - sum(answer is None for answer in answers)
        if now:
            self._batched(now)
        for (ask, future), answer in zip(batch, answers, strict=True):
            if answer is None:
                self._small.add(ask, future)
            elif not future.done():
                future.set_result(answer)


class _Lane:
    """One batch at a time in a thread."""

    def __init__(self, model: ServedModel, threads: ThreadPoolExecutor, batched: Callable[[int], None]) -> None:
        self._model = model
        self._batched = batched
        self._threads = threads
        self._waiting: list[tuple[Ask, asyncio.Future[Answer]]] = []
        self._busy = False

    def add(self, ask: Ask, future: asyncio.Future[Answer]) -> None:
        self._waiting.append((ask, future))
        if not self._busy:
            self._busy = True
            self._begin(asyncio.get_running_loop())

    def _begin(self, loop: asyncio.AbstractEventLoop) -> None:
        # whose client has given up is not computed
        waiting = [(ask, future) for ask, future in self._waiting if not future.done()]
        batch, self._waiting = waiting[:LARGEST_BATCH], waiting[LARGEST_BATCH:]
        if not batch:
            self._busy = False
            return
        self._batched(len(batch))
        running = loop.run_in_executor(self._threads, self._model.answer_many, [ask for ask, _ in batch])
        running.add_done_callback(lambda done: self._end(loop, batch, done))

    def _end(
        self,
        loop: asyncio.AbstractEventLoop,
        batch: Sequence[tuple[Ask, asyncio.Future[Answer]]],
        done: asyncio.Future[list[Answer]],
    ) -> None:
        error = None if done.cancelled() else done.exception()
        answers = [_failed(error)] * len(batch) if done.cancelled() or error is not None else done.result()
        for (_, future), answer in zip(batch, answers, strict=True):
            if not future.done():
                future.set_result(answer)
        self._begin(loop)


def _answers_now(model: ServedModel, asks: Sequence[Ask]) -> Sequence[Answer | None]:
    try:
        return model.answer_now(asks)
    except Exception:  # the way through the thread tells what is wrong with which
        return [None] * len(asks)


def _failed(error: BaseException | None) -> Answer:
    return Answer.error(500, "INTERNAL_ERROR", f"The model could not be asked: {type(error).__name__}.")
