"""The target `airflow`: ``airflow_dag.py`` for Airflow 3's Task SDK, a task a step."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ...analysis.source import indent
from ..plan import Plan
from .filling import fill, identifier, parameter_names, write

__all__ = ["write_airflow"]


def write_airflow(plan: Plan, folder: Path, facts: dict[str, Any]) -> None:
    """Write the project's file."""
    lines = []
    for node in facts["graph"]:
        task = f'step.override(task_id="{node["name"]}")("{node["name"]}", {parameter_names(node)!r})'
        lines.append(f"{node['name']}_task = {task}")
        if node["after"]:
            before = ", ".join(f"{other}_task" for other in node["after"])
            lines.append(f"[{before}] >> {node['name']}_task")
    parameters = [p["name"] for p in facts["parameters"]]
    lines.append(f"[{', '.join(n['name'] + '_task' for n in facts['graph'])}] >> log_metrics({parameters!r})")
    text = fill(
        "airflow_dag.py.txt", facts, name=facts["name"], title=identifier(facts["name"], "_"),
        schedule=repr(facts["schedule"] or None), tasks=indent("\n".join(lines)),
        parameters=repr({p["name"]: p["default"] for p in facts["parameters"]}),
    )  # fmt: skip
    write(folder, "airflow_dag.py", text)
