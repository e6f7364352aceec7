"""What the service does for the datasets stage: store a version, find one, and clear what was left unfinished."""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from pathlib import Path
from typing import Any

from ..domain.data_version import Column, DataVersion, DataVersionTable
from ..domain.operation import Duty, Operation
from ..domain.reference import check_name
from ..errors import InvalidArgument
from ..store.host import Host

__all__ = ["DUTIES", "OPERATIONS", "STAGING"]

STAGING = "staging"  # in the workspace's home: what is written before it is handed over
TAKEN = "data-taken-"
ABANDONED_SECONDS = 3600.0


def find(host: Host, *, name: str, digest: str) -> dict[str, Any] | None:
    """The version of this name with this content, None if there is none."""
    found = host.store.datasets.find(check_name(name, "data version"), digest)
    return None if found is None else found.to_dict()


def save(
    host: Host, *, name: str, digest: str, rows: int, columns: list[dict[str, Any]], folder: str, notebook: str
) -> dict[str, Any]:
    """Store what a kernel has written into a folder of the staging area as the next version of `name`."""
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
        bytes=sum(file.stat().st_size for file in taken.glob("data.parquet")),
        created_by=host.actor.user,
        notebook=notebook,
    )
    host.progress(f"storing {rows:,} rows of {name}")
    saved = host.store.datasets.save(version, taken, request=host.request)
    shutil.rmtree(taken, ignore_errors=True)
    return saved.to_dict()


def locate(host: Host, *, name: str, version: int | None = None, fresh: bool = False) -> dict[str, Any]:
    """A version, by default the latest, and a local folder with its files."""
    found, run_id = host.store.datasets.get(name, version)
    cache = host.workspace.home / "cache" / "data"
    folder, copy = host.store.datasets.folder(run_id, found.digest, cache, fresh=fresh)
    return {"version": found.to_dict(), "folder": str(folder), "copy": copy}


def log(host: Host, *, name: str) -> dict[str, Any]:
    """The versions of one name with the runs that used them, or the latest of each name."""
    store = host.store.datasets
    if not name:
        return DataVersionTable(tuple(store.latest())).to_dict()
    versions = store.versions(name)
    if not versions:
        store.get(name)  # raises, naming what there is
    users = store.used_by(name)
    held = tuple(DataVersion(**{**vars(v), "used_by": tuple(users.get(v.digest, ()))}) for v in versions)
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
    "data.find": Operation(find),
    "data.save": Operation(save, action="data.save", target="name", topics=("data",)),
    "data.locate": Operation(locate),
    "data.log": Operation(log),
}

DUTIES: tuple[Duty, ...] = (Duty("datasets.sweep", every=300.0, turn=sweep, busy=lambda _host: False),)
