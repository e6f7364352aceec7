"""Garbage: data versions that nothing uses or that are past their time, and chunks that no version refers to.

What is in use is asked of MLflow itself: its index of dataset inputs, over every experiment, and the tags of registered
models. A version is also kept while it has a name or is the newest of a branch, while another kept version was made from
it, and for an hour after it was read or saved: the run that uses it may not have been written down yet.

Chunks go only when nobody is saving: a save begins its run before it puts a pack, so packs are listed first and then
runs; and it becomes visible only while the version it builds on is still there.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import shutil
import uuid
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..domain.context import now_ms
from ..domain.data_erasure import manifest_in
from ..domain.data_garbage import DataGarbage, KeptVersion
from ..domain.data_version import DataVersion
from ..errors import StoreUnavailable
from . import tags
from .door import mlflow_errors

if TYPE_CHECKING:
    from .store import Store

__all__ = ["Garbage"]

RECENT_MS = 60 * 60_000
MAGIC_BYTES = 8
WORTH = 0.05  # share of a pack that must be free before it is written anew
BLOCK = 4096

Stretches = dict[str, dict[int, int]]
"""For each pack the offsets that are referred to, each with its length."""


class Garbage:
    """The collection of one store.

    Parameters
    ----------
    places
        Reads a manifest's bytes: every pack's name, offset and length that it refers to.
    cache
        A folder for copies of packs and manifests that are not on this machine.
    """

    def __init__(
        self,
        store: Store,
        places: Callable[[bytes], list[tuple[str, int, int]]],
        cache: Path,
        recent: Mapping[str, int],
    ) -> None:
        self._store = store
        self._places = places
        self._cache = cache
        self._recent = recent

    def collect(
        self,
        name: str,
        keep: int | None,
        *,
        apply: bool,
        older_ms: int = 0,
        used: bool = False,
        request: str = "",
    ) -> DataGarbage:
        """Find what nothing uses or what is past its time, and with `apply` remove it.

        Parameters
        ----------
        name
            Only versions of this name are removed; empty for all. Chunks are freed whosever they were.
        keep
            How many of the newest versions of each name stay in any case; None for all, with `older_ms` for the newest.
        older_ms
            Only versions saved longer ago than this are removed, and with `apply` all that only they held: their
            manifests, and every stretch of a pack, however small. 0 for any age.
        used
            Whether versions that only ended runs used are removed too.
        request
            Asked again with the same one, it goes on and tells of what its first try removed.
        """
        data, request = self._store.datasets, request or uuid.uuid4().hex
        packs = data.packs.sizes()
        everything = {n: data.versions(n, limit=50_000) for n in data.names()}
        chosen = _Choice(1 if keep is None and older_ms else keep, now_ms() - older_ms if older_ms else None, used)
        doomed, kept, users = self._doomed(everything, [name] if name else list(everything), chosen)
        if apply:
            for version in doomed:
                data.remove(version, request)
        earlier = data.removed_by(request) if apply else []
        gone = {version.ref for version in doomed} | {version.ref for version, _ in earlier}
        told = DataGarbage(apply, tuple(sorted(gone, key=_by_number)), kept, users=users)
        if data.unfinished():
            return replace(told, waiting="A version is being saved: run it again later to free the chunks.")
        left = [v for held in everything.values() for v in held if v.ref not in gone]
        if apply:  # anew: what was saved meanwhile counts
            left = [v for n in data.names() for v in data.versions(n, limit=50_000)]
        needed = self._needed(left)
        whole = [pack for pack in packs if pack not in needed]
        expired: set[str] = set()
        if older_ms:
            runs = earlier or [data.get(v.name, v.version) for v in doomed]
            with contextlib.suppress(StoreUnavailable):  # a manifest that is lost keeps nothing
                expired = {pack for version, run_id in runs for pack, _, _ in self._read(version, run_id)}
        # Where packs are not on this machine's file system a hole takes as much room as what was there.
        occupied = data.packs.occupied()
        free = {pack: occupied[pack] - _room(needed[pack]) for pack in occupied if pack in needed}
        partly = {p: size for p, size in free.items() if size > packs.get(p, 0) * WORTH or (p in expired and size > 0)}
        if apply:
            for pack in whole:
                data.packs.remove(pack)
            for pack in partly.keys() | (expired & needed.keys() & packs.keys()):
                data.packs.blank(pack, [(0, MAGIC_BYTES), *needed[pack].items()], self._cache)
            self._clear(earlier, expired | set(whole))
        size = sum(packs[pack] for pack in whole) + sum(partly.values())
        return replace(told, packs=len(whole), bytes=size)

    def _clear(self, removed: list[tuple[DataVersion, str]], packs: set[str]) -> None:
        """Remove the files of versions that were removed, and what this machine keeps as copies."""
        data, caches = self._store.datasets, (self._cache, self._cache.parent)
        for version, run_id in removed:
            data.erasures.clear(run_id, data.local_folder(run_id))
            for cache, digest in itertools.product(caches, version.digests):
                shutil.rmtree(cache / "data" / digest.partition(":")[2], ignore_errors=True)
        for pack in packs:
            (self._cache / pack).unlink(missing_ok=True)
            (self._cache.parent / "packs" / pack).unlink(missing_ok=True)

    def purge(self, packs: set[str]) -> None:
        """Overwrite or remove everything in these packs that no version refers to, however little it is."""
        data = self._store.datasets
        needed = self._needed([v for n in data.names() for v in data.versions(n, limit=50_000)])
        for pack in sorted(packs & data.packs.sizes().keys()):
            if pack in needed:
                data.packs.blank(pack, [(0, MAGIC_BYTES), *needed[pack].items()], self._cache)
            else:
                data.packs.remove(pack)

    def _doomed(
        self, everything: dict[str, list[DataVersion]], names: list[str], chosen: _Choice
    ) -> tuple[list[DataVersion], tuple[KeptVersion, ...], dict[str, str]]:
        if chosen.keep is None:
            return [], (), {}
        old = [v for n in names for v in everything.get(n, [])[chosen.keep :] if chosen.fits(v)]
        trained = self._trained_on() if old else {}
        kept: dict[str, str] = {}
        users: dict[str, str] = {}
        for version in old:
            why = self._reason(version, everything[version.name], trained, chosen)
            run, running = ("", False) if why else self._used_in(version, ended=chosen.used)
            if run and chosen.used and not running:
                users[version.ref] = f"run {run}"
            elif why or run:
                kept[version.ref] = why or f"run {run}{' is under way' if running else ''}"
        # What a version that stays was made from stays too, and what that was made from.
        by_ref = {v.ref: v for held in everything.values() for v in held}
        stays = [v for v in by_ref.values() if v.ref in kept or v not in old]
        while stays:
            version = stays.pop()
            for source in version.sources:
                found = by_ref.get(source)
                if found is not None and found in old and found.ref not in kept:
                    kept[found.ref] = f"{version.ref} was made from it"
                    stays.append(found)
        doomed = [v for v in old if v.ref not in kept]
        whys = tuple(KeptVersion(ref, kept[ref]) for ref in sorted(kept, key=_by_number))
        return doomed, whys, {v.ref: users[v.ref] for v in doomed if v.ref in users}

    def _reason(
        self, version: DataVersion, of_name: list[DataVersion], trained: dict[str, str], chosen: _Choice
    ) -> str:
        """What a version is still needed for besides runs, empty for nothing."""
        data = self._store.datasets
        given = [alias for alias, number in data.aliases(version.name).items() if number == version.version]
        if given:
            return f"it is called {given[0]}"
        if version.sealed_ms:
            return "it is sealed"
        if chosen.keep and version.branch and next(v for v in of_name if v.branch == version.branch) == version:
            return f"it is the newest of the branch {version.branch}"
        if version.ref in trained:
            return f"model {trained[version.ref]}"
        if now_ms() - max(version.created_ms, self._recent.get(version.ref, 0)) < RECENT_MS:
            return "it was read or saved within the last hour"
        return ""

    def _trained_on(self) -> dict[str, str]:
        """For each data version a registered model that was trained on it."""
        found = {}
        for entity in self._store.models.versions(""):
            with contextlib.suppress(ValueError, TypeError):
                for ref in json.loads(entity.tags.get(tags.DATA) or "[]"):
                    aliases = f" ({', '.join(sorted(entity.aliases))})" if entity.aliases else ""
                    if aliases or str(ref) not in found:  # the one that is in use says more
                        found[str(ref)] = f"{entity.name}@{entity.version}{aliases}"
        return found

    def _used_in(self, version: DataVersion, *, ended: bool) -> tuple[str, bool]:
        """A run, of any experiment, that used this content, and whether it is under way; such a one first if `ended`."""
        for status in (" AND attributes.status = 'RUNNING'", "") if ended else ("",):
            for digest in version.digests:
                run = self._user_of(version.name, digest, status)
                if run is not None:
                    return str(run.info.run_name or run.info.run_id), run.info.status == "RUNNING"
        return "", False

    def _user_of(self, name: str, digest: str, status: str) -> Any | None:
        client = self._store.client
        wanted = f"dataset.name = '{name}' AND dataset.digest = '{digest}'{status}"
        with mlflow_errors(self._store.workspace.tracking_uri):
            token = None
            while True:
                page = client.search_experiments(page_token=token)
                ids = [each.experiment_id for each in page]
                runs = client.search_runs(ids, filter_string=wanted, max_results=1) if ids else []
                if runs:
                    return runs[0]
                token = page.token
                if not token:
                    return None

    def _needed(self, versions: list[DataVersion]) -> Stretches:
        """Every stretch of every pack that these versions refer to.

        Raises
        ------
        StoreUnavailable
            A manifest cannot be read: then nobody knows what it needs.
        """
        data = self._store.datasets
        found: Stretches = defaultdict(dict)
        for version in versions:
            _, run_id = data.get(version.name, version.version)
            for pack, offset, length in self._read(version, run_id):
                found[pack][offset] = max(length, found[pack].get(offset, 0))
        return found

    def _read(self, version: DataVersion, run_id: str) -> list[tuple[str, int, int]]:
        """Every stretch that one version refers to."""
        data = self._store.datasets
        checksum = data.checksum(run_id)
        if not checksum:
            return []  # saved as one Parquet file, before there were manifests
        folder, _ = data.folder(run_id, version.digest, self._cache / "data")
        try:
            return self._places(manifest_in(folder, checksum).read_bytes())
        except OSError as error:
            raise StoreUnavailable(
                f"the manifest of {version.ref} cannot be read, so nobody knows which chunks it needs.",
                hint=f"Restore {folder / 'manifest.json'}, or delete the version's run in MLflow.",
            ) from error


@dataclass(frozen=True)
class _Choice:
    """Which versions may go: beyond the newest `keep` of a name, saved before a time, and whether ended runs hold them."""

    keep: int | None
    before_ms: int | None
    used: bool

    def fits(self, version: DataVersion) -> bool:
        """Whether a version is old enough."""
        return self.before_ms is None or version.created_ms < self.before_ms


def _by_number(ref: str) -> tuple[str, int]:
    """Sorts ``adult@v9`` before ``adult@v10``."""
    name, _, number = ref.partition("@v")
    return name, int(number)


def _room(needed: dict[int, int]) -> int:
    """Bytes of the file system's blocks that these stretches, and a pack's head, stand in."""
    blocks = {0}
    for offset, length in needed.items():
        blocks.update(range(offset // BLOCK, (offset + length - 1) // BLOCK + 1))
    return len(blocks) * BLOCK
