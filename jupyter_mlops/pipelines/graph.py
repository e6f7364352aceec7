"""Graph: which step needs what of which other, for steps that run in processes of their own."""

from __future__ import annotations

import ast
import builtins
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ..analysis.dataflow import RANDOM, Flow
from ..analysis.outside import depends_on_file
from .plan import Plan

__all__ = ["WHOLE", "step_graph"]

WHOLE = "whole_notebook"
"""The one step of the form whose steps share the notebook's variables."""
MOST_FILES = 100


def step_graph(plan: Plan) -> list[dict[str, Any]]:
    """The steps in order, each a dict.

    ``inputs``: what it needs, by the step that gives it, empty for a parameter. ``outputs``: what it gives, in order.
    ``after``: the steps that must be done before. ``random``: it draws from the global random generators, or seeds them;
    ``random_from``: the step whose state of them it takes up. ``settings``: statements of earlier steps that set
    something for the whole process. ``files``: files that its text names, relative to where the notebook ran.
    """
    if plan.form == "shared":
        flows = [flow for step in plan.steps for flow in step.flows]
        return [_node(WHOLE, outputs=plan.results.names, files=_files(flows))]
    seeded = bool(plan.random_states) or any(flow.effects.outside.seeds for flow in plan.flows)
    known = plan.module.names | set(dir(builtins))
    nodes: list[dict[str, Any]] = []
    givers: dict[str, str] = {}
    files: list[tuple[str, set[str], set[str]]] = []
    settings: list[str] = []
    drew = ""
    for step in plan.steps:
        flows = step.flows
        draws = seeded and any(RANDOM in flow.reads | flow.touches for flow in flows)
        node = _node(step.name, outputs=step.outputs, files=_files([*flows, *step.functions]))
        node["inputs"] = {name: givers.get(name, "") for name in step.inputs}
        node["random"], node["random_from"] = draws, drew if draws else ""
        read = set().union(*(flow.effects.outside.files_read for flow in flows))
        written = set().union(*(flow.effects.outside.files_written for flow in flows))
        before = {giver for giver in node["inputs"].values() if giver} | ({drew} if draws and drew else set())
        before |= {
            name for name, others_read, others_written in files
            if depends_on_file(read, others_written) or depends_on_file(others_read | others_written, written)
        }  # fmt: skip
        node["after"] = [other["name"] for other in nodes if other["name"] in before]
        node["settings"] = list(settings)
        settings += [flow.statement.text for flow in flows if flow.setting and flow.effects.reads <= known]
        givers |= dict.fromkeys(step.outputs, step.name)
        files.append((step.name, read, written))
        drew = step.name if draws else drew
        nodes.append(node)
    return nodes


def _node(name: str, *, outputs: Iterable[str], files: list[str]) -> dict[str, Any]:
    return {
        "name": name,
        "inputs": {},
        "outputs": list(outputs),
        "after": [],
        "random": False,
        "random_from": "",
        "settings": [],
        "files": files,
    }


def _files(flows: Iterable[Flow]) -> list[str]:
    """Files of this folder that the text names."""
    found: dict[str, None] = {}
    for flow in flows:
        for node in ast.walk(flow.statement.node):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and 0 < len(node.value) < 400:
                try:
                    path = Path(node.value)
                    if "\n" not in node.value and path.is_file() and not path.is_absolute() and ".." not in path.parts:
                        found[path.as_posix()] = None
                except (OSError, ValueError):
                    continue
    return sorted(found)[:MOST_FILES]
