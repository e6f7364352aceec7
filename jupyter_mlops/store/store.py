"""Store: one open MLflow store; the way in to its runs, data versions, models and reports."""

from __future__ import annotations

import gc
import hashlib
import os
import threading
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

from ..domain.workspace import Workspace
from ..errors import StoreUnavailable
from . import sql_reads
from .alerts import Alerts
from .audit_segments import AuditSegments
from .datasets import DataVersions
from .door import mlflow_errors
from .evaluations import Evaluations
from .kept_texts import KeptTexts
from .models import Models
from .reports import Reports
from .runs import Runs
from .sqlite_file import SqliteFile

__all__ = ["Store"]

KNOWN_SCHEMES = ("sqlite", "postgresql", "mysql", "mssql", "http", "https", "databricks")


class Store:
    """One open MLflow store.

    Everything goes through one `MlflowClient` with an explicit URI; MLflow's fluent globals are never touched.
    Its parts may be used from several threads.

    Parameters
    ----------
    workspace
        The workspace it belongs to.
    client
        An `MlflowClient` for it.
    file
        The file of one in SQLite.
    """

    def __init__(self, workspace: Workspace, client: Any, file: SqliteFile | None = None) -> None:
        self.workspace = workspace
        self.client = client
        self._file = file
        self.write_lock = threading.RLock()
        self.kept_texts = KeptTexts(_texts_file(workspace) if file is not None else None)
        self.runs = Runs(self)
        self.datasets = DataVersions(self)
        self.models = Models(self)
        self.reports = Reports(self)
        self.alerts = Alerts(self)
        self.evaluations = Evaluations(self)
        self.audit = AuditSegments(self)

    @classmethod
    def open(cls, workspace: Workspace) -> Store:
        """Open the store, making a SQLite one that is not there.

        Raises
        ------
        StoreUnavailable
            The address is of no kind MLflow knows, or nothing answers there.
        """
        uri = workspace.tracking_uri
        scheme = urlparse(uri).scheme.partition("+")[0]
        if scheme not in KNOWN_SCHEMES:
            raise StoreUnavailable(
                f"{uri!r} is no address of an MLflow store.",
                hint="Use sqlite:///FILE, http://HOST:PORT, postgresql://..., or `default`.",
            )
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        # A store that is away must be told of within seconds, not after MLflow's five minutes of retries.
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "30")
        file = SqliteFile(Path(uri.removeprefix("sqlite:///"))) if scheme == "sqlite" else None
        from mlflow import MlflowClient

        with mlflow_errors(uri):
            store = cls(workspace, MlflowClient(tracking_uri=uri, registry_uri=uri), file)
            if file is not None:
                file.tune(sql_reads.database_of(store), getattr(store.client._get_registry_client(), "store", None))  # noqa: SLF001 it has no public name
            _ = store.experiment_id
        gc.freeze()  # what MLflow has loaded stays: looking through it again and again costs a fifth of a second
        return store

    def sync(self) -> None:
        """Wait until what was written is safe from a power cut too; before it is acknowledged."""
        if self._file is not None:
            self._file.sync()

    @cached_property
    def experiment_id(self) -> str:
        """MLflow's id of the workspace's experiment, made on first use."""
        return self.experiment(self.workspace.experiment)

    def experiment(self, name: str) -> str:
        """MLflow's id of the experiment called `name`, made if there is none."""
        from mlflow.exceptions import MlflowException

        with mlflow_errors(self.workspace.tracking_uri), self.write_lock:
            found = self.client.get_experiment_by_name(name)
            if found is None:
                root = self.workspace.artifact_root
                place = None if root is None else f"{root}/{name.replace('/', '_')}"
                try:
                    return str(self.client.create_experiment(name, artifact_location=place))
                except MlflowException:  # somebody else was quicker
                    found = self.client.get_experiment_by_name(name)
                    if found is None:
                        raise
            if found.lifecycle_stage == "deleted":
                self.client.restore_experiment(found.experiment_id)
            return str(found.experiment_id)

    def counts(self) -> dict[str, Any]:
        """How many runs, running runs, data versions and models there are, for `status`."""
        with mlflow_errors(self.workspace.tracking_uri):
            return {
                **self.runs.counts(),
                "data_versions": self.datasets.count(),
                "models": self.models.count(),
            }


def _texts_file(workspace: Workspace) -> Path:
    """Where the texts of a store's runs are kept: a file for each store that the workspace was connected with."""
    own = hashlib.sha256(workspace.tracking_uri.encode()).hexdigest()[:12]
    return workspace.home / "cache" / f"run-texts-{own}.json"
