"""Running: an exported pipeline run here, its steps in processes of their own, and told of as an MLflow run with a child a step."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ..domain.context import Context
from ..domain.pipeline import PipelineRun, StepRun
from ..errors import InvalidArgument, NotReady
from ..settings import child_environment
from ..tracking.told_run import ToldRuns
from .export import read_description

__all__ = ["run_project"]

PATIENCE = 15.0  # for a runner that ends its steps


def run_project(context: Context, directory: Path, *, python: str, options: Sequence[str]) -> PipelineRun:
    """Run an exported pipeline with its own runner, in the interpreter of whoever asks.

    Parameters
    ----------
    options
        As ``run.py`` takes them.

    Raises
    ------
    InvalidArgument
        There is no exported pipeline, an option does not fit, or no such interpreter.
    NotReady
        The runner was killed; what is done is kept.
    """
    given = str(directory)
    directory = directory.expanduser().absolute()
    description = read_description(directory)
    if not (directory / "run.py").exists():
        raise InvalidArgument(f"{given} was exported without what runs single steps.", hint="Export it again.")
    began = time.perf_counter()
    command = [python or context.interpreter, "-u", str(directory / "run.py"), "--events", *options]
    steps: dict[str, StepRun] = {node["name"]: StepRun(node["name"], "not run") for node in description["graph"]}
    told = ToldRuns(context)
    parent = told.begin(str(description["name"]))
    end: dict[str, Any] = {}
    error = ""
    try:
        with _events(command) as events:
            for event in events:
                if event["event"] == "step":
                    _note(context, told, steps, event)
                elif event["event"] == "end":
                    end = event
                else:
                    error = str(event["message"])
    except BaseException as broken:
        interrupted = isinstance(broken, KeyboardInterrupt)
        told.end(parent, "KILLED" if interrupted else "FAILED", "interrupted" if interrupted else str(broken))
        told.close()
        if interrupted:
            raise KeyboardInterrupt(f"{given} was interrupted; run it again to go on from there") from None
        raise
    metrics = {name: float(value) for name, value in (end.get("metrics") or {}).items()}
    told.texts(parent, "param", end.get("parameters") or {})
    told.texts(parent, "tag", {"mlops.pipeline.name": description["name"]})
    told.metrics(parent, metrics)
    failed = next((f"step {s.name}: {s.message}" for s in steps.values() if s.state == "failed"), error)
    told.end(parent, "FAILED" if failed or not end.get("ok") else "FINISHED", failed)
    told.close()
    if error and not end:
        if any(step.state != "not run" for step in steps.values()):
            raise NotReady(f"{given} stopped halfway: {error}.", hint="Run it again: it goes on from what is done.")
        raise InvalidArgument(f"{given} cannot be run: {error}.", hint="Mend that, and run it again.")
    took = (time.perf_counter() - began) * 1000
    return PipelineRun(given, tuple(steps.values()), metrics, took, str(description["name"]), failed)


def _note(context: Context, told: ToldRuns, steps: dict[str, StepRun], event: dict[str, Any]) -> None:
    """One event of a step: shown as progress, and told of as a run when it has ended."""
    name, state = event["step"], event["state"]
    if state == "running":
        context.progress(f"step {event['number']}/{event['of']} {name}")
        return
    seconds = float(event.get("seconds", 0.0))
    message = str(event.get("message", ""))
    steps[name] = StepRun(name, state, seconds, str(event.get("folder", "")), message, tuple(event.get("notes", ())))
    if state == "not run":
        return
    context.progress(f"{name}: {state}")
    child = told.begin(name, int(time.time() * 1000 - seconds * 1000))
    told.texts(child, "tag", {"mlops.pipeline.step": name, "mlops.pipeline.step.state": state})
    told.metrics(child, event.get("metrics") or {})
    for word, role in (("reads", "input"), ("gives", "output")):
        for value, digest in (event.get(word) or {}).items():
            if digest:
                told.data(child, value, digest, role)
    told.end(child, "FAILED" if state == "failed" else "FINISHED", message)


@contextlib.contextmanager
def _events(command: list[str]) -> Iterator[Iterator[dict[str, Any]]]:
    """What a runner tells, line by line; it is ended, with its steps, when the caller is interrupted."""
    environment = child_environment(MPLBACKEND="Agg", PYTHONDONTWRITEBYTECODE="1")
    try:
        child = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            errors="replace", env=environment, start_new_session=True,
        )  # fmt: skip
    except OSError as error:
        raise InvalidArgument(f"{command[0]} cannot be run: {error.strerror}.", hint="Name a Python with `--python PATH`.") from error  # fmt: skip

    def events() -> Iterator[dict[str, Any]]:
        for line in child.stdout or ():
            with contextlib.suppress(ValueError):
                found = json.loads(line)
                if isinstance(found, dict) and "event" in found:
                    yield found
        if child.wait() not in (0, 1, 2):
            last = (child.stderr.read() if child.stderr else "").strip().splitlines()
            killed = (
                f"the runner was killed by {signal.Signals(-child.returncode).name}" if child.returncode < 0 else ""
            )
            ended = killed or f"the runner ended with {child.returncode}"
            yield {"event": "error", "message": last[-1] if last and not killed else ended}

    try:
        yield events()
    finally:
        if child.poll() is None:
            child.send_signal(signal.SIGINT)
            try:
                child.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                child.kill()
        for stream in (child.stdout, child.stderr):
            if stream is not None:
                stream.close()
