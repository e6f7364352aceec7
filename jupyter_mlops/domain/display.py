"""Displayed: how a noun shows itself, in text by itself and in HTML by whoever draws.

The nouns know no widget: `jupyter_mlops/__init__.py` sets `draw` once, and it imports the drawing code only when
something is shown.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

__all__ = ["Displayed", "ago", "brief", "clock", "cut", "seconds", "set_draw", "several", "table"]

MOST_LINES = 400
MimeBundle = tuple[dict[str, Any], dict[str, Any]]

_draw: Callable[[Displayed], Mapping[str, Any]] | None = None


class Displayed:
    """A result that a cell or a shell can show. Showing it changes nothing."""

    def text(self) -> str:
        """The plain-text form, for shells and terminals."""
        raise NotImplementedError(type(self).__name__)

    def __str__(self) -> str:
        return self.text()

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text(self.text())

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        """Plain text always, and what `draw` adds: static HTML, a figure, a widget where one can live."""
        drawn = _draw(self) if _draw is not None else {}
        return {"text/plain": _kept(self.text()), **drawn}


def set_draw(draw: Callable[[Displayed], Mapping[str, Any]]) -> None:
    """Name the function that gives a noun's other forms: MIME type to data."""
    global _draw  # noqa: PLW0603 one process draws in one way; set at import
    _draw = draw


def _kept(text: str) -> str:
    """What a notebook keeps of a text: ten thousand lines would be a megabyte in its file."""
    lines = text.split("\n")
    left = len(lines) - MOST_LINES
    return text if left <= 0 else "\n".join([*lines[:MOST_LINES], f"... and {left:,} more lines: print() shows them"])


def cut(text: str, longest: int) -> str:
    """A text of at most so many letters: its beginning and its end, since names that begin alike end differently.

    Examples
    --------
    >>> cut("numeric_feature_with_a_long_name_12", 24)
    'numeric_featur…g_name_12'
    >>> cut("age", 24)
    'age'
    """
    if len(text) <= longest:
        return text
    end = (longest - 1) * 2 // 5
    return f"{text[: longest - 1 - end].rstrip()}…{text[len(text) - end :].lstrip()}"


def brief(value: float, sign: str = "") -> str:
    """A number as it is read: three decimals where it is small, and none that mean nothing where it is large.

    Examples
    --------
    >>> brief(0.82956), brief(-0.02, "+"), brief(132.46), brief(56978.438)
    ('0.830', '-0.020', '132.5', '56,978')
    """
    size = abs(value)
    return f"{value:{sign},.{3 if size < 100 else 1 if size < 1000 else 0}f}"


def table(headers: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Columns of text, padded.

    Examples
    --------
    >>> print(table(["name", "n"], [["a", 1], ["long", 22]]))
    name  n
    a     1
    long  22
    """
    cells = [[str(cell) for cell in row] for row in [headers, *rows]]
    widths = [max(len(row[i]) for row in cells) for i in range(len(headers))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells
    )


def several(count: int, noun: str) -> str:
    """A number of things in words.

    Examples
    --------
    >>> several(1, "row"), several(2_000, "row")
    ('1 row', '2,000 rows')
    """
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def byte_size(count: int) -> str:
    """A number of bytes in words, in powers of 1,000.

    Examples
    --------
    >>> byte_size(512), byte_size(1_536), byte_size(2_500_000_000)
    ('512 B', '1.5 kB', '2.5 GB')
    """
    size, unit = float(count), "B"
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if abs(size) < 1000 or unit == "TB":
            break
        size /= 1000
    return f"{size:.0f} B" if unit == "B" else f"{size:.1f} {unit}"


def clock(ms: int | None) -> str:
    """A time in milliseconds since 1970 as local ``2026-11-01 09:30:00``; a dash for none."""
    if ms is None:
        return "-"
    return datetime.fromtimestamp(ms / 1000, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def border(ms: int | None) -> str:
    """Where a window begins or ends, as local ``2026-11-01 09:30``; with the second where it is not a whole minute.

    Examples
    --------
    >>> border(120_000)[-3:], border(121_000)[-3:], border(None)
    (':02', ':01', '-')
    """
    return clock(ms).removesuffix(":00") if ms is None or ms % 60_000 == 0 else clock(ms)


def ago(ms: int | None, now_ms: int) -> str:
    """How long ago, in the largest whole unit.

    Examples
    --------
    >>> ago(0, 90_000), ago(0, 4 * 3_600_000), ago(None, 0)
    ('1 min ago', '4 h ago', '-')
    """
    if ms is None:
        return "-"
    passed = max(0, now_ms - ms) // 1000
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if passed >= size:
            return f"{passed // size} {unit} ago"
    return f"{passed} s ago"


def seconds(ms: float | None) -> str:
    """A duration given in milliseconds, readable.

    Examples
    --------
    >>> seconds(12), seconds(3_210), seconds(75_000), seconds(None)
    ('12 ms', '3.2 s', '1 min 15 s', '-')
    """
    if ms is None or ms != ms or ms == float("inf"):  # noqa: PLR0124 not a number
        return "-"
    if ms < 1000:
        return f"{ms:.0f} ms"
    if ms < 60_000:
        return f"{ms / 1000:.1f} s"
    return f"{int(ms // 60_000)} min {int(ms % 60_000 // 1000)} s"
