"""On disk: what has to outlive a power cut."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["sync"]


def sync(path: Path) -> None:
    """Have a file, or the names in a folder, safely on disk.

    Examples
    --------
    >>> sync(Path.cwd())
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
