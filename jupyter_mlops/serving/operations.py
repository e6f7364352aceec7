"""What the service does for the serving stage."""

from __future__ import annotations

from ..domain.operation import Duty, Operation
from ..store.host import Host

__all__ = ["DUTIES", "OPERATIONS", "names"]

OPERATIONS: dict[str, Operation] = {}

DUTIES: tuple[Duty, ...] = ()


def names(host: Host) -> list[str]:
    """The names of the workspace's deployments."""
    return []
