"""Alerts at rest: one JSON artifact each in their deployment's monitor run, and a metric that is 1 while one fires."""

from __future__ import annotations

import json
import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlparse

from ..domain.alert import Alert
from . import tags
from .door import mlflow_errors

if TYPE_CHECKING:
    from .store import Store

__all__ = ["Alerts"]

FILE = re.compile(r"(\d+)-([\w-]+)\.json")


class Alerts:
    """The alerts of one store's monitors."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def record(self, alert: Alert) -> None:
        """Keep an alert as it is now; one that is there already is replaced, its metrics are written once."""
        from mlflow.entities import Metric

        client = self._store.client
        with mlflow_errors(self._store.workspace.tracking_uri), self._store.write_lock:
            run_id = self._store.reports.monitor_of(alert.deployment, alert.model).info.run_id
            with tempfile.TemporaryDirectory() as folder:
                file = Path(folder) / f"{alert.found_ms:013d}-{alert.id}.json"
                file.write_text(json.dumps(alert.to_dict(), separators=(",", ":"), allow_nan=False))
                client.log_artifact(run_id, str(file), tags.ALERTS)
            name = f"alert.{re.sub(r'[^A-Za-z0-9_. -]', '_', alert.rule)}"[:200]
            ends = [(alert.opened_ms, 1.0)] + ([(alert.resolved_ms, 0.0)] if alert.resolved_ms is not None else [])
            done = {(p.step, p.value) for p in client.get_metric_history(run_id, name)}
            for when, value in ends:
                if (when, value) not in done:
                    client.log_batch(run_id, metrics=[Metric(name, value, when, when)])

    def recent(self, name: str = "", *, limit: int = 50) -> list[Alert]:
        """The newest alerts, newest first, of a deployment or model, or of all."""
        client = self._store.client
        with mlflow_errors(self._store.workspace.tracking_uri):
            listed = []
            for run in self._store.reports.monitors():
                for file in client.list_artifacts(run.info.run_id, tags.ALERTS):
                    parts = FILE.fullmatch(file.path.rpartition("/")[2])
                    if parts:
                        listed.append((int(parts[1]), run, str(file.path)))
            found: list[Alert] = []
            for _, run, path in sorted(listed, key=lambda item: item[0], reverse=True):
                if len(found) == limit:
                    break
                place = urlparse(run.info.artifact_uri)
                with tempfile.TemporaryDirectory() as folder:
                    file = (
                        Path(unquote(place.path)) / path
                        if place.scheme in ("", "file")
                        else Path(client.download_artifacts(run.info.run_id, path, folder))
                    )
                    alert = Alert.from_dict(json.loads(file.read_text()))
                if not name or name in (alert.deployment, alert.model, alert.model.partition("@")[0]):
                    found.append(alert)
            return found
