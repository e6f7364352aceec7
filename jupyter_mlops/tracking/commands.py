"""The commands of the tracking stage."""

from __future__ import annotations

from ..domain.context import CommandSet

__all__ = ["TrackingCommands"]


class TrackingCommands(CommandSet):
    """Cell to run."""
