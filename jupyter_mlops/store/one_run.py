"""One run: MLflow's own run entity, out of MLflow's tables where they are known, with no object a row that nobody needs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import sql_reads

if TYPE_CHECKING:
    from .store import Store

__all__ = ["run_entity", "run_params"]


def run_entity(store: Store, run_id: str) -> Any:
    """A run (MLflow's entity) as the client's ``get_run`` gives it.

    Raises
    ------
    MlflowException
        There is none with this id.
    """
    database = sql_reads.readable(store)
    found = _read(database, run_id) if database is not None else None
    return found if found is not None else store.client.get_run(run_id)  # which also says why there is none


def run_params(store: Store, run_id: str) -> dict[str, str]:
    """A run's parameters."""
    database = sql_reads.readable(store)
    if database is None:
        return dict(store.client.get_run(run_id).data.params)
    from mlflow.store.tracking.dbmodels.models import SqlParam
    from sqlalchemy import select

    param = SqlParam.__table__.c
    with database.engine.connect() as connection:
        found = connection.execute(select(param.key, param.value).where(param.run_uuid == run_id))
        return {key: value for key, value in found}  # noqa: C416 mypy knows no row as a pair


def _read(database: Any, run_id: str) -> Any | None:
    from mlflow.entities import Metric, Param, Run, RunData, RunInfo, RunInputs, RunOutputs, RunTag
    from mlflow.store.tracking.dbmodels.models import SqlLatestMetric, SqlParam, SqlRun, SqlTag
    from sqlalchemy import select

    run, metric, param, tag = (table.__table__.c for table in (SqlRun, SqlLatestMetric, SqlParam, SqlTag))
    with database.engine.connect() as connection:
        facts = (
            run.name, run.experiment_id, run.user_id, run.status, run.start_time, run.end_time, run.lifecycle_stage,
            run.artifact_uri,
        )  # fmt: skip
        row = connection.execute(select(*facts).where(run.run_uuid == run_id)).first()
        if row is None:
            return None
        last = (metric.key, metric.value, metric.is_nan, metric.timestamp, metric.step)
        metrics = [
            Metric(key, float("nan") if is_nan else value, at_ms, step)
            for key, value, is_nan, at_ms, step in connection.execute(select(*last).where(metric.run_uuid == run_id))
        ]
        params, tags = (
            [made(*pair) for pair in connection.execute(select(of.key, of.value).where(of.run_uuid == run_id))]
            for made, of in ((Param, param), (RunTag, tag))
        )
        datasets, models, outputs = _linked(connection, run_id)
    name = row[0] or next((mark.value for mark in tags if mark.key == "mlflow.runName"), row[0])
    info = RunInfo(
        run_id=run_id, run_name=name, experiment_id=str(row[1]), user_id=row[2], status=row[3], start_time=row[4],
        end_time=row[5], lifecycle_stage=row[6], artifact_uri=row[7],
    )  # fmt: skip
    return Run(info, RunData(metrics, params, tags), RunInputs(datasets, models), RunOutputs(outputs))


def _linked(connection: Any, run_id: str) -> tuple[list[Any], list[Any], list[Any]]:
    """The tables that a run used, and the models that it used and made."""
    from mlflow.entities import Dataset, DatasetInput, InputTag, LoggedModelInput, LoggedModelOutput
    from mlflow.store.tracking.dbmodels.models import SqlDataset, SqlInput, SqlInputTag
    from sqlalchemy import select

    link, data, mark = (table.__table__ for table in (SqlInput, SqlDataset, SqlInputTag))
    told = (
        data.c.dataset_uuid, data.c.name, data.c.digest, data.c.dataset_source_type, data.c.dataset_source,
        data.c.dataset_schema, data.c.dataset_profile, mark.c.name, mark.c.value,
    )  # fmt: skip
    used = (
        select(*told)
        .select_from(link)
        .join(data, link.c.source_id == data.c.dataset_uuid)
        .outerjoin(mark, mark.c.input_uuid == link.c.input_uuid)
        .where(link.c.destination_type == "RUN", link.c.destination_id == run_id)
    )
    found: dict[str, Any] = {}
    for own, name, digest, kind, source, schema, profile, key, value in connection.execute(used):
        if own not in found:
            found[own] = DatasetInput(Dataset(name, digest, kind, source, schema, profile), [])
        if key is not None:
            found[own].tags.append(InputTag(key, value))
    others = select(link.c.source_type, link.c.destination_id, link.c.step).where(
        link.c.source_type.in_(["RUN_INPUT", "RUN_OUTPUT"]),
        link.c.source_id == run_id,
        link.c.destination_type.in_(["MODEL_INPUT", "MODEL_OUTPUT"]),
    )
    models, outputs = [], []
    for side, model, step in connection.execute(others):
        if side == "RUN_INPUT":
            models.append(LoggedModelInput(model))
        else:
            outputs.append(LoggedModelOutput(model, step))
    return [*found.values()], models, outputs
