"""A Jupyter server for each test, on one workspace with a real service for all of a module's."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from conftest import end
from pytest_jupyter.jupyter_server import *  # noqa: F403  # its fixtures and hooks, for this folder only
from traitlets.config import Config

from jupyter_mlops.session import Session


@pytest.fixture(scope="module")
def workspace(make_session: Callable[..., Session]) -> Iterator[Session]:
    made = make_session()
    (made.context.workspace.root / "notebooks").mkdir()
    made.status()  # the service starts here: a request in a test has 20 seconds, which a busy machine may need for that
    yield made
    end(made)


@pytest.fixture
def jp_root_dir(workspace: Session) -> Path:
    return workspace.context.workspace.root


@pytest.fixture
def jp_server_config() -> Config:
    return Config(
        {"ServerApp": {"jpserver_extensions": {"jupyter_mlops": True}, "allow_unauthenticated_access": False}}
    )
