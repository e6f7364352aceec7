"""How a workspace's trail reaches the shared store, and how the chains there vouch for one another.

The trail on the workspace's own disk comes first; a duty copies it to the store, each place of the chain once. Whoever
ships also looks how far the others have come, and writes an *anchor*: their heads, inside its own chain. So even the
removal of a whole writer, or of the end of its chain together with the store's note of it, shows in the chains of others.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

import orjson

from ..domain.audit_entry import AuditCheck, AuditFinding
from ..errors import InvalidArgument, StoreUnavailable
from ..store.audit_segments import SEGMENT, Head
from ..store.host import Host
from .chain import ANSWER, Chain, check_chain, erased
from .trail import Trail, check_file

__all__ = ["RESHIP", "ship", "trail_of", "unshipped", "verify"]

RESHIP = "reship"  # a file beside the trail: what is on the store must be written again, after an erasure or retention
LOOK_SECONDS = 60.0
RECEIPT_PARTS = 3


def trail_of(host: Host) -> Trail:
    """The workspace's trail, which the service holds."""
    trail: Trail = host.shared["trail"]
    return trail


def ship(host: Host, *, look: bool = False) -> None:
    """Copy what the store has not got yet, and anchor what others have written.

    Parameters
    ----------
    look
        Look for others' news now; else once a minute.
    """
    if "trail" not in host.shared:
        return
    with trail_of(host).shipping:
        _ship(host, look=look)


def _ship(host: Host, *, look: bool) -> None:
    trail, state = trail_of(host), _state(host)
    reship = trail.path.parent / RESHIP
    place, _ = trail.head
    due = look or time.monotonic() - state["looked"] > LOOK_SECONDS
    if place == state["place"] and not reship.exists() and not due:
        return
    state["failed"] = True
    heads = host.store.audit.heads()
    _anchor(host, trail, heads, state)
    own = heads.get(trail.writer)
    place, _ = trail.head
    if reship.exists():
        _ship_again(host, trail, own)
        reship.unlink(missing_ok=True)
        own = host.store.audit.heads().get(trail.writer)
    if place and (own is None or own.place < place):
        lines = trail.read_from((own.place // SEGMENT) * SEGMENT + 1 if own else 1)
        _put(host, trail, lines, own)
    state.update(place=trail.head[0], looked=time.monotonic(), failed=False)


def unshipped(host: Host) -> int:
    """How many entries have not reached the store yet."""
    if "trail" not in host.shared:
        return 0
    return max(0, trail_of(host).head[0] - int(_state(host)["place"]))


def busy(host: Host) -> bool:
    """Whether entries are on their way to a store that answers."""
    return "trail" in host.shared and unshipped(host) > 0 and not _state(host)["failed"]


def verify(host: Host, *, expect: list[str] | None = None) -> dict[str, Any]:
    """Hold the workspace's trail and every chain on the shared store against themselves and one another."""
    trail = trail_of(host)
    receipts = [_receipt(text) for text in expect or ()]
    local = check_file(trail.path)
    own = local[0]
    own.writer = own.writer or trail.writer
    notes: list[str] = []
    shared: dict[str, Chain] = {}
    try:
        ship(host, look=True)
        shared = _shared_chains(host, own)
    except StoreUnavailable as error:
        notes.append(f"only this workspace's own file was checked: {error.message}")
    for finding in (f for chain in shared.values() for f in chain.findings):
        finding_here = AuditFinding(
            finding.writer, finding.place, finding.what, f"{finding.text} (on the shared store)"
        )
        own.findings.append(finding_here)
    known = {**shared, own.writer: own}
    if shared:
        _check_anchors([own, *shared.values()], known, _store_name(host))
    for writer, place, stated in receipts:
        if writer in known:
            known[writer].must_hold(place, stated, "the receipt")
        else:
            own.findings.append(AuditFinding(writer, place, "removed", f"the whole chain of {writer[:8]} is missing"))
    every = [*local, *(chain for writer, chain in shared.items() if writer != own.writer)]
    found = [f for chain in every for f in chain.findings]
    return AuditCheck(
        findings=tuple(dict.fromkeys(sorted(found, key=lambda f: (f.writer, f.place, f.text)))),
        entries=sum(len(chain.entries) for chain in every),
        receipts=tuple(f"{chain.writer}:{chain.head[0]}:{chain.head[1]}" for chain in every if chain.hashes),
        unshipped=unshipped(host),
        notes=tuple(notes),
    ).to_dict()


def _shared_chains(host: Host, own: Chain) -> dict[str, Chain]:
    found: dict[str, Chain] = {}
    for writer, head in host.store.audit.heads().items():
        host.progress(f"checking the chain of {writer[:8]}")
        chain = check_chain(host.store.audit.read(writer), writer=writer, answers=False)
        chain.must_hold(head.place, head.hash, "the store's own note")
        if writer == own.writer:
            for place, stated in chain.hashes.items():
                if own.hashes.get(place) != stated:
                    own.must_hold(place, stated, "the shared store")
        found[writer] = Chain(writer, findings=chain.findings) if writer == own.writer else chain
    return found


def _check_anchors(chains: Iterable[Chain], known: dict[str, Chain], store: str) -> None:
    for chain in chains:
        for entry in chain.entries:
            if entry["kind"] != "anchor" or entry["public"]["store"] != store:
                continue
            for writer, (place, stated) in entry["public"]["heads"].items():
                if writer in known:
                    known[writer].must_hold(place, stated, f"the writer {chain.writer[:8]}")
                else:
                    lost = Chain(writer)
                    lost.find(place, "removed", f"the whole chain of {writer[:8]} is missing; it had {place} entries")
                    chain.findings += lost.findings


def _anchor(host: Host, trail: Trail, heads: dict[str, Head], state: dict[str, Any]) -> None:
    store = _store_name(host)
    anchored: dict[str, int] = state["anchored"]
    if not state["scanned"]:
        state["scanned"] = True
        for entry in check_chain(trail.read_from(1)).entries:
            if entry["kind"] == "anchor" and entry["public"]["store"] == store:
                anchored |= {writer: told[0] for writer, told in entry["public"]["heads"].items()}
    others = {writer: head for writer, head in heads.items() if writer != trail.writer}
    news = {w: [head.place, head.hash] for w, head in others.items() if head.changes > anchored.get(w, 0)}
    if news and trail.head[0]:
        trail.note("anchor", {"store": store, "heads": news})
        anchored |= {writer: others[writer].place for writer in news}


def _put(host: Host, trail: Trail, lines: list[bytes], own: Head | None) -> None:
    segments: dict[int, list[bytes]] = {}
    changes = own.changes if own else 0
    place, stated = 0, ""
    for line in lines:
        entry = orjson.loads(line)
        place, stated = entry["seq"], entry["hash"]
        changes = place if entry["kind"] != "anchor" else changes
        first = (place - 1) // SEGMENT * SEGMENT + 1
        segments.setdefault(first, []).append(erased(line, ANSWER))
    whole = {first: b"".join(kept) for first, kept in segments.items()}
    host.store.audit.put(trail.writer, whole, Head(trail.writer, place, stated, changes))


def _ship_again(host: Host, trail: Trail, own: Head | None) -> None:
    lines = trail.read_from(1)
    if not lines:
        return
    start = orjson.loads(lines[0])["seq"]
    _put(host, trail, lines, own)
    for first in host.store.audit.firsts(trail.writer):
        if first + SEGMENT <= start:
            host.store.audit.empty(trail.writer, first)


def _state(host: Host) -> dict[str, Any]:
    """What is known of the store as it is now connected; another store begins anew."""
    key = (host.workspace.tracking_uri, host.workspace.experiment)
    states: dict[Any, dict[str, Any]] = host.shared.setdefault("audit_shipping", {})
    return states.setdefault(
        key, {"place": 0, "looked": -LOOK_SECONDS, "anchored": {}, "scanned": False, "failed": False}
    )


def _store_name(host: Host) -> str:
    """A name of the shared record that is the same for all who reach it, by whatever address."""
    return host.store.audit.name()


def _receipt(text: str) -> tuple[str, int, str]:
    parts = text.split(":")
    if len(parts) != RECEIPT_PARTS or not parts[1].isdigit():
        raise InvalidArgument(
            f"{text!r} is no receipt.", hint="A receipt is WRITER:PLACE:HASH, as `%mlops audit verify` prints it."
        )
    return parts[0], int(parts[1]), parts[2]
