"""Builders: processes that have what proves a plan loaded before it is asked for; they end when nobody needs them."""

from __future__ import annotations

import contextlib
import os
import subprocess
import threading
from dataclasses import dataclass
from pathlib import Path

from .process import Process
from .starting import start_builder

__all__ = ["Builders"]


@dataclass
class _Builder:
    process: Process
    tell: int


class Builders:
    """One workspace's builders, one an interpreter; each ends by itself after a while, and with this process.

    Parameters
    ----------
    root
        The project folder.
    plans
        Where plans are kept.
    """

    def __init__(self, root: Path, plans: Path) -> None:
        self._root = root
        self._plans = plans
        self._builders: dict[str, _Builder] = {}
        self._changing = threading.Lock()
        self.children: set[int] = set()
        """The numbers of processes that the caller has to reap."""

    def warm(self, python: str) -> None:
        """Let an interpreter load what it takes: a model is about to come."""
        with self._changing, contextlib.suppress(OSError):  # no such interpreter any more: deploying will tell
            self._ready(python)

    def prove(self, model: Path, python: str) -> None:
        """Prove a model's plan in the background, so that deploying it need not wait for that."""
        line = os.fsencode(model) + b"\n"
        with self._changing, contextlib.suppress(OSError):
            try:
                os.write(self._ready(python).tell, line)
            except BrokenPipeError:  # it ended by itself just now
                self._end(python)
                os.write(self._ready(python).tell, line)

    def _ready(self, python: str) -> _Builder:
        found = self._builders.get(python)
        if found is not None and found.process.alive():
            return found
        self._end(python)
        reading, tell = os.pipe()
        try:
            pid = start_builder(self._root, self._plans, python, reading)
        except (OSError, subprocess.SubprocessError):
            os.close(tell)
            raise
        finally:
            os.close(reading)
        self.children.add(pid)
        made = self._builders[python] = _Builder(Process.of(pid) or Process(pid, "ended"), tell)
        return made

    def _end(self, python: str) -> None:
        gone = self._builders.pop(python, None)
        if gone is not None:
            os.close(gone.tell)
