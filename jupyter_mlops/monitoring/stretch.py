"""Stretch: how a part of the inference log is named: so many rows, or since when."""

from __future__ import annotations

import re
from datetime import datetime

from ..errors import InvalidArgument

__all__ = ["parse_since"]

UNITS = {"s": 1_000, "min": 60_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}


def parse_since(text: str, now_ms: int) -> int:
    """A time in milliseconds since 1970: a length before now, or an ISO date or time, local where it names no zone.

    Raises
    ------
    InvalidArgument
        The text is neither.

    Examples
    --------
    >>> parse_since("24h", 100_000_000), parse_since("1970-01-02T00:00Z", 0)
    (13600000, 86400000)
    """
    length = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(s|min|m|h|d|w)", text.strip())
    if length:
        return now_ms - int(float(length[1]) * UNITS[length[2]])
    try:
        return int(datetime.fromisoformat(text.strip()).timestamp() * 1000)
    except (ValueError, OverflowError):
        raise InvalidArgument(
            f"{text!r} is no time.", hint="Write a length such as 90min, 24h or 7d, or a time such as 2026-11-01T09:30."
        ) from None
