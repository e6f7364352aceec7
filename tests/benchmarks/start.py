"""How soon a notebook can begin: loading the extension, over bare IPython."""

from __future__ import annotations

import subprocess
import sys

from .figures import compared, in_turn

BARE = "from IPython.core.interactiveshell import InteractiveShell as S; s = S.instance()"
LOAD = "import time; t = time.perf_counter(); {}; print(time.perf_counter() - t)"


def child(statement: str) -> float:
    """Seconds a statement takes in a fresh interpreter with a bare IPython shell."""
    code = f"{BARE}; {LOAD.format(statement)}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return float(done.stdout.split()[-1])


def main() -> None:
    """Measure ``%load_ext jupyter_mlops`` against the limit of 100 ms, and against importing MLflow."""
    ours, theirs = in_turn(
        lambda: child("s.extension_manager.load_extension('jupyter_mlops')"), lambda: child("import mlflow"), rounds=7
    )
    limit = [0.1] * len(ours)
    compared("start", "%load_ext jupyter_mlops", "s", ours, "limit 100 ms", limit, goal=1.0, goal_is="at most").report()
    compared("start", "%load_ext jupyter_mlops", "s", ours, "import mlflow", theirs, goal=10).report()
