"""Which notebook a kernel runs, from each who may say so, and which commit it is at."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from types import SimpleNamespace

import pytest

from jupyter_mlops.settings import Settings
from jupyter_mlops.tracking.identity import find_notebook, git_state


@pytest.fixture
def settings(tmp_path):
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "a b.ipynb").write_text("{}")
    return Settings(tmp_path)


def test_the_setting_comes_first_then_vs_code_then_jupyter(settings, tmp_path):
    path = str(tmp_path / "work" / "a b.ipynb")
    told = {"__vsc_ipynb_file__": str(tmp_path / "vs.ipynb")}
    assert find_notebook(Settings(tmp_path, notebook="set.ipynb"), told, path) == "set.ipynb"
    assert find_notebook(settings, told, path) == "vs.ipynb"
    assert find_notebook(settings, {}, path) == "work/a b.ipynb"
    assert find_notebook(settings, {}, "1c5e6c2a-0000-4000-8000-000000000000") == ""
    assert find_notebook(settings, {}, str(tmp_path / "gone.ipynb")) == ""
    assert find_notebook(settings, {}, "") == ""


@pytest.fixture
def server(tmp_path, monkeypatch):
    """A Jupyter server that knows our kernel, and one that hangs, with their runtime files."""
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append((self.path, self.headers["Authorization"]))
            sessions = [
                {"kernel": {"id": "other"}, "path": "no.ipynb"},
                {"kernel": {"id": "k-1"}, "path": "work/a b.ipynb-jvsc-1", "notebook": {"path": "work/a b.ipynb"}},
            ]
            body = json.dumps(sessions).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            return

    runtime = tmp_path / "runtime"
    runtime.mkdir()
    http = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=http.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{http.server_port}/base/"
    (runtime / "jpserver-1.json").write_text(json.dumps({"url": url, "token": "t0k", "root_dir": str(tmp_path)}))
    (runtime / "jpserver-2.json").write_text("{")
    (runtime / "jpserver-3.json").write_text(json.dumps({"url": "http://127.0.0.1:1/", "token": ""}))
    kernel = SimpleNamespace(abs_connection_file=str(runtime / "kernel-k-1.json"))
    app = SimpleNamespace(initialized=lambda: True, instance=lambda: kernel)
    monkeypatch.setitem(sys.modules, "ipykernel.kernelapp", SimpleNamespace(IPKernelApp=app))
    yield asked
    http.shutdown()
    http.server_close()


def test_a_jupyter_server_is_asked_with_its_token(settings, server):
    assert find_notebook(settings, {}, "some-uuid") == "work/a b.ipynb"
    assert server == [("/base/api/sessions", "token t0k")]


def test_the_commit_and_whether_it_was_changed(tmp_path):
    assert git_state("", tmp_path) is None

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b.invalid", *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    git("init", "-q")
    assert git_state("", tmp_path) is None
    (tmp_path / "file").write_text("1")
    git("add", "file")
    git("commit", "-qm", "first")
    head = git("rev-parse", "HEAD")
    (tmp_path / "untracked").write_text("1")
    assert git_state("", tmp_path) == (head, False)
    (tmp_path / "file").write_text("2")
    assert git_state("gone/nb.ipynb", tmp_path) == (head, True)


def test_a_run_carries_its_commit(make_session, tmp_path):
    for arguments in (["init", "-q"], ["commit", "-q", "--allow-empty", "-m", "first"]):
        names = ["-c", "user.name=a", "-c", "user.email=a@b.invalid"]
        subprocess.run(["git", "-C", str(tmp_path), *names, *arguments], check=True, capture_output=True)
    session = make_session(root=tmp_path)
    (tmp_path / "nb.ipynb").write_text("{}")
    session.locate_notebook({"__vsc_ipynb_file__": str(tmp_path / "nb.ipynb")})
    session.cell_started("pass", 3, "")
    with session.run() as run, session.run("child") as child:
        pass
    head = subprocess.run(["git", "-C", str(tmp_path), "rev-parse", "HEAD"], check=True, capture_output=True, text=True)
    assert run.result.commit == head.stdout.strip()
    assert run.result.notebook == "nb.ipynb"
    assert run.name == "nb-3"
    assert child.result.notebook == "nb.ipynb"
    from mlflow import MlflowClient

    stored = MlflowClient(session.context.workspace.tracking_uri).get_run(run.id)
    assert stored.data.tags["mlflow.source.name"] == "nb.ipynb"
    assert stored.data.tags["mlflow.source.type"] == "NOTEBOOK"
    assert stored.data.tags["mlflow.source.git.commit"] == head.stdout.strip()
