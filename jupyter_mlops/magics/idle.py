"""What a kernel does while it waits for the next cell: it gets ready for the first run, a step at a time."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator

__all__ = ["get_ready"]

PAUSE = 0.05  # seconds between two steps, in which a cell can begin

_log = logging.getLogger(__name__)


def get_ready(steps: Iterator[None]) -> bool:
    """Go through `steps` in the kernel's own loop, so that none runs beside a cell; False where there is no such loop."""
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return False

    def step() -> None:
        try:
            next(steps)
        except StopIteration:
            return
        except Exception:
            _log.debug("getting ready failed", exc_info=True)
            return
        loop.call_later(PAUSE, step)

    loop.call_later(PAUSE, step)
    return True
