"""What the service tells of feature views: the newest version of each."""

from __future__ import annotations

from typing import Any

from ..domain.feature_view import FeatureViewTable
from ..domain.operation import Operation
from ..store.host import Host
from .features.view import view_from

__all__ = ["OPERATIONS"]


def views(host: Host) -> dict[str, Any]:
    """The newest version of every feature view, newest first."""
    store = host.store.datasets
    found = []
    for version in store.latest():
        if version.kind == "view":
            _, run_id = store.get(version.name, version.version)
            folder, _ = store.folder(run_id, version.digest, host.workspace.home / "cache" / "data")
            told = {"version": version.to_dict(), "folder": str(folder), "checksum": store.checksum(run_id)}
            found.append(view_from(told))
    return FeatureViewTable(tuple(found)).to_dict()


OPERATIONS: dict[str, Operation] = {"data.views": Operation(views)}
