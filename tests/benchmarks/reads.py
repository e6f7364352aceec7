"""How fast runs are read: a table of ten thousand as a DataFrame and a curve of a million points, against MLflow's own.

The table is read by a service that has just started (which finds what the one before it kept in a file), again after a
run in it has logged a metric, and out of a store that was never read before, which is SQLite's own time for the most part.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from .figures import compared, seconds
from .filled_store import fill_curve, fill_runs, make_database

RUNS, POINTS = 10_000, 1_000_000
ROUNDS = 2


def main(runs: int = RUNS, points: int = POINTS) -> None:
    """Measure both in turn on one database; ours with the trip over the service's wire and back."""
    import mlflow
    from mlflow import MlflowClient

    from jupyter_mlops.domain.run import RunTable
    from jupyter_mlops.domain.workspace import Workspace
    from jupyter_mlops.store.kept_texts import KeptTexts
    from jupyter_mlops.store.store import Store

    with tempfile.TemporaryDirectory() as folder:
        uri = make_database(Path(folder) / "mlflow.db")
        newest = fill_runs(Path(folder) / "mlflow.db", runs, metrics=20, params=10)[-1]
        fill_curve(Path(folder) / "mlflow.db", newest, points)
        mlflow.set_tracking_uri(uri)
        store, client = Store.open(Workspace(Path(folder), uri, "bench")), MlflowClient(uri)

        def never_read() -> None:
            store.kept_texts = KeptTexts()
            table()

        def started() -> None:
            store.kept_texts = KeptTexts(kept)
            table()

        def table() -> None:
            found, more = store.runs.search(limit=runs)
            sent = json.dumps(RunTable(found, "bench", "", more).to_dict())
            assert len(RunTable.from_dict(json.loads(sent)).to_pandas()) == runs

        def frame() -> None:
            assert len(mlflow.search_runs(experiment_names=["bench"], max_results=runs)) == runs

        table()  # MLflow's own warm-up is a page: its whole table takes half a minute
        mlflow.search_runs(experiment_names=["bench"], max_results=100)
        kept = Path(folder) / "texts.json"
        started()
        store.kept_texts.write()
        never, first, again, theirs = [], [], [], []
        for step in range(ROUNDS):
            never.append(seconds(never_read))
            first.append(seconds(started))
            client.log_metric(newest, "metric_00", step / 2, step=step)
            again.append(seconds(table))
            theirs.append(seconds(frame))
        for told, ours, goal in (
            ("the service just started", first, 30),
            ("after a metric was logged", again, 30),
            ("never read before", never, 15),
        ):
            figure = f"{runs} runs as a DataFrame, {told}"
            compared("reads", figure, "s", ours, "mlflow.search_runs", theirs, goal=goal).report()

        def drawn() -> None:
            assert len(store.runs.history(newest, "loss", points=500).steps) > 400

        def whole() -> None:
            assert len(client.get_metric_history(newest, "loss")) == points

        drawn()
        pairs = [(seconds(drawn), seconds(whole)) for _ in range(ROUNDS)]
        compared(
            "reads", f"{points} points to draw", "s", [a for a, _ in pairs],
            "get_metric_history", [b for _, b in pairs], goal=30,
        ).report()  # fmt: skip
