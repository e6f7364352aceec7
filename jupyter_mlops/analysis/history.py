"""History: IPython's own variables, ``_``, ``__``, ``_5``, ``Out[5]``, ``In[5]``, as the values they stand for.

What a cell shows gets the name that IPython gives it (``_5``), where a later cell reads it; the other ways to write it
become that name. The lines of the cells stay where they are.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from ..domain.workspace import Cell
from .source import Edit, apply_edits, edit_span

__all__ = ["with_history"]

_UNDERSCORES = ("_", "__", "___")
_COUNTED = re.compile(r"_(\d+)")
_INPUT = re.compile(r"_i(\d+)")
_INPUTS = ("_i", "_ii", "_iii")
_ANY = re.compile(r"\b(_{1,3}|_[io]h|_\d+|_i{1,3}|_i\d+|In|Out)\b")
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


def with_history(cells: Sequence[Cell], texts: Sequence[str], shown: Collection[int]) -> list[str]:
    """The cells' Python with IPython's variables resolved.

    Parameters
    ----------
    texts
        The cells as Python.
    shown
        The execution counts under which a value was shown: the keys of ``Out``.

    Examples
    --------
    >>> cells = [Cell("1 + 1", 1), Cell("2", 2), Cell("x = _ + Out[1]", 3)]
    >>> with_history(cells, [cell.source for cell in cells], {1, 2})
    ['_1 = 1 + 1', '_2 = 2', 'x = _2 + _1']
    """
    counts = [cell.count for cell in cells]
    reader = _Reader(dict(zip(counts, (cell.source for cell in cells), strict=True)), counts, shown)
    found = list(texts)
    for i, text in enumerate(texts):
        tree = _parsed(text) if _ANY.search(text) else None
        if tree is not None:
            found[i] = reader.read(counts[i], tree, text)
    for i in (i for i, count in enumerate(counts) if count in reader.wanted):
        tree = _parsed(found[i])
        name = f"_{counts[i]} = "
        last = tree.body[-1] if tree is not None and tree.body else None
        if isinstance(last, ast.Expr):
            start = edit_span(found[i], last, last, "").start
            found[i] = apply_edits(found[i], [Edit(start, start, name)])
    return found


def _parsed(text: str) -> ast.Module | None:
    try:
        return ast.parse(text)
    except (SyntaxError, ValueError):
        return None


@dataclass
class _Reader:
    """Reads cell after cell."""

    sources: dict[int, str]
    counts: list[int]
    shown: Collection[int]
    wanted: set[int] = field(default_factory=set)
    """The counts of the cells whose value is read later."""
    own: set[str] = field(default_factory=set)
    """Names of IPython's that the user has bound: IPython lets go of them."""
    inputs: list[str] = field(default_factory=list)
    """The sources of the cells before, the last first."""

    def read(self, count: int, tree: ast.Module, text: str) -> str:
        edits: list[Edit] = []
        earlier = self.counts[: self.counts.index(count)]
        self.inputs = [self.sources[c] for c in reversed(earlier[-len(_INPUTS) :])]
        self._visit(tree, frozenset(), text, [c for c in earlier if c in self.shown], edits)
        self.own |= _bound_at_top(tree)
        return apply_edits(text, edits)

    def _visit(self, node: ast.AST, hidden: frozenset[str], text: str, before: list[int], edits: list[Edit]) -> None:
        new = self._resolved(node, hidden, before)
        if new:
            edits.append(edit_span(text, node, node, new))
            return
        if isinstance(node, _FUNCTIONS):
            inside = {n.arg for n in ast.walk(node.args) if isinstance(n, ast.arg)}
            inside |= {n.id for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
            hidden |= inside
        elif isinstance(node, _COMPREHENSIONS):
            targets = [n for g in node.generators for n in ast.walk(g.target)]
            hidden |= {n.id for n in targets if isinstance(n, ast.Name)}
        for child in ast.iter_child_nodes(node):
            self._visit(child, hidden, text, before, edits)

    def _resolved(self, node: ast.AST, hidden: frozenset[str], before: list[int]) -> str:
        """What stands for a node; empty where it stays."""
        if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name) and isinstance(node.ctx, ast.Load):
            key = node.slice.value if isinstance(node.slice, ast.Constant) else None
            if isinstance(key, int) and node.value.id in ("Out", "_oh") and node.value.id not in self.own:
                return self._value(key)
            if isinstance(key, int) and node.value.id in ("In", "_ih") and node.value.id not in self.own:
                return repr(self.sources[key]) if key in self.sources else ""
        if isinstance(node, ast.Compare) and len(node.ops) == 1 and isinstance(node.left, ast.Constant):
            right = node.comparators[0]
            if isinstance(right, ast.Name) and right.id in ("Out", "_oh") and right.id not in self.own:
                there = node.left.value in before
                held = {ast.In: there, ast.NotIn: not there}.get(type(node.ops[0]))
                return "" if held is None else str(held)
        if not isinstance(node, ast.Name) or not isinstance(node.ctx, ast.Load) or node.id in hidden | self.own:
            return ""
        if node.id in _UNDERSCORES and not self.own & set(_UNDERSCORES):
            back = len(node.id)
            return self._value(before[-back]) if len(before) >= back else "''"  # as IPython begins
        if node.id in _INPUTS:
            return repr(dict(zip(_INPUTS, self.inputs, strict=False)).get(node.id, ""))
        counted, given = _COUNTED.fullmatch(node.id), _INPUT.fullmatch(node.id)
        if counted:
            return self._value(int(counted[1]))
        return repr(self.sources[int(given[1])]) if given and int(given[1]) in self.sources else ""

    def _value(self, count: int) -> str:
        if count not in self.shown or count not in self.sources:
            return ""
        self.wanted.add(count)
        return f"_{count}"


def _bound_at_top(tree: ast.Module) -> set[str]:
    """The names of IPython's that a cell binds outside of functions and comprehensions."""
    found: set[str] = set()
    waiting: list[ast.AST] = list(tree.body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, (*_FUNCTIONS, *_COMPREHENSIONS, ast.ClassDef)):
            continue
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) and node.id in (*_UNDERSCORES, "In", "Out"):
            found.add(node.id)
        waiting += ast.iter_child_nodes(node)
    return found
