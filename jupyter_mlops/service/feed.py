"""The feed: a number that grows with every change, and waiting for it to grow."""

from __future__ import annotations

import sqlite3
import threading
import time
from typing import Any
from urllib.parse import quote

__all__ = ["Feed"]

LOOK_SECONDS = 0.25
REMEMBERED = 256


class Feed:
    """Tells watchers what changed.

    The service tells of what it changes itself. What others write straight into a SQLite store, MLflow's own UI or a
    script, shows in the database's ``data_version``, which is looked at only while somebody waits.
    """

    def __init__(self) -> None:
        self._news = threading.Condition()
        self._number = time.time_ns() // 1000  # larger than any number an earlier process gave
        self._log: list[tuple[int, str]] = []
        self._waiting = 0

    @property
    def waiting(self) -> int:
        """How many wait right now."""
        return self._waiting

    def changed(self, topic: str) -> None:
        """Something under `topic` has changed."""
        with self._news:
            self._number += 1
            self._log = [*self._log[-REMEMBERED + 1 :], (self._number, topic)]
            self._news.notify_all()

    def wait(self, since: int, seconds: float) -> dict[str, Any]:
        """Wait for a change after number `since`.

        Returns
        -------
        dict
            ``number``, to hand in next time, and ``topics``; ``["all"]`` for a watcher who is new or has slept too long.
        """
        with self._news:
            self._waiting += 1
            try:
                self._news.wait_for(lambda: self._number > since, timeout=seconds)
            finally:
                self._waiting -= 1
            if self._number <= since:
                return {"number": self._number, "topics": []}
            oldest = self._log[0][0] if self._log else self._number + 1
            if since < oldest - 1:
                return {"number": self._number, "topics": ["all"]}
            return {"number": self._number, "topics": sorted({t for n, t in self._log if n > since})}

    def watch_sqlite(self, path: str, stopping: threading.Event) -> None:
        """Tell of what other processes write into the SQLite file at `path`, until `stopping` is set."""
        held: sqlite3.Connection | None = None
        seen: int | None = None
        while not stopping.wait(LOOK_SECONDS):
            if not self._waiting:
                continue
            try:
                held = held or sqlite3.connect(f"file:{quote(path)}?mode=ro", uri=True, check_same_thread=False)
                (version,) = held.execute("PRAGMA data_version").fetchone()
            except sqlite3.Error:
                held = None
                continue
            if seen is not None and version != seen:
                self.changed("store")
            seen = version
        if held is not None:
            held.close()
