"""A filled store: an MLflow database with many runs or one long curve, written straight into its tables, since MLflow would take hours."""

from __future__ import annotations

import math
import random
import sqlite3
import uuid
from pathlib import Path

__all__ = ["fill_curve", "fill_runs", "make_database"]


def make_database(path: Path) -> str:
    """An MLflow database with its tables made; gives its address."""
    from mlflow import MlflowClient

    uri = f"sqlite:///{path}"
    MlflowClient(uri).create_experiment("bench")
    return uri


def fill_runs(path: Path, runs: int, *, metrics: int, params: int, seed: int = 1) -> list[str]:
    """Add finished runs to the experiment ``bench``; gives their ids."""
    draw = random.Random(seed)
    with sqlite3.connect(path) as database:
        (experiment,) = database.execute("SELECT experiment_id FROM experiments WHERE name = 'bench'").fetchone()
        ids = [uuid.UUID(int=draw.getrandbits(128)).hex for _ in range(runs)]
        start = 1_700_000_000_000
        database.executemany(
            "INSERT INTO runs (run_uuid, name, source_type, source_name, entry_point_name, user_id, status, start_time,"
            " end_time, source_version, lifecycle_stage, artifact_uri, experiment_id)"
            " VALUES (?, ?, 'LOCAL', '', '', 'bench', 'FINISHED', ?, ?, '', 'active', '', ?)",
            [(run, f"run-{i}", start + i * 1000, start + i * 1000 + 900, experiment) for i, run in enumerate(ids)],
        )
        rows = [
            (f"metric_{j:02}", draw.random(), start + i, 0, 0, run) for i, run in enumerate(ids) for j in range(metrics)
        ]
        for table in ("metrics", "latest_metrics"):
            database.executemany(
                f"INSERT INTO {table} (key, value, timestamp, step, is_nan, run_uuid) VALUES (?, ?, ?, ?, ?, ?)", rows
            )
        given = [(f"param_{j:02}", str(draw.randrange(1000)), run) for run in ids for j in range(params)]
        database.executemany("INSERT INTO params (key, value, run_uuid) VALUES (?, ?, ?)", given)
        tags = [(key, value, run) for i, run in enumerate(ids)
                for key, value in (("mlflow.runName", f"run-{i}"), ("mlflow.user", "bench"), ("mlops.kind", "run"))]  # fmt: skip
        database.executemany("INSERT INTO tags (key, value, run_uuid) VALUES (?, ?, ?)", tags)
    return ids


def fill_curve(path: Path, run: str, points: int, *, key: str = "loss") -> None:
    """Give a run a metric with so many points."""
    with sqlite3.connect(path) as database:
        rows = (
            (key, math.exp(-step / points) + math.sin(step) / 50, 1_700_000_000_000 + step, step, 0, run)
            for step in range(points)
        )
        sql = "INSERT INTO {} (key, value, timestamp, step, is_nan, run_uuid) VALUES (?, ?, ?, ?, ?, ?)"
        database.executemany(sql.format("metrics"), rows)
        last = points - 1
        final = (key, math.exp(-last / points) + math.sin(last) / 50, 1_700_000_000_000 + last, last, 0, run)
        database.execute(sql.format("latest_metrics"), final)
