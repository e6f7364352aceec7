"""Told run: a run that is told of as a whole, by whoever has watched other processes do the work: a pipeline's runner.

It goes through a journal as every run does, so it is kept from the first event on, and no store is waited for.
"""

from __future__ import annotations

import contextlib
import threading
import uuid
from typing import Any, Literal

from ..domain.context import Context, now_ms
from ..errors import MLOpsError
from .journal import Journal

__all__ = ["ToldRuns"]

START_SECONDS = 30.0
LONGEST = 500


class ToldRuns:
    """Runs that one process tells of, the first of them the parent of the others.

    Parameters
    ----------
    context
        The workspace; its service is woken, and drains what is told in its own time.
    """

    def __init__(self, context: Context) -> None:
        self._context = context
        self._journal = Journal(context.workspace.home, {"user": context.actor.user, "host": context.actor.host, "notebook": ""})  # fmt: skip
        self._count = 0
        self._parent = ""
        self._waker = threading.Thread(target=self._wake, name="mlops-wake", daemon=True)
        self._waker.start()

    def begin(self, name: str, started_ms: int = 0) -> int:
        """Begin a run; returns the number it is called by."""
        self._count += 1
        key = uuid.uuid4().hex
        actor = self._context.actor
        self._journal.event(
            "start", self._count, key=key, name=name, source="", parent=self._parent,
            started_ms=started_ms or now_ms(), notebook="", user=actor.user, host=actor.host, cell="", again="sibling",
            via=actor.via, where="", commit="",
        )  # fmt: skip
        self._parent = self._parent or key
        return self._count

    def metrics(self, run: int, values: dict[str, float]) -> None:
        """Log metrics."""
        for key, value in values.items():
            self._journal.metric(run, key.encode()[:250], float(value), 0, now_ms())

    def texts(self, run: int, kind: Literal["param", "tag"], values: dict[str, Any]) -> None:
        """Log parameters, or set tags."""
        for key, value in values.items():
            self._journal.event(kind, run, key=key[:250], value=str(value)[:5000])

    def data(self, run: int, name: str, digest: str, role: str) -> None:
        """Log data that went in or came out, by its content hash."""
        self._journal.event("data", run, name=name[:LONGEST], digest=digest[:36], ref="", role=role)

    def end(self, run: int, status: Literal["FINISHED", "FAILED", "KILLED"], reason: str = "") -> None:
        """End a run."""
        self._journal.event("end", run, status=status, reason=reason[:LONGEST], ended_ms=now_ms())

    def close(self) -> None:
        """Tell no more; gives the service, which starts meanwhile, a moment to have been started."""
        self._waker.join(0.2)
        self._journal.close()

    def _wake(self) -> None:
        with contextlib.suppress(MLOpsError, OSError):
            self._context.service.call(
                "tracking.flush", timeout=START_SECONDS, journal=self._journal.id, position=0, run="", seconds=START_SECONDS
            )  # fmt: skip
