"""Tables: whatever a command was given for one, as a DataFrame: a frame, a file, or the name of a data version."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..domain.context import Context
from ..domain.data_version import DataVersion
from ..domain.reference import NAME, Reference
from ..errors import IntegrityFailure, InvalidArgument, NotFound

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["as_table", "load_version", "note_use", "table_name"]

COMPRESSIONS = (".gz", ".bz2", ".xz", ".zip", ".zst")
DESCRIBED = 500  # columns that the run's own note of the table names
TAKEN = "Give a DataFrame (pandas, polars or Arrow), a CSV or Parquet file, or a data version such as adult@v3."


def as_table(context: Context, given: Any) -> pd.DataFrame:
    """What a command was given for a table, as a DataFrame.

    Parameters
    ----------
    given
        A DataFrame, returned as it is; a polars or Arrow table; the path of a CSV, TSV, Parquet or Feather file; or a
        data version's name. A data version that is loaded here counts as used by the run being recorded.

    Raises
    ------
    InvalidArgument
        It is none of these, or the file cannot be read as what its name says.
    NotFound
        There is no such file or data version.
    IntegrityFailure
        The data version's file is not what was saved.
    """
    import pandas as pd

    if isinstance(given, pd.DataFrame):
        return given
    if isinstance(given, (str, Path)):
        return _named(context, given)
    if hasattr(given, "collect") and hasattr(given, "collect_schema"):  # polars' lazy frame
        given = given.collect()
    if hasattr(given, "__arrow_c_stream__") and not isinstance(given, pd.Series) and hasattr(given, "columns"):
        import pyarrow as pa

        found: pd.DataFrame = pa.table(given).to_pandas()
        return found
    raise InvalidArgument(f"{_what(given)} is no table.", hint=_fix(given))


def load_version(context: Context, ref: str) -> tuple[pd.DataFrame, DataVersion]:
    """Load a data version, checked against its digest, and note that it is used.

    Raises
    ------
    NotFound
        There is no such data version.
    IntegrityFailure
        Its file is not what was saved.
    """
    from .files import read_verified

    parsed = Reference.parse(ref, "data version")
    if parsed.alias is not None:
        raise InvalidArgument(
            f"{ref!r} names no data version: {parsed.alias!r} is no number.",
            hint=f"Write {parsed.name}@v1, or {parsed.name} for the latest.",
        )
    found = context.call("data.locate", name=parsed.name, version=parsed.version)
    version = DataVersion.from_dict(found["version"])
    try:
        frame = read_verified(Path(found["folder"]), version.digest, version.ref)
    except IntegrityFailure:
        if not found["copy"]:
            raise
        # Only our copy of a remote file may be damaged: fetch it anew before blaming the store.
        found = context.call("data.locate", name=parsed.name, version=version.version, fresh=True)
        frame = read_verified(Path(found["folder"]), version.digest, version.ref)
    note_use(context, frame, version)
    return frame, version


def note_use(context: Context, frame: pd.DataFrame, version: DataVersion) -> None:
    """Remember what `frame` holds, and tell the run being recorded that it is used."""
    context.known_tables.remember(frame, version.ref, version.digest)
    if context.recorder is not None:
        context.recorder.record(
            "data",
            ref=version.ref,
            digest=version.digest,
            name=version.name,
            role="input",
            rows=version.rows,
            columns=len(version.columns),
            schema=[[column.name, column.type] for column in version.columns[:DESCRIBED]],
        )


def table_name(context: Context, given: Any, otherwise: str) -> str:
    """What to call a table in a report: its text, its data version, its variable, or `otherwise`."""
    if isinstance(given, (str, Path)):
        return str(given)
    known = context.known_tables.find(given)
    names = [k for k, v in (context.namespace or {}).items() if v is given and not k.startswith("_")]
    if names:
        return names[0]
    return known[0] if known else otherwise


def _named(context: Context, given: str | Path) -> pd.DataFrame:
    text = str(given)
    path = Path(text).expanduser()
    if path.is_file():
        return _read_file(path)
    if path.is_dir():
        raise InvalidArgument(f"{text} is a folder.", hint="Give one file in it.")
    name = text.partition("@")[0]
    is_path = isinstance(given, Path) or os.sep in text or _reader(path) is not None
    if is_path:
        raise NotFound(f"no file {text!r} in {Path.cwd()}.", hint="Check the path, or load the data first.")
    if not NAME.fullmatch(name):
        raise InvalidArgument(f"{text!r} is neither a file nor the name of a data version.", hint=TAKEN)
    try:
        return load_version(context, text)[0]
    except NotFound as error:
        if "@" in text:
            raise
        what = "file" if context.namespace is None else "variable or file"
        raise NotFound(f"{error.message} Nor is there a {what} of this name.", hint=error.hint) from error


def _read_file(path: Path) -> pd.DataFrame:
    import pyarrow as pa

    reader = _reader(path)
    if reader is None:
        raise InvalidArgument(
            f"{path.name}: tables are not read from {path.suffix or 'such'} files.",
            hint="Use .csv or .tsv (also compressed), .parquet or .feather, or load it yourself and give the DataFrame.",
        )
    try:
        return reader(path)
    except (ValueError, OSError, pa.ArrowException) as error:
        first = str(error).strip().split("\n", 1)[0].rstrip(".")
        raise InvalidArgument(
            f"{path} cannot be read as its name says: {first}.", hint="Load it yourself and give the DataFrame."
        ) from error


def _reader(path: Path) -> Callable[[Path], pd.DataFrame] | None:
    import pandas as pd

    def parquet(file: Path) -> pd.DataFrame:
        from .files import read_table

        return read_table(file)

    def commas(file: Path) -> pd.DataFrame:
        return pd.read_csv(file)

    def tabbed(file: Path) -> pd.DataFrame:
        return pd.read_csv(file, sep="\t")

    suffixes = [suffix.lower() for suffix in path.suffixes]
    last = suffixes[-1] if suffixes else ""
    if last in COMPRESSIONS:
        last = suffixes[-2] if len(suffixes) > 1 else ""
        return {".csv": commas, ".tsv": tabbed}.get(last)
    readers: dict[str, Callable[[Path], pd.DataFrame]] = {
        ".csv": commas,
        ".tsv": tabbed,
        ".parquet": parquet,
        ".pq": parquet,
        ".feather": pd.read_feather,
        ".arrow": pd.read_feather,
    }
    return readers.get(last)


def _what(given: Any) -> str:
    shown = repr(given) if isinstance(given, (int, float, bool, type(None))) else f"a {type(given).__name__}"
    return shown if given is not None else "None"


def _fix(given: Any) -> str:
    kind = type(given).__name__
    if kind == "Series":
        return "Make it one with .to_frame()."
    if kind == "ndarray":
        return "Make it one with pd.DataFrame(array, columns=[...])."
    if kind in ("list", "dict", "tuple"):
        return f"Make it one with pd.DataFrame(the {kind})."
    return TAKEN
