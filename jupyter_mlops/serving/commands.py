"""The commands of the serving stage."""

from __future__ import annotations

from typing import Annotated, Any

from ..domain.command import Arg, command
from ..domain.context import CommandSet
from ..domain.deployment import Deployment, DeploymentTable, Predictions
from ..domain.reference import Reference, check_name
from ..errors import InvalidArgument
from .deployment_folder import DeploymentFolder, find

__all__ = ["ServingCommands"]

TRIES = 3


class ServingCommands(CommandSet):
    """Model version to deployment."""

    @command("deploy", stage="serving", changes=True)
    def deploy(
        self,
        model: Annotated[str, Arg(complete="model-versions", metavar="MODEL")],
        *,
        name: Annotated[str, Arg(complete="deployments", metavar="NAME")] = "",
        port: int = 0,
        allow_pickle: bool = False,
    ) -> Deployment:
        """Serve a model version from a process of its own on this machine, behind a token.

        The server speaks MLflow's ``/invocations``, logs every prediction before it answers, outlives this kernel, and
        is started again when it dies. A deployment of that name is replaced: the new server answers before the old one
        ends, and the address stays unless another port is asked for.

        Parameters
        ----------
        model
            The model version: ``clf@champion``, ``clf@7``, or ``clf`` for the latest.
        name
            What to call the deployment; by default as the model.
        port
            The loopback port to answer on; by default one that is free.
        allow_pickle
            Load a model whose files run code when they are loaded; only if you trust where it comes from.

        Examples
        --------
        %mlops deploy adult-clf@champion
        %mlops deploy adult-clf@7 --name canary --port 8080
        """
        reference = Reference.parse(model, "model version")
        name = check_name(name or reference.name, "deployment")
        if not 0 <= port <= 65_535:
            raise InvalidArgument(f"--port takes a number up to 65535, not {port}.")
        answer = self.context.call(
            "serving.deploy",
            model=model,
            name=name,
            port=port,
            allow_pickle=allow_pickle,
            python=self.context.interpreter,
        )
        return Deployment.from_dict(answer)

    @command("deployments", stage="serving", changes=False)
    def deployments(self) -> DeploymentTable:
        """List what is deployed in this workspace, as it is now.

        Examples
        --------
        %mlops deployments
        """
        return DeploymentTable.from_dict(self.context.call("serving.deployments"))

    @command("predict", stage="serving", changes=False)
    def predict(
        self,
        name: Annotated[str, Arg(complete="deployments", metavar="NAME")],
        table: Annotated[Any, Arg(value="table", metavar="TABLE")],
    ) -> Predictions:
        """Ask a deployment to predict every row of a table, over HTTP.

        Parameters
        ----------
        name
            The deployment, or the model if only one deployment serves it.
        table
            The rows: a DataFrame, a CSV or Parquet file, or a data version such as ``adult@v3``; in Python also a
            record or a list of records.

        Examples
        --------
        %mlops predict adult-clf new_customers
        """
        from .client import ServerGone, ask, check_columns

        home = self.context.workspace.home
        stored = find(home, name)
        frame = self._rows(table)
        check_columns(stored, frame)
        done: Predictions | None = None
        for attempt in range(TRIES):
            if not stored.wanted or attempt:
                self.context.call("serving.ready", name=stored.name)  # brings a dead server back, or says why not
                stored = find(home, stored.name)
            try:
                return ask(stored, DeploymentFolder.of(home, stored.name).token(), frame, done)
            except ServerGone as gone:
                done = gone.done
                if attempt == TRIES - 1:
                    raise
        raise AssertionError(attempt)

    @command("undeploy", stage="serving", changes=True)
    def undeploy(self, name: Annotated[str, Arg(complete="deployments", metavar="NAME")]) -> Deployment:
        """Take a deployment down, after what it is answering; its inference log stays.

        Parameters
        ----------
        name
            The deployment.

        Examples
        --------
        %mlops undeploy adult-clf
        """
        return Deployment.from_dict(self.context.call("serving.undeploy", name=check_name(name, "deployment")))

    def _rows(self, table: Any) -> Any:
        if isinstance(table, (dict, list)):
            import pandas as pd

            scalars = isinstance(table, dict) and not any(isinstance(v, (list, tuple)) for v in table.values())
            try:
                frame: Any = pd.DataFrame([table] if scalars else table)
            except (ValueError, TypeError) as error:
                raise InvalidArgument(
                    f"these records make no table: {error}.", hint="Give a dict of columns, or a list of dicts."
                ) from error
        else:
            from ..datasets.tables import as_table

            frame = as_table(self.context, table)
        if not len(frame):
            raise InvalidArgument("the table has no rows; there is nothing to predict.")
        return frame
