"""Plays a notebook in a real IPython shell of this process, with the session's hooks around every cell."""

from __future__ import annotations

import atexit
import contextlib
import io
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

from jupyter_mlops.pipelines.inputs import keep_inputs
from jupyter_mlops.session import Session


class Player:
    """One notebook.

    Parameters
    ----------
    root
        The workspace's folder.
    """

    def __init__(self, root: Path) -> None:
        import numpy.random

        numpy.random.seed(None)  # noqa: NPY002 the generator that notebooks draw from
        if "matplotlib" in sys.modules:
            sys.modules["matplotlib"].rc_file_defaults()  # a notebook's settings are its kernel's, and end with it
        if "seaborn" in sys.modules:
            sys.modules["seaborn"].set_color_codes("reset")
        config = Config()
        config.HistoryManager.enabled = False
        self.main = sys.modules["__main__"]
        self.shell: Any = InteractiveShell(config=config, user_ns={})
        # what the inline backend sets up is one for a process; figures are closed after each cell below, as it does
        self.shell.register_magic_function(lambda _line: None, "line", "matplotlib")
        self.shell.system = self.shell.system_piped
        self.session = Session.open(root=root, namespace=self.shell.user_ns)
        self.session.context.hooks["transform_cell"] = self.shell.input_transformer_manager.transform_cell
        self.count = 0

    def run(self, source: str, identity: str = "") -> None:
        """Run one cell; errors are the notebook's own affair."""
        self.count += 1
        self.session.cell_started(source, self.count, identity or f"cell-{self.count}")
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            result = self.shell.run_cell(source, store_history=True)
        error = result.error_before_exec or result.error_in_exec
        self.session.cell_finished("error" if error else "ok", error)
        pyplot = sys.modules.get("matplotlib.pyplot")
        if pyplot is not None:
            pyplot.close("all")

    def close(self) -> None:
        """Leave the process as it was."""
        sys.modules["__main__"] = self.main
        atexit.unregister(self.shell.atexit_operations)


def play(root: Path, cells: list[str]) -> Session:
    """Run a notebook's cells and give the session that has seen them; the folder is as it was before."""
    before = {path.name for path in Path().iterdir()}
    kept = Path(tempfile.mkdtemp(dir=root)) / "inputs"
    assert keep_inputs(Path.cwd(), kept)
    player = Player(root)
    player.session.context.hooks["inputs"] = str(kept)
    try:
        for cell in cells:
            player.run(cell)
    finally:
        player.close()
    for made in {path.name for path in Path().iterdir()} - before:  # the pipeline makes them again
        path = Path(made)
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
    return player.session
