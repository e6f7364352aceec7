"""The commands of the serving stage."""

from __future__ import annotations

from ..domain.context import CommandSet

__all__ = ["ServingCommands"]


class ServingCommands(CommandSet):
    """Model version to deployment."""
