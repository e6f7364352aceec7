"""Context: what a command is handed besides its arguments, and the base of every stage's commands."""

from __future__ import annotations

import sys
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from .workspace import Actor, Cell, Notebook, Via, Workspace

__all__ = ["CommandSet", "Context", "KnownObjects", "Recorder", "Service", "now_ms"]


def now_ms() -> int:
    """The time in whole milliseconds since 1970, as MLflow counts."""
    return time.time_ns() // 1_000_000


class Service(Protocol):
    """The workspace's background process, as the stages see it."""

    def call(
        self,
        operation: str,
        /,
        *,
        progress: Callable[[str], None] | None = None,
        timeout: float | None = None,
        **arguments: Any,
    ) -> Any:
        """Carry out one operation inside the service, exactly once, and return its JSON-ready answer.

        Starts the service if none runs. Errors of ours that the operation raises are raised here again.
        """

    def running(self) -> bool:
        """Whether the service answers now; starts nothing."""

    def start(self) -> None:
        """Start the service unless it runs."""

    def stopped_since(self, moment: float) -> bool:
        """Whether somebody has ended the service by hand since `moment`, in seconds since 1970."""
        return False


class Recorder(Protocol):
    """The run that is being recorded right now."""

    def record(self, kind: str, **payload: Any) -> None:
        """Append one event to the run's durable log; see `tracking.journal` for the kinds."""


class KnownObjects:
    """What objects in memory are known as, by identity and for as long as they live: tables as data versions, models as logged ones.

    Parameters
    ----------
    glance
        Gives a mark of an object's content; one whose mark has changed is only made of what it is known as. None looks at
        none.

    Examples
    --------
    >>> class Table: ...
    >>> known, table = KnownObjects(), Table()
    >>> known.remember(table, "adult@v1", "b3:12")
    >>> known.find(table), known.find(Table())
    (('adult@v1', 'b3:12'), None)
    """

    def __init__(self, glance: Callable[[Any], Any] | None = None) -> None:
        self.glance = glance
        self._known: dict[int, tuple[weakref.ref[Any], tuple[str, str], Any]] = {}

    def remember(self, thing: Any, ref: str, digest: str) -> None:
        """`thing` is known as `ref`, with this digest, until it dies or is changed in place."""
        key = id(thing)
        mark = self.glance(thing) if self.glance is not None else None
        self._known[key] = (weakref.ref(thing, lambda _: self._known.pop(key, None)), (ref, digest), mark)

    def find(self, thing: Any) -> tuple[str, str] | None:
        """The ref and digest of what `thing` holds, else None."""
        named = self.origin(thing)
        if named is not None and self.glance is not None and self.glance(thing) != self._known[id(thing)][2]:
            return None
        return named

    def origin(self, thing: Any) -> tuple[str, str] | None:
        """The ref and digest of what `thing` held when it was remembered, whatever has been done to it since."""
        reference, named, _ = self._known.get(id(thing), (None, None, None))
        return named if reference is not None and reference() is thing else None


@dataclass
class Context:
    """One workspace as seen by one process: the stages' commands share it.

    Parameters
    ----------
    interpreter
        The Python that deployments and pipelines run with: the one of whoever asks.
    namespace
        The user's variables, in a kernel; None elsewhere.
    cells
        What has been executed in this kernel, oldest first.
    recorder
        The run being recorded, None between runs.
    progress
        Shows a line of progress; silent by default.
    """

    workspace: Workspace
    service: Service
    actor: Actor = field(default_factory=Actor)
    settings: Any = None
    notebook: Notebook = field(default_factory=Notebook)
    interpreter: str = sys.executable
    namespace: dict[str, Any] | None = None
    cells: list[Cell] = field(default_factory=list)
    evidence: Any = None
    """What each cell was seen to bind and change, an `analysis.evidence.Watch`; None where nobody watches."""
    tracker: Any = None
    """What records this process's runs, a `tracking.tracker.Tracker`; None until the first is begun."""
    recorder: Recorder | None = None
    known_tables: KnownObjects = field(default_factory=KnownObjects)
    """Tables in memory that hold a saved data version: its ref and digest."""
    known_inputs: tuple[Any, dict[str, Any]] = (None, {})
    """What identifies the inputs of the last fit, and what was found out of them for its model's package."""
    loads: dict[int, dict[str, str]] = field(default_factory=dict)
    """By a cell's number the data versions that it loaded by what may lead to another one later: a name, a branch, a day."""
    pinned: dict[str, str] = field(default_factory=dict)
    """What such a reference leads to here: in a run that is executed again, what it led to then."""
    watched: dict[str, int] = field(default_factory=dict)
    """Deployments whose traffic this process has shared out, and up to when it knows what became of it, in milliseconds."""
    personal: set[str] = field(default_factory=set)
    """Columns that the data versions read or saved here declare as personal."""
    known_models: KnownObjects = field(default_factory=KnownObjects)
    """Estimators that a run has logged: the logged model's key and the digest of its stored file."""
    progress: Callable[[str], None] = lambda _line: None
    hooks: dict[str, Callable[..., Any]] = field(default_factory=dict)
    """What a later stage offers to an earlier one, by name; set by `Session`, described where it is called."""
    looking_for: tuple[str, Callable[[], dict[str, str]]] = ("load", dict)
    """What data is read for now, and the model it is read for: what is noted of a look at a sealed data version."""

    def call(self, operation: str, /, **arguments: Any) -> Any:
        """Call the service, showing its progress."""
        self.locate_notebook()
        return self.service.call(operation, progress=self.progress, **arguments)

    def locate_notebook(self) -> None:
        """Find out which notebook this kernel runs, where nobody has yet: whatever surface asks comes by here."""
        find = self.hooks.get("locate_notebook")
        if find is not None:
            find()

    @contextmanager
    def looking(self, purpose: str, candidate: Callable[[], dict[str, str]] = dict) -> Iterator[None]:
        """Say what the data that is read meanwhile is read for.

        Parameters
        ----------
        purpose
            One word: ``evaluate``.
        candidate
            Tells, when it has to be known, by what the model is known: ``model``, ``model_id``, ``key``, ``digest``.
        """
        before, self.looking_for = self.looking_for, (purpose, candidate)
        try:
            yield
        finally:
            self.looking_for = before

    @property
    def asking(self) -> Actor:
        """Who asks now, for the audit trail: by which surface, from which notebook, cell and commit."""
        running = next((cell for cell in reversed(self.cells) if cell.outcome == "running"), None)
        where = "" if running is None else f"In [{running.count}] {running.id}".rstrip()
        commit = self.notebook.commit + ("+" if self.notebook.dirty else "")
        return replace(self.actor, notebook=self.notebook.path or self.actor.notebook, cell=where, commit=commit)

    @contextmanager
    def acting(self, via: Via) -> Iterator[None]:
        """Name the surface that asks while a command runs; without it, it is `actor`'s."""
        before, self.actor = self.actor, replace(self.actor, via=via)
        try:
            yield
        finally:
            self.actor = before


class CommandSet:
    """The base of a stage's commands: methods under `domain.command.command`, sharing one context."""

    def __init__(self, context: Context) -> None:
        self.context = context
