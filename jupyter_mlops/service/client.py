"""The client by which everyone speaks to the service: finds it, starts it, asks it, and asks again after a crash.

Standard library and our own light modules only: it is what a kernel loads.
"""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..domain.workspace import Actor
from ..errors import MLOpsError, ServiceOutdated, ServiceUnavailable, Unavailable, from_dict
from ..settings import child_environment
from .release import RELEASE, older
from .wire import receive, send, socket_path

__all__ = ["LOCK", "LOG", "STOPPED", "ServiceClient"]

LOCK = "service.lock"
LOG = "service.log"
STOPPED = "service.stopped"
"""Touched when the service is told to stop: a process that was started before and comes up late then stays away."""
START_SECONDS = 60.0
LONGEST_LOG = 5_000_000
TRIES = 4
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)


class ServiceClient:
    """Asks the service of one workspace, starting it when it is not there.

    Parameters
    ----------
    root
        The workspace's project folder.
    actor
        Tells who asks, at the time of asking.
    store
        The tracking URI that this process's environment asks for: the store of a workspace that has none yet.
    """

    def __init__(self, root: Path, actor: Callable[[], Actor] = Actor, store: str = "") -> None:
        self.root = root
        self.store = store
        self.actor = actor

    @property
    def log(self) -> Path:
        """The service's log file."""
        return self.root / ".mlops" / LOG

    def call(
        self,
        operation: str,
        /,
        *,
        progress: Callable[[str], None] | None = None,
        timeout: float | None = None,
        **arguments: Any,
    ) -> Any:
        """Carry out one operation in the service, exactly once, and return its answer.

        Parameters
        ----------
        progress
            Called with each line of progress.
        timeout
            Seconds of silence after which to give up; None waits as long as the service is alive.

        Raises
        ------
        ServiceUnavailable
            The service cannot be started, or goes away again and again while it works on this.
        ServiceOutdated
            The service is of a newer version than this process; an older service is replaced.
        MLOpsError
            What the operation raised.
        """
        request = {
            "id": uuid.uuid4().hex,
            "operation": operation,
            "arguments": arguments,
            "actor": self.actor().to_dict(),
        }
        replaced = False
        for attempt in range(TRIES):
            connection = self._connect(start=True, patience=timeout)
            if timeout is None and operation != "service.stop" and self._replaces():
                connection.close()
                self._replace(progress)
                connection = self._connect(start=True)
            try:
                answer = self._ask(connection, request, progress, timeout)
            except TimeoutError:
                raise ServiceUnavailable(
                    f"the service did not answer {operation!r} within {timeout} s.", hint=self._look()
                ) from None
            except OSError:
                answer = None
            finally:
                connection.close()
            if answer is not None:
                if "error" in answer:
                    error = from_dict(answer["error"])
                    if isinstance(error, ServiceOutdated) and not replaced:
                        replaced = True
                        self._replace(progress)
                        continue
                    raise error
                return answer["result"]
            time.sleep(0.05 * (attempt + 1))
        raise ServiceUnavailable(f"the service went away {TRIES} times during {operation!r}.", hint=self._look())

    def running(self) -> bool:
        """Whether the service answers now; starts nothing."""
        try:
            self._connect(start=False).close()
        except ServiceUnavailable:
            return False
        return True

    def stopped_since(self, moment: float) -> bool:
        """Whether somebody has ended the service by hand since `moment`, in seconds since 1970."""
        try:
            return (self.root / ".mlops" / STOPPED).stat().st_mtime > moment
        except OSError:
            return False

    def call_if_running(self, operation: str, /, **arguments: Any) -> Any | None:
        """As `call`, but None where no service runs."""
        return self.call(operation, **arguments) if self.running() else None

    def stop(self, *, patience: float = 20.0) -> bool:
        """End the service after what it is doing; True if one was running."""
        if not self.running():
            return False
        self.call("service.stop")
        deadline = time.monotonic() + patience
        while self._held():
            if time.monotonic() > deadline:
                raise ServiceUnavailable("the service did not stop.", hint=self._look())
            time.sleep(0.02)
        return True

    def start(self) -> None:
        """Start the service unless it runs."""
        self._connect(start=True).close()

    def _replaces(self) -> bool:
        """Whether the service that runs is older than this process, and so has to give way.

        Raises
        ------
        ServiceOutdated
            It is newer: this process is what is out of date.
        """
        theirs = self._told()[0]
        if theirs == RELEASE or older(theirs, RELEASE):
            return theirs != RELEASE
        raise ServiceOutdated(
            f"the workspace's service is of jupyter_mlops {theirs}, and this process of {RELEASE}.",
            hint="Restart the kernel; where its environment has the older version, update that.",
        )

    def _told(self) -> tuple[str, str]:
        """What the service says of itself beside its lock: its version, and where it listens; empty where it does not."""
        try:
            version, socket, *_ = ((self.root / ".mlops" / LOCK).read_text(errors="replace") + "\n\n").split("\n")
        except OSError:
            return "", ""
        return version, socket

    def _replace(self, progress: Callable[[str], None] | None) -> None:
        if progress is not None:
            progress(f"the workspace's service was of another version; it is started anew as {RELEASE}")
        self.stop(patience=60.0)

    def _held(self) -> bool:
        """Whether a service process lives: it holds the lock for as long as it does."""
        path = self.root / ".mlops" / LOCK
        if not path.exists():
            return False
        with path.open("rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except OSError:
                return True
        return False

    def _ask(
        self,
        connection: socket.socket,
        request: dict[str, Any],
        progress: Callable[[str], None] | None,
        timeout: float | None,
    ) -> dict[str, Any] | None:
        connection.settimeout(timeout)
        send(connection, request)
        for message in receive(connection):
            if "progress" not in message:
                return message
            if progress is not None:
                progress(message["progress"])
        return None

    def _connect(self, *, start: bool, patience: float | None = None) -> socket.socket:
        deadline = time.monotonic() + (START_SECONDS if patience is None else max(patience, 1.0))
        started: subprocess.Popen[bytes] | None = None
        while True:
            connection = socket.socket(socket.AF_UNIX)
            try:
                connection.connect(self._told()[1] or str(socket_path(self.root)))
            except OSError:
                connection.close()
            else:
                return connection
            if not start:
                raise ServiceUnavailable("no service runs.", hint="`jupyter mlops service start` starts it.")
            if started is not None and started.poll() == 0 and not self._held():
                started = None  # it gave way to another, which has ended since
            if started is None and not self._held():
                started = self._spawn()
            if started is not None and started.poll() not in (None, 0):
                raise ServiceUnavailable(f"the service did not start: {self._last_line()}", hint=self._look())
            if time.monotonic() > deadline:
                raise ServiceUnavailable("the service does not answer.", hint=self._look())
            time.sleep(0.02)

    def _spawn(self) -> subprocess.Popen[bytes]:
        try:
            self.log.parent.mkdir(parents=True, exist_ok=True)
            if self.log.exists() and self.log.stat().st_size > LONGEST_LOG:
                self.log.replace(self.log.with_suffix(".log.1"))
            with self.log.open("ab") as log:
                return subprocess.Popen(
                    [sys.executable, "-m", "jupyter_mlops.service", str(self.root), str(time.time())],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    cwd=str(self.root),
                    env=child_environment(**({"MLFLOW_TRACKING_URI": self.store} if self.store else {})),
                    start_new_session=True,
                )
        except OSError as error:
            raise ServiceUnavailable(
                f"the service cannot be started in {self.root}: {error}.",
                hint="Choose a folder that you may write to, with MLOPS_WORKSPACE or by changing to it.",
            ) from error

    def _last_line(self) -> str:
        try:
            lines = self.log.read_text(errors="replace").strip().splitlines()
        except OSError:
            return "it left no log."
        return lines[-1] if lines else "its log is empty."

    def _look(self) -> str:
        return f"See {os.path.relpath(self.log)} or run `jupyter mlops service log`."


def reraise(error: BaseException) -> MLOpsError:
    """Any exception as one of ours, for the wire.

    Examples
    --------
    >>> print(reraise(OSError(errno.ENOSPC, "No space left on device")))
    there is no room on the disk: No space left on device. Make room, and ask again.
    """
    if isinstance(error, MLOpsError):
        return error
    if isinstance(error, OSError) and error.errno in NO_ROOM:
        place = f" for {error.filename}" if error.filename else ""
        return Unavailable(f"there is no room on the disk{place}: {error.strerror}.", hint="Make room, and ask again.")
    if "database or disk is full" in str(error):  # SQLite's words
        return Unavailable(f"there is no room on the disk: {error}.", hint="Make room, and ask again.")
    return MLOpsError(f"{type(error).__name__}: {error}", hint="This is a defect; the service's log has the traceback.")
