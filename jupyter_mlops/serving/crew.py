"""Crew: several processes that answer on one socket, forked from one that has loaded the model and brings back who dies.

The socket outlives every process, so a connection that nobody has accepted yet waits for the others. What a killed process
had accepted ends with it: its client sees the connection closed without an answer, and sends the request again. It is not
given to another process: a request that kills who computes it would kill one after the other. Every answer that a client
did get is in the log, whoever is killed, because it was written before it was sent; one that was written and not yet sent
is there twice after that, under the ids of both requests.
"""

from __future__ import annotations

import contextlib
import logging
import mmap
import os
import select
import signal
import struct
import sys
import time
from collections.abc import Callable

__all__ = ["CannotStart", "Crew", "Crowd"]

log = logging.getLogger("jupyter_mlops.serving")

COUNT = struct.Struct("<q")
ABSENT = 1 << 40  # connections of a process that is not there: nobody leaves one to it
QUICK_SECONDS = 5.0  # who dies sooner after its start is brought back a little later each time
FIRST_WAIT_SECONDS = 0.1
LONGEST_WAIT_SECONDS = 5.0
QUICK_DEATHS = 5  # of one process in a row before all have been ready once, after which the crew gives up
LOOK_SECONDS = 0.05
BEAT_SECONDS = 0.5
END_SECONDS = 33.0
CANNOT = 3  # the exit code of a process that cannot start


class CannotStart(Exception):
    """This process cannot start, has told why, and neither could another."""


class Crowd:
    """How many connections each process of a crew has, in memory that they share.

    Parameters
    ----------
    processes
        How many there are.
    """

    def __init__(self, processes: int) -> None:
        self._processes = processes
        self._keeper = os.getpid()
        self._memory = mmap.mmap(-1, COUNT.size * processes)
        for number in range(processes):
            self.tell(number, ABSENT)

    def tell(self, number: int, connections: int) -> None:
        """Write down how many this process has."""
        COUNT.pack_into(self._memory, COUNT.size * number, connections)

    def leave(self, number: int) -> None:
        """Write down that this process is not there."""
        self.tell(number, ABSENT)

    def forsaken(self) -> bool:
        """Whether the process that watches over the others has died, so that this one of them is to end."""
        return os.getppid() != self._keeper

    def fewest(self, but: int) -> int:
        """The fewest that any process but this one has."""
        counts = (COUNT.unpack_from(self._memory, COUNT.size * n)[0] for n in range(self._processes) if n != but)
        return min(counts, default=ABSENT)


class Crew:
    """Forks the processes, waits for them, and brings back those that die.

    Parameters
    ----------
    processes
        How many.
    work
        What each does: given its number, what to call when it is ready, and the crowd; it ends when told to by SIGTERM.
    beat
        Called twice a second by the process that watches over the others, which nobody would miss otherwise.
    brought_back
        Called for each that died and was brought back.
    """

    def __init__(
        self,
        processes: int,
        work: Callable[[int, Callable[[], None], Crowd], None],
        beat: Callable[[], None],
        brought_back: Callable[[], None],
    ) -> None:
        self._work = work
        self._beat = beat
        self._brought_back = brought_back
        self._crowd = Crowd(processes)
        self._alive: dict[int, tuple[int, float]] = {}
        self._deaths = [0] * processes
        self._due: dict[int, float] = {}
        self._ready = False
        self._ending = False

    def run(self, say: Callable[[str], None]) -> None:
        """Be the one that watches over the others, until told to end.

        Raises
        ------
        RuntimeError
            A process dies again and again before all were ready. Later no death ends the others: they answer, as far as
            they can, what a full disk or a request that kills its process lets them.
        SystemExit
            A process cannot start, and has told why.
        """
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._end)
        waiting = [self._fork(number) for number in range(len(self._deaths))]
        try:
            due = 0.0
            while not self._ending:
                self._look()
                if time.monotonic() >= due:
                    self._beat()
                    due = time.monotonic() + BEAT_SECONDS
                if not self._ready and all(_said(pipe) for pipe in waiting):
                    self._ready = True
                    say("ready")
                time.sleep(LOOK_SECONDS)
        finally:
            self._finish()
            for pipe in waiting:
                os.close(pipe)

    def _end(self, number: int, frame: object) -> None:
        self._ending = True

    def _fork(self, number: int) -> int:
        reading, writing = os.pipe()
        pid = os.fork()
        if pid:
            os.close(writing)
            self._alive[pid] = (number, time.monotonic())
            return reading
        code = 1
        try:
            os.close(reading)
            for name in (signal.SIGTERM, signal.SIGINT):
                signal.signal(name, signal.SIG_DFL)
            self._work(number, lambda: _tell(writing), self._crowd)
            code = 0
        except CannotStart:
            code = CANNOT
        except BaseException:
            log.exception("a process of the model server ends")
        finally:
            logging.shutdown()
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)

    def _look(self) -> None:
        """Bring back who died: at once, and one that dies again and again after ever longer waits."""
        for pid, code in _ended(self._alive):
            number, since = self._alive.pop(pid)
            self._crowd.leave(number)
            if self._ending:
                continue
            if code == CANNOT and not self._ready:
                raise SystemExit(1)
            quick = time.monotonic() - since < QUICK_SECONDS
            self._deaths[number] = deaths = self._deaths[number] + 1 if quick else 0
            if deaths >= QUICK_DEATHS and not self._ready:
                raise RuntimeError(f"process {number} of the model server died {QUICK_DEATHS} times in a row")
            wait = min(FIRST_WAIT_SECONDS * 2 ** min(deaths - 2, 10), LONGEST_WAIT_SECONDS) if deaths > 1 else 0.0
            log.warning(
                "process %s of the model server died and is brought back%s", pid, f" in {wait:g} s" * (wait > 0)
            )
            self._due[number] = time.monotonic() + wait
        for number in [number for number, due in self._due.items() if due <= time.monotonic()]:
            del self._due[number]
            os.close(self._fork(number))
            self._brought_back()

    def _finish(self) -> None:
        for pid in self._alive:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + END_SECONDS
        while self._alive and time.monotonic() < deadline:
            for pid, _ in _ended(self._alive):
                del self._alive[pid]
            time.sleep(LOOK_SECONDS)
        for pid in self._alive:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def _ended(pids: dict[int, tuple[int, float]]) -> list[tuple[int, int]]:
    """Who has ended, and with which code."""
    found = []
    for pid in pids:
        try:
            ended, status = os.waitpid(pid, os.WNOHANG)
        except ChildProcessError:
            ended, status = pid, 0
        if ended:
            found.append((pid, os.waitstatus_to_exitcode(status)))
    return found


def _said(pipe: int) -> bool:
    """Whether the process at the other end is ready: it has written, and what it wrote is left there."""
    return bool(select.select([pipe], [], [], 0)[0]) and _peek(pipe)


def _peek(pipe: int) -> bool:
    import array
    import fcntl
    import termios

    held = array.array("i", [0])
    fcntl.ioctl(pipe, termios.FIONREAD, held)
    return held[0] > 0


def _tell(pipe: int) -> None:
    with contextlib.suppress(OSError):  # the one who watches may have closed it: this process was brought back
        os.write(pipe, b"r")
