"""What the service does for the serving stage: deploys, takes down, lists, and keeps servers alive."""

from __future__ import annotations

import contextlib
import logging
import time
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

from ..domain.context import now_ms
from ..domain.contract import Contract
from ..domain.deployment import DeploymentTable, LogRules
from ..domain.model_version import ModelVersion
from ..domain.operation import Duty, Operation
from ..domain.reference import check_name
from ..domain.traffic import Decision, Share, Traffic
from ..domain.workspace import Actor
from ..errors import InvalidArgument, NotFound, NotReady
from ..registry.operations import locate
from ..store.host import Host
from .contracted import contract_for
from .deployment_folder import DeploymentFolder, StoredDeployment, find, stored_deployments
from .inference_log import count
from .load import ModelFolder
from .log_keeping import Expired, compact_apart, forget, keeping, remove_old
from .on_boot import start_on_boot
from .operations_traffic import (
    asked_by,
    follow,
    guard,
    keep_previous,
    resolved,
    rollback,
    set_traffic,
    supervisor,
    switch,
    traffic,
)
from .signature import signature_columns
from .status import cores

__all__ = ["DUTIES", "EXPIRED", "OPERATIONS", "names"]

log = logging.getLogger("jupyter_mlops.service")

LOOPBACK = "127.0.0.1"
READY_SECONDS = 60.0
EXPIRED = "serving.expired"
"""Where `Host.shared` keeps the deployments whose log rows went by their rules: what belongs to these goes too."""


def deploy(
    host: Host,
    *,
    model: str,
    name: str,
    port: int,
    allow_pickle: bool,
    python: str,
    traffic: dict[str, Any] | None = None,
    log_rules: dict[str, Any] | None = None,
    workers: int = 0,
    pin: bool = False,
    address: str = "",
    certificate: str = "",
    key: str = "",
    on_boot: bool = False,
    grpc_port: int = -1,
    contract: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Serve a model version under a name; one that is served under it already is replaced when the new one answers."""
    keeper = supervisor(host)
    folder = DeploymentFolder.of(host.workspace.home, check_name(name, "deployment"))
    with keeper.changing(name):
        before = folder.read()
        if before is not None and before.request == host.request and before.wanted:
            return keeper.look(before).to_dict()
        version, files = locate(host, model)
        found = ModelFolder.open(files)
        found.check_servable(version.ref, allow_pickle=allow_pickle)
        asked = Traffic.from_dict(traffic or {})
        others = resolved(host, asked.shares)
        stable = Share(version.ref, 1.0, "stable", model)
        wanted = replace(asked, shares=(stable, *others), deployment=name).checked()
        replaced = before if before is not None and before.wanted else None
        keep_port = replaced is not None and port in (0, replaced.port)
        if replaced is not None:
            host.progress(f"{name} goes on serving {replaced.model} until {version.ref} answers")
        rules = LogRules.from_dict(log_rules or {})
        inputs = signature_columns(found.inputs)
        held = kept_contract(contract, version.ref, [column.name for column in inputs])
        stored = keeper.start(
            StoredDeployment(
                name=name,
                model=version.ref,
                asked=model,
                state="starting",
                generation=host.request[:16],
                request="" if others else host.request,
                host=address or LOOPBACK,
                port=replaced.port if replaced is not None and keep_port else port,
                python=python,
                allow_pickle=allow_pickle,
                inputs=inputs,
                needs_all=found.native(),
                started_ms=now_ms(),
                born=version.ref,
                workers=workers or host.settings.workers or cores(),
                traffic=replace(wanted, shares=(replace(stable, weight=1.0),)),
                log=replace(
                    rules, mask=tuple(dict.fromkeys((*rules.mask, *personal(host, version), *found.personal())))
                ),
                pin=pin,
                grpc_port=replaced.grpc_port if replaced is not None and not grpc_port and replaced.grpc else grpc_port,
                certificate=certificate,
                key=key,
                on_boot=start_on_boot(host.workspace.root) if on_boot else "",
                contract=held,
            ),
            files,
            keep_port=keep_port,
            progress=host.progress,
        )
        if others:
            told = ", ".join(f"{share.model} as {share.role} {share.weight:.3g}" for share in others)
            stored = switch(host, stored, wanted, Decision(now_ms(), f"deployed with {told}", asked_by(host)))
        if replaced is not None and stored.port != replaced.port:
            host.progress(f"{name} has moved from port {replaced.port} to {stored.port}")
        return keeper.look(stored).to_dict()


def kept_contract(given: dict[str, Any] | None, model: str, names: list[str]) -> Contract | None:
    """What requests to a model have to keep of a contract, None where none is given.

    Raises
    ------
    InvalidArgument
        The contract says nothing about what the model takes.
    """
    if given is None:
        return None
    contract = Contract.from_dict(given)
    held = contract_for(contract, names)
    if not held.columns:
        takes = ", ".join(names[:8]) if names else "no named columns"
        raise InvalidArgument(
            f"the contract of {contract.source} has no column that {model} takes: {takes}.",
            hint="Give the data version that the model was trained on.",
        )
    return held


def personal(host: Host, version: ModelVersion) -> list[str]:
    """The columns that the data versions a model was trained on declare as personal, where they declare any."""
    declared = host.store.datasets.personal_columns
    taken = {column.name for column in version.inputs}
    found: list[str] = []
    for ref in version.data:
        if "#" in ref:  # a table that was never saved: a name and a digest, which declares nothing
            continue
        with contextlib.suppress(NotFound):  # removed since
            found += [column for column in declared(ref) if column in taken and column not in found]
    return found


def prepare(host: Host, *, model: str, python: str) -> None:
    """Prove in the background how a new model version is served fastest; nothing where it brings code of its own."""
    _, files = locate(host, model)
    if host.settings.prepare and not ModelFolder.open(files).runs_code():
        supervisor(host).builders.prove(files, python)


def warm(host: Host, *, python: str) -> None:
    """A model is about to be registered: let what proves its plan be loaded meanwhile."""
    if host.settings.prepare:
        supervisor(host).builders.warm(python)


def files_of(host: Host, *, model: str, allow_pickle: bool) -> dict[str, Any]:
    """A model version's files, for whoever writes them elsewhere."""
    version, files = locate(host, model)
    ModelFolder.open(files).check_servable(version.ref, allow_pickle=allow_pickle)
    return {"model": version.ref, "files": str(files)}


def new_token(host: Host, *, name: str) -> dict[str, Any]:
    """Give a deployment another token; its servers take the new one, and the old one no more, within a moment."""
    keeper = supervisor(host)
    stored = find(host.workspace.home, name)
    with keeper.changing(stored.name):
        folder = DeploymentFolder.of(host.workspace.home, stored.name)
        folder.renew_token()
        stored = replace(find(host.workspace.home, stored.name), number=stored.number + 1)
        folder.write(stored)
        keeper.order(stored, patience=10.0)
        return keeper.look(stored).to_dict()


def erase(host: Host, *, name: str, column: str, value: Any) -> dict[str, Any]:
    """Erase a person's rows from a deployment's inference log.

    Parameters
    ----------
    value
        ``{"is": VALUE}``: what stands inside is not written into the audit trail.
    """
    value = value["is"] if isinstance(value, dict) else value
    keeper = supervisor(host)
    log_folder = Path(log_of(host, name=name)["folder"])
    folder = DeploymentFolder(log_folder.parent)
    with keeper.changing(folder.path.name):
        stored = folder.read()
        if stored is not None and stored.wanted:
            stored = replace(stored, number=stored.number + 1, rotate=stored.rotate + 1)
            folder.write(stored)
            keeper.order(stored, patience=10.0)
        with keeping(log_folder):
            erased = forget(log_folder, column, value)
    return {"rows": erased.rows, "files": erased.files, "unread": [*erased.unread], "deployment": folder.path.name}


def server_log(host: Host, *, name: str, lines: int = 40) -> str:
    """The end of what a deployment's servers wrote to their log."""
    folder = DeploymentFolder(Path(log_of(host, name=name)["folder"]).parent)
    return folder.last_lines(lines=lines) or "the servers have written nothing."


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


def keep_logs(host: Host) -> None:
    """Make closed segments of every inference log Parquet, and remove what is too old."""
    for folder in supervisor(host).folders():
        if not folder.log.is_dir() or host.stopping.is_set():
            continue
        try:
            compact_apart(folder.log, host.stopping)
            stored = folder.read()
            if stored is None or host.stopping.is_set():
                continue
            with keeping(folder.log):
                if remove_old(folder.log, stored.log, now_ms(), telling=partial(_tell_expired, host, stored)):
                    host.shared.setdefault(EXPIRED, set()).add(stored.name)
        except Exception:
            log.exception("the inference log of %s cannot be looked after", folder.path.name)


def _tell_expired(host: Host, stored: StoredDeployment, expired: Expired) -> None:
    """Write into the audit trail what of an inference log is about to go, and by which rule."""
    rules = {"keep_days": stored.log.keep_days, "keep_bytes": stored.log.keep_bytes}
    actor = Actor(host.settings.user, host.settings.host, "service")
    action = "deployment.log_expire"
    host.audit(f"{action}/{stored.name}/{expired.digest}", actor, action, stored.name, {**asdict(expired), **rules})


def busy(host: Host) -> bool:
    """Whether a deployment is to be kept running."""
    return any(stored.wanted for stored in stored_deployments(host.workspace.home))


OPERATIONS: dict[str, Operation] = {
    "serving.deploy": Operation(
        deploy,
        action="deployment.deploy",
        target="name",
        topics=("deployments", "status"),
        details=lambda given: (
            Traffic.from_dict(given.get("traffic") or {}).facts()
            | LogRules.from_dict(given.get("log_rules") or {}).facts()
        ),
    ),
    "serving.undeploy": Operation(
        undeploy, action="deployment.undeploy", target="name", topics=("deployments", "status")
    ),
    "serving.deployments": Operation(deployments),
    "serving.ready": Operation(ready),
    "serving.log_of": Operation(log_of),
    "serving.prepare": Operation(prepare),
    "serving.warm": Operation(warm),
    "serving.files_of": Operation(files_of),
    "serving.traffic": Operation(traffic),
    "serving.set_traffic": Operation(
        set_traffic,
        action="deployment.traffic",
        target="name",
        topics=("deployments",),
        details=lambda given: Traffic.from_dict(given["wanted"]).facts(),
    ),
    "serving.rollback": Operation(
        rollback, action="deployment.rollback", target="model", topics=("deployments", "models")
    ),
    "serving.new_token": Operation(new_token, action="deployment.new_token", target="name"),
    "serving.erase": Operation(erase, action="deployment.erase", target="name", topics=("deployments",)),
    "serving.server_log": Operation(server_log),
}

DUTIES: tuple[Duty, ...] = (
    Duty("deployments", 1.0, keep, busy),
    Duty("canaries", 1.0, guard, busy),
    Duty("aliases", 2.0, follow, busy),
    Duty("versions to go back to", 2.0, keep_previous, busy),
    Duty("inference logs", 10.0, keep_logs, lambda _host: False),
)
