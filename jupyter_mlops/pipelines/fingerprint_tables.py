"""Fingerprints of tables and arrays: a digest that says whether they are the same, a copy that says where they are not.

This file is copied beside every exported pipeline and needs nothing of ours installed.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Collection
from pathlib import Path
from typing import Any

from .fingerprint_objects import NotComparable

__all__ = [
    "ABSOLUTE",
    "RELATIVE",
    "array_difference",
    "close",
    "from_package",
    "jsonable",
    "table_difference",
    "take_array",
    "take_pandas",
    "take_sparse",
]

RELATIVE = 1e-9
"""How far two floating point numbers may be apart, relative to the larger one."""
ABSOLUTE = 1e-12
"""The same near zero."""
LONGEST_SHOWN = 120
LARGEST_COPY = 1_000_000  # cells; of larger values only digests and summaries are kept

Fingerprint = dict[str, Any]


def from_package(value: Any, package: str) -> bool:
    """Whether a value's class is one of a package's."""
    return type(value).__module__.partition(".")[0] == package


def close(a: float, b: float) -> bool:
    """Whether two numbers are the same within the tolerances; two missing ones are."""
    return a == b or (a != a and b != b) or math.isclose(a, b, rel_tol=RELATIVE, abs_tol=ABSOLUTE)  # noqa: PLR0124 NaN


def jsonable(value: Any) -> Any:
    """A number as JSON can hold it."""
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def take_pandas(value: Any, folder: Path | None, name: str, *, without: Collection[str] = ()) -> Fingerprint | None:
    """The fingerprint of a table, a column, an index or a point in time; None for anything else of pandas'.

    Parameters
    ----------
    without
        Columns whose content does not count.
    """
    import pandas as pd

    if isinstance(value, (pd.Timestamp, pd.Timedelta, pd.Period, pd.Interval, type(pd.NaT), type(pd.NA))):
        return {"kind": "value", "type": type(value).__name__, "value": repr(value)}
    shape = type(value).__name__
    if isinstance(value, pd.Series):
        table = value.to_frame("")
    elif isinstance(value, pd.Index):
        table = value.to_frame(index=False)
    elif isinstance(value, pd.DataFrame):
        table = value
    else:
        return None
    columns = [
        {
            "name": repr(value.name) if isinstance(value, pd.Series) else str(label),
            "dtype": _dtype(table.dtypes.iloc[i]),
            "digest": "measured" if label in without else _column_digest(table.iloc[:, i]),
            "summary": {} if label in without else _summary(table.iloc[:, i]),
            "cells": "" if label in without else _kinds_digest(table.iloc[:, i]),
        }
        for i, label in enumerate(table.columns)
    ]
    index = table.index.to_frame(index=False)
    found: Fingerprint = {
        "kind": "table",
        "type": shape,
        "rows": len(table),
        "columns": columns,
        "index": [_column_digest(index.iloc[:, i]) for i in range(index.shape[1])],
        "attrs": str(value.attrs) if hasattr(value, "attrs") else "",
        "names": [str(table.index.names), str(table.columns.names), _dtype(getattr(table.columns, "dtype", ""))],
        "labels": [_dtype(dtype) for dtype in index.dtypes],
        "freq": [
            str(getattr(axis, "freqstr", None))
            for axis in (value if shape.endswith("Index") else table.index, table.columns)
        ],
    }
    if folder is not None and table.size <= LARGEST_COPY:
        copy = table.set_axis([str(i) for i in range(table.shape[1])], axis=1).reset_index(drop=True)
        try:
            copy.to_parquet(folder / f"{name}.parquet")
            found["copy"] = f"{name}.parquet"
        except Exception:  # a column of mixed or unknown objects: digests and summaries have to do
            (folder / f"{name}.parquet").unlink(missing_ok=True)
    return found


def _dtype(dtype: Any) -> str:
    categories = getattr(dtype, "categories", None)
    if categories is None:
        return str(dtype)
    told = ", ".join(map(repr, categories[:20])) + (f" ... {len(categories)}" if len(categories) > 20 else "")
    return f"{dtype}{' ordered' if dtype.ordered else ''} of {told}"


def _column_digest(column: Any) -> str:
    import pandas as pd

    if column.dtype == object and not all(isinstance(v, str) or v is None for v in column):
        return hashlib.sha256("\0".join(_cell_text(v) for v in column).encode(errors="replace")).hexdigest()[:32]
    try:
        hashes = pd.util.hash_pandas_object(column, index=False)
    except TypeError:  # an extension type without a hash
        hashes = pd.util.hash_pandas_object(column.map(_cell_text), index=False)
    return hashlib.sha256(hashes.to_numpy().tobytes()).hexdigest()[:32]


def _kinds_digest(column: Any) -> str:
    """What kinds of cells a column of objects holds: None, NaN and NaT are all missing, and still three things."""
    if column.dtype != object:
        return ""
    kinds = (
        "nan" if isinstance(v, float) and math.isnan(v) else type(v).__name__.rstrip("0123456789_") for v in column
    )
    return hashlib.sha256("\0".join(kinds).encode()).hexdigest()[:32]


def _cell_text(value: Any) -> str:
    """A cell of any kind as a text that is the same in every process, and that leaves nothing out."""
    if isinstance(value, (list, tuple)):
        return f"{type(value).__name__}:{[_cell_text(item) for item in value]}"
    if isinstance(value, dict):
        return f"{type(value).__name__}:{[(_cell_text(k), _cell_text(v)) for k, v in value.items()]}"
    if from_package(value, "numpy") and getattr(value, "ndim", 0) > 0:
        return json.dumps(take_array(value, None), sort_keys=True)
    table = take_pandas(value, None, "") if from_package(value, "pandas") else None
    text = repr(value) if table is None else json.dumps(table, sort_keys=True)
    if " at 0x" in text:
        raise NotComparable(f"a table that holds {type(value).__module__}.{type(value).__qualname__} objects")
    return f"{type(value).__name__}:{text}"


def _summary(column: Any) -> dict[str, Any]:
    from pandas.api import types

    missing = int(column.isna().sum())
    if (
        types.is_numeric_dtype(column)
        and not types.is_bool_dtype(column)
        and not types.is_complex_dtype(column)
        and len(column)
    ):
        numbers = {"mean": column.mean(), "min": column.min(), "max": column.max()}
        return {"missing": missing, **{k: jsonable(float(v)) if v == v else "nan" for k, v in numbers.items()}}  # noqa: PLR0124 NaN
    return {"missing": missing}


def table_difference(expected: Fingerprint, found: Fingerprint, value: Any, folder: Path) -> str:
    """Where two tables differ, empty if nowhere."""
    if expected["type"] != found["type"]:
        return f"was a {expected['type']}, is a {found['type']}"
    if expected["rows"] != found["rows"]:
        return f"{expected['rows']} rows became {found['rows']}"
    names, found_names = ([c["name"] for c in t["columns"]] for t in (expected, found))
    if names != found_names:
        lost, new = [n for n in names if n not in found_names], [n for n in found_names if n not in names]
        if not lost and not new:
            return "the columns are in another order"
        return "; ".join(f"{what} {', '.join(n[:5])}" for what, n in (("lost column", lost), ("new column", new)) if n)
    copy = _read_table(expected, folder)
    table = value.to_frame() if hasattr(value, "to_frame") else value
    for i, (was, now) in enumerate(zip(expected["columns"], found["columns"], strict=True)):
        where = f"column {was['name']}" if expected["type"] == "DataFrame" else expected["type"].lower()
        if was["dtype"] != now["dtype"]:
            return f"{where} was {was['dtype']}, is {now['dtype']}"
        if was["digest"] == now["digest"]:
            continue
        if copy is None:
            return f"{where} differs: {_summaries(was['summary'], now['summary'])}"
        place = _first_cell(copy.iloc[:, i], table.iloc[:, i])
        if place:
            return f"{where}, {place}"
        if was["cells"] != now["cells"]:
            return f"{where} holds other kinds of cells: None, NaN and NaT, or numbers and texts, are not the same"
    if expected["index"] != found["index"]:
        return "the index differs"
    if expected["labels"] != found["labels"]:
        return f"the index was of {', '.join(expected['labels'])}, is of {', '.join(found['labels'])}"
    if expected["freq"] != found["freq"]:
        return f"the frequency of the labels was {expected['freq']}, is {found['freq']}"
    if expected["attrs"] != found["attrs"]:
        return f"what it tells of itself was {expected['attrs']}, is {found['attrs']}"
    if expected["names"] != found["names"]:
        return f"the names of index and columns were {expected['names']}, are {found['names']}"
    return ""


def _first_cell(was: Any, now: Any) -> str:
    row, count = -1, 0
    for i, (a, b) in enumerate(zip(was.tolist(), now.tolist(), strict=True)):
        if not _same_cell(a, b):
            count += 1
            row = i if row < 0 else row
    if row < 0:
        return ""
    label, a, b = (_shown(v) for v in (now.index[row], was.iloc[row], now.iloc[row]))
    return f"row {label}: {a} became {b} ({count} of {len(was)} rows differ)"


def _shown(value: Any) -> str:
    single = from_package(value, "numpy") and hasattr(value, "item") and not value.ndim
    text = repr(value.item() if single else value)
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}..."


def _same_cell(a: Any, b: Any) -> bool:
    if isinstance(a, float) and isinstance(b, float):
        return close(a, b)
    if any(isinstance(a, kind) != isinstance(b, kind) for kind in (str, bool)):  # 1, "1" and True are three things
        return False
    try:
        return bool(a == b) or (bool(a != a) and bool(b != b))  # noqa: PLR0124 missing values differ from themselves
    except (TypeError, ValueError):  # arrays, and what holds them
        return _cell_text(a) == _cell_text(b)


def _summaries(was: dict[str, Any], now: dict[str, Any]) -> str:
    told = [f"{k} {was[k]} became {now.get(k)}" for k in was if was[k] != now.get(k)]
    return ", ".join(told) or "same summary, another content (too large to keep a copy)"


def _read_table(expected: Fingerprint, folder: Path) -> Any:
    if "copy" not in expected or not (folder / expected["copy"]).exists():
        return None
    import pandas as pd

    try:
        return pd.read_parquet(folder / expected["copy"])
    except ImportError:
        return None


# arrays


def take_array(value: Any, folder: Path | None) -> Fingerprint:
    """The fingerprint of an array."""
    import numpy as np

    array = np.ascontiguousarray(value.filled() if hasattr(value, "filled") else value)
    plain = array.dtype.kind in "biufcSUmM"
    if array.dtype.hasobject:
        content = json.dumps([_cell_text(v) for v in array.ravel().tolist()]).encode()
    elif array.dtype.names:  # what lies between the fields is no content
        content = b"".join(np.ascontiguousarray(array[field]).tobytes() for field in array.dtype.names)
    else:
        content = array.tobytes() if plain else json.dumps([_cell_text(v) for v in array.ravel().tolist()]).encode()
    found: Fingerprint = {
        "kind": "array",
        "dtype": str(array.dtype)
        if array.dtype.kind not in "OSU"
        else {"O": "object", "S": "bytes", "U": "str"}[array.dtype.kind],
        "shape": list(np.shape(value)),
        "digest": hashlib.sha256(content).hexdigest()[:32],
    }
    if type(value) is not np.ndarray:
        found["class"] = type(value).__name__
    if hasattr(value, "filled"):
        found["mask"] = hashlib.sha256(np.ma.getmaskarray(value).tobytes()).hexdigest()[:32]
    if array.dtype.kind in "iuf" and array.size:
        with np.errstate(all="ignore"):
            found["summary"] = {
                k: jsonable(float(f(array))) for k, f in (("mean", np.mean), ("min", np.min), ("max", np.max))
            }
    if folder is not None and plain and array.size <= LARGEST_COPY:
        found["copy"] = f"{found['digest']}.npy"
        if not (folder / found["copy"]).exists():
            np.save(folder / found["copy"], array, allow_pickle=False)
    return found


def take_sparse(value: Any) -> Fingerprint:
    """The fingerprint of a sparse matrix that is too large to write out."""
    rows = value.tocsr()
    rows.sort_indices()
    content = b"".join(part.tobytes() for part in (rows.indptr, rows.indices, rows.data))
    digest = hashlib.sha256(content).hexdigest()[:32]
    return {"kind": "array", "dtype": f"sparse {rows.dtype}", "shape": list(rows.shape), "digest": digest}


def array_difference(expected: Fingerprint, found: Fingerprint, value: Any, folder: Path) -> str:
    """Where two arrays differ, empty if nowhere."""
    import numpy as np

    for what in ("shape", "dtype", "class"):
        if expected.get(what) != found.get(what):
            return f"{what} was {expected.get(what, 'ndarray')}, is {found.get(what, 'ndarray')}"
    if expected.get("mask") != found.get("mask"):
        return "other elements are masked"
    if expected.get("locked") != found.get("locked"):
        return "was made read-only, can be written to" if "locked" in expected else "could be written to, is read-only"
    if expected["digest"] == found["digest"]:
        return ""
    if "copy" not in expected or not (folder / expected["copy"]).exists():
        return f"content differs: {_summaries(expected.get('summary', {}), found.get('summary', {}))}"
    was = np.load(folder / expected["copy"], allow_pickle=False)
    dense = value.toarray() if hasattr(value, "toarray") else value
    now = np.asarray(dense.filled() if hasattr(dense, "filled") else dense)
    exact = was.dtype.kind not in "fc"
    same = was == now if exact else np.isclose(was, now, rtol=RELATIVE, atol=ABSOLUTE, equal_nan=True)
    if same.all():
        return ""
    place = tuple(int(i) for i in np.argwhere(~same)[0])
    at = ", ".join(map(str, place))
    return f"at [{at}]: {was[place].item()!r} became {now[place].item()!r} ({int((~same).sum())} of {same.size} differ)"
