"""What tracking adds to a small fit, against MLflow's autologging; what one logged metric costs; what a kill and a crowd lose."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from jupyter_mlops.tracking.journal import read_events

from .figures import compared, in_turn

KILLS, KILLED_AFTER = 20, 100_000

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


ENDLESS = """
import mmap, sys
from pathlib import Path
from jupyter_mlops.errors import StoreUnavailable
from jupyter_mlops.session import Session
session = Session.open(root=Path(sys.argv[1]))
def away(*args, **kwargs):
    raise StoreUnavailable("away")
session.context.service.call = away
with open(Path(sys.argv[1]) / "acknowledged", "r+b") as file:
    told = mmap.mmap(file.fileno(), 8)
    with session.run("killed") as run:
        step = 0
        while True:
            run.log_metric("loss", step / 2, step=step)
            step += 1
            told[:] = step.to_bytes(8, "little")  # in one move, which a kill does not cut
"""

ONE_OF_MANY = """
import sys
from pathlib import Path
from jupyter_mlops.session import Session
with Session.open(root=Path(sys.argv[1])).run("one of many") as run:
    for step in range(2000):
        run.log_metric("loss", 0.5, step=step)
print(0)
"""


def lost_to_a_kill(folder: Path, draw: random.Random) -> int:
    """Kill a process that logs without end, some time after 100,000 metrics; how many acknowledged ones its journal lacks."""
    told = folder / "acknowledged"
    told.write_bytes(bytes(8))
    process = subprocess.Popen([sys.executable, "-c", ENDLESS, str(folder)], cwd=folder)
    try:
        while process.poll() is None and struct.unpack("<q", told.read_bytes())[0] < KILLED_AFTER:
            time.sleep(0.01)
        time.sleep(draw.random() / 4)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    acknowledged = struct.unpack("<q", told.read_bytes())[0]
    assert acknowledged >= KILLED_AFTER
    (journal,) = (folder / ".mlops" / "journal").iterdir()
    kept = [event.payload for event in read_events(journal, 0, 1 << 40) if event.kind == "metric"]
    assert all(metric["step"] == step and metric["value"] == step / 2 for step, metric in enumerate(kept))
    return max(0, acknowledged - len(kept))


def lost_among(processes: int) -> tuple[int, int]:
    """So many processes log to one SQLite store at once: how many failed, and how many points are not there."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-c", ONE_OF_MANY, folder]
        told = {**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true", "MLOPS_IDLE_SECONDS": "20"}
        started = [subprocess.Popen(command, cwd=folder, env=told, stdout=subprocess.DEVNULL) for _ in range(processes)]
        failed = sum(process.wait() != 0 for process in started)
        from jupyter_mlops.session import Session

        session = Session.open(root=Path(folder))
        deadline, found = time.monotonic() + 60, 0
        while found < 2000 * processes and time.monotonic() < deadline:
            time.sleep(0.2)
            with sqlite3.connect(session.context.workspace.home / "mlflow.db") as database:
                (found,) = database.execute("SELECT count(*) FROM metrics WHERE key = 'loss'").fetchone()
        session.service.stop()
        return failed, 2000 * processes - found


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
    draw, lost = random.Random(1), []
    for _ in range(KILLS):
        with tempfile.TemporaryDirectory() as folder:
            lost.append(float(lost_to_a_kill(Path(folder), draw)))
    what = f"lost of {KILLED_AFTER:,} and more metrics by kill -9, {KILLS} times"
    compared("tracking", what, "metrics", [max(lost)], "limit", [1.0], goal=0.0, goal_is="at most").report()
    failed, missing = lost_among(8)
    what = "failed processes and lost points of eight on one SQLite store"
    compared("tracking", what, "", [float(failed + missing)], "limit", [1.0], goal=0.0, goal_is="at most").report()
