"""The commands of the serving stage."""

from __future__ import annotations

import ipaddress
import time
from pathlib import Path
from typing import Annotated, Any

from ..datasets.check_commands import read_rules
from ..domain.command import Arg, command
from ..domain.context import CommandSet, now_ms
from ..domain.deployment import BatchResult, Deployment, DeploymentTable, LogRules, Manifest, Predictions
from ..domain.reference import Reference, check_name
from ..domain.traffic import Traffic, parse_shares
from ..errors import InvalidArgument
from .deployment_folder import DeploymentFolder, StoredDeployment, find

__all__ = ["ServingCommands"]

TRIES = 3
AGAIN_SECONDS = 0.5


class ServingCommands(CommandSet):
    """Model version to deployment."""

    @command("deploy", stage="serving", changes=True)
    def deploy(
        self,
        model: Annotated[str, Arg(complete="model-versions", metavar="MODEL")],
        *,
        name: Annotated[str, Arg(complete="deployments", metavar="NAME")] = "",
        canary: Annotated[list[str] | None, Arg(complete="model-versions", metavar="MODEL=SHARE")] = None,
        shadow: Annotated[list[str] | None, Arg(complete="model-versions", metavar="MODEL")] = None,
        sticky: Annotated[str, Arg(metavar="HEADER")] = "",
        holdout: float = 0.0,
        pin: bool = False,
        workers: int = 0,
        port: int = 0,
        host: Annotated[str, Arg(metavar="ADDRESS")] = "",
        grpc: bool = False,
        grpc_port: int = 0,
        certificate: Annotated[str, Arg(value="path", metavar="FILE")] = "",
        key: Annotated[str, Arg(value="path", metavar="FILE")] = "",
        mask: Annotated[list[str] | None, Arg(metavar="COLUMN")] = None,
        blank: Annotated[list[str] | None, Arg(metavar="COLUMN")] = None,
        contract: Annotated[str, Arg(complete="data", metavar="NAME[@vN]")] = "",
        log_sample: float = 1.0,
        log_days: float = 0.0,
        log_bytes: int = 0,
        unlogged: Annotated[str, Arg(choices=("refuse", "serve"))] = "refuse",
        on_boot: bool = False,
        allow_pickle: bool = False,
        to: Annotated[str, Arg(choices=("docker", "kubernetes", "kserve", "ray"))] = "",
        out: Annotated[str, Arg(value="path", metavar="DIR")] = "",
    ) -> Deployment | Manifest:
        """Serve a model version from a process of its own on this machine, behind a token.

        The server speaks MLflow's ``/invocations``, logs every prediction before it answers, outlives this kernel, and
        is started again when it dies. A deployment of that name is replaced: the new server answers before the old one
        ends, and the address stays unless another port is asked for.

        Clients send the token as ``Authorization: Bearer <token>``. One that takes no headers sends it as the password of
        its address, as MLflow's own does: ``ScoringServerClient(f"any:{token}@127.0.0.1", port)``.

        A change of traffic, a rollback or another deploy fails no request. Where a server process is killed, the requests
        that it had accepted end without an answer and have to be sent again, as most HTTP clients do when they are told
        to retry a lost connection; every answer that was sent is in the log.

        Parameters
        ----------
        model
            The model version: ``clf@champion``, ``clf@7``, or ``clf`` for the latest.
        name
            What to call the deployment; by default as the model.
        canary
            A version on trial and its share: ``clf@challenger=10%``, or ``challenger=10%``. It is taken back by itself when it is shown to be
            worse, see `traffic`.
        shadow
            A version that is asked a copy of every request, or of a share, and never answers.
        sticky
            A header, such as ``X-User``: who sends the same value always gets the same version.
        holdout
            A share, from 0 to 1, of the requests that goes to a version drawn with even chances, which are logged.
        pin
            Stay with this version when the alias it was asked for by moves.
        workers
            How many processes answer; by default one a core.
        port
            The port to answer on; by default one that is free.
        host
            The address to answer on; by default loopback. Any other needs a certificate.
        grpc
            Answer the Open Inference Protocol over gRPC too, on a port of its own.
        grpc_port
            That port, which asks for gRPC by itself; by default one that is free.
        certificate, key
            PEM files for TLS.
        mask
            A column of which only a keyed hash is logged. Columns that the training data declares as personal are
            masked without being named.
        blank
            A column that is not logged.
        contract
            A data version whose contract every request has to keep, or the JSON file of one: ranges, categories and missing
            values beyond what the model's signature asks. What breaks it is answered 400, column by column, over HTTP and
            gRPC alike, and never reaches the model.
        log_sample
            Which share of the requests is logged, above 0 to 1.
        log_days
            Remove logged rows older than this many days; 0 keeps them.
        log_bytes
            Remove the oldest logged rows while the log is larger; 0 keeps them.
        unlogged
            What to do with a prediction that cannot be logged: ``refuse`` it, or ``serve`` it and count it.
        on_boot
            Start the deployment when the machine comes up again.
        allow_pickle
            Load a model whose files run code when they are loaded; only if you trust where it comes from.
        to
            Write the deployment for another place into the folder `out`, and start nothing here.
        out
            The folder for ``--to``.

        Examples
        --------
        %mlops deploy adult-clf@champion
        %mlops deploy adult-clf@champion --to kubernetes --out k8s
        %mlops deploy adult-clf@7 --name second --port 8080
        %mlops deploy adult-clf@champion --contract adult@v3
        %mlops deploy adult-clf@champion --canary adult-clf@challenger=10% --sticky X-User
        """
        reference = Reference.parse(model, "model version")
        name = check_name(name or reference.name, "deployment")
        if bool(to) != bool(out):
            raise InvalidArgument("--to TARGET and --out DIR belong together.")
        if to:
            from .manifests.served import write_for

            told = self.context.call("serving.files_of", model=model, allow_pickle=allow_pickle)
            place = Path(out).expanduser()
            return write_for(
                to, told["model"], name, Path(told["files"]), place, workers or 2, allow_pickle=allow_pickle
            )
        for option, number in (("--port", port), ("--grpc-port", grpc_port)):
            if not 0 <= number <= 65_535:
                raise InvalidArgument(f"{option} takes a number up to 65535, not {number}.")
        if port and port == grpc_port:
            raise InvalidArgument("--port and --grpc-port are two ports.")
        if not 0 < log_sample <= 1:
            raise InvalidArgument(f"--log-sample is a share above 0 up to 1, not {log_sample:g}.")
        if workers < 0 or log_days < 0 or log_bytes < 0:
            raise InvalidArgument("--workers, --log-days and --log-bytes take no negative numbers.")
        certificate, key = check_tls(host, certificate, key)
        own = model.partition("@")[0]
        shares = (
            *parse_shares(canary or (), "canary", 0.1, model=own),
            *parse_shares(shadow or (), "shadow", model=own),
        )
        rules = LogRules(
            unwritable="serve" if unlogged == "serve" else "refuse",
            sample=log_sample,
            mask=tuple(mask or ()),
            blank=tuple(blank or ()),
            keep_days=log_days,
            keep_bytes=log_bytes,
        )
        held = read_rules(self.context, contract).to_dict() if contract else None
        answer = self.context.call(
            "serving.deploy",
            model=model,
            name=name,
            port=port,
            allow_pickle=allow_pickle,
            python=self.context.interpreter,
            traffic=Traffic(name, shares, sticky, holdout).to_dict(),
            log_rules=rules.to_dict(),
            workers=workers,
            pin=pin,
            address=host,
            grpc_port=grpc_port if grpc or grpc_port else -1,
            certificate=certificate,
            key=key,
            on_boot=on_boot,
            contract=held,
        )
        made = Deployment.from_dict(answer)
        if shares:
            self.context.watched[made.name] = now_ms()
        return made

    @command("deployments", stage="serving", changes=False)
    def deployments(self, name: Annotated[str, Arg(complete="deployments", metavar="NAME")] = "") -> DeploymentTable:
        """List what is deployed in this workspace, as it is now.

        Parameters
        ----------
        name
            Only this deployment, or the one that serves this model, with its versions and how each computes.

        Examples
        --------
        %mlops deployments
        %mlops deployments adult-clf
        """
        found = DeploymentTable.from_dict(self.context.call("serving.deployments"))
        if not name:
            return found
        only = find(self.context.workspace.home, name).name
        return DeploymentTable(tuple(d for d in found if d.name == only), named=True)

    @command("predict", stage="serving", changes=False)
    def predict(
        self,
        name: Annotated[str, Arg(complete="deployments", metavar="NAME")],
        table: Annotated[Any, Arg(value="table", metavar="TABLE")],
        *,
        out: Annotated[str, Arg(value="path", metavar="DIR")] = "",
        dask: bool = False,
    ) -> Predictions | BatchResult:
        """Ask a deployment to predict every row of a table, over HTTP.

        With ``--out`` the answers go into a folder of Parquet files, chunk by chunk; interrupted or killed, the same
        command goes on where it was.

        Parameters
        ----------
        name
            The deployment, or the model if only one deployment serves it.
        table
            The rows: a DataFrame, a CSV or Parquet file, or a data version such as ``adult@v3``; in Python also a
            record or a list of records; and for a model that was fitted on one, an array, or a Series or list of texts. With ``--out`` also a Parquet file or a folder of them that is larger than memory.
        out
            Write the table with its predictions into this folder; columns that the model does not take stay in it.
        dask
            Let a Dask cluster read, ask and write: the current client's, or one on this machine.

        Examples
        --------
        %mlops predict adult-clf new_customers
        %mlops predict adult-clf customers.parquet --out scored
        """
        from .client import ServerGone, ask, check_columns

        home = self.context.workspace.home
        stored = find(home, name)
        if dask and not out:
            raise InvalidArgument("--dask writes into a folder.", hint="Name it: --out DIR.")
        if out:
            from .batch import score

            path = Path(table).expanduser() if isinstance(table, (str, Path)) else None
            large = path is not None and (path.is_dir() or path.suffix == ".parquet")
            source = path if large else self._table(table)
            token = DeploymentFolder.of(home, stored.name).token()
            return score(stored, token, source, Path(out).expanduser(), self.context.progress, dask=dask)
        rows = self._rows(stored, table)
        if rows.ndim == 2:
            check_columns(stored, rows)
        done: Predictions | None = None
        for attempt in range(TRIES):
            if not stored.wanted or attempt:
                self.context.call("serving.ready", name=stored.name)  # brings a dead server back, or says why not
                stored = find(home, stored.name)
            try:
                return ask(stored, DeploymentFolder.of(home, stored.name).token(), rows, done)
            except ServerGone as gone:
                done = gone.done
                if attempt == TRIES - 1:
                    raise
                time.sleep(AGAIN_SECONDS)
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

    def _rows(self, stored: StoredDeployment, given: Any) -> Any:
        """What is to be predicted, as a DataFrame; as a Series where the model takes rows without columns, as of texts."""
        import numpy as np
        import pandas as pd

        if isinstance(given, (list, tuple)) and given and not isinstance(given[0], dict):
            given = np.asarray(given, dtype=object if any(isinstance(v, str) for v in given) else None)
        if isinstance(given, np.ndarray) and given.ndim in (1, 2):
            if stored.inputs and (given.ndim == 2 or len(stored.inputs) > 1):
                named = ", ".join(column.name for column in stored.inputs[:8])
                raise InvalidArgument(
                    f"{stored.name} takes columns by name, and an array has no names.",
                    hint=f"Give pd.DataFrame(array, columns=[...]); it takes {named}{', ...' * (len(stored.inputs) > 8)}.",
                )
            given = pd.DataFrame(given) if given.ndim == 2 else pd.Series(given)
        if isinstance(given, pd.Series) and len(stored.inputs) == 1:
            given = given.to_frame(stored.inputs[0].name)
        return given if isinstance(given, pd.Series) and not stored.inputs and len(given) else self._table(given)

    def _table(self, table: Any) -> Any:
        """The rows of whatever a table may be given as."""
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


def check_tls(host: str, certificate: str, key: str) -> tuple[str, str]:
    """The files for TLS as full paths, where an address beyond this machine is asked for.

    Raises
    ------
    InvalidArgument
        The address is not loopback and there is no certificate, or a file is not there or cannot be used.
    """
    loopback = not host or host == "localhost"
    if not loopback:
        try:
            loopback = ipaddress.ip_address(host).is_loopback
        except ValueError as error:
            raise InvalidArgument(f"--host takes an address of this machine, not {host!r}.") from error
    if not loopback and not certificate:
        raise InvalidArgument(
            f"a deployment on {host} can be reached from other machines, so it answers over TLS only.",
            hint="Give --certificate FILE --key FILE, or leave --host out.",
        )
    paths = []
    for option, given in (("--certificate", certificate), ("--key", key)):
        path = Path(given).expanduser().resolve() if given else None
        if path is not None and not path.is_file():
            raise InvalidArgument(f"{option}: there is no file {path}.")
        paths.append(str(path or ""))
    if paths[1] and not paths[0]:
        raise InvalidArgument("--key belongs to a certificate.", hint="Give --certificate FILE too.")
    if paths[0]:
        import ssl

        try:
            # a key behind a password cannot be used by a server that comes up by itself
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(paths[0], paths[1] or None, password=lambda: b"")
        except (ssl.SSLError, OSError, ValueError) as error:
            told = f"{paths[0]} with the key in {paths[1] or 'the same file'}"
            raise InvalidArgument(
                f"{told} cannot be used for TLS: {error}.",
                hint="Both are PEM files that belong to each other; the key has no password.",
            ) from error
    return paths[0], paths[1]
