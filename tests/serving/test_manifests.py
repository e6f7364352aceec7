"""Deployments written for other places, each judged by the tool of that place; and the image's server, run as it is there."""

from __future__ import annotations

import ast
import os
import socket
import subprocess
import sys
from http.client import HTTPConnection
from importlib import metadata
from pathlib import Path

import pytest
from served_models import PEOPLE, save, split_body, wait_for

from jupyter_mlops.errors import InvalidArgument
from jupyter_mlops.serving.deployment_folder import DeploymentFolder
from jupyter_mlops.serving.manifests import TARGETS, Served
from jupyter_mlops.serving.manifests.served import write_for

BIN = Path(sys.executable).parent
SCHEMA = Path(__file__).with_name("inferenceservice.schema.json")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(tmp_path_factory.mktemp("models"))["people"]


def passes(*command: str | Path) -> str:
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.mark.parametrize("target", TARGETS)
def test_every_target(model: Path, tmp_path: Path, target: str) -> None:
    out = tmp_path / "out"
    told = write_for(target, "people@7", "My People", model, out, 2, allow_pickle=False)
    assert set(told.files) == {str(p.relative_to(out)) for p in out.rglob("*") if p.is_file()} - {
        str(p.relative_to(out)) for p in (out / "deployment").rglob("*")
    }
    needs = (out / "requirements.txt").read_text().lower()
    assert "uvicorn==" in needs
    assert "jupyter" not in needs
    assert "mlflow" not in needs
    assert not list(out.rglob("*token*"))
    with pytest.raises(InvalidArgument, match="there already"):
        write_for(target, "people@7", "My People", model, out, 2, allow_pickle=False)
    if (out / "Dockerfile").exists():
        assert not passes(BIN / "hadolint", "--ignore", "DL3013", out / "Dockerfile").strip()
    for file in (out / "kubernetes").glob("*.yaml"):
        assert "warning" not in passes(BIN / "kubernetes-validate", "--strict", file).lower()
    if target == "kserve":
        passes(BIN / "check-jsonschema", "--schemafile", SCHEMA, out / "inferenceservice.yaml")
    if target == "ray":
        ast.parse((out / "app.py").read_text())
        assert f"jupyter-mlops=={metadata.version('jupyter-mlops')}`" in (out / "README.md").read_text().replace(
            "\n", "`"
        )


def test_the_servers_user_may_write_the_log_volume() -> None:
    """Docker gives a new volume the owner of the image's folder, and root where the image has none."""
    text = TARGETS["docker"].files(Served("people", "people@7", (), "3.11", "1.0"))["Dockerfile"]
    made = text.index("install -d -o 10001 -g 10001 deployment deployment/log")
    assert made < text.index("USER 10001") < text.index("VOLUME")


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("My People", "my-people"),
        ("2026 people", "model-2026-people"),
        ("a" * 49 + " people", "a" * 49),
        ("人", "model"),
    ],
)
def test_a_label_is_a_name_that_a_service_takes(name: str, label: str) -> None:
    assert Served(name, "people@7", (), "3.11", "1.0").label == label


def test_the_images_folder_is_served(model: Path, tmp_path: Path) -> None:
    """The server of the image, on the image's folder and with its command, though not in a container."""

    out = tmp_path / "out"
    write_for("docker", "people@7", "people", model, out, 1, allow_pickle=False)
    folder = DeploymentFolder(out / "deployment")
    told = (folder.path / "deployment.json").read_text()

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    (folder.path / "deployment.json").write_text(told.replace("0.0.0.0", "127.0.0.1").replace("8080", str(port)))
    (folder.path / "token").write_text("secret\n")
    text = (out / "Dockerfile").read_text().replace("/srv", str(out))
    (build,) = [line.removeprefix("RUN python") for line in text.splitlines() if line.startswith("RUN python -m")]
    passes(sys.executable, *build.split())
    command = [sys.executable, "-m", "jupyter_mlops.serving.server", str(folder.path), "--workers", "1"]
    with (tmp_path / "log").open("wb") as written:
        process = subprocess.Popen(command, stdout=written, stderr=written, env={**os.environ, "OMP_NUM_THREADS": "1"})
    try:
        wait_for(port, process, folder)
        connection = HTTPConnection("127.0.0.1", port, timeout=30)
        sent = {"Content-Type": "application/json", "Authorization": "Bearer secret"}
        connection.request("POST", "/invocations", split_body(PEOPLE.head(3)), sent)
        response = connection.getresponse()
        assert response.status == 200, response.read()
        assert response.headers["X-Model-Version"] == "people@7"
        log = (tmp_path / "log").read_text()
        assert "is served by the path compiled" in log
        assert "compiling" not in log  # it was, while the image was built
    finally:
        process.terminate()
        process.wait(20)
