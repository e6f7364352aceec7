"""Fingerprints: what a value is, small enough to keep, exact enough to tell whether another value is the same.

This file stands alone, and is copied beside every exported pipeline: the notebook's kernel takes the fingerprints, and
the pipeline's check compares them, with nothing of ours installed. Tables and arrays are the same when their content
is, bit by bit; where it is not, floating point numbers may differ by `RELATIVE`, against a kept copy of the values.
Fitted estimators are the same when they predict the same from the data they were used on.
"""

from __future__ import annotations

import hashlib
import json
import math
import sys
from pathlib import Path
from typing import Any

RELATIVE = 1e-9
"""How far two floating point numbers may be apart, relative to the larger one."""
ABSOLUTE = 1e-12
"""The same near zero."""

LARGEST_COPY = 1_000_000  # cells; of larger values only digests and summaries are kept
LARGEST_CONTAINER = 10_000
INPUT_ROWS = 1_000
_PLAIN = (complex, bytes, bytearray, range, slice)
OUTPUTS = ("predict", "predict_proba", "decision_function", "transform")

Fingerprint = dict[str, Any]


class NotComparable(Exception):
    """There is no way to tell whether another value would be the same."""


def take(value: Any, folder: Path, name: str, *, used_on: Any = None) -> Fingerprint:
    """Take a value's fingerprint.

    Parameters
    ----------
    folder
        Where copies are kept, so that a difference can be named by place.
    name
        What the copies' files are called.
    used_on
        For an estimator: data to predict from.

    Raises
    ------
    NotComparable
        The value is of a kind that cannot be compared; the message says which.
    """
    return _take(value, folder, name, used_on)


def difference(expected: Fingerprint, value: Any, folder: Path) -> str:
    """How `value` differs from what a fingerprint was taken of; empty when it is the same."""
    if expected["kind"] == "predictions":
        return _estimator_difference(expected, value, folder)
    try:
        found = _take(value, None, "", None)
    except NotComparable as error:
        return f"is {error}"
    return _difference(expected, found, value, folder)


def _take(value: Any, folder: Path | None, name: str, used_on: Any) -> Fingerprint:
    plain = value.item() if _from(value, "numpy") and getattr(value, "ndim", None) == 0 else value
    if plain is None:
        return {"kind": "value", "type": "None", "value": None}
    for kind in (bool, int, float, str):
        if isinstance(plain, kind):
            return {"kind": "value", "type": kind.__name__, "value": _jsonable(kind(plain))}
    if _from(value, "polars") and hasattr(value, "to_pandas"):
        value = value.to_pandas()
    if _from(value, "pandas"):
        return _take_pandas(value, folder, name)
    if _from(value, "numpy") and hasattr(value, "dtype") and hasattr(value, "shape"):
        return _take_array(value, folder, name)
    if _from(value, "scipy") and hasattr(value, "tocsr"):
        return (
            _take_array(value.toarray(), folder, name)
            if math.prod(value.shape) <= LARGEST_COPY
            else _take_sparse(value)
        )
    if isinstance(value, (dict, list, tuple, set, frozenset)):
        return _take_container(value, folder, name)
    if hasattr(value, "get_params") and hasattr(value, "fit"):
        return _take_estimator(value, folder, name, used_on)
    if type(value).__module__ in ("datetime", "decimal", "fractions", "pathlib", "uuid") or type(value) in _PLAIN:
        return {"kind": "value", "type": type(value).__name__, "value": repr(value)}
    raise NotComparable(f"a {type(value).__module__}.{type(value).__qualname__}")


def _from(value: Any, package: str) -> bool:
    return type(value).__module__.partition(".")[0] == package


# tables


def _take_pandas(value: Any, folder: Path | None, name: str) -> Fingerprint:
    import pandas as pd

    if isinstance(value, (pd.Timestamp, pd.Timedelta, pd.Period, pd.Interval)):
        return {"kind": "value", "type": type(value).__name__, "value": repr(value)}
    shape = type(value).__name__
    if isinstance(value, pd.Series):
        table = value.to_frame("")
    elif isinstance(value, pd.Index):
        table = value.to_frame(index=False)
    elif isinstance(value, pd.DataFrame):
        table = value
    else:
        raise NotComparable(f"a pandas {shape}")
    columns = [
        {
            "name": repr(value.name) if isinstance(value, pd.Series) else str(label),
            "dtype": str(table.dtypes.iloc[i]),
            "digest": _column_digest(table.iloc[:, i]),
            "summary": _summary(table.iloc[:, i]),
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
    }
    if folder is not None and table.size <= LARGEST_COPY:
        copy = table.set_axis([str(i) for i in range(table.shape[1])], axis=1).reset_index(drop=True)
        try:
            copy.to_parquet(folder / f"{name}.parquet")
            found["copy"] = f"{name}.parquet"
        except Exception:  # a column of mixed or unknown objects: digests and summaries have to do
            (folder / f"{name}.parquet").unlink(missing_ok=True)
    return found


def _column_digest(column: Any) -> str:
    import pandas as pd

    try:
        hashes = pd.util.hash_pandas_object(column, index=False)
    except TypeError:  # lists and other things without a hash
        hashes = pd.util.hash_pandas_object(column.map(repr), index=False)
    return hashlib.sha256(hashes.to_numpy().tobytes()).hexdigest()[:32]


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
        return {"missing": missing, **{k: _jsonable(float(v)) if v == v else "nan" for k, v in numbers.items()}}  # noqa: PLR0124 NaN
    return {"missing": missing}


def _table_difference(expected: Fingerprint, found: Fingerprint, value: Any, folder: Path) -> str:
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
    if expected["index"] != found["index"]:
        return "the index differs"
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
    return repr(value.item()) if _from(value, "numpy") and hasattr(value, "item") else repr(value)


def _same_cell(a: Any, b: Any) -> bool:
    if isinstance(a, float) and isinstance(b, float):
        return _close(a, b)
    try:
        return bool(a == b) or (bool(a != a) and bool(b != b)) or str(a) == str(b)  # noqa: PLR0124 missing values differ from themselves
    except (TypeError, ValueError):
        return str(a) == str(b)


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


def _take_array(value: Any, folder: Path | None, name: str) -> Fingerprint:
    import numpy as np

    array = np.ascontiguousarray(value)
    plain = array.dtype.kind in "biufcSUmM"
    content = array.tobytes() if plain else json.dumps([repr(v) for v in array.ravel()]).encode()
    found: Fingerprint = {
        "kind": "array",
        "dtype": str(array.dtype)
        if array.dtype.kind not in "OSU"
        else {"O": "object", "S": "bytes", "U": "str"}[array.dtype.kind],
        "shape": list(np.shape(value)),
        "digest": hashlib.sha256(content).hexdigest()[:32],
    }
    if array.dtype.kind in "iuf" and array.size:
        with np.errstate(all="ignore"):
            found["summary"] = {
                k: _jsonable(float(f(array))) for k, f in (("mean", np.mean), ("min", np.min), ("max", np.max))
            }
    if folder is not None and plain and array.size <= LARGEST_COPY:
        np.save(folder / f"{name}.npy", array, allow_pickle=False)
        found["copy"] = f"{name}.npy"
    return found


def _take_sparse(value: Any) -> Fingerprint:
    rows = value.tocsr()
    rows.sort_indices()
    content = b"".join(part.tobytes() for part in (rows.indptr, rows.indices, rows.data))
    digest = hashlib.sha256(content).hexdigest()[:32]
    return {"kind": "array", "dtype": f"sparse {rows.dtype}", "shape": list(rows.shape), "digest": digest}


def _array_difference(expected: Fingerprint, found: Fingerprint, value: Any, folder: Path) -> str:
    import numpy as np

    for what in ("shape", "dtype"):
        if expected[what] != found[what]:
            return f"{what} was {expected[what]}, is {found[what]}"
    if expected["digest"] == found["digest"]:
        return ""
    if "copy" not in expected or not (folder / expected["copy"]).exists():
        return f"content differs: {_summaries(expected.get('summary', {}), found.get('summary', {}))}"
    was = np.load(folder / expected["copy"], allow_pickle=False)
    now = np.asarray(value.toarray() if hasattr(value, "toarray") else value)
    exact = was.dtype.kind not in "fc"
    same = was == now if exact else np.isclose(was, now, rtol=RELATIVE, atol=ABSOLUTE, equal_nan=True)
    if same.all():
        return ""
    place = tuple(int(i) for i in np.argwhere(~same)[0])
    at = ", ".join(map(str, place))
    return f"at [{at}]: {was[place].item()!r} became {now[place].item()!r} ({int((~same).sum())} of {same.size} differ)"


# containers and plain values


def _take_container(value: Any, folder: Path | None, name: str) -> Fingerprint:
    if len(value) > LARGEST_CONTAINER:
        raise NotComparable(f"a {type(value).__name__} of {len(value)} items")
    if isinstance(value, dict):
        pairs = [(repr(key), item) for key, item in value.items()]
    elif isinstance(value, (set, frozenset)):
        pairs = [(text, text) for text in sorted(map(repr, value))]
    else:
        pairs = [(str(i), item) for i, item in enumerate(value)]
    items = [[key, _take(item, folder, f"{name}.{i}", None)] for i, (key, item) in enumerate(pairs)]
    return {"kind": "items", "type": type(value).__name__, "items": items}


def _items_difference(expected: Fingerprint, found: Fingerprint, value: Any, folder: Path) -> str:
    if expected["type"] != found["type"]:
        return f"was a {expected['type']}, is a {found['type']}"
    was, now = ([key for key, _ in side["items"]] for side in (expected, found))
    if was != now:
        if len(was) != len(now):
            return f"{len(was)} items became {len(now)}"
        return next(f"item {a} became {b}" for a, b in zip(was, now, strict=True) if a != b)
    values = (
        list(value.values())
        if isinstance(value, dict)
        else sorted(map(repr, value))
        if "set" in found["type"]
        else list(value)
    )
    for (key, a), (_, b), item in zip(expected["items"], found["items"], values, strict=True):
        told = _difference(a, b, item, folder)
        if told:
            return f"item {key}: {told}"
    return ""


def _difference(expected: Fingerprint, found: Fingerprint, value: Any, folder: Path) -> str:
    if expected["kind"] != found["kind"]:
        return f"was a {expected.get('type', expected['kind'])}, is a {found.get('type', found['kind'])}"
    if expected["kind"] == "table":
        return _table_difference(expected, found, value, folder)
    if expected["kind"] == "array":
        return _array_difference(expected, found, value, folder)
    if expected["kind"] == "items":
        return _items_difference(expected, found, value, folder)
    if expected["type"] != found["type"]:
        return f"was {expected['value']!r} ({expected['type']}), is {found['value']!r} ({found['type']})"
    a, b = expected["value"], found["value"]
    if expected["type"] == "float":
        return "" if _close(float(a), float(b)) else f"{a} became {b}"
    return "" if a == b else f"{a!r} became {b!r}"


def _jsonable(value: Any) -> Any:
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _close(a: float, b: float) -> bool:
    return a == b or (a != a and b != b) or math.isclose(a, b, rel_tol=RELATIVE, abs_tol=ABSOLUTE)  # noqa: PLR0124 NaN


# estimators


def _take_estimator(value: Any, folder: Path | None, name: str, used_on: Any) -> Fingerprint:
    if folder is None or used_on is None:
        raise NotComparable(f"a {type(value).__name__} of which no prediction is known")
    sample = used_on.iloc[:INPUT_ROWS] if hasattr(used_on, "iloc") else used_on[:INPUT_ROWS]
    kept = _write_input(sample, folder, name)
    outputs: dict[str, Fingerprint] = {}
    for method in OUTPUTS:
        if method in ("decision_function", "transform") and outputs:
            continue
        result = _output(value, method, _read_input(kept, folder))
        if result is not None:
            outputs[method] = _take(result, folder, f"{name}.{method}", None)
    if not outputs:
        raise NotComparable(f"a {type(value).__name__} that predicts nothing from the data it was used on")
    return {
        "kind": "predictions",
        "type": type(value).__name__,
        "input": kept,
        "params": _params(value),
        "outputs": outputs,
    }


def _estimator_difference(expected: Fingerprint, value: Any, folder: Path) -> str:
    if type(value).__name__ != expected["type"]:
        return f"was a {expected['type']}, is a {type(value).__name__}"
    params = _params(value)
    for key, was in expected["params"].items():
        if params.get(key) != was:
            return f"{key}={was} became {params.get(key)}"
    data = _read_input(expected["input"], folder)
    for method, was in expected["outputs"].items():
        result = _output(value, method, data)
        if result is None:
            return f"{method} gives nothing any more"
        told = _difference(was, _take(result, None, "", None), result, folder)
        if told:
            return f"{method} on the data it was used on, {told}"
    return ""


def _output(estimator: Any, method: str, data: Any) -> Any:
    try:
        result = getattr(estimator, method)(data)
    except Exception:  # a method that this estimator has not, or cannot do with this data
        return None
    return result


def _params(estimator: Any) -> dict[str, str]:
    plain = (bool, int, float, str, type(None))
    return {k: repr(v) for k, v in sorted(estimator.get_params().items()) if isinstance(v, plain)}


def _write_input(data: Any, folder: Path, name: str) -> str:
    file = folder / f"{name}.input"
    if _from(data, "pandas") and hasattr(data, "columns") and all(isinstance(c, str) for c in data.columns):
        try:
            data.reset_index(drop=True).to_parquet(file.with_suffix(".input.parquet"))
            return f"{name}.input.parquet"
        except Exception as error:
            raise NotComparable(f"used on a table that cannot be kept: {error}") from error
    if hasattr(data, "tolist") and getattr(getattr(data, "dtype", None), "kind", "O") == "O":
        data = data.tolist()
    if isinstance(data, list) and all(isinstance(item, str) for item in data):
        file.with_suffix(".input.json").write_text(json.dumps(data))
        return f"{name}.input.json"
    import numpy as np

    if hasattr(data, "toarray"):
        data = data.toarray()
    array = np.asarray(data)
    if array.dtype.kind not in "biufcSUmM":
        raise NotComparable("used on data that cannot be kept")
    np.save(file.with_suffix(".input.npy"), array, allow_pickle=False)
    return f"{name}.input.npy"


def _read_input(kept: str, folder: Path) -> Any:
    file = folder / kept
    if kept.endswith(".parquet"):
        import pandas as pd

        return pd.read_parquet(file)
    if kept.endswith(".json"):
        return json.loads(file.read_text())
    import numpy as np

    return np.load(file, allow_pickle=False)


def versions(packages: list[str]) -> dict[str, str]:
    """The versions of Python and of these packages here."""
    from importlib import metadata

    found = {"python": ".".join(map(str, sys.version_info[:3]))}
    for package in packages:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = "not installed"
    return found
