"""Stretch: how a part of the inference log is named: so many rows, since when, a sliding or a calendar window."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from ..domain.length import UNITS, parse_length
from ..errors import InvalidArgument

__all__ = ["CALENDAR", "Span", "parse_since", "parse_window", "span_of", "spans"]

CALENDAR = ("hour", "day", "week", "month")


@dataclass(frozen=True)
class Span:
    """A window by its times: from `start` up to, not with, `end`, in milliseconds since 1970."""

    start: int
    end: int


def parse_window(text: str, now_ms: int) -> tuple[Span, Span]:
    """A window that ends now and the one before it: a length that slides, or a calendar ``hour day week month`` (UTC).

    Raises
    ------
    InvalidArgument
        The text is neither.

    Examples
    --------
    >>> parse_window("1h", 7_200_000)
    (Span(start=3600000, end=7200000), Span(start=0, end=3600000))
    >>> parse_window("day", 90_000_000)
    (Span(start=86400000, end=90000000), Span(start=0, end=86400000))
    """
    word = text.strip().lower()
    if word not in CALENDAR:
        try:
            length = parse_length(word)
        except InvalidArgument:
            raise InvalidArgument(
                f"{text!r} is no window.", hint=f"Write a length such as 24h or 7d, or one of {', '.join(CALENDAR)}."
            ) from None
        return Span(now_ms - length, now_ms), Span(now_ms - 2 * length, now_ms - length)
    start = _begin(word, datetime.fromtimestamp(now_ms / 1000, UTC))
    before = _begin(word, start - timedelta(milliseconds=1))
    return Span(_ms(start), now_ms), Span(_ms(before), _ms(start))


def spans(every: int, first_ms: int, now_ms: int, *, most: int) -> list[Span]:
    """The windows of one length that cover a time, oldest first, the last of them not over yet; at most the newest `most`.

    They begin at multiples of the length since Monday, 1970-01-05 (UTC): days at midnight, weeks on Mondays.

    Examples
    --------
    >>> spans(86_400_000, 100_000_000, 200_000_000, most=9)
    [Span(start=86400000, end=172800000), Span(start=172800000, end=259200000)]
    """
    last = span_of(every, now_ms)
    first = max(span_of(every, first_ms).start, last.start - (most - 1) * every)
    return [Span(start, start + every) for start in range(first, last.end, every)]


def span_of(every: int, time_ms: int) -> Span:
    """The window of one length that a time lies in, as `spans` cuts them.

    Examples
    --------
    >>> span_of(86_400_000, 100_000_000)
    Span(start=86400000, end=172800000)
    """
    monday = 4 * UNITS["d"]
    start = time_ms - (time_ms - monday) % every
    return Span(start, start + every)


def _begin(unit: str, when: datetime) -> datetime:
    hour = when.replace(minute=0, second=0, microsecond=0)
    day = hour.replace(hour=0)
    if unit == "week":
        return day - timedelta(days=day.weekday())
    return {"hour": hour, "day": day, "month": day.replace(day=1)}[unit]


def _ms(when: datetime) -> int:
    return int(when.timestamp() * 1000)


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
