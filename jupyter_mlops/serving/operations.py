"""What the service does for the serving stage: deploys, takes down, lists, and keeps servers alive."""

from __future__ import annotations

import logging
import time
from dataclasses import replace
from typing import Any

from ..domain.context import now_ms
from ..domain.deployment import DeploymentTable
from ..domain.operation import Duty, Operation
from ..domain.reference import check_name
from ..domain.workspace import Actor
from ..errors import NotFound, NotReady
from ..registry.operations import locate
from ..store.host import Host
from .deployment_folder import DeploymentFolder, StoredDeployment, find, stored_deployments
from .inference_log import count
from .load import ModelFolder
from .signature import signature_columns
from .supervisor import Supervisor

__all__ = ["DUTIES", "OPERATIONS", "names"]

log = logging.getLogger("jupyter_mlops.service")

LOOPBACK = "127.0.0.1"
READY_SECONDS = 60.0


def supervisor(host: Host) -> Supervisor:
    """The one supervisor of this service."""
    found = host.shared.get("serving")
    if found is None:
        found = host.shared.setdefault("serving", Supervisor(host.workspace.root))
    supervisor_: Supervisor = found
    return supervisor_


def deploy(host: Host, *, model: str, name: str, port: int, allow_pickle: bool, python: str) -> dict[str, Any]:
    """Serve a model version under a name; one that is served under it already is replaced when the new one answers."""
    keeper = supervisor(host)
    folder = DeploymentFolder.of(host.workspace.home, check_name(name, "deployment"))
    with keeper.changing(name):
        before = folder.read()
        if before is not None and before.request == host.request and before.wanted:
            return keeper.look(before).to_dict()
        version, files = locate(host, model)
        found = ModelFolder.open(files)
        found.check_consent(version.ref, allow_pickle=allow_pickle)
        replaced = before if before is not None and before.wanted else None
        keep_port = replaced is not None and port in (0, replaced.port)
        if replaced is not None:
            host.progress(f"{name} goes on serving {replaced.model} until {version.ref} answers")
        stored = keeper.start(
            StoredDeployment(
                name=name,
                model=version.ref,
                asked=model,
                state="starting",
                generation=host.request[:16],
                request=host.request,
                host=LOOPBACK,
                port=replaced.port if replaced is not None and keep_port else port,
                python=python,
                allow_pickle=allow_pickle,
                inputs=signature_columns(found.inputs),
                needs_all=found.native(),
                started_ms=now_ms(),
            ),
            files,
            keep_port=keep_port,
            progress=host.progress,
        )
        if replaced is not None and stored.port != replaced.port:
            host.progress(f"{name} has moved from port {replaced.port} to {stored.port}")
        return keeper.look(stored).to_dict()


def undeploy(host: Host, *, name: str) -> dict[str, Any]:
    """Take a deployment down, after what it is answering; its inference log stays."""
    keeper = supervisor(host)
    folder = DeploymentFolder.of(host.workspace.home, name)
    with keeper.changing(name):
        stored = folder.read()
        asked_again = stored is not None and stored.request == host.request
        if stored is None or (stored.state == "stopped" and not asked_again):
            raise NotFound.among("deployment", name, names(host), hint="`%mlops deployments` lists them.")
        stored = replace(stored, state="stopped", request=host.request)
        keeper.stop(folder, stored)
        return keeper.look(stored).to_dict()


def deployments(host: Host) -> dict[str, Any]:
    """Every deployment as it is now."""
    keeper = supervisor(host)
    return DeploymentTable(tuple(keeper.look(s) for s in stored_deployments(host.workspace.home))).to_dict()


def ready(host: Host, *, name: str) -> dict[str, Any]:
    """Wait until a deployment whose server died is back.

    Raises
    ------
    NotReady
        It failed for good, or does not come back.
    """
    keeper = supervisor(host)
    deadline = time.monotonic() + READY_SECONDS
    while True:
        now = keeper.look(find(host.workspace.home, name))
        if now.state == "failed":
            raise NotReady(f"{now.name} has failed: {now.error}.", hint=f"Deploy again: `%mlops deploy {now.asked}`.")
        if now.state == "running":
            return now.to_dict()
        if time.monotonic() > deadline or host.stopping.is_set():
            raise NotReady(f"{now.name} is {now.state}: {now.error}.", hint="`%mlops deployments` shows how it is.")
        time.sleep(0.1)


def log_of(host: Host, *, name: str) -> dict[str, Any]:
    """Where the inference log of a deployment is, by its name or by its model's; also of one that was taken down.

    Returns
    -------
    dict
        ``folder`` of the log, ``deployment``, ``model`` (``clf@7``), ``files`` of the model being served (empty when
        taken down), ``rows`` in the log, ``state``.
    """
    try:
        stored = find(host.workspace.home, name)
    except NotFound:
        earlier = DeploymentFolder.of(host.workspace.home, name).read()
        if earlier is None:
            raise
        stored = earlier
    folder = DeploymentFolder.of(host.workspace.home, stored.name)
    files = folder.generation(stored.generation) / "model"
    return {
        "folder": str(folder.log),
        "deployment": stored.name,
        "model": stored.model,
        "files": str(files) if files.is_dir() else "",
        "rows": count(folder.log),
        "state": stored.state,
    }


def names(host: Host) -> list[str]:
    """The names of the workspace's deployments."""
    return [stored.name for stored in stored_deployments(host.workspace.home)]


def keep(host: Host) -> None:
    """Look after every deployment once."""
    keeper = supervisor(host)
    keeper.reap()
    for folder in keeper.folders():
        with keeper.changing(folder.path.name, wait=False) as held:
            if not held or host.stopping.is_set():
                continue
            try:
                stored, news = keeper.check(folder)
                _tell_answers(host, folder)
            except Exception:
                log.exception("the deployment %s cannot be looked after", folder.path.name)
                continue
        if stored is not None and news:
            log.info("the deployment %s: %s %s", stored.name, news, stored.error)
            if news in ("died", "failed"):
                action = "deployment.restart" if news == "died" else "deployment.fail"
                key = f"{action}/{stored.name}/{stored.generation}/{stored.restarts}"
                actor = Actor(host.settings.user, host.settings.host, "service")
                host.audit(key, actor, action, stored.name, {"model": stored.model, "reason": stored.error})
            host.changed("deployments")


def _tell_answers(host: Host, folder: DeploymentFolder) -> None:
    """Tell whoever watches that a deployment has answered more; counted only while somebody does."""
    if host.shared["feed"].waiting:
        seen = host.shared.setdefault("answered", {})
        answered = count(folder.log)
        if seen.setdefault(folder.path.name, answered) != answered:
            seen[folder.path.name] = answered
            host.changed("deployments")


def busy(host: Host) -> bool:
    """Whether a deployment is to be kept running."""
    return any(stored.wanted for stored in stored_deployments(host.workspace.home))


OPERATIONS: dict[str, Operation] = {
    "serving.deploy": Operation(deploy, action="deployment.deploy", target="name", topics=("deployments", "status")),
    "serving.undeploy": Operation(
        undeploy, action="deployment.undeploy", target="name", topics=("deployments", "status")
    ),
    "serving.deployments": Operation(deployments),
    "serving.ready": Operation(ready),
    "serving.log_of": Operation(log_of),
}

DUTIES: tuple[Duty, ...] = (Duty("deployments", 1.0, keep, busy),)
