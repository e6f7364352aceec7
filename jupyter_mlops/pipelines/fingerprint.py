"""Fingerprints: what a value is, small enough to keep, exact enough to tell whether another value is the same.

This file is copied beside every exported pipeline, with those it imports: the notebook's kernel takes the
fingerprints, and the pipeline's check compares them, with nothing of ours installed. Tables and arrays are the same
when their content is, bit by bit; where it is not, floating point numbers may differ by `RELATIVE`, against a kept copy
of the values. Fitted estimators are the same when their parameters and everything they have learnt are, and they
predict the same from the data they were used on. Any other object is the same when what it consists of is.
"""

from __future__ import annotations

import hashlib
import json
import math
import sys
import warnings
from pathlib import Path
from typing import Any

from .fingerprint_objects import (
    PLACES,
    Held,
    NotComparable,
    class_name,
    is_estimator,
    measured_times,
    placed,
    state_of,
    without_process,
)
from .fingerprint_tables import (
    ABSOLUTE,
    LARGEST_COPY,
    RELATIVE,
    Fingerprint,
    array_difference,
    close,
    from_package,
    jsonable,
    table_difference,
    take_array,
    take_pandas,
    take_sparse,
)

__all__ = [
    "ABSOLUTE",
    "FILES",
    "PLACES",
    "RELATIVE",
    "Fingerprint",
    "NotComparable",
    "compare",
    "difference",
    "take",
    "versions",
]

FILES = ("fingerprint.py", "fingerprint_drawings.py", "fingerprint_objects.py", "fingerprint_tables.py")
"""What is copied beside a pipeline."""
LARGEST_CONTAINER = 100_000
DEEPEST = 60
INPUT_ROWS = 1_000
_PLAIN = (complex, bytes, bytearray, range, slice)
_SCALARS = (bool, int, float, str, type(None))
OUTPUTS = ("predict", "predict_proba", "decision_function", "transform")


def take(value: Any, folder: Path, name: str, *, used_on: Any = None) -> Fingerprint:
    """Take a value's fingerprint.

    Parameters
    ----------
    folder
        Where copies are kept, so that a difference can be named by place.
    name
        What the copies' files are called.
    used_on
        For an estimator: data to predict from, besides comparing what it has learnt.

    Raises
    ------
    NotComparable
        The value is of a kind that cannot be compared; the message says which.
    """
    taker = _Taker(folder)
    try:
        found = taker.take(value, name, used_on)
    except (NotComparable, MemoryError, KeyboardInterrupt):
        raise
    except Exception as error:  # an object that does not like to be looked at
        raise NotComparable(f"a {class_name(value)}, of which {type(error).__name__}: {error}") from error
    if taker.measured:
        found["measured"] = sorted(taker.measured)
    return found


def difference(expected: Fingerprint, value: Any, folder: Path) -> str:
    """How `value` differs from what a fingerprint was taken of; empty when it is the same."""
    return compare(expected, value, folder)[0]


def compare(expected: Fingerprint, value: Any, folder: Path) -> tuple[str, str]:
    """As `difference`, and a digest of `value`, by which two runs of a pipeline are compared; empty where there is none."""
    try:
        found = _Taker(None).take(value, "", None)
    except NotComparable as error:
        return f"is {error}", ""
    except Exception as error:  # an object that does not like to be looked at
        return f"is a {class_name(value)}, of which {type(error).__name__}: {error}", ""
    told = _Comparison(folder).difference(expected, found, value)
    if not told and expected["kind"] == "model" and expected["outputs"]:
        told = _outputs_difference(expected, value, folder)
    return told, _digest([json.dumps(found, sort_keys=True)])


def _scalar(value: Any) -> Any:
    """A number of numpy's as Python's own; anything else as it is."""
    single = from_package(value, "numpy") and getattr(value, "ndim", None) == 0 and hasattr(value, "item")
    return value.item() if single else value


class _Taker:
    """Takes the fingerprint of one value and of everything in it, each object once."""

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder
        self.known: dict[int, str] = {}
        self.alive: list[Any] = []
        self.depth = 0
        self.measured: set[str] = set()
        """Times taken with a clock, which are left out: no two runs share them."""

    def take(self, value: Any, name: str, used_on: Any) -> Fingerprint:
        plain = _scalar(value)
        if plain is None:
            return {"kind": "value", "type": "None", "value": None}
        for kind in (bool, int, float, str):
            if isinstance(plain, kind) and not hasattr(plain, "__members__") and type(plain).__module__ != "enum":
                return {"kind": "value", "type": kind.__name__, "value": placed(jsonable(kind(plain)))}
        if isinstance(value, (bytes, bytearray)):  # pickled, an object of the notebook's own class names its module
            value = value.replace(b"\x8c\x08pipeline\x94", b"\x8c\x08__main__\x94")
            if value[:3] == b"\x1f\x8b\x08":  # gzip writes down when it has compressed
                value = value[:4] + bytes(4) + value[8:]
        if type(value).__module__ in ("datetime", "decimal", "fractions", "pathlib", "uuid") or type(value) in _PLAIN:
            return {"kind": "value", "type": type(value).__name__, "value": placed(repr(value))}
        if id(value) in self.known:
            return {"kind": "value", "type": "the same", "value": self.known[id(value)]}
        self.known[id(value)] = name.partition(".")[2]
        self.alive.append(value)
        self.depth += 1
        try:
            if self.depth > DEEPEST:
                raise NotComparable(f"more than {DEEPEST} objects deep")
            return self._take(value, name, used_on)
        finally:
            self.depth -= 1

    def _take(self, value: Any, name: str, used_on: Any) -> Fingerprint:
        if from_package(value, "polars") and hasattr(value, "to_pandas"):
            value = value.to_pandas()
        if from_package(value, "pandas"):
            times = measured_times(value.columns) if hasattr(value, "columns") else set()
            found = take_pandas(value, self.folder, name, without=times)
            if found is not None:
                self.measured |= times
                return found
        if from_package(value, "numpy") and hasattr(value, "dtype") and hasattr(value, "shape"):
            if value.dtype.kind == "O":
                items = self._items([(str(i), v) for i, v in enumerate(value.ravel())], name)
                return {"kind": "items", "type": "array of objects", "shape": list(value.shape), "items": items}
            locked = self.depth == 1 and getattr(value, "base", 0) is None and not value.flags.writeable
            return {**take_array(value, self.folder), **({"locked": True} if locked else {})}
        if from_package(value, "scipy") and hasattr(value, "tocsr"):
            small = math.prod(value.shape) <= LARGEST_COPY
            return take_array(value.toarray(), self.folder) if small else take_sparse(value)
        if isinstance(value, (dict, list, tuple, set, frozenset)):
            return self._container(without_process(value), name)
        if is_estimator(value):
            state = self.take(state_of(value), f"{name}.state", None)
            kept, outputs = _outputs(value, used_on, self.folder, name)
            return {"kind": "model", "type": type(value).__name__, "params": _params(value), "state": state, "input": kept, "outputs": outputs}  # fmt: skip
        return {"kind": "object", "type": class_name(value), "state": self.take(state_of(value), f"{name}.state", None)}

    def _container(self, value: Any, name: str) -> Fingerprint:
        kind = type(value).__name__
        kind = {"SList": "list"}.get(kind, kind)  # what IPython gives of a shell command
        if hasattr(value, "default_factory"):
            kind += f" of {class_name(value.default_factory)} {getattr(value.default_factory, '__name__', '')}"
        if isinstance(value, (set, frozenset)):
            try:
                texts = sorted(map(_text, value))
            except RecursionError:
                raise NotComparable(f"a {kind} that holds itself") from None
            return {"kind": "items", "type": kind, "items": [[t, {"kind": "value", "type": "str", "value": t}] for t in texts]}  # fmt: skip
        pairs = [(_text(k), v) for k, v in value.items()] if isinstance(value, dict) else []
        values = [v for _, v in pairs] if isinstance(value, dict) else list(value)
        if len(values) > 200 and all(type(v) in _SCALARS for v in values):
            return {"kind": "items", "type": kind, "long": _long(values, self.folder), "keys": _digest([k for k, _ in pairs]), "items": []}  # fmt: skip
        if len(values) > LARGEST_CONTAINER:
            raise NotComparable(f"a {kind} of {len(values):,} objects")
        return {"kind": "items", "type": kind, "items": self._items(pairs or [(str(i), v) for i, v in enumerate(values)], name, value)}  # fmt: skip

    def _items(self, pairs: list[tuple[str, Any]], name: str, value: Any = None) -> list[list[Any]]:
        times = {repr(key) for key in measured_times(value)} if isinstance(value, dict) else set()
        self.measured |= {key.strip("'") for key in times}
        return [
            [key, _measured(item) if key in times else self.take(item, f"{name}.{i}", None)]
            for i, (key, item) in enumerate(pairs)
        ]


def _measured(value: Any) -> Fingerprint:
    """A time taken with a clock: that it is one, and how many there are."""
    return {"kind": "value", "type": "measured time", "value": f"{type(value).__name__} {getattr(value, 'shape', '')}"}


def _text(key: Any) -> str:
    text = repr(key)
    if " at 0x" in text:
        raise NotComparable(f"a container keyed by {type(key).__qualname__} objects")
    return text


def _long(values: list[Any], folder: Path | None) -> Fingerprint:
    """A long list of plain values: of numbers as an array, else by its digest."""
    import numpy as np

    if all(type(v) is float for v in values):
        return take_array(np.asarray(values, dtype=float), folder)
    return {
        "kind": "value",
        "type": "text",
        "value": f"{len(values)} items, {_digest([placed(repr(v)) for v in values])}",
    }


def _digest(texts: list[str]) -> str:
    return hashlib.sha256("\0".join(texts).encode(errors="replace")).hexdigest()[:32]


class _Comparison:
    """Compares two fingerprints, and the values where copies of them were kept."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def difference(self, expected: Fingerprint, found: Fingerprint, value: Any) -> str:
        if expected["kind"] != found["kind"]:
            return f"was a {expected.get('type', expected['kind'])}, is a {found.get('type', found['kind'])}"
        if expected["kind"] == "table":
            return table_difference(expected, found, value, self.folder)
        if expected["kind"] == "array":
            return array_difference(expected, found, value, self.folder)
        if expected["kind"] == "items":
            return self._items(expected, found, value)
        if expected["kind"] in ("object", "model"):
            return self._object(expected, found, value)
        if expected["type"] != found["type"]:
            return f"was {expected['value']!r} ({expected['type']}), is {found['value']!r} ({found['type']})"
        a, b = expected["value"], found["value"]
        if expected["type"] == "float":
            return "" if close(float(a), float(b)) else f"{a} became {b}"
        if isinstance(a, str) and isinstance(b, str) and max(len(a), len(b)) > 120 and a != b:
            at = next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
            near = slice(max(0, at - 20), at + 40)
            return f"at character {at:,} of {len(a):,}, {a[near]!r} became {b[near]!r}"
        return "" if a == b else f"{_cut(a)} became {_cut(b)}"

    def _items(self, expected: Fingerprint, found: Fingerprint, value: Any) -> str:
        if expected["type"] != found["type"]:
            return f"was a {expected['type']}, is a {found['type']}"
        if expected.get("shape") != found.get("shape"):
            return f"shape was {expected.get('shape')}, is {found.get('shape')}"
        if expected["type"] == Held.__name__:
            found = {**found, "items": [item for item in found["items"] if item[0] in dict(expected["items"])]}
            value = {name: held for name, held in value.items() if _text(name) in dict(expected["items"])}
        if ("long" in expected) != ("long" in found):
            return f"{len(expected['items']) or 'more than 200'} items became {len(value)}"
        if "long" in expected:
            if expected["keys"] != found["keys"]:
                return "the keys differ"
            return self.difference(expected["long"], found["long"], _as_array(value, found["long"]))
        was, now = ([key for key, _ in side["items"]] for side in (expected, found))
        if was != now:
            if len(was) != len(now):
                return f"{len(was)} items became {len(now)}"
            return next(f"item {_cut(a, '')} became {_cut(b, '')}" for a, b in zip(was, now, strict=True) if a != b)
        value = without_process(value)
        if isinstance(value, dict):
            values = list(value.values())
        elif "set" in found["type"]:
            values = list(now)
        else:
            values = list(value.ravel()) if hasattr(value, "ravel") else list(value)
        for (key, a), (_, b), item in zip(expected["items"], found["items"], values, strict=True):
            told = self.difference(a, b, item)
            if told:
                return f"item {key}: {told}"
        return ""

    def _object(self, expected: Fingerprint, found: Fingerprint, value: Any) -> str:
        if expected["type"] != found["type"]:
            return f"was a {expected['type']}, is a {found['type']}"
        params = found.get("params", {})
        for key, was in expected.get("params", {}).items():
            if params.get(key) != was:
                return f"{key}={was} became {params.get(key)}"
        told = self.difference(expected["state"], found["state"], state_of(value))
        return f"in what it {'has learnt' if expected['kind'] == 'model' else 'holds'}, {told}" if told else ""


def _as_array(value: Any, found: Fingerprint) -> Any:
    if found["kind"] != "array":
        return value
    import numpy as np

    return np.asarray(list(value.values() if isinstance(value, dict) else value), dtype=float)


def _cut(value: Any, quote: str = "r") -> str:
    text = repr(value) if quote else str(value)
    return text if len(text) <= 120 else f"{text[:117]}..."


# estimators


def _outputs(value: Any, used_on: Any, folder: Path | None, name: str) -> tuple[str, dict[str, Fingerprint]]:
    """What an estimator gives from the data it was used on, and the file in which that data is kept."""
    if folder is None or used_on is None:
        return "", {}
    sample = used_on.iloc[:INPUT_ROWS] if hasattr(used_on, "iloc") else used_on[:INPUT_ROWS]
    try:
        kept = _write_input(sample, folder, name)
    except NotComparable:
        return "", {}
    outputs: dict[str, Fingerprint] = {}
    for method in OUTPUTS:
        if method in ("decision_function", "transform") and outputs:
            continue
        result = _output(value, method, _read_input(kept, folder))
        if result is not None:
            try:
                outputs[method] = _Taker(folder).take(result, f"{name}.{method}", None)
            except NotComparable:
                continue
    return kept, outputs


def _outputs_difference(expected: Fingerprint, value: Any, folder: Path) -> str:
    data = _read_input(expected["input"], folder)
    for method, was in expected["outputs"].items():
        result = _output(value, method, data)
        if result is None:
            return f"{method} gives nothing any more"
        told = _Comparison(folder).difference(was, _Taker(None).take(result, "", None), result)
        if told:
            return f"{method} on the data it was used on, {told}"
    return ""


def _output(estimator: Any, method: str, data: Any) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what it warns of, it has warned the notebook of
            return getattr(estimator, method)(data)
    except Exception:  # a method that this estimator has not, or cannot do with this data
        return None


def _params(estimator: Any) -> dict[str, str]:
    plain = (bool, int, float, str, type(None))
    return {k: repr(v) for k, v in sorted(estimator.get_params().items()) if isinstance(v, plain)}


def _write_input(data: Any, folder: Path, name: str) -> str:
    file = folder / f"{name}.input"
    if from_package(data, "pandas") and hasattr(data, "columns") and all(isinstance(c, str) for c in data.columns):
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
