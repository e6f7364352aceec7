"""Watching: one thread for each workspace that some panel looks at; it waits for the service's news and passes them on."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from ..errors import MLOpsError
from ..session import Session

__all__ = ["SCHEMA", "Watchers"]

log = logging.getLogger("jupyter_mlops.server")

SCHEMA = "https://events.jupyter.org/jupyter_mlops/changed/v1"
WATCHED_SECONDS = 90.0
"""A panel asks again every 30 seconds; without one nobody is told, and the service may end."""
WAIT_SECONDS = 10.0
GATHER_SECONDS = 0.15
"""Between two events of a workspace: a training loop changes the store more often than anybody can look."""
RETRY_SECONDS = 5.0
LOOK_SECONDS = 1.0
CLOCK_SECONDS = 0.02  # by so much a file's time may lag behind the clock
LEAVING_SECONDS = 5.0


class Watcher(threading.Thread):
    """Waits for news of one workspace. A daemon thread, since a wait cannot be cut short.

    Parameters
    ----------
    session
        On the workspace; the service is asked through it.
    tell
        Takes the topics of each news; called in this thread.
    wanted
        Whether to go on.
    """

    def __init__(self, session: Session, tell: Callable[[Iterable[str]], object], wanted: Callable[[], bool]) -> None:
        super().__init__(name=f"mlops-watch-{session.context.workspace.root.name}", daemon=True)
        self.session = session
        self.tell = tell
        self.wanted = wanted
        self.pause = threading.Event()
        self.until = 0.0

    def run(self) -> None:
        """Wait and tell, until nobody has asked for it for a while or the server ends."""
        since, heard = 0, time.time()
        while self.wanted():
            if self.session.context.service.stopped_since(heard - CLOCK_SECONDS):  # while this did not listen
                self._await_service()
                heard = time.time()
                continue
            try:
                news = self.session.context.call("workspace.wait", since=since, seconds=WAIT_SECONDS)
            except MLOpsError as error:
                log.warning("no news of %s: %s", self.session.context.workspace.root, error)
                self.pause.wait(RETRY_SECONDS)
                continue
            since, heard = int(news["number"]), time.time()
            if news.get("ended"):
                self._await_service()
                heard = time.time()
            elif news["topics"]:
                self.tell(news["topics"])
                self.pause.wait(GATHER_SECONDS)

    def _await_service(self) -> None:
        """Who ends the service by hand means it: wait until somebody needs it again, starting nothing."""
        self.tell(["ended"])
        service = self.session.context.service
        gone = time.monotonic() + LEAVING_SECONDS
        while self.wanted() and service.running() and time.monotonic() < gone:
            self.pause.wait(LOOK_SECONDS / 10)  # it answers the door until it is out
        while self.wanted() and not service.running():
            self.pause.wait(LOOK_SECONDS)


class Watchers:
    """The workspaces that panels look at.

    Parameters
    ----------
    emit
        Hands an event, its schema's id and its data, to Jupyter; called in the server's loop.
    """

    def __init__(self, emit: Callable[[str, dict[str, Any]], None]) -> None:
        self._emit = emit
        self._lock = threading.RLock()
        self._watchers: dict[Path, Watcher] = {}
        self._numbers: dict[Path, int] = {}
        self._stopped = False

    def watch(self, session: Session, loop: asyncio.AbstractEventLoop) -> dict[str, Any]:
        """Watch a session's workspace from now on for a while; an event without topics shows that events arrive."""
        root = session.context.workspace.root
        with self._lock:
            watcher = self._watchers.get(root)
            new = watcher is None
            if watcher is None:
                watcher = Watcher(session, lambda topics: self._tell(root, loop, topics), lambda: self._wanted(root))
                self._watchers[root] = watcher
            watcher.until = time.monotonic() + WATCHED_SECONDS
            if new:
                watcher.start()
        return {"workspace": str(root), "seconds": WATCHED_SECONDS, "number": self._tell(root, loop, ())}

    def watched(self) -> list[Path]:
        """The workspaces watched now."""
        with self._lock:
            return list(self._watchers)

    def stop(self) -> None:
        """End all watching; nothing is told any more."""
        with self._lock:
            self._stopped = True
            for watcher in self._watchers.values():
                watcher.pause.set()
            self._watchers.clear()

    def _wanted(self, root: Path) -> bool:
        """Whether somebody still looks; decided and noted in one step, so that no asking falls between."""
        with self._lock:
            watcher = self._watchers.get(root)
            if watcher is None or watcher is not threading.current_thread():
                return False
            if time.monotonic() < watcher.until:
                return True
            del self._watchers[root]
            return False

    def _tell(self, root: Path, loop: asyncio.AbstractEventLoop, topics: Iterable[str]) -> int:
        """Emit one event and give its number; numbers begin at the time, so that another server's never fit."""
        with self._lock:
            number = self._numbers.get(root) or time.time_ns() // 1_000_000
            number = self._numbers[root] = number + bool(topics)
            if not self._stopped:
                data = {"workspace": str(root), "topics": list(topics), "number": number}
                with contextlib.suppress(RuntimeError):  # the loop is closed: the server ends
                    loop.call_soon_threadsafe(self._emit, SCHEMA, data)
            return number
