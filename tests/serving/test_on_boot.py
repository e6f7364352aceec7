"""Deployments that come back with the machine: what is written, judged by systemd, and started as a boot would start it."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from served_models import PEOPLE

from jupyter_mlops.serving.on_boot import crontab_line, start_on_boot, unit_text
from jupyter_mlops.serving.process import Process
from jupyter_mlops.session import Session

SYSTEMCTL = """#!/bin/sh
echo "$@" >> "$HOME/systemctl.calls"
"""
CRONTAB = """#!/bin/sh
if [ "$1" = -l ]; then cat "$HOME/crontab" 2>/dev/null; else cat > "$HOME/crontab"; fi
"""


def commands(folder: Path, **scripts: str) -> Path:
    """Stand-ins for the system's commands, which only note what they were asked."""
    folder.mkdir(exist_ok=True)
    for name, text in scripts.items():
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    return folder


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd here")
def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    root = tmp_path / "my 100% project"
    root.mkdir()
    unit = tmp_path / "it.service"
    unit.write_text(unit_text(root))
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", unit], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_crontabs_other_lines_stay_and_ours_stands_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv(
        "PATH",
        f"{commands(tmp_path / 'bin', systemctl='#!/bin/sh' + chr(10) + 'exit 1', crontab=CRONTAB)}:/usr/bin:/bin",
    )
    (tmp_path / "crontab").write_text("0 3 * * * backup\n")
    root = tmp_path / "my 100% project"
    for _ in range(2):
        assert start_on_boot(root).startswith("starts at boot by the crontab line")
    first, ours = (tmp_path / "crontab").read_text().splitlines()
    assert first == "0 3 * * * backup"
    assert ours.startswith("@reboot cd ")
    assert "100\\% project" in ours
    (tmp_path / "bin" / "crontab").unlink()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    assert start_on_boot(root) == "does not start at boot: neither a systemd user session nor crontab is here"


@pytest.mark.slow
def test_a_deployment_comes_back_as_a_boot_would_start_it(
    make_session: Callable[..., Session], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sklearn.linear_model import LogisticRegression

    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PATH", f"{commands(tmp_path / 'bin', systemctl=SYSTEMCTL)}:{os.environ['PATH']}")
    session = make_session()
    table = PEOPLE[["age", "children"]]
    model = LogisticRegression().fit(table, np.where(PEOPLE.age > 10, "a", "b"))
    session.register(model, name="line", data=table, alias="champion")
    deployed = session.deploy("line@champion", on_boot=True)
    (unit,) = (tmp_path / ".config" / "systemd" / "user").glob("*.service")
    assert str(unit) in deployed.on_boot
    assert f"--user enable {unit.name}" in (tmp_path / "systemctl.calls").read_text()
    told = dict(line.split("=", 1) for line in unit.read_text().splitlines() if "=" in line)
    root = session.context.workspace.root
    assert told["WorkingDirectory"] == str(root)
    for pid in (session.status().service_pid, deployed.pid, *(worker.pid for worker in deployed.workers)):
        with_it = Process.of(pid)
        if with_it is not None:  # a power cut
            os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + 20
    while session.context.service.running() and time.monotonic() < deadline:
        time.sleep(0.05)
    boot = {"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}  # nothing of a login, nor of the tests
    for command in (told["ExecStart"], crontab_line(root, "x").partition(" ")[2].replace("\\%", "%")):
        line = shlex.split(command) if command == told["ExecStart"] else ["/bin/sh", "-c", command]
        done = subprocess.run(line, cwd=root, env=boot, capture_output=True, text=True, check=False, timeout=120)
        assert done.returncode == 0, done.stderr
        assert session.context.service.running(), "it does what it says, before anybody asks for something"
    assert list(session.predict("line", table)) == list(model.predict(table))
    back = session.deployments()[0]
    assert (back.state, back.url) == ("running", deployed.url)
    assert back.pid != deployed.pid
    assert sys.executable in unit.read_text()
    session.undeploy("line")
