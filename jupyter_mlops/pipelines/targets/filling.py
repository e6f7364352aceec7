"""Filling: what the targets' templates have in common: the steps' commands, their parameters, and how a template is filled."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

__all__ = [
    "STORE_SECRETS",
    "TEMPLATES",
    "ancestors",
    "command_words",
    "fill",
    "identifier",
    "mlflow_pin",
    "parameter_names",
    "quoted",
    "waves",
    "write",
]

TEMPLATES = Path(__file__).parent.parent / "templates"
STORE_SECRETS = ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN")
"""What opens an MLflow store that is guarded, as its client reads it from the environment."""
Node = Mapping[str, Any]


def fill(template: str, facts: Mapping[str, Any], **values: object) -> str:
    """Fill a template's ``<<name>>`` places; every one must be named.

    Examples
    --------
    >>> fill("params.yaml.txt", {"origin": "Made."}, parameters="A: 1").splitlines()[-1]
    'A: 1'
    """
    text = (TEMPLATES / template).read_text(encoding="utf-8")
    known = {"origin": facts.get("origin", ""), **values}
    return re.sub(r"<<(\w+)>>", lambda found: str(known[found[1]]), text).rstrip() + "\n"


def write(folder: Path, name: str, text: str) -> None:
    """Write a file of the project."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def parameter_names(node: Node) -> list[str]:
    """The parameters that a step takes."""
    return [name for name, giver in node["inputs"].items() if not giver]


def ancestors(node: Node, graph: Sequence[Node]) -> list[str]:
    """Every step that this one depends on, in order.

    Examples
    --------
    >>> graph = [{"name": "a", "after": []}, {"name": "b", "after": ["a"]}, {"name": "c", "after": ["b"]}]
    >>> ancestors(graph[2], graph)
    ['a', 'b']
    """
    nodes = {other["name"]: other for other in graph}
    found: set[str] = set()
    waiting = list(node["after"])
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += nodes[name]["after"]
    return [other["name"] for other in graph if other["name"] in found]


def waves(graph: Sequence[Node]) -> list[list[Node]]:
    """The steps in waves: those of a wave can run at the same time.

    Examples
    --------
    >>> graph = [{"name": "a", "after": []}, {"name": "b", "after": ["a"]}, {"name": "c", "after": ["a"]}]
    >>> [[node["name"] for node in wave] for wave in waves(graph)]
    [['a'], ['b', 'c']]
    """
    depth: dict[str, int] = {}
    for node in graph:
        depth[node["name"]] = 1 + max((depth[other] for other in node["after"]), default=-1)
    return [
        [node for node in graph if depth[node["name"]] == level] for level in range(max(depth.values(), default=-1) + 1)
    ]


def command_words(node: Node | None, facts: Mapping[str, Any], *, place: str, value: str, work: str = "work") -> str:
    """A step's command for a shell, or without a step the one that logs the metrics.

    Parameters
    ----------
    place
        How the shell names the project's folder, with a slash at the end.
    value
        How it names a parameter: ``{name}`` stands for the name.
    """
    names = parameter_names(node) if node is not None else [p["name"] for p in facts["parameters"]]
    sets = "".join(f' --set "{name}={value.replace("{name}", name)}"' for name in names)
    if node is None:
        return f"python {place}log.py --inputs {work} --outputs {work}/metrics.json{sets}"
    return f"python {place}step.py {node['name']} --inputs {work} --outputs {work}/{node['name']}{sets}"


def mlflow_pin() -> str:
    """What to install to log the metrics: MLflow's client, of the version that is here."""
    return f"mlflow-skinny=={metadata.version('mlflow')}"


def quoted(value: Any) -> str:
    """A value as JSON, which YAML reads too."""
    return json.dumps(value, ensure_ascii=False)


def identifier(name: str, joint: str = "-") -> str:
    """A name of lower-case letters, digits and `joint`, at most 50 characters.

    Examples
    --------
    >>> identifier("My Notebook (2)"), identifier("My Notebook", "_")
    ('my-notebook-2', 'my_notebook')
    """
    plain = re.sub(r"[^a-z0-9]+", joint, name.lower()).strip(joint)[:50].rstrip(joint)
    return plain if plain[:1].isalpha() else f"pipeline{joint}{plain}".rstrip(joint)
