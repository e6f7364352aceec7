"""What the service does for sealed data versions: seals them, counts looks, tells of them."""

from __future__ import annotations

from typing import Any

from ..domain.context import now_ms
from ..domain.data_seal import Look
from ..domain.operation import Operation
from ..domain.reference import Reference
from ..errors import InvalidArgument
from ..store.host import Host

__all__ = ["OPERATIONS"]


def seal(host: Host, *, ref: str) -> dict[str, Any]:
    """Seal a version: every look at it is counted and audited from now on, and there is no way back."""
    name, run_id = _found(host, ref)
    host.store.datasets.seals.seal(run_id, now_ms(), host.actor.user)
    return host.store.datasets.seals.of(run_id, name).to_dict()


def look(host: Host, *, ref: str, purpose: str = "load", candidate: dict[str, str] | None = None) -> dict[str, Any]:
    """Count a look at a sealed version, before its values are handed out.

    Parameters
    ----------
    candidate
        The model it is made for: ``model``, ``model_id``, ``key`` and ``digest``, as far as they are known.

    Returns
    -------
    dict
        ``ref`` and ``looks``: how many there are now.
    """
    name, run_id = _found(host, ref)
    seals = host.store.datasets.seals
    if not seals.of(run_id, name).sealed_ms:
        raise InvalidArgument(f"{name} is not sealed, so looks at it are not counted.")
    known = {k: str(v) for k, v in (candidate or {}).items() if k in ("model", "model_id", "key", "digest") and v}
    actor = host.actor
    made = Look(at_ms=now_ms(), by=actor.user, via=actor.via, purpose=purpose, notebook=actor.notebook, **known)
    seals.look(run_id, host.request, made)
    return {"ref": name, "looks": len(seals.of(run_id, name))}


def sealed_as(host: Host, *, digest: str) -> dict[str, Any]:
    """Which sealed version a table is that somebody brings along, by its content; ``ref`` is empty for none."""
    if not digest.replace(":", "").isalnum():
        raise InvalidArgument(f"{digest!r} is no digest of a table.")
    found = host.store.datasets.sealed(digest)
    return {"ref": found.ref if found is not None else ""}


def looks(host: Host, *, ref: str) -> dict[str, Any]:
    """A version's seal and every look at it."""
    name, run_id = _found(host, ref)
    return host.store.datasets.seals.of(run_id, name).to_dict()


def _found(host: Host, ref: str) -> tuple[str, str]:
    store = host.store.datasets
    parsed = Reference.parse(ref, "data version")
    found, run_id = store.get(parsed.name, store.resolve(parsed))
    return found.ref, run_id


OPERATIONS: dict[str, Operation] = {
    "data.seal": Operation(seal, action="data.seal", target="ref", topics=("data",)),
    "data.look": Operation(look, action="data.look", target="ref", topics=("data",)),
    "data.looks": Operation(looks),
    "data.sealed_as": Operation(sealed_as),
}
