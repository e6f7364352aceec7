"""What the service does to keep data versions in order: names for them, and the collection of garbage."""

from __future__ import annotations

import json
from typing import Any

from ..domain.context import now_ms
from ..domain.operation import Operation
from ..domain.reference import RESERVED_ALIAS, Reference, check_name
from ..errors import InvalidArgument, NotFound
from ..store.garbage import Garbage
from ..store.host import Host

__all__ = ["OPERATIONS", "note_read"]

SHARED = "datasets.read"


def note_read(host: Host, ref: str) -> None:
    """Remember that a version was just read: the run that uses it may not be written down yet."""
    host.shared.setdefault(SHARED, {})[ref] = now_ms()


def tag(host: Host, *, ref: str, alias: str, remove: bool = False) -> dict[str, Any]:
    """Give a version another name, or take the name away."""
    store = host.store.datasets
    check_name(alias, "name of a data version")
    if RESERVED_ALIAS.fullmatch(alias):
        raise InvalidArgument(
            f"{alias!r} already means a version.", hint="Choose a name that is no number, nor latest."
        )
    parsed = Reference.parse(ref, "data version")
    found, _ = store.get(parsed.name, store.resolve(parsed))
    given = store.aliases(parsed.name)
    if remove and alias not in given:
        raise NotFound.among(f"name of {parsed.name!r} called", alias, sorted(given))
    if not remove and alias in store.branches(parsed.name):
        raise InvalidArgument(f"{alias!r} is a branch of {parsed.name}.", hint="Choose another name.")
    store.set_alias(parsed.name, alias, None if remove else found.version)
    before = given.get(alias)
    return {"ref": f"{parsed.name}@v{before}" if remove else found.ref, "before": before if not remove else None}


def resolve(host: Host, *, ref: str) -> dict[str, Any]:
    """Which version a reference leads to now; ``ref`` is empty where it leads nowhere."""
    store = host.store.datasets
    parsed = Reference.parse(ref, "data version")
    try:
        return {"ref": store.get(parsed.name, store.resolve(parsed))[0].ref}
    except NotFound:
        return {"ref": ""}


def collect(
    host: Host, *, name: str = "", keep: int | None = None, older_ms: int = 0, used: bool = False, apply: bool = False
) -> dict[str, Any]:
    """Find what nothing uses or what is past its time, and remove it if asked to."""
    if name and check_name(name, "data version") not in host.store.datasets.names():
        host.store.datasets.get(name)  # raises, naming what there is
    cache = host.workspace.home / "cache"
    garbage = Garbage(host.store, places, cache / "gc", host.shared.get(SHARED, {}))
    host.progress("looking for what nothing uses")
    found = garbage.collect(name, keep, older_ms=older_ms, used=used, apply=apply, request=host.request)
    if apply:
        host.changed("data")
    return found.to_dict()


def places(held: bytes) -> list[tuple[str, int, int]]:
    """Every stretch that a manifest, of a table, a folder or a view, refers to: pack, offset, length."""
    told = json.loads(held)
    packs = told["packs"]
    chunks = (
        told["chunks"]
        if told.get("kind") in ("folder", "view")
        else [c for column in told["columns"] for c in column["chunks"]]
    )
    found = []
    waiting = list(chunks)
    while waiting:
        chunk = waiting.pop()
        found.append((packs[chunk[2]], chunk[3], chunk[4]))
        if len(chunk) > 7:
            waiting.append(chunk[7])
    return found


OPERATIONS: dict[str, Operation] = {
    "data.resolve": Operation(resolve),
    "data.tag": Operation(tag, action="data.tag", target="ref", topics=("data",)),
    "data.garbage": Operation(collect),
    "data.gc": Operation(collect, action="data.gc", target="name", topics=("data",)),
}
