"""Sink: what a way of sending alerts declares."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ...domain.alert import Alert

__all__ = ["Message", "Sink"]


@dataclass(frozen=True)
class Message:
    """One thing to send.

    Parameters
    ----------
    id
        The same each time it is tried: whoever receives it knows a repetition by it.
    kind
        ``alert.firing`` or ``alert.resolved``.
    home
        The workspace's ``.mlops``, where a sink keeps what it needs.
    smtp
        The mail server as the settings have it; empty for none.
    """

    id: str
    kind: str
    alert: Alert
    home: Path
    smtp: str = ""


@dataclass(frozen=True)
class Sink:
    """A way of sending alerts.

    Parameters
    ----------
    example
        How it is written in a command.
    check
        Raises `InvalidArgument` for a target, and the mail server of the settings, that cannot work.
    send
        Sends a message to a target; gives how it went in a few words, and raises what went wrong.
    """

    name: str
    example: str
    check: Callable[[str, str], None]
    send: Callable[[str, Message], str]
