"""How soon a notebook can begin: loading the extension, and what the first tracked cell adds, in a shell and in a kernel."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
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
AUTOLOG = "import mlflow; mlflow.set_tracking_uri('sqlite:///mlflow.db'); mlflow.sklearn.autolog(silent=True)"

THEIRS = f"""
t = time.perf_counter()
s.run_cell({AUTOLOG!r}, store_history=True)
r = s.run_cell(cell, store_history=True); took = time.perf_counter() - t
assert r.success
print(took - bare)
"""


def child(code: str, folder: str | None = None) -> float:
    """The number that a fresh interpreter prints last."""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=folder, env=warm()
    )
    return float(done.stdout.split()[-1])


def warm() -> dict[str, str]:
    """An environment in which bytecode is kept, and nothing is sent anywhere."""
    kept = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    return {**kept, "MLFLOW_DISABLE_TELEMETRY": "true", "MLOPS_IDLE_SECONDS": "60", "MLOPS_NOTEBOOK": "bench.ipynb"}


def in_kernel(before: tuple[str, ...], folder: str) -> float:
    """What a cell takes longer in a kernel that has run `before` and waited for a second, as a reader would."""
    from jupyter_client.manager import start_new_kernel

    manager, client = start_new_kernel(kernel_name="python3", cwd=folder, env=warm())
    try:

        def run(code: str) -> float:
            began = time.perf_counter()
            reply = client.execute_interactive(code, output_hook=lambda _: None, timeout=120)
            assert reply["content"]["status"] == "ok", reply["content"]
            return time.perf_counter() - began

        run("from sklearn.datasets import load_iris; from sklearn.linear_model import LogisticRegression")
        run("X, y = load_iris(return_X_y=True, as_frame=True); m = LogisticRegression(max_iter=200).fit(X, y)")
        cell = "m = LogisticRegression(max_iter=200).fit(X, y)"
        bare = min(run(cell) for _ in range(3))
        for code in before:
            run(code)
            time.sleep(1)
        return run(cell) - bare
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


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
    loaded, theirs_loaded = ("%load_ext jupyter_mlops", "%mlops track on"), (AUTOLOG,)
    with tempfile.TemporaryDirectory() as mine, tempfile.TemporaryDirectory() as other:
        ours, theirs = in_turn(lambda: in_kernel(loaded, mine), lambda: in_kernel(theirs_loaded, other), rounds=5)
        Session.open(root=Path(mine)).service.stop()
    told = "first tracked cell adds, in a kernel that waited a second"
    compared("start", told, "s", ours, "limit 300 ms", limit, goal=1.0, goal_is="at most").report()
    compared("start", told, "s", ours, "mlflow.sklearn.autolog", theirs, goal=10).report()
