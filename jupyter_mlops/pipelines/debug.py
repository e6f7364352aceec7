"""Debug: a step of the last run as a notebook, its inputs loaded, its statements as cells."""

from __future__ import annotations

import ast
import json
import os
from pathlib import Path
from typing import Any

from ..analysis.source import dedent
from ..domain.pipeline import DebugNotebook
from ..errors import InvalidArgument, NotReady
from .export import read_description
from .graph import WHOLE

__all__ = ["write_debug_notebook"]

LAST = "last.json"


def write_debug_notebook(directory: Path, step: str, output: str) -> DebugNotebook:
    """Write the notebook.

    Parameters
    ----------
    step
        Empty for the step that failed in the last run.
    output
        Empty for ``debug_STEP.ipynb`` in the current folder.

    Raises
    ------
    NotReady
        The pipeline was not run yet, no step failed, or what the step needs was not made.
    InvalidArgument
        There is no pipeline, no such step, or no place for the notebook.
    """
    home = directory.expanduser().absolute()
    description = read_description(home)
    last = _last_run(home, description, directory)
    failed = dict(last["failed"])
    shared = description["form"] == "shared"
    step = step or next(iter(failed), "")
    if not step:
        raise NotReady("no step failed in the last run.", hint="Name one: `%mlops pipeline debug STEP`.")
    nodes = {node["name"]: node for node in description["graph"]}
    parts = [s["name"] for s in description["steps"]] if shared else [step]
    if step not in nodes and not (shared and step in parts):
        raise InvalidArgument.unknown("step", step, [*nodes, *(parts if shared else [])])
    node = nodes.get(step, nodes[WHOLE] if shared else {})
    needed = sorted({giver for giver in node["inputs"].values() if giver} | ({node["random_from"]} - {""}))
    lost = [name for name in needed if name not in last["places"] or not Path(last["places"][name]).is_dir()]
    if lost:
        raise NotReady(
            f"{step} needs what {', '.join(lost)} gives, and the last run has not made that.",
            hint=f"Run the pipeline again: `%mlops pipeline run {directory}`.",
        )
    places = [last["places"][name] for name in needed]
    cells = _cells(home, description, node, parts, places, last, failed.get(node["name"], ""))
    path = _free(output, step)
    notebook = {
        "cells": [_cell(i, kind, text) for i, (kind, text) in enumerate(cells)],
        "metadata": {
            "kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"},
            "language_info": {"name": "python"},
        },
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    try:
        with path.open("x", encoding="utf-8") as out:
            json.dump(notebook, out, indent=1, ensure_ascii=False)
    except OSError as error:
        raise InvalidArgument(f"{path} cannot be written: {error.strerror or error}.") from error
    return DebugNotebook(os.path.relpath(path), step, tuple(node["inputs"]), failed.get(node["name"], ""))


def _last_run(home: Path, description: dict[str, Any], directory: Path) -> dict[str, Any]:
    folder = (home / description["runs_in"]).resolve()
    folder = folder if folder.is_dir() else home
    try:
        return dict(json.loads((folder / ".cache" / "mlops-steps" / home.name / LAST).read_text(encoding="utf-8")))
    except (OSError, ValueError):
        raise NotReady(
            f"{directory} was not run yet: there is nothing to load.", hint=f"`%mlops pipeline run {directory}` first."
        ) from None


def _cells(
    home: Path,
    description: dict[str, Any],
    node: dict[str, Any],
    parts: list[str],
    places: list[str],
    last: dict[str, Any],
    error: str,
) -> list[tuple[str, str]]:
    """Kind and text of every cell."""
    name = node["name"]
    told = f"It failed in the last run: `{error}`" if error else "It did not fail in the last run."
    head = (
        f"# Step {name} of {description['name']}\n\n{told}\n\nThe cells below are its statements. What you mend here, mend in "
        f"`pipeline.py` too (or in the notebook it came from), and run the pipeline again: it goes on from this step."
    )
    load = [
        "# what the step needs, as the run handed it over",
        "import sys",
        f"sys.path.insert(0, {str(home)!r})",
        "from pipeline import *",
        "from step import open_step",
    ]
    if name != WHOLE:
        load += [
            f"inputs = open_step({name!r}, {places!r}, folder={last['folder']!r}, given={last['set']!r})",
            "globals().update(inputs)",
            "list(inputs)",
        ]
    else:
        load += ["import os", f"os.chdir({last['folder']!r})"]
    cells = [("markdown", head), ("code", "\n".join(load))]
    text = (home / "pipeline.py").read_text(encoding="utf-8")
    functions = {f.name: f for f in ast.parse(text).body if isinstance(f, ast.FunctionDef)}
    for part in parts:
        if part in functions:
            cells += [("markdown", f"## {part}")] if len(parts) > 1 else []
            cells += [("code", block) for block in _blocks(text, functions[part])]
    return cells


def _blocks(text: str, function: ast.FunctionDef) -> list[str]:
    """A function's statements without its docstring, cut where an empty line stands between two."""
    lines = text.split("\n")
    body = list(function.body)
    if isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant):
        body = body[1:]
    body = [node for node in body if not isinstance(node, ast.Global)]
    blocks: list[list[str]] = []
    before = (
        (function.body[0].end_lineno or function.body[0].lineno) if len(body) < len(function.body) else function.lineno
    )
    for node in body:
        first = min([node.lineno, *(d.lineno for d in getattr(node, "decorator_list", []))])
        taken = lines[before : node.end_lineno]
        apart = not blocks or any(not line.strip() for line in lines[before : first - 1])
        if isinstance(node, ast.Return):
            value = ast.get_source_segment(text, node.value) if node.value is not None else None
            taken, apart = [f"    {value}" if value else "    None"], True
        while taken and not taken[0].strip():
            taken.pop(0)
        if apart:
            blocks.append([])
        blocks[-1] += taken
        before = node.end_lineno or node.lineno
    return [dedent("\n".join(block), 4) for block in blocks if block]


def _cell(number: int, kind: str, text: str) -> dict[str, Any]:
    cell: dict[str, Any] = {"cell_type": kind, "id": f"c{number}", "metadata": {}, "source": text}
    return cell if kind == "markdown" else {**cell, "outputs": [], "execution_count": None}


def _free(output: str, step: str) -> Path:
    """Where the notebook goes: never over one that is there."""
    if output:
        path = Path(output).expanduser().absolute()
        if path.exists():
            raise InvalidArgument(f"{output} is there already.", hint="Name another file with `--output FILE`.")
        return path
    names = (f"debug_{step}.ipynb", *(f"debug_{step}_{n}.ipynb" for n in range(2, 1000)))
    return next(path for name in names if not (path := Path(name).absolute()).exists())
