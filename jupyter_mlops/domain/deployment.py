"""Deployment: a model version behind a server on this machine; what it answered; the inference log's place."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from .display import Displayed, ago, table
from .record import Record

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Deployment", "DeploymentState", "DeploymentTable", "LogRules", "Predictions"]

DeploymentState = Literal["starting", "running", "restarting", "failed", "stopped"]


@dataclass(frozen=True)
class LogRules(Record):
    """What a deployment writes into its inference log, how long it is kept, and what happens when it cannot be written.

    Parameters
    ----------
    unwritable
        What a server does when a prediction cannot be logged: ``refuse`` answers 503 in its place, ``serve`` answers
        all the same and counts what was not logged.
    slow_ms
        Where serving goes on, a write that takes longer makes the server leave the log alone for a second.
    sample
        Which share of the requests is logged, above 0 to 1, chosen by their ids.
    mask
        Columns whose values are hashed before they are written.
    blank
        Columns whose values are left out.
    keep_days
        Rows older than this many days are removed; 0 keeps them.
    keep_bytes
        The oldest rows are removed while the log is larger; 0 keeps them.
    """

    unwritable: Literal["refuse", "serve"] = "refuse"
    slow_ms: float = 250.0
    sample: float = 1.0
    mask: tuple[str, ...] = ()
    blank: tuple[str, ...] = ()
    keep_days: float = 0.0
    keep_bytes: int = 0


@dataclass(frozen=True)
class Deployment(Displayed, Record):
    """One deployment, told as it is now.

    Parameters
    ----------
    name
        The deployment's name; by default the model's.
    model
        The model version it serves: ``clf@7``.
    asked
        What `deploy` was given: ``clf@champion``.
    url
        Where it answers; always loopback unless the user said otherwise.
    token_file
        The file, readable by its owner only, that holds the token.
    predictions
        Rows answered, over every process that served this deployment.
    """

    name: str
    model: str
    state: DeploymentState
    url: str
    asked: str = ""
    pid: int | None = None
    started_ms: int = 0
    restarts: int = 0
    predictions: int = 0
    python: str = ""
    token_file: str = ""
    log: str = ""
    error: str = ""

    def text(self) -> str:
        tail = f": {self.error}" if self.error else ""
        if self.state == "stopped":
            return (
                f"{self.name} no longer serves {self.model}; its {self.predictions} predictions are kept in {self.log}"
            )
        return (
            f"{self.name} serves {self.model} at {self.url}, {self.state}{tail}\n"
            f"POST {self.url}/invocations with 'Authorization: Bearer <the token in {self.token_file}>'"
        )


@dataclass(frozen=True)
class DeploymentTable(Displayed, Record):
    """The workspace's deployments."""

    deployments: tuple[Deployment, ...]

    def __iter__(self) -> Iterator[Deployment]:
        return iter(self.deployments)

    def __len__(self) -> int:
        return len(self.deployments)

    def __getitem__(self, index: int) -> Deployment:
        return self.deployments[index]

    def to_pandas(self) -> pd.DataFrame:
        """One row a deployment."""
        import pandas as pd

        return pd.DataFrame([d.to_dict() for d in self.deployments])

    def text(self) -> str:
        if not self.deployments:
            return "no deployments; start one with `%mlops deploy MODEL@ALIAS`."
        now = int(time.time() * 1000)
        rows = [
            [d.name, d.model, d.state, d.url, d.predictions, d.restarts, ago(d.started_ms, now)]
            for d in self.deployments
        ]
        return table(["deployment", "model", "state", "url", "predictions", "restarts", "started"], rows)


@dataclass(frozen=True)
class Predictions(Displayed, Record):
    """What a model server answered to one request, one value a row."""

    values: tuple[Any, ...]
    ids: tuple[str, ...]
    """One id a row; `label` and the inference log know the prediction by it."""
    model: str = ""
    deployment: str = ""
    took_ms: float = 0.0

    def __iter__(self) -> Iterator[Any]:
        return iter(self.values)

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, index: int) -> Any:
        return self.values[index]

    def to_pandas(self) -> pd.DataFrame:
        """One row a prediction, indexed by its id."""
        import pandas as pd

        return pd.DataFrame({"prediction": list(self.values)}, index=pd.Index(self.ids, name="id"))

    def text(self) -> str:
        shown = ", ".join(str(v) for v in self.values[:10])
        more = f", ... ({len(self.values)} in all)" if len(self.values) > 10 else ""
        return f"[{shown}{more}] from {self.model} in {self.took_ms:.1f} ms"
