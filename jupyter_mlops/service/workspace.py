"""What the service does for the workspace itself: tell how it is, change its store, wait for news."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from ..domain.operation import Operation
from ..domain.workspace import Status, Workspace
from ..errors import StoreUnavailable
from ..serving.operations import names as deployment_names
from ..settings import remember_store
from ..store.host import Host
from ..store.store import Store
from ..tracking.operations import pending
from .client import STOPPED

__all__ = ["OPERATIONS"]


def status(host: Host) -> dict[str, Any]:
    """The workspace at a glance, also while its store is away."""
    away = ""
    counts: dict[str, Any] = {}
    try:
        counts = host.store.counts()
    except StoreUnavailable as error:
        away = str(error)
    return Status(
        root=str(host.workspace.root),
        tracking_uri=host.workspace.tracking_uri,
        experiment=host.workspace.experiment,
        user=host.settings.user,
        service_pid=os.getpid(),
        service_state="running",
        deployments=tuple(deployment_names(host)),
        pending=pending(host),
        away=away,
        **counts,
    ).to_dict()


def connect(host: Host, *, tracking_uri: str, experiment: str) -> dict[str, Any]:
    """Open another store or experiment, and if that works make it the workspace's."""
    asked = Workspace(
        host.workspace.root,
        tracking_uri or host.workspace.tracking_uri,
        experiment or host.workspace.experiment,
        host.workspace.artifact_root,
    )
    if asked.tracking_uri.startswith("http"):
        asked = Workspace(asked.root, asked.tracking_uri, asked.experiment, None)
    host.progress(f"opening {asked.tracking_uri}")
    opened = Store.open(asked)
    remember_store(asked)
    host.shared["replace_store"](asked, opened)
    return {"tracking_uri": asked.tracking_uri, "experiment": asked.experiment}


def names(host: Host, *, kind: str) -> list[str]:
    """The names that completion offers for a kind, see `domain.command.Arg`."""
    store = host.store
    kinds: dict[str, Callable[[], list[str]]] = {
        "runs": store.runs.names,
        "data": store.datasets.refs,
        "models": store.models.names,
        "model-versions": store.models.refs,
        "aliases": store.models.aliases,
        "deployments": lambda: deployment_names(host),
    }
    return kinds[kind]() if kind in kinds else []


def wait(host: Host, *, since: int, seconds: float) -> dict[str, Any]:
    """Wait until something has changed since the given number, the time is over, or the service was told to end."""
    answer: dict[str, Any] = host.shared["feed"].wait(since, seconds)
    return {**answer, "ended": host.stopping.is_set()}


def stop(host: Host) -> None:
    """End the service."""
    (host.workspace.home / STOPPED).touch()
    host.stopping.set()
    host.changed("status")  # who waits for news hears of it, and does not take it for a crash


OPERATIONS = {
    "workspace.status": Operation(status),
    "workspace.connect": Operation(
        connect, action="workspace.connect", target="tracking_uri", topics=("runs", "data", "models", "status")
    ),
    "workspace.names": Operation(names),
    "workspace.wait": Operation(wait),
    "service.stop": Operation(stop),
}
