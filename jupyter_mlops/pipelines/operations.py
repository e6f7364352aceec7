"""What the service does for the pipelines stage: exports and verifications happen in the kernel; here they are kept.

A verdict is written on the runs whose models the pipeline gives, and on the versions registered from those models, where
gates find it.
"""

from __future__ import annotations

import json
import time
from typing import Any

from ..domain.context import now_ms
from ..domain.operation import Duty, Operation
from ..store.host import Host
from ..store.tags import MODEL_VERSIONS, PIPELINE
from ..tracking.operations import pending

__all__ = ["DUTIES", "OPERATIONS"]

LOGGED_SECONDS = 20.0  # how long to wait until a run that was just recorded has reached the store


def exported(
    host: Host,
    *,
    directory: str,
    notebook: str,
    steps: list[str],
    verdict: str,
    models: list[str] | None = None,
    verified: bool = False,
    digest: str = "",
) -> dict[str, Any]:
    """A pipeline was exported, and verified if it says so.

    Parameters
    ----------
    models
        The keys of the logged models that were compared; None when nothing was.
    """
    marked = _mark(host, directory, models, digest, verified=verified)
    return {
        "directory": directory,
        "notebook": notebook,
        "steps": steps,
        "verdict": verdict,
        "models": ", ".join(marked),
    }


def confirmed(
    host: Host,
    *,
    directory: str,
    verdict: str,
    models: list[str] | None = None,
    verified: bool = False,
    digest: str = "",
) -> dict[str, Any]:
    """A pipeline was verified, or found not to give its results."""
    marked = _mark(host, directory, models, digest, verified=verified)
    return {"directory": directory, "verdict": verdict, "models": ", ".join(marked)}


def ran(_host: Host, *, directory: str, steps: str, run: str, error: str) -> dict[str, Any]:
    """An exported pipeline was run: each step with what became of it, and the run that was made of it."""
    return {"directory": directory, "steps": steps, "run": run, "error": error}


def _mark(host: Host, directory: str, keys: list[str] | None, digest: str, *, verified: bool) -> list[str]:
    """Write the verdict where it belongs; give the model versions and models it was written on."""
    store, found = host.store, []
    for key in keys or ():
        entity = _logged(host, key)
        if entity is None:  # logged into another store, or deleted
            continue
        told = {
            "verified": verified,
            "digest": digest,
            "directory": directory,
            "at": now_ms(),
            "model": entity.model_id,
        }
        text = json.dumps(told)
        if entity.source_run_id:
            store.runs.log_batch(entity.source_run_id, tags={PIPELINE: text})
        versions = json.loads(entity.tags.get(MODEL_VERSIONS) or "[]")
        for version in versions:
            store.models.set_version_tag(version["name"], int(version["version"]), PIPELINE, text)
            found.append(f"{version['name']}@{version['version']}")
        if not versions:
            found.append(str(entity.model_id))
    return found


def _logged(host: Host, key: str) -> Any | None:
    deadline = time.monotonic() + LOGGED_SECONDS
    while True:
        entity = host.store.models.by_key(key, host.store.experiment_id)
        if entity is not None or not pending(host) or time.monotonic() > deadline:
            return entity
        host.stopping.wait(0.1)


OPERATIONS: dict[str, Operation] = {
    "pipelines.exported": Operation(exported, action="pipeline.export", target="directory", topics=("runs", "models")),
    "pipelines.verified": Operation(confirmed, action="pipeline.verify", target="directory", topics=("runs", "models")),
    "pipelines.ran": Operation(ran, action="pipeline.run", target="directory", topics=("runs",)),
}

DUTIES: tuple[Duty, ...] = ()
