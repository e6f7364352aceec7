"""Limits: how much one request, and all of them together, may ask of a model server."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["DEPTH", "ROWS", "Limits"]

DEPTH = 32  # how deep JSON may nest; deeper is answered 422
ROWS = 1_000_000  # predictions asked for in one request; more is answered 413


@dataclass(frozen=True)
class Limits:
    """What one worker process takes.

    Parameters
    ----------
    body
        Bytes of a request's body; more is answered 413.
    seconds
        How long a prediction may take; longer is answered 504, and not logged.
    requests
        Requests being answered at one time; more are answered 429 with ``Retry-After``.
    silence
        Seconds that a connection may be without a request, that a request's head may take to arrive, and that may pass
        between two pieces of its body; a client that is slower is answered 408 where it had begun one, and disconnected.
    """

    body: int = 64 << 20
    seconds: float = 60.0
    requests: int = 1024
    silence: float = 75.0
