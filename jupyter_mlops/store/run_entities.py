"""Run entities: MLflow's run as our noun, and our tables as MLflow's dataset inputs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, cast

from ..domain.run import Run, RunStatus
from . import tags

__all__ = ["OUR_TAGS", "PLAIN", "dataset_input", "run_fields", "to_run"]

LONGEST_SCHEMA = 60_000  # MLflow holds more, but MySQL's text columns do not


OUR_TAGS = (
    tags.NOTEBOOK,
    tags.SOURCE_NAME,
    tags.COMMIT,
    tags.SOURCE_COMMIT,
    tags.USER,
    tags.KIND,
    tags.PARENT,
    tags.REASON,
    tags.TRUST,
    tags.TRUST_REASONS,
    tags.SUPERSEDED,
    tags.RUN_NAME,
)
"""The tags that a run's own fields are read from."""

PLAIN = [
    "id",
    "name",
    "status",
    "experiment",
    "started_ms",
    "ended_ms",
    "data",
    "models",
    "notebook",
    "commit",
    "user",
    "kind",
    "parent",
    "reason",
    "trust",
    "trust_reasons",
    "superseded_by",
]
"""The fields of a run that a table of runs holds besides metrics and parameters."""


def run_fields(held: Mapping[str, str], user: str) -> dict[str, Any]:
    """The fields of a run that stand in its tags; `user` is what MLflow itself says."""
    return {
        "notebook": held.get(tags.NOTEBOOK) or _notebook(held),
        "commit": held.get(tags.COMMIT) or held.get(tags.SOURCE_COMMIT, ""),
        "user": held.get(tags.USER) or user,
        "kind": held.get(tags.KIND, "run"),
        "parent": held.get(tags.PARENT, ""),
        "reason": held.get(tags.REASON, ""),
        "trust": held.get(tags.TRUST, "unknown"),
        "trust_reasons": _mapping(held.get(tags.TRUST_REASONS, "")),
        "superseded_by": held.get(tags.SUPERSEDED, ""),
    }


def to_run(entity: Any, experiment: str, *, source: str = "", artifacts: tuple[str, ...] = ()) -> Run:
    """A run (MLflow's entity) as ours; one that stock MLflow has made is one too."""
    held, info = entity.data.tags, entity.info
    outputs = entity.outputs.model_outputs if entity.outputs else ()
    return Run(
        id=str(info.run_id),
        name=str(info.run_name or ""),
        status=cast("RunStatus", str(info.status)),
        experiment=experiment,
        started_ms=int(info.start_time or 0),
        ended_ms=None if info.end_time is None else int(info.end_time),
        metrics=dict(sorted(entity.data.metrics.items())),
        params=dict(sorted(entity.data.params.items())),
        data=tuple(_tables(entity)),
        models=tuple(sorted({str(output.model_id) for output in outputs})),
        artifacts=artifacts,
        source=source,
        **run_fields(held, str(info.user_id or "")),
        facts=_mapping(held.get(tags.FACTS, "")),
        notes=tuple(held.get(tags.NOTES, "").splitlines()),
    )


def dataset_input(
    name: str,
    digest: str,
    *,
    ref: str = "",
    role: str = "",
    rows: int | None = None,
    columns: int | None = None,
    schema: list[list[str]] | None = None,
) -> Any:
    """A table as a native dataset input.

    Its source is of MLflow's type ``code``, which stock MLflow reads anywhere: it says where the table came from, and
    does not pretend that it could be loaded from there.

    Parameters
    ----------
    ref
        The data version, where it is one.
    role
        What it was used for: ``training``, ``input``.
    schema
        Column names and types as pandas calls them.
    """
    from mlflow.entities import Dataset, DatasetInput, InputTag

    came_from = {tags.DATA_REF: ref} if ref else {"mlflow.source.type": "kernel"}
    profile = {"num_rows": rows, "num_elements": rows * columns} if rows is not None and columns is not None else None
    marks = {tags.DATA_CONTEXT: role, tags.DATA_REF: ref}
    return DatasetInput(
        dataset=Dataset(
            name=name,
            digest=digest,
            source_type="code",
            source=json.dumps({"tags": came_from}),
            schema=_schema(schema),
            profile=json.dumps(profile) if profile else None,
        ),
        tags=[InputTag(key, value) for key, value in marks.items() if value],
    )


def _tables(entity: Any) -> list[str]:
    used = entity.inputs.dataset_inputs if entity.inputs else ()
    found = []
    for each in used:
        marks = {mark.key: mark.value for mark in each.tags}
        found.append(marks.get(tags.DATA_REF) or f"{each.dataset.name}#{each.dataset.digest}")
    return sorted(set(found))


def _notebook(held: Mapping[str, str]) -> str:
    named = held.get(tags.SOURCE_NAME, "")
    return named if named.endswith(".ipynb") else ""


def _mapping(text: str) -> dict[str, str]:
    """A tag's JSON object; whatever else stands there gives nothing."""
    if not text:
        return {}
    try:
        data = json.loads(text)
    except ValueError:
        return {}
    return {str(key): str(value) for key, value in data.items()} if isinstance(data, dict) else {}


def _schema(columns: list[list[str]] | None) -> str | None:
    """The columns as MLflow writes a table's schema, None where there is none or it is too long."""
    if not columns:
        return None
    written = [{"type": _type(kind), "name": name, "required": True} for name, kind in columns]
    text = json.dumps({"mlflow_colspec": written})
    return text if len(text) <= LONGEST_SCHEMA else None


def _type(kind: str) -> str:
    """MLflow's name of a pandas type.

    Examples
    --------
    >>> [_type(kind) for kind in ("int64", "Int32", "float32", "category", "datetime64[ns, UTC]", "bool")]
    ['long', 'integer', 'float', 'string', 'datetime', 'boolean']
    """
    lower = kind.lower()
    if lower.startswith(("int", "uint")):
        return "long" if lower.rstrip("[pyarow]").endswith("64") else "integer"
    if lower.startswith(("float", "double")):
        return "float" if "32" in lower or "16" in lower else "double"
    if lower.startswith("bool"):
        return "boolean"
    if lower.startswith(("datetime", "date", "timestamp")):
        return "datetime"
    return "string"
