"""Request ids and W3C trace context: what a request is known by, its client's own or a new one."""

from __future__ import annotations

import itertools
import os
import re
import secrets
from collections.abc import Mapping
from typing import Any

__all__ = ["request_id", "trace_of"]

REQUEST_ID = re.compile(rb"[A-Za-z0-9._:-]{1,128}")
TRACE = re.compile(rb"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
_numbers = itertools.count(secrets.randbits(32))  # ids of this process: random where it begins, then counted


def request_id(headers: Mapping[bytes, bytes]) -> str:
    """The client's own id if it is usable, else a new one, which no other process gives."""
    given = headers.get(b"x-request-id")
    if given is not None and REQUEST_ID.fullmatch(given):
        return given.decode()
    return f"{_process()}{next(_numbers):012x}"


def _process() -> str:
    """What the ids of this process begin with; another after a fork."""
    if _known[0] != os.getpid():
        _known[:] = [os.getpid(), secrets.token_hex(10)]
    return str(_known[1])


_known: list[Any] = [0, ""]


def trace_of(headers: Mapping[bytes, bytes]) -> bytes | None:
    """A ``traceparent`` of the same trace with a span of our own; None for none, or for one that is not valid."""
    given = headers.get(b"traceparent")
    if given is None or not TRACE.match(given) or (given.startswith(b"00") and len(given) != 55):
        return None
    return b"00-" + given[3:35] + b"-" + secrets.token_hex(8).encode() + b"-" + given[53:55]
