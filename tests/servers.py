"""A real MLflow tracking server on loopback, for tests of stores that are reached over HTTP.

Use it in a test file by ``from servers import mlflow_server`` and a parameter of that name.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

__all__ = ["free_port", "mlflow_server"]

START_SECONDS = 240.0  # below what a test may take; on a busy machine MLflow's four processes start slowly
STARTS = 3  # another program may take the port before the server does


def free_port() -> int:
    """A port that nothing listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def mlflow_server(empty_database: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a tracking server with a store and artifacts of its own, which it serves itself."""
    home = tmp_path_factory.mktemp("tracking-server")
    shutil.copy(empty_database, home / "mlflow.db")
    command = [
        *(sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--workers", "1"),
        *("--backend-store-uri", f"sqlite:///{home / 'mlflow.db'}"),
        *("--artifacts-destination", str(home / "artifacts")),
    ]
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
    quiet = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}
    log = home / "server.log"
    for _ in range(STARTS):
        port = free_port()
        uri = f"http://127.0.0.1:{port}"
        with log.open("wb") as out:
            server = subprocess.Popen(
                [*command, "--port", str(port)],
                cwd=home,
                env={**kept, **quiet},
                stdout=out,
                stderr=out,
                start_new_session=True,
            )
        try:
            if _answers(uri, server):
                yield uri
                return
        finally:
            _end(server)
    pytest.fail(f"mlflow server did not start:\n{log.read_text(errors='replace')[-3000:]}")


def _answers(uri: str, server: subprocess.Popen[bytes]) -> bool:
    """Wait until a server answers; False when it has ended or takes too long."""
    deadline = time.monotonic() + START_SECONDS
    while server.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(OSError), urllib.request.urlopen(f"{uri}/health", timeout=10) as answer:
            if answer.status == 200:
                return True
        time.sleep(0.2)
    return False


def _end(server: subprocess.Popen[bytes]) -> None:
    """End the server and its workers, which are a process group of their own."""
    server.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        server.wait(timeout=10)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(server.pid, signal.SIGKILL)
    server.wait(timeout=10)
