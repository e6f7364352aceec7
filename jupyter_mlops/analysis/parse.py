"""Parsing: executed cells to Python statements, in the order in which they ran.

All executions count, not only the last of each cell: only so does the trace give the values that the kernel holds.
"""

from __future__ import annotations

import ast
import keyword
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..domain.workspace import Cell
from .magic_lines import Magic, find_magic, plain_transform, read_magic
from .own_lines import NAMES, Own, Scope, metric_calls, metric_name, read_line
from .source import Edit, Segment, apply_edits, edit_span, segments

__all__ = ["Execution", "Statement", "Trace", "parse_cells"]

IMPORT_OURS = "import jupyter_mlops as mlops"


@dataclass(frozen=True)
class Statement:
    """One statement of one execution.

    Parameters
    ----------
    node
        `text`, parsed.
    in_run
        It ran inside a run that was recorded.
    opaque
        The name of what in it only a notebook can do: ``%%bash``. Empty for plain Python.
    metric
        The name under which a value that the notebook only logged or showed is kept.
    """

    text: str
    node: ast.stmt
    execution: Execution = field(repr=False)
    line: int = 1
    in_run: bool = False
    opaque: str = ""
    metric: str = ""

    @property
    def where(self) -> str:
        """The cell as the notebook numbers it."""
        return f"[{self.execution.cell.count}]"


@dataclass(frozen=True, eq=False)
class Execution:
    """One execution of one cell."""

    cell: Cell
    text: str
    """The cell as Python."""
    statements: list[Statement] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether all of it ran; a cell that runs right now has come as far as the line that asks."""
        return self.cell.outcome in ("ok", "running")


@dataclass
class Trace:
    """What was executed, and what was read off it besides."""

    executions: list[Execution] = field(default_factory=list)
    logged: list[str] = field(default_factory=list)
    """Names of what was logged or registered."""
    metrics: list[Statement] = field(default_factory=list)
    """Metrics that were only shown, each kept under a name."""
    shown: dict[str, list[str]] = field(default_factory=dict)
    """What was left out because it only shows: title to cells."""
    actions: dict[str, list[str]] = field(default_factory=dict)
    """What was left out because it acts on the workspace: title to cells."""
    uses_ours: bool = False

    @property
    def statements(self) -> list[Statement]:
        """All statements in the order in which they ran."""
        return [statement for execution in self.executions for statement in execution.statements]


def parse_cells(
    cells: Sequence[Cell],
    *,
    transform: Callable[[str], str] = plain_transform,
    taken: Mapping[str, Any] | None = None,
) -> Trace:
    r"""Read executed cells.

    Parameters
    ----------
    transform
        IPython's ``transform_cell`` where there is one.
    taken
        Names that may not be given to anything new.

    Examples
    --------
    >>> trace = parse_cells([Cell("x = 1  # one\n%matplotlib inline\nx", 1, outcome="ok")])
    >>> [s.text for s in trace.statements], trace.shown
    (['x = 1  # one', 'x'], {'%matplotlib': ['[1]']})
    """
    trace = Trace()
    texts = [transform(cell.source) for cell in cells]
    names = set(taken or ())
    for text in texts:
        try:
            names |= {n.id for n in ast.walk(ast.parse(text)) if isinstance(n, ast.Name)}
        except SyntaxError:
            continue
    scope = Scope({"mlops"} if "mlops" in names else set())
    for cell, text in zip(cells, texts, strict=True):
        execution = Execution(cell, text)
        try:
            body = ast.parse(text).body
        except SyntaxError:
            if cell.outcome == "ok":
                trace.shown.setdefault("what is no Python", []).append(f"[{cell.count}]")
            continue
        trace.executions.append(execution)
        _Reader(trace, execution, scope, transform, names).block(text, body, in_run=False)
    return trace


@dataclass
class _Reader:
    """Reads one execution."""

    trace: Trace
    execution: Execution
    scope: Scope
    transform: Callable[[str], str]
    taken: set[str]
    over: bool = False
    source: str = ""

    def block(self, source: str, body: list[ast.stmt], *, in_run: bool) -> None:
        """Read the statements of a block; `source` is the text they were parsed from."""
        self.source = source
        for segment, node in zip(segments(source, body), body, strict=True):
            if not self.over:
                self._statement(source, segment, node, in_run=in_run)

    def _statement(self, source: str, segment: Segment, node: ast.stmt, *, in_run: bool) -> None:
        self.scope.note_import(node)
        if isinstance(node, (ast.With, ast.AsyncWith)) and self.scope.enter(node):
            self.block(source, node.body, in_run=True)
            return
        if isinstance(node, ast.If) and ast.unparse(node.test) == "__name__ == '__main__'":
            self.block(source, node.body, in_run=in_run)  # a notebook always is
            return
        value = getattr(node, "value", None) if isinstance(node, (ast.Expr, ast.Assign)) else None
        magic = find_magic(value) if value is not None else None
        if magic is not None:
            self._magic(segment, node, magic, in_run=in_run)
            return
        own = self.scope.read_call(value) if value is not None else None
        if own is not None:
            self._own(segment, node, own, in_run=in_run)
            return
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            return  # a loose string or number
        if isinstance(node, ast.Expr) and metric_calls(node.value):
            for call in metric_calls(node.value):
                self.trace.metrics.append(self._named(metric_name(call), call, segment, in_run=in_run))
            return
        text, opaque, recorded = self._within(segment.text)
        if text:
            self._keep(text, segment.line, in_run=in_run or recorded, opaque=opaque)

    def _keep(self, text: str, line: int, **more: Any) -> Statement:
        node = ast.parse(text).body[0]
        statement = Statement(text, node, self.execution, line, **more)
        self.execution.statements.append(statement)
        return statement

    def _magic(self, segment: Segment, node: ast.stmt, magic: Magic, *, in_run: bool) -> None:
        bound = _targets(node)
        if magic.name in NAMES:
            if magic.body is not None:
                self._code(magic.body, in_run=True)  # %%mlops run: the body is what counts
                return
            self._own(segment, node, read_line(magic.line), in_run=in_run)
            return
        meaning = read_magic(magic)
        if meaning.kind == "code":
            self._code(f"{bound} = {meaning.code}" if bound else meaning.code, in_run=in_run)
        elif meaning.kind == "shown" and not bound:
            self.trace.shown.setdefault(magic.title, []).append(f"[{self.execution.cell.count}]")
        else:
            self._keep(segment.text, segment.line, in_run=in_run, opaque=magic.title)

    def _code(self, code: str, *, in_run: bool) -> None:
        text = self.transform(code)
        self.block(text, ast.parse(text).body, in_run=in_run)

    def _own(self, segment: Segment, node: ast.stmt, own: Own, *, in_run: bool) -> None:
        bound = _targets(node) or own.binds
        if own.kind == "code":
            self.trace.uses_ours = True
            if bound:
                self._keep(IMPORT_OURS, segment.line)
                self._keep(f"{bound} = {own.code}" if _targets(node) else own.code, segment.line, in_run=in_run)
            return
        for name, value in own.results:
            known = value.id if isinstance(value, ast.Name) else ""
            self.trace.logged.append(known or self._named(name, value, segment, in_run=in_run).metric)
        if self.execution.cell.outcome == "running" and "export" in own.title:
            self.over = True  # what stands below has not run yet
        if own.kind == "results":
            return
        if bound:
            self._keep(_bindable(node, bound), segment.line, in_run=in_run, opaque=own.title)
        else:
            self.trace.actions.setdefault(own.title, []).append(f"[{self.execution.cell.count}]")

    def _named(self, name: str, value: ast.expr, segment: Segment, *, in_run: bool) -> Statement:
        """Keep what was logged or shown under a name of its own."""
        name = f"{name}_" if keyword.iskeyword(name) else name
        free = next(n for n in (name, *(f"{name}_{i}" for i in range(2, 10_000))) if n not in self.taken)
        self.taken.add(free)
        return self._keep(f"{free} = {self._written(value)}", segment.line, in_run=in_run, metric=free)

    def _written(self, value: ast.expr) -> str:
        """An expression as the author wrote it; Python 3.11 does not tell where it stands inside an f-string."""
        text = ast.get_source_segment(self.source, value) or ""
        try:
            same = ast.dump(ast.parse(text, mode="eval").body) == ast.dump(value)
        except SyntaxError:
            same = False
        return text if same else ast.unparse(value)

    def _within(self, text: str) -> tuple[str, str, bool]:
        """Mend what stands inside a statement: runs, logging, displays and magics in loops and functions."""
        if not any(
            word in text for word in ("get_ipython", "display", *self.scope.ours, *self.scope.mlflow, *self.scope.runs)
        ):
            return text, "", False
        tree = ast.parse(text)
        edits: list[Edit] = []
        recorded = False
        for block in _blocks(tree):
            dropped = [node for node in block if self._drops(node)]
            edits += [_removal(text, node, whole=i > 0 or len(dropped) < len(block)) for i, node in enumerate(dropped)]
        for node in ast.walk(tree):
            if isinstance(node, (ast.With, ast.AsyncWith)) and self.scope.enter(node):
                recorded = True
                last = node.items[-1]
                edits.append(
                    edit_span(
                        text, node.items[0].context_expr, last.optional_vars or last.context_expr, "nullcontext()"
                    )
                )
            elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "display":
                edits.append(edit_span(text, node.func, node.func, "print"))
        if recorded:
            self._keep("from contextlib import nullcontext", 1)
        text = apply_edits(text, _outermost(edits)).rstrip()
        magics = (find_magic(node) for node in ast.walk(ast.parse(text)))
        return text, next((magic.title for magic in magics if magic is not None), ""), recorded

    def _drops(self, node: ast.stmt) -> bool:
        """Whether a statement inside another one is no part of a pipeline; remembers what it logs."""
        if isinstance(node, (ast.With, ast.AsyncWith)):
            self.scope.enter(node)
        if not isinstance(node, ast.Expr):
            return False
        magic, own = find_magic(node.value), self.scope.read_call(node.value)
        if own is not None:
            self.trace.logged += [value.id for _, value in own.results if isinstance(value, ast.Name)]
        return own is not None or (magic is not None and _is_shown(magic))


def _blocks(tree: ast.AST) -> Iterator[list[ast.stmt]]:
    for node in ast.walk(tree):
        for name in ("body", "orelse", "finalbody"):
            block = getattr(node, name, None)
            if isinstance(block, list):
                yield block


def _removal(text: str, node: ast.stmt, *, whole: bool) -> Edit:
    """Take a statement out, with its line if it has that for itself; else put a ``pass`` there."""
    edit = edit_span(text, node, node, "pass")
    begin = text.rfind("\n", 0, edit.start)
    end = text.find("\n", edit.end)
    end = len(text) if end < 0 else end
    own_line = begin >= 0 and not text[begin : edit.start].strip() and not text[edit.end : end].strip()
    return Edit(begin, end, "") if whole and own_line else edit


def _outermost(edits: list[Edit]) -> list[Edit]:
    return [e for e in edits if not any(o is not e and o.start <= e.start and e.end <= o.end for o in edits)]


def _is_shown(magic: Magic) -> bool:
    if magic.name in NAMES:
        return magic.body is None and read_line(magic.line).kind == "action"
    return read_magic(magic).kind == "shown"


def _targets(node: ast.stmt) -> str:
    """The left side of an assignment, as written."""
    return " = ".join(ast.unparse(target) for target in node.targets) if isinstance(node, ast.Assign) else ""


def _bindable(node: ast.stmt, bound: str) -> str:
    return ast.unparse(node) if isinstance(node, ast.Assign) else f"{bound} = None"
