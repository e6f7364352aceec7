"""The chain: how one audit entry is written down, and what shows that entries were removed, altered, reordered or spliced.

Every writer (one workspace's service) has a chain of its own, numbered from 1 without gaps. An entry is one line of
canonical JSON. Its hash is the SHA-256 of everything but its sealed parts, and covers the hash of the entry before it.
What is personal is sealed: the chain holds only a salted commitment, SHA-256 of a random salt and the value, while the
salt and the value stand beside it. Taking both away erases the person and breaks nothing, and without the salt the
commitment tells nothing; that it was done must be said by an ``erase`` entry, else it counts as tampering. Likewise the
first entries may be missing if, and only if, a later ``retain`` entry names the last of them and its hash.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from ..domain.audit_entry import AuditFinding

__all__ = ["ANSWER", "FIRST", "PERSONAL", "Chain", "check_chain", "digest", "erased", "line_of", "plain"]

FIRST = "0" * 64
PERSONAL = "personal"
ANSWER = "answer"
OUTSIDE = ("hash", "sealed")
FORMAT = 2


def plain(value: Any) -> Any:
    """`value` as JSON can carry it, the same on every machine: keys are text, integers of any size keep their digits."""
    if isinstance(value, Mapping):
        return {plain(str(key)): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, bool) or value is None or isinstance(value, float):
        return value
    if isinstance(value, int):
        return value if -(2**63) <= value < 2**63 else str(value)
    return str(value).encode(errors="replace").decode()


def line_of(body: Mapping[str, Any], sealed: Mapping[str, Any]) -> tuple[bytes, str]:
    """One entry as a line, and its hash.

    Parameters
    ----------
    body
        What the hash covers.
    sealed
        What it covers by a commitment only, by name.
    """
    kept = {name: {"salt": secrets.token_hex(16), "value": plain(value)} for name, value in sealed.items()}
    whole = plain(body) | {"v": FORMAT, "commit": {name: _commitment(part) for name, part in kept.items()}}
    own = digest(whole)
    return _dumps(whole | {"hash": own, "sealed": kept}) + b"\n", own


def digest(entry: Mapping[str, Any]) -> str:
    """The hash that an entry should state, in hexadecimal."""
    return hashlib.sha256(_dumps({k: v for k, v in entry.items() if k not in OUTSIDE})).hexdigest()


def erased(line: bytes, *parts: str) -> bytes:
    """The line without these sealed parts; its hash stays what it was."""
    entry = orjson.loads(line)
    entry["sealed"] = {name: part for name, part in entry["sealed"].items() if name not in parts}
    return _dumps(entry) + b"\n"


@dataclass
class Chain:
    """What one writer's chain came to.

    Parameters
    ----------
    entries
        The entries that are what they say, in their order.
    hashes
        The hash of each place in the chain.
    start
        The last place that was removed under a ``retain`` entry, 0 for none.
    """

    writer: str
    entries: list[dict[str, Any]] = field(default_factory=list)
    hashes: dict[int, str] = field(default_factory=dict)
    start: int = 0
    findings: list[AuditFinding] = field(default_factory=list)

    @property
    def head(self) -> tuple[int, str]:
        """The last place and its hash."""
        last = max(self.hashes, default=self.start)
        return last, self.hashes.get(last, FIRST)

    def find(self, place: int, what: str, text: str) -> None:
        """Note a finding."""
        self.findings.append(AuditFinding(self.writer, place, what, text))

    def must_hold(self, place: int, stated: str, source: str) -> None:
        """Hold the chain against what somebody saw of it: the hash at a place."""
        last, _ = self.head
        if place <= self.start:
            return
        if place > last:
            self.find(last + 1, "truncated", f"entries {last + 1} to {place} are missing; {source} saw them")
        elif self.hashes.get(place, stated) != stated:
            self.find(place, "altered", f"entry {place} is not the one that {source} saw")


def check_chain(lines: Iterable[bytes], *, writer: str = "", answers: bool = True) -> Chain:
    """Read a chain and find whatever was done to it.

    Parameters
    ----------
    lines
        As they lie in the file, in order.
    writer
        Whose chain it should be; that of its first entry by default.
    answers
        Whether the answers must be there: they are in the workspace's own file, not on the shared store.
    """
    chain = Chain(writer)
    places: dict[int, dict[str, Any]] = {}
    unreadable: list[int] = []
    highest = skipped = 0
    for line in lines:
        entry = _read(line)
        if entry is None:
            skipped += 1
            unreadable.append(highest + skipped)
            continue
        skipped = 0
        chain.writer = chain.writer or entry["writer"]
        place = entry["seq"]
        if entry["writer"] != chain.writer:
            chain.find(highest, "spliced", f"after entry {highest} stands one of the writer {entry['writer'][:8]}")
            continue
        if place in places:
            chain.find(place, "spliced", f"entry {place} stands there a second time")
            continue
        if place < highest:
            chain.find(place, "reordered", f"entry {place} stands after entry {highest}")
        highest = max(highest, place)
        places[place] = entry
    for place in sorted(places):
        chain.entries.append(places[place])
        chain.hashes[place] = places[place]["hash"]
    _check_start(chain, places)
    _check_places(chain, places, unreadable, highest)
    _check_sealed(chain, answers)
    return chain


def _read(line: bytes) -> dict[str, Any] | None:
    """The entry of a line that is just as it was written; None for any other."""
    try:
        entry = orjson.loads(line)
        sound = _dumps(entry) == line.removesuffix(b"\n") and digest(entry) == entry["hash"] and entry["v"] == FORMAT
        for name, part in entry["sealed"].items():
            sound = sound and _commitment(part) == entry["commit"][name]
        sound = sound and isinstance(entry["seq"], int) and isinstance(entry["writer"], str)
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    return entry if sound else None


def _check_start(chain: Chain, places: dict[int, dict[str, Any]]) -> None:
    first = min(places, default=1)
    if first == 1:
        return
    before = places[first]["previous"]
    retained = {(e["public"]["through"], e["public"]["hash"]) for e in chain.entries if e["kind"] == "retain"}
    if (first - 1, before) in retained:
        chain.start = first - 1


def _check_places(chain: Chain, places: dict[int, dict[str, Any]], unreadable: list[int], highest: int) -> None:
    altered = set(unreadable)
    for place in sorted(altered):
        chain.find(place, "altered", f"what stands as entry {place} is not what was written")
    missing = [n for n in range(chain.start + 1, highest + 1) if n not in places and n not in altered]
    for low, high in _stretches(missing):
        text = f"entry {low} was removed" if low == high else f"entries {low} to {high} were removed"
        chain.find(low, "removed", text)
    for place, entry in places.items():
        if place == chain.start + 1 and chain.start:
            continue  # the retain entry vouches for what went before
        stated = FIRST if place == 1 else chain.hashes.get(place - 1)
        if stated not in (None, entry["previous"]):
            chain.find(place - 1, "altered", f"entry {place - 1} was rewritten: entry {place} follows another one")


def _check_sealed(chain: Chain, answers: bool) -> None:
    allowed: set[int] = set()
    for entry in chain.entries:
        if entry["kind"] == "erase":
            for low, high in entry["public"]["entries"]:
                allowed.update(range(low, high + 1))
    for entry in chain.entries:
        gone = entry["commit"].keys() - entry["sealed"].keys()
        if not answers:
            gone -= {ANSWER}
        if gone and entry["seq"] not in allowed:
            place, lacks = entry["seq"], " and ".join(sorted(gone))
            chain.find(place, "altered", f"entry {place} lacks its {lacks} part, and no erasure says so")


def _stretches(numbers: list[int]) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    for number in numbers:
        if found and number == found[-1][1] + 1:
            found[-1] = (found[-1][0], number)
        else:
            found.append((number, number))
    return found


def _commitment(part: Mapping[str, Any]) -> str:
    return hashlib.sha256(part["salt"].encode() + _dumps(part["value"])).hexdigest()


def _dumps(value: Any) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
