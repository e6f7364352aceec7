"""The target `snakemake`: a ``Snakefile`` with a rule a step."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..plan import Plan
from .filling import fill, parameter_names, write

__all__ = ["write_snakemake"]


def write_snakemake(plan: Plan, folder: Path, facts: dict[str, Any]) -> None:
    """Write the project's file."""
    states = ["random_state.json"] if plan.random_states else []
    text = fill(
        "Snakefile.txt", facts, name=facts["name"], rules="\n\n\n".join(_rule(node, facts, states) for node in facts["graph"]),
        parameters=repr({p["name"]: p["default"] for p in facts["parameters"]}),
        all="\n".join(_values(node["name"]) for node in facts["graph"]),
    )  # fmt: skip
    write(folder, "Snakefile", text)


def _values(step: str) -> str:
    return f'        WORK + "/{step}/values.json",'


def _rule(node: dict[str, Any], facts: dict[str, Any], states: list[str]) -> str:
    name, names = node["name"], parameter_names(node)
    data = [f'        HOME + "/{facts["runs_in"]}/{file}",' for file in node["files"]]
    code = [f'        HOME + "/{file}",' for file in ("pipeline.py", *states)]
    needs = [*(_values(other) for other in node["after"]), *data, *code]
    taken = f"settings({', '.join(map(repr, names))})"
    command = f"python {{HOME:q}}/step.py {name} --inputs {{WORK:q}} --outputs {{WORK:q}}/{name} {{params.settings:q}}"
    return (
        f"rule {name}:\n    input:\n" + "\n".join(needs) + f"\n    output:\n{_values(name)}\n"
        f'    params:\n        settings={taken},\n    shell:\n        "{command}"'
    )
