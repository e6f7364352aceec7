"""Starting: processes that outlive whoever starts them: model servers, and builders of plans; and waiting for a server."""

from __future__ import annotations

import os
import select
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from ..errors import InvalidArgument, NotReady
from ..settings import child_environment
from .deployment_folder import DeploymentFolder, StoredDeployment
from .process import Process

__all__ = ["START_SECONDS", "await_ready", "start_builder", "start_server"]

START_SECONDS = 300.0  # loading a large model from a slow disk takes its time; progress is told meanwhile
LONGEST_LOG = 5_000_000
STAND_BACK = 1  # who is asked in advance lets those go first whom somebody waits for


def start_server(
    root: Path, folder: DeploymentFolder, stored: StoredDeployment, listener: socket.socket, progress: int | None
) -> int:
    """Start a deployment's server; the number of its process, which is the caller's to reap.

    Raises
    ------
    InvalidArgument
        The interpreter cannot be started.
    """
    command = [stored.python, "-P", "-m", "jupyter_mlops.serving.server", str(folder.path)]
    command += ["--generation", stored.generation, "--socket", str(listener.fileno())]
    command += ["--workers", str(stored.workers)]
    handed = [listener.fileno()]
    if progress is not None:
        command += ["--progress", str(progress)]
        handed.append(progress)
    try:
        return _start(command, root, folder.server_log, handed)
    except OSError as error:
        raise InvalidArgument(
            f"the interpreter {stored.python} cannot be started: {error.strerror}.",
            hint="Deploy again from a kernel whose environment is there.",
        ) from error


def start_builder(root: Path, plans: Path, python: str, models: int) -> int:
    """Start a process that builds plans; the number of it, which is the caller's to reap.

    Parameters
    ----------
    models
        Where it reads the models' folders, a line each; it ends when nobody can write there any more.
    """
    plans.mkdir(mode=0o700, parents=True, exist_ok=True)
    command = [python, "-P", "-m", "jupyter_mlops.serving.compiled.builder", str(plans), "--root", str(root)]
    return _start([*command, "--nice", str(STAND_BACK)], root, plans / "build.log", said=models)


def _start(
    command: Sequence[str], root: Path, log: Path, handed: Sequence[int] = (), said: int = subprocess.DEVNULL
) -> int:
    if log.exists() and log.stat().st_size > LONGEST_LOG:
        log.replace(log.with_suffix(".log.1"))
    descriptor = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        child = subprocess.Popen(
            command,
            stdin=said,
            stdout=descriptor,
            stderr=descriptor,
            cwd=root,
            # Requests are many and small: threads inside one prediction cost more than they give.
            env={"OMP_NUM_THREADS": "1", **child_environment()},
            pass_fds=handed,
            start_new_session=True,
        )
    finally:
        os.close(descriptor)
    # The caller waits for its children by number; the object would do it again when it is collected.
    child.returncode = 0
    return child.pid


def await_ready(
    server: Process, reading: int, folder: DeploymentFolder, log_size: int, progress: Callable[[str], None]
) -> None:
    """Pass a server's progress on until it is ready.

    Raises
    ------
    NotReady
        It ends or takes too long; with the last it said.
    """
    deadline = time.monotonic() + START_SECONDS
    waiting, refused = b"", ""
    try:
        while time.monotonic() < deadline:
            if not select.select([reading], [], [], 1.0)[0]:
                continue
            got = os.read(reading, 4096)
            if not got:
                break
            *lines, waiting = (waiting + got).split(b"\n")
            for line in (raw.decode(errors="replace") for raw in lines):
                if line == "ready":
                    return
                if line.startswith("error "):
                    refused = line.removeprefix("error ")
                else:
                    progress(line)
    finally:
        os.close(reading)
    if refused:
        raise NotReady(f"the model server did not start: {refused}", hint="Nothing was deployed.")
    if server.alive():
        raise NotReady(f"the model server was not ready within {START_SECONDS:.0f} s.", hint="Nothing was deployed.")
    said = folder.last_lines(log_size) or "nothing"
    raise NotReady(
        f"the model server ended before it was ready. The last it said: {said}", hint="Nothing was deployed."
    )
