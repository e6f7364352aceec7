"""Operation and duty: what the service can be asked to do, and what it does unasked; declared as data by the stages."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["Duty", "Operation"]


@dataclass(frozen=True)
class Operation:
    """One thing the service does when asked.

    Parameters
    ----------
    function
        Called as ``function(host, **arguments)``; arguments and answer are JSON-ready.
    action
        How the audit trail names it, ``model.promote``; empty for what changes nothing. An audited operation may be
        asked for again with the same request id after a crash, so it must find what its first try left behind:
        ``host.request`` is the id to mark it with.
    target
        The argument that says what it acts on, for the audit trail.
    topics
        What the panel reloads when it is done: ``runs data models deployments reports audit``.
    details
        What the audit trail tells of arguments that are not plain values, called with all of them; without it they are
        left out, since what is personal is handed over so.
    """

    function: Callable[..., Any]
    action: str = ""
    target: str = ""
    topics: tuple[str, ...] = ()
    details: Callable[[Mapping[str, Any]], dict[str, Any]] | None = None


@dataclass(frozen=True)
class Duty:
    """Something the service does by itself, again and again.

    Parameters
    ----------
    every
        Seconds between the end of one turn and the start of the next.
    turn
        One turn, called as ``turn(host)``; an exception is logged and the next turn comes all the same.
    busy
        Whether there is something to stay alive for, called as ``busy(host)``.
    """

    name: str
    every: float
    turn: Callable[[Any], None]
    busy: Callable[[Any], bool]
