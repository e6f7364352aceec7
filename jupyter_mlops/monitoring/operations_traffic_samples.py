"""What the service notes of traffic: each deployment's counters once a minute, so that error rates are known of any window."""

from __future__ import annotations

import json
import os
from pathlib import Path

from ..domain.context import now_ms
from ..serving.deployment_folder import DeploymentFolder, stored_deployments
from ..serving.metrics import add_up, read_counters
from ..serving.orders import WORKERS
from ..store.host import Host
from .stretch import Span

__all__ = ["error_rate", "sample_traffic"]

MOST_BYTES = 4_000_000  # then the older half goes
FILE = "traffic.jsonl"


def sample_traffic(host: Host) -> None:
    """Note how many requests every deployment has answered and failed on, where that has changed."""
    last: dict[str, list[int]] = host.shared.setdefault("traffic_samples", {})
    for stored in stored_deployments(host.workspace.home):
        folder = DeploymentFolder.of(host.workspace.home, stored.name)
        counts = add_up(list(read_counters(folder.generation(stored.generation) / WORKERS))).values()
        now = [sum(c.requests for c in counts), sum(c.errors for c in counts)]
        if last.get(stored.name) == now or not now[0]:
            continue
        last[stored.name] = now
        _append(_file(host.workspace.home, stored.name), {"ms": now_ms(), "of": stored.generation, "n": now})


def error_rate(home: Path, deployment: str, span: Span) -> float | None:
    """The share of a window's requests that the server failed on; None where no sample was taken around it.

    Counts begin at 0 with every generation of a deployment's servers. A window's edge falls between two samples: what
    lies between them counts to the window that the later sample is in.
    """
    samples = []
    try:
        with _file(home, deployment).open() as file:
            samples = [json.loads(line) for line in file if line.endswith("}\n")]
    except FileNotFoundError:
        return None
    requests = errors = 0
    before: dict[str, list[int]] = {}
    for sample in samples:
        base = before.get(sample["of"], [0, 0])
        if span.start <= sample["ms"] < span.end:
            requests += max(sample["n"][0] - base[0], 0)
            errors += max(sample["n"][1] - base[1], 0)
        before[sample["of"]] = sample["n"]
    return errors / requests if requests else None


def _append(path: Path, sample: dict[str, object]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists() and path.stat().st_size > MOST_BYTES:
        lines = path.read_text().splitlines(keepends=True)
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        temporary.write_text("".join(lines[len(lines) // 2 :]))
        temporary.replace(path)
    with path.open("a") as file:
        file.write(json.dumps(sample) + "\n")


def _file(home: Path, deployment: str) -> Path:
    return home / "monitoring" / deployment / FILE
