"""Length: a stretch of time as a user writes it, ``90min``, ``24h``, ``7d``, ``2w``."""

from __future__ import annotations

import re

from ..errors import InvalidArgument

__all__ = ["UNITS", "parse_length"]

UNITS = {"s": 1_000, "min": 60_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}
"""Milliseconds of each unit."""


def parse_length(text: str) -> int:
    """A length of time in milliseconds.

    Raises
    ------
    InvalidArgument
        The text is none.

    Examples
    --------
    >>> parse_length("1d"), parse_length("90min")
    (86400000, 5400000)
    """
    length = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(s|min|m|h|d|w)", text.strip())
    if not length or not float(length[1]):
        raise InvalidArgument(f"{text!r} is no length of time.", hint="Write one such as 90min, 24h, 1d or 2w.")
    return int(float(length[1]) * UNITS[length[2]])
