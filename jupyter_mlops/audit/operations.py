"""What the service does for the audit stage."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..domain.operation import Operation
from ..store.host import Host
from .trail import read_trail

__all__ = ["OPERATIONS", "trail_path"]


def trail_path(home: Path) -> Path:
    """Where a workspace keeps its trail."""
    return home / "audit" / "trail.jsonl"


def read(host: Host, *, limit: int, target: str) -> dict[str, Any]:
    """The newest entries."""
    return read_trail(trail_path(host.workspace.home), limit=limit, target=target).to_dict()


OPERATIONS = {"audit.read": Operation(read)}
