"""Drift reports at rest: artifacts and metrics of one MLflow run a deployment."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .store import Store

__all__ = ["Reports"]


class Reports:
    """See the module."""

    def __init__(self, store: Store) -> None:
        self._store = store
