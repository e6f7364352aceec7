"""The target `gitlab-ci`: ``gitlab-ci.yml`` with a job a step."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..plan import Plan
from .filling import ancestors, command_words, fill, identifier, mlflow_pin, quoted, write

__all__ = ["write_gitlab_ci"]


def write_gitlab_ci(plan: Plan, folder: Path, facts: dict[str, Any]) -> None:
    """Write the project's file."""
    place, graph = f"{facts['place']}/", facts["graph"]
    jobs = [_job(node["name"], node, ancestors(node, graph), facts, place) for node in graph]
    jobs.append(_job("log_metrics", None, [node["name"] for node in graph], facts, place))
    schedule = facts["schedule"]
    told = f"Make a schedule for it under Build > Pipeline schedules: {schedule}, in UTC" if schedule else "Build > Pipeline schedules runs it at set times."  # fmt: skip
    text = fill(
        "gitlab_ci.yml.txt", facts, name=facts["name"], title=identifier(facts["name"]), place=place, schedule=told,
        stages="\n".join(f"  - {name}" for name in [*(n["name"] for n in graph), "log_metrics"]),
        python=".".join(facts["environment"]["python"].split(".")[:2]),
        variables="\n".join(_variable(p) for p in facts["parameters"]), jobs="\n\n".join(job.rstrip() for job in jobs),
    )  # fmt: skip
    write(folder, "gitlab-ci.yml", text)


def _variable(parameter: dict[str, Any]) -> str:
    value = quoted(str(parameter["default"]))
    return f"  P_{parameter['name']}:\n    value: {value}\n    description: {quoted(parameter['type'])}"


def _job(name: str, node: dict[str, Any] | None, before: list[str], facts: dict[str, Any], place: str) -> str:
    command = command_words(node, facts, place=place, value="$P_{name}")
    # a job of GitLab's may not be called by a word of its own
    words = [f"python -m pip install {mlflow_pin()}"] if node is None else []
    lines = [f"{quoted(f'{name} step' if node is not None else name)}:", f"  stage: {name}"]
    lines.append("  needs: [" + ", ".join(quoted(f"{other} step") for other in before) + "]")
    lines += ["  script:", *(f"    - {quoted(word)}" for word in [*words, command])]
    lines += [
        "  artifacts:",
        "    expire_in: 2 weeks",
        "    paths:",
        f"      - {quoted(f'work/{name}/' if node is not None else 'work/metrics.json')}",
    ]
    return "\n".join(lines)
