"""The audit trail at rest: one writer's append-only file of chained lines (`chain`), and the head it has reached.

A state change writes two lines: one that it begins, before anything is touched, and one that it ended, before it is
acknowledged. A beginning without an end is a change that was interrupted. The ending keeps the answer, so that a
request that is asked again after a crash gets the same answer instead of being done twice.
"""

from __future__ import annotations

import os
import threading
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import orjson

from ..domain.audit_entry import AuditEntry
from ..domain.context import now_ms
from ..domain.workspace import Actor
from .chain import ANSWER, FIRST, PERSONAL, Chain, check_chain, erased, line_of, plain

__all__ = ["Answered", "Trail", "check_file", "entries_of"]

LARGEST_ANSWER = 65_536
LONGEST_FACT = 400
ASKED_AGAIN_MS = 86_400_000  # a request is asked again within seconds; its answer is remembered for a day
HEAD = "head-{writer}.json"


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
    shipping
        Held while entries are copied to the shared store, and while what has been copied is changed: or the copying
        would take along what is just being erased.
    """

    path: Path
    writer: str = ""
    shipping: threading.RLock = field(default_factory=threading.RLock)
    _lock: threading.RLock = field(default_factory=threading.RLock)
    _last: str = FIRST
    _seq: int = 0
    _number: int = 0
    _requests: dict[str, Answered] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.path.exists():
            self._load()
        self.writer = self.writer or uuid.uuid4().hex

    @property
    def head(self) -> tuple[int, str]:
        """The last place in the chain, and its hash."""
        with self._lock:
            return self._seq, self._last

    def earlier(self, request: str) -> Answered | None:
        """What an earlier try of this request came to, None for a new one."""
        return self._requests.get(request)

    def begin(self, request: str, actor: Actor, action: str, target: str, details: Mapping[str, Any]) -> int:
        """Write that a change begins; return its number."""
        with self._lock:
            earlier = self._requests.get(request)
            if earlier is not None:
                return earlier.number
            self._append(self._begun(request, actor, action, target, details))
            self._requests[request] = Answered(self._number, done=False)
            return self._number

    def done(self, request: str, actor: Actor, action: str, target: str, details: Mapping[str, Any]) -> None:
        """Write that a change was made; both of its entries at once, for what has begun and ended when it is told of."""
        with self._lock:
            earlier = self._requests.get(request)
            begun = [] if earlier is not None else [self._begun(request, actor, action, target, details)]
            number = earlier.number if earlier is not None else self._number
            ended = {"kind": "end", "number": number, "request": request, "outcome": "done"}
            self._append(*begun, (ended, {PERSONAL: {"error": "", "result": _facts(None)}}))
            self._requests[request] = Answered(number, done=True)

    def _begun(
        self, request: str, actor: Actor, action: str, target: str, details: Mapping[str, Any]
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """The entry of a change that begins, with the next number."""
        self._number += 1
        return (
            {"kind": "begin", "number": self._number, "request": request, "action": action, "target": target},
            {PERSONAL: {"actor": actor.to_dict(), "details": dict(details)}},
        )

    def end(self, request: str, outcome: str, *, answer: Any = None, error: str = "") -> None:
        """Write how the change ended, and what it came to."""
        with self._lock:
            number = self._requests[request].number
            told = plain(answer)
            sealed: dict[str, Any] = {PERSONAL: {"error": error, "result": _facts(told)}}
            if told is not None and len(orjson.dumps(told)) <= LARGEST_ANSWER:
                sealed[ANSWER] = told
            self._append(({"kind": "end", "number": number, "request": request, "outcome": outcome}, sealed))
            self._requests[request] = Answered(number, outcome == "done", answer)

    def note(self, kind: str, public: Mapping[str, Any]) -> int:
        """Write an entry about the chain itself: an ``anchor`` of other chains' heads, an erasure, a retention."""
        with self._lock:
            self._append(({"kind": kind, "public": dict(public)}, {}))
            return self._seq

    def erase(self, user: str, reason: str = "") -> list[tuple[int, int]]:
        """Take away what is personal in the entries of one user; give the stretches of places.

        The reason stands in the entry about the erasure, which is nobody's: it stays where users erase themselves.

        The entry that says so is written first: a crash in between leaves something to erase again, never an erasure
        that nothing tells of.
        """
        with self._lock:
            lines = self._lines()
            mine = _numbers_of(lines, user)
            places: list[tuple[int, int]] = []
            for entry in map(orjson.loads, lines):
                if entry.get("number") in mine and entry["sealed"]:
                    place = entry["seq"]
                    if places and places[-1][1] == place - 1:
                        places[-1] = (places[-1][0], place)
                    else:
                        places.append((place, place))
            if places:
                self.note("erase", {"entries": places, **({"reason": reason} if reason else {})})
                self._rewrite(
                    lambda line, entry: erased(line, PERSONAL, ANSWER) if entry.get("number") in mine else line
                )
                for request, answered in self._requests.items():
                    if answered.number in mine:
                        self._requests[request] = Answered(answered.number, answered.done)
            return places

    def retain(self, since_ms: int) -> dict[str, Any] | None:
        """Remove the entries before a time, oldest first; give what vouches for them, None if there was nothing.

        The last entry is always kept.
        """
        with self._lock:
            lines = self._lines()
            old: list[dict[str, Any]] = []
            for entry in map(orjson.loads, lines[:-1]):
                if entry["at_ms"] >= since_ms:
                    break
                old.append(entry)
            if not old:
                return None
            gone = sha256(b"".join(line + b"\n" for line in lines[: len(old)])).hexdigest()
            told = {
                "through": old[-1]["seq"],
                "hash": old[-1]["hash"],
                "entries": len(old),
                "from_ms": old[0]["at_ms"],
                "to_ms": old[-1]["at_ms"],
                "digest": gone,
            }
            self.note("retain", told)
            self._rewrite(lambda line, entry: line if entry["seq"] > told["through"] else b"")
            return told

    def read_from(self, place: int) -> list[bytes]:
        """The lines from a place on, whole, without line ends."""
        with self._lock:
            lines = self._lines()
            first = orjson.loads(lines[0])["seq"] if lines else 1
            return lines[max(0, place - first) :]

    def _lines(self) -> list[bytes]:
        return _lines_in(self.path)

    def _load(self) -> None:
        raw = self.path.read_bytes()
        whole = raw[: raw.rfind(b"\n") + 1]
        if len(whole) < len(raw):  # the last write was cut short: it was never acknowledged
            with self.path.open("r+b") as file:
                file.truncate(len(whole))
        young = now_ms() - ASKED_AGAIN_MS
        for line in whole.split(b"\n")[:-1]:
            try:
                entry = orjson.loads(line)
                self.writer = self.writer or entry["writer"]
                self._last, self._seq = entry["hash"], max(self._seq, entry["seq"])
                if entry["kind"] not in ("begin", "end"):
                    continue
                self._number = max(self._number, entry["number"])
                answer = entry["sealed"].get(ANSWER, {}).get("value") if entry["at_ms"] > young else None
                done = entry["kind"] == "end" and entry["outcome"] == "done"
                self._requests[entry["request"]] = Answered(entry["number"], done, answer)
            except (ValueError, KeyError, TypeError):
                continue  # tampered with: `audit verify` tells; the service goes on and the evidence stays
        seen = _read_head(self.path.parent / HEAD.format(writer=self.writer))
        if seen[0] > self._seq:  # the end was cut off: the gap stays
            self._seq, self._last = seen

    def _append(self, *entries: tuple[dict[str, Any], Mapping[str, Any]]) -> None:
        place, own, line = self._seq, self._last, b""
        for body, sealed in entries:
            place += 1
            whole = {**body, "writer": self.writer, "seq": place, "at_ms": now_ms(), "previous": own}
            written_as, own = line_of(whole, sealed)
            line += written_as
        self.path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            before = os.fstat(descriptor).st_size
            try:
                written = os.write(descriptor, line)
                if written < len(line):
                    raise OSError(28, "No space left on device")
                os.fsync(descriptor)
            except OSError:
                os.ftruncate(descriptor, before)  # a full disk leaves no half of a line for the next to follow
                raise
        finally:
            os.close(descriptor)
        self._seq, self._last = place, own
        _write_head(self.path.parent / HEAD.format(writer=self.writer), place, own)

    def _rewrite(self, change: Callable[[bytes, dict[str, Any]], bytes]) -> None:
        temporary = self.path.with_suffix(".tmp")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            for line in self._lines():
                file.write(change(line + b"\n", orjson.loads(line)))
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(self.path)


def check_file(path: Path) -> list[Chain]:
    """Check a workspace's own trail: its file, and the heads that its writers are known to have reached."""
    lines = _lines_in(path)
    chain = check_chain(lines)
    found = [chain]
    for file in sorted(path.parent.glob(HEAD.format(writer="*"))):
        writer = file.stem.removeprefix("head-")
        place, stated = _read_head(file)
        if not chain.writer:
            chain.writer = writer
        own = chain if writer == chain.writer else Chain(writer)
        if own is not chain:
            found.append(own)
        own.must_hold(place, stated, "the workspace itself")
    return found


def entries_of(chain: Chain) -> list[AuditEntry]:
    """The changes of a chain, oldest first."""
    found: dict[int, dict[str, Any]] = {}
    for entry in chain.entries:
        personal = entry["sealed"].get(PERSONAL, {}).get("value")
        if entry["kind"] == "begin":
            told = personal or {"actor": {"user": "(erased)"}, "details": {}}
            found[entry["number"]] = {**entry, **told, "outcome": "interrupted", "erased": personal is None}
        elif entry["kind"] == "end" and entry["number"] in found:
            told = personal or {"error": "", "result": {}}
            found[entry["number"]].update(outcome=entry["outcome"], ended_ms=entry["at_ms"], **told)
        elif entry["kind"] in ("erase", "retain"):
            told = {"action": f"audit.{entry['kind']}", "details": entry["public"], "actor": {"via": "service"}}
            found[-entry["seq"]] = {**entry, **told, "number": 0, "outcome": "done"}
    return [AuditEntry.from_dict(entry) for entry in found.values()]


def _lines_in(path: Path) -> list[bytes]:
    """The whole lines of a file, without their ends; only a line feed ends one."""
    return path.read_bytes().split(b"\n")[:-1] if path.exists() else []


def _numbers_of(lines: list[bytes], user: str) -> set[int]:
    found = set()
    for entry in map(orjson.loads, lines):
        personal = entry["sealed"].get(PERSONAL, {}).get("value", {})
        if personal.get("actor", {}).get("user") == user:
            found.add(entry["number"])
    return found


def _facts(answer: Any) -> dict[str, Any]:
    """What an answer says in few words: what has changed."""
    if not isinstance(answer, dict):
        return {}
    facts: dict[str, Any] = {}
    for key, value in answer.items():
        if isinstance(value, list) and value and all(isinstance(each, str) for each in value):
            whole = ", ".join(value)
            facts[key] = whole if len(whole) <= LONGEST_FACT else f"{len(value):,}: {whole[: LONGEST_FACT - 20]}..."
        elif isinstance(value, (str, int, float)) and value != "" and len(str(value)) <= LONGEST_FACT:
            facts[key] = value
    return facts


def _read_head(path: Path) -> tuple[int, str]:
    try:
        told = orjson.loads(path.read_bytes())
        return int(told["seq"]), str(told["hash"])
    except (OSError, ValueError, KeyError, TypeError):
        return 0, FIRST


def _write_head(path: Path, seq: int, own: str) -> None:
    temporary = path.with_suffix(".tmp")
    temporary.write_bytes(orjson.dumps({"seq": seq, "hash": own}))
    temporary.replace(path)
