"""The wheel: built from the tree as it is, installed where there is no Node.js, both extensions come up enabled."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[1]
UV = Path(sys.executable).with_name("uv")

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if not (PROJECT / "jupyter_mlops" / "labextension" / "package.json").exists():
        pytest.fail("the panel is not built; `make setup` builds it")
    target = tmp_path_factory.mktemp("wheel")
    subprocess.run([UV, "build", "--quiet", "--wheel", "--out-dir", target, PROJECT], check=True, timeout=200)
    return next(target.glob("*.whl"))


def test_it_carries_the_panel_once_the_server_part_and_the_templates(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    panel = [n for n in names if n.endswith("labextensions/jupyter-mlops/package.json")]
    assert len(panel) == 1
    assert panel[0].split("/")[1] == "data"
    assert any(n.endswith("etc/jupyter/jupyter_server_config.d/jupyter_mlops.json") for n in names)
    assert any(n.endswith("labextensions/jupyter-mlops/install.json") for n in names)
    assert any(n.startswith("jupyter_mlops/pipelines/templates/") for n in names)
    assert not [n for n in names if n.startswith("jupyter_mlops/labextension/") or "node_modules" in n]
    assert sum(i.file_size for i in zipfile.ZipFile(wheel).infolist()) < 3_000_000


def test_it_installs_and_works_without_node(wheel: Path, tmp_path: Path) -> None:
    environment = tmp_path / "environment"
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("git", "uname", "sh"):
        found = shutil.which(name)
        if found:
            (tools / name).symlink_to(found)
    env = {k: v for k, v in os.environ.items() if not k.startswith(("MLOPS_", "PYTHON"))}
    env |= {"PATH": f"{environment / 'bin'}:{tools}", "VIRTUAL_ENV": str(environment)}
    subprocess.run([UV, "venv", "--quiet", "--python", sys.executable, environment], check=True, env=env)
    constraints = ["-c", PROJECT / "constraints.txt"]
    subprocess.run([UV, "pip", "install", "--quiet", *constraints, wheel], check=True, env=env, timeout=280)
    assert shutil.which("node", path=env["PATH"]) is None

    def run(*command: str) -> str:
        done = subprocess.run(command, env=env, capture_output=True, text=True, cwd=tmp_path, timeout=120, check=False)
        return done.stdout + done.stderr

    assert "jupyter-mlops" in run("jupyter", "labextension", "list")
    assert "enabled" in run("jupyter", "labextension", "list").split("jupyter-mlops", 1)[1].splitlines()[0]
    told = run("jupyter", "server", "extension", "list")
    assert "jupyter_mlops enabled" in " ".join(told.split()) or "jupyter_mlops" in told.split("enabled", 1)[1]
    assert "OK" in told.split("jupyter_mlops", 1)[1]
    assert "0.1.0" in run("jupyter", "mlops", "--version")
    assert "no runs yet" in run("jupyter", "mlops", "runs")
    assert "has ended" in run("jupyter", "mlops", "service", "stop")
