"""The command that compares a model's features over all ways by which they are computed."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Annotated, Any

from ..domain.command import Arg, command
from ..domain.context import CommandSet
from ..domain.parity import Parity, ParityWay
from ..errors import InvalidArgument, MLOpsError, NotFound
from .deployment_folder import DeploymentFolder, StoredDeployment, find, stored_deployments

__all__ = ["ParityCommands"]


class ParityCommands(CommandSet):
    """Training, batch and serving, side by side."""

    @command("parity", stage="serving", changes=False)
    def parity(
        self,
        model: Annotated[str, Arg(complete="model-versions", metavar="MODEL")],
        table: Annotated[Any, Arg(value="table", complete="data", metavar="TABLE")],
        *,
        fitted: Annotated[Any, Arg(value="object", metavar="OBJECT")] = None,
        deployment: Annotated[list[str] | None, Arg(complete="deployments", metavar="NAME")] = None,
        rows: int = 1000,
        tolerance: float = 1e-9,
        allow_pickle: bool = False,
    ) -> Parity:
        """Compare a model's features as training computed them with those of its stored file and of its deployments.

        A feature is what the model's last step is given. Training is the fitted object in this notebook; batch is the
        stored model in a new process that reads the rows from Parquet; a deployment is asked over HTTP and computes them
        on the way on which it predicts. Nothing is predicted or logged.

        Parameters
        ----------
        model
            The model version: ``clf@champion``, ``clf@7``, or ``clf`` for the latest.
        table
            Rows to compare; columns that the model does not take are passed over.
        fitted
            The fitted object; by default the variable that was registered as this version.
        deployment
            Deployments to ask; by default every one that serves the version.
        rows
            How many rows at the most, spread evenly over the table; 0 for all.
        tolerance
            Two numbers are the same where they differ by at most this much, times the larger of 1 and the expected one.
        allow_pickle
            Load a model whose files run code when they are loaded; only if you trust where it comes from.

        Examples
        --------
        %mlops parity churn-clf@champion train
        """
        import numpy as np

        from ..datasets.tables import as_table
        from .features import features_of
        from .load import ModelFolder
        from .parity import batch_features, compared, views_of

        if rows < 0 or not 0 <= tolerance < 1:
            raise InvalidArgument("--rows takes no negative number, --tolerance one from 0 to below 1.")
        frame = as_table(self.context, table)
        if not len(frame):
            raise InvalidArgument("the table has no rows; there is nothing to compare.")
        told = self.context.call("serving.files_of", model=model, allow_pickle=allow_pickle)
        ref, folder = str(told["model"]), ModelFolder.open(Path(told["files"]))
        places = np.arange(len(frame))
        if rows and len(frame) > rows:
            places = np.unique(np.linspace(0, len(frame) - 1, rows).astype(int))
        some = _columns(folder, frame).iloc[places].reset_index(drop=True)
        fitted, where = (fitted, "the object given") if fitted is not None else self._fitted_as(folder)
        self.context.progress("computing the features in a new process")
        root, python = self.context.workspace.root, self.context.interpreter
        batch = batch_features(python, folder.path, some, root=root, allow_pickle=allow_pickle)
        notes = []
        if fitted is None:
            expected, views = batch, views_of(folder.estimator(allow_pickle=allow_pickle))
            ways = [ParityWay("batch", "stored model, new process", "reference")]
            notes.append(
                "the fitted object is not in this notebook any more: the stored model is what others are held to"
            )
        else:
            expected, views = features_of(fitted, some), views_of(fitted)
            ways = [
                ParityWay("training", where, "reference"),
                compared("batch", "stored model, new process", expected, batch, tolerance, places.tolist()),
            ]
        for stored in self._servers_of(ref, deployment):
            self.context.progress(f"asking {stored.name}")
            ways.append(self._answered_by(stored, some, ref, expected, tolerance, places.tolist()))
        if len(ways) == 1 or not any(way.outcome in ("PASS", "FAIL") for way in ways):
            notes.append(f"there is nothing to compare with: deploy it first, `%mlops deploy {ref}`")
        return Parity(ref, len(some), expected[0].shape[1], tuple(ways), tolerance, views, tuple(notes))

    def _answered_by(
        self, stored: StoredDeployment, rows: Any, ref: str, expected: Any, tolerance: float, places: list[int]
    ) -> ParityWay:
        from .parity import compared, served_features

        try:
            token = DeploymentFolder.of(self.context.workspace.home, stored.name).token()
            got, way = served_features(stored, token, rows, ref)
        except MLOpsError as error:
            return ParityWay(stored.name, "deployment", "FAIL", len(rows), note=error.message)
        return compared(stored.name, f"deployment, {way}", expected, got, tolerance, places)

    def _fitted_as(self, folder: Any) -> tuple[Any, str]:
        """The variable that holds the object whose file this is."""
        facts = folder.facts["flavors"].get("sklearn") or {}
        file = folder.path / Path(str(facts.get("pickled_model", ""))).name
        digest = hashlib.sha256(file.read_bytes()).hexdigest() if file.is_file() else ""
        for name, value in (self.context.namespace or {}).items():
            known = self.context.known_models.find(value) if hasattr(value, "predict") else None
            if known is not None and known[1] == digest:
                return value, f"{name}, in this notebook"
        return None, ""

    def _servers_of(self, ref: str, asked: list[str] | None) -> list[StoredDeployment]:
        home = self.context.workspace.home
        if asked:
            return [find(home, name) for name in asked]
        return [
            stored
            for stored in stored_deployments(home)
            if stored.wanted and ref in {stored.model, *(share.model for share in stored.traffic.shares)}
        ]


def _columns(folder: Any, frame: Any) -> Any:
    """The columns that a model takes, in its order."""
    from .signature import Signature

    signature = Signature.parse(folder.inputs)
    if signature is None or not signature.named:
        return frame
    names = [column.name for column in signature.columns]
    missing = [name for name in names if name not in frame.columns]
    if missing:
        raise NotFound.among("column", missing[0], [str(column) for column in frame.columns])
    return frame[names]
