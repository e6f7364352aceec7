"""What tracking adds to a small fit, against MLflow's autologging; what one logged metric costs."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from .figures import compared, in_turn

FIT = """
import sys, time, warnings
from pathlib import Path
warnings.filterwarnings("ignore")
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression
X, y = load_breast_cancer(return_X_y=True, as_frame=True)
def fit():
    LogisticRegression(max_iter=50).fit(X, y)
def timed(work):
    began = time.perf_counter(); work(); return time.perf_counter() - began
fit(); bare = min(timed(fit) for _ in range(5))
"""

OURS = """
from jupyter_mlops.session import Session
session = Session.open(root=Path(sys.argv[1]))
def tracked():
    with session.run("bench"):
        fit()
"""

THEIRS = """
import mlflow
mlflow.set_tracking_uri(f"sqlite:///{sys.argv[1]}/mlflow.db")
mlflow.sklearn.autolog(silent=True)
def tracked():
    with mlflow.start_run():
        fit()
"""

ADDED = "tracked(); print(sorted(timed(tracked) for _ in range(3))[1] - bare)"

METRICS = """
with session.run("loop") as run:
    began = time.perf_counter()
    for step in range(100_000):
        run.log_metric("loss", 0.5, step=step)
    print((time.perf_counter() - began) / 100_000)
"""


def child(code: str, folder: str) -> float:
    """The number that a fresh interpreter prints last."""
    done = subprocess.run(
        [sys.executable, "-c", code, folder],
        capture_output=True,
        text=True,
        check=True,
        cwd=folder,
        env={**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true", "MLOPS_IDLE_SECONDS": "20"},
    )
    return float(done.stdout.split()[-1])


def main() -> None:
    """Measure both in turn; each keeps its store for the whole run, so that making one is not counted."""
    with tempfile.TemporaryDirectory() as ours, tempfile.TemporaryDirectory() as theirs:
        mine, other = in_turn(
            lambda: child(FIT + OURS + ADDED, ours), lambda: child(FIT + THEIRS + ADDED, theirs), rounds=3
        )
        compared("tracking", "added to a fit, model saved", "s", mine, "mlflow.autolog", other, goal=20).report()
        calls = [child(FIT + OURS + METRICS, ours) for _ in range(3)]
        limit = [5e-6] * len(calls)
        compared("tracking", "one log_metric", "s", calls, "limit 5 us", limit, goal=1.0, goal_is="at most").report()
        from jupyter_mlops.session import Session

        Session.open(root=Path(ours)).service.stop()
