"""Targets: what a pipeline can be exported to, one file each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ..plan import Plan
from .python import write_python

__all__ = ["TARGETS", "Target"]


@dataclass(frozen=True)
class Target:
    """One form of a pipeline.

    Parameters
    ----------
    write
        Writes the form into a folder: ``write(plan, folder, facts)``, where `facts` is what ``pipeline.json`` says.
    """

    title: str
    write: Callable[[Plan, Path, dict[str, object]], None]


TARGETS: dict[str, Target] = {
    "python": Target("a Python project: pipeline.py with one function a step", write_python),
}
