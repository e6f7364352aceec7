"""File times: which files a run's cells have read or imported that are no longer what they were then.

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
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..analysis.outside import ANY_FILE
from ..domain.workspace import Cell
from .provenance import Maker, Provenance

__all__ = ["changed_files"]

READERS = re.compile(r"read_\w+|open|load|loadtxt|genfromtxt|fromfile|memmap|loadmat|Path|scan_\w+")
RELOAD = re.compile(r"\breload\s*\(|%aimport")
A_FILE = re.compile(r"[^\n{}<>|]+\.\w{1,12}")
MOST_MATCHES = 1_000
PATH_NAMES = ("file", "filename", "fname", "path", "filepath_or_buffer", "source", "io")


def changed_files(behind: Sequence[Maker], made: Provenance, live: Mapping[str, Any], here: Path) -> dict[str, str]:
    """What a fresh run of these statements would read otherwise, by the cell that read it.

    Parameters
    ----------
    behind
        The statements that a run depends on, its own among them.
    made
        All that ran.
    live
        The kernel's variables.
    here
        The kernel's current folder.
    """
    found: dict[str, str] = {}
    every = {id(m.execution.cell): m.execution.cell for m in made.statements}
    writers = [m.execution.cell for m in made.statements if m.flow.effects.outside.files_written]
    for maker in behind:
        cell = _reader(maker, behind)
        for file in _files_read(maker, live):
            many = any(c in file for c in "*?[")
            for each in _matching(here, file) if many else [here / file]:
                since = _since(each, cell.ended_ms)
                if since and not any(c.started_ms <= since <= (c.ended_ms or since) for c in writers):
                    found.setdefault(f"[{cell.count}]", f"read {_named(each, here)}, which was written since")
                elif since is None and not writers and A_FILE.fullmatch(file):
                    found.setdefault(f"[{cell.count}]", f"read {file}, which is no longer there")
        cell = maker.execution.cell
        for root in _imported(maker):
            loaded = _loaded_at(root, made, list(every.values()))
            for file in _local_files(root) if loaded else ():
                if _since(Path(file), loaded):
                    found.setdefault(f"[{cell.count}]", f"imports {_named(Path(file), here)}, which was edited since")
    return found


def _named(file: Path, here: Path) -> str:
    return os.path.relpath(file, here) if file.is_relative_to(here) else str(file)


def _matching(here: Path, pattern: str) -> list[Path]:
    """The files that a pattern finds now."""
    found = sorted(glob.glob(str(here / pattern)))  # noqa: PTH207 the pattern may begin at the root
    return [Path(file) for file in found[:MOST_MATCHES]]


def _reader(maker: Maker, behind: Sequence[Maker]) -> Cell:
    """The cell that read what a statement reads: of a function that is defined, the last that used it."""
    name = getattr(maker.flow.statement.node, "name", None)
    if name is None:
        return maker.execution.cell
    return next((m.execution.cell for m in reversed(behind) if name in m.flow.reads), maker.execution.cell)


def _since(file: Path, ended_ms: int | None) -> int | None:
    """When a file has changed, if that was after this time, else 0; None where there is no such file."""
    try:
        changed = file.expanduser().stat().st_ctime_ns // 1_000_000
    except (OSError, ValueError, RuntimeError):
        return None
    return changed if ended_ms and changed > ended_ms else 0


def _files_read(maker: Maker, live: Mapping[str, Any]) -> Iterator[str]:
    """The files that a statement reads, as far as its text and the variables in it name them."""
    files = maker.flow.effects.outside.files_read
    yield from (file for file in files if file.strip("*./") and "://" not in file)  # the folder itself changes always
    defined = isinstance(maker.flow.statement.node, (ast.FunctionDef, ast.AsyncFunctionDef))
    for node in ast.walk(maker.flow.statement.node) if ANY_FILE in files or defined else ():
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
