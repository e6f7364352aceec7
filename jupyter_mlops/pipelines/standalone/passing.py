"""Passing: values written to files by their type and read back, each with a content hash; no pickle unless allowed.

This file is copied beside every exported pipeline: its steps run in processes of their own and hand values on through
it. Tables go as Parquet, arrays as npy, estimators as skops, plain data as JSON; what shares an object still shares it
when it is read back. What cannot be written is told with its cause; whoever needs it makes it anew.
"""

from __future__ import annotations

import base64
import hashlib
import importlib
import inspect
import json
import math
import types
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from .passing_objects import decode_object, encode_object

__all__ = ["MANIFEST", "CannotPass", "Node", "Reader", "Writer", "file_hash", "read_manifest"]

Node = Any
"""What JSON can hold; a dict with the key ``$`` stands for a value of the kind it names."""
MANIFEST = "values.json"
SCHEMA = 1
LONGEST_LIST = 2_000_000


class CannotPass(Exception):
    """A value that can only live in the process that made it; the text says what it is."""


class Writer:
    """Writes values into a folder.

    Parameters
    ----------
    folder
        An empty folder.
    allow_pickle
        Whether what has no format of its own may be pickled.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> writer = Writer(folder)
    >>> shared = [1, 2.5]
    >>> writer.add("a", shared), writer.add("b", {"same": shared})
    (True, True)
    >>> reader = Reader(folder, writer.entries)
    >>> reader.value("b")["same"] is reader.value("a")
    True
    """

    def __init__(self, folder: Path, *, allow_pickle: bool = False) -> None:
        self.folder = folder
        self.allow_pickle = allow_pickle
        self.entries: dict[str, dict[str, Any]] = {}
        self._known: dict[int, tuple[int, str]] = {}
        self._alive: list[Any] = []
        self._open: set[int] = set()
        self._name = ""
        self._files = 0
        self._formats: list[str] = []
        self._refers: dict[str, None] = {}

    def add(self, name: str, value: Any) -> bool:
        """Write one value; False, with the cause in its entry, if it cannot be passed on."""
        before = dict(self._known)
        self._name, self._files, self._formats, self._refers = name, 0, [], {}
        try:
            node = self.encode(value)
            text = json.dumps(_content(node), sort_keys=True)
        except CannotPass as cause:
            self._known, self._open = before, set()
            self.entries[name] = {"type": _type_name(value), "format": "none", "why": str(cause), "hash": ""}
            return False
        except RecursionError:
            self._known, self._open = before, set()
            self.entries[name] = {"type": _type_name(value), "format": "none", "why": "nested too deeply", "hash": ""}
            return False
        formats = list(dict.fromkeys(self._formats)) or ["json"]
        self.entries[name] = {
            "type": _type_name(value),
            "format": ", ".join(formats),
            "hash": hashlib.sha256(text.encode()).hexdigest(),
            "with": [other for other in self._refers if other != name],
            "node": node,
        }
        return True

    def file(self, ending: str, write: Callable[[Path], Any]) -> dict[str, Any]:
        """Write a file with `write(path)`; gives its name and hash."""
        part = f".{self._files}" if self._files else ""
        self._files += 1
        name = f"{_file_name(self._name)}{part}.{ending}"
        self._formats.append(ending)
        write(self.folder / name)
        return {"file": name, "sha256": file_hash(self.folder / name)}

    def encode(self, value: Any) -> Node:
        """A value as JSON, with files beside it for what is large."""
        kind = type(value)
        if value is None or kind in (bool, int, str):
            return value
        if kind is float:
            return value if math.isfinite(value) else {"$": "float", "v": repr(value)}
        if kind is complex:
            return {"$": "complex", "v": [self.encode(value.real), self.encode(value.imag)]}
        if kind is bytes:
            return {"$": "bytes", "v": base64.b64encode(value).decode()}
        key = id(value)
        if key in self._known:
            number, holder = self._known[key]
            if number in self._open:
                raise CannotPass(f"a {kind.__name__} that holds itself")
            self._refers[holder] = None
            return {"$": "ref", "v": number}
        number = len(self._alive)
        self._alive.append(value)
        self._known[key] = (number, self._name)
        self._open.add(number)
        node = self._encode(value, kind)
        self._open.discard(number)
        return {**node, "id": number}

    def _encode(self, value: Any, kind: type) -> dict[str, Any]:
        if kind in (list, tuple, set, frozenset):
            if len(value) > LONGEST_LIST:
                raise CannotPass(f"a {kind.__name__} of {len(value):,} items")
            return {"$": kind.__name__, "v": [self.encode(item) for item in value]}
        if kind is dict:
            return {"$": "dict", "v": [[self.encode(k), self.encode(v)] for k, v in value.items()]}
        if isinstance(value, types.ModuleType):
            return {"$": "module", "v": value.__name__}
        if isinstance(value, (type, types.FunctionType, types.BuiltinFunctionType)) or _is_function(kind):
            return {"$": "name", "v": reference(value)}
        found = encode_object(value, self)
        if found is not None:
            return found
        if not self.allow_pickle:
            raise CannotPass(f"{_article(_type_name(value))}, which only a pickle could hold")
        return {"$": "pickle", **self.file("pkl", lambda path: _write_pickle(value, path))}


class Reader:
    """Reads the values of a folder back.

    Parameters
    ----------
    entries
        What the writer has noted of each.

    Raises
    ------
    CannotPass
        From `value`: it is not there, was changed, or is a pickle and that is not allowed.
    """

    def __init__(self, folder: Path, entries: Mapping[str, dict[str, Any]], *, allow_pickle: bool = False) -> None:
        self.folder = folder
        self.entries = entries
        self.allow_pickle = allow_pickle
        self._values: dict[str, Any] = {}
        self._objects: dict[int, Any] = {}

    def value(self, name: str) -> Any:
        """One value; asked for again, the same object."""
        if name not in self._values:
            entry = self.entries.get(name)
            if entry is None or "node" not in entry:
                raise CannotPass(entry["why"] if entry else "not there")
            for other in entry.get("with", ()):
                self.value(other)
            self._values[name] = self.decode(entry["node"])
        return self._values[name]

    def path(self, node: dict[str, Any]) -> Path:
        """The file of a node, checked against its hash."""
        path: Path = self.folder / node["file"]
        if not path.is_file():
            raise CannotPass(f"{path} is gone")
        if file_hash(path) != node["sha256"]:
            raise CannotPass(f"{path} was changed after it was written")
        return path

    def decode(self, node: Node) -> Any:
        """The value that a node stands for."""
        if not isinstance(node, dict):
            return node
        kind: str = node["$"]
        held: Any = node.get("v")
        if kind == "ref":
            return self._objects[held]
        value = self._decode(kind, held, node)
        if "id" in node:
            self._objects[node["id"]] = value
        return value

    def _decode(self, kind: str, held: Any, node: dict[str, Any]) -> Any:
        if kind == "float":
            return float(held)
        if kind == "complex":
            return complex(self.decode(held[0]), self.decode(held[1]))
        if kind == "bytes":
            return base64.b64decode(held)
        if kind in ("list", "tuple", "set", "frozenset"):
            made = {"list": list, "tuple": tuple, "set": set, "frozenset": frozenset}[kind]
            return made(self.decode(item) for item in held)
        if kind == "dict":
            return {self.decode(k): self.decode(v) for k, v in held}
        if kind == "module":
            return importlib.import_module(held)
        if kind == "name":
            return named(held)
        if kind == "pickle":
            if not self.allow_pickle:
                raise CannotPass("a pickle, and reading pickles was not allowed (--allow-pickle)")
            return _read_pickle(self.path(node))
        return decode_object(kind, node, self)


def _is_function(kind: type) -> bool:
    """Whether a type is a library's own kind of function."""
    return kind.__name__ in ("_ArrayFunctionDispatcher", "cython_function_or_method", "_lru_cache_wrapper")


def reference(value: Any) -> str:
    """``module:qualname`` of a function or class that can be imported again.

    Raises
    ------
    CannotPass
        It was made inside of a function, or in a program that is no module.
    """
    module, name = getattr(value, "__module__", "") or "builtins", getattr(value, "__qualname__", "")
    what = "a class" if isinstance(value, type) else "a lambda" if name.endswith("<lambda>") else "a function"
    try:
        found = named(f"{module}:{name}")
    except (ImportError, AttributeError):
        found = None
    if found is not value or module == "__main__":
        raise CannotPass(f"{what} made inside of a step")
    return f"{module}:{name}"


def named(told: str) -> Any:
    """What a reference names."""
    module, _, name = told.partition(":")
    found: Any = importlib.import_module(module)
    for part in name.split("."):
        found = inspect.getattr_static(found, part) if isinstance(found, type) else getattr(found, part)
        found = found.__func__ if isinstance(found, (staticmethod, classmethod)) else found
    return found


def read_manifest(folder: Path) -> dict[str, Any]:
    """What a step has left in a folder.

    Raises
    ------
    CannotPass
        There is nothing, or it cannot be read.
    """
    try:
        told = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CannotPass(f"{folder} holds no values of a step: {error}") from error
    if not isinstance(told, dict) or told.get("schema") != SCHEMA:
        raise CannotPass(f"{folder} was written by another version")
    return told


def file_hash(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _content(node: Node) -> Node:
    """A node without what says where it stands: the content alone."""
    if isinstance(node, dict):
        return {key: _content(held) for key, held in node.items() if key not in ("id", "file")}
    return [_content(item) for item in node] if isinstance(node, list) else node


def _write_pickle(value: Any, path: Path) -> None:
    try:
        import cloudpickle as pickles
    except ImportError:
        import pickle as pickles
    try:
        path.write_bytes(pickles.dumps(value))
    except Exception as error:
        path.unlink(missing_ok=True)
        raise CannotPass(f"{_article(_type_name(value))}, which no pickle can hold either: {error}") from error


def _read_pickle(path: Path) -> Any:
    import pickle

    return pickle.loads(path.read_bytes())  # noqa: S301 by consent only


def _type_name(value: Any) -> str:
    kind = type(value)
    return kind.__name__ if kind.__module__ in ("builtins", "pandas.core.frame") else f"{kind.__module__}.{kind.__name__}"  # fmt: skip


def _article(name: str) -> str:
    return f"{'an' if name[:1].lower() in 'aeiou' else 'a'} {name}"


def _file_name(name: str) -> str:
    """A variable's name as a file's, told apart where only case differs."""
    plain = "".join(c if c.isascii() and (c.isalnum() or c == "_") else f"-{ord(c):x}-" for c in name)
    return plain if plain == plain.lower() else f"{plain}.{hashlib.sha256(name.encode()).hexdigest()[:4]}"
