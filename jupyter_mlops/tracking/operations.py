"""What the service does for the tracking stage: drain the kernels' journals, find runs and compare them."""

from __future__ import annotations

import contextlib
import difflib
import time
from dataclasses import replace
from typing import Any

from ..domain.operation import Duty, Operation
from ..domain.run import Run, RunComparison, RunTable, telling_metrics
from ..domain.run_columns import RunColumns
from ..errors import InvalidArgument, NotFound
from ..store import tags
from ..store.host import Host
from ..store.runs import metric_of_order
from .differences import data_differences, fold_differences, other_versions
from .drains import drains
from .writing import label_tags

__all__ = ["DUTIES", "OPERATIONS", "pending"]

CURVE_POINTS = 500
MOST_CHILDREN = 1_000
FEW = 5  # of a run's children are named
MOST_CURVES = 40


def flush(host: Host, *, journal: str, position: int, run: str = "", seconds: float = 30.0) -> dict[str, Any]:
    """Drain a kernel's journal now, up to `position`, and tell of a run by its key.

    Returns
    -------
    dict
        ``drained``: whether it got there within the time; ``run_id``, empty for an unknown one; ``run``, once drained.
    """
    drain = drains(host).open(journal)
    drained = True if drain is None else drain.run(host, until=position, seconds=seconds)
    run_id = (drain.run_id(run) if drain is not None else "") if run else ""
    if run and not run_id:
        run_id = host.store.runs.id_of(run) or ""
    found = host.store.runs.get(run_id).to_dict() if run_id and drained else None
    return {"drained": drained, "run_id": run_id, "run": found}


def search(host: Host, *, filter: str = "", limit: int = 20, order_by: str = "", top: bool = False) -> dict[str, Any]:  # noqa: A002
    """Runs, newest first."""
    drains(host).turn(host, seconds=2.0)
    found, more = host.store.runs.search(filter=filter, limit=limit, order_by=order_by, top=top)
    if any([_truthful(host, run) is not run for run in RunColumns.of(found).running()]):  # noqa: C419 each is looked at
        found, more = host.store.runs.search(filter=filter, limit=limit, order_by=order_by, top=top)
    told = RunTable(found, host.workspace.experiment, filter, more)
    metric = metric_of_order(order_by)
    if metric and len(told) and metric not in told.metric_names():
        raise NotFound.among("metric of these runs to order by called", metric, told.metric_names())
    return told.to_dict()


def get(host: Host, *, run: str) -> dict[str, Any]:
    """One run with everything: by id, by the first characters of one, or the newest of a name."""
    drains(host).turn(host, seconds=2.0)
    found = _truthful(host, host.store.runs.find(run))
    return replace(found, facts={**_family(host, found), **found.facts}).to_dict()


def _family(host: Host, run: Run) -> dict[str, str]:
    """In words which run it is part of, and which are its children."""
    store, told = host.store.runs, {}
    if run.parent:
        with contextlib.suppress(NotFound):  # deleted since
            told["part of"] = f"{store.get(run.parent).name} ({run.parent})"
    children, more = store.search(filter=f"tags.`{tags.PARENT}` = '{run.id}'", limit=MOST_CHILDREN)
    if len(children):
        first = ", ".join(f"{child.name} ({child.id[:8]})" for child in children[:FEW])
        count = f"{len(children):,}" + (" or more" if more else "")
        rest = f", ...; runs --filter \"tags.{tags.PARENT} = '{run.id}'\"" if len(children) > FEW else ""
        told["children"] = f"{count}: {first}{rest}"
    return told


def ids(host: Host, *, keys: list[str], seconds: float = 20.0) -> dict[str, str]:
    """MLflow's ids of runs by their keys; what is still on its way into the store is waited for a while."""
    deadline = time.monotonic() + seconds
    while True:
        drains(host).turn(host, seconds=2.0)
        found = {key: host.store.runs.id_of(key) or "" for key in keys}
        if all(found.values()) or not pending(host) or time.monotonic() > deadline:
            return {key: run_id for key, run_id in found.items() if run_id}
        host.stopping.wait(0.1)


def history(host: Host, *, run: str, metric: str, points: int = CURVE_POINTS) -> dict[str, Any]:
    """A metric's curve, thinned to so many points, its extremes kept."""
    found = host.store.runs.find(run)
    if metric not in found.metrics:
        raise NotFound.among(f"metric of the run {found.name!r} called", metric, found.metrics)
    return host.store.runs.history(found.id, metric, points=points).to_dict()


def compare(host: Host, *, runs: list[str]) -> dict[str, Any]:
    """Several runs side by side."""
    if len(runs) < 2:
        raise InvalidArgument(f"compare takes at least two runs, not {len(runs)}.")
    drains(host).turn(host, seconds=2.0)
    store = host.store.runs
    found = [_truthful(host, store.find(run)) for run in runs]
    metrics = {name: tuple(run.metrics.get(name) for run in found) for name in _union([run.metrics for run in found])}
    params = {name: tuple(run.params.get(name) for run in found) for name in _union([run.params for run in found])}
    same = {name: values[0] for name, values in params.items() if len(set(values)) == 1 and values[0] is not None}
    measured = [host.store.evaluations.intervals(run.id, run.metrics) for run in found]
    curves = []
    for run in found:
        stepped = [name for name in metrics if name in run.metrics and name in store.stepped(run.id)][:MOST_CURVES]
        curves += [store.history(run.id, name, points=CURVE_POINTS) for name in stepped]
    return RunComparison(
        runs=tuple(found),
        metrics={name: metrics[name] for name in telling_metrics(metrics)},
        params={name: values for name, values in params.items() if name not in same},
        same=same,
        curves=tuple(curve for curve in curves if len(curve.steps) > 1),
        source_diff=_diff(found[0], found[1]),
        environment=other_versions(*(_environment(host, run) for run in found[:2])),
        data=data_differences([host.store.runs.inputs(run.id) for run in found]),
        folds=fold_differences(found[:2], curves),
        low={name: tuple(ends.get(name, (None,))[0] for ends in measured) for name in _union(measured)},
        high={name: tuple(ends.get(name, (None,))[-1] for ends in measured) for name in _union(measured)},
    ).to_dict()


def label(host: Host, *, labels: list[dict[str, Any]]) -> None:
    """Set the trust labels of runs, with the reasons by cell."""
    for told in labels:
        host.store.runs.log_batch(told["run"], tags=label_tags(told["label"], told["reasons"]))


def cells(host: Host, *, run: str) -> dict[str, Any]:
    """A run, and the cells that had run when it did, as the kernel wrote them down; empty text where it did not."""
    drains(host).turn(host, seconds=2.0)
    found = _truthful(host, host.store.runs.find(run))
    text = host.store.runs.artifact_text(found.id, tags.CELLS_FILE) if tags.CELLS_FILE in found.artifacts else ""
    return {"run": found.to_dict(), "cells": text}


def results(host: Host, *, run: str) -> dict[str, Any]:
    """As `cells`, with what a fresh execution is compared with.

    Returns
    -------
    dict
        Besides: ``environment``, ``models`` (digest by name), ``data`` (``ref name digest`` each) and ``parent``.
    """
    told = cells(host, run=run)
    found = Run.from_dict(told["run"])
    runs = host.store.runs
    held = {str(model.name): str(model.tags.get(tags.DIGEST, "")) for model in host.store.models.of_run(found.id)}
    has = tags.ENVIRONMENT_FILE in found.artifacts
    environment = runs.artifact_text(found.id, tags.ENVIRONMENT_FILE) if has else ""
    return {**told, "environment": environment, "models": held, "data": runs.inputs(found.id)}


def _environment(host: Host, run: Run) -> str:
    there = tags.ENVIRONMENT_FILE in run.artifacts
    return host.store.runs.artifact_text(run.id, tags.ENVIRONMENT_FILE) if there else ""


def _union(mappings: list[dict[str, Any]]) -> list[str]:
    """Every key, in the order of first appearance."""
    return list(dict.fromkeys(key for mapping in mappings for key in mapping))


def _diff(one: Run, other: Run) -> str:
    lines = difflib.unified_diff(
        one.source.splitlines(),
        other.source.splitlines(),
        f"{one.name} ({one.id[:8]})",
        f"{other.name} ({other.id[:8]})",
        lineterm="",
    )
    return "\n".join(lines)


def _truthful(host: Host, run: Run) -> Run:
    """A run that claims to be running, but whose kernel and journal are gone, is ended now."""
    if run.status != "RUNNING" or not drains(host).orphaned(host, run.id):
        return run
    drains(host).end_orphan(host, run)
    return host.store.runs.get(run.id)


def pending(host: Host) -> int:
    """How many events kernels have logged that the store has not got yet."""
    return drains(host).pending()


def _turn(host: Host) -> None:
    drains(host).turn(host)


def _busy(host: Host) -> bool:
    return drains(host).busy()


def _read_ahead(host: Host) -> None:
    host.store.runs.read_ahead()


OPERATIONS: dict[str, Operation] = {
    "tracking.flush": Operation(flush),
    "tracking.search": Operation(search),
    "tracking.get": Operation(get),
    "tracking.history": Operation(history),
    "tracking.ids": Operation(ids),
    "tracking.compare": Operation(compare),
    "tracking.label": Operation(label, topics=("runs",)),
    "tracking.cells": Operation(cells),
    "tracking.results": Operation(results),
}

DUTIES: tuple[Duty, ...] = (
    Duty("tracking.drain", every=0.3, turn=_turn, busy=_busy),
    Duty("tracking.read_ahead", every=5.0, turn=_read_ahead, busy=lambda _host: False),
)
