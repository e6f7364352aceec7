"""Child process: a command that is run to its end, its lines handed on as they come, and ended whole when interrupted."""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from math import inf
from pathlib import Path

from ..errors import InvalidArgument

__all__ = ["run_child"]

PATIENCE = 3.0  # for a child that was told to end


def run_child(
    command: Sequence[str],
    *,
    folder: Path,
    environment: Mapping[str, str],
    line: Callable[[str], None],
    seconds: float = inf,
) -> tuple[int, str]:
    """Run a command and give its return code and the last that it said; an interrupt ends it and all it has started.

    Parameters
    ----------
    line
        Is given each line that it says, as it comes.
    seconds
        How long it may take.

    Raises
    ------
    InvalidArgument
        It cannot be run.
    TimeoutError
        It took longer; it and all it has started are ended.

    Examples
    --------
    >>> import sys
    >>> run_child([sys.executable, "-c", "print(6 * 7)"], folder=Path("."), environment=os.environ, line=lambda _: None)
    (0, '42')
    """
    try:
        child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            cwd=folder,
            env=environment,
            start_new_session=True,
        )
    except OSError as error:
        raise InvalidArgument(f"{command[0]} cannot be run in {folder}: {error.strerror}.") from error
    lines: queue.Queue[str | None] = queue.Queue()

    def read() -> None:
        for text in child.stdout or ():
            lines.put(text)
        lines.put(None)

    threading.Thread(target=read, name="mlops-child", daemon=True).start()
    last, deadline = "", time.monotonic() + seconds
    try:
        # in turns, so that an interrupt is seen while the child says nothing
        while (left := deadline - time.monotonic()) > 0:
            with contextlib.suppress(queue.Empty):
                text = lines.get(timeout=min(0.5, left))
                if text is None:
                    return child.wait(), last
                last = text.strip() or last
                line(text.rstrip("\n"))
        raise TimeoutError(f"{command[0]} did not end within {seconds:g} s")
    finally:
        _end(child)


def _end(child: subprocess.Popen[str]) -> None:
    for sign in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(child.pid, sign)
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(PATIENCE)
            return
