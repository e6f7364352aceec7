"""The commands of the datasets stage."""

from __future__ import annotations

from ..domain.context import CommandSet

__all__ = ["DataCommands"]


class DataCommands(CommandSet):
    """Tables with versions: the commands of the group ``data``."""
