"""What the service does for the datasets stage: store a version, find one, and clear what was left unfinished."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..domain.data_erasure import manifest_in
from ..domain.data_version import Column, DataVersion, DataVersionTable
from ..domain.operation import Duty, Operation
from ..domain.reference import Reference, check_name
from ..errors import InvalidArgument, NotFound
from ..store.host import Host
from .operations_erasing import OPERATIONS as ERASING
from .operations_keeping import OPERATIONS as KEEPING
from .operations_keeping import note_read
from .operations_sealing import OPERATIONS as SEALING
from .operations_views import OPERATIONS as VIEWS

__all__ = ["DUTIES", "OPERATIONS", "STAGING"]

STAGING = "staging"  # in the workspace's home: what is written before it is handed over
TAKEN = "data-taken-"
ABANDONED_SECONDS = 3600.0


def base(host: Host, *, name: str, bases: list[str]) -> dict[str, Any]:
    """What a new version of a name can build on: ``base``, as `locate` tells of it, or None.

    Parameters
    ----------
    bases
        Data versions to build on where the name has none yet.
    """
    for ref in (check_name(name, "data version"), *bases):
        with contextlib.suppress(NotFound):
            return {"base": locate(host, ref=ref)}
    return {"base": None}


def prepare(host: Host, *, name: str, digest: str, branch: str = "") -> dict[str, Any]:
    """What there is of a content already: ``found``, the version of this name with this content, or None."""
    store = host.store.datasets
    if branch and branch in store.aliases(check_name(name, "data version")):
        raise InvalidArgument(
            f"{name}@{branch} is a name that `data tag` gave to a version.", hint="Call the branch something else."
        )
    found = store.find(check_name(name, "data version"), digest)
    if found is not None:
        note_read(host, found.ref)
        return {"found": replace(found, instead=_instead(host, found, branch)).to_dict()}
    return {"found": None}


def _instead(host: Host, found: DataVersion, branch: str) -> str:
    """In words what a name, or its branch, means now, where that is not the version found; else empty."""
    store, name = host.store.datasets, found.name
    if not branch:
        newest, _ = store.get(name)
        return "" if newest.version == found.version else f"{name} is still {newest.ref}, `data tag` names this one"
    try:
        number = store.resolve(Reference.parse(f"{name}@{branch}", "data version"))
    except NotFound:
        return f"the branch {branch} begins with content that {name} does not have yet"
    return "" if number == found.version else f"{name}@{branch} is still {name}@v{number}"


def save(
    host: Host,
    *,
    name: str,
    digest: str,
    rows: int,
    columns: list[dict[str, Any]],
    folder: str,
    notebook: str,
    checksum: str,
    size: int,
    base: str = "",
    branch: str = "",
    kind: str = "table",
    sources: list[str] | None = None,
    run: str = "",
    personal: list[str] | None = None,
) -> dict[str, Any]:
    """Store what a kernel has written into a folder of the staging area as the next version of `name`.

    Parameters
    ----------
    checksum
        Of the manifest.
    size
        Bytes that the version adds.
    base
        The id of the run whose version it builds on.
    run
        The kernel's own id of the run it was saved in.
    personal
        Columns that hold personal data.
    """
    check_name(name, "data version")
    area = host.workspace.home / STAGING
    given, taken = Path(folder), area / f"{TAKEN}{host.request}"
    if given.parent != area:
        raise InvalidArgument(f"{folder} is not in {area}.")
    # The folder is ours from here on: who asked may go away and clean up.
    with contextlib.suppress(FileNotFoundError):  # an earlier try of this request has taken it
        given.replace(taken)
    version = DataVersion(
        name=name,
        version=0,
        digest=digest,
        rows=rows,
        columns=tuple(Column.from_dict(column) for column in columns),
        bytes=size,
        created_by=host.actor.user,
        notebook=notebook,
        kind="folder" if kind == "folder" else "view" if kind == "view" else "table",
        branch=branch,
        sources=tuple(sources or ()),
        run=run,
        personal=tuple(personal or ()),
    )
    host.progress(f"storing {rows:,} rows of {name}")
    saved = host.store.datasets.save(version, taken, request=host.request, checksum=checksum, base=base)
    shutil.rmtree(taken, ignore_errors=True)
    return saved.to_dict()


def locate(host: Host, *, ref: str, fresh: bool = False) -> dict[str, Any]:
    """A version by its reference, and where a process without MLflow can read it.

    Returns
    -------
    dict
        ``version``, ``run``: the id of its run, ``folder``: a local one with its manifest, ``copy``: whether that is
        a copy of ours, ``checksum`` of the manifest, ``packs``: the folder or URI of the packs.
    """
    store = host.store.datasets
    parsed = Reference.parse(ref, "data version")
    found, run_id = store.get(parsed.name, store.resolve(parsed))
    note_read(host, found.ref)
    cache = host.workspace.home / "cache" / "data"
    folder, copy = store.folder(run_id, found.digest, cache, fresh=fresh)
    packs: list[str] = []
    if store.packs.local is None:
        told = _packs_in(manifest_in(folder, store.checksum(run_id)))
        if told is None and copy and not fresh:  # our copy is damaged
            folder, copy = store.folder(run_id, found.digest, cache, fresh=True)
            told = _packs_in(manifest_in(folder, store.checksum(run_id)))
        packs = told or []
    return {
        "version": found.to_dict(),
        "run": run_id,
        "folder": str(folder),
        "copy": copy,
        "checksum": store.checksum(run_id),
        "packs": store.packs.location(packs, host.workspace.home / "cache" / "packs"),
    }


def _packs_in(manifest: Path) -> list[str] | None:
    """The packs that a manifest names; None for one that cannot be read: who checks it says so."""
    if not manifest.exists():
        return []
    try:
        return [str(name) for name in json.loads(manifest.read_bytes())["packs"]]
    except (ValueError, KeyError, TypeError):
        return None


def log(host: Host, *, name: str) -> dict[str, Any]:
    """The versions of one name with the runs that used them, or the latest of each name."""
    store = host.store.datasets
    if not name:
        return DataVersionTable(tuple(store.latest())).to_dict()
    versions = store.versions(name)
    if not versions:
        store.get(name)  # raises, naming what there is
    users = store.used_by(name)
    given: dict[int, list[str]] = {}
    for alias, number in store.aliases(name).items():
        given.setdefault(number, []).append(alias)
    held = tuple(
        replace(
            v,
            used_by=tuple(r for digest in v.digests for r in users.get(digest, ())),
            names=tuple(sorted(given.get(v.version, ()))),
        )
        for v in versions
    )
    return DataVersionTable(held, name).to_dict()


def sweep(host: Host) -> None:
    """Clear what was left half-written, in the store and in the staging area."""
    if host.store.datasets.sweep():
        host.changed("data")
    for folder in (host.workspace.home / STAGING).glob("data-*"):
        with contextlib.suppress(OSError):
            if time.time() - folder.stat().st_mtime > ABANDONED_SECONDS and not _alive(folder.name):
                shutil.rmtree(folder, ignore_errors=True)


def _alive(name: str) -> bool:
    """Whether the process that writes a staged folder, ``data-PID-...``, still lives."""
    owner = name.split("-")[1]
    if not owner.isdigit():
        return False
    try:
        os.kill(int(owner), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


OPERATIONS: dict[str, Operation] = {
    "data.base": Operation(base),
    "data.prepare": Operation(prepare),
    "data.save": Operation(save, action="data.save", target="name", topics=("data",)),
    "data.locate": Operation(locate),
    "data.log": Operation(log),
    **KEEPING,
    **SEALING,
    **VIEWS,
    **ERASING,
}

DUTIES: tuple[Duty, ...] = (Duty("datasets.sweep", every=300.0, turn=sweep, busy=lambda _host: False),)
