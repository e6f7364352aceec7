"""Feast: feature views as a repository that Feast's own code reads: a store's file, definitions, and rows as Parquet."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...domain.feature_view import FeatureView
from ...domain.on_disk import sync
from ...errors import InvalidArgument

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["write_repository"]

STORE = """project: {project}
provider: local
registry: data/registry.db
online_store:
  type: sqlite
  path: data/online_store.db
offline_store:
  type: dask
entity_key_serialization_version: 3
"""

HEAD = '''"""Feature views, as they were declared on data versions; `feast apply` in this folder registers them."""

from datetime import timedelta
from pathlib import Path

from feast import Entity, FeatureView, Field, FileSource, ValueType
from feast.types import {types}

DATA = Path(__file__).parent / "data"
'''

ENTITY = """
{variable} = Entity(name={name!r}, join_keys=[{name!r}], value_type=ValueType.{value_type})
"""

VIEW = """
{variable} = FeatureView(
    name={name!r},
    entities=[{entities}],
    ttl={ttl},
    schema=[
{fields}
    ],
    source=FileSource(
        name={source!r},
        path=str(DATA / {file!r}),
        timestamp_field={time!r},
{created}    ),
    description={about!r},
    tags={tags!r},
)
"""

VALUE_TYPES = {"Int64": "INT64", "Int32": "INT32", "String": "STRING", "Bool": "BOOL", "Float64": "DOUBLE"}


def feast_type(kind: str) -> str:
    """Feast's name for a column's logical type.

    Raises
    ------
    InvalidArgument
        Feast has none for it.

    Examples
    --------
    >>> [feast_type(kind) for kind in ("int64", "uint8", "float32", "string", "timestamp[UTC]", "bool")]
    ['Int64', 'Int32', 'Float32', 'String', 'UnixTimestamp', 'Bool']
    """
    fixed = {
        "float64": "Float64",
        "float32": "Float32",
        "float16": "Float32",
        "string": "String",
        "bool": "Bool",
        "binary": "Bytes",
        "date": "UnixTimestamp",
    }
    if kind in fixed:
        return fixed[kind]
    if kind in ("int8", "int16", "int32", "uint8", "uint16"):
        return "Int32"
    if kind in ("int64", "uint32", "uint64"):
        return "Int64"
    if kind.startswith("timestamp"):
        return "UnixTimestamp"
    if kind.startswith(("category", "dictionary")):
        return "String"
    raise InvalidArgument(f"Feast has no type for {kind}.", hint="Leave that column out of the view, or convert it.")


def write_repository(views: Sequence[tuple[FeatureView, pd.DataFrame]], target: Path) -> int:
    """Write the repository; it is there whole or not at all.

    Returns
    -------
    int
        How many rows of features were written.

    Raises
    ------
    InvalidArgument
        The folder holds something, or Feast cannot say what a view says.
    """
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise InvalidArgument(f"{target} is not an empty folder.", hint="Name another with --output.")
    if not target.parent.is_dir():
        raise InvalidArgument(f"there is no folder {target.parent}.", hint="Make it first.")
    if not views:
        raise InvalidArgument("no view was named.", hint="`%mlops data views` lists them.")
    text, tables, total = _definitions(views)
    arriving = target.with_name(f".{target.name}.{os.getpid()}")
    data = arriving / "data"
    data.mkdir(parents=True)
    try:
        for (view, _), rows in zip(views, tables, strict=True):
            rows.to_parquet(data / f"{identifier(view.name)}.parquet", index=False)
            sync(data / f"{identifier(view.name)}.parquet")
            total += len(rows)
        (arriving / "feature_store.yaml").write_text(STORE.format(project=identifier(target.name)))
        (arriving / "features.py").write_text(text)
        if target.exists():
            target.rmdir()
        arriving.rename(target)
    finally:
        if arriving.exists():
            import shutil

            shutil.rmtree(arriving)
    return total


def identifier(name: str) -> str:
    """A name as Feast and Python take it.

    Examples
    --------
    >>> identifier("30-day activity.v2")
    'f_30_day_activity_v2'
    """
    plain = re.sub(r"\W+", "_", name).strip("_") or "features"
    return plain if plain[0].isalpha() else f"f_{plain}"


def _definitions(views: Sequence[tuple[FeatureView, pd.DataFrame]]) -> tuple[str, list[pd.DataFrame], int]:
    entities: dict[str, str] = {}
    types: set[str] = set()
    blocks: list[str] = []
    tables = []
    names = [identifier(view.name) for view, _ in views]
    if len(set(names)) < len(names):
        raise InvalidArgument(f"two views would be called the same in Feast: {', '.join(sorted(names))}.")
    for view, rows in views:
        if not view.time:
            raise InvalidArgument(
                f"{view.ref} has no event time, and Feast needs one.", hint="Declare it again with --time COLUMN."
            )
        table = _usable(view, rows)
        fields = []
        for name in view.entities:
            kind = feast_type(_kind(table[name]))
            kind = "Int64" if kind == "Int32" else kind
            if entities.setdefault(name, kind) != kind:
                raise InvalidArgument(f"{name} is {entities[name]} in one view and {kind} in {view.ref}.")
            if kind not in VALUE_TYPES:
                raise InvalidArgument(f"Feast takes no entity of the type {kind}: {name} of {view.ref}.")
            types.add(kind)
            fields.append(f"        Field(name={name!r}, dtype={kind}),")
        for column in view.features:
            kind = feast_type(_kind(table[column.name]))
            types.add(kind)
            fields.append(f"        Field(name={column.name!r}, dtype={kind}),")
        blocks.append(
            VIEW.format(
                variable=f"{identifier(view.name)}_view",
                name=identifier(view.name),
                entities=", ".join(f"{identifier(name)}_entity" for name in view.entities),
                ttl="timedelta(0)" if view.ttl is None else f"timedelta(seconds={view.ttl!r})",
                fields="\n".join(fields),
                source=f"{identifier(view.name)}_rows",
                file=f"{identifier(view.name)}.parquet",
                time=view.time,
                created=f"        created_timestamp_column={view.created!r},\n" if view.created else "",
                about=view.about,
                tags={"mlops.view": view.ref, "mlops.digest": view.digest, "mlops.data": ", ".join(view.versions)},
            )
        )
        tables.append(table)
    keys = [
        ENTITY.format(variable=f"{identifier(name)}_entity", name=name, value_type=VALUE_TYPES[kind])
        for name, kind in entities.items()
    ]
    return HEAD.format(types=", ".join(sorted(types))) + "".join(keys) + "".join(blocks), tables, 0


def _usable(view: FeatureView, rows: pd.DataFrame) -> pd.DataFrame:
    """The rows that a join could find, with times as Feast takes them: with a zone, in UTC, in microseconds.

    Of rows with the same entity and event time Feast takes any, so only the one that counts here is written.
    """
    import pandas as pd

    table = rows.dropna(subset=[*view.entities, view.time])
    order = table.sort_values([view.time, *([view.created] if view.created else [])], kind="stable")
    table = table.loc[order.drop_duplicates([*view.entities, view.time], keep="last").index.sort_values()].copy()
    for name in filter(None, (view.time, view.created)):
        if pd.api.types.is_numeric_dtype(table[name].dtype):
            raise InvalidArgument(
                f"{name} of {view.ref} holds numbers; Feast needs times.", hint="Save it as times first."
            )
        table[name] = pd.to_datetime(table[name], utc=True).astype("datetime64[us, UTC]")
    for name in table.columns:
        held = table[name].dtype
        if isinstance(held, pd.CategoricalDtype):
            table[name] = table[name].astype(held.categories.dtype)
        if isinstance(table[name].dtype, pd.StringDtype):
            table[name] = table[name].astype(object).where(table[name].notna(), None)
    for name in view.entities:
        if pd.api.types.is_integer_dtype(table[name].dtype):
            table[name] = table[name].astype("int64")
    return table


def _kind(values: Any) -> str:
    from ..identity import identify_column

    return identify_column(values.iloc[:1000], values.name).type
