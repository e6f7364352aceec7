"""Verification: an exported pipeline run in a fresh process, and its results compared with the notebook's."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import tempfile
import time
from collections.abc import Collection
from math import inf
from pathlib import Path
from typing import Any

from ..analysis.clock import is_certain
from ..domain.context import Context
from ..domain.pipeline import Check, Step, Verification
from ..domain.pipeline_picture import draw
from ..errors import InvalidArgument
from ..settings import child_environment
from ..tracking.child_process import run_child
from .export import PICTURE, copy_checks, read_description, write_text
from .inputs import lay_out

__all__ = ["verify_project"]

VERDICT = "verification.json"


def verify_project(
    context: Context,
    directory: Path,
    *,
    python: str = "",
    timeout: float = 0.0,
    accept: Collection[str] = (),
    inputs: Path | None = None,
    varies: Collection[str] = (),
) -> Verification:
    """Run a pipeline in a copy of its directory, with our own check, and tell what differs.

    When something differs the pipeline is run once more, to tell what differs from itself each time.

    Parameters
    ----------
    python
        The interpreter; by default the one of whoever asks.
    timeout
        Seconds after which the process is ended; 0 for none.
    accept
        Variables that need not be the same, calls (``time.time``) whose values no two runs share, or
        ``nondeterministic`` for all that two runs do not share.
    inputs
        The folder to run in a copy of; by default the pipeline runs where the notebook ran.
    varies
        Variables that are known to differ from run to run: for these alone it is not run once more.

    Raises
    ------
    InvalidArgument
        There is no exported pipeline, or no such interpreter.
    """
    given = str(directory)
    directory = directory.expanduser().absolute()
    description = read_description(directory)
    steps = tuple(Step.from_dict(step) for step in description["steps"])
    began = time.perf_counter()

    def once() -> dict[str, Any]:
        return _verdict_of(context, directory, description, python, timeout, inputs)

    verdict = once()
    took = (time.perf_counter() - began) * 1000
    if verdict["error"]:
        step = str(verdict.get("step", ""))
        failed = (Check(step, "", "error", ok=False, message=verdict["error"], verdict="failed"),) if step else ()
        unmade = re.search(r"name '(\w+)' is not defined", verdict["error"])
        cause = description.get("unmade", {}).get(unmade[1], "") if unmade else ""
        why = f"{verdict['error']}{f': {cause}' if cause else ''}{_other_versions(description, verdict)}"
        return _kept(directory, Verification(given, failed, took, why, steps))
    differs = {c["variable"]: c.get("digest", "") for c in verdict["checks"] if c["verdict"] == "differs"}
    clock = dict(description.get("clock_of", {}))
    varying = {name for name in differs if name in varies and name in clock}
    measured = {name for name in differs if any(map(is_certain, clock.get(name, ())))}
    if differs.keys() - varying - measured - set(accept):
        context.progress("verify: once more, to see what differs each time")
        again = {c["variable"]: c.get("digest", "") for c in once()["checks"]}
        varying = {name for name, digest in differs.items() if again.get(name) and again[name] != digest}
    hint = _hint(description, verdict)
    checks = tuple(_check(c, varying, hint, clock, accept) for c in verdict["checks"])
    return _kept(directory, Verification(given, checks, took, "", steps))


def _kept(directory: Path, verification: Verification) -> Verification:
    """Put the verdict beside the pipeline, as data and as a picture."""
    with contextlib.suppress(OSError):  # a folder that is only read has its verdict all the same
        write_text(directory / VERDICT, json.dumps(verification.to_dict(), indent=1) + "\n")
        write_text(directory / PICTURE, draw(verification.steps, verification, alone=True))
    return verification


def _check(
    found: dict[str, Any],
    varying: Collection[str],
    hint: str,
    clock: dict[str, list[str]],
    accept: Collection[str],
) -> Check:
    verdict, message = found["verdict"], found["message"]
    causes = clock.get(found["variable"], [])
    if (
        verdict == "same" and found.get("apart") and any(map(is_certain, causes))
    ):  # a second is little of a date in seconds
        verdict, message = (
            "nondeterministic",
            f"no two runs share {_few(causes)}; it is close to the notebook's by chance",
        )
    if verdict == "differs":
        told = f"no two runs share {_few(causes)}" if causes else ""
        if found["variable"] in varying:
            told = f"two runs of the pipeline give two values{f' ({told})' if told else ''}"
        elif not any(map(is_certain, causes)):
            told = ""
        if told:
            verdict, message = "nondeterministic", f"{told}; against the notebook's, {message}"
        message += hint
    return Check(
        found["step"],
        found["variable"],
        found["kind"],
        ok=verdict == "same",
        message=message,
        verdict=verdict,
        accepted=(found["variable"] in accept and verdict not in ("same", "not comparable"))
        or (verdict == "nondeterministic" and _accepted(causes, accept)),
    )


def _accepted(causes: list[str], accept: Collection[str]) -> bool:
    """Whether what differs each time was accepted by its cause, or whatever its cause.

    Examples
    --------
    >>> _accepted(["time.time() in [4]"], ["time.time"]), _accepted(["uuid4() in [2]"], ["time.time"])
    (True, False)
    >>> _accepted([], ["nondeterministic"])
    True
    """
    names = [re.split(r"\(\)|'s | in \[", cause)[0] for cause in causes]
    return "nondeterministic" in accept or (bool(names) and all(name in accept for name in names))


def _few(causes: list[str]) -> str:
    """What a value comes from that is different each time, as far as the notebook's text tells."""
    return ", ".join(causes[:3]) + (f" and {len(causes) - 3} more" if len(causes) > 3 else "")


def _verdict_of(
    context: Context, directory: Path, description: dict[str, Any], python: str, timeout: float, inputs: Path | None
) -> dict[str, Any]:
    """One run of the pipeline, and what the check says of it."""
    with tempfile.TemporaryDirectory(prefix="mlops-verify-") as temporary:
        copy = Path(temporary) / "pipeline"
        shutil.copytree(directory, copy, ignore=shutil.ignore_patterns("__pycache__"))
        copy_checks(copy)  # ours, whatever became of the one beside the pipeline
        report = Path(temporary) / "verdict.json"
        folder = directory / str(description["runs_in"])
        folder = folder.resolve() if folder.is_dir() else context.workspace.root
        stands_for = folder
        if inputs is not None:
            folder = lay_out(inputs, Path(temporary) / "folder")
        command = [python or context.interpreter, "-u", str(copy / "check.py"), "--json", str(report)]
        command += ["--folder", str(folder), "--stands-for", str(stands_for)]
        seed = str(description.get("hash_seed", ""))  # else the check starts itself once more to have it
        failure = _run(context, command, timeout, seed)
        if report.exists():
            return dict(json.loads(report.read_text()))
    return {"checks": [], "error": failure, "seconds": 0.0}


def _run(context: Context, command: list[str], timeout: float, hash_seed: str) -> str:
    """Run the check, showing the steps as they come; returns why it gave no verdict."""
    environment = child_environment(
        MPLBACKEND="Agg", MLOPS_WORKSPACE=str(context.workspace.root), PYTHONDONTWRITEBYTECODE="1"
    )
    if hash_seed:
        environment["PYTHONHASHSEED"] = hash_seed

    def show(line: str) -> None:
        if line[:1].isdigit() and "/" in line.partition(" ")[0]:
            context.progress(f"verify: step {line.strip()}")

    try:
        code, last = run_child(
            command, folder=Path.cwd(), environment=environment, line=show, seconds=timeout if timeout > 0 else inf
        )
    except InvalidArgument as error:
        raise InvalidArgument(error.message, hint="Name a Python with `--python PATH`.") from error
    except TimeoutError:
        return f"it did not end within {timeout:g} s (`--timeout` gives it more)"
    return f"the process ended with {code}: {last}"


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
