"""Verification: an exported pipeline run in a fresh process, and its results compared with the notebook's."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from ..domain.context import Context
from ..domain.pipeline import Check, Verification
from ..errors import InvalidArgument
from ..settings import child_environment
from .export import read_description
from .targets.python import TEMPLATES

__all__ = ["verify_project"]

PATIENCE = 5.0  # for a child that was told to end


def verify_project(context: Context, directory: Path, *, python: str = "", timeout: float = 0.0) -> Verification:
    """Run a pipeline in a copy of its directory, with our own check, and tell what differs.

    Parameters
    ----------
    python
        The interpreter; by default the one of whoever asks.
    timeout
        Seconds after which the process is ended; 0 for none.

    Raises
    ------
    InvalidArgument
        There is no exported pipeline, or no such interpreter.
    """
    given = str(directory)
    directory = directory.expanduser().absolute()
    description = read_description(directory)
    began = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="mlops-verify-") as temporary:
        copy = Path(temporary) / "pipeline"
        shutil.copytree(directory, copy, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(TEMPLATES / "check.py", copy)  # ours, whatever became of the one beside the pipeline
        shutil.copy(Path(__file__).with_name("fingerprint.py"), copy)
        report = Path(temporary) / "verdict.json"
        folder = directory / str(description["runs_in"])
        command = [python or context.interpreter, "-u", str(copy / "check.py"), "--json", str(report)]
        command += ["--folder", str(folder.resolve() if folder.is_dir() else context.workspace.root)]
        failure = _run(context, command, timeout)
        verdict: dict[str, Any] = {"checks": [], "error": failure, "seconds": 0.0}
        if report.exists():
            verdict = json.loads(report.read_text())
    took = (time.perf_counter() - began) * 1000
    hint = _hint(description, verdict)
    if verdict["error"]:
        step = str(verdict.get("step", ""))
        failed = (Check(step, "", "error", ok=False, message=verdict["error"]),) if step else ()
        return Verification(given, failed, took, error=f"{verdict['error']}{_other_versions(description, verdict)}")
    checks = tuple(
        Check(c["step"], c["variable"], c["kind"], ok=c["ok"], message=c["message"] + ("" if c["ok"] else hint))
        for c in verdict["checks"]
    )
    return Verification(given, checks, took)


def _run(context: Context, command: list[str], timeout: float) -> str:
    """Run the check, showing the steps as they come; returns why it gave no verdict."""
    environment = child_environment(
        MPLBACKEND="Agg", MLOPS_WORKSPACE=str(context.workspace.root), PYTHONDONTWRITEBYTECODE="1"
    )
    try:
        child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            env=environment,
            start_new_session=True,
        )
    except OSError as error:
        raise InvalidArgument(
            f"{command[0]} cannot be run: {error.strerror}.", hint="Name a Python with `--python PATH`."
        ) from error
    lines: queue.Queue[str | None] = queue.Queue()
    reader = threading.Thread(target=_read, args=(child, lines), daemon=True)
    reader.start()
    deadline = time.monotonic() + timeout if timeout > 0 else float("inf")
    last = ""
    try:
        while True:
            try:
                line = lines.get(timeout=min(1.0, max(0.01, deadline - time.monotonic())))
            except queue.Empty:
                if time.monotonic() >= deadline:
                    return f"it did not end within {timeout:g} s (`--timeout` gives it more)"
                continue
            if line is None:
                break
            last = line.strip() or last
            if line[:1].isdigit() and "/" in line.split(" ")[0]:
                context.progress(f"verify: step {line.strip()}")
        child.wait()
    finally:
        _end(child)
    return f"the process ended with {child.returncode}: {last}"


def _read(child: subprocess.Popen[str], lines: queue.Queue[str | None]) -> None:
    for line in child.stdout or ():
        lines.put(line)
    lines.put(None)


def _end(child: subprocess.Popen[str]) -> None:
    """End the child and whatever it started."""
    for sign in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(child.pid, sign)
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(PATIENCE)
            return


def _hint(description: dict[str, Any], verdict: dict[str, Any]) -> str:
    told = ""
    if description.get("unseeded"):
        calls = ", ".join(dict.fromkeys(description["unseeded"]))
        told = f"; nothing fixes the random numbers of {calls}: pass random_state"
    return told + _other_versions(description, verdict)


def _other_versions(description: dict[str, Any], verdict: dict[str, Any]) -> str:
    here = verdict.get("versions", {})
    other = [
        f"{name} {version} there, {here[name]} here"
        for name, version in description.get("environment", {}).items()
        if name in here and here[name] != version
    ]
    return f" (exported with {', '.join(other)})" if other else ""
