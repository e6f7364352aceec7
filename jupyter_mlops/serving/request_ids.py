"""Request ids and W3C trace context: what a request is known by, its client's own or a new one."""

from __future__ import annotations

import itertools
import os
import re
import secrets
from collections.abc import Mapping

__all__ = ["new_id", "request_id", "trace_of"]

REQUEST_ID = re.compile(rb"[A-Za-z0-9._:-]{1,128}")
TRACE = re.compile(rb"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
_numbers = itertools.count(secrets.randbits(32))  # ids of this process: random where it begins, then counted


def request_id(headers: Mapping[bytes, bytes]) -> str:
    """The client's own id if it is usable, else a new one, which no other process gives."""
    given = headers.get(b"x-request-id")
    if given is not None and REQUEST_ID.fullmatch(given):
        return given.decode()
    return new_id()


def new_id() -> str:
    """An id that no other process gives."""
    return f"{_begin[0]}{next(_numbers):012x}"


def _begin_anew() -> None:
    _begin[0] = secrets.token_hex(10)


_begin = [secrets.token_hex(10)]  # what the ids of this process begin with; another after a fork
os.register_at_fork(after_in_child=_begin_anew)


def trace_of(headers: Mapping[bytes, bytes]) -> bytes | None:
    """A ``traceparent`` of the same trace with a span of our own; None for none, or for one that is not valid."""
    given = headers.get(b"traceparent")
    if given is None or not TRACE.match(given) or (given.startswith(b"00") and len(given) != 55):
        return None
    return b"00-" + given[3:35] + b"-" + secrets.token_hex(8).encode() + b"-" + given[53:55]
