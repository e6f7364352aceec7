"""Surroundings: what is recorded around a run: the cells that had run, the environment, what it took, whether to trust it.

Artifacts of a run, beside its own code in ``mlops/cell.py``: ``mlops/cells.json`` (every execution so far: cell id,
digest, order, time, and the code of those that the run depends on), ``mlops/requirements.txt`` (the environment, worked
out once a kernel) and ``mlops/uncommitted.diff`` (what the git commit lacks).
"""

from __future__ import annotations

import ast
import contextlib
import hashlib
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..analysis.evidence import CellEvidence
from ..analysis.trace import Execution
from ..domain.context import Context
from ..domain.run import Run
from ..domain.run_columns import RunColumns
from ..domain.workspace import Cell
from ..errors import MLOpsError
from .code_slice import needed, read_trace
from .executions import Standing, executed, standing_cells, transform_of
from .facts import Energy, Meter, environment, seeds_in
from .file_times import Outside
from .provenance import Provenance
from .trust import Assessment, assess
from .used_tables import record_table

if TYPE_CHECKING:
    from .recording import Recording
    from .tracker import Tracker

__all__ = ["AGAIN", "Surroundings", "moved_loads"]

PLACE = "mlops"
SCHEMA = 1
AGAIN = "executed again: "
"""How a reason begins that comes from executing the run again."""
LONGEST_TEXT = 2_000_000


@dataclass
class _Seen:
    """What was worked out of the cells up to one of them, for all runs of that cell."""

    cell: Cell
    cells: list[Cell]
    made: tuple[Provenance, Execution | None]
    runs: int = 0
    needed: set[int] = field(default_factory=set)


class Surroundings:
    """Records what is around the runs of one tracker."""

    def __init__(self, tracker: Tracker) -> None:
        self._tracker = tracker
        self._meter: Meter | None = None
        self._energy: Energy | None = None
        self._seen: _Seen | None = None
        self._own: dict[str, tuple[Recording, int]] = {}

    def begin(self) -> None:
        """Begin to measure; a run that is no one's child begins."""
        self._meter = Meter()
        settings = self._tracker.context.settings
        country = settings.now("energy") if settings is not None else ""
        self._energy = Energy(country) if country else None

    def finish(self, recording: Recording) -> None:
        """Record what is known at the end of a run."""
        context = self._tracker.context
        told: dict[str, str] = {}
        if recording.parent is None:
            told |= self._meter.stop() if self._meter is not None else {}
            told |= self._energy.stop() if self._energy is not None else {}
            self._meter = self._energy = None
        cell = context.cells[-1] if context.cells else None
        seen = self._see(cell) if cell is not None and cell.outcome == "running" else None
        if seen is None:
            told |= seeds_in(_parsed(recording.source))
        else:
            told |= seeds_in([seen.made[0].statements[i].flow.statement.node for i in sorted(seen.needed)])
            self._own[recording.key] = (recording, len(seen.cells))
            found = assess(
                seen.cells,
                standing_cells(context, seen.cells),
                transform=transform_of(context),
                live=context.namespace,
                made=seen.made,
                seen=_evidence(context),
                outside=_outside(context),
            )
            recording.trust = found
            recording.record("trust", label=found.label, reasons=found.reasons)
            self._record_sources(recording, seen)
            if recording.parent is None:
                self._write(recording, "cells.json", self._cells_text(recording, seen))
        if told:
            recording.record("facts", facts=told)
        if recording.parent is None:
            self._write(recording, "requirements.txt", environment()[0])

    def review(self, runs: Sequence[Run]) -> list[tuple[Run, Assessment]]:
        """Those of these runs whose label is no longer what the notebook, as it now stands, deserves; with the new one.

        Only the runs of this kernel can be judged, and one that was reproduced stays so while it is consistent.
        """
        context = self._tracker.context
        own = {recording.known_id: (recording, count) for recording, count in self._own.values() if recording.known_id}
        ids = runs.plain["id"] if isinstance(runs, RunColumns) else [run.id for run in runs]
        wanted = [runs[i] for i, run_id in enumerate(ids) if run_id in own]
        if not wanted:
            return []
        cells = executed(context)
        standing = standing_cells(context, cells)
        found: dict[int, Assessment] = {}
        changed: list[tuple[Run, Assessment]] = []
        for run in wanted:
            count = own[run.id][1]
            if count not in found:
                found[count] = self._judge(cells[:count], standing)
            now = found[count]
            if run.trust == "reproducible" and now.label in ("consistent", "unknown"):
                continue
            tried = run.trust_reasons.get("", "")
            if tried.startswith(AGAIN):  # what was seen of it stays known
                now = replace(now, reasons={"": tried, **{cell: why for cell, why in now.reasons.items() if cell}})
            if (run.trust, run.trust_reasons) != (now.label, now.reasons):
                changed.append((run, now))
        return changed

    def assessment(self, run: str) -> Assessment | None:
        """What the notebook, as it now stands, says of a run of this kernel; None for any other run."""
        counts = [count for recording, count in self._own.values() if recording.known_id == run]
        if not counts:
            return None
        context = self._tracker.context
        cells = executed(context)
        standing = standing_cells(context, cells)
        return self._judge(cells[: counts[0]], standing)

    def _judge(self, cells: list[Cell], standing: list[Standing] | None) -> Assessment:
        context = self._tracker.context
        return assess(
            cells,
            standing,
            transform=transform_of(context),
            live=context.namespace,
            seen=_evidence(context),
            outside=_outside(context),
        )

    def _see(self, cell: Cell) -> _Seen:
        if self._seen is None or self._seen.cell is not cell:
            context = self._tracker.context
            cells = executed(context)
            made = read_trace(
                cells,
                transform_of(context),
                context.namespace,
                seen=_evidence(context),
                outside=_outside(context).since,
            )
            self._seen = _Seen(cell, cells, made)
            history, last = made
            if last is not None:
                keep = {id(maker) for maker in (*needed(history, last, transform_of(context)), *history.of(last))}
                self._seen.needed = {i for i, maker in enumerate(history.statements) if id(maker) in keep}
        return self._seen

    def _record_sources(self, recording: Recording, seen: _Seen) -> None:
        """Note the data versions of which earlier cells made what the run used: a split, a join, a selection of columns."""
        context = self._tracker.context
        statements = seen.made[0].statements
        bound = {name: i for i, maker in enumerate(statements) for name in maker.flow.writes}
        for name in sorted(name for name, i in bound.items() if i in seen.needed):
            thing = (context.namespace or {}).get(name)
            origin = context.known_tables.origin(thing) if thing is not None else None
            if origin is not None and origin[0] not in recording.data:
                record_table(recording, thing, origin, "source")

    def _cells_text(self, recording: Recording, seen: _Seen) -> str:
        """The executions as JSON; the code only of those that the run depends on, the run's own among them."""
        history = seen.made[0]
        needed = {id(history.statements[i].execution.cell) for i in seen.needed} | {id(seen.cells[-1])}
        loads = self._tracker.context.loads
        executions = [
            {
                "id": cell.id,
                "count": cell.count,
                "digest": hashlib.sha256(cell.source.encode()).hexdigest(),
                "started_ms": cell.started_ms,
                "ended_ms": cell.ended_ms,
                "outcome": cell.outcome,
                **({"source": cell.source} if id(cell) in needed else {}),
                **({"loads": loads[cell.count]} if cell.count in loads else {}),
            }
            for cell in seen.cells
        ]
        number = seen.runs
        seen.runs += 1
        told: dict[str, Any] = {
            "schema": SCHEMA,
            "notebook": self._tracker.context.notebook.path,
            "interpreter": sys.executable,
            "folder": str(Path.cwd()),
            "run": {"name": recording.name, "number": number, "automatic": recording.automatic},
            "executions": executions,
        }
        return json.dumps(told, indent=1)

    def _write(self, recording: Recording, name: str, text: str) -> None:
        place = recording.stage(name)
        place.write_text(text[:LONGEST_TEXT], encoding="utf-8")
        recording.staged(place, PLACE)


def moved_loads(context: Context, loads: Mapping[int, Mapping[str, str]]) -> Callable[[int], Mapping[str, str]]:
    """What says of a cell which data versions it loaded by a name that leads to another one now, by that name.

    Parameters
    ----------
    loads
        By a cell's number what it loaded: what was asked for, and the version that it got.
    """
    now: dict[str, str] = {}

    def moved(count: int) -> dict[str, str]:
        found = {}
        for asked, was in loads.get(count, {}).items():
            if asked not in now:
                try:
                    now[asked] = str(context.call("data.resolve", ref=asked)["ref"])
                except MLOpsError:  # a store that does not answer knows of no newer one
                    now[asked] = was
            if now[asked] != was:
                leads = f"is {now[asked]}" if now[asked] else "leads nowhere"
                found[asked] = f"loads {asked}, which was {was} and {leads} now; to keep it, load {was}"
        return found

    return moved


def _outside(context: Context) -> Outside:
    return Outside(context.namespace, Path.cwd(), moved_loads(context, context.loads))


def _evidence(context: Context) -> dict[int, CellEvidence]:
    """What the cells of this kernel were seen to do, by their numbers."""
    return context.evidence.cells if context.evidence is not None else {}


def _parsed(source: str) -> list[Any]:
    with contextlib.suppress(SyntaxError, ValueError):
        return [ast.parse(source)]
    return []
