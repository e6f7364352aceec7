"""Run queries: what MLflow's client can only answer slowly, asked through MLflow's own tables where the store is a database.

Each answers the same as the client; a test holds both equal. Where the store is a tracking server, the client is asked.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from . import tags

if TYPE_CHECKING:
    from .store import Store

__all__ = ["counts", "ids_with_prefix", "metric_values", "newest"]

MOST = 1000
PAGES = 10


def counts(store: Store) -> tuple[int, int]:
    """How many runs, and how many of them are running; a tracking server's are counted up to ten thousand."""
    database = _database(store)
    if database is None:
        found = [run for page in _pages(store, "", PAGES) for run in page]
        return len(found), sum(run.info.status == "RUNNING" for run in found)
    from sqlalchemy import func, select

    run, _ = _tables()
    with database.ManagedSessionMaker(read_only=True) as session:
        wanted = select(run.status, func.count()).where(*_ours(store)).group_by(run.status)
        by_status = {status: int(count) for status, count in session.execute(wanted)}
    return sum(by_status.values()), by_status.get("RUNNING", 0)


def newest(store: Store, limit: int) -> list[tuple[str, str]]:
    """Name and id of the newest runs."""
    database = _database(store)
    if database is None:
        page = next(_pages(store, "", 1), [])
        return [(str(run.info.run_name), str(run.info.run_id)) for run in page[:limit]]
    from sqlalchemy import select

    run, _ = _tables()
    with database.ManagedSessionMaker(read_only=True) as session:
        wanted = select(run.name, run.run_uuid).where(*_ours(store)).order_by(run.start_time.desc()).limit(limit)
        return [(str(name), str(run_id)) for name, run_id in session.execute(wanted)]


def ids_with_prefix(store: Store, prefix: str) -> list[str]:
    """The ids of the runs that begin so."""
    page = next(_pages(store, f"attributes.run_id LIKE '{prefix}%'", 1), [])
    return [str(run.info.run_id) for run in page]


def metric_values(store: Store, run_id: str, metric: str) -> list[tuple[int, float]]:
    """Every step and value of a metric, by step and time."""
    database = _database(store)
    if database is None:
        history = store.client.get_metric_history(run_id, metric)
        ordered = sorted(history, key=lambda value: (value.step, value.timestamp))
        return [(int(value.step), float(value.value)) for value in ordered]
    from mlflow.store.tracking.dbmodels.models import SqlMetric
    from sqlalchemy import select

    with database.ManagedSessionMaker(read_only=True) as session:
        wanted = (
            select(SqlMetric.step, SqlMetric.value, SqlMetric.is_nan)
            .where(SqlMetric.run_uuid == run_id, SqlMetric.key == metric)
            .order_by(SqlMetric.step, SqlMetric.timestamp)
        )
        return [(int(s), float("nan") if is_nan else float(value)) for s, value, is_nan in session.execute(wanted)]


def _database(store: Store) -> Any | None:
    """MLflow's own store object where it is a database's, None where a server stands before it."""
    if store.workspace.tracking_uri.startswith(("http", "databricks")):
        return None
    held = getattr(getattr(store.client, "_tracking_client", None), "store", None)
    return held if hasattr(held, "ManagedSessionMaker") else None


def _tables() -> tuple[Any, Any]:
    from mlflow.store.tracking.dbmodels.models import SqlRun, SqlTag

    return SqlRun, SqlTag


def _ours(store: Store) -> tuple[Any, ...]:
    """The conditions for a run of the workspace's experiment that is neither deleted nor of another kind."""
    from sqlalchemy import exists

    run, tag = _tables()
    other = exists().where(tag.run_uuid == run.run_uuid, tag.key == tags.KIND, tag.value != "run")
    return run.experiment_id == int(store.experiment_id), run.lifecycle_stage == "active", ~other


def _pages(store: Store, wanted: str, pages: int) -> Iterator[list[Any]]:
    token = None
    for _ in range(pages):
        page = store.client.search_runs(
            [store.experiment_id],
            filter_string=wanted,
            max_results=MOST,
            order_by=["attributes.start_time DESC"],
            page_token=token,
        )
        yield [run for run in page if run.data.tags.get(tags.KIND, "run") == "run"]
        token = page.token
        if not token:
            return
