"""View: what a feature view says, as it is kept with the data versions, and its rows when they are wanted.

A view is a data version of the kind ``view``: its manifest is the definition, its identity a digest over the definition
and the identities of the data versions it stands on, and these are what it was made from. So it is numbered, audited,
listed, drawn in the lineage and kept from the collection of garbage as any other data version.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
from blake3 import blake3

from ...domain.context import Context
from ...domain.data_version import Column, DataVersion
from ...domain.feature_view import FeatureView
from ...domain.on_disk import sync
from ...errors import Conflict, IntegrityFailure, InvalidArgument, NotFound
from ..folder import HEX_DIGITS
from ..manifest import MANIFEST, checksum
from ..opened import open_version
from ..saving import staging

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Declared", "declare", "read_view", "view_from", "view_rows"]

FORMAT = 1
UNITS = {"s": 1.0, "min": 60.0, "h": 3600.0, "d": 86_400.0, "w": 604_800.0}


@dataclass(frozen=True)
class Declared:
    """What the user said of a view."""

    name: str
    on: tuple[str, ...]
    entities: tuple[str, ...]
    time: str = ""
    created: str = ""
    ttl: float | None = None
    unit: str = ""
    """The unit that the TTL was typed with."""
    features: tuple[str, ...] = ()
    about: str = ""


def unit_of(text: str) -> str:
    """The unit at the end of a TTL, empty for none.

    Examples
    --------
    >>> unit_of("30d"), unit_of("7")
    ('d', '')
    """
    return text[len(text.rstrip("abcdefghijklmnopqrstuvwxyz")) :]


def seconds_of(text: str) -> float | None:
    """A TTL as it is typed, in seconds (a bare number keeps its own unit); None for none.

    Raises
    ------
    InvalidArgument
        It is no such text, or not above 0.

    Examples
    --------
    >>> seconds_of("30d"), seconds_of("1.5h"), seconds_of("7"), seconds_of("")
    (2592000.0, 5400.0, 7.0, None)
    """
    if not text:
        return None
    unit = unit_of(text)
    number = text.removesuffix(unit).strip()
    try:
        value = float(number) * UNITS.get(unit or "s", 0.0)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise InvalidArgument(f"--ttl takes a time such as 30d, 12h, 90min or 45s, not {text!r}.")
    return value


def declare(context: Context, told: Declared) -> FeatureView:
    """Keep a view as the next version of its name, unless it says what the newest says.

    Raises
    ------
    InvalidArgument
        A column does not fit, or the versions do not have the same ones.
    Conflict
        The name is that of a table.
    """
    versions = [_located(context, ref) for ref in told.on]
    columns = _columns(told, versions)
    definition = {
        "entities": list(told.entities),
        "time": told.time,
        "created": told.created,
        "ttl_seconds": told.ttl,
        "features": [[c.name, c.type, c.missing] for c in columns],
        "versions": [[v.ref, v.digest, v.rows] for v in versions],
        "about": told.about,
    }
    digest = "b3:" + blake3(orjson.dumps([told.name, definition], option=orjson.OPT_SORT_KEYS)).hexdigest()[:HEX_DIGITS]
    found = context.call("data.prepare", name=told.name, digest=digest)
    if found["found"] is not None:
        return read_view(context, DataVersion.from_dict(found["found"]).ref, new=False)
    before = context.call("data.base", name=told.name, bases=[])["base"]
    if before is not None and before["version"].get("kind") != "view":
        raise Conflict(f"{told.name} is the name of a table or folder.", hint="Call the view something else.")
    held = orjson.dumps(
        {"format": FORMAT, "kind": "view", "digest": digest, "packs": [], "chunks": [], "definition": definition},
        option=orjson.OPT_INDENT_2,
    )
    with staging(context) as folder:
        (folder / MANIFEST).write_bytes(held)
        sync(folder / MANIFEST)
        sync(folder)
        saved = context.call(
            "data.save",
            name=told.name,
            digest=digest,
            rows=sum(v.rows for v in versions),
            columns=[c.to_dict() for c in _all_columns(told, versions[0], columns)],
            folder=str(folder),
            notebook=context.notebook.path,
            checksum=checksum(held),
            size=len(held),
            kind="view",
            sources=[v.ref for v in versions],
            run=getattr(context.recorder, "key", ""),
            personal=[c for c in dict.fromkeys(p for v in versions for p in v.personal) if c in _names(told, columns)],
        )
    return read_view(context, DataVersion.from_dict(saved).ref)


def read_view(context: Context, ref: str, *, new: bool = True) -> FeatureView:
    """A view by its name or version.

    Raises
    ------
    NotFound
        There is none.
    InvalidArgument
        It is a table.
    IntegrityFailure
        Its definition is not what was kept.
    """
    found = context.call("data.locate", ref=str(ref))
    try:
        return view_from(found, new=new)
    except IntegrityFailure:
        if not found["copy"]:
            raise
        return view_from(context.call("data.locate", ref=str(ref), fresh=True), new=new)


def view_from(found: dict[str, Any], *, new: bool = True) -> FeatureView:
    """A view as the service located it."""
    version = DataVersion.from_dict(found["version"])
    if version.kind != "view":
        raise InvalidArgument(
            f"{version.ref} is a {version.kind}, no feature view.",
            hint=f"Declare one on it: data view NAME --on {version.ref} --entity COLUMN --time COLUMN.",
        )
    try:
        held = (Path(found["folder"]) / MANIFEST).read_bytes()
        if checksum(held) != found["checksum"]:
            raise IntegrityFailure(f"the definition of {version.ref} is not what was kept.", hint="Declare it again.")
        told = orjson.loads(held)
        if told["format"] != FORMAT:
            raise IntegrityFailure(f"{version.ref} has format {told['format']}.", hint="Update jupyter-mlops.")
        said = told["definition"]
        return FeatureView(
            name=version.name,
            version=version.version,
            digest=version.digest,
            versions=tuple(ref for ref, _, _ in said["versions"]),
            entities=tuple(said["entities"]),
            features=tuple(Column(*each) for each in said["features"]),
            time=said["time"],
            created=said["created"],
            ttl=said["ttl_seconds"],
            about=said["about"],
            rows=version.rows,
            created_ms=version.created_ms,
            created_by=version.created_by,
            new=new,
        )
    except FileNotFoundError as error:
        raise IntegrityFailure(f"the definition of {version.ref} is gone: {error.filename}.") from error
    except (ValueError, KeyError, TypeError) as error:
        raise IntegrityFailure(f"the definition of {version.ref} cannot be read: {error!r}.") from error


def view_rows(context: Context, view: FeatureView, features: Sequence[str] | None = None) -> pd.DataFrame:
    """A view's rows: its entities, times and features, of all its data versions one after the other.

    Parameters
    ----------
    features
        Only these of its features.

    Raises
    ------
    IntegrityFailure
        A data version's files are not what was saved.
    """
    import pandas as pd

    wanted = [c.name for c in view.features if features is None or c.name in features]
    names = [*view.entities, *filter(None, (view.time, view.created)), *wanted]
    parts = []
    for ref in view.versions:
        with open_version(context, ref) as opened:
            parts.append(opened.read(list(dict.fromkeys(names))).reset_index(drop=True))
    return parts[0] if len(parts) == 1 else pd.concat(parts, ignore_index=True)


def _located(context: Context, ref: str) -> DataVersion:
    version = DataVersion.from_dict(context.call("data.locate", ref=str(ref))["version"])
    if version.kind != "table":
        raise InvalidArgument(f"{version.ref} is a {version.kind}; a view stands on tables.")
    return version


def _columns(told: Declared, versions: Sequence[DataVersion]) -> list[Column]:
    """The features with their types, after a look at everything that was named."""
    if not told.entities:
        raise InvalidArgument("a view needs at least one --entity column.")
    first = {c.name: c for c in versions[0].columns}
    keys = [*told.entities, *filter(None, (told.time, told.created))]
    if len(set(keys)) != len(keys):
        raise InvalidArgument(f"a column is named twice among the entities and times: {', '.join(keys)}.")
    if told.created and not told.time:
        raise InvalidArgument("--created decides between rows of one event time, so it needs --time.")
    if told.ttl is not None and not told.time:
        raise InvalidArgument("--ttl counts from the event time, so it needs --time.")
    for version in versions:
        known = {c.name: c for c in version.columns}
        for name in (*keys, *told.features):
            if name not in known:
                raise NotFound.among(f"column in {version.ref} called", name, list(known))
    for name in filter(None, (told.time, told.created)):
        _check_time(versions[0], first[name], told)
    wanted = told.features or tuple(name for name in first if name not in keys)
    if not wanted:
        raise InvalidArgument("no column is left to be a feature.")
    doubled = sorted({name for name in wanted if name in keys})
    if doubled:
        raise InvalidArgument(f"{', '.join(doubled)} cannot be a feature and a key or time at once.")
    found = []
    for name in dict.fromkeys(wanted):
        types: dict[str, str] = {}
        for version in versions:
            held = next((c for c in version.columns if c.name == name), None)
            if held is None:
                raise NotFound.among(f"column in {version.ref} called", name, [c.name for c in version.columns])
            types.setdefault(held.type, version.ref)
        if len(types) > 1:
            one, other = list(types.items())[:2]
            raise InvalidArgument(
                f"{name} is {one[0]} in {one[1]} and {other[0]} in {other[1]}.", hint="Save them with one type."
            )
        missing = sum(c.missing for v in versions for c in v.columns if c.name == name)
        found.append(Column(name, next(iter(types)), missing))
    return found


def _check_time(version: DataVersion, column: Column, told: Declared) -> None:
    if column.type in ("string", "bool", "binary", "duration", "time"):
        raise InvalidArgument(
            f"{column.name} of {version.ref} holds {column.type}, neither times nor numbers.",
            hint=f"Save the table with df[{column.name!r}] = pd.to_datetime(df[{column.name!r}]).",
        )
    if told.unit and column.name == told.time and column.type.startswith(("int", "uint", "float", "decimal")):
        raise InvalidArgument(
            f"{column.name} holds numbers, so --ttl is a number of the same kind, without {told.unit}."
        )


def _names(told: Declared, columns: Sequence[Column]) -> list[str]:
    return [*told.entities, *filter(None, (told.time, told.created)), *(c.name for c in columns)]


def _all_columns(told: Declared, first: DataVersion, columns: Sequence[Column]) -> list[Column]:
    """Everything a view's rows have: keys and times before the features."""
    known = {c.name: c for c in first.columns}
    keys = [known[name] for name in (*told.entities, *filter(None, (told.time, told.created)))]
    return [*keys, *columns]
