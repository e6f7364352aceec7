"""On boot: lets the system start a workspace's service, and with it what is deployed, when the machine comes up again.

A systemd user unit where systemd is, else a line in the user's crontab; what was done is told, so that it can be undone.
"""

from __future__ import annotations

import hashlib
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

__all__ = ["crontab_line", "start_on_boot", "unit_text"]


def unit_text(root: Path) -> str:
    """The systemd unit of a workspace's service."""
    return "\n".join(
        [
            "[Unit]",
            f"Description=Deployed models of {root.name} (jupyter-mlops)",
            "",
            "[Service]",
            "Type=oneshot",
            "RemainAfterExit=yes",
            f"WorkingDirectory={_escaped(str(root))}",
            f"ExecStart={_escaped(_command('start'))}",
            f"ExecStop={_escaped(_command('stop'))}",
            "KillMode=process",
            "",
            "[Install]",
            "WantedBy=default.target",
            "",
        ]
    )


def crontab_line(root: Path, name: str) -> str:
    """The line of a crontab that starts a workspace's service; a percent sign would end the command there."""
    return f"@reboot cd {shlex.quote(str(root))} && {_command('start')}  # {name}".replace("%", r"\%")


def start_on_boot(root: Path) -> str:
    """Arrange that the workspace's service is started at boot; gives what was done, or why it could not be."""
    name = f"jupyter-mlops-{hashlib.sha256(str(root).encode()).hexdigest()[:10]}.service"
    systemctl = shutil.which("systemctl")
    if systemctl and _runs([systemctl, "--user", "show-environment"]):
        unit = Path.home() / ".config" / "systemd" / "user" / name
        unit.parent.mkdir(parents=True, exist_ok=True)
        unit.write_text(unit_text(root))
        if _runs([systemctl, "--user", "daemon-reload"]) and _runs([systemctl, "--user", "enable", name]):
            linger = "; `loginctl enable-linger` lets it start before you log in"
            return f"starts at boot by the systemd unit {unit}{linger}"
    crontab = shutil.which("crontab")
    if crontab:
        line = crontab_line(root, name)
        there = subprocess.run([crontab, "-l"], capture_output=True, text=True, check=False).stdout
        kept = [old for old in there.splitlines() if not old.endswith(f"# {name}")]
        done = subprocess.run(
            [crontab, "-"], input="\n".join([*kept, line]) + "\n", capture_output=True, text=True, check=False
        )
        if done.returncode == 0:
            return f"starts at boot by the crontab line '{line}'"
    return "does not start at boot: neither a systemd user session nor crontab is here"


def _command(verb: str) -> str:
    """The service's start or stop, by the interpreter that runs it now."""
    return f"{shlex.quote(sys.executable)} -m jupyter_mlops.cli service {verb}"


def _escaped(text: str) -> str:
    """As systemd reads it: a percent sign begins a specifier of its own."""
    return text.replace("%", "%%")


def _runs(command: list[str]) -> bool:
    try:
        return subprocess.run(command, capture_output=True, check=False, timeout=20).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False
