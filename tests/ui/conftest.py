"""JupyterLab as its users have it, on a workspace of a test's own, in a real browser that may talk to nobody else."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlparse

import pytest
from conftest import end

from jupyter_mlops.session import Session

from . import story

REPOSITORY = Path(__file__).resolve().parents[2]
BUILT = REPOSITORY / "jupyter_mlops" / "labextension"
SHOTS = REPOSITORY / "test-results"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
)
PATIENCE_MS = 90_000  # on two busy cores


@pytest.fixture
def jp_server_cleanup():
    """Not for us: these servers are processes of their own."""


@pytest.fixture
def jp_asyncio_loop():
    """Not for us: Playwright keeps its own."""


@pytest.fixture(scope="module")  # not longer: while Playwright runs, no other test can run an event loop
def browser() -> Iterator[object]:
    sync_api = pytest.importorskip("playwright.sync_api")
    path = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    if path is None:
        pytest.skip("no Chromium on this machine: `make browser` installs one")
    with sync_api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=list(FLAGS))
        yield chromium
        chromium.close()


@dataclass
class Jupyter:
    """One running Jupyter server."""

    url: str
    token: str
    root: Path
    session: Session
    process: subprocess.Popen[bytes]
    log: Path

    def address(self, where: str) -> str:
        return f"{self.url}{where}?token={self.token}"


@pytest.fixture(scope="module")
def serve(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Jupyter]]:
    """Start Jupyter on a session's workspace, with every folder of its own."""
    if not (BUILT / "package.json").exists():
        pytest.skip("the panel is not built: `make setup` builds it")
    running: list[Jupyter] = []

    def start(session: Session, app: str = "lab") -> Jupyter:
        base = tmp_path_factory.mktemp("jupyter")
        extensions = base / "share" / "labextensions"
        extensions.mkdir(parents=True)
        (extensions / "jupyter-mlops").symlink_to(BUILT)
        enabled = base / "etc" / "jupyter_server_config.d"
        enabled.mkdir(parents=True)
        shutil.copy(REPOSITORY / "labextension" / "jupyter_server_config.json", enabled / "jupyter_mlops.json")
        for plugin, values in {
            "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
            "apputils-extension/palette": {"modal": True},
        }.items():
            file = base / "settings" / "@jupyterlab" / f"{plugin}.jupyterlab-settings"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(json.dumps(values))
        folders = {
            "JUPYTER_CONFIG_DIR": "config",
            "JUPYTER_DATA_DIR": "data",
            "JUPYTER_RUNTIME_DIR": "runtime",
            "JUPYTER_PATH": "share",
            "JUPYTER_CONFIG_PATH": "etc",
            "JUPYTERLAB_SETTINGS_DIR": "settings",
            "JUPYTERLAB_WORKSPACES_DIR": "workspaces",
            "IPYTHONDIR": "ipython",
            "HOME": "home",
        }
        environment = {**os.environ, **{name: str(base / folder) for name, folder in folders.items()}}
        for folder in folders.values():
            (base / folder).mkdir(exist_ok=True)
        environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
        root = session.context.workspace.root
        port, token, log = free_port(), "ui-tests", base / "jupyter.log"
        command = [sys.executable, "-m", "jupyter", app, "--no-browser", "--allow-root", f"--port={port}"]
        command += ["--ServerApp.port_retries=0", "--ServerApp.ip=127.0.0.1", f"--ServerApp.root_dir={root}"]
        command += [f"--IdentityProvider.token={token}", "--ServerApp.allow_unauthenticated_access=False"]
        command += ["--LabApp.expose_app_in_browser=True", "--LabApp.extension_manager=readonly"]
        command += ["--LabApp.collaborative=False", "--JupyterNotebookApp.expose_app_in_browser=True"]
        with log.open("wb") as out:
            process = subprocess.Popen(command, stdout=out, stderr=out, cwd=root, env=environment)
        jupyter = Jupyter(f"http://127.0.0.1:{port}/", token, root, session, process, log)
        running.append(jupyter)
        await_server(jupyter)
        return jupyter

    yield start
    for jupyter in running:
        stop(jupyter)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def await_server(jupyter: Jupyter) -> None:
    deadline = time.monotonic() + PATIENCE_MS / 1000
    while time.monotonic() < deadline:
        assert jupyter.process.poll() is None, jupyter.log.read_text()
        try:
            with urllib.request.urlopen(jupyter.address("api/status"), timeout=5):
                return
        except OSError:
            time.sleep(0.1)
    raise AssertionError(jupyter.log.read_text())


def stop(jupyter: Jupyter) -> None:
    jupyter.process.send_signal(signal.SIGTERM)
    try:
        jupyter.process.wait(10)
    except subprocess.TimeoutExpired:
        jupyter.process.kill()
        jupyter.process.wait()


@dataclass
class Watched:
    """What a page did that it should not."""

    elsewhere: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def watch(self, page) -> None:
        page.on("request", self._look)
        page.on("console", lambda line: line.type == "error" and self.complaints.append(line.text))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def _look(self, request) -> None:
        url = urlparse(request.url)
        if url.scheme in ("http", "https", "ws", "wss") and url.hostname != "127.0.0.1":
            self.elsewhere.append(request.url)

    def check(self) -> None:
        assert not self.elsewhere, "the page asked for something that is not on this machine"
        ours = [line for line in self.complaints if "mlops" in line.lower()]
        assert not ours, ours


@pytest.fixture
def visit(browser) -> Iterator[Callable[..., object]]:
    """Open a page of a Jupyter and wait until it is there; afterwards nothing may have left this machine."""
    opened: list[tuple[object, Watched]] = []

    def go(jupyter: Jupyter, where: str = "lab", *, width: int = 1280, height: int = 860) -> object:
        context = browser.new_context(viewport={"width": width, "height": height}, reduced_motion="reduce")
        context.set_default_timeout(PATIENCE_MS)
        context.grant_permissions(["clipboard-read", "clipboard-write"])
        page = context.new_page()
        watched = Watched()
        watched.watch(page)
        opened.append((context, watched))
        page.goto(jupyter.address(where), wait_until="domcontentloaded")
        page.wait_for_function("() => window.jupyterapp && window.jupyterapp.shell")
        page.evaluate("() => window.jupyterapp.restored")
        return page

    yield go
    for context, watched in opened:
        context.close()
        watched.check()


@pytest.fixture(scope="module")
def told(make_session) -> Iterator[Session]:
    """A session on a workspace with a history, for all tests of a module."""
    session = make_session()
    story.tell(session)
    story.write_notebook(session.context.workspace.root / "work.ipynb", "x = 1", "")
    yield session
    end(session)
