"""Models at rest: MLflow's logged models, registered versions and aliases."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .store import Store

__all__ = ["Models"]


class Models:
    """See the module."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def count(self) -> int:
        """How many there are."""
        return 0

    def names(self) -> list[str]:
        """The names of the registered models, for completion."""
        return []

    def refs(self) -> list[str]:
        """``name@N`` and ``name@alias`` of every version, for completion."""
        return []

    def aliases(self) -> list[str]:
        """Every alias in use, for completion."""
        return []
