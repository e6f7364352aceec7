"""The commands of the retraining stage."""

from __future__ import annotations

from ..domain.context import CommandSet

__all__ = ["RetrainingCommands"]


class RetrainingCommands(CommandSet):
    """Alert to retrained run."""
