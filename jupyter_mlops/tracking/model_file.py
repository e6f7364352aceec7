"""A model's file: an estimator stored as skops, without pickle, or as a pickle by consent.

A skops file names its parts by memory addresses and carries the time, so the same estimator never gives the same bytes.
Here the parts are numbered in the order in which they occur and the time is left out: the file's SHA-256 is then the
estimator's identity. What is written is read back before it counts as stored.
"""

from __future__ import annotations

import hashlib
import importlib
import io
import json
import pickletools
import sys
import zipfile
from dataclasses import dataclass
from types import FunctionType
from typing import Any

from ..errors import InvalidArgument
from .skops_import import skops_io

__all__ = ["PICKLE", "SKOPS", "Stored", "store_estimator"]

SKOPS = "skops"
PICKLE = "pickle"

MOVE = "Define it in a module (a .py file beside the notebook) and import it from there, or store a pickle"
CONSENT = ": `--allow-pickle` (`allow_pickle=True`)."
NO_TIME = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True)
class Stored:
    """An estimator as bytes.

    Parameters
    ----------
    format
        ``skops`` or ``pickle``.
    trusted
        The types beyond skops' own list that reading it needs: exactly those, for MLflow's ``skops_trusted_types``.
    modules
        The modules whose classes and functions it names.
    """

    data: bytes
    format: str
    trusted: tuple[str, ...] = ()
    modules: frozenset[str] = frozenset()

    @property
    def digest(self) -> str:
        """SHA-256 over the bytes."""
        return hashlib.sha256(self.data).hexdigest()

    def holds(self, text: str) -> bool:
        """Whether a text stands in it as it is: a category of an encoder, say."""
        parts = [self.data]
        if self.format == SKOPS:
            with zipfile.ZipFile(io.BytesIO(self.data)) as held:
                parts = [held.read(name) for name in held.namelist()]
        written = {text.encode(), json.dumps(text)[1:-1].encode(), text.encode("utf-32-le")}
        return any(form in part for form in written for part in parts)

    @property
    def file(self) -> str:
        """The file's name in a model folder, as MLflow names it."""
        return "model.skops" if self.format == SKOPS else "model.pkl"

    @property
    def serialization_format(self) -> str:
        """MLflow's name for the format."""
        return SKOPS if self.format == SKOPS else "cloudpickle"


def store_estimator(model: Any, *, allow_pickle: bool = False) -> tuple[Stored, Any]:
    """Turn an estimator into bytes, and read it back.

    Returns
    -------
    tuple
        What is to be written, and the estimator read back from it (for a pickle: the estimator itself).

    Raises
    ------
    InvalidArgument
        skops cannot store something in it, and a pickle was not allowed or is not possible either.
    """
    try:
        return _skops(model)
    except _CannotStore as reason:
        if not allow_pickle:
            raise InvalidArgument(
                f"this {type(model).__name__} cannot be stored without pickle: {reason}.",
                hint=(MOVE if reason.of_notebook else "Store a pickle") + CONSENT,
            ) from None
    return _pickle(model), model


class _CannotStore(Exception):
    """Why skops cannot store an estimator, and whether that is for something which only the notebook knows."""

    def __init__(self, culprit: str, otherwise: str = "") -> None:
        super().__init__(culprit or otherwise)
        self.of_notebook = bool(culprit)


def _skops(model: Any) -> tuple[Stored, Any]:
    skops = skops_io()
    try:
        raw = skops.dumps(model)
    except Exception as error:
        raise _CannotStore(_culprit(model), _first_line(error)) from error
    data, named = _canonical(raw)
    for module, name in sorted(named):
        if not _importable(module, name):
            kind = "a lambda" if name == "<lambda>" else f"{name!r} of the notebook"
            where = _culprit(model) or f"it holds {kind if module == '__main__' else f'{module}.{name}'}"
            raise _CannotStore(where)
    trusted = tuple(skops.get_untrusted_types(data=data))
    try:
        again = skops.loads(data, trusted=list(trusted))
    except Exception as error:
        raise _CannotStore(_culprit(model), f"it does not read back: {_first_line(error)}") from error
    return Stored(data, SKOPS, trusted, frozenset(module for module, _ in named)), again


def _pickle(model: Any) -> Stored:
    import pickle

    import cloudpickle

    try:
        data = cloudpickle.dumps(model, protocol=pickle.DEFAULT_PROTOCOL)
    except Exception as error:
        raise InvalidArgument(
            f"this {type(model).__name__} cannot be pickled: {_first_line(error)}.",
            hint="Remove what holds an open file, connection, lock or generator from it.",
        ) from error
    texts = {str(arg) for op, arg, _ in pickletools.genops(data) if "UNICODE" in op.name}
    return Stored(data, PICKLE, modules=frozenset(texts & sys.modules.keys()))


def _canonical(raw: bytes) -> tuple[bytes, set[tuple[str, str]]]:
    """The same skops file with its parts numbered and no times, and the (module, name) of every type in it."""
    source = zipfile.ZipFile(io.BytesIO(raw))
    members = set(source.namelist())
    schema = json.loads(source.read("schema.json"))
    ids: dict[int, int] = {}
    files: dict[str, str] = {}
    named: set[tuple[str, str]] = set()
    waiting = [schema]
    while waiting:
        node = waiting.pop()
        if isinstance(node, list):
            waiting.extend(reversed([item for item in node if isinstance(item, (dict, list))]))
            continue
        if isinstance(node.get("__class__"), str):
            named.add((node["__module__"], node["__class__"]))
        if isinstance(node.get("__id__"), int):
            node["__id__"] = ids.setdefault(node["__id__"], len(ids) + 1)
        file = node.get("file")
        if isinstance(file, str) and file in members:
            suffix = file[file.rfind(".") :]
            node["file"] = files.setdefault(file, f"{len(files) + 1}{suffix}")
        waiting.extend(reversed([item for item in node.values() if isinstance(item, (dict, list))]))
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as out:
        text = json.dumps(schema, separators=(",", ":")).encode()
        out.writestr(zipfile.ZipInfo("schema.json", NO_TIME), text, zipfile.ZIP_DEFLATED, 1)
        for old, new in files.items():
            out.writestr(zipfile.ZipInfo(new, NO_TIME), source.read(old), zipfile.ZIP_STORED)
    return target.getvalue(), named


def _importable(module: str, name: str) -> bool:
    """Whether another process can get at a class or function by its name."""
    if module in ("__main__", "__mp_main__"):
        return False
    try:
        found = sys.modules.get(module) or importlib.import_module(module)
    except ImportError:
        return False
    return hasattr(found, name)


def _culprit(model: Any) -> str:
    """Which parameter holds something that only this notebook knows, in words; empty if none is found."""
    if type(model).__module__ == "__main__":
        return f"its class {type(model).__name__!r} is defined in the notebook"
    try:
        params = model.get_params(deep=True)
    except Exception:
        return ""
    # the deepest first: a pipeline holds the step that holds the lambda
    for name, value in sorted(params.items(), key=lambda item: -item[0].count("__")):
        if isinstance(value, FunctionType) and value.__name__ == "<lambda>":
            return f"its parameter {name!r} is a lambda"
        if isinstance(value, (FunctionType, type)) and value.__module__ == "__main__":
            return f"its parameter {name!r} is {value.__name__!r}, defined in the notebook"
        if isinstance(value, FunctionType) and "<locals>" in value.__qualname__:
            return f"its parameter {name!r} is {value.__qualname__!r}, defined inside a function"
        if type(value).__module__ == "__main__":
            return f"its part {name!r} is of the class {type(value).__name__!r}, defined in the notebook"
    return ""


def _first_line(error: BaseException) -> str:
    text = str(error).strip().split("\n", 1)[0].split(". ", 1)[0].rstrip(".")
    return (text or type(error).__name__)[:200]
