"""Executors: where the steps of the pipeline beside this file run: in processes here, or on Dask's workers."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from pathlib import Path
from typing import Any, Protocol

from .step import Failed

__all__ = ["Executor", "Job", "executor"]

PATIENCE = 5.0


class Job(Protocol):
    """A step that runs somewhere."""

    def poll(self) -> int | None:
        """Its exit code, None as long as it runs."""

    def end(self) -> None:
        """End it now."""


class Executor(Protocol):
    """Where steps run."""

    def start(self, command: list[str], log: Path) -> Job:
        """Start a command; what it prints goes to `log`."""


class _Process:
    def __init__(self, command: list[str], log: Path, lifeline: int) -> None:
        command = [*command, "--lifeline", str(lifeline)] if lifeline >= 0 else command
        with log.open("wb") as out:
            self._child = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, start_new_session=True,
                pass_fds=[lifeline] if lifeline >= 0 else [],
            )  # fmt: skip

    def poll(self) -> int | None:
        return self._child.poll()

    def end(self) -> None:
        for sign in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._child.pid, sign)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._child.wait(PATIENCE)
                return


class _Processes:
    """Steps run as processes here, which end with this one, however it ends: they watch a pipe that only it holds open."""

    def __init__(self) -> None:
        self._lifeline, self._held = os.pipe() if os.name == "posix" else (-1, -1)

    def start(self, command: list[str], log: Path) -> Job:
        return _Process(command, log, self._lifeline)


class _Future:
    def __init__(self, future: Any) -> None:
        self._future = future

    def poll(self) -> int | None:
        if not self._future.done():
            return None
        return int(self._future.result()) if self._future.status == "finished" else 1

    def end(self) -> None:
        self._future.cancel()


class _Dask:
    """Steps run on Dask's workers, each as a process there."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def start(self, command: list[str], log: Path) -> Job:
        return _Future(self._client.submit(_run_command, command, str(log), pure=False))


def _run_command(command: list[str], log: str) -> int:
    import os  # this function travels alone
    import subprocess

    lifeline, held = os.pipe()  # the step ends with its worker
    try:
        with open(log, "wb") as out:  # noqa: PTH123 alone
            return subprocess.run(
                [*command, "--lifeline", str(lifeline)], stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT,
                pass_fds=[lifeline], check=False,
            ).returncode  # fmt: skip
    finally:
        os.close(lifeline)
        os.close(held)


@contextlib.contextmanager
def executor(dask: str, jobs: int) -> Any:
    """Processes here; with `dask` the workers of a cluster here (``local``) or of the scheduler at that address."""
    signal.signal(signal.SIGTERM, _interrupt)
    if not dask:
        yield _Processes()
        return
    try:
        from distributed import Client, LocalCluster
    except ImportError as error:
        raise Failed("--dask needs Dask: pip install 'dask[distributed]'") from error
    if dask == "local":
        workers = jobs or os.cpu_count() or 1
        with LocalCluster(n_workers=workers, threads_per_worker=1, dashboard_address=None, host="127.0.0.1") as cluster, Client(cluster) as client:  # fmt: skip
            yield _Dask(client)
        return
    try:
        client = Client(dask, timeout=10)
    except (OSError, ValueError, TimeoutError) as error:
        raise Failed(f"no Dask scheduler answers at {dask}: {error}") from error
    with client:
        yield _Dask(client)


def _interrupt(_number: int, _frame: Any) -> None:
    raise KeyboardInterrupt
