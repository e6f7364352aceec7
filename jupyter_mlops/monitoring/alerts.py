"""Alerts: what a monitor knows, in one file that is replaced in one step: its rules, what windows said, open alerts, what is to be sent.

An alert opens and closes in the same write that puts its messages into the outbox, so a crash leaves both or neither. A
message leaves the outbox when it has arrived; one that was on its way when the service died goes again under the same id.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ..domain.alert import Alert, Judgement, Monitor
from ..errors import IntegrityFailure
from .rules import Reading, Rule

__all__ = ["Post", "State", "advance", "read_state", "states", "write_state"]

KEPT_ALERTS = 200
KEPT_WINDOWS = 60
FORMAT = 1


@dataclass
class Post:
    """One thing to do about an alert: a sink to send to, or an action to carry out.

    Parameters
    ----------
    id
        The alert's id and the kind: the same after a crash.
    where
        ``store``, a sink as it was written, or ``action:retrain``.
    next_ms
        Not before this it is tried again.
    """

    id: str
    alert: str
    kind: str
    where: str
    tries: int = 0
    next_ms: int = 0


@dataclass
class State:
    """Everything a monitor knows."""

    monitor: Monitor
    alerts: list[Alert] = field(default_factory=list)
    outbox: list[Post] = field(default_factory=list)
    readings: dict[str, dict[str, list[Any]]] = field(default_factory=dict)
    """By rule and by the window's end: value, words, and whether it holds."""
    number: int = 0
    silenced: dict[str, int] = field(default_factory=dict)
    labelled: int = 0
    labels_until_ms: int = 0
    """When the newest batch of labels came that the readings know of."""

    def alert(self, id_: str) -> Alert | None:
        """One alert by its id."""
        return next((a for a in self.alerts if a.id == id_), None)

    def put(self, alert: Alert) -> None:
        """Put an alert in the place of the one with its id."""
        self.alerts = [alert if a.id == alert.id else a for a in self.alerts]


def path_of(home: Path, name: str) -> Path:
    """Where a monitor's file is."""
    return home / "monitors" / f"{name}.json"


def states(home: Path) -> list[State]:
    """Every monitor's, by name."""
    folder = home / "monitors"
    found = [read_state(home, path.stem) for path in sorted(folder.glob("*.json"))] if folder.is_dir() else []
    return [state for state in found if state is not None]


def read_state(home: Path, name: str) -> State | None:
    """A monitor's, None for one that is not there.

    Raises
    ------
    IntegrityFailure
        Its file cannot be read.
    """
    path = path_of(home, name)
    try:
        data = json.loads(path.read_text())
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise IntegrityFailure(
            f"{path} cannot be read: {error}.", hint=f"Remove it and monitor {name} again; its alerts are in the store."
        ) from error
    return State(
        Monitor.from_dict(data["monitor"]),
        [Alert.from_dict(a) for a in data["alerts"]],
        [Post(**post) for post in data["outbox"]],
        data["readings"],
        data["number"],
        data["silenced"],
        data["labelled"],
        data["labels_until_ms"],
    )


def write_state(home: Path, state: State) -> None:
    """Write a monitor's file, in one step."""
    path = path_of(home, state.monitor.name)
    path.parent.mkdir(parents=True, exist_ok=True)
    data = {
        "format": FORMAT,
        "monitor": state.monitor.to_dict(),
        "alerts": [a.to_dict() for a in state.alerts[-KEPT_ALERTS:]],
        "outbox": [post.__dict__ for post in state.outbox],
        "readings": state.readings,
        "number": state.number,
        "silenced": state.silenced,
        "labelled": state.labelled,
        "labels_until_ms": state.labels_until_ms,
    }
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with temporary.open("w") as file:
        json.dump(data, file)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def advance(
    state: State, rule: Rule, readings: Sequence[tuple[int, Reading]], *, every_ms: int, model: str, now_ms: int
) -> Judgement:
    """Take a rule on by what its windows say, oldest first: open or resolve its alert, and say how it stands.

    A window that could not be judged neither breaks a row of windows in which the rule holds nor adds to it.
    """
    judged = [(end, r) for end, r in readings if r.holds is not None]
    open_ = next((a for a in reversed(state.alerts) if a.rule == rule.text and a.resolved_ms is None), None)
    silenced = state.silenced.get(rule.text, 0)
    quiet = silenced > now_ms
    if not judged:
        told = readings[-1][1].told if readings else "no window is over yet"
        stands = "firing" if open_ is not None else "unknown"
        return Judgement(rule.text, stands, None, told, readings[-1][0] if readings else 0, silenced if quiet else 0)  # type: ignore[arg-type]  # one of the two words
    end, last = judged[-1]
    row = 0
    for _, reading in reversed(judged):
        if not reading.holds:
            break
        row += 1
    if open_ is None and row >= rule.needed(every_ms):
        state.number += 1
        seed = f"{state.monitor.name}/{state.monitor.created_ms}/{rule.text}/{state.number}"
        id_ = hashlib.sha256(seed.encode()).hexdigest()[:12]
        open_ = Alert(
            id_, state.monitor.name, model, rule.text, last.told, end, now_ms, last.value, silenced=quiet, sent={}
        )
        state.alerts.append(open_)
        _post(state, open_, "firing", actions=not quiet)
    elif open_ is not None and not last.holds:
        done = replace(open_, resolved_ms=end)
        state.put(done)
        _post(state, done, "resolved", actions=False)
        open_ = None
    stands = "firing" if open_ is not None else "pending" if row else "ok"
    return Judgement(rule.text, stands, last.value, last.told, end, silenced if quiet else 0)  # type: ignore[arg-type]  # one of the four words


def _post(state: State, alert: Alert, kind: str, *, actions: bool) -> None:
    """Put everything that an alert brings about into the outbox; a silenced one is kept in the store alone."""
    targets = ["store", *(() if alert.silenced else state.monitor.sinks)]
    if actions:
        targets += [f"action:{word}" for word in state.monitor.then if word != "alert"]
    state.outbox += [Post(f"{alert.id}-{kind}", alert.id, kind, where) for where in targets]
