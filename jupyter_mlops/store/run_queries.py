"""Run queries: what MLflow's client can only answer slowly, asked through MLflow's own tables where the store is a database.

Each answers the same as the client; a test holds both equal. Where the store is a tracking server, the client is asked.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from ..domain.thinning import thin
from . import sql_reads, tags

if TYPE_CHECKING:
    from .store import Store

__all__ = ["counts", "curve", "ids_with_prefix", "newest"]

MOST = 1000
PAGES = 10


def counts(store: Store) -> tuple[int, int]:
    """How many runs, and how many of them are running; a tracking server's are counted up to ten thousand."""
    database = sql_reads.database_of(store)
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
    database = sql_reads.database_of(store)
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


def curve(store: Store, run_id: str, metric: str, points: int) -> list[tuple[int, float]]:
    """A metric's steps and values, thinned to so many points."""
    found = sql_reads.curve(store, run_id, metric, points)
    if found is not None:
        return found
    history = store.client.get_metric_history(run_id, metric)
    values = [(int(value.step), int(value.timestamp), float(value.value)) for value in history]
    values.sort(key=lambda point: (*point[:2], point[2] if point[2] == point[2] else 0.0))  # the store holds 0 for NaN
    return [(step, value) for step, _, value in thin(values, points)]


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
