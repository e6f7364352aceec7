"""Process: telling a process from another that was given its number later, asking it to end, reading its last words."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from dataclasses import dataclass

from ..tracking.process_start import start_time

__all__ = ["Process"]

LOOK_SECONDS = 0.05


@dataclass(frozen=True)
class Process:
    """A process by its number and the time it began, as the system tells it."""

    pid: int
    started: str

    @classmethod
    def of(cls, pid: int) -> Process | None:
        """The living process with this number, None if there is none."""
        started = start_time(pid)
        return None if started is None else cls(pid, started)

    def alive(self) -> bool:
        """Whether it still lives."""
        return start_time(self.pid) == self.started

    def end(self, patience: float) -> None:
        """Ask it to end, wait as many seconds, then make it."""
        for number, seconds in ((signal.SIGTERM, patience), (signal.SIGKILL, 5.0)):
            if not self.alive():
                return
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)
            deadline = time.monotonic() + seconds
            while self.alive() and time.monotonic() < deadline:
                reap(self.pid)
                time.sleep(LOOK_SECONDS)


def reap(pid: int) -> None:
    """Take note of a child's end, so that it does not stay behind as a zombie."""
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
