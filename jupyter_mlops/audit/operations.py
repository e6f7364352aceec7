"""What the service does for the audit stage: shows the trail, checks it, erases a person, removes what is past its time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..domain.audit_entry import AuditEntry, AuditTrail
from ..domain.operation import Duty, Operation
from ..errors import IntegrityFailure, MLOpsError, NotFound
from ..store.host import Host
from .chain import Chain, check_chain
from .operations_lineage import lineage
from .operations_sharing import RESHIP, busy, ship, trail_of, verify
from .trail import check_file, entries_of

__all__ = ["DUTIES", "OPERATIONS", "trail_path"]

SHIP_SECONDS = 5.0


def trail_path(home: Path) -> Path:
    """Where a workspace keeps its trail."""
    return home / "audit" / "trail.jsonl"


def read(
    host: Host,
    *,
    limit: int,
    target: str = "",
    who: str = "",
    action: str = "",
    since_ms: int = 0,
    everyone: bool = False,
) -> dict[str, Any]:
    """The newest entries that fit; of this workspace, or of everyone who shares the store."""
    chains = [_own(host)]
    if everyone:
        ship(host)
        own = trail_of(host).writer
        others = [writer for writer in host.store.audit.heads() if writer != own]
        chains += [check_chain(host.store.audit.read(w), writer=w, answers=False) for w in others]
    entries = [entry for chain in chains for entry in entries_of(chain)]
    wanted = [e for e in entries if e.at_ms >= since_ms and _fits(e, target, who, action)]
    wanted.sort(key=lambda e: (e.at_ms, e.number), reverse=True)
    found = [finding for chain in chains for finding in chain.findings]
    at = found[0].place if found else None
    return AuditTrail(tuple(wanted[:limit] if limit else wanted), intact=not found, broken_at=at).to_dict()


def erase(host: Host, *, user: str, reason: str) -> dict[str, Any]:
    """Take away what is personal in one user's entries, here and on the shared store; the chain stays whole."""

    def work() -> dict[str, Any]:
        places = trail_of(host).erase(user, reason)
        if not places:
            known = sorted({e.actor.user for e in entries_of(_own(host)) if not e.erased and e.actor.user})
            raise NotFound.among("user", user, known)
        return {"entries": sum(high - low + 1 for low, high in places)}

    return _changed(host, "audit.erase", reason, work)


def retain(host: Host, *, since_ms: int, reason: str) -> dict[str, Any]:
    """Remove what is older, here and on the shared store, leaving an entry that vouches for it."""

    def work() -> dict[str, Any]:
        told = trail_of(host).retain(since_ms)
        return told or {"entries": 0}

    return _changed(host, "audit.retain", reason, work)


def _changed(host: Host, action: str, reason: str, work: Any) -> dict[str, Any]:
    """Change the trail itself: only a whole one, told in it without the name of the person, shipped at once."""
    trail = trail_of(host)
    earlier = trail.earlier(host.request)
    if earlier is not None and earlier.done:
        return dict(earlier.answer or {})
    found = _own(host).findings
    if found:
        raise IntegrityFailure(
            f"the trail is not whole: {found[0].text}; nothing of it is removed now.", hint="See `%mlops audit verify`."
        )
    trail.begin(host.request, host.actor, action, "", {"reason": reason} if reason else {})
    with trail.shipping:
        reship = trail.path.parent / RESHIP
        reship.touch()
        try:
            answer: dict[str, Any] = work()
        except MLOpsError as error:
            trail.end(host.request, "failed", error=error.message)
            reship.unlink(missing_ok=True)
            raise
        try:
            ship(host)
            answer["note"] = ""
        except MLOpsError as error:
            answer["note"] = f"the shared store follows as soon as it answers ({error.message})"
    trail.end(host.request, "done", answer=answer)
    host.changed("audit")
    return answer


def _fits(entry: AuditEntry, target: str, who: str, action: str) -> bool:
    if target and entry.target != target and entry.target.partition("@")[0] != target:
        return False
    if who and who not in (entry.actor.user, f"{entry.actor.user}@{entry.actor.host}"):
        return False
    return not action or entry.action == action or entry.action.startswith(f"{action}.")


def _own(host: Host) -> Chain:
    """The workspace's chain, read again only when its file has changed."""
    path = trail_path(host.workspace.home)
    try:
        now = (path.stat().st_size, path.stat().st_mtime_ns, path.stat().st_ino)
    except FileNotFoundError:
        return Chain("")
    kept = host.shared.get("audit_read")
    if kept is None or kept[0] != now:
        chains = check_file(path)
        chains[0].findings += [f for other in chains[1:] for f in other.findings]
        host.shared["audit_read"] = kept = (now, chains[0])
    chain: Chain = kept[1]
    return chain


def evidence(host: Host, *, model: str, directory: str, digest: str, files: int) -> dict[str, Any]:
    """An evidence pack was written; its digest is what the trail keeps."""
    return {"model": model, "digest": digest, "files": files}


OPERATIONS = {
    "audit.lineage": Operation(lineage),
    "audit.read": Operation(read),
    "audit.verify": Operation(verify),
    "audit.erase": Operation(erase),
    "audit.retain": Operation(retain),
    "audit.evidence": Operation(evidence, action="evidence.write", target="model", topics=("audit",)),
}

DUTIES: tuple[Duty, ...] = (Duty("audit.ship", SHIP_SECONDS, ship, busy),)
