"""Plan: from the cells a kernel has executed to the pipeline they amount to; refuses what it cannot stand for."""

from __future__ import annotations

import ast
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from ..analysis.clock import clock_dependents
from ..analysis.dataflow import RANDOM, Flow, link
from ..analysis.magic_lines import forgiving, plain_transform
from ..analysis.notebook_file import NotebookFile
from ..analysis.parse import parse_cells
from ..analysis.slicing import Slice, slice_back
from ..analysis.trace import Execution, Trace
from ..domain.context import Context
from ..domain.pipeline import Parameter, Step
from ..domain.workspace import Cell
from ..errors import NotFound, NotReady
from .awaiting import without_awaits
from .module_level import Module, arrange
from .results import Results, choose
from .steps import PlannedStep, group
from .whole import (
    RESTORE,
    data_names,
    explain,
    with_random_states,
    with_seeded_generators,
    without_idle,
    without_open_figures,
)

__all__ = ["Plan", "make_plan"]

AGAIN = "Run the cells from there on again, or restart the kernel and run all, then export."


@dataclass
class Plan:
    """A notebook as a pipeline, before anything is written.

    Parameters
    ----------
    flows
        Everything that was executed, kept or not.
    file
        The notebook's .ipynb, where it is known and saved.
    """

    name: str
    flows: list[Flow]
    module: Module
    steps: list[PlannedStep]
    results: Results
    live: Mapping[str, Any]
    file: NotebookFile | None = None
    notes: list[str] = field(default_factory=list)
    unseeded: list[str] = field(default_factory=list)
    clock: dict[str, list[str]] = field(default_factory=dict)
    """What comes from calls that give another value each time, with the calls."""
    unmade: dict[str, str] = field(default_factory=dict)
    """What no step can give, and why."""
    form: Literal["functions", "shared"] = "functions"
    """Steps with inputs and outputs, or steps that share the notebook's variables."""
    whole: bool = False
    """Every variable that holds data is a result."""
    random_states: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Where the random generators stand before a cell, by its execution count."""

    def step_records(self) -> tuple[Step, ...]:
        """The steps as the domain's nouns."""
        shared = self.form == "shared"
        data = set(data_names(self.live)) if shared else set()
        return tuple(
            Step(
                s.name,
                s.title,
                tuple(n for n in s.inputs if not shared or n in data),
                tuple(n for n in s.outputs if not shared or n in data),
                tuple(s.cells),
            )
            for s in self.steps
        )

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """What the pipeline takes as options."""
        return tuple(self.module.parameters)

    def compared(self) -> list[tuple[str, str]]:
        """Step and variable of every value that the notebook still has as the pipeline should give it; no step for what stands outside of them."""
        if self.whole:
            gives = {name: step.name for step in self.steps for name in step.outputs}
            return [(gives.get(name, ""), name) for name in self.results.values]
        kept = {id(flow) for step in self.steps for flow in step.flows}
        last: dict[str, Flow] = {name: flow for flow in self.flows for name in flow.touches}
        found: dict[str, str] = {}
        for step in self.steps:
            for name in step.outputs:
                still = name in self.results.values or (name in self.live and id(last.get(name)) in kept)
                if still:
                    found[name] = step.name
        return [(step, name) for name, step in found.items()]


def make_plan(
    context: Context,
    notebook: str,
    targets: Sequence[str],
    *,
    whole: bool = False,
    form: Literal["functions", "shared"] = "functions",
) -> Plan:
    """Work out the pipeline of the kernel's notebook.

    Parameters
    ----------
    notebook
        The .ipynb, empty for the kernel's own.
    targets
        The variables that the pipeline must give; empty to choose.
    whole
        Take every variable that holds data, and every model.

    Raises
    ------
    NotReady
        Nothing was executed, or the kernel's state is not what the notebook's cells, as they stand, would give.
    NotFound
        The notebook, or a target, is not there.
    """
    transform = forgiving(context.hooks.get("transform_cell", plain_transform))
    file = _file(context, notebook, transform)
    if context.namespace is None:
        raise NotReady(
            f"{notebook or 'the notebook'} has no values to compare with: no kernel runs here.",
            hint="Open it, run all its cells, and call `%mlops export` in it; or let `--run` run it.",
        )
    live = {
        name: value
        for name, value in context.namespace.items()
        if (not name.startswith("_") or whole) and name not in ("In", "Out", "get_ipython", "exit", "quit", "open")
    }
    watch = context.evidence
    trace = parse_cells(
        _cells(context),
        transform=transform,
        taken=live,
        evidence=watch.cells if watch else None,
        keep_shown=whole,
        shown=_shown(context),
    )
    if not trace.statements or (notebook and file and not any(file.find(e) for e in trace.executions)):
        raise NotReady(
            f"no cell of {notebook or 'this notebook'} has been run in this kernel.", hint="Run all its cells first."
        )
    notes = with_seeded_generators(trace, live)
    states = with_random_states(trace, watch, whole=whole)
    without_awaits(trace, live, one_loop=form == "shared")
    if whole:
        without_open_figures(trace, live)
    flows = link(trace.statements, star_names=_star_names, live=live)
    results = Results({n: live[n] for n in data_names(live)}) if whole else choose(trace, flows, live, targets)
    if whole and not results.values:
        raise NotReady(
            "there is nothing to hand over: no variable holds data or a model.",
            hint="Bind what should come out to a name; `%mlops export` without `--whole` takes what the last cell made.",
        )
    if not results.values:
        raise NotReady(
            "there is nothing to hand over: no run, no model, no metric, and the last cell makes no value.",
            hint="Name the results: `%mlops export --targets NAME`.",
        )
    name = Path(notebook or context.notebook.path or "notebook").stem

    def label(execution: Execution) -> tuple[str, bool]:
        return _label(file, execution)

    if form == "shared":
        kept = Slice(flows)
        _refuse_interrupted(trace)
        module = Module(rest=list(flows), packages=_packages(flows))
    else:
        kept = slice_back(flows, results.names)
        if whole:
            kept.flows[:] = without_idle(kept.flows, trace, live)
        _refuse(kept, trace, file, live)
        module = arrange(kept.flows, lambda execution: _tagged_parameters(file, execution), results.names)
    states = states if any(RESTORE in flow.statement.text for flow in kept.flows) else {}
    module.names |= {RESTORE} if states else set()
    steps = group(module, results.names, label, live=live)
    plan = Plan(name, flows, module, steps, results, live, file, form=form, whole=whole, random_states=states)
    if whole and form == "functions":
        _refuse_unmade(plan, trace)
    elif whole:
        bound = {name for flow in flows for name in flow.touches}
        lost = [name for name in live if name not in bound]
        plan.unmade = {name: f"no text of the notebook makes it: {why}" for name, why in explain(lost, trace).items()}
        plan.unmade |= _left_out(flows)
    plan.notes = [*results.notes, *trace.unsure, *notes, *_notes(kept, trace, file), *_state_notes(plan, trace)]
    seeds = states or any(flow.effects.outside.seeds for flow in kept.flows)
    if not seeds and any(RANDOM in flow.reads for flow in kept.flows):
        plan.unseeded = [f"{call}() in {f.statement.where}" for f in kept.flows for call in f.effects.outside.unseeded]
    clock = _clock(kept, trace, states)
    plan.clock = {name: clock[name] for name in results.names if name in clock}
    return plan


def _clock(kept: Slice, trace: Trace, states: Mapping[str, Mapping[str, Any]]) -> dict[str, list[str]]:
    seeded = {int(count) for count, state in states.items() if "entropy" in state}
    sets = not os.environ.get("PYTHONHASHSEED")
    return clock_dependents(kept.flows, sets=sets, timed=trace.timed, seeded=seeded)


def _packages(flows: Sequence[Flow]) -> list[str]:
    nodes = [node for flow in flows for node in ast.walk(flow.statement.node)]
    found = {a.name.partition(".")[0] for n in nodes if isinstance(n, ast.Import) for a in n.names}
    found |= {n.module.partition(".")[0] for n in nodes if isinstance(n, ast.ImportFrom) and n.module and not n.level}
    return sorted(found)


def _refuse_unmade(plan: Plan, trace: Trace) -> None:
    made = {name for step in plan.steps for name in step.outputs} | plan.module.names
    made |= {parameter.name for parameter in plan.parameters}
    lost = [name for name in plan.results.names if name not in made]
    if lost:
        told = explain(lost, trace)
        causes = "; ".join(f"{name}: {told.get(name, 'no text of the notebook binds it')}" for name in lost[:5])
        raise NotReady(f"no step can give {', '.join(lost[:5])} ({causes}).", hint=AGAIN)


def _left_out(flows: Sequence[Flow]) -> dict[str, str]:
    """The names that are made last by what only a notebook can do, and by what."""
    told: dict[str, str] = {}
    for flow in flows:
        opaque = flow.statement.opaque
        for name in flow.writes if opaque else flow.writes & told.keys():
            told[name] = f"cell {flow.statement.where} makes it with {opaque}, which only a notebook can do"
            if not opaque:
                del told[name]
    return told


def _refuse_interrupted(trace: Trace) -> None:
    for execution in trace.executions:
        if execution.cell.outcome == "interrupted":
            raise NotReady(
                f"cell [{execution.cell.count}] was interrupted: how far it had come is not known.", hint=AGAIN
            )


def _state_notes(plan: Plan, trace: Trace) -> list[str]:
    notes = []
    if plan.random_states:
        cells = ", ".join(f"[{count}]" for count in plan.random_states)
        notes.append(
            f"the notebook draws random numbers it has set no seed for, so that it gives others each time: what the "
            f"generators started from in {cells} is kept in random_state.json, and taken up from there"
        )
    failed = [s.where for s in trace.statements if s.failed]
    if failed:
        notes.append(f"what fails in the notebook fails in the pipeline too, and is passed over: {', '.join(failed)}")
    outside = {n: e.cell.count for e in trace.executions if e.evidence is not None for n in e.evidence.outside}
    if outside:
        told = ", ".join(f"{name} before [{count}]" for name, count in outside.items())
        notes.append(f"changed between cells, by something that is in none of them: {told}")
    return notes


def _cells(context: Context) -> list[Cell]:
    """What was executed, with what IPython remembers of the time before the extension was loaded."""
    known = {cell.count for cell in context.cells}
    history = (context.namespace or {}).get("In")
    earlier = [
        Cell(source, count, outcome="ok")
        for count, source in enumerate(history if isinstance(history, list) else [])
        if source and count not in known and count < min(known, default=sys.maxsize)
    ]
    return [*earlier, *context.cells]


def _shown(context: Context) -> list[int]:
    """The counts under which IPython keeps what cells have shown."""
    held = (context.namespace or {}).get("_oh")
    return [count for count in held if isinstance(count, int)] if isinstance(held, dict) else []


def _file(context: Context, notebook: str, transform: Callable[[str], str]) -> NotebookFile | None:
    if notebook:
        named = Path(notebook).expanduser()
        if not named.exists() and named.suffix != ".ipynb":
            raise NotFound(f"no notebook {notebook!r}.", hint="Name an .ipynb file, or none for this one.")
        return NotebookFile.read(named, transform)
    path = Path(context.notebook.path) if context.notebook.path else None
    if path is None or not path.is_file():
        return None
    return NotebookFile.read(path, transform)


def _label(file: NotebookFile | None, execution: Execution) -> tuple[str, bool]:
    cell = file.find(execution) if file is not None else None
    if cell is None:
        return "", False
    return (cell.step, True) if cell.step else (cell.heading, False)


def _tagged_parameters(file: NotebookFile | None, execution: Execution) -> bool:
    cell = file.find(execution) if file is not None else None
    return cell is not None and cell.is_parameters


def _star_names(module: str) -> list[str]:
    """What ``from module import *`` binds, asked of the module that the notebook has imported already."""
    found = sys.modules.get(module)
    if found is None:
        return []
    return list(getattr(found, "__all__", None) or [name for name in vars(found) if not name.startswith("_")])


# what cannot be stood for


def _refuse(kept: Slice, trace: Trace, file: NotebookFile | None, live: Mapping[str, Any]) -> None:
    for flow in kept.flows:
        statement = flow.statement
        given = ", ".join(sorted(n for n in flow.touches if n[0] != "<")) or "what it does"
        if statement.opaque:
            raise NotReady(
                f"cell {statement.where}, line {statement.line}: {statement.opaque} cannot be part of a Python pipeline, "
                f"and the results need {given}.",
                hint="Write it in Python, run the cell again and export, or choose other results with `--targets`.",
            )
        if not statement.execution.ok:
            raise NotReady(
                f"cell {statement.where} failed, and may have made or changed {given}, which the results need.",
                hint=AGAIN,
            )
    _refuse_stale(kept, trace, file)
    if kept.missing:
        raise NotReady(
            _explain_missing(kept, trace, live),
            hint="The cell that made it was edited or deleted, or it came from outside: put the code that makes it into a "
            "cell, run that and the cells below it, then export.",
        )


def _refuse_stale(kept: Slice, trace: Trace, file: NotebookFile | None) -> None:
    belongs = file is not None and any(file.find(e) for e in trace.executions)
    newest = {e.cell.id: e for e in trace.executions if e.cell.id and e.ok}
    for flow in kept.flows:
        execution = flow.statement.execution
        given = ", ".join(sorted(n for n in flow.touches if n[0] != "<")) or "what it does"
        now = newest.get(execution.cell.id, execution)
        if now is not execution and flow.statement.text not in {s.text for s in now.statements}:
            raise NotReady(
                f"the results need {given} as cell {flow.statement.where} made it, and that cell was edited since "
                f"(it is [{now.cell.count}] now).",
                hint=AGAIN,
            )
        if (
            file is not None
            and belongs
            and file.find(execution) is None
            and file.saved_ms > (execution.cell.ended_ms or sys.maxsize)
        ):
            raise NotReady(
                f"the results need {given} as cell {flow.statement.where} made it, and that cell was edited or deleted "
                f"since: {file.path.name} has no such cell.",
                hint=f"Put the code back into a cell, or take its use out. {AGAIN}",
            )


def _explain_missing(kept: Slice, trace: Trace, live: Mapping[str, Any]) -> str:
    told = []
    for missing in kept.missing[:3]:
        kind = type(live[missing.name]).__name__ if missing.name in live else ""
        memory = f" (a {kind} in memory)" if kind else ""
        told.append(f"cell {missing.reader.where} reads {missing.name!r}{memory}")
    others = f" and {len(kept.missing) - 3} more" if len(kept.missing) > 3 else ""
    suspects = [f"{s.where} {s.opaque}" for s in trace.statements if s.opaque]
    perhaps = f" It may have come from {', '.join(suspects)}." if suspects else ""
    return f"{'; '.join(told)}{others}, which no cell that was run makes.{perhaps}"


# what is worth saying


def _notes(kept: Slice, trace: Trace, file: NotebookFile | None) -> list[str]:
    notes = []
    if trace.actions:
        notes.append("left out, as they act on the workspace: " + _by_cell(trace.actions))
    if trace.shown:
        notes.append("left out, as they only show: " + _by_cell(trace.shown))
    opaque: dict[str, list[str]] = {}
    for flow in kept.dropped:
        if flow.statement.opaque or flow.statement.magic:
            opaque.setdefault(flow.statement.opaque or flow.statement.magic, []).append(flow.statement.where)
    if opaque:
        unseen = "" if all(title.startswith("%mlops") for title in opaque) else "; what they do to files is not seen"
        notes.append(f"left out, as no result needs a variable of theirs: {_by_cell(opaque)}{unseen}")
    executions = list(dict.fromkeys(flow.statement.execution for flow in kept.flows))
    notes += _order_notes(executions, file)
    counts: dict[str, list[str]] = {}
    for execution in executions:
        counts.setdefault(execution.cell.id or execution.text, []).append(f"[{execution.cell.count}]")
    notes += [
        f"one cell was run {len(c)} times ({', '.join(c)}), and so does the pipeline"
        for c in counts.values()
        if len(c) > 1
    ]
    return notes


def _by_cell(titles: Mapping[str, Sequence[str]]) -> str:
    return ", ".join(f"{title} {' '.join(dict.fromkeys(cells))}" for title, cells in titles.items())


def _order_notes(executions: Sequence[Execution], file: NotebookFile | None) -> list[str]:
    if file is None:
        return []
    placed = [(cell.position, e.cell.count) for e in executions if (cell := file.find(e)) is not None]
    notes = []
    highest = (-1, 0)
    for position, count in placed:
        if position < highest[0]:
            notes.append(
                f"[{count}] was run after [{highest[1]}], which stands below it; the pipeline keeps the order of execution"
            )
        highest = max(highest, (position, count))
    return notes
