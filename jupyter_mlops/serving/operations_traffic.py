"""What the service does about traffic: shares, canaries and shadows, going back, following an alias, guarding a canary."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from ..domain.context import now_ms
from ..domain.reference import Reference
from ..domain.traffic import Decision, Share, Traffic
from ..domain.workspace import Actor
from ..errors import Conflict, InvalidArgument, NotFound, NotReady
from ..registry.operations import locate, move_alias
from ..store import model_versions
from ..store.host import Host
from .deployment_folder import DeploymentFolder, StoredDeployment, find, stored_deployments
from .guards import Watch
from .load import ModelFolder
from .supervisor import Supervisor

__all__ = [
    "asked_by",
    "follow",
    "guard",
    "keep_previous",
    "resolved",
    "rollback",
    "set_traffic",
    "supervisor",
    "switch",
    "traffic",
    "watching",
]

log = logging.getLogger("jupyter_mlops.service")

LOAD_SECONDS = 300.0
SWITCH_SECONDS = 10.0
KEPT = 1  # how many versions that answer nothing are kept loaded
SETTLED_MS = 5_000  # a deployment that answers for so long has time for the version before
LIGHT_BYTES = 64 << 20  # of a model's files: what is kept loaded without being asked for must not cost much
CHAMPION = "champion"
WATCHING = threading.Lock()  # labels are told of by whoever brings them, while the service looks


def supervisor(host: Host) -> Supervisor:
    """The one supervisor of this service."""
    found = host.shared.get("serving")
    if found is None:
        found = host.shared.setdefault("serving", Supervisor(host.workspace.root))
    supervisor_: Supervisor = found
    return supervisor_


def resolved(host: Host, shares: tuple[Share, ...]) -> tuple[Share, ...]:
    """The same with every alias as the version it points to now."""
    found = []
    for share in shares:
        entity = model_versions.find(host.store.models, share.asked or share.model)
        found.append(replace(share, model=f"{entity.name}@{entity.version}", asked=share.asked or share.model))
    return tuple(found)


def traffic(host: Host, *, name: str) -> dict[str, Any]:
    """How a deployment's requests are shared now."""
    stored = find(host.workspace.home, name)
    return replace(stored.traffic, deployment=stored.name).to_dict()


def set_traffic(host: Host, *, name: str, wanted: dict[str, Any], reason: str = "") -> dict[str, Any]:
    """Change how a deployment's requests are shared; versions that are new to it are loaded and warmed up first."""
    stored = find(host.workspace.home, name)
    with supervisor(host).changing(stored.name):
        stored = find(host.workspace.home, stored.name)
        if stored.request == host.request:
            return replace(stored.traffic, deployment=stored.name).to_dict()
        asked = Traffic.from_dict(wanted)
        shares = resolved(host, asked.shares)
        if not any(share.role == "stable" for share in shares):
            own = next((share for share in shares if share.model == stored.model), None)
            stable = own or Share(stored.model, 1.0, "stable", stored.asked)
            shares = (replace(stable, role="stable"), *(s for s in shares if s is not own))
        given = replace(asked, shares=shares, decisions=stored.traffic.decisions).checked()
        why = Decision(now_ms(), f"traffic is {given.told()}", asked_by(host, reason))
        done = switch(host, stored, given, why)
        return {**replace(done.traffic, deployment=done.name).to_dict(), "versions": given.told()}


def asked_by(host: Host, reason: str = "") -> str:
    """Why a change was made that somebody asked for."""
    return ", ".join([*([reason] if reason else []), f"asked for by {host.actor.user or 'someone'}"])


def switch(host: Host, stored: StoredDeployment, wanted: Traffic, why: Decision) -> StoredDeployment:
    """Bring a deployment's traffic to `wanted`: load what is new beside what answers, then exchange the table.

    The version that was stable stays loaded, so that going back to it takes no time. What was written down last is
    what the workers follow, also after a crash between the steps.

    Raises
    ------
    NotReady
        A version cannot be loaded; the traffic is as it was.
    """
    keeper = supervisor(host)
    before = stored.traffic
    known = {share.model for share in before}
    names = {share.model for share in wanted}
    left = [
        replace(s, weight=0.0, role="kept") for s in (before.stable, *before.of_role("kept")) if s.model not in names
    ]
    wanted = replace(wanted, shares=(*wanted.shares, *left[:KEPT]))
    wanted = wanted.checked()
    new = [share.model for share in wanted if share.model not in known]
    if new:
        stored = _load_beside(host, stored, new)
    done = replace(
        stored,
        number=stored.number + 1,
        model=wanted.stable.model,
        asked=wanted.stable.asked or stored.asked,  # a version that was asked for by its number follows no alias
        traffic=wanted.with_decision(why),
        request=host.request or stored.request,
    )
    DeploymentFolder.of(host.workspace.home, stored.name).write(done)
    keeper.order(done, patience=SWITCH_SECONDS)
    keeper.remove_versions(done)
    host.changed("deployments")
    return done


def _load_beside(host: Host, stored: StoredDeployment, models: list[str]) -> StoredDeployment:
    """Load versions beside those that answer; the deployment with them in its traffic, which is not written down yet.

    Raises
    ------
    NotReady
        One cannot be loaded; the traffic is as it was.
    """
    keeper, before = supervisor(host), stored.traffic
    for model in models:
        version, files = locate(host, model)
        ModelFolder.open(files).check_servable(version.ref, allow_pickle=stored.allow_pickle)
        host.progress(f"loading {model} beside {stored.model}")
        keeper.add_version(stored, model, files)
    waiting = tuple(Share(model, 0.0, "kept") for model in models)
    loading = replace(stored, number=stored.number + 1, traffic=replace(before, shares=(*before.shares, *waiting)))
    try:
        keeper.order(loading, patience=LOAD_SECONDS)
    except NotReady:
        with contextlib.suppress(NotReady):  # whoever is late reads it later
            keeper.order(replace(stored, number=stored.number + 2), patience=SWITCH_SECONDS)
        stored = replace(find(host.workspace.home, stored.name), number=stored.number + 2)
        DeploymentFolder.of(host.workspace.home, stored.name).write(stored)
        keeper.remove_versions(stored)
        raise
    # its servers may have been brought back meanwhile
    return replace(find(host.workspace.home, stored.name), number=loading.number, traffic=loading.traffic)


def rollback(host: Host, *, model: str, to: str = "", reason: str = "") -> dict[str, Any]:
    """Bring a model's alias back to the version before, and with it every deployment that follows the alias.

    `model` may be a model, a model and an alias, or a deployment. The deployments go first: that takes no time where
    the version is still loaded.
    """
    home = host.workspace.home
    reference = Reference.parse(model, "model")
    named = ""
    with contextlib.suppress(NotFound, Conflict):
        stored = find(home, model)
        named = stored.name if stored.name == model else ""
        reference = Reference.parse(stored.asked if reference.alias is None else model, "model")
        reference = replace(reference, name=stored.model.partition("@")[0])
    alias = reference.alias or CHAMPION
    name, models = reference.name, host.store.models
    try:
        aliases, tags = models.registered(name)
    except NotFound:
        raise NotFound.among("model", name, models.names(), hint=model_versions.REGISTER) from None
    now = aliases.get(alias)
    serving = [s for s in stored_deployments(home) if s.model.partition("@")[0] == name and s.wanted]
    following = [s for s in serving if s.asked == f"{name}@{alias}" or s.name == named]
    following = following or (serving if len(serving) == 1 else [])
    target = _target(host, f"{name}@{alias}", _before(host, tags, alias, now), to, following)
    ref = f"{name}@{target}"
    switched = sorted(stored.name for stored in following)
    late: list[NotReady] = []
    with contextlib.ExitStack() as held:
        # Until the alias has moved too: what follows it would go forward again.
        for deployment in switched:
            held.enter_context(supervisor(host).changing(deployment))
        for deployment in switched:
            stored = find(home, deployment)  # as it is now that nobody else changes it
            left = stored.model if stored.model != ref else f"{name}@{now}"
            if left not in {stored.model, *(share.model for share in stored.traffic.of_role("canary"))}:
                continue
            shares = (Share(ref, 1.0, "stable", f"{name}@{alias}"), *_shadows(stored, ref))
            why = Decision(now_ms(), f"rolled back from {left} to {ref}", asked_by(host, reason))
            try:
                switch(host, stored, replace(stored.traffic, shares=shares), why)
            except NotReady as error:
                if find(home, deployment).model != ref:
                    raise
                late.append(error)  # it is ordered, and a server that is busy follows when it can
        if now is not None and now != target:
            move_alias(host, name, alias, target, reason=reason or "rollback")
    host.changed("models")
    if late:
        raise late[0]
    return {"model": name, "alias": alias, "version": target, "previous": now, "deployments": switched}


def _shadows(stored: StoredDeployment, ref: str) -> tuple[Share, ...]:
    return tuple(share for share in stored.traffic.of_role("shadow") if share.model != ref)


def _target(host: Host, asked: str, before: int | None, to: str, following: list[StoredDeployment]) -> int:
    """The version to go back to: the one asked for, else the one before in the alias's history, else the one kept."""
    name = asked.partition("@")[0]
    if to:
        text = to if "@" in to else f"{name}@{to}"
        return int(model_versions.find(host.store.models, text).version)
    if before is not None:
        return before
    kept = [share for stored in following for share in stored.traffic.of_role("kept")]
    if kept:
        return int(kept[0].model.rpartition("@")[2])
    raise NotReady(
        f"{asked} has never pointed to another version, so there is none to go back to.",
        hint=f"Name one: `%mlops rollback {name} --to VERSION`; `%mlops models {name}` lists them.",
    )


def _before(host: Host, tags: dict[str, str], alias: str, now: int | None) -> int | None:
    """The version that an alias pointed to before `now`, by its history in the model's tags; None for none."""
    from ..store import alias_history

    for move in reversed(alias_history.moves_in(tags, alias)):
        if host.request and move.request == host.request and move.before is not None:
            return int(move.version or 0)  # a rollback that is asked for again after a crash
        if move.version == now and move.before is not None:
            return int(move.before)
    return None


def follow(host: Host) -> None:
    """Let every deployment that was asked for by an alias, and is not pinned, follow it."""
    home = host.workspace.home
    aliases: dict[str, dict[str, int]] = {}
    for seen in stored_deployments(home):
        reference = Reference.parse(seen.asked, "model version")
        if seen.pin or not seen.wanted or seen.state != "running" or reference.alias is None:
            continue
        if reference.name not in aliases:
            aliases[reference.name] = host.store.models.aliases_of(reference.name)
        version = aliases[reference.name].get(reference.alias)
        ref = f"{reference.name}@{version}"
        if version is None or ref == seen.model or _tried(host, seen.name, ref):
            continue
        with supervisor(host).changing(seen.name, wait=False) as held:
            stored = find(home, seen.name) if held else seen
            if not held or stored.model != seen.model or not stored.wanted:
                continue
            if host.store.models.alias(reference.name, reference.alias) != version:  # rolled back just now
                continue
            shares = tuple(s for s in stored.traffic if s.role in ("canary", "shadow") and s.model != ref)
            wanted = replace(stored.traffic, shares=(Share(ref, 1.0, "stable", stored.asked), *shares))
            _by_itself(
                host, stored, wanted, f"follows {seen.asked} from {stored.model} to {ref}", "the alias has moved"
            )


def keep_previous(host: Host) -> None:
    """Let every deployment that follows an alias have the version before it loaded, so that going back takes no time."""
    done: set[tuple[str, str, str]] = host.shared.setdefault("previous", set())
    for seen in stored_deployments(host.workspace.home):
        reference = Reference.parse(seen.asked, "model version")
        key = (seen.name, seen.generation, seen.model)
        fresh = seen.state != "running" or now_ms() - max(seen.started_ms, seen.spawned_ms) < SETTLED_MS
        if key in done or fresh or seen.pin or reference.alias is None or seen.traffic.of_role("kept"):
            continue
        tags = host.store.models.tags(reference.name)
        before = _before(host, tags, reference.alias, int(seen.model.rpartition("@")[2]))
        ref = f"{reference.name}@{before}"
        if before is None or not _light(host, ref, allow_pickle=seen.allow_pickle):
            done.add(key)
            continue
        with supervisor(host).changing(seen.name, wait=False) as held:
            stored = find(host.workspace.home, seen.name) if held else seen
            if not held or not stored.wanted or (stored.generation, stored.model) != key[1:]:
                continue
            done.add(key)
            if stored.traffic.of_model(ref) is not None:
                continue
            try:
                loaded = _load_beside(host, stored, [ref])
                DeploymentFolder.of(host.workspace.home, stored.name).write(loaded)
            except NotReady as error:
                log.warning("the deployment %s has no version ready to go back to: %s", seen.name, error)


def _light(host: Host, ref: str, *, allow_pickle: bool) -> bool:
    """Whether a version can be kept loaded at little cost."""
    try:
        _, files = locate(host, ref)
        model = ModelFolder.open(files)
    except NotFound:  # not there any more
        return False
    size = sum(path.stat().st_size for path in files.rglob("*") if path.is_file())
    return model.native() and size <= LIGHT_BYTES and (allow_pickle or not model.runs_code())


def _tried(host: Host, name: str, ref: str) -> bool:
    """Whether a version could not be loaded a moment ago."""
    failed: dict[tuple[str, str], int] = host.shared.setdefault("follow_failed", {})
    return now_ms() - failed.get((name, ref), 0) < 60_000


def _by_itself(host: Host, stored: StoredDeployment, wanted: Traffic, what: str, why: str) -> bool:
    """Change a deployment's traffic without being asked, and write down that it was done or could not be."""
    actor = Actor(host.settings.user, host.settings.host, "service")
    details = {"what": what, "reason": why, "from": stored.model, "to": wanted.stable.model}
    key = f"traffic/{stored.name}/{stored.generation}/{stored.number}"
    try:
        switch(host, stored, wanted.checked(), Decision(now_ms(), what, why, by_itself=True))
    except (NotReady, NotFound, InvalidArgument) as error:
        log.warning("the deployment %s: %s: %s", stored.name, what, error)
        host.shared.setdefault("follow_failed", {})[stored.name, wanted.stable.model] = now_ms()
        host.audit(f"{key}/failed", actor, "deployment.traffic_failed", stored.name, {**details, "error": str(error)})
        return False
    host.audit(key, actor, "deployment.traffic", stored.name, details)
    log.info("the deployment %s: %s: %s", stored.name, what, why)
    return True


@contextlib.contextmanager
def watching(host: Host, stored: StoredDeployment) -> Iterator[Watch | None]:
    """Hold the watch over a deployment's canaries, None where it has none; what is seen meanwhile is kept."""
    watches: dict[str, Watch] = host.shared.setdefault("watches", {})
    with WATCHING:
        folder = DeploymentFolder.of(host.workspace.home, stored.name)
        watch = Watch.of(folder, stored, watches.pop(stored.name, None))
        if watch is not None:
            watches[stored.name] = watch
        yield watch
        if watch is not None:
            watch.keep()


def guard(host: Host) -> None:
    """Look at every canary once, and take back those that are shown to be worse than the version beside them."""
    home = host.workspace.home
    for seen in stored_deployments(home):
        with watching(host, seen) as watch:
            broken = None if watch is None else watch.look(seen)
        if broken is None:
            continue
        model, why = broken
        with supervisor(host).changing(seen.name):
            stored = find(home, seen.name)
            if stored.traffic.of_model(model) is None:
                continue
            wanted = replace(stored.traffic, shares=tuple(s for s in stored.traffic if s.model != model))
            if _by_itself(host, stored, wanted, f"took the canary {model} back", why):
                with WATCHING:
                    host.shared["watches"].pop(seen.name, None)
                    Watch.end(DeploymentFolder.of(home, seen.name))
