"""Trust: whether the notebook, as it stands now, gives a run again; and if not, which cell is to blame and why.

What ran in the kernel is one trace. The notebook's cells from the top down to the run's are another: what a fresh kernel
would run. The run is consistent when both give its cell the same inputs, see `tracking.provenance`. Where they do not,
the two histories are walked back side by side to where they part.
"""

from __future__ import annotations

import ast
import builtins
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..analysis.dataflow import KNOWN, RANDOM
from ..analysis.evidence import CellEvidence, deeds
from ..analysis.magic_lines import plain_transform
from ..analysis.names import dotted_name
from ..analysis.trace import Execution
from ..domain.run import Trust
from ..domain.workspace import Cell
from .code_slice import read_trace
from .executions import Standing, find, same_code
from .file_times import Outside
from .provenance import Maker, Provenance, code_of

__all__ = ["Assessment", "assess"]

MOST_REASONS = 8
SHOWN_LAST = re.compile(r"_{1,3}|_\d+|Out")
"""The names under which IPython keeps what was shown."""
EDITED = "was edited since it ran"
NO_FILE = "the notebook's file is not known, so its cells cannot be compared with what ran"


@dataclass(frozen=True)
class Assessment:
    """A run's trust label, and by cell what speaks against it."""

    label: Trust
    reasons: dict[str, str] = field(default_factory=dict)


def assess(
    cells: Sequence[Cell],
    standing: Sequence[Standing] | None,
    *,
    transform: Callable[[str], str] = plain_transform,
    live: Mapping[str, Any] | None = None,
    made: tuple[Provenance, Execution | None] | None = None,
    seen: Mapping[int, CellEvidence] | None = None,
    outside: Outside | None = None,
) -> Assessment:
    """Judge the run of the last of these cells.

    Parameters
    ----------
    cells
        What ran in the kernel, oldest first, up to the run's own cell.
    standing
        The notebook's code cells as they stand; None if that is not known.
    live
        The kernel's variables.
    seen
        What the cells were seen to do, by their numbers.
    made
        What `read_trace` gave for the cells, where that is known.
    outside
        Looks at what the cells have read from outside the kernel; None looks at nothing. `made` has been read with it.

    Examples
    --------
    >>> ran = [Cell("x = 1", 1, "a", outcome="ok"), Cell("x = x + 1", 2, "b", outcome="ok"),
    ...        Cell("x = x + 1", 3, "b", outcome="ok"), Cell("fit(x)", 4, "c", outcome="ok")]
    >>> assess(ran, [Standing("a", "x = 1"), Standing("b", "x = x + 1"), Standing("c", "fit(x)")])
    Assessment(label='stale', reasons={'[3]': 'ran 2 times, and changes x each time'})
    """
    if not cells:
        return Assessment("unknown")
    run = cells[-1]
    outside = outside or Outside()
    history, last = made if made is not None else read_trace(cells, transform, live, seen=seen, outside=outside.since)
    if last is None:
        return Assessment("unknown", {_label(run): "cannot be read as Python"})
    if standing is None:
        return Assessment("unknown", {"": NO_FILE})
    place = find(standing, run)
    if place is None:
        return Assessment("stale", {_label(run): "is the run's own, and is no longer in the notebook"})
    if not same_code(standing[place].source, run.source, transform):
        return Assessment("stale", {_label(run): EDITED})
    fresh = [
        Cell(there.source, number, there.id, outcome="ok") for number, there in enumerate(standing[: place + 1], 1)
    ]
    again = _seen_again(cells, standing, seen or {})
    if run.count not in (seen or {}):  # it still runs: what it did when it ran before is not held against it
        again.pop(place + 1, None)
    would, same = read_trace(fresh, transform, live, seen=again)
    if same is None:
        return Assessment("unknown", {_label(run): "cannot be read as Python"})
    compared = _Comparison(cells, standing, place, transform, history, would, outside, seen or {})
    return compared.judge(last, same, live or {})


@dataclass
class _Comparison:
    """Two traces side by side: what ran, and what would run from top to bottom."""

    cells: Sequence[Cell]
    standing: Sequence[Standing]
    place: int
    transform: Callable[[str], str]
    made: Provenance
    would: Provenance
    outside: Outside
    evidence: Mapping[int, CellEvidence]
    reasons: dict[str, str] = field(default_factory=dict)
    seen: set[tuple[str, str]] = field(default_factory=set)

    def judge(self, last: Execution, same: Execution, live: Mapping[str, Any]) -> Assessment:
        ran, runs = self.made.of(last), self.would.of(same)
        behind = [*self.made.behind(ran), *ran]
        for code, maker in self.made.settings.items():
            if code not in self.would.settings:
                self._blame(maker, f"a setting ({_set_by(maker)})", None)
        for code, maker in self.would.settings.items():
            if code not in self.made.settings:
                self.reasons.setdefault(self._place(maker), f"makes a setting ({_set_by(maker)}), and had not run")
        if [maker.key for maker in ran] != [maker.key for maker in runs]:
            for one, other in zip(ran, runs, strict=False):
                self._walk(one, other)
        self.reasons |= {f"[{maker.execution.cell.count}]": maker.since for maker in reversed(behind) if maker.since}
        self.reasons |= self.outside.later(behind, self.made)
        if not self.reasons and [maker.key for maker in ran] != [maker.key for maker in runs]:
            self.reasons[""] = "run from top to bottom, the cells give it other inputs"
        if self.reasons:
            return Assessment("stale", dict(list(self.reasons.items())[:MOST_REASONS]))
        unseen = self._unseen(behind, live) | self._by_no_cell(behind)
        if unseen:
            return Assessment("unknown", unseen)
        return Assessment("consistent", self._unseeded(behind))

    def _walk(self, one: Maker, other: Maker) -> None:
        """Find where the histories of two statements with the same code part."""
        for name in sorted({*one.reads, *other.reads}):
            was, now = one.reads.get(name, ""), other.reads.get(name, "")
            if was == now or (was, now) in self.seen:
                continue
            self.seen.add((was, now))
            made, would = self.made.makers.get(was), self.would.makers.get(now)
            if made is not None and would is not None and code_of(made.flow) == code_of(would.flow):
                self._walk(made, would)
            elif made is not None:
                self._blame(made, name, would)
            elif would is not None:
                self.reasons.setdefault(
                    self._place(would), f"makes {_shown(name)}, and had not run when this run began"
                )

    def _blame(self, made: Maker, name: str, would: Maker | None) -> None:
        """Name the cell because of which the two differ on `name`."""
        cell = made.execution.cell
        place = find(self.standing, cell)
        again = [other for other in self.cells if _same_cell(other, cell)]
        cell = [other for other in again if other.source == cell.source][-1]
        if place is None:
            why = f"made {_shown(name)}, and is no longer in the notebook"
        elif not same_code(self.standing[place].source, cell.source, self.transform):
            why = EDITED
        elif place > self.place:
            why = f"made {_shown(name)}, and stands below the run's cell"
        elif would is not None and not self._has_run(would):
            self.reasons.setdefault(self._place(would), f"changes {_shown(name)}, and had not run when this run began")
            return
        elif len(again) > 1 and (would is None or would.execution.cell.count - 1 <= place):
            cell, why = again[-1], f"ran {len(again)} times, and changes {_shown(name)} each time"
        elif would is not None and find(self.standing, cell) != would.execution.cell.count - 1:
            why = f"made {_shown(name)} as it last was, out of the order in which the cells stand"
        else:
            why = f"made {_shown(name)} from what the cells above no longer give it"
        self.reasons.setdefault(_label(cell), why)

    def _has_run(self, would: Maker) -> bool:
        """Whether a standing cell is among those that ran before the run, as it stands."""
        there = self.standing[would.execution.cell.count - 1]
        places = [find(self.standing, cell) for cell in self.cells]
        return any(
            place == would.execution.cell.count - 1 and same_code(there.source, cell.source, self.transform)
            for place, cell in zip(places, self.cells, strict=True)
        )

    def _place(self, would: Maker) -> str:
        """How to name a standing cell: by the number of its last execution, else by its place."""
        number = would.execution.cell.count - 1
        ran = [cell for cell in self.cells if find(self.standing, cell) == number]
        return _label(ran[-1]) if ran else f"cell {number + 1}"

    def _unseen(self, behind: Sequence[Maker], live: Mapping[str, Any]) -> dict[str, str]:
        """What was used and no cell has made, by the cell that uses it."""
        found: dict[str, str] = {}
        for maker in behind:
            for name in maker.flow.uses:
                lost = not maker.reads.get(name) and name in live and name not in KNOWN and not hasattr(builtins, name)
                if lost and SHOWN_LAST.fullmatch(name):
                    found.setdefault(_label(maker.execution.cell), f"uses {name}, what a cell happened to show before")
                elif lost and not name.startswith("_") and name not in ("In", "exit", "quit"):
                    found.setdefault(_label(maker.execution.cell), f"uses {name}, which no cell makes")
            opaque = maker.flow.statement.opaque
            if opaque and not _is_ours(opaque, live):
                text = f"runs {opaque}, which cannot be looked into"
                found.setdefault(_label(maker.execution.cell), text)
        return found

    def _by_no_cell(self, behind: Sequence[Maker]) -> dict[str, str]:
        """What something between the cells has changed before it was used: a widget that was moved, a thread."""
        found: dict[str, str] = {}
        for maker in behind:
            count = maker.execution.cell.count
            for name, key in maker.reads.items():
                made = self.made.makers.get(key)
                first = made.execution.cell.count if made is not None else 0
                if any(first < at <= count and name in one.outside for at, one in self.evidence.items()):
                    text = f"uses {name}, which no cell has set to what it was: a widget, or what runs beside the cells"
                    found.setdefault(_label(maker.execution.cell), text)
        return found

    def _unseeded(self, behind: Sequence[Maker]) -> dict[str, str]:
        """Cells that draw random numbers which nothing seeds: run again they give other results."""
        if any(maker.flow.effects.outside.seeds for maker in self.made.statements):
            return {}
        found: dict[str, str] = {}
        for maker in behind:
            calls = maker.flow.effects.outside.unseeded
            if calls and RANDOM in maker.flow.reads:
                found.setdefault(
                    _label(maker.execution.cell), f"draws random numbers in {calls[0]}() that nothing seeds"
                )
        return found


def _seen_again(
    cells: Sequence[Cell], standing: Sequence[Standing], seen: Mapping[int, CellEvidence]
) -> dict[int, CellEvidence]:
    """What cells that stand are known to do, by their place from 1 on: what their code was seen to do whenever it ran."""
    known: dict[int, list[CellEvidence]] = {}
    for cell in cells if seen else ():
        place = find(standing, cell)
        if place is not None and cell.count in seen and standing[place].source.strip() == cell.source.strip():
            known.setdefault(place + 1, []).append(seen[cell.count])
    return {place: found for place, each in known.items() if (found := deeds(each)) is not None}


def _is_ours(opaque: str, live: Mapping[str, Any]) -> bool:
    """Whether a line or call is of our own, which change no variable: ``%mlops ...``, ``mlops.data.save()``."""
    root = live.get(opaque.partition(".")[0])
    return opaque.startswith("%mlops") or getattr(root, "__name__", "") == __name__.partition(".")[0]


def _same_cell(one: Cell, other: Cell) -> bool:
    return one.id == other.id if one.id and other.id else one.source.strip() == other.source.strip()


def _set_by(maker: Maker) -> str:
    """What a statement sets, without the value: that may be a secret."""
    node = maker.flow.statement.node
    if isinstance(node, ast.Assign):
        return ast.unparse(node.targets[0])
    called = node.value.func if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call) else None
    return f"{dotted_name(called)}()" if called is not None else type(node).__name__.lower()


def _shown(name: str) -> str:
    if name == RANDOM:
        return "the state of the random generator"
    return name.removeprefix("<file> ") if name.startswith("<file>") else name


def _label(cell: Cell) -> str:
    return f"[{cell.count}]"
