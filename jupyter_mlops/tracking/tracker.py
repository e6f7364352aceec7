"""Tracker: what records runs in one kernel: the journal they share, and the watchers that are there while one lasts."""

from __future__ import annotations

import contextlib
import logging
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..domain.context import Context
from ..domain.workspace import Cell
from ..errors import InvalidArgument, MLOpsError, Unavailable
from ..settings import AGAIN
from .autolog import Autolog
from .automatic import Automatic
from .executions import cell_key
from .figures import Figures
from .identity import git_state, uncommitted
from .journal import Journal
from .names import make_name
from .recording import Recording
from .shown_tables import ShownTables
from .surroundings import Surroundings
from .used_tables import record_used_tables
from .user_mlflow import UserMLflow

__all__ = ["Tracker", "tracker_of"]

log = logging.getLogger(__name__)

LARGEST_JOURNAL = 1 << 24  # a drained journal is removed whole, so a new one is begun now and then
PATIENCE = 15.0  # beyond what the service is given to answer
START_SECONDS = 60.0
GIT_SECONDS = 2.0


def tracker_of(context: Context) -> Tracker:
    """The one tracker of a context."""
    if context.tracker is None:
        context.tracker = Tracker(context)
    tracker: Tracker = context.tracker
    return tracker


class Tracker:
    """Records the runs of one session.

    Parameters
    ----------
    context
        The session's; its ``recorder`` is the innermost run that is being recorded.
    """

    def __init__(self, context: Context) -> None:
        self.context = context
        self.active: list[Recording] = []
        self.figures = Figures(self)
        self.surroundings = Surroundings(self)
        self.place: Path | None = None
        """Where the journal goes, if not into the workspace."""
        self._mlflow = UserMLflow(self)
        autolog = Autolog(self)
        self.autolog = autolog
        self._watchers = (autolog, self.figures, ShownTables(self), self._mlflow)
        self.automatic = Automatic(self, autolog)
        self._journal: Journal | None = None
        self._runs = 0
        self._told = False
        self._counted: tuple[Cell, int] | None = None
        self._git: threading.Thread | None = None

    @property
    def current(self) -> Recording | None:
        """The innermost run being recorded, None in a process that was forked off."""
        return self.active[-1] if self.active and self.active[-1].active else None

    def make(self, name: str | None, source: str, namespace: dict[str, Any] | None, again: str = "") -> Recording:
        """A run that has not begun yet."""
        self.context.locate_notebook()
        cell = self.context.cells[-1] if self.context.cells else None
        running = cell is not None and cell.outcome == "running"
        if not source and cell is not None and running:
            source = cell.source
        called = make_name(name, self.context.notebook.path, cell.count if cell is not None and running else 0)
        settings = self.context.settings
        again = again or (settings.now("again") if settings is not None else AGAIN[0])
        if again not in AGAIN:
            raise InvalidArgument.unknown("way to run a cell again", again, AGAIN)
        made = Recording(self, called, source, self.context.namespace if namespace is None else namespace)
        made.again = again
        return made

    @property
    def away(self) -> bool:
        """Whether the store did not answer when it was last waited for, which the user has been told."""
        return self._told

    # begin and end, called by the recording

    def begin(self, recording: Recording) -> None:
        """Begin to record; inside another run as its child."""
        parent = self.current
        if parent is None:
            self.active.clear()  # what a fork has left
        self._runs += 1
        context = self.context
        actor = context.asking
        recording.begin(
            self._open_journal(),
            self._runs,
            parent,
            notebook=context.notebook.path,
            user=actor.user,
            host=actor.host,
            via=actor.via,
            where=actor.cell,
            commit=actor.commit,
            cell=self._cell(recording) if parent is None else "",
            again=recording.again,
        )
        self.active.append(recording)
        context.recorder = recording
        try:
            if parent is None:
                self._wake(recording)
                with noting(recording, "what it takes"):
                    self.surroundings.begin()
                for watcher in self._watchers:
                    with noting(recording, f"what {type(watcher).__name__} would see"):
                        watcher.begin()
            else:
                if context.notebook.commit:
                    recording.record("commit", commit=context.notebook.commit, dirty=context.notebook.dirty)
                with noting(recording, "what is logged with MLflow itself"):
                    self._mlflow.nested(recording)
            with noting(recording, "the tables it uses"):
                record_used_tables(recording, context, begins=True)
        except BaseException as error:
            self._unwatch(recording)
            recording.abandon(error)
            self.end(recording)
            raise

    def _cell(self, recording: Recording) -> str:
        """What is the same when this run's cell runs again, numbered within one execution; empty outside of cells."""
        cell = self.context.cells[-1] if self.context.cells else None
        if cell is None or cell.outcome != "running":
            return ""
        if self._counted is None or self._counted[0] is not cell:
            self._counted = (cell, 0)
        number = self._counted[1]
        self._counted = (cell, number + 1)
        return f"{cell_key(cell, recording.source)}#{number}"

    def finish(self, recording: Recording) -> None:
        """Record what is only known at the end, and take the watchers away."""
        try:
            with noting(recording, "the tables it uses"):
                record_used_tables(recording, self.context)
            with noting(recording, "the models that it fitted in parts"):
                self.autolog.finish(recording)
            with noting(recording, "its figures"):
                self.figures.save_all(recording)
            with noting(recording, "its surroundings"):
                self.surroundings.finish(recording)
            if recording.parent is None and self._git is not None:
                self._git.join(GIT_SECONDS)
        finally:
            self._unwatch(recording)

    def end(self, recording: Recording) -> None:
        """Record this run no more."""
        if recording in self.active:  # with those inside it that were never ended
            del self.active[self.active.index(recording) :]
        self.context.recorder = self.active[-1] if self.active else None

    def _unwatch(self, recording: Recording) -> None:
        if recording.parent is not None:
            self._mlflow.unnested(recording)
            return
        for watcher in reversed(self._watchers):
            with noting(recording, f"what {type(watcher).__name__} saw"):
                watcher.end()

    # the service

    def ask(self, journal: Journal, position: int, run: str, seconds: float) -> dict[str, Any]:
        """Let the service drain the journal up to `position`, and tell of a run by its key."""
        answer: dict[str, Any] = self.context.service.call(
            "tracking.flush",
            timeout=seconds + PATIENCE,
            journal=journal.id,
            position=position,
            run=run,
            seconds=seconds,
        )
        return answer

    def flush(self, recording: Recording, position: int, seconds: float) -> dict[str, Any] | None:
        """As `ask`, for a run that has ended; None when the store is away or the disk is full, which is said once."""
        if recording.journal.waiting:
            return None
        try:
            answer = self.ask(recording.journal, position, recording.key, seconds)
        except MLOpsError as error:
            self._tell(recording, str(error))
            return None
        if not answer["drained"]:
            self._tell(recording, "the store takes its time.")
            return None
        self._told = False
        return answer

    def _tell(self, recording: Recording, why: str) -> None:
        if not self._told:
            self._told = True
            kept = recording.journal.folder.parent
            sys.stderr.write(
                f"The run {recording.name!r} is kept in {kept} and will be sent to the store when it answers: {why}\n"
            )

    def _wake(self, recording: Recording) -> None:
        """Have the service begin the run, and look at git meanwhile: neither may hold the cell up."""
        journal = recording.journal
        begun = journal.position

        def wake() -> None:
            with contextlib.suppress(MLOpsError, OSError):
                self.ask(journal, begun, "", START_SECONDS)

        def look() -> None:
            notebook = self.context.notebook
            state = git_state(notebook.path, self.context.workspace.root)
            if state is not None:
                self.context.notebook = replace(self.context.notebook, commit=state[0], dirty=state[1])
                with contextlib.suppress(MLOpsError, OSError):
                    recording.record("commit", commit=state[0], dirty=state[1])
                    diff = uncommitted(notebook.path, self.context.workspace.root) if state[1] else ""
                    if diff:
                        place = recording.stage("uncommitted.diff")
                        place.write_text(diff, encoding="utf-8")
                        recording.staged(place, "mlops")

        threading.Thread(target=wake, name="mlops-wake", daemon=True).start()
        self._git = threading.Thread(target=look, name="mlops-git", daemon=True)
        self._git.start()

    def _open_journal(self) -> Journal:
        journal = self._journal
        if journal is not None and journal.mine and (self.active or journal.position < LARGEST_JOURNAL):
            return journal
        if journal is not None:
            journal.close()
        actor = self.context.actor
        owner = {"user": actor.user, "host": actor.host, "notebook": self.context.notebook.path}
        self._journal = Journal(self.place or self.context.workspace.home, owner)
        self._runs = 1
        return self._journal


@contextlib.contextmanager
def noting(recording: Recording, what: str) -> Iterator[None]:
    """Let no error of ours reach the user's code: it becomes a note on the run."""
    try:
        yield
    except Unavailable as error:
        recording.note(f"{what}: {error}")
    except Exception as error:
        log.debug("recording %s", what, exc_info=True)
        recording.note(f"{what}: {type(error).__name__}: {error}")
