"""Target: a place that a deployment can be written for, declared as data: its name and the files it writes."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ...errors import InvalidArgument

__all__ = ["Served", "Target", "write"]


@dataclass(frozen=True)
class Served:
    """What is to be served.

    Parameters
    ----------
    name
        The deployment's name.
    model
        The model version: ``clf@7``.
    requirements
        The Python packages that the server and the model need, pinned; no Jupyter package is among them.
    python
        The Python version: ``3.11``.
    version
        The version of this package.
    allow_pickle
        Whether loading the model may run code that is stored in it.
    """

    name: str
    model: str
    requirements: tuple[str, ...]
    python: str
    version: str
    workers: int = 2
    allow_pickle: bool = False

    @property
    def label(self) -> str:
        """The name as Kubernetes takes names of Services: a letter first, a letter or digit last (RFC 1035)."""
        plain = re.sub(r"[^a-z0-9-]+", "-", self.name.lower()).strip("-")
        named = plain if plain[:1].isalpha() else f"model-{plain}"
        return named[:50].strip("-")


@dataclass(frozen=True)
class Target:
    """One place.

    Parameters
    ----------
    files
        Gives the text of every file by its name.
    told
        What to do with them.
    """

    name: str
    files: Callable[[Served], dict[str, str]]
    told: str


def write(target: Target, served: Served, model: Path, out: Path) -> list[str]:
    """Write a target's files and a copy of the model into an empty folder, whole or not at all.

    Raises
    ------
    InvalidArgument
        The folder is there and not empty.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InvalidArgument(f"{out} is there already.", hint="Name a folder that is not there yet, or is empty.")
    staged = out.with_name(f".{out.name}.staged")
    shutil.rmtree(staged, ignore_errors=True)
    try:
        place = staged / "deployment" / "generations" / "image"
        place.mkdir(parents=True)
        shutil.copytree(model, place / "model")
        settings = {"model": served.model, "allow_pickle": served.allow_pickle, "root": "/srv"}
        (place / "serving.json").write_text(json.dumps(settings) + "\n")
        stored = {
            "name": served.name,
            "model": served.model,
            "asked": served.model,
            "state": "running",
            "generation": "image",
            "request": "",
            "host": "0.0.0.0",  # noqa: S104 in its container; the token guards it
            "port": 8080,
            "python": "python",
            "workers": served.workers,
        }
        (staged / "deployment" / "deployment.json").write_text(json.dumps(stored, indent=2) + "\n")
        files = target.files(served)
        for name, text in files.items():
            (staged / name).parent.mkdir(parents=True, exist_ok=True)
            (staged / name).write_text(text)
        if out.exists():
            out.rmdir()
        staged.replace(out)
    except BaseException:
        shutil.rmtree(staged, ignore_errors=True)
        raise
    return sorted(files)
