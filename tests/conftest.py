"""What every test may use: a workspace of its own with a real service, and nothing left running afterwards."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from jupyter_mlops.session import Session

collect_ignore = ["benchmarks"]  # measurements, which `make bench` runs; some begin in a peer's own environment

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session", autouse=True)
def quiet_environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No setting of the machine reaches a test, and no test reaches the machine's."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [n for n in os.environ if n.startswith(("MLOPS_", "MLFLOW_", "JUPYTER", "JPY_"))]:
            patch.delenv(name)
        base = tmp_path_factory.mktemp("machine")
        for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR", "MPLCONFIGDIR"):
            patch.setenv(name, str(base / name.lower()))
        patch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
        patch.setenv("MLOPS_IDLE_SECONDS", "120")
        patch.setenv("MLOPS_WORKERS", "1")
        patch.setenv("MLOPS_PREPARE", "no")  # most models that tests register are never deployed
        yield


@pytest.fixture(autouse=True)
def nothing_said_to_mlflow() -> Iterator[None]:
    """What a test says to MLflow's globals, which also stand in the environment, reaches no other test."""
    yield
    os.environ.pop("MLFLOW_TRACKING_URI", None)
    if "mlflow" in sys.modules:
        sys.modules["mlflow"].set_tracking_uri(None)


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An MLflow SQLite file with its tables made, to copy: making them takes seconds."""
    target = tmp_path_factory.mktemp("database") / "mlflow.db"
    code = f"from mlflow import MlflowClient; MlflowClient('sqlite:///{target}').search_experiments()"
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
    return target


@pytest.fixture(scope="session")
def make_session(empty_database: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Session]]:
    """Make sessions on fresh workspaces; their services and deployments are ended at the end of the test session."""
    made: list[Session] = []

    def make(root: Path | None = None, **keywords: object) -> Session:
        root = root or tmp_path_factory.mktemp("workspace")
        home = root / ".mlops"
        if not home.exists():
            home.mkdir(parents=True)
            shutil.copy(empty_database, home / "mlflow.db")
        session = Session.open(root=root, **keywords)
        made.append(session)
        return session

    yield make
    for session in made:
        end(session)


def end(session: Session) -> None:
    """End what a session's workspace runs: its service first, so that nothing is started again."""
    session.service.stop()
    for file in (session.context.workspace.home / "deployments").glob("*/server.pid"):
        for line in file.read_text().splitlines():
            with contextlib.suppress(OSError, ValueError, IndexError):
                os.kill(int(line.split()[0]), signal.SIGKILL)


@pytest.fixture
def session(make_session: Callable[..., Session]) -> Iterator[Session]:
    """A session on a workspace of this test's own; costs two seconds when the service is first called."""
    made = make_session()
    yield made
    end(made)


@pytest.fixture(scope="module")
def shared_session(make_session: Callable[..., Session]) -> Iterator[Session]:
    """A session that the tests of one module share."""
    made = make_session()
    yield made
    end(made)


def real_data(name: str) -> Path:
    """A file of the real data sets, or a skip that says why."""
    path = SHARED_DATA / name
    if not path.exists():
        pytest.skip(f"the data set {name} is not on this machine")
    return path
