"""The target `dagster`: ``dagster_definitions.py`` with an asset a step."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..plan import Plan
from .filling import fill, identifier, parameter_names, write

__all__ = ["write_dagster"]


def write_dagster(plan: Plan, folder: Path, facts: dict[str, Any]) -> None:
    """Write the project's file."""
    fields = [f"    {p['name']}: {p['type']} = {p['default']!r}" for p in facts["parameters"]]
    schedule = facts["schedule"]
    text = fill(
        "dagster_definitions.py.txt", facts, name=facts["name"], title=identifier(facts["name"], "_"),
        fields="\n".join(fields) or "    pass", assets="\n\n\n".join(_asset(node) for node in facts["graph"]),
        all=", ".join(f"{node['name']}_asset" for node in facts["graph"]),
        all_parameters=_parameters([p["name"] for p in facts["parameters"]]),
        schedules=f'dg.ScheduleDefinition(job=job, cron_schedule="{schedule}")' if schedule else "",
    )  # fmt: skip
    write(folder, "dagster_definitions.py", text)


def _parameters(names: list[str]) -> str:
    return "{" + ", ".join(f'"{name}": parameters.{name}' for name in names) + "}"


def _asset(node: dict[str, Any]) -> str:
    name = node["name"]
    before = ", ".join(f"{other}_asset" for other in node["after"])
    call = f'run("step.py", ["{name}"], "{name}", {_parameters(parameter_names(node))})'
    return f'@dg.asset(name="{name}", deps=[{before}])\ndef {name}_asset(parameters: Parameters) -> None:\n    {call}'
