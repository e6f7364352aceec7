"""SQL reads: tables of runs and curves straight out of MLflow's tables, with no object a row.

Only where the store is a database whose schema revision is in `READABLE`, and only reading: the filter and the order
are MLflow's own, parsed and built by MLflow; what is fetched is one row a run. Everything here gives what MLflow's client
gives (a test holds both equal), and gives None where it cannot, upon which the client is asked.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ..domain.run_columns import BETWEEN, RunColumns
from ..domain.thinning import edges, stretches
from . import tags
from .kept_texts import NONE, Texts
from .run_entities import OUR_TAGS, PLAIN, run_fields

if TYPE_CHECKING:
    from .store import Store

__all__ = ["READABLE", "behind", "curve", "database_of", "run_table"]

READABLE = frozenset({"dc11669786a5"})
"""Alembic revisions of MLflow's schema whose tables `runs latest_metrics metrics params tags inputs datasets input_tags`
are as read here: MLflow 3.17. A store at another revision is read by the client."""

FEW = 500  # run ids that are named one by one
CACHE_KB = 65_536
FACTS = 5  # columns of `_facts`
READ_TAGS = [name for name in OUR_TAGS if name != tags.RUN_NAME]  # a run's name stands in a column of its own


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
    with _reading(database) as session:
        parsed = SearchUtils.parse_search_filter(wanted)
        cases, ordered, order_joins = _get_orderby_clauses(order, session)
        dialect = database.engine.dialect.name
        conditions, joins, datasets = _get_sqlalchemy_filter_clauses(parsed, session, dialect)
        query = _chosen(store, cases, conditions, joins, datasets, order_joins)
        if top:
            query = query.where(~_child())
        chosen = query.order_by(*ordered).limit(limit + 1)
        rows = _all(session, chosen.add_columns(*_facts()))
        more, rows = len(rows) > limit, rows[:limit]
        facts = {row[0]: row[-FACTS:] for row in rows}  # a run that is there several times counts once
        named = _named([*facts], chosen.limit(limit), dialect)
        nameless = any(not fact[0] for fact in facts.values())
        # one after the other: SQLite's memory has one lock, at which two threads take longer than one
        held = _by_run(session, _tags(named, dialect, OUR_TAGS if nameless else READ_TAGS))
        sides = _sides(dialect)
        if dialect == "sqlite":
            metrics, params = store.kept_texts.of(session.connection(), [*facts], sides)
        else:
            metrics, params = (_by_run(session, query(named)) for query in sides.values())
        used = _used(session, named)
    columns = _columns(store, facts, (metrics, params, held), used)
    return None if columns is None else (columns, more)


def behind(store: Store) -> bool:
    """Whether many runs were made since this was last so, which are worth being read before somebody asks."""
    database = readable(store)
    if database is None or database.engine.dialect.name != "sqlite":
        return False
    with _reading(database) as session:
        return store.kept_texts.behind(session.connection())


@contextmanager
def _reading(database: Any) -> Iterator[Any]:
    """A session to read in. SQLite keeps 2 MB of pages by itself, and would read most of a large store's many times."""
    from sqlalchemy import text

    with database.ManagedSessionMaker(read_only=True) as session:
        if database.engine.dialect.name == "sqlite":
            session.execute(text(f"PRAGMA cache_size=-{CACHE_KB}"))
        yield session


def _all(session: Any, query: Any) -> Any:
    """The rows of a query, with no more made of them than the database's driver does."""
    return session.connection().execute(query).all()


def _by_run(session: Any, query: Any) -> Texts:
    """Names and values as texts, by run."""
    return {run: (keys, values) for run, keys, values in _all(session, query)}


def _named(kept: list[str], chosen: Any, dialect: str) -> Any:
    """What picks out the chosen runs: their ids, or where they are many a query that gives them."""
    from sqlalchemy import func, select

    if len(kept) <= FEW:
        return kept
    if dialect == "sqlite":
        return select(func.json_each(json.dumps(kept)).table_valued("value").c.value)
    return select(chosen.subquery("chosen").c.run_uuid)


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
    if joins or datasets or order_joins:  # a run may come several times
        query = query.distinct()
    return query.where(
        SqlRun.experiment_id == int(store.experiment_id), SqlRun.lifecycle_stage == "active", ~other, *conditions
    )


def _child() -> Any:
    """That a run is another's child."""
    from mlflow.store.tracking.dbmodels.models import SqlRun, SqlTag
    from sqlalchemy import exists

    return exists().where(SqlTag.run_uuid == SqlRun.run_uuid, SqlTag.key == tags.PARENT)


def _facts() -> tuple[Any, ...]:
    """A run's own columns."""
    from mlflow.store.tracking.dbmodels.models import SqlRun

    run = SqlRun.__table__.c
    return run.name, run.status, run.start_time, run.end_time, run.user_id


def _sides(dialect: str) -> dict[str, Callable[[Any], Any]]:
    """What makes the query for runs' names and values, one row a run, each as a text; for metrics and for parameters."""
    from mlflow.store.tracking.dbmodels.models import SqlLatestMetric, SqlParam
    from sqlalchemy import case, cast, func
    from sqlalchemy.types import Text

    metric, param = SqlLatestMetric.__table__.c, SqlParam.__table__.c
    # 20 digits give every float back exactly; PostgreSQL's own text does
    number = func.printf("%!.20g", metric.value) if dialect == "sqlite" else cast(metric.value, Text)
    told = case((metric.is_nan, "nan"), else_=number)
    return {
        "metrics": lambda named: _joined(metric, told, " ", named, dialect),
        "params": lambda named: _joined(param, param.value, BETWEEN, named, dialect),
    }


def _tags(named: Any, dialect: str, wanted: Sequence[str]) -> Any:
    """The query for runs' tags of these names, as `_sides`."""
    from mlflow.store.tracking.dbmodels.models import SqlTag

    tag = SqlTag.__table__.c
    return _joined(tag, tag.value, BETWEEN, named, dialect, tag.key.in_(wanted))


def _joined(table: Any, what: Any, between: str, named: Any, dialect: str, *conditions: Any) -> Any:
    from sqlalchemy import func, select

    joined = func.group_concat if dialect == "sqlite" else func.string_agg
    both = select(table.run_uuid, joined(table.key, BETWEEN), joined(what, between))
    return both.where(table.run_uuid.in_(named), *conditions).group_by(table.run_uuid)


def _used(session: Any, named: Any) -> dict[str, tuple[set[str], set[str]]]:
    """By run, if it has any: the tables it used, and the models it made."""
    from mlflow.store.tracking.dbmodels.models import SqlDataset, SqlInput, SqlInputTag
    from sqlalchemy import and_, select

    found: dict[str, tuple[set[str], set[str]]] = defaultdict(lambda: (set(), set()))
    marked = and_(SqlInputTag.input_uuid == SqlInput.input_uuid, SqlInputTag.name == tags.DATA_REF)
    tables = (
        select(SqlInput.destination_id, SqlDataset.name, SqlDataset.digest, SqlInputTag.value)
        .join(SqlDataset, SqlInput.source_id == SqlDataset.dataset_uuid)
        .outerjoin(SqlInputTag, marked)
        .where(SqlInput.destination_type == "RUN", SqlInput.destination_id.in_(named))
    )
    for run, name, digest, ref in session.execute(tables):
        found[run][0].add(ref or f"{name}#{digest}")
    models = select(SqlInput.source_id, SqlInput.destination_id).where(
        SqlInput.source_type == "RUN_OUTPUT", SqlInput.destination_type == "MODEL_OUTPUT", SqlInput.source_id.in_(named)
    )
    for run, model in session.execute(models):
        found[run][1].add(model)
    return found


def _columns(
    store: Store,
    facts: dict[str, tuple[Any, ...]],
    texts: tuple[Texts, Texts, Texts],
    used: dict[str, tuple[set[str], set[str]]],
) -> RunColumns | None:
    """The runs as columns; None if a text holds what we set between two.

    Parameters
    ----------
    facts
        What `_facts` names, by run.
    texts
        Metrics, parameters and tags.
    """
    ids = [*facts]
    metrics, params, held = ([each.get(run, NONE) for run in ids] for each in texts)
    widths = {keys: _count(keys) for keys in {keys for keys, _ in (*params, *held)}}
    if any(_count(values) != widths[keys] for keys, values in (*params, *set(held))):
        return None
    sets: dict[str, int] = {}
    sides = [
        (
            [None if keys is None else sets.setdefault(keys, len(sets)) for keys, _ in side],
            [values or "" for _, values in side],
        )
        for side in (metrics, params)
    ]
    names, status, started, ended, users = zip(*facts.values(), strict=True) if facts else [()] * FACTS
    read: dict[tuple[Any, ...], dict[str, Any]] = {}  # many runs have the same tags
    own: list[dict[str, Any]] = []
    for (keys, values), user in zip(held, users, strict=True):
        fields = read.get((keys, values, user))
        if fields is None:
            tags_of = dict(zip((keys or "").split(BETWEEN), (values or "").split(BETWEEN), strict=False))
            fields = run_fields(tags_of, str(user or "")) | {"name": tags_of.get(tags.RUN_NAME, "")}
            read[keys, values, user] = fields
        own.append(fields)
    plain: dict[str, list[Any]] = {key: [fields[key] for fields in own] for key in PLAIN if own and key in own[0]}
    plain |= {"id": ids, "status": [*status], "ended_ms": [*ended], "started_ms": [at or 0 for at in started]}
    plain["name"] = [name or fields["name"] for name, fields in zip(names, own, strict=True)]
    plain["experiment"] = [store.workspace.experiment] * len(ids)
    plain["data"] = [sorted(used[run][0]) if run in used else [] for run in ids]
    plain["models"] = [sorted(used[run][1]) if run in used else [] for run in ids]
    return RunColumns({key: plain.get(key, []) for key in PLAIN}, list(sets), sides[0], sides[1])


def _count(text: str | None) -> int:
    return -1 if text is None else text.count(BETWEEN)


def curve(store: Store, run_id: str, metric: str, points: int) -> list[tuple[int, float]] | None:
    """A metric's steps and values, thinned as `domain.thinning.thin` does, without fetching what is left out."""
    database = readable(store)
    if database is None:
        return None
    from mlflow.store.tracking.dbmodels.models import SqlMetric as Metric
    from sqlalchemy import literal, select

    mine = (Metric.run_uuid == run_id, Metric.key == metric)
    ordered = (Metric.step, Metric.timestamp, Metric.value)
    with _reading(database) as session:
        more = session.execute(select(literal(1)).where(*mine).offset(points).limit(1)).first()
        if more is None or points < 4:
            every = select(Metric.step, Metric.value, Metric.is_nan).where(*mine).order_by(*ordered).limit(points)
            return [(int(s), float("nan") if is_nan else float(v)) for s, v, is_nan in session.execute(every)]
        whole = select(*ordered, Metric.is_nan).where(*mine)
        first = session.execute(whole.order_by(*ordered).limit(1)).one()
        last = session.execute(whole.order_by(*(column.desc() for column in ordered)).limit(1)).one()
    kept = {tuple(first), tuple(last)}
    spans = edges(int(first[0]), int(last[0]), stretches(points))
    half = len(spans) // 2
    with ThreadPoolExecutor(1) as other:  # the database works beside the interpreter, see `run_table`
        later = other.submit(_extremes, database, run_id, metric, spans[half:])
        kept |= _extremes(database, run_id, metric, spans[:half])
        kept |= later.result()
    return [(int(s), float("nan") if is_nan else float(v)) for s, _, v, is_nan in sorted(kept)]


def _extremes(database: Any, run_id: str, metric: str, spans: Sequence[tuple[int, int]]) -> set[tuple[Any, ...]]:
    """The first row with the least and the first with the greatest value of each stretch of steps."""
    from mlflow.store.tracking.dbmodels.models import SqlMetric as Metric
    from sqlalchemy import func, select

    ordered = (Metric.step, Metric.timestamp, Metric.value)
    kept: set[tuple[Any, ...]] = set()
    with _reading(database) as session:
        for start, stop in spans:
            known = (
                Metric.run_uuid == run_id,
                Metric.key == metric,
                Metric.step >= start,
                Metric.step < stop,
                Metric.is_nan.is_(False),
            )
            least, greatest = session.execute(
                select(func.min(Metric.value), func.max(Metric.value)).where(*known)
            ).one()
            if least is None:
                continue
            extremes = select(*ordered, Metric.is_nan).where(*known, Metric.value.in_([least, greatest]))
            found = session.execute(extremes.order_by(*ordered)).all()
            kept |= {tuple(next(row for row in found if row[2] == value)) for value in (least, greatest)}
    return kept
