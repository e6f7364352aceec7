"""The hooks around every cell: they tell the session, cost next to nothing and never raise."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from typing import Any

from IPython.display import display

from ..session import Session
from .idle import get_ready
from .magic import Magic
from .progress import Progress
from .summary import RunSummary

__all__ = ["CellHooks"]

_log = logging.getLogger(__name__)


class CellHooks:
    """IPython's ``pre_run_cell`` and ``post_run_cell``, passed on to the session.

    Only cells of the notebook count: what code runs through `run_cell` by itself is part of the cell it stands in,
    and IPython keeps no history of it.
    """

    def __init__(self, shell: Any, session: Session, magic: Magic, progress: Progress) -> None:
        self.shell = shell
        self.session = session
        self.magic = magic
        self.progress = progress
        self._ready = False

    def register(self) -> None:
        """Begin to listen."""
        for event, hook in self._hooks():
            self.shell.events.register(event, hook)

    def unregister(self) -> None:
        """Listen no more; a hook that somebody else took out already is no matter."""
        for event, hook in self._hooks():
            try:
                self.shell.events.unregister(event, hook)
            except ValueError:
                continue

    def _hooks(self) -> tuple[tuple[str, Callable[..., None]], ...]:
        return ("pre_run_cell", self.before), ("post_run_cell", self.after)

    def before(self, info: Any = None, *_: Any, **__: Any) -> None:
        """A cell begins."""
        try:
            counted = bool(getattr(info, "store_history", False))
            self.magic.cell_began(counted=counted)
            if counted:
                self.session.cell_started(
                    str(info.raw_cell), self.shell.execution_count - 1, getattr(info, "cell_id", None) or ""
                )
        except Exception:
            _log.debug("the hook before a cell failed", exc_info=True)

    def after(self, result: Any = None, *_: Any, **__: Any) -> None:
        """A cell has ended; no result means that it was interrupted before there was one."""
        try:
            if result is None:
                self.session.cell_finished("interrupted")
            elif getattr(result.info, "store_history", False):
                self.magic.cell_ended()
                self.progress.finish()
                error = result.error_before_exec or result.error_in_exec
                interrupted = isinstance(error, KeyboardInterrupt)
                made = self.session.cell_finished("interrupted" if interrupted else "error" if error else "ok", error)
                if made is not None:
                    display(RunSummary.of(made))  # type: ignore[no-untyped-call]
                self._tell_news()
            if not self._ready and "sklearn" in sys.modules:
                self._ready = get_ready(self.session.get_ready())
        except Exception:
            _log.debug("the hook after a cell failed", exc_info=True)

    def _tell_news(self) -> None:
        """Say below the cell what has become by itself of a deployment that this notebook has shared out."""
        if self.session.context.watched:
            for line in self.session.context.hooks["news"]():
                print(line)  # noqa: T201 it is for the reader of the notebook
