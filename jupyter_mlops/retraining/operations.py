"""What the service does for the retraining stage."""

from __future__ import annotations

from ..domain.operation import Duty, Operation

__all__ = ["DUTIES", "OPERATIONS"]

OPERATIONS: dict[str, Operation] = {}

DUTIES: tuple[Duty, ...] = ()
