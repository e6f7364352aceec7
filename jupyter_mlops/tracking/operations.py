"""What the service does for the tracking stage."""

from __future__ import annotations

from ..domain.operation import Duty, Operation
from ..store.host import Host

__all__ = ["DUTIES", "OPERATIONS", "pending"]

OPERATIONS: dict[str, Operation] = {}

DUTIES: tuple[Duty, ...] = ()


def pending(host: Host) -> int:
    """How many events kernels have logged that the store has not got yet."""
    return 0
