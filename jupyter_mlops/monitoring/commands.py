"""The commands of the monitoring stage."""

from __future__ import annotations

from ..domain.context import CommandSet

__all__ = ["MonitoringCommands"]


class MonitoringCommands(CommandSet):
    """Inference log to drift report."""
