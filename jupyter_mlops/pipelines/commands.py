"""The commands of the pipelines stage."""

from __future__ import annotations

from ..domain.context import CommandSet

__all__ = ["PipelineCommands"]


class PipelineCommands(CommandSet):
    """Notebook to pipeline."""
