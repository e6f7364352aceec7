"""Plays a notebook as a kernel does, without one: cells run in a namespace, and the session is told of them."""

from __future__ import annotations

import contextlib
import io
import json
from pathlib import Path
from typing import Any

from IPython.core.inputtransformer2 import TransformerManager

from jupyter_mlops.domain.workspace import Cell, Notebook
from jupyter_mlops.session import Session

transform = TransformerManager().transform_cell


class Shell:
    """What `get_ipython()` gives: magics that run their body, and nothing else."""

    def __init__(self, namespace: dict[str, Any]) -> None:
        self.namespace = namespace

    def run_line_magic(self, name: str, line: str) -> None:
        if name == "time":
            exec(line, self.namespace)

    def run_cell_magic(self, name: str, line: str, body: str) -> None:
        if name in ("mlops", "time"):
            exec(transform(body), self.namespace)

    def system(self, command: str) -> None:
        pass

    def getoutput(self, command: str) -> list[str]:
        return ["found"]


def play(root: Path, cells: list[str | tuple[str, str]]) -> Session:
    """Run cells, each a source or an id and a source, and give the session that has seen them."""
    namespace: dict[str, Any] = {"__name__": "__main__"}
    namespace["get_ipython"] = lambda: Shell(namespace)
    session = Session.open(root=root, namespace=namespace)
    session.context.hooks["transform_cell"] = transform
    for cell in cells:
        run(session, cell)
    return session


def run(session: Session, cell: str | tuple[str, str]) -> None:
    """Run one more cell."""
    count = len(session.context.cells) + 1
    identity, source = cell if isinstance(cell, tuple) else (f"cell-{count}", cell)
    outcome = "ok"
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            exec(transform(source), session.context.namespace)
    except Exception:
        outcome = "error"
    session.context.cells.append(Cell(source, count, identity, started_ms=count, ended_ms=count, outcome=outcome))


def save(session: Session, path: Path, cells: list[tuple[str, str, str, list[str]]]) -> None:
    """Write an .ipynb, each cell its kind, id, source and tags, and make it the session's notebook."""
    written = [
        {"cell_type": kind, "id": identity, "source": source.splitlines(keepends=True), "metadata": {"tags": tags}}
        for kind, identity, source, tags in cells
    ]
    path.write_text(json.dumps({"cells": written, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}))
    session.context.notebook = Notebook(str(path))
