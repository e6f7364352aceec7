"""What the service does for the evaluation stage: finds the model to evaluate, keeps evaluations, gives them back."""

from __future__ import annotations

import shutil
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..domain.evaluation import Evaluation, EvaluationTable
from ..domain.operation import Duty, Operation
from ..errors import InvalidArgument, NotFound, NotReady
from ..store import model_files, model_versions
from ..store.host import Host
from ..tracking.operations import pending

__all__ = ["DUTIES", "OPERATIONS"]

FILLED = ("id", "model_id", "run_id", "rows_digest", "created_by")
STAGING = ("staging", "evaluations")
FORGOTTEN_SECONDS = 86_400
LOGGED_SECONDS = 20.0


def locate(host: Host, *, model: str) -> dict[str, Any]:
    """A model version, a run's one model or a logged model: its files, checked, and where it comes from."""
    models = host.store.models
    ref, model_id, run_id = model, "", ""
    data: tuple[str, ...] = ()
    try:
        entity = model_versions.find(models, model)
    except (NotFound, InvalidArgument) as missing:
        model_id = _logged(host, model, missing)
        run_id = models.logged(model_id).source_run_id or ""
        folder = models.logged_files(model_id)
    else:
        version = model_versions.of_entity(entity)
        ref, model_id, run_id, data = version.ref, version.model_id, version.run_id, version.data
        folder = models.files(entity)
    files = model_files.described(folder)
    return {
        "ref": ref,
        "model_id": model_id,
        "run_id": run_id,
        "folder": str(folder),
        "estimator": files.estimator or files.flavor,
        "data": list(data or (models.data_of(run_id) if run_id else ())),
        "inputs": files.inputs,
    }


def store(
    host: Host, *, evaluation: dict[str, Any], model: str, data: str = "", rows: str = "", known: str = ""
) -> dict[str, Any]:
    """Keep an evaluation; give the fields that storing it has filled.

    Parameters
    ----------
    model, data
        As in the evaluation, for the audit trail.
    rows
        The staged file of its rows.
    known
        The key under which a run has logged the estimator, where only that is known.
    """
    told = Evaluation.from_dict(evaluation)
    if known and not told.model_id:
        told = replace(told, model_id=_by_key(host, known))
    told = replace(told, id=f"{told.created_ms:011x}{host.request[:5]}", created_by=host.actor.user)
    kept = host.store.evaluations.record(told, Path(rows) if rows else None).to_dict()
    return {name: kept[name] for name in FILLED}


def table(host: Host, *, model: str = "", limit: int = 20) -> dict[str, Any]:
    """The newest evaluations, without what is drawn."""
    found = host.store.evaluations.recent(model, limit=limit)
    if "@" in model and not found:
        entity = model_versions.find(host.store.models, model)
        found = host.store.evaluations.of(entity.name, int(entity.version))[:limit]
    return EvaluationTable(tuple(replace(e, curves=(), explanation=None) for e in found)).to_dict()


def show(host: Host, *, id: str) -> dict[str, Any]:  # noqa: A002 the wire's word for it
    """One evaluation in full."""
    found: Evaluation = host.store.evaluations.load(id)
    return found.to_dict()


def sweep(host: Host) -> None:
    """Remove staged rows of kernels that died before their evaluation was stored."""
    for file in host.workspace.home.joinpath(*STAGING).glob("*"):
        if time.time() - file.stat().st_mtime > FORGOTTEN_SECONDS:
            shutil.rmtree(file, ignore_errors=True)


def _logged(host: Host, source: str, missing: Exception) -> str:
    """The id of the logged model that a model id or a run with one model names."""
    models = host.store.models
    if source.startswith("m-"):
        return str(models.logged(source).model_id)
    try:
        run = host.store.runs.find(source)
    except (NotFound, InvalidArgument):
        raise missing from None
    found = models.of_run(run.id)
    if not found:
        raise NotReady(f"the run {run.name} ({run.id[:8]}) has logged no model.", hint="Evaluate the estimator itself.")
    if len(found) > 1:
        listed = ", ".join(str(m.model_id) for m in found[:8])
        raise InvalidArgument(f"the run {run.name} has logged {len(found)} models: {listed}.", hint="Give one's id.")
    return str(found[0].model_id)


def _by_key(host: Host, known: str) -> str:
    """The logged model with this key, once what kernels have logged has reached the store; empty if it never does."""
    deadline = time.monotonic() + LOGGED_SECONDS
    while True:
        found = host.store.models.by_key(known, host.store.experiment_id)
        if found is not None and str(found.status) == "READY":
            return str(found.model_id)
        if not pending(host) or time.monotonic() > deadline:
            return ""
        host.stopping.wait(0.1)


OPERATIONS: dict[str, Operation] = {
    "evaluation.locate": Operation(locate),
    "evaluation.store": Operation(store, action="model.evaluate", target="model", topics=("models", "runs")),
    "evaluation.list": Operation(table),
    "evaluation.show": Operation(show),
}

DUTIES: tuple[Duty, ...] = (Duty("evaluation.sweep", 3600.0, sweep, lambda _host: False),)
