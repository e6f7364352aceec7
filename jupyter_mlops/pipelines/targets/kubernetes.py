"""The target `kubernetes`: a Job for the whole pipeline, or with a schedule a CronJob."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

from ..plan import Plan
from .docker import folder_in_image, write_docker
from .filling import fill, identifier, quoted, write

__all__ = ["write_kubernetes"]


def write_kubernetes(plan: Plan, folder: Path, facts: dict[str, Any]) -> None:
    """Write the project's file, and the Dockerfile of its image."""
    write_docker(plan, folder, facts)
    title = identifier(facts["name"])
    arguments = [word for p in facts["parameters"] for word in ("--set", f"{p['name']}={p['default']}")]
    job = fill(
        "kubernetes_job.yaml.txt", facts, title=title, image=title, place=f"{folder_in_image(facts)}/", arguments=quoted(arguments)
    )  # fmt: skip
    kind, spec = "Job", textwrap.indent(job, "  ")
    if facts["schedule"]:
        kind = "CronJob"
        spec = f"  schedule: {quoted(facts['schedule'])}\n  timeZone: Etc/UTC\n  concurrencyPolicy: Forbid\n"
        spec += "  jobTemplate:\n    spec:\n" + textwrap.indent(job, "      ")
    write(
        folder,
        "kubernetes.yaml",
        fill("kubernetes.yaml.txt", facts, name=facts["name"], title=title, kind=kind, spec=spec),
    )
