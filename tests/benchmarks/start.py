"""How soon a notebook can begin: loading the extension, and what the first tracked cell adds, over bare IPython."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from .figures import compared, in_turn

BARE = "from IPython.core.interactiveshell import InteractiveShell as S; s = S.instance()"
LOAD = "import time; t = time.perf_counter(); {}; print(time.perf_counter() - t)"

FIRST = """
import time
from IPython.core.interactiveshell import InteractiveShell as S
s = S.instance()
s.run_cell("from sklearn.datasets import load_iris; from sklearn.linear_model import LogisticRegression", store_history=True)
s.run_cell("X, y = load_iris(return_X_y=True, as_frame=True); m = LogisticRegression(max_iter=200).fit(X, y)", store_history=True)
cell = "m = LogisticRegression(max_iter=200).fit(X, y)"
t = time.perf_counter(); s.run_cell(cell, store_history=True); bare = time.perf_counter() - t
"""
OURS = """
t = time.perf_counter()
s.run_cell("%load_ext jupyter_mlops", store_history=True); s.run_cell("%mlops track on", store_history=True)
r = s.run_cell(cell, store_history=True); took = time.perf_counter() - t
assert r.success
import jupyter_mlops as mlops
assert len(mlops.runs(limit=1).runs) == 1
print(took - bare)
"""
THEIRS = """
t = time.perf_counter()
s.run_cell("import mlflow; mlflow.set_tracking_uri('sqlite:///mlflow.db'); mlflow.sklearn.autolog(silent=True)", store_history=True)
r = s.run_cell(cell, store_history=True); took = time.perf_counter() - t
assert r.success
print(took - bare)
"""


def child(code: str, folder: str | None = None) -> float:
    """The number that a fresh interpreter prints last."""
    told = {
        **{key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"},
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLOPS_IDLE_SECONDS": "60",
        "MLOPS_NOTEBOOK": "bench.ipynb",
    }
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=folder, env=told
    )
    return float(done.stdout.split()[-1])


def main() -> None:
    """Measure ``%load_ext`` against 100 ms and importing MLflow, and the first tracked cell against 300 ms and autologging.

    The first tracked cell counts with loading the extension and ``track on``, in a fresh interpreter with warm bytecode, in
    which scikit-learn is loaded and has fitted; a service runs already, as it does from the second notebook on.
    """
    ours, theirs = in_turn(
        lambda: child(f"{BARE}; {LOAD.format('''s.extension_manager.load_extension('jupyter_mlops')''')}"),
        lambda: child(f"{BARE}; {LOAD.format('import mlflow')}"),
        rounds=5,
    )
    limit = [0.1] * len(ours)
    compared("start", "%load_ext jupyter_mlops", "s", ours, "limit 100 ms", limit, goal=1.0, goal_is="at most").report()
    compared("start", "%load_ext jupyter_mlops", "s", ours, "import mlflow", theirs, goal=10).report()
    with tempfile.TemporaryDirectory() as mine, tempfile.TemporaryDirectory() as other:
        from jupyter_mlops.session import Session

        ours, theirs = in_turn(lambda: child(FIRST + OURS, mine), lambda: child(FIRST + THEIRS, other), rounds=5)
        Session.open(root=Path(mine)).service.stop()
    limit = [0.3] * len(ours)
    told = "first tracked cell adds, extension loaded"
    compared("start", told, "s", ours, "limit 300 ms", limit, goal=1.0, goal_is="at most").report()
    compared("start", told, "s", ours, "mlflow.sklearn.autolog", theirs, goal=10).report()
