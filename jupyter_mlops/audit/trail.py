"""The audit trail at rest: an append-only file of JSON lines, each carrying the hash of all before it.

A state change writes two lines: one that it begins, before anything is touched, and one that it ended, before it is
acknowledged. A beginning without an end is a change that was interrupted. The ending keeps the answer, so that a
request that is asked again after a crash gets the same answer instead of being done twice.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..domain.audit_entry import AuditEntry, AuditTrail
from ..domain.context import now_ms
from ..domain.workspace import Actor

__all__ = ["Answered", "Trail", "read_trail"]

FIRST = "0" * 64
LARGEST_ANSWER = 65_536


@dataclass(frozen=True)
class Answered:
    """What an earlier try of a request came to."""

    number: int
    done: bool
    answer: Any = None


@dataclass
class Trail:
    """The writer of one workspace's trail; one process holds it, the service.

    Parameters
    ----------
    path
        The file; made when the first entry is written.
    """

    path: Path
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _last: str = FIRST
    _number: int = 0
    _requests: dict[str, Answered] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.path.exists():
            return
        raw = self.path.read_bytes()
        whole = raw[: raw.rfind(b"\n") + 1]
        if len(whole) < len(raw):  # the last write was cut short: it was never acknowledged
            with self.path.open("r+b") as file:
                file.truncate(len(whole))
        for line in whole.splitlines():
            entry = json.loads(line)
            self._last, self._number = entry["hash"], max(self._number, entry["number"])
            done = entry["kind"] == "end" and entry["outcome"] == "done"
            self._requests[entry["request"]] = Answered(entry["number"], done, entry.get("answer"))

    def earlier(self, request: str) -> Answered | None:
        """What an earlier try of this request came to, None for a new one."""
        return self._requests.get(request)

    def begin(self, request: str, actor: Actor, action: str, target: str, details: Mapping[str, Any]) -> int:
        """Write that a change begins; return its number."""
        with self._lock:
            earlier = self._requests.get(request)
            if earlier is not None:
                return earlier.number
            self._number += 1
            self._append(
                kind="begin",
                number=self._number,
                request=request,
                actor=actor.to_dict(),
                action=action,
                target=target,
                details=dict(details),
            )
            self._requests[request] = Answered(self._number, done=False)
            return self._number

    def end(self, request: str, outcome: str, *, answer: Any = None, error: str = "") -> None:
        """Write how the change ended."""
        with self._lock:
            number = self._requests[request].number
            kept = answer if len(json.dumps(answer)) <= LARGEST_ANSWER else None
            self._append(kind="end", number=number, request=request, outcome=outcome, error=error, answer=kept)
            self._requests[request] = Answered(number, outcome == "done", answer)

    def _append(self, **entry: Any) -> None:
        entry = {**entry, "at_ms": now_ms(), "previous": self._last}
        self._last = entry["hash"] = _hash(entry)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(descriptor, json.dumps(entry, separators=(",", ":")).encode() + b"\n")
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def read_trail(path: Path, *, limit: int, target: str = "") -> AuditTrail:
    """The newest entries, and whether the chain of hashes is whole.

    Parameters
    ----------
    target
        Only entries on this target, or on a version or alias of it.
    """
    entries: dict[int, dict[str, Any]] = {}
    last, broken = FIRST, None
    for line in path.read_bytes().splitlines() if path.exists() else ():
        try:
            entry = json.loads(line)
        except ValueError:
            entry = {"number": max(entries, default=0) + 1, "hash": "", "previous": None, "kind": "unreadable"}
        stated = entry.get("hash")
        if broken is None and (entry.get("previous") != last or _hash(entry) != stated):
            broken = entry["number"]
        last = str(stated)
        if entry["kind"] == "begin":
            entries[entry["number"]] = {**entry, "outcome": "interrupted"}
        elif entry["kind"] == "end" and entry["number"] in entries:
            entries[entry["number"]].update(outcome=entry["outcome"], error=entry["error"])
    wanted = [
        AuditEntry.from_dict(entry)
        for entry in reversed(entries.values())
        if not target or entry["target"] == target or entry["target"].partition("@")[0] == target
    ]
    return AuditTrail(tuple(wanted[:limit]), intact=broken is None, broken_at=broken)


def _hash(entry: Mapping[str, Any]) -> str:
    content = {key: value for key, value in entry.items() if key != "hash"}
    return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
