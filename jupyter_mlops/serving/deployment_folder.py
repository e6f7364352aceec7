"""Deployment folder: everything of one deployment on disk, ``.mlops/deployments/<name>/``.

::

    deployment.json        what is to run: the one place of truth, replaced in one step
    token                  what clients must send; readable by the owner only
    server.pid             "<pid> <start time> <generation>", one line a server process
    server.log             what the servers wrote to their standard error
    log/                   the inference log, kept when the deployment is taken down
    generations/<id>/      one try of deploying: model/ (a copy of the model's files) and serving.json of the version it
                           began with, slots/<version>/ the same of others, traffic.json, workers/ (what they tell)
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..domain.contract import Contract
from ..domain.deployment import DeploymentState, LogRules
from ..domain.record import Record
from ..domain.reference import check_name
from ..domain.signature import SignatureColumn
from ..domain.traffic import Traffic
from ..errors import Conflict, NotFound
from .process import Process

__all__ = ["DeploymentFolder", "StoredDeployment", "find", "listening_of", "stored_deployments"]

LOG_TAIL = 262_144


@dataclass(frozen=True)
class StoredDeployment(Record):
    """A deployment as it is written down.

    Parameters
    ----------
    generation
        The try that is to run.
    born
        The version that the generation began with, whose files lie in its own folder.
    request
        The request that wrote this: asked again after a crash, it is found by this.
    needs_all
        Whether the model fails without a column that its signature calls optional: scikit-learn's do, and MLflow calls
        every column optional that had a missing value.
    spawned_ms
        When the last server was started; 0 since it was found dead.
    quick_deaths
        How many servers in a row have died soon after their start.
    next_start_ms
        Not before this is a dead server started again.
    workers
        How many server processes answer.
    traffic
        The versions and their shares; the stable one is `model`.
    log
        What is logged, and how long it is kept.
    pin
        Whether the deployment stays with its version when the alias it was asked for by moves.
    number, rotate
        Of the orders the workers follow, see `traffic.Orders`.
    certificate, key
        Files for TLS; empty for plain HTTP, which is for loopback only.
    grpc_port
        Where it answers over gRPC; -1 for nowhere.
    on_boot
        What starts the deployment after a reboot; empty for nothing.
    contract
        What requests have to keep beyond the signature; None for nothing.
    """

    name: str
    model: str
    asked: str
    state: DeploymentState
    generation: str
    request: str
    host: str
    port: int
    python: str
    allow_pickle: bool = False
    inputs: tuple[SignatureColumn, ...] = ()
    needs_all: bool = False
    started_ms: int = 0
    spawned_ms: int = 0
    restarts: int = 0
    quick_deaths: int = 0
    next_start_ms: int = 0
    error: str = ""
    born: str = ""
    workers: int = 1
    traffic: Traffic = field(default_factory=Traffic)
    log: LogRules = field(default_factory=LogRules)
    pin: bool = False
    number: int = 1
    rotate: int = 0
    certificate: str = ""
    key: str = ""
    grpc_port: int = -1
    on_boot: str = ""
    contract: Contract | None = None

    @property
    def url(self) -> str:
        """Where it answers."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.certificate else 'http'}://{host}:{self.port}"

    @property
    def grpc(self) -> str:
        """Where it answers over gRPC; empty for nowhere."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.grpc_port}" if self.grpc_port > 0 else ""

    @property
    def wanted(self) -> bool:
        """Whether it is to be kept running."""
        return self.state in ("starting", "running", "restarting")


@dataclass(frozen=True)
class DeploymentFolder:
    """One deployment's folder."""

    path: Path

    @classmethod
    def of(cls, home: Path, name: str) -> DeploymentFolder:
        """The folder of the deployment called `name`, there or not."""
        return cls(home / "deployments" / check_name(name, "deployment"))

    @property
    def log(self) -> Path:
        """The inference log."""
        return self.path / "log"

    @property
    def server_log(self) -> Path:
        """What the servers wrote to their standard error."""
        return self.path / "server.log"

    @property
    def token_file(self) -> Path:
        """The file that holds the token."""
        return self.path / "token"

    def generation(self, generation: str) -> Path:
        """The folder of one try of deploying."""
        return self.path / "generations" / generation

    def read(self) -> StoredDeployment | None:
        """What is to run, None if nothing was ever deployed here."""
        try:
            return StoredDeployment.from_dict(json.loads((self.path / "deployment.json").read_text()))
        except (OSError, ValueError, TypeError):
            return None

    def write(self, stored: StoredDeployment) -> None:
        """Replace what is to run, in one step."""
        _replace(self.path / "deployment.json", json.dumps(stored.to_dict(), indent=2) + "\n")

    def renew_token(self) -> str:
        """Make another token; the earlier one is worth nothing once the servers have read it."""
        made = secrets.token_urlsafe(32)
        _replace(self.token_file, made + "\n")
        return made

    def token(self, *, make: bool = False) -> str:
        """The token, made if asked for.

        Raises
        ------
        NotFound
            There is none, and none was to be made.
        """
        with contextlib.suppress(OSError):
            found = self.token_file.read_text().strip()
            if found:
                return found
        if not make:
            raise NotFound(f"{self.token_file} holds no token.", hint="Deploy the model again.")
        return self.renew_token()

    def processes(self) -> dict[Process, str]:
        """The living server processes, each with its generation."""
        try:
            lines = (self.path / "server.pid").read_text().splitlines()
        except OSError:
            return {}
        found = {}
        for line in lines:
            pid, started, generation = (*line.split(), "", "")[:3]
            process = Process(int(pid), started) if pid.isdigit() else None
            if process is not None and process.alive():
                found[process] = generation
        return found

    def write_processes(self, processes: dict[Process, str]) -> None:
        """Replace the list of server processes."""
        lines = [f"{process.pid} {process.started} {generation}\n" for process, generation in processes.items()]
        _replace(self.path / "server.pid", "".join(lines))

    def last_lines(self, since: int = 0, lines: int = 12) -> str:
        """The end of the server's log, from byte `since` on."""
        try:
            with self.server_log.open("rb") as file:
                size = file.seek(0, os.SEEK_END)
                file.seek(max(since, size - LOG_TAIL))
                return "\n".join(file.read().decode(errors="replace").strip().splitlines()[-lines:])
        except OSError:
            return ""

    def clean(self, keep: str = "") -> None:
        """Remove every generation but one."""
        generations = self.path / "generations"
        for path in generations.iterdir() if generations.is_dir() else ():
            if path.name != keep:
                shutil.rmtree(path, ignore_errors=True)
        if not keep:
            shutil.rmtree(generations, ignore_errors=True)

    def remove_unused(self) -> None:
        """Remove what a deployment that never ran has left; an inference log of an earlier one stays."""
        self.clean()
        self.token_file.unlink(missing_ok=True)
        (self.path / "server.pid").unlink(missing_ok=True)
        if self.read() is None:
            shutil.rmtree(self.path, ignore_errors=True)


def stored_deployments(home: Path) -> list[StoredDeployment]:
    """Every deployment that has not been taken down, by name."""
    folder = home / "deployments"
    paths = sorted(folder.iterdir()) if folder.is_dir() else []
    found = (DeploymentFolder(path).read() for path in paths)
    return [stored for stored in found if stored is not None and stored.state != "stopped"]


def listening_of(stored: StoredDeployment) -> dict[str, Any]:
    """What a server must know to listen as the deployment says, beside the socket that it is handed."""
    return {
        "host": stored.host, "grpc_port": stored.grpc_port, "certificate": stored.certificate, "key": stored.key,
    }  # fmt: skip


def find(home: Path, name: str) -> StoredDeployment:
    """The deployment called `name`, or the only one that serves the model called `name`.

    Raises
    ------
    NotFound
        There is none.
    Conflict
        Several deployments serve that model.
    """
    every = stored_deployments(home)
    for stored in every:
        if stored.name == name:
            return stored
    serving = [stored for stored in every if name in (stored.model, stored.model.partition("@")[0], stored.asked)]
    if len(serving) > 1:
        names = ", ".join(stored.name for stored in serving)
        raise Conflict(f"{name!r} is served by several deployments: {names}.", hint="Name one of them.")
    if not serving:
        raise NotFound.among(
            "deployment", name, [stored.name for stored in every], hint="Start one with `%mlops deploy MODEL@ALIAS`."
        )
    return serving[0]


def _replace(path: Path, text: str) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
