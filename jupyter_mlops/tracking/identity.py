"""Identity: which notebook a kernel belongs to, and the git commit its project is at."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.parse import quote

from ..settings import Settings, jupyter_session_name

__all__ = ["find_notebook", "git_state", "uncommitted"]

SERVER_SECONDS = 0.5
GIT_SECONDS = 2.0
LONGEST_DIFF = 1_000_000
SERVERS = 8  # runtime files looked at, the newest first


def find_notebook(settings: Settings, user_ns: Mapping[str, Any], session_name: str | None = None) -> str:
    """The path of the notebook this kernel runs, relative to the project where it lies inside; empty if nobody says.

    Asked in turn: the setting; VS Code, which leaves it in the namespace; Jupyter, which names it in the kernel's
    environment; the Jupyter server whose runtime file is beside the kernel's.

    Parameters
    ----------
    session_name
        What Jupyter says in the environment; by default what `settings.jupyter_session_name` reads.
    """
    if settings.notebook:
        return _relative(Path(settings.notebook), settings.root)
    vscode = user_ns.get("__vsc_ipynb_file__")
    if isinstance(vscode, str) and vscode:
        return _relative(Path(vscode), settings.root)
    named = jupyter_session_name() if session_name is None else session_name
    if named.endswith(".ipynb") and Path(named).exists():
        return _relative(Path(named), settings.root)
    found = _ask_servers(named)
    return _relative(found, settings.root) if found is not None else ""


def git_state(notebook: str, root: Path) -> tuple[str, bool] | None:
    """The commit that the notebook's folder is at and whether tracked files differ from it; None outside of git.

    Examples
    --------
    >>> git_state("", Path("/"))
    """
    folder = (root / notebook).parent if notebook else root
    if not folder.is_dir():
        folder = root
    commit = _git(folder, "rev-parse", "--verify", "HEAD")
    if not commit:
        return None
    return commit, bool(_git(folder, "status", "--porcelain", "--untracked-files=no"))


def uncommitted(notebook: str, root: Path) -> str:
    """What the tracked files of the project have and their commit lacks, as git's diff; its end is cut off where it is long."""
    folder = (root / notebook).parent if notebook else root
    return _git(folder if folder.is_dir() else root, "diff", "HEAD", "--no-color", "--no-ext-diff")[:LONGEST_DIFF]


def _git(folder: Path, *arguments: str) -> str:
    try:
        done = subprocess.run(
            ["git", "--no-optional-locks", "-C", str(folder), *arguments],
            capture_output=True,
            text=True,
            timeout=GIT_SECONDS,
            stdin=subprocess.DEVNULL,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def _ask_servers(named: str) -> Path | None:
    """Ask the Jupyter servers of this user, as their runtime files give them, which session has our kernel."""
    kernel, folder = _connection()
    if not kernel or folder is None:
        return None
    files = sorted(folder.glob("jpserver-*.json"), key=lambda file: -file.stat().st_mtime)
    for file in files[:SERVERS]:
        try:
            server = json.loads(file.read_text())
            sessions = _sessions(server)
        except (OSError, ValueError, KeyError, URLError):
            continue
        for session in sessions:
            if session.get("kernel", {}).get("id") == kernel or (named and session.get("path") == named):
                path = (session.get("notebook") or {}).get("path") or session.get("path") or ""
                if path.endswith(".ipynb"):
                    return Path(server.get("root_dir") or server.get("notebook_dir") or "") / path
    return None


def _connection() -> tuple[str, Path | None]:
    """The kernel's id and Jupyter's runtime folder, both from the kernel's connection file; empty outside a kernel."""
    kernel_app = sys.modules.get("ipykernel.kernelapp")
    if kernel_app is None or not kernel_app.IPKernelApp.initialized():
        return "", None
    file = Path(kernel_app.IPKernelApp.instance().abs_connection_file)
    found = re.fullmatch(r"kernel-(.+)\.json", file.name)
    return (found[1], file.parent) if found else ("", None)


def _sessions(server: dict[str, Any]) -> list[dict[str, Any]]:
    url = str(server["url"])
    if not url.startswith(("http://", "https://")):
        return []
    headers = {"Authorization": f"token {server['token']}"} if server.get("token") else {}
    # loaded only where a Jupyter server is asked: it costs a tenth of what the whole extension does
    from urllib.request import ProxyHandler, Request, build_opener

    request = Request(f"{url.rstrip('/')}/{quote('api/sessions')}", headers=headers)  # noqa: S310 checked above
    # A proxy of the machine must not see the token of a server on it.
    with build_opener(ProxyHandler({})).open(request, timeout=SERVER_SECONDS) as answer:
        found: list[dict[str, Any]] = json.load(answer)
    return found


def _relative(path: Path, root: Path) -> str:
    here = Path.cwd() / path  # an absolute path stays what it is
    full = here if here.exists() else root / path
    try:
        return full.resolve().relative_to(root).as_posix()
    except ValueError:
        return str(full)
