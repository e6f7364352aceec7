"""File times: what a run's cells have read or imported from outside that is no longer what it was then.

A file's time of change (``ctime``) moves with every write and with a rename over it, and no program sets it back; a file
whose time lies behind the end of the cell that read it is another one now, or may be. What the cells that ran have
written themselves is left to their provenance.
"""

from __future__ import annotations

import ast
import glob
import os
import re
import sys
import sysconfig
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..analysis.dataflow import Flow
from ..analysis.outside import ANY_FILE
from ..domain.workspace import Cell
from .provenance import Maker, Provenance

__all__ = ["Outside"]

DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)

READERS = re.compile(r"read_\w+|open|load|loadtxt|genfromtxt|fromfile|memmap|loadmat|Path|scan_\w+")
RELOAD = re.compile(r"\breload\s*\(|%aimport")
A_FILE = re.compile(r"[^\n{}<>|]+\.\w{1,12}")
MOST_MATCHES = 1_000
PATH_NAMES = ("file", "filename", "fname", "path", "filepath_or_buffer", "source", "io")


class Outside:
    """What statements have read from outside the kernel that is another one now.

    Parameters
    ----------
    live
        The kernel's variables.
    here
        The kernel's current folder, from which files are looked at; None looks at none.
    moved
        Says of a cell, by its number, which names of data versions it loaded by that lead to another one now, by name.
    """

    def __init__(
        self,
        live: Mapping[str, Any] | None = None,
        here: Path | None = None,
        moved: Callable[[int], Mapping[str, str]] = lambda _: {},
    ) -> None:
        self._live = live or {}
        self._here = here
        self._moved = moved

    def since(self, flow: Flow, writers: Sequence[Cell]) -> str:
        """What a statement read that is another one now, in words; empty for nothing.

        Of a function that is defined nothing is said: it reads when it is called.

        Parameters
        ----------
        writers
            The cells that write files.
        """
        if isinstance(flow.statement.node, DEFINITIONS):
            return ""
        cell = flow.statement.execution.cell
        loaded = self._moved(cell.count)
        for name, told in loaded.items():
            named = any(name in each for each in _texts(flow.statement.node))
            if named or not any(name in cell.source for name in loaded):
                return told
        return self._file_since(flow, cell, writers)

    def later(self, behind: Sequence[Maker], made: Provenance) -> dict[str, str]:
        """What functions that were defined read when they were called, and modules, that are others now, by cell.

        Parameters
        ----------
        behind
            The statements that a run depends on, its own among them.
        made
            All that ran.
        """
        found: dict[str, str] = {}
        if self._here is None:
            return found
        cells = list({id(m.execution.cell): m.execution.cell for m in made.statements}.values())
        writers = [m.execution.cell for m in made.statements if m.flow.effects.outside.files_written]
        for maker in behind:
            if isinstance(maker.flow.statement.node, DEFINITIONS):
                cell = _reader(maker, behind)
                told = self._file_since(maker.flow, cell, writers)
                if told:
                    found.setdefault(f"[{cell.count}]", told)
            for root in _imported(maker):
                loaded = _loaded_at(root, made, cells)
                for file in _local_files(root) if loaded else ():
                    if _since(Path(file), loaded):
                        told = f"imports {_named(Path(file), self._here)}, which was edited since"
                        found.setdefault(f"[{maker.execution.cell.count}]", told)
        return found

    def _file_since(self, flow: Flow, cell: Cell, writers: Sequence[Cell]) -> str:
        if self._here is None:
            return ""
        for file in _files_read(flow, self._live):
            many = any(c in file for c in "*?[")
            for each in _matching(self._here, file) if many else [self._here / file]:
                since = _since(each, cell.ended_ms)
                if since and not any(c.started_ms <= since <= (c.ended_ms or since) for c in writers):
                    return f"read {_named(each, self._here)}, which was written since"
                if since is None and not writers and A_FILE.fullmatch(file):
                    return f"read {file}, which is no longer there"
        return ""


def _texts(node: ast.AST) -> Iterator[str]:
    return (each.value for each in ast.walk(node) if isinstance(each, ast.Constant) and isinstance(each.value, str))


def _named(file: Path, here: Path) -> str:
    return os.path.relpath(file, here) if file.is_relative_to(here) else str(file)


def _matching(here: Path, pattern: str) -> list[Path]:
    """The files that a pattern finds now."""
    found = sorted(glob.glob(str(here / pattern)))  # noqa: PTH207 the pattern may begin at the root
    return [Path(file) for file in found[:MOST_MATCHES]]


def _reader(maker: Maker, behind: Sequence[Maker]) -> Cell:
    """The cell that read what a function or class reads: the last that used it."""
    name = getattr(maker.flow.statement.node, "name", "")
    return next((m.execution.cell for m in reversed(behind) if name in m.flow.reads), maker.execution.cell)


def _since(file: Path, ended_ms: int | None) -> int | None:
    """When a file has changed, if that was after this time, else 0; None where there is no such file."""
    try:
        changed = file.expanduser().stat().st_ctime_ns // 1_000_000
    except (OSError, ValueError, RuntimeError):
        return None
    return changed if ended_ms and changed > ended_ms else 0


def _files_read(flow: Flow, live: Mapping[str, Any]) -> Iterator[str]:
    """The files that a statement reads, as far as its text and the variables in it name them."""
    files = flow.effects.outside.files_read
    yield from (file for file in files if file.strip("*./") and "://" not in file)  # the folder itself changes always
    defined = isinstance(flow.statement.node, (ast.FunctionDef, ast.AsyncFunctionDef))
    for node in ast.walk(flow.statement.node) if ANY_FILE in files or defined else ():
        if not isinstance(node, ast.Call):
            continue
        named = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        if not READERS.fullmatch(named):
            continue
        given = [*node.args[:1], *(k.value for k in node.keywords if k.arg in PATH_NAMES)]
        for text in (_path(each, live) for each in given):
            if text.strip("*./") and "://" not in text:
                yield text


def _path(node: ast.expr, live: Mapping[str, Any]) -> str:
    """A path that an expression gives, worked out without running anything; ``*`` stands for what is not known of it."""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else "*"
    if isinstance(node, ast.Name):
        value = live.get(node.id)
        return str(value) if isinstance(value, (str, Path)) else "*"
    if isinstance(node, ast.FormattedValue):
        return _path(node.value, live)
    if isinstance(node, ast.JoinedStr):
        return "".join(_path(part, live) for part in node.values)
    if isinstance(node, ast.BinOp) and isinstance(node.op, (ast.Div, ast.Add)):
        between = "/" if isinstance(node.op, ast.Div) else ""
        return f"{_path(node.left, live)}{between}{_path(node.right, live)}"
    if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] in ("Path", "join", "str"):
        return str(Path(*(_path(part, live) for part in node.args)))
    return "*"


def _imported(maker: Maker) -> list[str]:
    """The packages that a statement imports from, the first part of their names."""
    node = maker.flow.statement.node
    if isinstance(node, ast.ImportFrom):
        return [str(node.module).partition(".")[0]]
    return [alias.name.partition(".")[0] for alias in node.names] if isinstance(node, ast.Import) else []


def _loaded_at(root: str, made: Provenance, cells: Sequence[Cell]) -> int | None:
    """When a package was loaded as it is in the kernel: with its first import, unless it was reloaded since."""
    first = next((m.execution.cell for m in made.statements if root in _imported(m)), None)
    if any("%autoreload" in cell.source for cell in cells):
        return cells[-1].started_ms  # before the run's cell
    again = [cell for cell in cells if RELOAD.search(cell.source) and root in cell.source]
    last = again[-1] if again else first
    return last.ended_ms if last is not None else None


def _local_files(root: str) -> Iterator[str]:
    """The files of a package that was loaded from the user's own code, not from what is installed."""
    installed = tuple({sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")})
    for module in [module for name, module in list(sys.modules.items()) if name.partition(".")[0] == root]:
        file = getattr(module, "__file__", None)
        if isinstance(file, str) and file.endswith(".py") and not file.startswith(installed):
            yield file
