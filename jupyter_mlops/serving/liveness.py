"""Liveness: which of a deployment's processes hang, told from those that a long prediction or a busy machine keeps from answering;
and whether what they serve is still there.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

__all__ = ["BUSY_SECONDS", "GONE_SECONDS", "PROBES", "PROBE_SECONDS", "Gone", "Liveness", "activity_of"]

PROBE_SECONDS = 2.0
PROBES = 3  # so many times in a row a process that does nothing must not answer before it is ended: within about nine seconds
BUSY_SECONDS = 120.0  # and so long one that computes: twice what a prediction may take
BUSY_SHARE = 0.05  # of a core; what only looks for new orders from time to time uses less
GONE_SECONDS = (
    5.0  # a folder that is away for less was a moment's: a mount that came back, a project that is being moved
)
WAITS_FOR_SYSTEM = ("running", "disk-sleep")  # wants a core or the disk, and is not given it

Activity = tuple[float, str]


@dataclass
class Silence:
    """Since when a process has not answered, what it had used at the last probe, and for how many probes it has done nothing."""

    since: float
    at: float
    used: float
    idle: int


class Liveness:
    """Takes note of who answers its ``/health``.

    Parameters
    ----------
    activity
        Seconds of processor time that a process has used, and its state.
    clock
        Seconds.

    Examples
    --------
    A process that is stopped is given up at the third probe; one that computes, after two minutes:

    >>> seconds = iter(range(0, 1000, 3))
    >>> liveness = Liveness(lambda pid: (0.0, "stopped"), lambda: next(seconds))
    >>> [liveness.hangs(7, answered=False) for _ in range(3)]
    [False, False, True]
    >>> seconds, used = iter(range(0, 1000, 3)), iter(range(1000))
    >>> liveness = Liveness(lambda pid: (next(used), "sleeping"), lambda: next(seconds))
    >>> [liveness.hangs(7, answered=False) for _ in range(41)].index(True) * 3
    120
    """

    def __init__(self, activity: Callable[[int], Activity], clock: Callable[[], float] = time.monotonic) -> None:
        self._activity = activity
        self._clock = clock
        self._silent: dict[int, Silence] = {}

    def silent(self, pid: int) -> bool:
        """Whether a process did not answer when it was last asked."""
        return pid in self._silent

    def hangs(self, pid: int, *, answered: bool) -> bool:
        """Whether a process that was just asked is to be ended."""
        if answered:
            self._silent.pop(pid, None)
            return False
        now, (used, state) = self._clock(), self._activity(pid)
        before = self._silent.get(pid)
        if before is None:
            idle = 0 if state in WAITS_FOR_SYSTEM else 1
            self._silent[pid] = Silence(now, now, used, idle)
            return False
        busy = state in WAITS_FOR_SYSTEM or used - before.used > BUSY_SHARE * (now - before.at)
        before.idle = 0 if busy else before.idle + 1
        before.at, before.used = now, used
        if before.idle < PROBES and now - before.since < BUSY_SECONDS:
            return False
        del self._silent[pid]
        return True


class Gone:
    """Notices that a folder was removed, and is not only away for a moment.

    Parameters
    ----------
    folder
        Where somebody looks again and again.
    clock
        Seconds.

    Examples
    --------
    >>> seconds = iter([0.0, 2.0, 9.0])
    >>> gone = Gone(Path("/nowhere/at/all"), lambda: next(seconds))
    >>> [gone.look() for _ in range(3)]
    [False, False, True]
    """

    def __init__(self, folder: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._folder = folder
        self._clock = clock
        self._since: float | None = None

    def look(self) -> bool:
        """Whether it has not been there for `GONE_SECONDS`; a folder that cannot be looked at counts as there."""
        try:
            self._folder.stat()
        except FileNotFoundError:
            now = self._clock()
            self._since = now if self._since is None else self._since
            return now - self._since >= GONE_SECONDS
        except OSError:
            pass
        self._since = None
        return False


def activity_of(pid: int) -> Activity:
    """What a process has used of the processor, in seconds over all its threads, and its state; no time where that cannot be told."""
    try:
        import psutil

        process = psutil.Process(pid)
        times = process.cpu_times()
        return times.user + times.system, str(process.status())
    except Exception:  # it has just ended, or another system's rules
        return 0.0, ""
