"""Host: what an operation inside the service is handed: the store, the workspace, who asks, and how to tell of changes."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..domain.workspace import Actor, Workspace
from ..settings import Settings

if TYPE_CHECKING:
    from .store import Store

__all__ = ["Host"]


@dataclass
class Host:
    """The inside of the service, as one operation or duty sees it.

    Parameters
    ----------
    open_store
        Gives the open store; waits while it is being opened, raises `StoreUnavailable` when it cannot be.
    changed
        Tells everyone who watches that a topic has news.
    audit
        Writes a change that a duty carried out into the trail, once for each key:
        ``audit(key, actor, action, target, details)``. Operations with an ``action`` are written by themselves.
    progress
        Sends the caller a line of progress.
    request
        The id of the request being carried out; the same when it is asked again after a crash.
    shared
        What the stages keep between operations, by stage name.
    """

    settings: Settings
    workspace: Workspace
    open_store: Callable[[], Store]
    changed: Callable[[str], None]
    stopping: threading.Event
    audit: Callable[[str, Actor, str, str, dict[str, Any]], None]
    progress: Callable[[str], None] = lambda _line: None
    actor: Actor = field(default_factory=Actor)
    request: str = ""
    shared: dict[str, Any] = field(default_factory=dict)

    @property
    def store(self) -> Store:
        """The open store."""
        return self.open_store()
