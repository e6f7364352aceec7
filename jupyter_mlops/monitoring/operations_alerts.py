"""What the service does for alerts: keeps monitors, looks at their windows when they are due, sends, and acts."""

from __future__ import annotations

import json
import logging
import re
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..domain.alert import Alert, AlertTable, Judgement, Monitor, MonitorTable, RetrainRules
from ..domain.context import now_ms
from ..domain.length import parse_length
from ..domain.performance import AlertMark
from ..domain.workspace import Actor
from ..errors import InvalidArgument, NotFound, StoreUnavailable
from ..serving.deployment_folder import DeploymentFolder, find
from ..store.host import Host
from .alerts import KEPT_WINDOWS, Post, State, advance, path_of, read_state, states, write_state
from .operations_exposition import expose, withdraw
from .operations_performance import Source, source_of
from .operations_readings import GRACE_MS, read_windows
from .rules import Reading, Rule, parse_rule
from .sinks import Message, check_sink, sink_of

__all__ = [
    "ACTIONS",
    "alerts",
    "busy",
    "look_at_all",
    "marks_of",
    "monitor",
    "monitors",
    "prometheus",
    "silence",
    "unmonitor",
]

log = logging.getLogger("jupyter_mlops.service")

ACTIONS = ("alert", "retrain", "rollback")
SHORTEST_MS = 1_000
RETRY_MS = (0, 5_000, 30_000, 120_000, 600_000, 3_600_000)
MOST_TRIES = 12
PREDICTION = "prediction"  # what windows call the column of answers
AGAIN_MS = 5_000

_lock = threading.RLock()  # monitors' files are changed by one thread at a time


def monitor(
    host: Host,
    *,
    name: str,
    every: str,
    rules: list[str],
    then: list[str] | None = None,
    sinks: list[str] | None = None,
    retrain: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Watch a deployment from now on; one that is watched already is watched by these rules instead."""
    source = source_of(host, name)
    every_ms = parse_length(every)
    if every_ms < SHORTEST_MS:
        raise InvalidArgument(f"--every takes a second or more, not {every!r}.")
    parsed = [parse_rule(rule) for rule in rules]
    _check_columns(host, source.deployment, parsed)
    given = RetrainRules.from_dict(retrain or {})
    actions = tuple(dict.fromkeys(then or ["alert"]))
    for action in actions:
        if action not in ACTIONS:
            raise InvalidArgument.unknown("--then", action, ACTIONS)
    if not parsed and not (given.after_labels or given.every):
        raise InvalidArgument(
            "a monitor needs a rule.", hint='Add one: --when "drift", --when "auc < 0.8 for 2 windows".'
        )
    for sink in sinks or ():
        check_sink(sink, host.settings.smtp)
    with _lock:
        before = read_state(host.workspace.home, source.deployment)
        state = State(
            Monitor(
                source.deployment,
                every,
                tuple(dict.fromkeys(rule.text for rule in parsed)),
                actions,
                tuple(dict.fromkeys(sinks or ())),
                given,
                before.monitor.created_ms if before else now_ms(),
                judgements=tuple(Judgement(rule.text) for rule in parsed),
            )
        )
        if before is not None:  # what is open and what is to be sent goes on; rules that are gone are resolved
            state.number, state.silenced, state.outbox = before.number, before.silenced, before.outbox
            gone = [a for a in before.alerts if a.resolved_ms is None and a.rule not in state.monitor.rules]
            state.alerts = [replace(a, resolved_ms=now_ms()) if a in gone else a for a in before.alerts]
        write_state(host.workspace.home, state)
        return state.monitor.to_dict()


def _check_columns(host: Host, deployment: str, rules: list[Rule]) -> None:
    """Refuse rules about columns that the deployment's windows will not have, as far as its signature tells them."""
    stored = DeploymentFolder.of(host.workspace.home, deployment).read()
    inputs = [column.name for column in stored.inputs] if stored is not None else []
    for rule in rules:
        if inputs and rule.column and rule.column not in (*inputs, PREDICTION):
            raise InvalidArgument.unknown("column in a rule", rule.column, [*inputs, PREDICTION])


def monitors(host: Host) -> dict[str, Any]:
    """Every monitor as it stands."""
    return MonitorTable(tuple(state.monitor for state in states(host.workspace.home))).to_dict()


def unmonitor(host: Host, *, name: str) -> dict[str, Any]:
    """Watch a deployment no more; its alerts stay in the store."""
    with _lock:
        state = _state(host, name)
        path_of(host.workspace.home, state.monitor.name).unlink()
        withdraw(host.workspace.home, state.monitor.name)
    return replace(state.monitor, notes=("watched no more; this is how its rules stood",)).to_dict()


def alerts(host: Host, *, name: str = "", limit: int = 50, firing: bool = False) -> dict[str, Any]:
    """Alerts, newest first: those of monitors, and what the store knows of earlier ones."""
    found = {a.id: a for state in states(host.workspace.home) for a in state.alerts}
    try:
        for alert in host.store.alerts.recent(name, limit=limit):
            found.setdefault(alert.id, alert)
    except StoreUnavailable as error:
        log.warning("alerts are shown without the store's: %s", error)
    chosen = [a for a in found.values() if not name or name in (a.deployment, a.model, a.model.partition("@")[0])]
    chosen = [a for a in chosen if not firing or a.resolved_ms is None]
    chosen.sort(key=lambda a: (a.found_ms, a.id), reverse=True)
    return AlertTable(tuple(chosen[:limit])).to_dict()


def silence(host: Host, *, name: str, rule: str = "", until_ms: int = 0) -> dict[str, Any]:
    """Send nothing of a monitor's rules until a time; 0 lets them speak again."""
    with _lock:
        state = _state(host, name)
        chosen = [r for r in state.monitor.rules if not rule or r == " ".join(rule.split())]
        if not chosen:
            raise NotFound.among("rule", rule, list(state.monitor.rules))
        for text in chosen:
            state.silenced[text] = until_ms
        told = tuple(
            replace(j, silenced_until_ms=until_ms) if j.rule in chosen else j for j in state.monitor.judgements
        )
        state.monitor = replace(state.monitor, judgements=told)
        write_state(host.workspace.home, state)
    return state.monitor.to_dict()


def busy(host: Host) -> bool:
    """Whether anything is monitored."""
    folder = host.workspace.home / "monitors"
    return folder.is_dir() and any(folder.glob("*.json"))


def look_at_all(host: Host) -> None:
    """Look at every monitor that is due, and send what is to be sent."""
    for name in sorted(path.stem for path in (host.workspace.home / "monitors").glob("*.json")):
        if host.stopping.is_set():
            return
        try:
            look(host, name)
        except Exception:
            log.exception("the monitor of %s", name)


def look(host: Host, name: str) -> None:
    """Look at one monitor if it is due, and send what is to be sent."""
    with _lock:
        state = read_state(host.workspace.home, name)
    if state is None:
        return
    now = now_ms()
    source: Source | None = None
    try:
        source = source_of(host, name)
        labels = source.labels.newest()
    except NotFound as error:
        labels, told = 0, error.message
    else:
        told = ""
    if source is None or state.monitor.next_ms <= now or labels > state.labels_until_ms:
        readings = read_windows(host, source, state, now) if source is not None else {}
        with _lock:
            state = read_state(host.workspace.home, name)
            if state is None:
                return
            state.labels_until_ms = max(state.labels_until_ms, labels)
            _judge(host, source, state, readings, told, now)
    _empty(host, name)


def _judge(
    host: Host,
    source: Source | None,
    state: State,
    readings: dict[str, dict[str, list[Any]]],
    error: str,
    now: int,
) -> None:
    """Take every rule on and write down what follows from it, in one step."""
    every = parse_length(state.monitor.every)
    for text, read in readings.items():
        every_one = {**state.readings.get(text, {}), **read}
        ends = sorted(every_one, key=int)
        judged = [end for end in ends if every_one[end][2] is not None]  # may be far back: labels come late
        kept = {*ends[-KEPT_WINDOWS:], *judged[-KEPT_WINDOWS:]}
        state.readings[text] = {end: every_one[end] for end in ends if end in kept}
    state.readings = {text: read for text, read in state.readings.items() if text in state.monitor.rules}
    told = []
    news = len(state.outbox)
    for rule in map(parse_rule, state.monitor.rules):
        known = sorted((int(end), _reading(r)) for end, r in state.readings.get(rule.text, {}).items())
        told.append(advance(state, rule, known, every_ms=every, model=source.model if source else "", now_ms=now))
    next_ms = now - (now - 4 * 86_400_000) % every + every + GRACE_MS if source else now + AGAIN_MS
    state.labelled = source.labels.count() if source else state.labelled
    state.monitor = replace(state.monitor, judgements=tuple(told), looked_ms=now, next_ms=next_ms, error=error)
    write_state(host.workspace.home, state)
    expose(host, state)
    host.changed("monitors")
    if len(state.outbox) != news:
        host.changed("alerts")


def prometheus(host: Host, *, name: str) -> dict[str, Any]:
    """What files for Prometheus are made of: where a deployment answers, where its token is, and what is watched."""
    state = _state(host, name)
    stored = find(host.workspace.home, state.monitor.name)
    folder = DeploymentFolder.of(host.workspace.home, stored.name)
    seconds = parse_length(state.monitor.every) // 1000
    rules = list(state.monitor.rules)
    return {
        "name": stored.name,
        "url": stored.url,
        "token_file": str(folder.token_file),
        "rules": rules,
        "seconds": seconds,
    }


def _empty(host: Host, name: str) -> None:
    """Send what is in a monitor's outbox and due; each message leaves it when it has arrived."""
    while not host.stopping.is_set():
        with _lock:
            state = read_state(host.workspace.home, name)
            now = now_ms()
            post = next((p for p in state.outbox if p.next_ms <= now), None) if state else None
        if state is None or post is None:
            return
        alert = state.alert(post.alert)
        if alert is None:
            outcome, told = True, ""
        else:
            outcome, told = _send(host, state, post, alert)
        with _lock:
            state = read_state(host.workspace.home, name)
            if state is None:
                return
            _note(state, post, told, done=outcome)
            write_state(host.workspace.home, state)
        if post.where == "store":
            host.changed("alerts")


def _note(state: State, post: Post, told: str, *, done: bool) -> None:
    """Write down how a post went: it leaves the outbox, or is tried again later, or is given up."""
    given_up = not done and post.tries + 1 >= MOST_TRIES
    for kept in list(state.outbox):
        if (kept.id, kept.where) != (post.id, post.where):
            continue
        if done or given_up:
            state.outbox.remove(kept)
        else:
            kept.tries += 1
            kept.next_ms = now_ms() + RETRY_MS[min(kept.tries, len(RETRY_MS) - 1)]
    alert = state.alert(post.alert)
    if alert is not None and told:
        word = told if done else f"{told}; {'given up' if given_up else 'tried again later'}"
        state.put(replace(alert, sent={**(alert.sent or {}), f"{post.where} {post.kind}": word}))


def _send(host: Host, state: State, post: Post, alert: Alert) -> tuple[bool, str]:
    """Whether a post has arrived, and how it went in words."""
    try:
        if post.where == "store":
            host.store.alerts.record(alert)
            return True, "kept"
        if post.where.startswith("action:"):
            return True, _act(host, state, post.where.removeprefix("action:"), alert)
        sink, target = sink_of(post.where)
        message = Message(post.id, f"alert.{post.kind}", alert, host.workspace.home, host.settings.smtp)
        return True, sink.send(target, message)
    except Exception as error:
        log.warning("the alert %s to %s: %s: %s", alert.id, post.where, type(error).__name__, error)
        return False, f"{type(error).__name__}: {error}"


def _act(host: Host, state: State, action: str, alert: Alert) -> str:
    """Carry out what an alert brings about, once: the alert's id is the request's."""
    if action == "retrain":  # the retraining stage takes it from there
        ask_for_retrain(host.workspace.home, alert.id, state.monitor.name, state.monitor.retrain, alert.sentence)
        return "asked for"
    from ..serving.operations_traffic import rollback

    actor = Actor(host.settings.user, host.settings.host, "service")
    asked = replace(host, request=f"{alert.id}-rollback", actor=actor)
    done = rollback(asked, model=state.monitor.name, reason=alert.sentence)
    host.audit(f"{alert.id}-rollback", actor, "deployment.rollback", state.monitor.name, {"reason": alert.sentence})
    return f"rolled back to {done['model']}@{done['version']}"


def ask_for_retrain(home: Path, id_: str, deployment: str, rules: RetrainRules, reason: str) -> Path:
    """Leave a request for a retrain where the retraining stage finds it, once for each id."""
    folder = home / "retraining" / "asked"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{id_}.json"
    temporary = path.with_name(f".{path.name}")
    temporary.write_text(json.dumps({"id": id_, "deployment": deployment, "rules": rules.to_dict(), "reason": reason}))
    temporary.replace(path)
    return path


def marks_of(host: Host, deployment: str) -> tuple[AlertMark, ...]:
    """The alerts of a deployment as the drawing marks them."""
    try:
        state = read_state(host.workspace.home, deployment)
    except Exception:  # a drawing without marks is better than none
        log.exception("the alerts of %s", deployment)
        return ()
    return tuple(AlertMark(a.rule, a.opened_ms, a.resolved_ms) for a in state.alerts) if state else ()


def _state(host: Host, name: str) -> State:
    """A monitor by the deployment's name, or by what it serves."""
    known = [state.monitor.name for state in states(host.workspace.home)]
    chosen = name if name in known else next((n for n in known if n == name.partition("@")[0]), "")
    if not chosen and re.fullmatch(r"[\w.\-@]+", name):
        try:
            chosen = source_of(host, name).deployment
        except NotFound:
            chosen = ""
    found = read_state(host.workspace.home, chosen) if chosen in known else None
    if found is None:
        raise NotFound.among("monitor", name, known, hint="`%mlops monitors` lists them.")
    return found


def _reading(kept: list[Any]) -> Reading:
    return Reading(kept[0], kept[1], kept[2])
