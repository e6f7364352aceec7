"""Passing objects: arrays, estimators, generators, dates, figures and the project's own classes as files and JSON."""

from __future__ import annotations

import base64
import collections
import dataclasses
import datetime as dt
import decimal
import enum
import fractions
import functools
import io
import pathlib
import random
import re
import uuid
import zipfile
import zoneinfo
from typing import TYPE_CHECKING, Any

from .passing_tables import decode_pandas, encode_pandas

if TYPE_CHECKING:
    from .passing import Reader, Writer

__all__ = ["decode_object", "encode_object"]

PIPELINE = "pipeline"
_PLAIN: dict[str, type] = {
    "datetime": dt.datetime,
    "date": dt.date,
    "time": dt.time,
    "timedelta": dt.timedelta,
    "timezone": dt.timezone,
    "Decimal": decimal.Decimal,
    "Fraction": fractions.Fraction,
    "PosixPath": pathlib.PosixPath,
    "PurePosixPath": pathlib.PurePosixPath,
}
_TRUSTED = ("sklearn", "numpy", "scipy", "pandas", "builtins", "xgboost", "lightgbm", "imblearn", "catboost")
"""Whose types an estimator may consist of besides the pipeline's own."""


def encode_object(value: Any, writer: Writer) -> dict[str, Any] | None:
    """A node for any value that is no plain data; None for what has no format of its own."""
    package = type(value).__module__.partition(".")[0]
    if package == "pandas":
        return encode_pandas(value, writer)
    if package == "numpy":
        return _encode_numpy(value, writer)
    if package == "scipy" and hasattr(value, "tocsr") and hasattr(value, "nnz"):
        import scipy.sparse

        return {"$": "sparse", **writer.file("npz", lambda path: scipy.sparse.save_npz(path, value))}
    if package == "polars" and hasattr(value, "write_parquet"):
        return {"$": "polars", **writer.file("parquet", value.write_parquet)}
    if package == "plotly" and hasattr(value, "to_json"):
        return {"$": "plotly", **writer.file("plotly.json", lambda path: path.write_text(value.to_json()))}
    if package == "matplotlib" and hasattr(value, "savefig"):
        writer.file("png", lambda path: value.savefig(path, dpi=100))
    if isinstance(value, dict):
        return _encode_mapping(value, writer)
    if not isinstance(value, type) and hasattr(value, "fit") and hasattr(value, "get_params"):
        return _encode_estimator(value, writer)
    return _encode_standard(value, writer)


def decode_object(kind: str, node: dict[str, Any], reader: Reader) -> Any:
    """The value that a node of `encode_object` stands for."""
    held = node.get("v")
    if kind in ("frame", "series", "index") or kind.startswith("pandas."):
        return decode_pandas(kind, node, reader)
    if kind in ("array", "masked", "objects", "scalar", "generator", "random_state"):
        return _decode_numpy(kind, node, reader)
    if kind == "sparse":
        import scipy.sparse

        return scipy.sparse.load_npz(reader.path(node))
    if kind == "polars":
        import polars as pl

        return pl.read_parquet(reader.path(node))
    if kind == "plotly":
        import plotly.io

        return plotly.io.from_json(reader.path(node).read_text(encoding="utf-8"))
    if kind == "skops":
        import skops.io

        return skops.io.load(reader.path(node), trusted=node["trusted"])
    if kind == "mapping":
        items = [(reader.decode(k), reader.decode(v)) for k, v in node["items"]]
        kept = reader.decode(node["class"])
        if kept is collections.defaultdict:
            return collections.defaultdict(reader.decode(node["default"]), items)
        return kept(**dict(items)) if node.get("keywords") else kept(dict(items))
    return _decode_standard(kind, held, node, reader)


# numpy


def _encode_numpy(value: Any, writer: Writer) -> dict[str, Any] | None:
    import numpy as np

    if isinstance(value, np.ma.MaskedArray):
        return {"$": "masked", "v": [writer.encode(value.data), writer.encode(np.ma.getmaskarray(value))], "fill": writer.encode(value.fill_value)}  # fmt: skip
    if isinstance(value, np.ndarray):
        if value.dtype.hasobject:
            if value.dtype != object:
                return None
            return {"$": "objects", "shape": list(value.shape), "v": [writer.encode(item) for item in value.ravel()]}
        kind = type(value).__name__
        made = writer.file("npy", lambda path: np.save(path, np.asarray(value), allow_pickle=False))
        locked = {} if value.flags.writeable else {"locked": True}
        return {"$": "array", "class": kind if kind in ("matrix", "recarray") else "", **locked, **made}
    if isinstance(value, np.generic):
        array = np.asarray(value)
        buffer = io.BytesIO()
        np.save(buffer, array, allow_pickle=False)
        return {"$": "scalar", "v": base64.b64encode(buffer.getvalue()).decode(), "text": repr(value)}
    if isinstance(value, np.random.Generator):
        state = value.bit_generator.state
        seeds = value.bit_generator.seed_seq
        sequence = getattr(seeds, "state", None)
        return {"$": "generator", "v": writer.encode(state), "seeds": writer.encode(sequence)}
    if isinstance(value, np.random.RandomState):
        return {"$": "random_state", "v": writer.encode(value.get_state(legacy=False))}
    if isinstance(value, np.dtype):
        return {"$": "scalar", "dtype": value.str}
    return None


def _decode_numpy(kind: str, node: dict[str, Any], reader: Reader) -> Any:
    import numpy as np

    if kind == "array":
        array = np.load(reader.path(node), allow_pickle=False)
        array.flags.writeable = "locked" not in node
        return array.view({"matrix": np.matrix, "recarray": np.recarray}[node["class"]]) if node["class"] else array
    if kind == "masked":
        data, mask = (reader.decode(part) for part in node["v"])
        return np.ma.MaskedArray(data, mask, fill_value=reader.decode(node["fill"]))
    if kind == "objects":
        array = np.empty(len(node["v"]), dtype=object)
        for i, item in enumerate(node["v"]):
            array[i] = reader.decode(item)
        return array.reshape(node["shape"])
    if kind == "scalar":
        if "dtype" in node:
            return np.dtype(node["dtype"])
        return np.load(io.BytesIO(base64.b64decode(node["v"])), allow_pickle=False)[()]
    state = reader.decode(node["v"])
    if kind == "random_state":
        made = np.random.RandomState()
        made.set_state(state)
        return made
    seeds = reader.decode(node["seeds"])
    bits = getattr(np.random, state["bit_generator"])
    generator = bits(np.random.SeedSequence(**seeds)) if seeds else bits()
    generator.state = state
    return np.random.Generator(generator)


# estimators


def _encode_estimator(value: Any, writer: Writer) -> dict[str, Any] | None:
    try:
        import skops.io

        raw = canonical(skops.io.dumps(value))
        beyond = skops.io.get_untrusted_types(data=raw)
        own = [name for name in beyond if _is_trusted(name)]
        if len(own) == len(beyond):
            skops.io.loads(raw, trusted=own)
            return {"$": "skops", "trusted": own, **writer.file("skops", lambda path: path.write_bytes(raw))}
    except Exception:
        return None  # skops cannot hold it: what is left is a pickle, by consent
    return None


def _is_trusted(name: str) -> bool:
    top = name.partition(".")[0]
    return top in _TRUSTED or (top != "__main__" and not _is_installed(top))


@functools.cache
def _is_installed(package: str) -> bool:
    from importlib import metadata

    return package in metadata.packages_distributions()


def canonical(raw: bytes) -> bytes:
    """A skops file with its parts numbered from 0 and no times, so that the same estimator gives the same bytes."""
    source = zipfile.ZipFile(io.BytesIO(raw))
    text = source.read("schema.json").decode()
    numbers: dict[str, str] = {}
    for found in re.finditer(r'"__id__":\s*(\d+)', text):
        numbers.setdefault(found[1], str(len(numbers)))
    text = re.sub(r'("__id__":\s*)(\d+)', lambda m: m[1] + numbers[m[2]], text)
    files: dict[str, str] = {}
    for found in re.finditer(r'"file":\s*"([^"]+)"', text):
        _, dot, ending = found[1].partition(".")
        files.setdefault(found[1], f"part{len(files)}{dot}{ending}")
    text = re.sub(r'("file":\s*")([^"]+)(")', lambda m: m[1] + files[m[2]] + m[3], text)
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_STORED) as target:
        for name in source.namelist():
            content = text.encode() if name == "schema.json" else source.read(name)
            target.writestr(zipfile.ZipInfo(files.get(name, name)), content)
    return made.getvalue()


# what the standard library and the project make


def _encode_mapping(value: dict[Any, Any], writer: Writer) -> dict[str, Any] | None:
    kind = type(value)
    known = kind in (collections.OrderedDict, collections.defaultdict, collections.Counter)
    if not known and kind.__name__ != "Bunch":
        return None
    node = {"$": "mapping", "class": writer.encode(kind), "keywords": not known}
    if isinstance(value, collections.defaultdict):
        node["default"] = writer.encode(value.default_factory)
    return {**node, "items": [[writer.encode(k), writer.encode(v)] for k, v in value.items()]}


def _encode_standard(value: Any, writer: Writer) -> dict[str, Any] | None:
    kind = type(value)
    name = kind.__name__
    if _PLAIN.get(name) is kind:
        arguments = value.__reduce__()[1]
        return {"$": "made", "class": name, "v": [writer.encode(part) for part in arguments]}
    if kind is zoneinfo.ZoneInfo and value.key:
        return {"$": "zone", "v": value.key}
    if kind is uuid.UUID:
        return {"$": "uuid", "v": str(value)}
    if kind in (range, slice):
        return {"$": name, "v": [writer.encode(p) for p in (value.start, value.stop, value.step)]}
    if kind is random.Random:
        return {"$": "random", "v": writer.encode(value.getstate())}
    if kind is functools.partial:
        return {"$": "partial", "v": [writer.encode(p) for p in (value.func, value.args, value.keywords)]}
    if isinstance(value, enum.Enum):
        return {"$": "enum", "class": writer.encode(kind), "v": value.name}
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return {"$": "named", "class": writer.encode(kind), "v": [writer.encode(p) for p in value]}
    if _is_plain_object(value):
        state = {str(k): v for k, v in vars(value).items()}
        return {"$": "object", "class": writer.encode(kind), "v": writer.encode(state)}
    return None


def _is_plain_object(value: Any) -> bool:
    """Whether an object of the project's own classes, or a data class, is no more than its attributes."""
    kind = type(value)
    if not hasattr(value, "__dict__") or kind.__flags__ & 1 << 9 == 0:
        return False
    special = any(name in base.__dict__ for base in kind.__mro__[:-1] for name in ("__reduce__", "__reduce_ex__", "__getstate__", "__setstate__", "__slots__", "__getnewargs__"))  # fmt: skip
    built_in = any(base.__flags__ & 1 << 9 == 0 for base in kind.__mro__[:-1])
    own = dataclasses.is_dataclass(value) or not _is_installed(kind.__module__.partition(".")[0])
    return own and not special and not built_in


def _decode_standard(kind: str, held: Any, node: dict[str, Any], reader: Reader) -> Any:
    if kind == "zone":
        return zoneinfo.ZoneInfo(held)
    if kind == "uuid":
        return uuid.UUID(held)
    if kind == "enum":
        return reader.decode(node["class"])[held]
    if kind == "object":
        cls = reader.decode(node["class"])
        made = object.__new__(cls)
        made.__dict__.update(reader.decode(held))
        return made
    if kind == "random":
        made = random.Random()  # noqa: S311 the pipeline's own
        made.setstate(reader.decode(held))
        return made
    parts = [reader.decode(part) for part in held]
    if kind == "made":
        return _PLAIN[node["class"]](*parts)
    if kind == "named":
        return reader.decode(node["class"])(*parts)
    if kind == "partial":
        return functools.partial(parts[0], *parts[1], **parts[2])
    return {"range": range, "slice": slice}[kind](*(p for p in parts if kind == "slice" or p is not None))


def random_states() -> dict[str, Any]:
    """Where the global random generators stand."""
    import sys

    states: dict[str, Any] = {"random": random.getstate()}
    if "numpy.random" in sys.modules:
        import numpy as np

        states["numpy"] = np.random.get_state(legacy=False)  # noqa: NPY002 the state of what pipelines use
    return states


def restore_random_states(states: dict[str, Any]) -> None:
    """Put the global random generators there."""
    random.setstate(states["random"])
    if "numpy" in states:
        import numpy as np

        np.random.set_state(states["numpy"])  # noqa: NPY002 the state of what pipelines use
