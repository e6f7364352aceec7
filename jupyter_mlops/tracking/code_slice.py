"""Code slice: the least code that made a run's result, out of the executions that were stored with the run."""

from __future__ import annotations

import ast
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..analysis.dataflow import link
from ..analysis.evidence import CellEvidence, deeds
from ..analysis.magic_lines import plain_transform
from ..analysis.parse import parse_cells
from ..analysis.slicing import SIDE_EFFECT_IMPORTS
from ..analysis.trace import Execution
from ..domain.workspace import Cell
from .executions import star_names
from .provenance import Maker, Provenance, Since, trace_provenance
from .used_tables import names_read

__all__ = ["CodeSlice", "loads_of", "needed", "read_trace", "slice_code", "stored_cells"]

OUTSIDE = ("jupyter_mlops", "mlflow")  # a run's own lines use them, and are no part of its results


@dataclass(frozen=True)
class CodeSlice:
    """A run's code.

    Parameters
    ----------
    before
        What has to run before the run's own cell: each execution, and the part of its code that is needed.
    own
        The run's cell, its execution as it is stored.
    own_code
        The part of the run's cell that is no line of ours.
    """

    before: tuple[tuple[Cell, str], ...]
    own: Cell
    own_code: str

    @property
    def cells(self) -> tuple[int, ...]:
        """The executions' numbers."""
        return (*(cell.count for cell, _ in self.before), self.own.count)

    @property
    def source(self) -> str:
        """All of it as one text."""
        parts = [*self.before, (self.own, self.own_code)]
        return "\n\n".join(f"# [{cell.count}]\n{code}" for cell, code in parts if code.strip())


def stored_cells(text: str) -> tuple[dict[str, Any], list[Cell]]:
    """What a run's ``cells.json`` holds: all it tells, and the executions that the run depends on."""
    told: dict[str, Any] = json.loads(text)
    names = ("source", "count", "id", "started_ms", "ended_ms", "outcome")
    cells = [Cell(**{name: one[name] for name in names}) for one in told["executions"] if "source" in one]
    if cells:
        cells[-1] = replace(cells[-1], outcome="ok")
    return told, cells


def loads_of(told: Mapping[str, Any]) -> dict[int, dict[str, str]]:
    """By a cell's number the data versions that it loaded by a name alone, of what `stored_cells` told."""
    return {one["count"]: one["loads"] for one in told["executions"] if "loads" in one}


def read_trace(
    cells: Sequence[Cell],
    transform: Callable[[str], str] = plain_transform,
    live: Mapping[str, Any] | None = None,
    *,
    keep_shown: bool = False,
    seen: Mapping[int, CellEvidence] | None = None,
    outside: Since | None = None,
) -> tuple[Provenance, Execution | None]:
    """What was made by cells that ran in this order, and the last one's execution; None for one that is no Python.

    Parameters
    ----------
    seen
        What the cells were seen to do, by their numbers.
    outside
        Gives what a statement read from outside that is another one now.
    """
    deeds_of = {count: one for count, each in (seen or {}).items() if (one := deeds([each])) is not None}
    trace = parse_cells(
        cells,
        transform=transform,
        taken=live,
        keep_shown=keep_shown,
        evidence=deeds_of,
        shown=() if keep_shown else None,
    )
    last = next((one for one in trace.executions if one.cell is cells[-1]), None)
    flows = link(trace.statements, star_names=star_names, live=live)
    return trace_provenance(flows, live, outside), last


def needed(history: Provenance, last: Execution, transform: Callable[[str], str] = plain_transform) -> list[Maker]:
    """The statements that an execution depends on, its own left out, in the order in which they ran.

    Besides what gives its values these are the settings that change how code works, the imports that the lines of ours
    in it need, and what such a line reads: ``run.log_param("k", k)``.
    """
    source = last.cell.source.lstrip()
    names = names_read(source.partition("\n")[2] if source.startswith("%%") else source, transform)
    own = history.of(last)
    earlier = [maker for maker in history.statements if maker.execution is not last]
    if own:
        earlier = history.statements[: history.statements.index(own[0])]
    wanted = [*own]
    for name in names:
        made = next((maker for maker in reversed(earlier) if name in maker.flow.touches), None)
        wanted += [made] if made is not None else []
    lasting = {id(maker) for maker in history.settings.values()}
    wanted += [maker for maker in earlier if id(maker) in lasting or _for_all(maker)]
    keep = {id(maker) for maker in (*history.behind(wanted), *wanted)} - {id(maker) for maker in own}
    return [maker for maker in history.statements if id(maker) in keep]


def slice_code(cells: Sequence[Cell], transform: Callable[[str], str] = plain_transform) -> CodeSlice:
    """The least code that made the result of the last of these cells.

    Examples
    --------
    >>> ran = [Cell("x = 2; w = 3", 1, outcome="ok"), Cell("y = 5", 2, outcome="ok"), Cell("z = x + 1", 3, outcome="ok")]
    >>> print(slice_code(ran).source)
    # [1]
    x = 2
    <BLANKLINE>
    # [3]
    z = x + 1
    """
    history, last = read_trace(cells, transform, keep_shown=True)
    own = cells[-1]
    if last is None:
        return CodeSlice((), own, own.source)
    code: dict[int, list[str]] = {}
    for maker in needed(history, last, transform):
        code.setdefault(id(maker.execution.cell), []).append(maker.flow.statement.text)
    before = tuple((cell, "\n".join(code[id(cell)])) for cell in cells if id(cell) in code)
    mine = [maker.flow.statement.text for maker in history.of(last)]
    return CodeSlice(before, own, "\n".join(mine))


def _for_all(maker: Maker) -> bool:
    node = maker.flow.statement.node
    if maker.flow.setting or (isinstance(node, ast.ImportFrom) and node.module in SIDE_EFFECT_IMPORTS):
        return True
    if isinstance(node, ast.ImportFrom):
        return str(node.module).partition(".")[0] in OUTSIDE
    return isinstance(node, ast.Import) and any(a.name.partition(".")[0] in OUTSIDE for a in node.names)
