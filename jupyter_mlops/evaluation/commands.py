"""The commands of the evaluation stage."""

from __future__ import annotations

from ..domain.context import CommandSet

__all__ = ["EvaluationCommands"]


class EvaluationCommands(CommandSet):
    """Data version and model to evaluation."""
