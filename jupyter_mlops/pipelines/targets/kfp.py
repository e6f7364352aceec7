"""The target `kfp`: ``kubeflow_pipeline.py`` for Kubeflow Pipelines 2, a component a step."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ...analysis.source import indent
from ..plan import Plan
from ..results import is_estimator
from .filling import ancestors, fill, identifier, parameter_names, write

__all__ = ["write_kfp"]


def write_kfp(plan: Plan, folder: Path, facts: dict[str, Any]) -> None:
    """Write the project's file."""
    graph = facts["graph"]
    kinds = {node["name"]: _kind(plan, node["outputs"]) for node in graph}
    title = identifier(facts["name"])
    names = [p["name"] for p in facts["parameters"]]
    components = [_component(node, facts, kinds, plan) for node in graph]
    calls = [_call(node, graph) for node in graph]
    every = [node["name"] for node in graph]
    given = [f"{_input(name)}={name}_task.outputs['outputs']" for name in every] + [f"{n}={n}" for n in names]
    calls.append(f"log_metrics({', '.join(given)})")
    text = fill(
        "kubeflow_pipeline.py.txt", facts, name=facts["name"], title=title, image=title, place=facts["place"],
        schedule=repr(f"0 {facts['schedule']}" if facts["schedule"] else ""), components="\n\n\n".join(components),
        log_inputs=", ".join(f"{_input(name)}: dsl.Input[dsl.{kinds[name]}]" for name in every),
        log_paths=", ".join(f"{_input(name)}.path" for name in every),
        log_parameters="".join(f", {p['name']}: {p['type']}" for p in facts["parameters"]),
        log_sets=_sets(names),
        parameters=", ".join(f"{p['name']}: {p['type']} = {p['default']!r}" for p in facts["parameters"]),
        calls=indent("\n".join(calls)),
    )  # fmt: skip
    write(folder, "kubeflow_pipeline.py", text)


def _kind(plan: Plan, names: list[str]) -> str:
    """Kubeflow's type of what a step gives, by what the notebook has for it."""
    values = [plan.live.get(name) for name in names]
    if any(is_estimator(value) for value in values):
        return "Model"
    return (
        "Dataset"
        if any(type(value).__module__.startswith(("pandas", "numpy", "polars")) for value in values)
        else "Artifact"
    )


def _input(step: str) -> str:
    return f"from_{step}"


def _sets(names: list[str]) -> str:
    return "".join(f'    command += ["--set", f"{name}={{{name}}}"]\n' for name in names)


def _component(node: dict[str, Any], facts: dict[str, Any], kinds: dict[str, str], plan: Plan) -> str:
    before = ancestors(node, facts["graph"])
    names = parameter_names(node)
    types = {p["name"]: p["type"] for p in facts["parameters"]}
    arguments = [f"{_input(name)}: dsl.Input[dsl.{kinds[name]}]" for name in before]
    arguments += [f"outputs: dsl.Output[dsl.{kinds[node['name']]}]", *(f"{name}: {types[name]}" for name in names)]
    inputs = "".join(f'    command += ["--inputs", {_input(name)}.path]\n' for name in before)
    title = next((step.title for step in plan.steps if step.name == node["name"]), "The whole notebook")
    return fill(
        "kubeflow_component.py.txt", facts, name=f"{node['name']}_step", step=node["name"],
        arguments=", ".join(arguments), title=title.replace("\\", "").replace('"', "'").rstrip("."),
        place=facts["place"], inputs=inputs + _sets(names),
    ).rstrip()  # fmt: skip


def _call(node: dict[str, Any], graph: list[dict[str, Any]]) -> str:
    given = [f"{_input(name)}={name}_task.outputs['outputs']" for name in ancestors(node, graph)]
    given += [f"{name}={name}" for name in parameter_names(node)]
    return f"{node['name']}_task = {node['name']}_step({', '.join(given)})"
