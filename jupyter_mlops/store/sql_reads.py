"""SQL reads: tables of runs and curves straight out of MLflow's tables, with no object a row.

Only where the store is a database whose schema revision is in `READABLE`, and only reading: the filter and the order
are MLflow's own, parsed and built by MLflow; what is fetched is one row a run. Everything here gives what MLflow's client
gives (a test holds both equal), and gives None where it cannot, upon which the client is asked.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from ..domain.run_columns import BETWEEN, RunColumns
from ..domain.thinning import edges, stretches
from . import tags
from .run_entities import OUR_TAGS, PLAIN, run_fields

if TYPE_CHECKING:
    from .store import Store

__all__ = ["READABLE", "curve", "database_of", "run_table"]

READABLE = frozenset({"dc11669786a5"})
"""Alembic revisions of MLflow's schema whose tables `runs latest_metrics metrics params tags inputs datasets input_tags`
are as read here: MLflow 3.17. A store at another revision is read by the client."""

FEW = 500  # run ids that are named one by one


def database_of(store: Store) -> Any | None:
    """MLflow's own store object where it is a database's, None where a server stands before it."""
    if store.workspace.tracking_uri.startswith(("http", "databricks")):
        return None
    held = getattr(getattr(store.client, "_tracking_client", None), "store", None)
    return held if hasattr(held, "ManagedSessionMaker") else None


def readable(store: Store) -> Any | None:
    """The database where its dialect and its schema are known here, else None."""
    database = database_of(store)
    if database is None or database.engine.dialect.name not in ("sqlite", "postgresql"):
        return None
    from sqlalchemy import text

    with database.engine.connect() as connection:  # each time: somebody may have migrated it
        revision = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return database if revision in READABLE else None


def run_table(
    store: Store, *, wanted: str, order: list[str], limit: int, top: bool = False
) -> tuple[RunColumns, bool] | None:
    """The first `limit` runs that MLflow's filter `wanted` lets through, and whether there are more; with `top` those that are no children.

    Raises
    ------
    MlflowException
        The filter or the order is none.
    """
    database = readable(store)
    if database is None:
        return None
    try:
        from mlflow.store.tracking.sqlalchemy_store import _get_orderby_clauses, _get_sqlalchemy_filter_clauses
        from mlflow.utils.search_utils import SearchUtils
    except ImportError:  # another MLflow than this was written for
        return None
    with database.ManagedSessionMaker(read_only=True) as session:
        parsed = SearchUtils.parse_search_filter(wanted)
        cases, ordered, order_joins = _get_orderby_clauses(order, session)
        dialect = database.engine.dialect.name
        conditions, joins, datasets = _get_sqlalchemy_filter_clauses(parsed, session, dialect)
        query = _chosen(store, cases, conditions, joins, datasets, order_joins)
        if top:
            query = query.where(~_child())
        chosen = query.order_by(*ordered).limit(limit + 1)
        ids = [str(row[0]) for row in session.execute(chosen)]
        kept = ids[:limit]
        named = chosen.limit(limit).subquery("chosen") if len(kept) > FEW else kept
        rows = {row[0]: row for row in session.execute(_facts(named, dialect))}
        used = _used(session, named, kept)
    columns = _columns(store, [rows[run] for run in kept if run in rows], used)
    return None if columns is None else (columns, len(ids) > limit)


def _chosen(store: Store, cases: Any, conditions: Any, joins: Any, datasets: Any, order_joins: Any) -> Any:
    """The query for the ids, joined as MLflow joins it."""
    from mlflow.store.tracking.dbmodels.models import SqlRun, SqlTag
    from sqlalchemy import exists, select

    query = select(SqlRun.run_uuid, *cases, SqlRun.start_time)
    for join in joins:
        query = query.join(join)
    for join in datasets:
        query = query.join(join, SqlRun.run_uuid == join.c.destination_id)
    for join in order_joins:
        query = query.outerjoin(join)
    other = exists().where(SqlTag.run_uuid == SqlRun.run_uuid, SqlTag.key == tags.KIND, SqlTag.value != "run")
    return query.distinct().where(
        SqlRun.experiment_id == int(store.experiment_id), SqlRun.lifecycle_stage == "active", ~other, *conditions
    )


def _child() -> Any:
    """That a run is another's child."""
    from mlflow.store.tracking.dbmodels.models import SqlRun, SqlTag
    from sqlalchemy import exists

    return exists().where(SqlTag.run_uuid == SqlRun.run_uuid, SqlTag.key == tags.PARENT)


def _facts(named: Any, dialect: str) -> Any:
    """One row a run: its own columns; names and values of its metrics, parameters and our tags as texts."""
    from mlflow.store.tracking.dbmodels.models import SqlLatestMetric as Metric
    from mlflow.store.tracking.dbmodels.models import SqlParam as Param
    from mlflow.store.tracking.dbmodels.models import SqlRun as Run
    from mlflow.store.tracking.dbmodels.models import SqlTag as Tag
    from sqlalchemy import case, cast, func, select
    from sqlalchemy.types import Text

    joined = func.group_concat if dialect == "sqlite" else func.string_agg
    # 20 digits give every float back exactly; PostgreSQL's own text does
    number = func.printf("%!.20g", Metric.value) if dialect == "sqlite" else cast(Metric.value, Text)
    written = case((Metric.is_nan, "nan"), else_=number)

    def gathered(table: Any, what: Any, between: str, *conditions: Any) -> Any:
        return select(joined(what, between)).where(table.run_uuid == Run.run_uuid, *conditions).scalar_subquery()

    ours = Tag.key.in_(OUR_TAGS)
    query = select(
        Run.run_uuid, Run.name, Run.status, Run.start_time, Run.end_time, Run.user_id,
        gathered(Metric, Metric.key, BETWEEN), gathered(Metric, written, " "),
        gathered(Param, Param.key, BETWEEN), gathered(Param, Param.value, BETWEEN),
        gathered(Tag, Tag.key, BETWEEN, ours), gathered(Tag, Tag.value, BETWEEN, ours),
    )  # fmt: skip
    if isinstance(named, list):
        return query.where(Run.run_uuid.in_(named))
    return query.join(named, named.c.run_uuid == Run.run_uuid)


def _used(session: Any, named: Any, kept: Iterable[str]) -> dict[str, tuple[list[str], list[str]]]:
    """By run: the tables it used, and the models it made."""
    from mlflow.store.tracking.dbmodels.models import SqlDataset, SqlInput, SqlInputTag
    from sqlalchemy import and_, select

    ids = named if isinstance(named, list) else select(named.c.run_uuid)
    found: dict[str, tuple[list[str], list[str]]] = {run: ([], []) for run in kept}
    marked = and_(SqlInputTag.input_uuid == SqlInput.input_uuid, SqlInputTag.name == tags.DATA_REF)
    tables = (
        select(SqlInput.destination_id, SqlDataset.name, SqlDataset.digest, SqlInputTag.value)
        .join(SqlDataset, SqlInput.source_id == SqlDataset.dataset_uuid)
        .outerjoin(SqlInputTag, marked)
        .where(SqlInput.destination_type == "RUN", SqlInput.destination_id.in_(ids))
    )
    for run, name, digest, ref in session.execute(tables):
        if run in found:
            found[run][0].append(ref or f"{name}#{digest}")
    models = select(SqlInput.source_id, SqlInput.destination_id).where(
        SqlInput.source_type == "RUN_OUTPUT", SqlInput.destination_type == "MODEL_OUTPUT", SqlInput.source_id.in_(ids)
    )
    for run, model in session.execute(models):
        if run in found:
            found[run][1].append(model)
    return found


def _columns(store: Store, rows: list[Any], used: dict[str, tuple[list[str], list[str]]]) -> RunColumns | None:
    """The rows as columns; None if a text holds what we set between two."""
    sets: dict[str, int] = {}
    metrics: tuple[list[int | None], list[str]] = ([], [])
    params: tuple[list[int | None], list[str]] = ([], [])
    plain: dict[str, list[Any]] = {name: [] for name in PLAIN}
    for row in rows:
        run, name, status, started, ended, user, keys, values, param_keys, param_values, tag_keys, tag_values = row
        held = dict(zip((tag_keys or "").split(BETWEEN), (tag_values or "").split(BETWEEN), strict=False))
        if _count(tag_keys) != _count(tag_values) or _count(param_keys) != _count(param_values):
            return None
        for side, these, texts in ((metrics, keys, values), (params, param_keys, param_values)):
            side[0].append(None if these is None else sets.setdefault(these, len(sets)))
            side[1].append(texts or "")
        told = run_fields(held, str(user or ""))
        told |= {"id": run, "name": name or held.get(tags.RUN_NAME, ""), "status": status, "started_ms": started or 0}
        told |= {"ended_ms": ended, "experiment": store.workspace.experiment}
        told |= {"data": sorted(set(used[run][0])), "models": sorted(set(used[run][1]))}
        for key, column in plain.items():
            column.append(told[key])
    return RunColumns(plain, list(sets), metrics, params)


def _count(text: str | None) -> int:
    return -1 if text is None else text.count(BETWEEN)


def curve(store: Store, run_id: str, metric: str, points: int) -> list[tuple[int, float]] | None:
    """A metric's steps and values, thinned as `domain.thinning.thin` does, without fetching what is left out."""
    database = readable(store)
    if database is None:
        return None
    from mlflow.store.tracking.dbmodels.models import SqlMetric as Metric
    from sqlalchemy import func, literal, select

    mine = (Metric.run_uuid == run_id, Metric.key == metric)
    ordered = (Metric.step, Metric.timestamp, Metric.value)
    with database.ManagedSessionMaker(read_only=True) as session:
        more = session.execute(select(literal(1)).where(*mine).offset(points).limit(1)).first()
        if more is None or points < 4:
            every = select(Metric.step, Metric.value, Metric.is_nan).where(*mine).order_by(*ordered).limit(points)
            return [(int(s), float("nan") if is_nan else float(v)) for s, v, is_nan in session.execute(every)]
        whole = select(*ordered, Metric.is_nan).where(*mine)
        first = session.execute(whole.order_by(*ordered).limit(1)).one()
        last = session.execute(whole.order_by(*(column.desc() for column in ordered)).limit(1)).one()
        kept = {tuple(first), tuple(last)}
        for start, stop in edges(int(first[0]), int(last[0]), stretches(points)):
            known = (*mine, Metric.step >= start, Metric.step < stop, Metric.is_nan.is_(False))
            least, greatest = session.execute(
                select(func.min(Metric.value), func.max(Metric.value)).where(*known)
            ).one()
            if least is None:
                continue
            extremes = whole.where(*known, Metric.value.in_([least, greatest])).order_by(*ordered)
            found = session.execute(extremes).all()
            kept |= {tuple(next(row for row in found if row[2] == value)) for value in (least, greatest)}
    return [(int(s), float("nan") if is_nan else float(v)) for s, _, v, is_nan in sorted(kept)]
