"""What the service does for the pipelines stage: exports and verifications happen in the kernel; here they are audited."""

from __future__ import annotations

from typing import Any

from ..domain.operation import Duty, Operation
from ..store.host import Host

__all__ = ["DUTIES", "OPERATIONS"]


def exported(host: Host, *, directory: str, notebook: str, steps: list[str], verdict: str) -> dict[str, Any]:
    """A pipeline was exported."""
    return {"directory": directory, "notebook": notebook, "steps": steps, "verdict": verdict}


def verified(host: Host, *, directory: str, verdict: str) -> dict[str, Any]:
    """A pipeline was verified."""
    return {"directory": directory, "verdict": verdict}


OPERATIONS: dict[str, Operation] = {
    "pipelines.exported": Operation(exported, action="pipeline.export", target="directory"),
    "pipelines.verified": Operation(verified, action="pipeline.verify", target="directory"),
}

DUTIES: tuple[Duty, ...] = ()
