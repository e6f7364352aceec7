"""The target `dask`: ``dask_pipeline.py``, which hands the steps to a cluster or to processes of this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..plan import Plan
from .filling import fill, parameter_names, write

__all__ = ["write_dask"]


def write_dask(plan: Plan, folder: Path, facts: dict[str, Any]) -> None:
    """Write the project's file."""
    steps = [f'    "{node["name"]}": ({node["after"]!r}, {parameter_names(node)!r}),' for node in facts["graph"]]
    write(folder, "dask_pipeline.py", fill("dask_pipeline.py.txt", facts, name=facts["name"], steps="\n".join(steps)))
