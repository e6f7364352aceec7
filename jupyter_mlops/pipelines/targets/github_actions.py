"""The target `github-actions`: a workflow with a job a step."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..plan import Plan
from .filling import (
    STORE_SECRETS,
    ancestors,
    command_words,
    fill,
    identifier,
    mlflow_pin,
    parameter_names,
    quoted,
    write,
)

__all__ = ["write_github_actions"]

WORKFLOW = ".github/workflows"


def write_github_actions(plan: Plan, folder: Path, facts: dict[str, Any]) -> None:
    """Write the project's file."""
    place = f"{facts['place']}/"
    graph = facts["graph"]
    jobs = [_job(node, ancestors(node, graph), facts, place) for node in graph]
    jobs.append(_job(None, [node["name"] for node in graph], facts, place))
    inputs = "".join(
        f"      {p['name']}:\n        description: {quoted(p['type'])}\n        default: {quoted(_text(p['default']))}\n"
        for p in facts["parameters"]
    )
    schedule = f"  schedule:\n    - cron: {quoted(facts['schedule'])}\n" if facts["schedule"] else ""
    title = identifier(facts["name"])
    text = fill(
        "github_workflow.yml.txt", facts, name=facts["name"], title=title, inputs=f"    inputs:\n{inputs}" if inputs else "",
        schedule=schedule, group=f"{title}-${{{{ github.ref }}}}", jobs="\n".join(job.rstrip() + "\n" for job in jobs),
    )  # fmt: skip
    write(folder, f"{WORKFLOW}/{title}.yml", text)


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _job(node: dict[str, Any] | None, before: list[str], facts: dict[str, Any], place: str) -> str:
    name = node["name"] if node is not None else "log_metrics"
    every = {p["name"]: p["default"] for p in facts["parameters"]}
    names = parameter_names(node) if node is not None else list(every)
    environment = {
        f"P_{n}": "${{ inputs." + n + " || '" + _text(every[n]).replace("'", "''") + "' }}" for n in names
    }  # fmt: skip
    if node is None:
        environment["MLFLOW_TRACKING_URI"] = "${{ vars.MLFLOW_TRACKING_URI }}"
        environment |= {name: "${{ secrets." + name + " }}" for name in STORE_SECRETS}
    told = "".join(f"          {key}: {quoted(value)}\n" for key, value in environment.items())
    download = "".join(
        "      - uses: actions/download-artifact@d3f86a106a0bac45b974a628896c90dbdf5c8093 # v4.3.0\n"
        f"        with:\n          name: {other}\n          path: work/{other}\n"
        for other in before
    )
    return fill(
        "github_job.yml.txt", facts, name=name, title=name, place=place, download=download,
        needs=f"    needs: [{', '.join(before)}]\n" if before else "", more=f" {mlflow_pin()}" if node is None else "",
        python=".".join(facts["environment"]["python"].split(".")[:2]), output=name if node is not None else "metrics.json",
        command=quoted(command_words(node, facts, place=place, value="$P_{name}")),
        environment=f"        env:\n{told}" if told else "",
    )  # fmt: skip
