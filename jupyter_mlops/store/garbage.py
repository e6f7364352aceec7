"""Garbage: data versions that nothing uses, and chunks that no version refers to.

What is in use is asked of MLflow itself: its index of dataset inputs, over every experiment, and the tags of registered
models. A version is also kept while it has a name or is the newest of a branch, while another kept version was made from
it, and for an hour after it was read or saved: the run that uses it may not have been written down yet.

Chunks go only when nobody is saving: a save begins its run before it puts a pack, so packs are listed first and then
runs; and it becomes visible only while the version it builds on is still there.
"""

from __future__ import annotations

import contextlib
import json
from collections import defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

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

    def collect(self, name: str, keep: int | None, *, apply: bool) -> DataGarbage:
        """Find what nothing uses, and with `apply` remove it.

        Parameters
        ----------
        name
            Only versions of this name are removed; empty for all. Chunks are freed whosever they were.
        keep
            How many of the newest versions of each name stay in any case; None removes no version.
        """
        data = self._store.datasets
        packs = data.packs.sizes()
        everything = {n: data.versions(n, limit=50_000) for n in data.names()}
        doomed, kept = self._doomed(everything, [name] if name else list(everything), keep)
        if apply:
            for version in doomed:
                data.remove(version)
        gone = {version.ref for version in doomed}
        if data.unfinished():
            waiting = "A version is being saved: run it again later to free the chunks."
            return DataGarbage(apply, tuple(sorted(gone)), kept, waiting=waiting)
        left = [v for held in everything.values() for v in held if v.ref not in gone]
        if apply:  # anew: what was saved meanwhile counts
            left = [v for n in data.names() for v in data.versions(n, limit=50_000)]
        needed = self._needed(left)
        whole = [pack for pack in packs if pack not in needed]
        # Where packs are not on this machine's file system a hole takes as much room as what was there.
        occupied = data.packs.occupied()
        free = {pack: occupied[pack] - _room(needed[pack]) for pack in occupied if pack in needed}
        partly = {pack: size for pack, size in free.items() if size > packs.get(pack, 0) * WORTH}
        if apply:
            for pack in whole:
                data.packs.remove(pack)
            for pack in partly:
                data.packs.blank(pack, [(0, MAGIC_BYTES), *needed[pack].items()], self._cache)
        size = sum(packs[pack] for pack in whole) + sum(partly.values())
        return DataGarbage(apply, tuple(sorted(gone)), kept, len(whole), size)

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
        self, everything: dict[str, list[DataVersion]], names: list[str], keep: int | None
    ) -> tuple[list[DataVersion], tuple[KeptVersion, ...]]:
        if keep is None:
            return [], ()
        old = [v for n in names for v in everything.get(n, [])[max(keep, 0) :]]
        trained = self._trained_on() if old else {}
        kept: dict[str, str] = {}
        for version in old:
            why = self._reason(version, everything[version.name], trained)
            if why:
                kept[version.ref] = why
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
        return doomed, tuple(KeptVersion(ref, why) for ref, why in sorted(kept.items()))

    def _reason(self, version: DataVersion, of_name: list[DataVersion], trained: dict[str, str]) -> str:
        """What a version is still needed for, empty for nothing."""
        data = self._store.datasets
        given = [alias for alias, number in data.aliases(version.name).items() if number == version.version]
        if given:
            return f"it is called {given[0]}"
        if version.sealed_ms:
            return "it is sealed"
        if version.branch and next(v for v in of_name if v.branch == version.branch) == version:
            return f"it is the newest of the branch {version.branch}"
        if version.ref in trained:
            return f"model {trained[version.ref]}"
        if now_ms() - max(version.created_ms, self._recent.get(version.ref, 0)) < RECENT_MS:
            return "it was read or saved within the last hour"
        run = self._used_in(version)
        return f"run {run}" if run else ""

    def _trained_on(self) -> dict[str, str]:
        """For each data version a registered model that was trained on it."""
        found = {}
        for entity in self._store.models.versions(""):
            with contextlib.suppress(ValueError, TypeError):
                for ref in json.loads(entity.tags.get(tags.DATA) or "[]"):
                    found[str(ref)] = f"{entity.name}@{entity.version}"
        return found

    def _used_in(self, version: DataVersion) -> str:
        """A run, of any experiment, that used this content."""
        return next((run for digest in version.digests if (run := self._user_of(version.name, digest))), "")

    def _user_of(self, name: str, digest: str) -> str:
        client = self._store.client
        wanted = f"dataset.name = '{name}' AND dataset.digest = '{digest}'"
        with mlflow_errors(self._store.workspace.tracking_uri):
            token = None
            while True:
                page = client.search_experiments(page_token=token)
                ids = [each.experiment_id for each in page]
                runs = client.search_runs(ids, filter_string=wanted, max_results=1) if ids else []
                if runs:
                    return str(runs[0].info.run_name or runs[0].info.run_id)
                token = page.token
                if not token:
                    return ""

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
            if not data.checksum(run_id):
                continue  # saved as one Parquet file, before there were manifests
            folder, _ = data.folder(run_id, version.digest, self._cache / "data")
            try:
                held = manifest_in(folder, data.checksum(run_id)).read_bytes()
            except OSError as error:
                raise StoreUnavailable(
                    f"the manifest of {version.ref} cannot be read, so nobody knows which chunks it needs.",
                    hint=f"Restore {folder / 'manifest.json'}, or delete the version's run in MLflow.",
                ) from error
            for pack, offset, length in self._places(held):
                found[pack][offset] = max(length, found[pack].get(offset, 0))
        return found


def _room(needed: dict[int, int]) -> int:
    """Bytes of the file system's blocks that these stretches, and a pack's head, stand in."""
    blocks = {0}
    for offset, length in needed.items():
        blocks.update(range(offset // BLOCK, (offset + length - 1) // BLOCK + 1))
    return len(blocks) * BLOCK
