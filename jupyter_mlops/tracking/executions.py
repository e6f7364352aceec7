"""Executions: what has run in the kernel, and the cells of the notebook as they stand now."""

from __future__ import annotations

import ast
import hashlib
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..analysis.magic_lines import forgiving, plain_transform
from ..analysis.notebook_file import NotebookFile
from ..domain.context import Context
from ..domain.workspace import Cell
from ..errors import MLOpsError

__all__ = [
    "Standing",
    "cell_key",
    "executed",
    "find",
    "overlay",
    "same_code",
    "standing_cells",
    "star_names",
    "transform_of",
]


@dataclass(frozen=True)
class Standing:
    """A code cell as it stands in the notebook now."""

    id: str
    source: str


def executed(context: Context) -> list[Cell]:
    """What has run in this kernel, oldest first, with what IPython remembers of the time before the extension was loaded."""
    known = {cell.count for cell in context.cells}
    first = min(known, default=1 << 60)
    history = (context.namespace or {}).get("In")
    earlier = [
        Cell(source, count, outcome="ok")
        for count, source in enumerate(history if isinstance(history, list) else [])
        if source and count < first
    ]
    return [*earlier, *context.cells]


def transform_of(context: Context) -> Callable[[str], str]:
    """Turns a cell with magics into Python."""
    return forgiving(context.hooks.get("transform_cell", plain_transform))


def standing_cells(context: Context, cells: Sequence[Cell], notebook: str = "") -> list[Standing] | None:
    """The code cells of a notebook (the kernel's own, if none is named) in their order, None where its file is not known.

    What ran after the file was saved counts as it ran; a cell that the file does not have yet stands behind the one
    that ran before it.
    """
    named = notebook or context.notebook.path
    if not named:
        return None
    path = Path(named)
    path = path if path.is_file() else context.workspace.root / path
    try:
        file = NotebookFile.read(path, lambda source: source)
    except MLOpsError:
        return None
    return overlay([Standing(cell.id, cell.source) for cell in file.cells], file.saved_ms, cells)


def overlay(standing: list[Standing], saved_ms: int, cells: Iterable[Cell]) -> list[Standing]:
    """The cells of a file with what ran since it was saved.

    Examples
    --------
    >>> file = [Standing("a", "x = 1"), Standing("b", "y = x")]
    >>> ran = [Cell("x = 2", 1, "a", 20, outcome="ok"), Cell("z = x", 2, "c", 21, outcome="ok")]
    >>> [cell.source for cell in overlay(file, 10, ran)]
    ['x = 2', 'z = x', 'y = x']
    """
    found = list(standing)
    before = -1
    for cell in cells:
        place = find(found, cell)
        if cell.started_ms > saved_ms:
            if place is None:
                place = before + 1 if before >= 0 else len(found)
                found.insert(place, Standing(cell.id, cell.source))
            elif cell.id and found[place].id == cell.id:
                found[place] = Standing(cell.id, cell.source)
        before = place if place is not None else before
    return found


def find(standing: Sequence[Standing], cell: Cell) -> int | None:
    """Where a cell that ran stands: by its id, else by its source; None if it is there no more."""
    if cell.id:
        for place, there in enumerate(standing):
            if there.id == cell.id:
                return place
        if ":" not in cell.id and any(there.id for there in standing):
            return None  # ids of one kind: another id is another cell, whatever it holds; VS Code's are of another
    same = [place for place, there in enumerate(standing) if there.source.strip() == cell.source.strip()]
    return same[0] if same else None


def same_code(one: str, other: str, transform: Callable[[str], str]) -> bool:
    """Whether two cells do the same; comments and layout make no difference.

    Examples
    --------
    >>> same_code("x = 1  # one", "x=1", str), same_code("x = 1", "x = 2", str)
    (True, False)
    """
    if one.strip() == other.strip():
        return True
    try:
        return ast.dump(ast.parse(transform(one))) == ast.dump(ast.parse(transform(other)))
    except Exception:  # no Python, or a transformer of the user's that raises
        return False


def cell_key(cell: Cell | None, source: str) -> str:
    """What is the same when a cell runs again: its id, else a digest of its code."""
    if cell is not None and cell.id:
        return cell.id
    return "source:" + hashlib.sha256(source.strip().encode()).hexdigest()[:24] if source.strip() else ""


def star_names(module: str) -> list[str]:
    """What ``from module import *`` binds, of a module that is loaded."""
    held: Any = sys.modules.get(module)
    if held is None:
        return []
    return list(getattr(held, "__all__", None) or [name for name in vars(held) if not name.startswith("_")])
