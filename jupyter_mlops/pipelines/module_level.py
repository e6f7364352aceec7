"""Module level: what of a notebook stands at the top of a module: imports, parameters, constants, settings, functions."""

from __future__ import annotations

import ast
import builtins
import re
import sys
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..analysis.dataflow import STYLE, Flow
from ..analysis.trace import Execution
from ..domain.pipeline import Parameter

__all__ = ["Module", "arrange"]

_BUILTIN = frozenset(dir(builtins))
_TYPES = (bool, int, float, str)


@dataclass
class Module:
    """What stands outside the steps, and what is left for them.

    Parameters
    ----------
    imports
        Import lines, sorted into blocks.
    texts
        Settings, constants, functions and classes, in the notebook's order.
    local_functions
        Functions that read variables of the steps: they stand in each step that uses them.
    rest
        The statements of the steps.
    """

    imports: list[str] = field(default_factory=list)
    packages: list[str] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    names: set[str] = field(default_factory=set)
    parameters: list[Parameter] = field(default_factory=list)
    local_functions: dict[str, Flow] = field(default_factory=dict)
    rest: list[Flow] = field(default_factory=list)


def arrange(flows: Sequence[Flow], is_parameters: Callable[[Execution], bool], wanted: Collection[str] = ()) -> Module:
    """Sort the statements of a slice.

    Parameters
    ----------
    is_parameters
        Whether a cell carries papermill's tag ``parameters``.
    wanted
        The results: an import that binds one is kept, though nothing reads it.
    """
    touched = Counter(name for flow in flows for name in flow.touches)
    module = Module()
    left = _imports(module, flows, touched, wanted)
    left = _parameters(module, left, touched, is_parameters)
    hoisted = _hoisted(module, left, touched)
    parameters = {p.name for p in module.parameters}
    for flow in left:
        name = _defined(flow)
        if id(flow) in hoisted:
            module.texts.append(_quiet_lambda(flow))
            module.names |= flow.writes | flow.maybe
        elif (
            name
            and touched[name] == 1
            and not isinstance(flow.statement.node, ast.ClassDef)
            and (flow.effects.reads <= module.names | parameters | _BUILTIN)
        ):
            module.local_functions[name] = flow
        else:
            module.rest.append(flow)
    return module


# imports


def _imports(module: Module, flows: Sequence[Flow], touched: Mapping[str, int], wanted: Collection[str]) -> list[Flow]:
    """Take the imports out; what is bound to two things stays where it is."""
    read = {name for flow in flows for name in flow.reads} | set(wanted)
    meanings: dict[str, set[str]] = {}
    for flow in flows:
        for bound, meaning, _ in _aliases(flow.statement.node):
            meanings.setdefault(bound, set()).add(meaning)
    others = {name for flow in flows if not _is_import(flow) for name in flow.writes | flow.maybe}
    clear = {name for name, found in meanings.items() if len(found) == 1 and name not in others}
    lines: dict[str, str] = {}
    left: list[Flow] = []
    for flow in flows:
        if not _is_import(flow):
            left.append(flow)
            continue
        aliases = _aliases(flow.statement.node)
        star = any(bound == "*" for bound, _, _ in aliases)
        stays = [bound for bound, _, _ in aliases if bound not in clear and bound != "*"]
        if stays and any(bound in read for bound in stays):
            left.append(flow)
            continue
        for bound, _, line in aliases:
            effect = line.startswith(("from __future__", "from sklearn.experimental"))
            if star or bound in read or effect:
                lines[line] = line + (
                    "  # noqa: F401, a switch" if "sklearn.experimental" in line else "  # noqa: F403" if star else ""
                )
                module.names |= flow.writes if star else {bound}
    module.imports, module.packages = _sorted_imports(lines.values()), sorted({_package(line) for line in lines})
    return left


def _is_import(flow: Flow) -> bool:
    return isinstance(flow.statement.node, (ast.Import, ast.ImportFrom)) and not flow.statement.opaque


def _aliases(node: ast.stmt) -> list[tuple[str, str, str]]:
    """What an import binds: the name, what it means, the line for it alone."""
    if isinstance(node, ast.Import):
        return [
            (
                a.asname or a.name.partition(".")[0],
                a.name if a.asname else a.name.partition(".")[0],
                ast.unparse(ast.Import([a])),
            )
            for a in node.names
        ]
    if isinstance(node, ast.ImportFrom):
        origin = "." * node.level + (node.module or "")
        return [
            (a.asname or a.name, f"{origin}:{a.name}", ast.unparse(ast.ImportFrom(node.module, [a], node.level)))
            for a in node.names
        ]
    return []


def _package(line: str) -> str:
    return line.split()[1].partition(".")[0]


def _sorted_imports(lines: Any) -> list[str]:
    """Import lines as isort puts them: future, standard library, others; `from` lines of one module joined."""
    blocks: list[list[str]] = [[], [], []]
    joined: dict[str, list[str]] = {}
    for line in lines:
        code, _, comment = line.partition("  #")
        package = _package(code)
        block = blocks[0 if package == "__future__" else 1 if package in sys.stdlib_module_names else 2]
        if code.startswith("from ") and not comment and not code.endswith("*"):
            origin, _, name = code.partition(" import ")
            if origin not in joined:
                block.append(origin)
            joined.setdefault(origin, []).append(name)
        else:
            block.append(line)
    told: list[str] = []
    for block in blocks:
        full = [f"{b} import {_names(b, joined[b])}" if b in joined else b for b in block]
        full.sort(key=lambda line: (line.startswith("from "), re.split(r"[ ]", line)[1].lower()))
        told += ([""] if told and full else []) + full
    return told


def _names(origin: str, names: list[str]) -> str:
    ordered = sorted(set(names), key=lambda n: (not n.isupper(), n[:1].islower(), n.lower()))
    line = ", ".join(ordered)
    if len(origin) + len(line) + 8 <= 88:
        return line
    return "(\n" + "".join(f"    {name},\n" for name in ordered) + ")"


# parameters


def _parameters(
    module: Module, flows: Sequence[Flow], touched: Mapping[str, int], is_parameters: Callable[[Execution], bool]
) -> list[Flow]:
    left: list[Flow] = []
    for flow in flows:
        value = _simple(flow.statement.node)
        name = next(iter(flow.writes), "")
        execution = flow.statement.execution
        chosen = (
            value is not None
            and touched[name] == 1
            and (
                name.isupper()
                or is_parameters(execution)
                or all(_simple(s.node) is not None for s in execution.statements)
            )
        )
        if chosen:
            module.parameters.append(Parameter(name, type(value).__name__, value))
        else:
            left.append(flow)
    return left


def _simple(node: ast.stmt) -> Any:
    """The value of ``name = 1``, None if the statement is no such thing."""
    target: ast.expr
    if isinstance(node, ast.AnnAssign):
        target, given = node.target, node.value
    elif isinstance(node, ast.Assign) and len(node.targets) == 1:
        target, given = node.targets[0], node.value
    else:
        return None
    value = _literal(given) if isinstance(target, ast.Name) and given is not None else None
    return value if type(value) in _TYPES else None


def _literal(node: ast.expr) -> Any:
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, MemoryError):
        return None


# constants, settings, functions


def _hoisted(module: Module, flows: Sequence[Flow], touched: Mapping[str, int]) -> set[int]:
    """The statements that need nothing of the steps."""
    bound = {name for flow in flows for name in flow.touches} | {p.name for p in module.parameters}
    chosen = {id(f) for f in flows if _may_stand_alone(f, touched)}
    while True:
        names = module.names.union(*(f.writes | f.maybe for f in flows if id(f) in chosen))
        inner = {id(f): set().union(*(g.reads | g.mutates for g in f.effects.functions.values())) for f in flows}
        out = {id(f) for f in flows if id(f) in chosen and not (f.effects.reads | inner[id(f)]) & bound <= names}
        if not out:
            return chosen
        chosen -= out


def _may_stand_alone(flow: Flow, touched: Mapping[str, int]) -> bool:
    node = flow.statement.node
    if flow.statement.opaque:
        return False
    if STYLE in flow.maybe:  # how drawings are drawn from there on
        return False
    if flow.setting or _is_guarded_import(node):
        return all(touched[name] == 1 for name in flow.writes | flow.maybe)
    name = _defined(flow)
    if name:
        return touched[name] == 1 and not flow.effects.functions[name].writes
    if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
        constant = node.targets[0].id
        return constant.isupper() and touched[constant] == 1 and _literal(node.value) is not None
    return False


def _is_guarded_import(node: ast.stmt) -> bool:
    if not isinstance(node, ast.Try):
        return False
    every = [*node.body, *node.orelse, *node.finalbody, *(s for h in node.handlers for s in h.body)]
    return all(
        isinstance(s, (ast.Import, ast.ImportFrom, ast.Pass))
        or (isinstance(s, ast.Assign) and isinstance(s.value, ast.Constant))
        for s in every
    )


def _defined(flow: Flow) -> str:
    """The function or class that a statement is there to define, else empty."""
    node = flow.statement.node
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        return node.name
    if (
        isinstance(node, ast.Assign)
        and isinstance(node.value, ast.Lambda)
        and isinstance(node.targets[0], ast.Name)
        and len(node.targets) == 1
    ):
        return node.targets[0].id
    return ""


def _quiet_lambda(flow: Flow) -> str:
    text = flow.statement.text
    return (
        f"{text}  # noqa: E731"
        if isinstance(flow.statement.node, ast.Assign) and _defined(flow) and "#" not in text
        else text
    )
