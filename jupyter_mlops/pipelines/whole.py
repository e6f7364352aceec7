"""The whole notebook as a pipeline: every variable that holds data and every fitted model is a result.

First the statements those need are cut into functions with explicit inputs and outputs. Where that form cannot hold
what the notebook does, or does not give the notebook's values, the cells are kept as they were run, in steps that
share the notebook's variables. Which form was taken, and why, is said.
"""

from __future__ import annotations

import ast
import functools
import re
import sys
import types
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from ..analysis.dataflow import Flow
from ..analysis.evidence import Watch
from ..analysis.known_calls import DRAWS, RANDOM_CALLS
from ..analysis.names import stored_names
from ..analysis.outside import GENERATORS
from ..analysis.parse import parse_statement
from ..analysis.source import apply_edits, edit_span
from ..analysis.statement_reader import effects_of
from ..analysis.trace import Execution, Statement, Trace

__all__ = [
    "RESTORE",
    "data_names",
    "with_random_states",
    "with_seeded_generators",
    "without_idle",
    "without_open_figures",
]

RESTORE = "restore_random_state"
_NO_DATA = (
    type,
    types.ModuleType,
    types.FunctionType,
    types.BuiltinFunctionType,
    types.MethodType,
    types.MethodWrapperType,
    types.GenericAlias,
    functools.partial,
)
_SHELL = re.compile(r"_+|_i+|_i?\d+|_oh|_dh|_ih|_exit_code|__\w*__|_ran_\d+|_ipython_\w+")
_OURS = ("jupyter_mlops", "mlflow", "IPython", "typing", "ipykernel")
_OF_PYPLOT = ("backend_registry", "requested_backend", "rcParams", "rcParamsDefault", "rcParamsOrig")
"""What ``%pylab`` takes from pyplot: how this process draws."""
_DRAWS_FIGURES = re.compile(
    r"\b(plt|sns|pyplot|pylab)\s*\.|\.(plot|hist|boxplot|scatter|plot_\w+|from_estimator|from_predictions)\b"
)
_TIMED = re.compile(r"timeit|%%?(prun|memit|mprun|lprun)")
_SEEDS = re.compile(r"\bseed\s*\((?!\s*(None\s*)?\))|set_state\s*\(|setstate\s*\(")


def data_names(live: Mapping[str, Any]) -> list[str]:
    """The names of everything that holds data or a model: no modules, functions, classes, and nothing of IPython's or ours.

    Examples
    --------
    >>> data_names({"x": 1, "json": re, "f": len, "_": 2, "_rows": []})
    ['x', '_rows']
    """
    pyplot = sys.modules.get("matplotlib.pyplot")
    return [
        name
        for name, value in live.items()
        if not _SHELL.fullmatch(name)
        and name not in ("In", "Out")
        and not isinstance(value, _NO_DATA)
        and (type(value).__module__.partition(".")[0] not in _OURS or isinstance(value, list))
        and type(value).__name__ not in ("ufunc", "_ArrayFunctionDispatcher", "_lru_cache_wrapper", "rv_continuous")
        and (name not in _OF_PYPLOT or value is not getattr(pyplot, name, None))
    ]


def is_drawing(value: Any) -> bool:
    """Whether a value is a figure, or a part of one."""
    return type(value).__module__.partition(".")[0] in ("matplotlib", "mpl_toolkits", "seaborn")


def without_open_figures(trace: Trace, live: Mapping[str, Any]) -> None:
    """Close the figures after each cell that draws and where it shows them, as the notebook does, where a variable holds a drawing."""
    if "matplotlib.pyplot" not in sys.modules or not any(is_drawing(v) for v in _inner(live)):
        return
    pyplot = next((n for n, v in live.items() if v is sys.modules["matplotlib.pyplot"]), "")
    drawers = {s.node.name for s in trace.statements if isinstance(s.node, _DEFINES) and _DRAWS_FIGURES.search(s.text)}
    bound = False
    for execution in trace.executions:
        bound = bound or (bool(pyplot) and any(pyplot in stored_names([s.node]) for s in execution.statements))
        if pyplot:
            execution.statements[:] = [_closing(s, pyplot) for s in execution.statements]
        if any(_draws_figures(statement, drawers, live) for statement in execution.statements):
            name = pyplot if bound else "pyplot"
            if not bound:
                execution.statements.append(parse_statement(_PYPLOT, execution))
            if execution.statements[-1].text != f'{name}.close("all")':
                execution.statements.append(parse_statement(f'{name}.close("all")', execution, keep=True))


def _closing(statement: Statement, pyplot: str) -> Statement:
    """A statement that closes the figures where it shows them: a notebook does both, a process without a screen neither."""
    if f"{pyplot}.show(" not in statement.text:
        return statement
    shown = [
        node
        for node in ast.walk(statement.node)
        if isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Call)
        and ast.unparse(node.value.func) == f"{pyplot}.show"
    ]
    edits = [edit_span(statement.text, node, node, f'{pyplot}.close("all")') for node in shown]
    text = apply_edits(statement.text, edits)
    return replace(statement, text=text, node=ast.parse(text).body[0])


def _draws_figures(statement: Statement, drawers: set[str], live: Mapping[str, Any]) -> bool:
    """Whether a statement draws, by what it calls, or by what the variables it binds hold."""
    if isinstance(statement.node, (*_DEFINES, *_IMPORTS)):
        return False
    if _DRAWS_FIGURES.search(statement.text) or any(is_drawing(live.get(name)) for name in _stores(statement)):
        return True
    return any(isinstance(n, ast.Name) and n.id in drawers for n in ast.walk(statement.node))


def _inner(live: Mapping[str, Any]) -> list[Any]:
    """Variables, and what stands in lists and arrays of them."""
    found = list(live.values())
    for value in live.values():
        if isinstance(value, (list, tuple, dict)):
            found += list(value.values() if isinstance(value, dict) else value)[:20]
        elif type(value).__name__ == "ndarray" and value.dtype.kind == "O":
            found += list(value.ravel()[:20])
    return found


def without_idle(flows: Sequence[Flow], trace: Trace, live: Mapping[str, Any]) -> list[Flow]:
    """Leave out what we have put beside cells of which nothing is left that draws, figures or random numbers."""
    drawers = {s.node.name for s in trace.statements if isinstance(s.node, _DEFINES) and _DRAWS_FIGURES.search(s.text)}
    draws, calls = set(), set()
    for flow in flows:
        statement = flow.statement
        if not _is_ours(statement) and not isinstance(statement.node, (*_DEFINES, *_IMPORTS)):
            count = statement.execution.cell.count
            draws |= {count} if _draws_figures(statement, drawers, live) else set()
            calls |= {count} if any(isinstance(n, ast.Call) for n in ast.walk(statement.node)) else set()
    left = [
        flow
        for flow in flows
        if not _is_ours(flow.statement)
        or flow.statement.execution.cell.count in (calls if RESTORE in flow.statement.text else draws)
    ]
    read = {name for flow in left for name in flow.reads}
    return [flow for flow in left if flow.statement.text != _PYPLOT or "pyplot" in read]


def _is_ours(statement: Statement) -> bool:
    return statement.keep and (statement.text.startswith(f"{RESTORE}(") or statement.text.endswith('.close("all")'))


def with_random_states(trace: Trace, watch: Watch | None, *, whole: bool = False) -> dict[str, dict[str, Any]]:
    """Have the pipeline take up the random generators' state where the notebook relies on it without having set it.

    Parameters
    ----------
    whole
        Wherever a cell was seen to draw; else where the text tells that what is kept draws.

    Returns
    -------
    The states by the execution count of the cell before which they are restored.
    """
    if watch is None or not watch.random_states:
        return {}
    taken: dict[str, dict[str, Any]] = {}
    unsure = set(GENERATORS)
    for execution in trace.executions:
        seen = execution.evidence
        count = execution.cell.count
        drew = seen.drew if seen is not None else frozenset()
        imports = any(isinstance(s.node, _IMPORTS) for s in execution.statements)
        if imports and not _draws_itself(execution):
            drew -= {"random"}  # a library that is loaded may draw from it for itself
        entropy = _entropy_left(execution) if whole else []
        state = _state_before(watch, count) if (unsure & drew) - _seeded_first(execution) else None
        if state or entropy:
            taken[str(count)] = {**(state or {}), **({"entropy": entropy} if entropy else {})}
            restore = f'{RESTORE}("{count}")'
            execution.statements.insert(0, parse_statement(restore, execution, seeds=bool(state), keep=whole))
            unsure = set() if state else unsure
        unsure -= _seeded(execution)
        if drew and (_TIMED.search(execution.cell.source) or execution.cell.outcome != "ok" or not _known(execution)):
            unsure |= drew
    return taken


def _entropy_left(execution: Execution) -> list[int]:
    """What NumPy took from the system in a cell, without what its text holds as a seed by now."""
    seen = execution.evidence
    return [e for e in (seen.entropy if seen else ()) if not any(f"({e})" in s.text for s in execution.statements)]


def _seeded(execution: Execution) -> set[str]:
    """The generators that a cell sets the seed of."""
    found: set[str] = set()
    for statement in execution.statements:
        if _SEEDS.search(statement.text) and not statement.seeds:
            seeds = effects_of(statement.node).outside
            found |= seeds.seeded if seeds.seeds else set(GENERATORS)
    return found


def _seeded_first(execution: Execution) -> set[str]:
    """The generators that a cell sets the seed of before anything in it may draw."""
    found: set[str] = set()
    for statement in execution.statements:
        if _SEEDS.search(statement.text):
            if isinstance(statement.node, _COMPOUND):
                return found
            seeds = effects_of(statement.node).outside
            found |= seeds.seeded if seeds.seeds else set(GENERATORS)
        elif "(" in statement.text and not statement.text.startswith(("import ", "from ", "#", "print(")):
            return found
    return found


def _known(execution: Execution) -> bool:
    """Whether the text tells what of the cell draws, so that it is kept: any call of it, where none is known to."""
    told = [effects_of(s.node) for s in execution.statements]
    return any(effects.calls or effects.outside.draws or effects.outside.seeds for effects in told)


def _draws_itself(execution: Execution) -> bool:
    """Whether the text tells that the cell draws from Python's own generator, or sets its seed."""
    told = [effects_of(s.node) for s in execution.statements]
    return any("random" in effects.outside.seeded for effects in told) or any(
        effects.outside.draws and not all(_is_of_numpy(call.dotted) for call in effects.calls if _may_draw(call.dotted))
        for effects in told
    )


def _may_draw(dotted: str) -> bool:
    last = dotted.rpartition(".")[2]
    return last in RANDOM_CALLS or last in DRAWS or ".random." in f".{dotted}"


def _is_of_numpy(dotted: str) -> bool:
    """Whether what draws random numbers takes them from NumPy, as all of pandas and scikit-learn does."""
    first, _, rest = dotted.partition(".")
    return first != "random" and (
        "random." in rest or (dotted != "sample" and dotted.rpartition(".")[2] in RANDOM_CALLS)
    )


def _state_before(watch: Watch, count: int) -> dict[str, Any] | None:
    known = [c for c in watch.random_states if c <= count]
    return watch.random_states[max(known)] if known else None


def with_seeded_generators(trace: Trace, live: Mapping[str, Any]) -> list[str]:
    """Give ``numpy.random.default_rng()`` without a seed the one that it drew for itself; returns what was done."""
    notes = []
    for execution in trace.executions:
        for i, statement in enumerate(execution.statements):
            found = re.fullmatch(r"(?s)(.*?)(\w+)\s*=\s*([\w.]*default_rng)\(\s*\)(.*)", statement.text)
            generator = getattr(live.get(found[2]), "bit_generator", None) if found else None
            entropy = getattr(getattr(generator, "seed_seq", None), "entropy", None)
            if found and isinstance(entropy, int) and sum(found[2] in _stores(s) for s in trace.statements) == 1:
                text = f"{found[1]}{found[2]} = {found[3]}({entropy}){found[4]}"
                execution.statements[i] = replace(statement, text=text, node=parse_statement(text, execution).node)
                notes.append(
                    f"{found[2]} in {statement.where} has no seed: it is given the one that it drew in the notebook"
                )
    return notes


def _stores(statement: Statement) -> set[str]:
    return {n.id for n in ast.walk(statement.node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}


_COMPOUND = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.If, ast.For, ast.While, ast.With, ast.Try)
_IMPORTS = (ast.Import, ast.ImportFrom)
_PYPLOT = "from matplotlib import pyplot"
_DEFINES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


def explain(names: Sequence[str], trace: Trace) -> dict[str, str]:
    """Where names that no text makes came from, as far as the evidence tells."""
    told: dict[str, str] = {}
    for execution in trace.executions:
        seen = execution.evidence
        for name in names:
            if seen is not None and name in seen.bound:
                opaque = next((s.opaque for s in execution.statements if s.opaque), "")
                told[name] = f"cell [{execution.cell.count}] was seen to bind it" + (f" ({opaque})" if opaque else "")
    return told
