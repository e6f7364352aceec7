"""How fast runs are read: a table of ten thousand as a DataFrame and a curve of a million points, against MLflow's own.

Ours is asked as a notebook asks: the workspace's service, in its own process, over its socket. The table is asked for a
second after the service has started, which finds what the one before it kept in a file; again after a run in it has logged
a metric; in the moment in which a service begins to serve a store that was never read before, which is SQLite's own time for
the most part; and some seconds later, when it has read that by itself.
"""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from .figures import compared, seconds
from .filled_store import fill_curve, fill_runs, make_database

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from jupyter_mlops.session import Session

RUNS, POINTS = 10_000, 1_000_000
ROUNDS = 2
READ_AHEAD = 4  # seconds


def main(runs: int = RUNS, points: int = POINTS) -> None:
    """Measure both in turn on one database."""
    import mlflow
    from mlflow import MlflowClient

    from jupyter_mlops.session import Session

    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        uri = make_database(root / "mlflow.db")
        newest = fill_runs(root / "mlflow.db", runs, metrics=20, params=10)[-1]
        fill_curve(root / "mlflow.db", newest, points)
        home = root / ".mlops"
        home.mkdir()
        (home / "workspace.json").write_text(json.dumps({"tracking_uri": uri, "experiment": "bench"}))
        mlflow.set_tracking_uri(uri)
        client, session = MlflowClient(uri), Session.open(root=root)

        def restarted(*, forgetful: bool = False) -> None:
            session.service.stop()
            if forgetful:
                shutil.rmtree(home / "cache", ignore_errors=True)
            session.status()

        def table() -> None:
            assert len(session.runs(limit=runs).to_pandas()) == runs

        def frame() -> None:
            assert len(mlflow.search_runs(experiment_names=["bench"], max_results=runs)) == runs

        try:
            table()  # MLflow's own warm-up is a page: its whole table takes half a minute
            mlflow.search_runs(experiment_names=["bench"], max_results=100)
            never, ahead, first, again, theirs = [], [], [], [], []
            for step in range(ROUNDS):
                restarted(forgetful=True)
                never.append(seconds(table))
                restarted(forgetful=True)
                time.sleep(READ_AHEAD)
                ahead.append(seconds(table))
                restarted()
                time.sleep(1)
                first.append(seconds(table))
                client.log_metric(newest, "metric_00", step / 2, step=step)
                again.append(seconds(table))
                theirs.append(seconds(frame))
            for told, ours, goal in (
                ("the service a second old", first, 30),
                ("after a metric was logged", again, 30),
                ("never read before, some seconds after the service has started", ahead, 30),
                ("never read before, at once", never, 15),
            ):
                figure = f"{runs} runs as a DataFrame, {told}"
                compared("reads", figure, "s", ours, "mlflow.search_runs", theirs, goal=goal).report()
            curves(session, client, newest, points)
        finally:
            session.service.stop()


def curves(session: Session, client: MlflowClient, run: str, points: int) -> None:
    """A long curve, thinned for drawing, against all of its points."""

    def drawn() -> None:
        assert len(session.context.call("tracking.history", run=run, metric="loss", points=500)["steps"]) > 400

    def whole() -> None:
        assert len(client.get_metric_history(run, "loss")) == points

    drawn()
    pairs = [(seconds(drawn), seconds(whole)) for _ in range(ROUNDS)]
    compared(
        "reads", f"{points} points to draw", "s", [a for a, _ in pairs],
        "get_metric_history", [b for _, b in pairs], goal=30,
    ).report()  # fmt: skip


if __name__ == "__main__":
    main()
