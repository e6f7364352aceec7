"""Reproducing: a stored run executed again in a fresh process, and what it gave compared with what the run holds."""

from __future__ import annotations

import contextlib
import json
import math
import os
import re
import tempfile
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..domain.context import Context
from ..domain.reproduction import RELATIVE, Outcome, Reproduction
from ..domain.run import Run, Trust
from ..errors import NotReady
from ..settings import child_environment
from .child_process import run_child
from .code_slice import CodeSlice, loads_of, slice_code, stored_cells
from .differences import other_versions
from .executions import standing_cells
from .file_times import Outside
from .surroundings import AGAIN, moved_loads
from .trust import Assessment, assess

__all__ = ["StoredRun", "execute_again", "judge", "stored_run"]

MODULE = "jupyter_mlops.magics.again"
MARK = "mlops-again: "
SHORT = 12
MOST_NAMED = 3
MOST_FILES = 20_000


@dataclass(frozen=True)
class StoredRun:
    """A run as the store holds it, with all that executing it again needs."""

    run: Run
    told: dict[str, Any]
    """What its ``cells.json`` says besides the cells."""
    text: str
    models: dict[str, str]
    data: list[dict[str, str]]
    environment: str

    @property
    def code(self) -> CodeSlice:
        """The least code that made it."""
        return slice_code(stored_cells(self.text)[1])


def stored_run(context: Context, asked: str) -> StoredRun:
    """Fetch a run with its cells.

    Raises
    ------
    NotFound
        There is no such run.
    NotReady
        It was not recorded in a notebook, or is another one's child.
    """
    answer = context.call("tracking.results", run=asked)
    run = Run.from_dict(answer["run"])
    if not answer["cells"]:
        if run.parent:
            raise NotReady(
                f"the run {run.name!r} is a part of another one, which holds its cells.",
                hint=f"Ask for that one: {run.parent[:8]}.",
            )
        raise NotReady(
            f"the run {run.name!r} holds no cells: it was not recorded in a notebook, or has not ended.",
            hint="Runs of `%%mlops run`, `with mlops.run():` and `%mlops track on` in a notebook do.",
        )
    told = stored_cells(answer["cells"])[0]
    return StoredRun(run, told, answer["cells"], answer["models"], answer["data"], answer["environment"])


def execute_again(context: Context, stored: StoredRun) -> dict[str, Any]:
    """Execute a run once in a fresh process; gives what `Rehearsal.results` tells, or ``error``.

    Raises
    ------
    NotReady
        Neither its folder nor its interpreter is on this machine.
    """
    folder = Path(stored.told["folder"])
    if not folder.is_dir():
        raise NotReady(
            f"the run was made in {folder}, which is not on this machine.",
            hint="`%mlops code RUN` gives its code, to be run elsewhere.",
        )
    interpreter = interpreter_of(context, stored)
    with tempfile.TemporaryDirectory(prefix="mlops-again-") as temporary:
        spec, report = Path(temporary) / "spec.json", Path(temporary) / "report.json"
        given = {
            "cells": stored.text,
            "number": int(stored.told["run"]["number"]),
            "data": stored.data,
            "root": str(context.workspace.root),
        }
        spec.write_text(json.dumps(given), encoding="utf-8")
        environment = child_environment(
            MPLBACKEND="Agg",
            MLOPS_WORKSPACE=str(context.workspace.root),
            MLOPS_NOTEBOOK=str(stored.told["notebook"]),
            MLFLOW_TRACKING_URI=f"sqlite:///{temporary}/mlflow.db",
        )
        command = [interpreter, "-u", "-m", MODULE, str(spec), str(report), temporary]

        def line(text: str) -> None:
            if text.startswith(MARK):
                context.progress(f"reproduce: cell {text.removeprefix(MARK)}")

        before = _files(folder)
        code, last = run_child(command, folder=folder, environment=environment, line=line)
        if not report.exists():
            return {"begun": False, "error": f"the process ended with {code}: {last[:500]}"}
        found: dict[str, Any] = json.loads(report.read_text(encoding="utf-8"))
        wrote = sorted(path for path, state in _files(folder).items() if before.get(path) != state)
        return {**found, "wrote": wrote}


def _files(folder: Path) -> dict[str, tuple[int, int]]:
    """Time and size of the files of a folder, hidden ones left out; of a large folder as many as are found at once."""
    found: dict[str, tuple[int, int]] = {}
    for where, inner, names in os.walk(folder):
        inner[:] = [name for name in inner if not name.startswith((".", "__"))]
        for path in (Path(where) / name for name in names if not name.startswith(".")):
            with contextlib.suppress(OSError):
                state = path.stat()
                found[str(path.relative_to(folder))] = (state.st_mtime_ns, state.st_size)
        if len(found) > MOST_FILES:
            break
    return found


def interpreter_of(context: Context, stored: StoredRun) -> str:
    """The Python that the run was made with, else the one of whoever asks."""
    recorded = str(stored.told["interpreter"])
    return recorded if Path(recorded).exists() else context.interpreter


def judge(
    context: Context,
    stored: StoredRun,
    found: Mapping[str, Any],
    again: Mapping[str, Any] | None,
    *,
    now: Assessment | None,
    accept: Collection[str],
    took_ms: float,
) -> Reproduction:
    """What a fresh execution says of a run.

    Parameters
    ----------
    again
        A second execution's results where there was one: what differs between the two is `differs each time`.
    now
        What is known of the notebook as it stands.
    accept
        Names of results that need not be the same.
    """
    interpreter = interpreter_of(context, stored)
    error = str(found.get("error", "")) or ("" if found["begun"] else "its cell began no run this time")
    outcomes = [] if error else compared(stored, found)
    if again is not None and not error:
        other = {(one.kind, one.name): one.now for one in compared(stored, again)} if again["begun"] else {}
        outcomes = [_each_time(one, other.get((one.kind, one.name), "")) for one in outcomes]
    outcomes = [_accepted(one, accept) for one in outcomes]
    notes = [] if interpreter == stored.told["interpreter"] else [f"{stored.told['interpreter']} is gone"]
    wrote = list(found.get("wrote", ()))
    if wrote:
        rest = f" and {len(wrote) - MOST_NAMED} more" if len(wrote) > MOST_NAMED else ""
        notes.append(f"files that its code wrote again: {', '.join(wrote[:MOST_NAMED])}{rest}")
    notes += [f"{name}: not the same, and accepted" for name in accept if any(one.name == name for one in outcomes)]
    told = Reproduction(
        run=stored.run.id,
        name=stored.run.name,
        outcomes=tuple(outcomes),
        cells=stored.code.cells,
        took_ms=took_ms,
        interpreter=interpreter,
        environment=other_versions(stored.environment, str(found.get("environment", ""))),
        notes=tuple(notes),
        error=error,
    )
    label = now if now is not None else standing_now(context, stored)
    trust: Trust
    if told.ok and label.label == "stale":
        trust, reasons = label.label, {"": f"{AGAIN}the code that ran gives it, and the notebook no longer has it"}
        reasons |= {cell: why for cell, why in label.reasons.items() if cell}
    elif told.ok:
        trust, reasons = "reproducible", {}
    else:
        why = error or "; ".join(f"{d.name} {d.now or 'missing'}, not {d.was}" for d in told.differences()[:MOST_NAMED])
        trust = label.label if label.label != "reproducible" else "unknown"
        reasons = {"": f"{AGAIN}{why or 'nothing to compare'}", **{c: w for c, w in label.reasons.items() if c}}
    return replace(told, trust=trust, reasons=reasons)


def standing_now(context: Context, stored: StoredRun) -> Assessment:
    """What the notebook's file, as it now is, says of a run of another kernel."""
    told, cells = stored_cells(stored.text)
    standing = standing_cells(context, cells, str(told["notebook"]))
    return assess(cells, standing, outside=Outside(moved=moved_loads(context, loads_of(told))))


def compared(stored: StoredRun, found: Mapping[str, Any]) -> list[Outcome]:
    """Every result of the run against that of a fresh execution."""
    run = stored.run
    outcomes: list[Outcome] = []
    if found["status"] != run.status:
        outcomes.append(
            Outcome("status", "status", run.status, f"{found['status']} {found['reason']}".strip(), "differs")
        )
    for name, was in run.metrics.items():
        if name.startswith("system/"):  # what MLflow measures of the machine
            continue
        if name not in found["metrics"]:
            outcomes.append(Outcome("metric", name, _number(was), "", "missing"))
            continue
        value = found["metrics"][name]
        outcomes.append(Outcome("metric", name, _number(was), _number(value), _verdict(_close(was, value))))
    for name, text in run.params.items():
        now = found["params"].get(name)
        verdict = "missing" if now is None else _verdict(now == text or _plain(now) == _plain(text))
        outcomes.append(Outcome("parameter", name, text[:80], (now or "")[:80], verdict))  # type: ignore[arg-type]
    for name, digest in stored.models.items():
        now = found["models"].get(name)
        if not digest:  # logged by MLflow itself
            outcomes.append(Outcome("model", name, "", "", "not compared"))
            continue
        verdict = "missing" if now is None else _verdict(now == digest)
        outcomes.append(Outcome("model", name, digest[:SHORT], (now or "")[:SHORT], verdict))  # type: ignore[arg-type]
    outcomes += _data(stored.data, found["data"])
    new = [name for name in found["metrics"] if name not in run.metrics]
    return [*outcomes, *(Outcome("metric", name, "", _number(found["metrics"][name]), "new") for name in new)]


def _data(were: list[dict[str, str]], are: list[dict[str, str]]) -> list[Outcome]:
    digests = {one["digest"] for one in are}
    names = {one["name"]: one["digest"] for one in are}
    outcomes = []
    for one in were:
        name, digest = one["ref"] or one["name"], one["digest"]
        if digest in digests:
            outcomes.append(Outcome("data", name, digest[:SHORT], digest[:SHORT], "same"))
        elif one["name"] in names:
            outcomes.append(Outcome("data", name, digest[:SHORT], names[one["name"]][:SHORT], "differs"))
        else:
            outcomes.append(Outcome("data", name, digest[:SHORT], "", "missing"))
    return outcomes


def _each_time(one: Outcome, other: str) -> Outcome:
    changing = one.verdict == "differs" and other and other != one.now
    return Outcome(one.kind, one.name, one.was, one.now, "differs each time") if changing else one


def _accepted(one: Outcome, accept: Collection[str]) -> Outcome:
    return one if one.ok or one.name not in accept else Outcome(one.kind, one.name, one.was, one.now, "not compared")


def _verdict(same: bool) -> Any:
    return "same" if same else "differs"


def _close(was: float, now: float | None) -> bool:
    if now is None or math.isnan(was):
        return now is None and math.isnan(was)
    return was == now or math.isclose(was, now, rel_tol=RELATIVE)


def _number(value: float | None) -> str:
    return "nan" if value is None else repr(float(value))


def _plain(text: str) -> str:
    """A parameter's text without the addresses of objects."""
    return re.sub(r" at 0x[0-9a-f]+", "", text)


def timed(began: float) -> float:
    """Milliseconds since `began`."""
    return (time.perf_counter() - began) * 1000
