"""The shared form: cells as they were run, in steps that share the notebook's variables as its cells did.

It is what is left when functions with inputs and outputs cannot say what the notebook does: code that looks at all
variables at once, functions that bind others' names, names that exist on some paths only.
"""

from __future__ import annotations

import ast
from collections.abc import Sequence

from ..analysis.dataflow import Flow
from ..analysis.names import stored_names
from ..analysis.source import Edit, apply_edits, edit_span, indent

__all__ = ["as_function", "bound_names", "module_statements", "shared_body", "stand_apart"]


def module_statements(flows: Sequence[Flow]) -> list[str]:
    """What can only stand at the top of a module, switches of the language, and what may: star imports above all else."""
    found = [flow.statement.text for flow in flows if _at_top(flow.statement.node)] + _first_stars(flows)
    return sorted(dict.fromkeys(found), key=lambda line: "__future__" not in line)


def bound_names(flows: Sequence[Flow]) -> list[str]:
    """The names that these statements bind or delete, in order."""
    names: dict[str, None] = {}
    for flow in flows:
        node = flow.statement.node
        if not _at_top(node) and not _is_star(node):
            names |= dict.fromkeys(sorted(stored_names([node]) - {"*"}))
    return list(names)


def shared_body(flows: Sequence[Flow], every: Sequence[Flow] = ()) -> list[str]:
    """The statements of a step, one text each, with empty lines between cells and where the author has put them.

    Parameters
    ----------
    every
        The statements of all steps, to know what stands at the top of the module.
    """
    body: list[str] = []
    names = bound_names(flows)
    above = _first_stars(every or flows)
    if names:
        body += _wrapped_global(names)
    before: Flow | None = None
    for flow in flows:
        statement = flow.statement
        if _at_top(statement.node) or isinstance(statement.node, ast.Global) or statement.text in above:
            continue
        gap = stand_apart(before, flow)
        before = flow
        if _is_star(statement.node):  # no function may hold one, and further up it would bind what is not there yet
            told = _star(statement.text)
        else:
            told = _left_out(flow) if statement.opaque else _fitted(statement.text)
        body.append(("\n" if gap or not body[1:] else "") + told)
    return body


def stand_apart(before: Flow | None, flow: Flow) -> bool:
    """Whether an empty line stands between two statements: they are of two cells, or of two blocks of one."""
    if before is None:
        return False
    first, second = before.statement, flow.statement
    return first.execution is not second.execution or first.paragraph != second.paragraph


def _at_top(node: ast.stmt) -> bool:
    return isinstance(node, ast.ImportFrom) and node.module == "__future__"


def _is_star(node: ast.stmt) -> bool:
    return isinstance(node, ast.ImportFrom) and any(a.name == "*" for a in node.names)


def _star(text: str) -> str:
    """A star import where none may stand."""
    return f"exec({text!r}, globals())"


def _first_stars(flows: Sequence[Flow]) -> list[str]:
    """The star imports that stand above everything that is no import."""
    found: list[str] = []
    for flow in flows:
        if not isinstance(flow.statement.node, (ast.Import, ast.ImportFrom)):
            break
        if _is_star(flow.statement.node):
            found.append(flow.statement.text)
    return found


def _wrapped_global(names: list[str]) -> list[str]:
    lines, line = [], ""
    for name in names:
        if len(line) + len(name) > 100:
            lines.append(f"global {line}")
            line = ""
        line = f"{line}, {name}" if line else name
    return [*lines, f"global {line}"]


def _left_out(flow: Flow) -> str:
    return f"# cell {flow.statement.where}: {flow.statement.opaque} is left out, only a notebook can do it"


def _fitted(text: str) -> str:
    """A statement of a module as one of a function that shares the module's names."""
    tree = ast.parse(text)
    edits: list[Edit] = []
    waiting: list[ast.AST] = list(tree.body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)):
            continue
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            # a name that is shared can carry no annotation in a function
            if node.value is None:
                edits.append(edit_span(text, node, node, "pass"))
                continue
            edits.append(_between(text, node.target, node.value, " = "))
        elif isinstance(node, ast.ImportFrom) and _is_star(node):  # one that stands in a block
            edits.append(edit_span(text, node, node, _star(ast.unparse(node))))
            continue
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and not node.keywords:
            if node.func.id in ("locals", "vars") and not node.args:
                edits.append(edit_span(text, node.func, node.func, "globals"))
            elif node.func.id == "exec" and len(node.args) == 1:
                edits.append(edit_span(text, node, node, f"exec({ast.unparse(node.args[0])}, globals())"))
                continue
        waiting += ast.iter_child_nodes(node)
    return apply_edits(text, edits)


def _between(text: str, first: ast.AST, last: ast.AST, new: str) -> Edit:
    after = edit_span(text, first, first, "").end
    return Edit(after, edit_span(text, last, last, "").start, new)


def as_function(name: str, docstring: str, flows: Sequence[Flow], every: Sequence[Flow] = ()) -> str:
    """A step of the shared form as a function without inputs and outputs."""
    body = shared_body(flows, every) or ["pass"]
    return f"def {name}():\n" + indent("\n".join([docstring, *body]))
