"""Status: what a deployment's workers are doing at this moment, out of the system, their counters and what they tell."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Sequence

from ..domain.deployment import VersionStatus, WorkerStatus
from .deployment_folder import StoredDeployment
from .metrics import VersionCounts, WorkerCounts, add_up
from .orders import WorkerState

__all__ = ["RELEASE", "cores", "parent_of", "release_of", "turned_away", "versions_of", "worker_of"]


RELEASE: str = sys.modules[__name__.partition(".")[0]].__version__  # as loaded: the files may be newer by now


def release_of(states: Sequence[WorkerState]) -> dict[str, str]:
    """Which releases of the package the workers run, and the service's own where that is another.

    Examples
    --------
    >>> release_of([])
    {'release': '', 'other_release': ''}
    >>> told = release_of([WorkerState(1, 1, {}, {}, {}, release="0.0.9")])
    >>> told["release"], told["other_release"] == RELEASE
    ('0.0.9', True)
    """
    run = sorted({state.release or "of an older version" for state in states})
    return {"release": ", ".join(run), "other_release": RELEASE if run not in ([], [RELEASE]) else ""}


def worker_of(pid: int, counted: Sequence[WorkerCounts], *, silent: bool) -> WorkerStatus:
    """One living worker."""
    mine = [worker for worker in counted if worker.pid == pid]
    health = "silent" if silent else "healthy"
    if health == "healthy" and any(worker.refusing or worker.unnoted for worker in mine):
        health = "refusing" if any(worker.refusing for worker in mine) else "unlogged"
    return WorkerStatus(pid, health, memory_of(pid), sum(counts.requests for counts in add_up(mine).values()))


def versions_of(
    stored: StoredDeployment, states: Sequence[WorkerState], counted: Sequence[WorkerCounts]
) -> tuple[VersionStatus, ...]:
    """Every version of a deployment: its part, its path, and what was counted of it since its servers were started."""
    total = add_up(counted)
    found = []
    for share in stored.traffic:
        counts = total.get(share.model, VersionCounts())
        if share.role == "shadow":
            counts = total.get(f"{share.model} (shadow)", VersionCounts())
        p50, p99 = counts.quantile(0.5), counts.quantile(0.99)
        found.append(
            VersionStatus(
                model=share.model,
                role=share.role,
                weight=share.weight,
                path=next((s.ready[share.model] for s in states if share.model in s.ready), ""),
                path_reason=next((s.reasons[share.model] for s in states if share.model in s.reasons), ""),
                requests=counts.requests,
                refused=counts.statuses[3],
                errors=counts.errors,
                predictions=counts.rows,
                p50_ms=None if p50 is None else round(p50 * 1000, 3),
                p99_ms=None if p99 is None else round(p99 * 1000, 3),
            )
        )
    return tuple(found)


def turned_away(counted: Sequence[WorkerCounts]) -> dict[str, int]:
    """How many requests no version was asked for, over all workers, by HTTP status."""
    found: Counter[int] = Counter()
    for worker in counted:
        found.update(worker.turned_away)
    return {str(status): many for status, many in sorted(found.items())}


def memory_of(pid: int) -> int:
    """How many bytes of memory a process holds, its part of what it shares with others; 0 where that cannot be told."""
    try:
        import psutil

        process = psutil.Process(pid)
        # workers are forked with the models loaded: each counted whole, they would be told many times over
        return int(process.memory_full_info().pss if sys.platform == "linux" else process.memory_info().rss)
    except Exception:  # it has just ended, or another system's rules
        return 0


def parent_of(pid: int) -> int:
    """The number of a living process's parent, 0 where it has ended."""
    try:
        import psutil

        process = psutil.Process(pid)
        return 0 if process.status() == psutil.STATUS_ZOMBIE else int(process.ppid())
    except Exception:  # it has ended
        return 0


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
