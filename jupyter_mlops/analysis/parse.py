"""Parsing: executed cells to Python statements, in the order in which they ran.

All executions count, not only the last of each cell: only so does the trace give the values that the kernel holds.
"""

from __future__ import annotations

import ast
import builtins
import keyword
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, count
from typing import Any

from ..domain.workspace import Cell
from .evidence import CellEvidence
from .history import with_history
from .magic_lines import (
    Magic,
    find_magic,
    given_value,
    plain_transform,
    read_magic,
    seen_runs,
    shell_call,
    timed_result,
    timed_runs,
)
from .names import stored_names
from .own_lines import NAMES, Own, Scope, metric_calls, metric_name, read_line
from .source import Edit, Segment, apply_edits, edit_span, indent, segments
from .trace import Execution, Statement, Trace

__all__ = ["parse_cells", "parse_statement"]

_HISTORY = frozenset(("In", "Out", "_ih", "_oh", "_dh"))
IMPORT_OURS = "import jupyter_mlops as mlops"


def parse_cells(
    cells: Sequence[Cell],
    *,
    transform: Callable[[str], str] = plain_transform,
    taken: Mapping[str, Any] | None = None,
    evidence: Mapping[int, CellEvidence] | None = None,
    keep_shown: bool = False,
    shown: Collection[int] | None = (),
) -> Trace:
    r"""Read executed cells.

    Parameters
    ----------
    transform
        IPython's ``transform_cell`` where there is one.
    taken
        Names that may not be given to anything new.
    evidence
        What the cells were seen to do, by execution count.
    keep_shown
        Leave statements that show a metric as they are, rather than keep what they show under a name.
    shown
        The execution counts under which IPython keeps a value that was shown; None leaves ``_`` and the like as they are.

    Examples
    --------
    >>> trace = parse_cells([Cell("x = 1  # one\n%matplotlib inline\nx", 1, outcome="ok")])
    >>> [s.text for s in trace.statements], trace.shown
    (['x = 1  # one', 'x'], {'%matplotlib': ['[1]']})
    """
    trace = Trace()
    texts = [transform(cell.source) for cell in cells]
    texts = texts if shown is None else with_history(cells, texts, shown)
    parsed = [_parsed(text, transform) for text in texts]
    found = [n for _, body in parsed for node in body or () for n in ast.walk(node) if isinstance(n, ast.Name)]
    names = {*(taken or ()), *(n.id for n in found)}
    stored = {n.id for n in found if isinstance(n.ctx, ast.Store)}
    read = {n.id for n in found if isinstance(n.ctx, ast.Load)}
    scope = Scope({"mlops"} if "mlops" in names else set())
    for cell, (text, body) in zip(cells, parsed, strict=True):
        if body is None:
            if cell.outcome == "ok":
                trace.shown.setdefault("what is no Python", []).append(f"[{cell.count}]")
            continue
        execution = Execution(cell, text, evidence=(evidence or {}).get(cell.count))
        trace.executions.append(execution)
        reader = _Reader(trace, execution, scope, transform, names, keep_shown, read, _HISTORY - stored)
        reader.block(text, body, in_run=False)
    return trace


def parse_statement(text: str, execution: Execution, **more: Any) -> Statement:
    """A statement that stands in no cell, to be put into an execution."""
    return Statement(text, ast.parse(text).body[0], execution, **more)


def _parsed(text: str, transform: Callable[[str], str]) -> tuple[str, list[ast.stmt] | None]:
    """A cell as Python; a lone line may be a magic without its percent sign."""
    for source in (text, transform(f"%{text.strip()}") if re.match(r"\s*[a-z_0-9]+ [^=\n]*\s*$", text) else ""):
        try:
            body = ast.parse(source).body
        except (SyntaxError, ValueError):
            continue
        if source:
            return source, body
    return text, [] if not text.strip() else None


@dataclass
class _Reader:
    """Reads one execution."""

    trace: Trace
    execution: Execution
    scope: Scope
    transform: Callable[[str], str]
    taken: set[str]
    keep_shown: bool = False
    read: set[str] = field(default_factory=set)
    """Names that some cell reads."""
    history: frozenset[str] = frozenset()
    """Names under which only a notebook knows what it has shown."""
    over: bool = False
    depth: int = 0
    source: str = ""
    paragraph: int = 0
    fails_at: tuple[int, int] = (0, 0)
    """The depth of the block, and the line of its text, at which the execution failed."""

    def __post_init__(self) -> None:
        seen = self.execution.evidence
        if self.execution.settled and seen is not None:
            self.fails_at = 1, seen.error_line

    def block(self, source: str, body: list[ast.stmt], *, in_run: bool) -> None:
        """Read the statements of a block; `source` is the text they were parsed from."""
        self.source = source
        self.depth += 1
        for segment, node in zip(segments(source, body), body, strict=True):
            self.paragraph += segment.apart
            if not self.over and not self._fails(segment, node, in_run=in_run):
                self._statement(source, segment, node, in_run=in_run)
        self.depth -= 1

    def _fails(self, segment: Segment, node: ast.stmt, *, in_run: bool) -> bool:
        """Whether this is where the cell failed: it is kept so that it may fail again, and what follows never ran."""
        depth, line = self.fails_at
        seen = self.execution.evidence
        if seen is None or self.depth != depth or not node.lineno <= line <= (node.end_lineno or node.lineno):
            return False
        magic = find_magic(node.value) if isinstance(node, ast.Expr) else None
        if magic is not None and magic.name == "time" and magic.body and seen.body_line:
            self.fails_at = self.depth + 1, seen.body_line
            self._code(magic.body, in_run=in_run)
            self.over = True
            return True
        name = seen.error if isinstance(getattr(builtins, seen.error, None), type) else "Exception"
        text = self._within(segment.text)[0]
        if (
            text
            and "get_ipython" not in text
            and not self.history & {n.id for n in ast.walk(node) if isinstance(n, ast.Name)}
        ):
            self._once("from contextlib import suppress", segment.line)
            self._keep(
                f"with suppress({name}):  # it fails in the notebook too\n{indent(text)}",
                segment.line,
                in_run=in_run,
                failed=True,
            )
        self.over = True
        return True

    def _statement(self, source: str, segment: Segment, node: ast.stmt, *, in_run: bool) -> None:
        self.scope.note(node)
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
        if isinstance(node, ast.Expr) and not self.keep_shown and metric_calls(node.value):
            for call in metric_calls(node.value):
                self.trace.metrics.append(self._named(metric_name(call), call, segment, in_run=in_run))
            return
        text, opaque, recorded = self._within(segment.text)
        if not opaque:
            opaque = next((n.id for n in ast.walk(node) if isinstance(n, ast.Name) and n.id in self.history), "")
        if text:
            self._keep(text, segment.line, in_run=in_run or recorded, opaque=opaque)

    def _keep(self, text: str, line: int, **more: Any) -> Statement:
        node = ast.parse(text).body[0]
        statement = Statement(text, node, self.execution, line, paragraph=self.paragraph, **more)
        self.execution.statements.append(statement)
        return statement

    def _once(self, text: str, line: int) -> None:
        """Keep an import of ours, where none of the cells before has it."""
        if not any(text == s.text for s in self.trace.statements):
            self._keep(text, line)

    def _magic(self, segment: Segment, node: ast.stmt, magic: Magic, *, in_run: bool) -> None:
        bound = _targets(node)
        if magic.name in NAMES:
            if magic.body is not None:
                own = read_line(magic.line)
                if own.binds and own.title == "%mlops run":  # as `with mlops.run() as NAME` does
                    self.scope.runs.add(own.binds)
                self._code(magic.body, in_run=True)  # the body is what counts
                return
            self._own(segment, node, read_line(magic.line), in_run=in_run)
            return
        if bound and magic.name in ("!", "sx", "system") and magic.body is None:
            self._code(
                f"import subprocess\n{bound} = {shell_call(magic.line, lines=True)}", in_run=in_run, magic=magic.title
            )
            return
        if magic.name == "run" and magic.body is None and self._ran(magic, in_run=in_run):
            return
        held = magic.line.split()[-1] if magic.name == "capture" and magic.line.strip() else ""
        if held in self.read and magic.body is not None:
            code = f"from IPython.utils.capture import capture_output\nwith capture_output() as {held}:\n"
            self._code(code + indent(magic.body), in_run=in_run, magic=magic.title)
            return
        if magic.name == "timeit" and bound and magic.body is None:
            self._code(
                timed_result(bound, magic.line, cell=self.execution.cell.count), in_run=in_run, magic=magic.title
            )
            return
        if magic.name == "timeit" and self._timed(magic, in_run=in_run):
            return
        value = given_value(magic) if bound else ""
        meaning = read_magic(magic)
        if value:
            self._code(f"import os\n{bound} = {value}", in_run=in_run, magic=magic.title)
        elif meaning.kind == "code" and not (bound and "\n" in meaning.code):
            self._code(f"{bound} = {meaning.code}" if bound else meaning.code, in_run=in_run, magic=_named_magic(magic))
        elif meaning.kind == "shown" and not bound:
            self.trace.shown.setdefault(magic.title, []).append(f"[{self.execution.cell.count}]")
        else:
            self._keep(segment.text, segment.line, in_run=in_run, opaque=magic.title)

    def _code(self, code: str, *, in_run: bool, magic: str = "") -> None:
        text = self.transform(code)
        first = len(self.execution.statements)
        outer = self.source
        self.block(text, ast.parse(text).body, in_run=in_run)
        self.source = outer
        if magic:
            made = self.execution.statements
            made[first:] = [replace(statement, magic=magic) for statement in made[first:]]

    def _ran(self, magic: Magic, *, in_run: bool) -> bool:
        """Keep ``%run file.py`` as the call that runs the file, and binds what it was seen to bind."""
        seen = self.execution.evidence
        found = re.fullmatch(r"(-[in]\s+)?([\w./-]*?(\w+)\.py)", magic.line.strip())
        if seen is None or found is None or self.execution.text.count("run_line_magic('run'") > 1:
            return False
        option, file, stem = found.groups()
        shares = ", init_globals={**globals(), **locals()}" if option and "i" in option else ""
        run_name = stem if option and "n" in option else "__main__"
        call = f'runpy.run_path({file!r}{shares}, run_name="{run_name}")'
        names = sorted(seen.bound - stored_names(ast.parse(self.execution.text).body))
        ran = self._free(f"ran_{stem}")
        lines = [f"{ran} = {call}", *(f"{n} = {ran}[{n!r}]" for n in names)] if names else [call]
        self._code("import runpy\n" + "\n".join(lines), in_run=in_run, magic=magic.title)
        return True

    def _timed(self, magic: Magic, *, in_run: bool) -> bool:
        """Keep ``%timeit`` where it was seen to change a variable, as often as it was seen, or told, to run."""
        seen = self.execution.evidence
        if seen is None or not seen.changed:
            return False
        runs = timed_runs(magic, seen_runs(magic, self.execution.text, seen.timed))
        if runs is None:
            changed = ", ".join(sorted(seen.changed))
            told = (
                f"{magic.title} in [{self.execution.cell.count}] was seen to change {changed}, as many times as the clock "
                "let it: no pipeline can give that value; `-n` and `-r` fix the number"
            )
            self.trace.unsure += [told] if told not in self.trace.unsure else []
            self.trace.timed.setdefault(self.execution.cell.count, set()).update(seen.changed)
            return False
        times, body = runs
        name = self._free(f"timed_{self.execution.cell.count}")
        self._code(
            f"def {name}():\n    for {name}_run in range({times}):\n{indent(indent(body))}\n{name}()",
            in_run=in_run,
            magic=magic.title,
        )
        return True

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
        free = self._free(name)
        return self._keep(f"{free} = {self._written(value)}", segment.line, in_run=in_run, metric=free)

    def _free(self, name: str) -> str:
        """A name that nothing else has, as near to this one as can be."""
        free = next(n for n in chain((name,), (f"{name}_{i}" for i in count(2))) if n not in self.taken)
        self.taken.add(free)
        return free

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
        if "__builtins__" in text:  # the module in a notebook, a dict in a module that is imported
            self._once("import builtins as __builtins__", 1)
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
            elif (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Name)
                and node.func.id == "display"
                and not self.scope.own_display
            ):
                if node.keywords:  # what it gives is used further down
                    self._once("from IPython.display import display", 1)
                else:
                    edits.append(edit_span(text, node.func, node.func, "print"))
            elif (magic := find_magic(node)) is not None and magic.name == "!" and magic.line:
                called = (
                    isinstance(node, ast.Call)
                    and isinstance(node.func, ast.Attribute)
                    and node.func.attr == "getoutput"
                )
                edits.append(edit_span(text, node, node, shell_call(magic.line, lines=called)))
                self._once("import subprocess", 1)
        if recorded:
            self._once("from contextlib import nullcontext", 1)
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


def _named_magic(magic: Magic) -> str:
    """The title of a magic whose code is another one than what was written."""
    return "" if magic.name in ("time", "prun", "capture", "env", "set_env") else magic.title


def _is_shown(magic: Magic) -> bool:
    if magic.name in NAMES:
        return magic.body is None and read_line(magic.line).kind == "action"
    return read_magic(magic).kind == "shown"


def _targets(node: ast.stmt) -> str:
    """The left side of an assignment, as written."""
    return " = ".join(ast.unparse(target) for target in node.targets) if isinstance(node, ast.Assign) else ""


def _bindable(node: ast.stmt, bound: str) -> str:
    return ast.unparse(node) if isinstance(node, ast.Assign) else f"{bound} = None"
