"""Awaiting: what a notebook awaits at its top level, as calls that a plain function can make."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from ..analysis.names import stored_names
from ..analysis.parse import parse_statement
from ..analysis.source import apply_edits, edit_span, indent
from ..analysis.trace import Execution, Statement, Trace

__all__ = ["without_awaits"]

_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
_WITH_VALUE = (ast.Assign, ast.AugAssign, ast.AnnAssign, ast.Expr)


def without_awaits(trace: Trace, live: Mapping[str, Any], *, one_loop: bool) -> None:
    """Have the event loop run what is awaited outside of functions.

    Parameters
    ----------
    one_loop
        All in the same loop, as in a notebook; else each in one of its own, as `asyncio.run` makes it.
    """
    module = next((n for n, v in live.items() if v is sys.modules.get("asyncio")), "")
    name = module or "asyncio"
    run = f"{name}.get_event_loop().run_until_complete" if one_loop else f"{name}.run"
    coroutines = {s.node.name for s in trace.statements if isinstance(s.node, ast.AsyncFunctionDef)}
    imported = bool(module)
    for execution in trace.executions:
        made: list[Statement] = []
        for number, statement in enumerate(execution.statements):
            if not _awaits(statement.node):
                made.append(statement)
                continue
            if not imported:
                made.append(parse_statement("import asyncio", execution))
                imported = True
            made += _run(statement, execution, run, coroutines, f"awaited_{execution.cell.count}_{number}")
        execution.statements[:] = made


def _awaits(node: ast.AST) -> bool:
    """Whether a statement awaits outside of functions."""
    if isinstance(node, _FUNCTIONS):
        return False
    if isinstance(node, (ast.Await, ast.AsyncFor, ast.AsyncWith)):
        return True
    if isinstance(node, (ast.ListComp, ast.SetComp, ast.DictComp)) and any(g.is_async for g in node.generators):
        return True
    return any(_awaits(child) for child in ast.iter_child_nodes(node))


def _run(
    statement: Statement, execution: Execution, run: str, coroutines: set[str], function: str
) -> Iterator[Statement]:
    text, node = statement.text, statement.node
    value = node.value if isinstance(node, _WITH_VALUE) else None
    if value is None or any(isinstance(n, ast.NamedExpr) for n in ast.walk(node)):
        names = sorted(stored_names([node]))
        binds = f"global {', '.join(names)}\n" if names else ""
        yield parse_statement(f"async def {function}():\n{indent(binds + text)}", execution)
        yield _with_text(statement, f"{run}({function}())")
        return
    told = value.value if isinstance(value, ast.Await) else None
    if isinstance(told, ast.Call) and isinstance(told.func, ast.Name) and told.func.id in coroutines and not _awaits(told):  # fmt: skip
        call = _source(text, told)
    else:
        given = _source(text, value)
        given = f"({given})" if "\n" in given else given
        yield parse_statement(f"async def {function}():\n{indent(f'return {given}')}", execution)
        call = f"{function}()"
    yield _with_text(statement, apply_edits(text, [edit_span(text, value, value, f"{run}({call})")]))


def _source(text: str, node: ast.AST) -> str:
    span = edit_span(text, node, node, "")
    return text[span.start : span.end]


def _with_text(statement: Statement, text: str) -> Statement:
    return replace(statement, text=text, node=ast.parse(text).body[0])
