"""Used tables: which data versions a cell reads, by the names in its code."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..domain.context import Context

if TYPE_CHECKING:
    from .recording import Recording

__all__ = ["describe_table", "names_bound_first", "names_read", "record_table", "record_used_tables"]

MOST_COLUMNS = 500


def record_used_tables(recording: Recording, context: Context, *, begins: bool = False) -> None:
    """Record every saved data version that a name in the cell's code stands for right now, or that it was made of in place.

    Parameters
    ----------
    begins
        The run's code has not run yet: a name that it binds before it reads it stands for something that it does not use.
    """
    namespace = recording.namespace
    if not namespace or not recording.source:
        return
    transform = context.hooks.get("transform_cell")
    names = names_read(recording.source, transform)
    if begins and not recording.automatic:  # such a run begins in the middle of its code
        names -= names_bound_first(recording.source, transform)
    for name in names:
        thing = namespace.get(name)
        origin = context.known_tables.origin(thing) if thing is not None else None
        if origin is not None:
            whole = context.known_tables.find(thing) is not None
            record_table(recording, thing, origin, "input" if whole else "source")


def record_table(recording: Recording, table: Any, known: tuple[str, str], role: str) -> None:
    """Record a saved data version, known by its ref and digest, as data of a run.

    Parameters
    ----------
    role
        What it was to the run: ``input``, ``training``, or the ``source`` of what the run used.
    """
    ref, digest = known
    recording.record("data", ref=ref, digest=digest, name=ref.partition("@")[0], role=role, **describe_table(table))


def names_read(source: str, transform: Callable[[str], str] | None = None) -> set[str]:
    """The names that a cell's code reads; code that is no Python gives every word that could be one.

    Parameters
    ----------
    transform
        Turns a cell with magics into Python.

    Examples
    --------
    >>> sorted(names_read("y = model.predict(x)"))
    ['model', 'x']
    """
    try:
        tree = ast.parse(transform(source) if transform is not None else source)
    except Exception:  # a transformer of the user's may raise anything
        return set(re.findall(r"[^\W\d]\w*", source))
    # An augmented assignment reads what it writes.
    written = {n.target.id for n in ast.walk(tree) if isinstance(n, ast.AugAssign) and isinstance(n.target, ast.Name)}
    return written | {n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)}


def names_bound_first(source: str, transform: Callable[[str], str] | None = None) -> set[str]:
    r"""The names that the code of a run binds before it reads them: inside ``with mlops.run():`` where there is one.

    Examples
    --------
    >>> names_bound_first("e = 1\nfor i in range(3):\n    with mlops.run():\n        d = load(i)\n        e = e.join(d)")
    {'d'}
    """
    try:
        tree = ast.parse(transform(source) if transform is not None else source)
    except Exception:  # as above
        return set()
    runs = [node for node in ast.walk(tree) if isinstance(node, (ast.With, ast.AsyncWith)) and _is_run(node)]
    order = _Order()
    for node in [child for run in runs for child in run.body] or tree.body:
        order.visit(node)
    return order.bound - order.needed


def _is_run(node: ast.With | ast.AsyncWith) -> bool:
    calls = [item.context_expr for item in node.items]
    return any(isinstance(c, ast.Call) and isinstance(c.func, ast.Attribute) and c.func.attr == "run" for c in calls)


class _Order(ast.NodeVisitor):
    """Goes through code as it runs: what an assignment reads comes before what it binds."""

    def __init__(self) -> None:
        self.needed: set[str] = set()
        self.bound: set[str] = set()

    def visit_Name(self, node: ast.Name) -> None:
        if not isinstance(node.ctx, ast.Load):
            self.bound.add(node.id)
        elif node.id not in self.bound:
            self.needed.add(node.id)

    def visit_Assign(self, node: ast.Assign) -> None:
        for part in (node.value, *node.targets):
            self.visit(part)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        if isinstance(node.target, ast.Name) and node.target.id not in self.bound:
            self.needed.add(node.target.id)
        self.visit(node.value)
        self.visit(node.target)

    def visit_For(self, node: ast.For) -> None:
        for part in (node.iter, node.target, *node.body, *node.orelse):
            self.visit(part)


def describe_table(table: Any) -> dict[str, Any]:
    """A table's rows and columns for an event, as far as it has such."""
    dtypes: Any = getattr(table, "dtypes", None)
    shape: Any = getattr(table, "shape", ())
    if len(shape) != 2:
        return {}
    told: dict[str, Any] = {"rows": int(shape[0]), "columns": int(shape[1])}
    if hasattr(dtypes, "items"):
        told["schema"] = [[str(name), str(kind)] for name, kind in list(dtypes.items())[:MOST_COLUMNS]]
    return told
