"""What the service does for the retraining stage: takes requests up, one at a time and not too many, and decides what follows."""

from __future__ import annotations

import contextlib
import fcntl
import json
import logging
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..domain.alert import Monitor, RetrainRules
from ..domain.context import now_ms
from ..domain.length import parse_length
from ..domain.operation import Duty, Operation
from ..domain.retrain import Compared, Retrain, RetrainState, RetrainTable
from ..domain.traffic import Decision, Share
from ..domain.workspace import Actor
from ..errors import MLOpsError, NotFound, NotReady
from ..monitoring.alerts import State, states
from ..monitoring.operations_alerts import ask_for_retrain
from ..monitoring.operations_performance import source_of
from ..monitoring.performance import labelled_rows, task_of
from ..registry.operations import locate
from ..registry.operations_gates import promote
from ..serving.deployment_folder import find
from ..serving.operations_traffic import supervisor, switch
from ..serving.process import Process, reap
from ..settings import child_environment
from ..store.host import Host
from .jobs import FEWEST_FRESH, PROCESS, folder_of, read_job, read_jobs, write_job, write_json

__all__ = ["DUTIES", "OPERATIONS"]

log = logging.getLogger("jupyter_mlops.service")

DAY_MS = 86_400_000
START = (
    "import sys; from pathlib import Path; from jupyter_mlops.session import Session; "
    "from jupyter_mlops.retraining.worker import work; "
    "work(Session.open(root=Path(sys.argv[1])).context, Path(sys.argv[2]))"
)


def retrain(host: Host, *, name: str, rules: dict[str, Any] | None = None, reason: str = "") -> dict[str, Any]:
    """Ask for a retrain by hand; it begins at once unless another runs."""
    source = source_of(host, name)
    find(host.workspace.home, source.deployment)
    id_ = host.request[:12]
    job = read_job(host.workspace.home, id_)
    if job is None:
        if source.labels.count() == 0:
            raise NotReady(
                f"{source.deployment} has no labelled predictions to train and compare on.",
                hint=f"Bring labels: `%mlops label {source.deployment} TABLE`.",
            )
        told = reason or f"asked for by {host.actor.user or 'hand'}"
        job = Retrain(
            id_, source.deployment, source.model, "waiting", told, now_ms(), RetrainRules.from_dict(rules or {}), True
        )
        write_job(host.workspace.home, job)
    return job.to_dict()


def job_of(host: Host, *, id: str, lines: int = 0) -> dict[str, Any]:  # noqa: A002 the wire's word for it
    """One retrain, and the end of what its process said."""
    known = read_jobs(host.workspace.home)
    job = next((j for j in known if id and j.id.startswith(id)), None)
    if job is None:
        raise NotFound.among("retrain", id, [j.id for j in known], hint="`%mlops retrains` lists them.")
    try:
        said = (folder_of(host.workspace.home, job.id) / "worker.log").read_text(errors="replace").splitlines()
    except FileNotFoundError:
        said = []
    return {"job": job.to_dict(), "said": said[-lines:] if lines else []}


def retrains(host: Host, *, name: str = "", limit: int = 20) -> dict[str, Any]:
    """Retrains, newest first."""
    jobs = [j for j in read_jobs(host.workspace.home) if not name or name in (j.deployment, j.model.partition("@")[0])]
    return RetrainTable(tuple(jobs[:limit])).to_dict()


def cancel(host: Host, *, id: str) -> dict[str, Any]:  # noqa: A002 the wire's word for it
    """End a retrain that has not decided yet; nothing of it reaches traffic or champion."""
    job = Retrain.from_dict(job_of(host, id=id)["job"])
    if job.state in ("waiting", "training"):
        if job.pid:
            Process(job.pid, job.started).end(3.0)
        job = _told(host, replace(job, ended_ms=now_ms()), "cancelled", "cancelled")
    return job.to_dict()


def turn(host: Host) -> None:
    """Take on everything about retrains that is due."""
    home = host.workspace.home
    if not (home / "retraining").is_dir() and not (home / "monitors").is_dir():
        return
    _trigger(host)
    _take_up(host)
    jobs = read_jobs(home)
    for job in jobs:
        try:
            if job.state == "training":
                _watch(host, job)
            elif job.state == "canary":
                _watch_canary(host, job)
        except Exception:
            log.exception("the retrain %s", job.id)
    waiting = [job for job in jobs if job.state == "waiting"]
    if waiting and not any(job.state == "training" for job in read_jobs(home)):
        _start(host, waiting[-1])


def busy(host: Host) -> bool:
    """Whether a retrain goes on."""
    return any(not job.ended for job in read_jobs(host.workspace.home))


def _trigger(host: Host) -> None:
    """Ask for the retrains that a schedule, a number of new labels, or an alert that still stands brings."""
    for state in states(host.workspace.home):
        try:
            if state.monitor.retrain.after_labels or state.monitor.retrain.every:
                _trigger_one(host, state.monitor)
            if "retrain" in state.monitor.then:
                _ask_again(host, state)
        except NotFound:
            continue  # its deployment is gone
        except Exception:
            log.exception("the triggers of retrains of %s", state.monitor.name)


def _ask_again(host: Host, state: State) -> None:
    """Ask once more for what an open alert asked for and was refused, as soon as it may be.

    Each time under an id of its own that follows from the alert's: cut off in between, it is the same request again.
    """
    home, now = host.workspace.home, now_ms()
    for alert in state.alerts:
        if alert.resolved_ms is not None or state.silenced.get(alert.rule, 0) > now:
            continue
        number, last = 1, read_job(home, alert.id)
        while last is not None and (later := read_job(home, f"{alert.id}-{number + 1}")) is not None:
            number, last = number + 1, later
        if last is None or last.state != "refused":
            continue
        if source_of(host, state.monitor.name).labels.count() < FEWEST_FRESH:
            continue
        wanted = replace(last, id=f"{alert.id}-{number + 1}", rules=state.monitor.retrain)
        if not _storm(home, wanted):
            ask_for_retrain(home, wanted.id, state.monitor.name, wanted.rules, f"{alert.sentence} (asked again)")


def _trigger_one(host: Host, monitor: Monitor) -> None:
    """Ask for a monitor's retrain if it is due and may be now; one that may not be yet is asked for when it may."""
    home, rules, name = host.workspace.home, monitor.retrain, monitor.name
    mark = home / "retraining" / "triggers" / f"{name}.json"
    labels = source_of(host, name).labels.count()
    try:
        last = json.loads(mark.read_text())
    except FileNotFoundError:
        last = {"ms": now_ms(), "labels": 0}
        write_json(mark, last)
    new = labels - int(last["labels"])
    if rules.after_labels and new >= rules.after_labels:
        why = f"{new:,} new labels"
    elif rules.every and now_ms() - int(last["ms"]) >= parse_length(rules.every):
        why = f"every {rules.every}"
    else:
        return
    # The request comes first: cut off between the two, it is asked for again under the same id.
    id_ = f"t{int(last['ms'])}-{int(last['labels'])}"
    if read_job(home, id_) is None:
        if labels < FEWEST_FRESH or _storm(home, Retrain(id_, name, "", "waiting", why, now_ms(), rules)):
            return
        ask_for_retrain(home, id_, name, rules, why)
    write_json(mark, {"ms": now_ms(), "labels": labels})


def _take_up(host: Host) -> None:
    """Make a retrain of every request, or refuse it: too soon, too many."""
    home = host.workspace.home
    folder = home / "retraining" / "asked"
    for path in sorted(folder.glob("*.json")) if folder.is_dir() else ():
        asked = json.loads(path.read_text())
        if read_job(home, asked["id"]) is None:
            rules = RetrainRules.from_dict(asked["rules"])
            model, labels = "", 0
            with contextlib.suppress(NotFound):
                source = source_of(host, asked["deployment"])
                model, labels = source.model, source.labels.count()
            job = Retrain(asked["id"], asked["deployment"], model, "waiting", asked["reason"], now_ms(), rules)
            few = f"{labels} labelled predictions are too few; at least {FEWEST_FRESH}" if labels < FEWEST_FRESH else ""
            no = (few or _storm(home, job)) if model else "the deployment is gone"
            if no:
                _told(host, replace(job, error=no, ended_ms=now_ms()), "refused", no)
            else:
                write_job(home, job)
        path.unlink(missing_ok=True)


def _storm(home: Path, job: Retrain) -> str:
    """Why a retrain must not be now; empty if it may."""
    others = [j for j in read_jobs(home) if j.deployment == job.deployment and j.state != "refused"]
    if any(j.state in ("waiting", "training", "canary") for j in others):
        return "another retrain of it goes on"
    recent = [j for j in others if now_ms() - j.asked_ms < parse_length(job.rules.cooldown)]
    if recent:
        return f"the last one was asked for less than {job.rules.cooldown} ago"
    today = [j for j in others if now_ms() - j.asked_ms < DAY_MS]
    if len(today) >= job.rules.a_day:
        return f"{len(today)} in the last 24 hours, and {job.rules.a_day} are allowed"
    return ""


def _start(host: Host, job: Retrain) -> None:
    """Give a retrain's process what it needs, and start it."""
    home, folder = host.workspace.home, folder_of(host.workspace.home, job.id)
    if (folder / "result.json").exists():
        _adopt(host, job)
        return
    try:
        stored = find(home, job.deployment)
        source = source_of(host, job.deployment)
        version, _ = locate(host, source.model)
        window = source.window(None)
        chosen, rows = labelled_rows(window, source.labels.read(), task_of(window))
        if rows is None:
            raise NotReady(
                f"{job.deployment} has too few labelled predictions.", hint=f"`%mlops label {job.deployment} TABLE`."
            )
        labels = source.labels.read()
        table = chosen.inputs.assign(**{"mlops.label": [labels[str(i)] for i in chosen.inputs.index]})
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / "worker.log").open("ab") as out, (folder / "lock").open("ab") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # the process holds it for as long as it lives
            table.reset_index(drop=True).to_parquet(folder / "labelled.parquet")
            write_json(folder / "data.json", {"data": list(version.data)})
            job = replace(job, model=source.model)
            write_job(home, job)
            child = subprocess.Popen(
                [stored.python, "-c", START, str(host.workspace.root), str(folder)],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                cwd=folder,
                env=child_environment(MPLBACKEND="Agg", MLOPS_WORKSPACE=str(host.workspace.root)),
                pass_fds=(lock.fileno(),),
                start_new_session=True,
            )
    except BlockingIOError:
        _adopt(host, job)
        return
    except (MLOpsError, OSError) as error:
        told = f"{type(error).__name__}: {error}"
        _told(host, replace(job, error=told, ended_ms=now_ms()), "failed", f"could not begin: {told}")
        return
    process = Process.of(child.pid)
    job = replace(job, pid=child.pid, started=process.started if process else "")
    _told(host, job, "training", f"training a challenger to {job.model} in process {child.pid}")


def _adopt(host: Host, job: Retrain) -> None:
    """Go on with what a service started just before it was killed."""
    try:
        told = json.loads((folder_of(host.workspace.home, job.id) / PROCESS).read_text())
    except FileNotFoundError:
        return  # it has not said yet which one it is
    job = replace(job, pid=told["pid"], started=told["started"])
    _told(host, job, "training", f"training a challenger to {job.model} in process {job.pid}")


def _watch(host: Host, job: Retrain) -> None:
    """See whether a retrain's process is done, and decide what follows."""
    folder = folder_of(host.workspace.home, job.id)
    result = folder / "result.json"
    reap(job.pid)
    if not result.exists():
        if not Process(job.pid, job.started).alive():
            told = "its process ended before it was done; its last words are in worker.log"
            _told(host, replace(job, error=told, ended_ms=now_ms()), "failed", told)
        return
    found = json.loads(result.read_text())
    if found.get("error"):
        _told(host, replace(job, error=found["error"], ended_ms=now_ms()), "failed", found["error"])
        return
    job = replace(
        job,
        challenger=found["challenger"],
        how=found["how"],
        metric=found["metric"],
        training_rows=found["training_rows"],
        compared=tuple(Compared.from_dict(c) for c in found["compared"]),
        notes=tuple(found["notes"]),
    )
    host.changed("models")
    if not found["better"]:
        told = f"{job.challenger} is not better than {job.model} by {job.metric} beyond chance: the champion stays"
        _told(host, replace(job, ended_ms=now_ms()), "kept", told)
    elif not job.rules.promote:
        _told(host, replace(job, ended_ms=now_ms()), "proposed", f"{job.challenger} is better by {job.metric}")
    else:
        _begin_canary(host, job)


def _begin_canary(host: Host, job: Retrain) -> None:
    """Let a better challenger answer a share of the requests, under a guard."""
    home = host.workspace.home
    try:
        with supervisor(host).changing(job.deployment):
            stored = find(home, job.deployment)
            if stored.traffic.of_model(job.challenger) is None:
                name = job.challenger.partition("@")[0]
                canary = Share(job.challenger, job.rules.canary, "canary", job.challenger, differs=True)
                stable = replace(stored.traffic.stable, weight=1 - job.rules.canary)
                shadows = stored.traffic.of_role("shadow")
                wanted = replace(
                    stored.traffic,
                    shares=(stable, canary, *shadows),
                    deployment=stored.name,
                ).checked()
                why = Decision(now_ms(), f"canary of {job.challenger}", f"retrain {job.id} of {name}")
                asked = replace(host, request=f"{job.id}-canary", actor=_actor(host))
                switch(asked, stored, wanted, why)
    except MLOpsError as error:
        told = f"its canary could not begin: {error.message}"
        _told(host, replace(job, ended_ms=now_ms(), error=told), "proposed", told)
        return
    told = f"{job.challenger} answers {job.rules.canary:.0%} of the requests for {job.rules.canary_for}"
    _told(host, replace(job, canary_ms=now_ms()), "canary", told)


def _watch_canary(host: Host, job: Retrain) -> None:
    """Promote a canary that has stood its guard; take note of one that has not."""
    try:
        stored = find(host.workspace.home, job.deployment)
    except NotFound:
        _told(host, replace(job, ended_ms=now_ms()), "withdrawn", "the deployment was taken down")
        return
    if stored.model == job.challenger:
        _told(host, replace(job, ended_ms=now_ms()), "promoted", f"{job.challenger} answers every request")
        return
    if stored.traffic.of_model(job.challenger) is None:
        why = stored.traffic.decisions[-1] if stored.traffic.decisions else None
        told = f"its canary was taken back: {why.why}" if why else "its canary was taken back"
        _told(host, replace(job, ended_ms=now_ms()), "withdrawn", told)
        return
    if now_ms() - job.canary_ms < parse_length(job.rules.canary_for):
        return
    asked = replace(host, request=f"{job.id}-promote", actor=_actor(host))
    name = job.challenger.partition("@")[0]
    try:
        with supervisor(host).changing(job.deployment):
            stored = find(host.workspace.home, job.deployment)
            promote(asked, model=job.challenger, alias="champion", reason=f"retrain {job.id}: {job.reason}")
            shares = (
                Share(job.challenger, 1.0, "stable", f"{name}@champion"),
                *(s for s in stored.traffic.of_role("shadow") if s.model != job.challenger),
            )
            why = Decision(now_ms(), f"promoted {job.challenger}", f"retrain {job.id}: its canary stood its guard")
            switch(asked, stored, replace(stored.traffic, shares=shares).checked(), why)
    except MLOpsError as error:
        told = f"it could not be promoted: {error.message}"
        with supervisor(host).changing(job.deployment):
            stored = find(host.workspace.home, job.deployment)
            left = tuple(s for s in stored.traffic if s.model != job.challenger)
            left = tuple(replace(s, weight=1.0) if s.role == "stable" else s for s in left)
            switch(
                asked,
                stored,
                replace(stored.traffic, shares=left),
                Decision(now_ms(), f"took {job.challenger} back", told),
            )
        _told(host, replace(job, ended_ms=now_ms(), error=told), "proposed", told)
        return
    _told(host, replace(job, ended_ms=now_ms()), "promoted", f"{job.challenger} is {name}@champion")
    host.changed("models")


def _told(host: Host, job: Retrain, state: RetrainState, what: str) -> Retrain:
    """Bring a retrain to a state, write it down and into the audit trail."""
    job = replace(job, state=state, steps=(*job.steps, f"{state}: {what}"))
    details = {"model": job.model, "challenger": job.challenger, "reason": job.reason, "what": what}
    host.audit(f"{job.id}/{state}", _actor(host), f"retrain.{state}", job.deployment, details)
    write_job(host.workspace.home, job)
    host.changed("retrains")
    log.info("the retrain %s of %s: %s: %s", job.id, job.deployment, state, what)
    return job


def _actor(host: Host) -> Actor:
    return Actor(host.settings.user, host.settings.host, "service")


OPERATIONS: dict[str, Operation] = {
    "retraining.retrain": Operation(retrain, action="retrain.ask", target="name", topics=("retrains",)),
    "retraining.job": Operation(job_of),
    "retraining.retrains": Operation(retrains),
    "retraining.cancel": Operation(cancel, action="retrain.cancel", target="id", topics=("retrains",)),
}

DUTIES: tuple[Duty, ...] = (Duty("retrains", 1.0, turn, busy),)
