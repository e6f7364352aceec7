"""What is installed: every distribution and its version, read off the names of folders.

Reading every METADATA file, as `importlib.metadata` does, takes a hundred times as long.
"""

from __future__ import annotations

import os
import re
import sys
from functools import cache

__all__ = ["installed", "version"]

DISTRIBUTION = re.compile(r"^(?P<name>.+?)-(?P<version>[^-]+)\.(dist|egg)-info$")


def installed() -> dict[str, tuple[str, str]]:
    """Every installed distribution, by its name in lower case with single dashes: its name and version."""
    return _installed(tuple(sys.path))


def version(package: str) -> str:
    """The installed version of a package, empty if it is not installed.

    Examples
    --------
    >>> version("scikit_learn") == version("scikit-learn") != ""
    True
    >>> version("not-there-at-all")
    ''
    """
    return installed().get(_plain(package), ("", ""))[1]


@cache
def _installed(path: tuple[str, ...]) -> dict[str, tuple[str, str]]:
    found: dict[str, tuple[str, str]] = {}
    for place in path:
        try:
            names = os.listdir(place or ".")  # noqa: PTH208 a Path for each of thousands of names costs
        except OSError:
            continue
        for name in names:
            match = DISTRIBUTION.match(name)
            if match is not None:
                found.setdefault(_plain(match["name"]), (match["name"], match["version"]))
    return found


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
