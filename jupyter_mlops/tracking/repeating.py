"""Repeating: statements that give the same however often they run, as cells do that are run again after an edit below them."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from ..analysis.dataflow import RANDOM, Flow

if TYPE_CHECKING:
    from .provenance import Maker

__all__ = ["FITS", "refitted", "says_again"]

FITS = ("fit", "fit_transform", "fit_predict")
BEGIN_ANEW = ("sklearn", "lightgbm", "xgboost")
"""Libraries whose estimators forget an earlier fit."""


class _Column(NamedTuple):
    """A column that a statement sets out of others: ``df["b"] = df["a"] * k``."""

    table: str
    name: str
    used: frozenset[str]


def refitted(flow: Flow, live: Mapping[str, Any]) -> str:
    """The variable that a statement fits and whose earlier fits leave no trace in it; empty for none.

    Parameters
    ----------
    live
        The kernel's variables: an estimator with a warm start goes on from where it was.
    """
    call = getattr(flow.statement.node, "value", None)
    if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Attribute) or call.func.attr not in FITS:
        return ""
    owner = call.func.value
    given = [*call.args, *(keyword.value for keyword in call.keywords)]
    if not isinstance(owner, ast.Name) or any(owner.id in _names(one) for one in given):
        return ""
    held: Any = live.get(owner.id)
    try:
        warm = any(value and name.endswith("warm_start") for name, value in held.get_params().items())
    except Exception:  # no estimator, or whatever a user's object does
        return ""
    return owner.id if not warm and type(held).__module__.partition(".")[0] in BEGIN_ANEW else ""


def says_again(maker: Maker, makers: Mapping[str, Maker]) -> bool:
    """Whether a statement sets a column to what the same statement has set it to before.

    What has been set since are other columns, none of which it uses.
    """
    column = _column(maker.flow)
    if column is None:
        return False
    before = makers.get(maker.reads.get(column.table, ""))
    while before is not None and (other := _column(before.flow)) is not None and other.table == column.table:
        if other == column and before.flow.statement.text == maker.flow.statement.text:
            return _reads(before, column.table) == _reads(maker, column.table)
        if other.name == column.name or other.name in column.used:
            return False
        before = makers.get(before.reads.get(column.table, ""))
    return False


def _column(flow: Flow) -> _Column | None:
    node = flow.statement.node
    if not isinstance(node, ast.Assign) or len(node.targets) != 1:
        return None
    target, outside = node.targets[0], flow.effects.outside
    if not isinstance(target, ast.Subscript) or not isinstance(target.value, ast.Name):
        return None
    table, names = target.value.id, _keys(target.slice)
    pure = flow.effects.mutates == {table} and not flow.maybe and RANDOM not in flow.reads | flow.mutates
    if len(names) != 1 or not pure or outside.files_read or outside.files_written or flow.statement.opaque:
        return None
    used: set[str] = set()
    known: set[int] = set()
    for part in ast.walk(node.value):
        if isinstance(part, ast.Subscript) and isinstance(part.value, ast.Name) and part.value.id == table:
            keys = _keys(part.slice)
            used |= keys
            known |= {id(part.value)} if keys else set()
        elif isinstance(part, ast.Name) and part.id == table and id(part) not in known:
            return None  # the table as a whole, in which the column itself is
    (name,) = names
    return None if name in used else _Column(table, name, frozenset(used))


def _keys(node: ast.expr) -> set[str]:
    """The names of columns in brackets: ``"a"`` or ``["a", "b"]``; none where they are worked out."""
    parts = node.elts if isinstance(node, ast.List) else [node]
    found = {part.value for part in parts if isinstance(part, ast.Constant) and isinstance(part.value, str)}
    return found if len(found) == len(parts) else set()


def _reads(maker: Maker, table: str) -> dict[str, str]:
    return {name: key for name, key in maker.reads.items() if name != table}


def _names(node: ast.expr) -> set[str]:
    return {part.id for part in ast.walk(node) if isinstance(part, ast.Name)}
