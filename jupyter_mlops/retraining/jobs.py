"""Jobs: every retrain's folder: what it is, what its process needs, and what that process found, each file written whole."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from ..domain.retrain import Retrain

__all__ = ["FEWEST_FRESH", "PROCESS", "folder_of", "read_job", "read_jobs", "write_job", "write_json"]

FEWEST_FRESH = 60
"""Labelled predictions that it takes to train and compare on."""

PROCESS = "process.json"
"""The file in a retrain's folder in which its process says which one it is."""


def folder_of(home: Path, id_: str) -> Path:
    """A retrain's folder."""
    return home / "retraining" / "jobs" / id_


def read_job(home: Path, id_: str) -> Retrain | None:
    """A retrain, None for one that is not known."""
    try:
        return Retrain.from_dict(json.loads((folder_of(home, id_) / "job.json").read_text()))
    except FileNotFoundError:
        return None


def read_jobs(home: Path) -> list[Retrain]:
    """Every retrain, newest first."""
    found = [read_job(home, path.parent.name) for path in (home / "retraining" / "jobs").glob("*/job.json")]
    return sorted((job for job in found if job is not None), key=lambda job: job.asked_ms, reverse=True)


def write_job(home: Path, job: Retrain) -> None:
    """Write a retrain down, in one step."""
    write_json(folder_of(home, job.id) / "job.json", job.to_dict())


def write_json(path: Path, data: Any) -> None:
    """Write a file in one step; whoever reads it sees all of it or what was there before."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with temporary.open("w") as file:
        json.dump(data, file)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
