"""The commands of the registry stage."""

from __future__ import annotations

from ..domain.context import CommandSet

__all__ = ["RegistryCommands"]


class RegistryCommands(CommandSet):
    """Run to model version."""
