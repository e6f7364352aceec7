"""Packs: where the packs of a store lie, local or behind any of Arrow's file systems, and how they are read."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any, Self

from ..errors import IntegrityFailure, StoreUnavailable
from .manifest import Manifest
from .pack import Place

__all__ = ["Packs"]


class Packs:
    """The packs in one place, read by stretches; may be used from several threads.

    Parameters
    ----------
    location
        A folder, or the URI of one (``s3://bucket/path``) that Arrow's file systems know.
    """

    def __init__(self, location: str) -> None:
        self.location = location
        self._open: dict[str, Any] = {}
        self._lock = threading.Lock()
        self._system: tuple[Any, str] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for held in self._open.values():
            os.close(held) if isinstance(held, int) else held.close()
        self._open.clear()

    def of(self, manifest: Manifest) -> Reader:
        """A reader of one version's chunks."""
        return Reader(self, manifest.packs)

    def read(self, name: str, place: Place) -> Any:
        """A stretch of a pack.

        Raises
        ------
        IntegrityFailure
            The pack is gone, or too short.
        """
        try:
            held = self._opened(name)
            found = (
                os.pread(held, place.length, place.offset)
                if isinstance(held, int)
                else held.read_at(place.length, place.offset)
            )
        except FileNotFoundError as error:
            raise IntegrityFailure(f"the pack {name} is gone from {self.location}.") from error
        except OSError as error:
            raise StoreUnavailable(f"{self.location}/{name} cannot be read: {error}.") from error
        if len(found) != place.length:
            raise IntegrityFailure(f"the pack {name} in {self.location} does not hold what was stored.")
        return found

    def _opened(self, name: str) -> Any:
        held = self._open.get(name)
        if held is not None:
            return held
        with self._lock:
            if name not in self._open:
                self._open[name] = self._open_one(name)
            return self._open[name]

    def _open_one(self, name: str) -> Any:
        if "://" not in self.location:
            return os.open(Path(self.location) / name, os.O_RDONLY)
        if self._system is None:
            from pyarrow.fs import FileSystem

            self._system = FileSystem.from_uri(self.location)
        system, base = self._system
        return system.open_input_file(f"{base}/{name}")


class Reader:
    """Reads the chunks of one manifest: pack numbers are its own."""

    def __init__(self, packs: Packs, names: tuple[str, ...]) -> None:
        self._packs = packs
        self._names = names

    def __call__(self, place: Place) -> Any:
        """The compressed bytes at a place."""
        return self._packs.read(self._names[place.pack], place)
