"""Tables: whatever a command was given for one, as a DataFrame: a frame, a file, or the name of a data version."""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..domain.context import Context, Recorder
from ..domain.data_version import DataVersion
from ..domain.reference import NAME
from ..errors import InvalidArgument, NotFound
from .opened import open_version

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["as_table", "load_version", "note_use", "read_in_run", "table_name"]

COMPRESSIONS = (".gz", ".bz2", ".xz", ".zip", ".zst")
_READ: weakref.WeakKeyDictionary[Recorder, dict[str, None]] = weakref.WeakKeyDictionary()
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
    is_table = hasattr(given, "columns") or hasattr(given, "read_next_batch")  # a frame, or a reader of one
    if hasattr(given, "__arrow_c_stream__") and not isinstance(given, pd.Series) and is_table:
        import pyarrow as pa

        from .arrow_tables import from_arrow

        return from_arrow(pa.table(given))
    raise InvalidArgument(f"{_what(given)} is no table.", hint=_fix(given))


def load_version(context: Context, ref: str) -> tuple[pd.DataFrame, DataVersion]:
    """Load a data version, checked against its digests, and note that it is used.

    Raises
    ------
    NotFound
        There is no such data version.
    IntegrityFailure
        Its files are not what was saved.
    """
    asked = str(ref)
    with open_version(context, context.pinned.get(asked, asked)) as opened:
        if context.cells and opened.version.ref != asked:
            context.loads.setdefault(context.cells[-1].count, {})[asked] = opened.version.ref
        if opened.version.kind == "view":
            from .features.view import read_view, view_rows

            frame = view_rows(context, read_view(context, opened.version.ref))
            note_use(context, None, opened.version)
            return frame, opened.version
        frame = opened.read()
    note_use(context, frame, opened.version)
    return frame, opened.version


def read_in_run(context: Context) -> list[str]:
    """The data versions that the run being recorded has read or saved so far."""
    return list(_READ.get(context.recorder, ())) if context.recorder is not None else []


def note_use(context: Context, frame: pd.DataFrame | None, version: DataVersion) -> None:
    """Remember what `frame` holds and which columns are personal, and tell the run being recorded that it is used."""
    context.personal.update(version.personal)
    if frame is not None:
        context.known_tables.remember(frame, version.ref, version.digest)
    if context.recorder is not None:
        _READ.setdefault(context.recorder, {})[version.ref] = None
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
