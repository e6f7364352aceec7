"""Abreast: the same work done on several columns at a time, by threads and by the thread that asks."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

__all__ = ["THREADS", "abreast"]

THREADS = min(4, os.cpu_count() or 1)
WORTH = 8_000_000  # bytes from which threads are worth starting

Item = TypeVar("Item")
Result = TypeVar("Result")


def abreast(work: Callable[[Item], Result], items: Iterable[Item], weight: Callable[[Item], int]) -> list[Result]:
    """The results of `work` for each item, in their order.

    Whoever asks works along instead of waiting: to be woken for every item takes longer than a small one.

    Parameters
    ----------
    weight
        How many bytes an item is: the longest come first, so that nobody is left alone with one at the end, and where all
        together are few no thread is started.

    Raises
    ------
    Exception
        What the first failing item raised; items not begun by then are left.

    Examples
    --------
    >>> abreast(len, ["a", "bcd", "ef"], weight=len)
    [1, 3, 2]
    """
    given = list(items)
    weights = [weight(item) for item in given]
    waiting = deque(sorted(range(len(given)), key=lambda place: -weights[place]))
    found: dict[int, Result] = {}

    def go() -> None:
        try:
            while waiting:
                try:
                    place = waiting.popleft()
                except IndexError:  # another took the last one
                    return
                found[place] = work(given[place])
        except BaseException:
            waiting.clear()
            raise

    others = min(THREADS, len(given)) - 1
    if others < 1 or sum(weights) < WORTH:
        go()
    else:
        with ThreadPoolExecutor(others) as pool:
            helping = [pool.submit(go) for _ in range(others)]
            go()
            for each in helping:
                each.result()
    return [found[place] for place in range(len(given))]
