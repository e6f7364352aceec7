"""Real inference logs, written as a model server writes them, and a host without a service."""

from __future__ import annotations

import json
import shutil
import threading
import time
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

from jupyter_mlops.domain.workspace import Workspace
from jupyter_mlops.serving.deployment_folder import DeploymentFolder, StoredDeployment
from jupyter_mlops.serving.log_segments import Entry, LogWriter
from jupyter_mlops.settings import Settings
from jupyter_mlops.store.host import Host
from jupyter_mlops.store.store import Store

__all__ = ["INPUTS", "answered", "deployed", "host_at", "writer_of"]

INPUTS = json.dumps(
    [{"type": "double", "name": "n", "required": True}, {"type": "string", "name": "s", "required": True}]
)


def host_at(root: Path, database: Path, audited: list[tuple[Any, ...]] | None = None) -> Host:
    """The inside of a service on a workspace of its own."""
    home = root / ".mlops"
    home.mkdir(parents=True, exist_ok=True)
    if not (home / "mlflow.db").exists():
        shutil.copy(database, home / "mlflow.db")
    workspace = Workspace(root, f"sqlite:///{home / 'mlflow.db'}", "e", (home / "artifacts").as_uri())
    store = Store.open(workspace)
    noted = audited if audited is not None else []
    return Host(
        Settings(root=root, user="u", host="h"),
        workspace,
        lambda: store,
        lambda _topic: None,
        threading.Event(),
        lambda *args: noted.append(args),
        request="r1",
    )


def deployed(host: Host, name: str = "m") -> DeploymentFolder:
    """The folder of a deployment that was taken down: its log can be read, and no server is looked after."""
    folder = DeploymentFolder.of(host.workspace.home, name)
    folder.write(StoredDeployment(name, f"{name}@1", f"{name}@1", "stopped", "g", "r", "127.0.0.1", 1, "python"))
    return folder


def writer_of(folder: DeploymentFolder, classes: tuple[str, ...] = ("0", "1"), model: str = "m@1") -> LogWriter:
    """A writer whose segment began a day ago, which its name tells."""
    with mock.patch(
        "jupyter_mlops.serving.log_segments.time.time_ns", return_value=time.time_ns() - 86_400_000_000_000
    ):
        return LogWriter(folder.log, model=model, inputs=INPUTS, classes=classes)


def answered(
    writer: LogWriter,
    numbers: np.ndarray[Any, Any],
    time_ms: int,
    *,
    request: str = "",
    took_ms: float = 1.0,
    values: list[Any] | None = None,
    key: str = "",
) -> list[str]:
    """Log one request: the probability of 1 is the logistic function of the number; give the prediction ids."""
    p = 1 / (1 + np.exp(-np.asarray(numbers, dtype=np.float64)))
    body = {"columns": ["n", "s"], "data": [[float(v), "ab"[i % 2]] for i, v in enumerate(numbers)]}
    out = values if values is not None else [int(v >= 0.5) for v in p]
    probabilities = b"" if values is not None else np.column_stack([1 - p, p]).astype("<f8").tobytes()
    name = request or f"r{time_ms}"
    writer.append(
        Entry(
            name,
            time_ms,
            "application/json",
            json.dumps({"dataframe_split": body}).encode(),
            json.dumps({"predictions": out}).encode(),
            len(numbers),
            took_ms,
            key=key,
            probabilities=probabilities,
        )
    )
    return [f"{name}-{i}" for i in range(len(numbers))]
