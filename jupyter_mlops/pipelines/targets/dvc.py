"""The target `dvc`: ``dvc.yaml`` with a stage a step, and its parameters in ``params.yaml``."""

from __future__ import annotations

import posixpath
from pathlib import Path
from typing import Any

from ..plan import Plan
from .filling import command_words, fill, parameter_names, quoted, write

__all__ = ["write_dvc"]


def write_dvc(plan: Plan, folder: Path, facts: dict[str, Any]) -> None:
    """Write the project's files."""
    states = ["random_state.json"] if plan.random_states else []
    stages = [_stage(node, facts, states) for node in facts["graph"]]
    done = [f"work/{node['name']}" for node in facts["graph"]]
    last = f"  log_metrics:\n    cmd: {quoted(_command(None, facts))}\n    deps:\n{_items(['log.py', *done])}"
    last += "    metrics:\n      - work/metrics.json:\n          cache: false\n"
    write(folder, "dvc.yaml", fill("dvc.yaml.txt", facts, stages="".join([*stages, last]).rstrip()))
    parameters = "\n".join(f"{p['name']}: {quoted(p['default'])}" for p in facts["parameters"])
    write(folder, "params.yaml", fill("params.yaml.txt", facts, parameters=parameters or "{}"))


def _stage(node: dict[str, Any], facts: dict[str, Any], states: list[str]) -> str:
    data = [posixpath.normpath(posixpath.join(facts["runs_in"], name)) for name in node["files"]]
    modules = [name if (Path.cwd() / name).is_dir() else f"{name}.py" for name in facts["modules"]]
    needs = ["pipeline.py", "step.py", *states, *modules, *(f"work/{other}" for other in node["after"]), *data]
    names = parameter_names(node)
    taken = f"    params:\n{_items(names)}" if names else ""
    name = node["name"]
    return f"  {name}:\n    cmd: {quoted(_command(node, facts))}\n    deps:\n{_items(needs)}{taken}    outs:\n{_items([f'work/{name}'])}"


def _command(node: dict[str, Any] | None, facts: dict[str, Any]) -> str:
    text = command_words(node, facts, place="", value="<{name}>")
    for parameter in facts["parameters"]:
        text = text.replace(f"<{parameter['name']}>", "${" + parameter["name"] + "}")
    return text


def _items(names: list[str]) -> str:
    return "".join(f"      - {quoted(name)}\n" for name in names)
