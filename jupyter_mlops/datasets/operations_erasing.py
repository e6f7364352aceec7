"""What the service does to forget a person: every version that holds them is written anew, then the old bytes go.

Each version is switched in one step, so at every moment it is whole: with the person or without. What is left to clear
away is written down first, in the workspace's ``erasing.json``; whoever is asked again goes on from there.
"""

from __future__ import annotations

import json
import os
import shutil
import uuid
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..domain.context import now_ms
from ..domain.data_erasure import ErasedRows, Forgotten, ForgottenVersion, manifest_in, manifest_name
from ..domain.data_version import Column, DataVersion
from ..domain.operation import Operation
from ..domain.reference import check_name
from ..errors import InvalidArgument
from ..store import tags
from ..store.garbage import Garbage
from ..store.host import Host
from .operations_keeping import places

if TYPE_CHECKING:
    from .erasing import Key, Traces
    from .manifest import Manifest
    from .packs import Packs

__all__ = ["OPERATIONS"]

JOURNAL = "erasing.json"
ROUNDS = 3  # how often versions that are saved meanwhile are looked at
MODELS_KEEP = (
    "models keep what they learnt, their example rows and their training profile: fit and register them anew where they "
    "have to forget, too."
)


def forget(
    host: Host, *, name: str, column: str, key: dict[str, Any], dry_run: bool = False, masked: bool = True
) -> dict[str, Any]:
    """Take a person's rows out of every version of a name.

    Parameters
    ----------
    key
        ``{"values": [...]}``: what stands inside is not written into the audit trail.
    masked
        Look also for the hashes under which `data mask` keeps the values.
    """
    from .erasing import Key

    check_name(name, "data version")
    values = list(key["values"])
    if not values or any(value is None or str(value) == "" for value in values):
        raise InvalidArgument("a person is known by a value; none was given.", hint="data forget NAME COLUMN VALUE")
    wanted = Key(column, (*values, *(_hashes(host, values) if masked else ())))
    store = host.store.datasets
    store.get(name)  # raises, naming what there is
    work = _Work(host, name, wanted, dry_run=dry_run)
    for _ in range(1 if dry_run else ROUNDS):
        if not work.round():
            break
    if not dry_run:
        work.clear()
        host.changed("data")
    return work.told().to_dict()


class _Work:
    """One request to forget."""

    def __init__(self, host: Host, name: str, key: Key, *, dry_run: bool) -> None:
        self.host, self.name, self.key, self.dry_run = host, name, key, dry_run
        self.store = host.store.datasets
        self.cache = host.workspace.home / "cache"
        self.found: dict[str, int] = {}
        self.columns: set[str] = set()
        self.folders: list[str] = []
        self.notes: list[str] = []

    def round(self) -> bool:
        """Look through every version and write anew what holds the person; whether anything did."""
        from .erasing import Traces, traces_in

        traces = Traces()
        versions = sorted(self.store.versions(self.name, limit=50_000), key=lambda v: v.version)
        tables, known = [], False
        for version in versions:
            if version.kind != "table":  # a view holds no rows
                self.folders += [version.ref] if version.kind == "folder" else []
                continue
            self.host.progress(f"looking through {version.ref}")
            opened = self._opened(version)
            tables.append((version, *opened))
            manifest, packs = opened[0], opened[1]
            self.columns |= {c.name for c in version.columns}
            if manifest is not None:
                with packs:
                    known |= traces_in(version.ref, manifest, packs.of(manifest), self.key, traces)
            else:
                known |= self._whole_file(version, traces)
        if tables and not known:
            raise InvalidArgument.unknown(f"column of {self.name}", self.key.column, sorted(self.columns))
        touched = [t for t in tables if self._touched(t[0], t[1], traces)]
        for version, *_ in touched:
            rows = traces.versions.get(version.ref, 0)
            self.found[version.ref] = self.found.get(version.ref, 0) + rows
        if self.dry_run or not touched:
            return False
        self._note_down(tables)
        before: tuple[Manifest, Packs] | None = None
        for version, manifest, packs, run_id in tables:
            if self._touched(version, manifest, traces):
                self.host.progress(f"writing {version.ref} anew")
                self._rewrite(version, manifest, packs, run_id, before, traces)
                now, there, _ = self._opened(self.store.get(version.name, version.version)[0])
                before = before if now is None else (now, there)
            elif manifest is not None:
                before = (manifest, packs)
        return True

    def _touched(self, version: DataVersion, manifest: Manifest | None, traces: Traces) -> bool:
        if manifest is None:
            return bool(traces.versions.get(version.ref))
        return traces.touched(version.ref, manifest)

    def _opened(self, version: DataVersion) -> tuple[Manifest | None, Packs, str]:
        from .manifest import Manifest
        from .packs import Packs

        _, run_id = self.store.get(version.name, version.version)
        checksum = self.store.checksum(run_id)
        manifest = None
        if checksum:
            folder, _ = self.store.folder(run_id, version.digest, self.cache / "data")
            manifest = Manifest.from_bytes(manifest_in(folder, checksum).read_bytes(), digest=checksum)
        names = () if manifest is None else manifest.packs
        return manifest, Packs(self.store.packs.location(names, self.cache / "packs")), run_id

    def _whole_file(self, version: DataVersion, traces: Traces) -> bool:
        """A version from before there were manifests: one Parquet file."""
        frame = self._frame(version)
        if self.key.column not in frame.columns:
            return False
        rows = int(self.key.found_in(frame[self.key.column]).sum())
        if rows:
            traces.versions[version.ref] = rows
        return True

    def _frame(self, version: DataVersion) -> Any:
        from .files import read_verified

        _, run_id = self.store.get(version.name, version.version)
        folder, _ = self.store.folder(run_id, version.digest, self.cache / "data")
        return read_verified(folder, version.digest, version.ref)

    def _rewrite(
        self,
        version: DataVersion,
        manifest: Manifest | None,
        packs: Packs,
        run_id: str,
        before: tuple[Manifest, Packs] | None,
        traces: Traces,
    ) -> None:
        from .draft import Base, Draft
        from .erasing import cleaned
        from .manifest import MANIFEST
        from .snapshot import write_snapshot
        from .snapshot_reading import read_snapshot

        with packs:
            frame = self._frame(version) if manifest is None else read_snapshot(manifest, packs.of(manifest))
        left, gone = cleaned(frame, self.key, traces.labels)
        area = self.host.workspace.home / "staging" / f"data-{os.getpid()}-erase-{uuid.uuid4().hex}"
        area.mkdir(parents=True)
        try:
            # what is built on is clean by now, so versions go on sharing what they can
            base = None if before is None else Base(before[0], before[1].of(before[0]))
            draft = Draft(left, base)
            written = write_snapshot(draft, area)
            placed = area / manifest_name(written.checksum)
            (area / MANIFEST).rename(placed)
            erased = ErasedRows(now_ms(), gone, version.digest, self.host.actor.user, self.host.request)
            made = replace(
                version,
                digest=draft.identity.digest,
                rows=len(left),
                columns=tuple(Column(str(c.name), c.type, c.missing) for c in draft.identity.columns),
                erasures=(*version.erasures, erased),
            )
            self._scrub(run_id, traces)
            self.store.rewrite(run_id, made, placed, list(area.glob("*.pack")), written.checksum)
        finally:
            shutil.rmtree(area, ignore_errors=True)

    def _scrub(self, run_id: str, traces: Traces) -> None:
        """Take the person out of what checks and contracts say of a version."""
        from .erasing import scrubbed

        texts = self.key.texts | {str(label) for labels in traces.labels.values() for label in labels}
        notes = self.store.notes
        for path in (tags.CHECKS_FILE, tags.CONTRACT_FILE):
            held = notes.text(run_id, path)
            if held and any(text in held for text in texts):
                notes.replace(run_id, path, json.dumps(scrubbed(json.loads(held), texts)))

    def _note_down(self, tables: list[Any]) -> None:
        """Write down which packs and copies have to be cleared, before anything stops referring to them."""
        held = _journal(self.host)
        for _, manifest, _, _ in tables:
            held["packs"] |= set() if manifest is None else set(manifest.packs)
        held["digests"] |= {version.digest for version, *_ in tables}
        for _, folder in self.store.erasures.removed(self.name):
            for file in folder.glob("manifest*.json") if folder is not None and folder.is_dir() else ():
                held["packs"] |= {pack for pack, _, _ in places(file.read_bytes())}
        told = {kind: sorted(each) for kind, each in held.items()}
        path = self.host.workspace.home / JOURNAL
        arriving = path.with_suffix(".tmp")
        with arriving.open("w") as written:
            json.dump(told, written)
            written.flush()
            os.fsync(written.fileno())
        arriving.replace(path)

    def clear(self) -> None:
        """Remove what nothing refers to any more: stretches of packs, files of removed versions, copies of ours."""
        held = _journal(self.host)
        if not held["packs"] and not held["digests"]:
            return
        self.host.progress("clearing what was replaced")
        for version in self.store.versions(self.name, limit=50_000):
            run_id = self.store.get(version.name, version.version)[1]
            if version.erasures:
                self.store.erasures.clean(run_id, self.store.checksum(run_id))
        for run_id, folder in self.store.erasures.removed(self.name):
            self.store.erasures.clear(run_id, folder)
        Garbage(self.host.store, places, self.cache / "gc", {}).purge(held["packs"])
        for digest in held["digests"]:
            for area in ("data", "gc/data"):
                shutil.rmtree(self.cache / area / digest.partition(":")[2], ignore_errors=True)
        for pack in held["packs"]:
            for area in ("packs", "gc"):
                (self.cache / area / pack).unlink(missing_ok=True)
        (self.host.workspace.home / JOURNAL).unlink(missing_ok=True)

    def told(self) -> Forgotten:
        """What was done, by this request and its earlier tries."""
        everything = {v.ref: v for v in self.store.versions(self.name, limit=50_000)}
        for ref, version in everything.items():
            mine = [e for e in version.erasures if e.request == self.host.request]
            if mine:
                self.found[ref] = max(self.found.get(ref, 0), sum(e.rows for e in mine))
        users, models = self.store.used_by(self.name), self._trained_on()
        versions = tuple(
            ForgottenVersion(
                ref,
                rows,
                tuple(dict.fromkeys(run for d in everything[ref].digests for run in users.get(d, ()))),
                tuple(models.get(ref, ())),
            )
            for ref, rows in sorted(self.found.items(), key=lambda item: everything[item[0]].version)
        )
        notes = list(self.notes)
        if any(version.models for version in versions):
            notes.append(MODELS_KEEP)
        if self.folders:
            notes.append(f"folders of files are not looked into: {', '.join(dict.fromkeys(self.folders))}.")
        if not versions:
            notes.append("nobody with this value was found.")
        return Forgotten(
            self.name,
            self.key.column,
            versions,
            self._derived(set(self.found)),
            dry_run=self.dry_run,
            notes=tuple(notes),
        )

    def _trained_on(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for entity in self.host.store.models.versions(""):
            with suppress(ValueError, TypeError):
                for ref in json.loads(entity.tags.get(tags.DATA) or "[]"):
                    found.setdefault(str(ref), []).append(f"{entity.name}@{entity.version}")
        return found

    def _derived(self, refs: set[str]) -> tuple[str, ...]:
        """Versions under other names that were made from these, or from what was."""
        others = [v for n in self.store.names() if n != self.name for v in self.store.versions(n)]
        found: dict[str, None] = {}
        grown = True
        while grown:
            more = [v.ref for v in others if v.ref not in found and (refs | found.keys()) & set(v.sources)]
            found |= dict.fromkeys(more)
            grown = bool(more)
        return tuple(found)


def _journal(host: Host) -> dict[str, set[str]]:
    path: Path = host.workspace.home / JOURNAL
    held = json.loads(path.read_text()) if path.exists() else {}
    return {kind: set(held.get(kind, ())) for kind in ("packs", "digests")}


def _hashes(host: Host, values: list[Any]) -> list[str]:
    """The names under which `data mask` keeps the values; none where nothing was ever masked."""
    from .personal.masking import MASK_KEY, hashed

    path = host.workspace.home / MASK_KEY
    if not path.exists():
        return []
    key = path.read_bytes()
    return [hashed(given, key) for value in values for given in {value, str(value)}]


OPERATIONS: dict[str, Operation] = {
    "data.forget": Operation(forget, action="data.forget", target="name", topics=("data",)),
    "data.find_person": Operation(forget),
}
