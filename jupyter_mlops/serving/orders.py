"""Orders: what the service tells a generation's workers to do, and what each worker tells of itself, as files between them."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
from dataclasses import dataclass, field
from pathlib import Path

from ..domain.deployment import LogRules
from ..domain.record import Record
from ..domain.traffic import Share, Traffic

__all__ = [
    "TRAFFIC_FILE",
    "WORKERS",
    "Orders",
    "WorkerState",
    "crew_beat",
    "crew_brought_back",
    "crew_lives",
    "crew_replaced",
    "first_orders",
    "read_workers",
    "replace_file",
]

TRAFFIC_FILE = "traffic.json"
WORKERS = "workers"
CREW = "crew"


@dataclass(frozen=True)
class Orders(Record):
    """What the workers of one generation are to do.

    Parameters
    ----------
    number
        Grows with every change.
    traffic
        The versions and their shares.
    places
        Each version's folder, by model version, as seen from the generation's.
    rotate
        Grows when the log's segments are to be closed and begun anew.
    """

    number: int
    traffic: Traffic
    places: dict[str, str]
    log: LogRules = field(default_factory=LogRules)
    rotate: int = 0

    @classmethod
    def read(cls, generation: Path) -> Orders | None:
        """What the generation's file says, None where there is none."""
        try:
            return cls.from_dict(json.loads((generation / TRAFFIC_FILE).read_text()))
        except FileNotFoundError:
            return None

    def write(self, generation: Path) -> None:
        """Replace the file in one step."""
        replace_file(generation / TRAFFIC_FILE, json.dumps(self.to_dict()))


@dataclass(frozen=True)
class WorkerState(Record):
    """What a worker process tells of itself.

    Parameters
    ----------
    number
        The orders it follows.
    ready
        The versions it has loaded and warmed up, each with the way by which it computes.
    failed
        The versions it could not load, each with the reason.
    reasons
        Why a version computes by no faster way.
    port
        The loopback port on which this process alone answers, for who watches over it.
    release
        The version of this package that it runs; empty in one that is too old to tell.
    """

    pid: int
    number: int
    ready: dict[str, str]
    failed: dict[str, str]
    reasons: dict[str, str]
    rotate: int = 0
    port: int = 0
    release: str = ""


def read_workers(generation: Path) -> dict[int, WorkerState]:
    """What the workers of a generation tell, by process number; those that have ended too."""
    found = {}
    for path in (generation / WORKERS).glob("*.json"):
        with contextlib.suppress(OSError, ValueError):
            state = WorkerState.from_dict(json.loads(path.read_text()))
            found[state.pid] = state
    return found


def crew_lives(generation: Path) -> None:
    """Tell that the process which watches over a generation's workers does so."""
    with contextlib.suppress(OSError):  # the generation is being removed
        (generation / WORKERS / CREW).touch()


def crew_brought_back(generation: Path) -> None:
    """Count a worker that died and was brought back, as one byte more in the same file."""
    with contextlib.suppress(OSError), (generation / WORKERS / CREW).open("ab") as file:
        file.write(b".")


def crew_replaced(generation: Path) -> int:
    """How many workers of a generation were brought back by the process that watches over them."""
    try:
        return (generation / WORKERS / CREW).stat().st_size
    except OSError:
        return 0


def crew_beat(generation: Path) -> int | None:
    """When that was told last, another number each time; None where no process watches over others."""
    try:
        return (generation / WORKERS / CREW).stat().st_mtime_ns
    except OSError:
        return None


def first_orders(model: str) -> Orders:
    """The orders of a generation that serves one version only."""
    traffic = Traffic(shares=(Share(model, 1.0, "stable", model),))
    return Orders(1, traffic, {model: "."})


def replace_file(path: Path, text: str) -> None:
    """Replace a file in one step; its owner alone may read it."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
