"""Release: which version of the package a process runs, and whether its files have changed since it loaded them."""

from __future__ import annotations

import re
import sys
from pathlib import Path

__all__ = ["RELEASE", "older", "state_of_files"]

RELEASE: str = sys.modules[__name__.partition(".")[0]].__version__  # as loaded: the files may be newer by now
PACKAGE = Path(__file__).parents[1]


def older(one: str, other: str) -> bool:
    """Whether one version came before another; a process that does not tell its version is older than any that does.

    Examples
    --------
    >>> older("0.9.1", "0.10.0"), older("", "0.1.0"), older("1.0.0", "1.0.0")
    (True, True, False)
    """
    return _numbers(one) < _numbers(other)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", version))


def state_of_files() -> int:
    """When the package's newest Python file was written, in nanoseconds since 1970."""
    return max(path.stat().st_mtime_ns for path in PACKAGE.rglob("*.py"))
