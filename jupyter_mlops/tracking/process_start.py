"""When a process began: what tells it from another that was given its number later."""

from __future__ import annotations

import subprocess
from pathlib import Path

__all__ = ["start_time"]


def start_time(pid: int) -> str | None:
    """When the process began, in the system's own words; None for one that has ended or is a zombie.

    Examples
    --------
    >>> import os
    >>> start_time(os.getpid()) == start_time(os.getpid())
    True
    >>> start_time(2**22 + 1) is None
    True
    """
    if Path("/proc/self/stat").exists():
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            return None
        return None if fields[0] in "ZX" else fields[19]
    asked = ["ps", "-o", "stat=,lstart=", "-p", str(pid)]
    state, _, started = subprocess.run(asked, capture_output=True, text=True, check=False).stdout.strip().partition(" ")
    return None if not started or state.startswith("Z") else "_".join(started.split())
