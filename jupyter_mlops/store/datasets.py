"""Data versions at rest: an MLflow run each, in an experiment of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .store import Store

__all__ = ["DataVersions"]


class DataVersions:
    """See the module."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def count(self) -> int:
        """How many there are."""
        return 0

    def refs(self) -> list[str]:
        """``name@vN`` of every version, newest first, for completion."""
        return []
