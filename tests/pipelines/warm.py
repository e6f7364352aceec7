"""A process that has loaded the libraries already, and forks for every check: as fresh as a new one, and there at once."""

from __future__ import annotations

import importlib
import json
import os
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any


class Warm:
    """The parent's side."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def run(self, _context: Any, command: list[str], _timeout: float, _hash_seed: str) -> str:
        """Stands in for the function of `verify` that starts a process; gives why there is no verdict."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(command) + "\n")
        self.process.stdin.flush()
        return f"the process ended with {self.process.stdout.readline().strip()}"

    def close(self) -> None:
        """End it."""
        self.process.terminate()
        self.process.wait()


def main() -> None:
    """Load, then fork for every line."""
    os.environ["MPLBACKEND"] = "Agg"
    import random

    for library in (
        "matplotlib.pyplot",
        "pandas",
        "scipy.stats",
        "seaborn",
        "sklearn.ensemble",
        "sklearn.neural_network",
    ):
        importlib.import_module(library)
    import numpy as np

    for line in sys.stdin:
        command = json.loads(line)
        child = os.fork()
        if child == 0:
            np.random.seed(None)  # noqa: NPY002 the notebooks' own
            random.seed()
            null = os.open(os.devnull, os.O_RDWR)
            for stream in (0, 1, 2):
                os.dup2(null, stream)
            sys.argv = command[2:]
            sys.path.insert(0, str(Path(command[2]).parent))
            try:
                runpy.run_path(command[2], run_name="__main__")
            except SystemExit as end:
                os._exit(int(end.code or 0))
            finally:
                os._exit(9)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    main()
