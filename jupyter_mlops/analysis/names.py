"""Names in syntax: which names an expression may share its value with, which a block binds, how a call is written."""

from __future__ import annotations

import ast
from collections.abc import Iterable

from .known_calls import FRESH_FUNCTIONS, PURE_METHODS, SHARING_METHODS

__all__ = ["dotted_name", "parameter_names", "shared_names", "stored_names"]


def shared_names(node: ast.expr | None) -> set[str]:
    """The names whose objects the value of an expression may be, hold or be part of.

    Examples
    --------
    >>> [sorted(shared_names(ast.parse(t, mode="eval").body)) for t in ("a", "a + b", "[a, b.c]", "f(a).x", "a.copy()")]
    [['a'], [], ['a', 'b'], ['a'], []]
    """
    if isinstance(node, ast.Name):
        return {node.id}
    if isinstance(node, (ast.Attribute, ast.Subscript, ast.Starred, ast.Await, ast.NamedExpr)):
        return shared_names(node.value)
    if isinstance(node, (ast.Tuple, ast.List, ast.Set)):
        return set().union(*(shared_names(e) for e in node.elts))
    if isinstance(node, ast.Dict):
        return set().union(*(shared_names(e) for e in node.values))
    if isinstance(node, ast.IfExp):
        return shared_names(node.body) | shared_names(node.orelse)
    if isinstance(node, ast.BoolOp):
        return set().union(*(shared_names(e) for e in node.values))
    if isinstance(node, (ast.ListComp, ast.SetComp, ast.GeneratorExp, ast.DictComp)):
        own = {n.id for g in node.generators for n in ast.walk(g.target) if isinstance(n, ast.Name)}
        element = shared_names(node.value if isinstance(node, ast.DictComp) else node.elt)
        return set().union(*(shared_names(g.iter) for g in node.generators)) if element & own else element
    if isinstance(node, ast.Call):
        dotted = dotted_name(node.func)
        last = dotted.rpartition(".")[2]
        if last in FRESH_FUNCTIONS or (isinstance(node.func, ast.Attribute) and last in PURE_METHODS - SHARING_METHODS):
            return set()
        given = [*node.args, *(k.value for k in node.keywords)]
        owner = shared_names(node.func.value) if isinstance(node.func, ast.Attribute) else set()
        return set().union(
            owner, *(shared_names(a) for a in given if not isinstance(a, ast.Call) or last not in FRESH_FUNCTIONS)
        )
    return set()


def dotted_name(node: ast.expr) -> str:
    """``a.b["c"].d(...).e`` as ``a.b.d.e``.

    Examples
    --------
    >>> dotted_name(ast.parse("pd.read_csv('a').groupby('b').agg", mode="eval").body)
    'pd.read_csv.groupby.agg'
    """
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return f"{dotted_name(node.value)}.{node.attr}"
    if isinstance(node, ast.Subscript):
        return dotted_name(node.value)
    if isinstance(node, ast.Call):
        return dotted_name(node.func)
    return ""


def stored_names(body: Iterable[ast.AST]) -> set[str]:
    """The names that a block binds itself, not in functions and comprehensions inside it."""
    stored: set[str] = set()
    waiting = list(body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            stored.add(node.name)
            continue
        if isinstance(node, (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp, ast.Lambda)):
            stored |= {n.target.id for n in ast.walk(node) if isinstance(n, ast.NamedExpr)}
            continue
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            stored.add(node.id)
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            stored |= {a.asname or a.name.partition(".")[0] for a in node.names}
        elif (isinstance(node, ast.ExceptHandler) and node.name) or (
            isinstance(node, (ast.MatchAs, ast.MatchStar)) and node.name
        ):
            stored.add(node.name)
        waiting += ast.iter_child_nodes(node)
    return stored


def parameter_names(args: ast.arguments) -> list[str]:
    """The parameters of a function, in order."""
    every = [*args.posonlyargs, *args.args, *args.kwonlyargs]
    return [a.arg for a in every] + [a.arg for a in (args.vararg, args.kwarg) if a is not None]
