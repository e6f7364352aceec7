"""The target `docker`: a ``Dockerfile`` for the whole pipeline."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..plan import Plan
from .filling import TEMPLATES, fill, identifier, mlflow_pin, write

__all__ = ["write_docker"]


def write_docker(plan: Plan, folder: Path, facts: dict[str, Any]) -> None:
    """Write the project's files."""
    text = fill(
        "Dockerfile.txt", facts, name=facts["name"], image=identifier(facts["name"]), place=f"{folder_in_image(facts)}/",
        mlflow=mlflow_pin(), python=".".join(facts["environment"]["python"].split(".")[:2]),
    )  # fmt: skip
    write(folder, "Dockerfile", text)
    write(folder, "Dockerfile.dockerignore", (TEMPLATES / "dockerignore.txt").read_text(encoding="utf-8"))


def folder_in_image(facts: dict[str, Any]) -> str:
    """Where the project stands below the folder in which the notebook ran, which is what the image holds."""
    parts = [part for part in Path(facts["runs_in"]).parts if part == ".."]
    return "/".join(Path(facts["directory"]).parts[-len(parts) :]) if parts else "."
