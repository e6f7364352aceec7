"""Importing skops in a twentieth of the time: the lists of types that it trusts are worked out once and then read.

At its import skops has scikit-learn import every package that it has, to list the estimators in them, and looks for the
home of every ufunc in every module that is loaded. What comes out are lists of names which change only with the versions
of the libraries, so they are kept in the user's cache folder under those versions. It also imports all of
scikit-learn's clusterings and trees, to know one class of each again; classes that stand for those do as well.
"""

from __future__ import annotations

import builtins
import contextlib
import hashlib
import importlib
import importlib.util
import json
import os
import pkgutil
import platform
import sys
import tempfile
from abc import ABCMeta
from collections.abc import Iterable, Iterator, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

from .patches import Patches

__all__ = ["skops_io"]

LISTS = "skops.io._trusted_types"
DISPATCH = "skops.io._sklearn"
STOOD_FOR = {"sklearn.cluster": "Birch", "sklearn.tree._tree": "Tree"}
NO_ESTIMATORS = frozenset({"tests", "externals"})


def skops_io() -> Any:
    """``skops.io``, imported without what its import drags in."""
    if "skops.io" not in sys.modules:
        place = _place()
        kept = _read(place)
        if kept is None or not _import_with(kept):
            _import_whole()
            _write(place)
    return sys.modules["skops.io"]


def _place() -> Path:
    """Where the lists are kept for just these versions."""
    import numpy as np
    import scipy
    import sklearn
    import skops

    versions = [module.__version__ for module in (np, scipy, sklearn, skops)]
    told = json.dumps([*versions, sys.version, platform.platform()])
    name = f"skops-types-{hashlib.sha256(told.encode()).hexdigest()[:16]}.json"
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "jupyter_mlops" / name


def _read(place: Path) -> dict[str, list[str]] | None:
    """The lists as kept; None where there are none that can be read."""
    try:
        kept = json.loads(place.read_bytes())
    except (OSError, ValueError):
        return None
    whole = isinstance(kept, dict) and all(isinstance(names, list) for names in kept.values())
    return kept if whole else None


def _import_with(kept: dict[str, list[str]]) -> bool:
    """Import skops with the module that makes the lists in place already; whether that went well."""
    module = ModuleType(LISTS, "Names of the types that skops trusts, as they were worked out before.")
    vars(module).update(kept)
    sys.modules[LISTS] = module
    finder = _Finder()
    sys.meta_path.insert(0, finder)
    try:
        package = importlib.import_module("skops.io")
    except ImportError:  # it wants a list that is not among them
        del sys.modules[LISTS]
        return False
    finally:
        sys.meta_path.remove(finder)
    vars(package)[LISTS.rpartition(".")[2]] = module
    return True


def _standing_for(home: str, name: str) -> type:
    """A class that dispatch takes for another one's base, and that tells that one's name, without importing it."""

    def stood_for(_: type, kind: type) -> bool:
        return any(base.__name__ == name and base.__module__.startswith(home) for base in kind.__mro__)

    return ABCMeta(name, (), {"__module__": home, "__subclasshook__": classmethod(stood_for)})


class _Loader(SourceFileLoader):
    """Executes one module with an ``import`` of its own, so that no other thread's imports are touched."""

    def exec_module(self, module: ModuleType) -> None:
        vars(module)["__builtins__"] = {**vars(builtins), "__import__": self._import}
        super().exec_module(module)

    def _import(self, name: str, *rest: Any) -> Any:
        if name in STOOD_FOR and name not in sys.modules:
            return SimpleNamespace(**{STOOD_FOR[name]: _standing_for(name, STOOD_FOR[name])})
        return __import__(name, *rest)


class _Finder(MetaPathFinder):
    """Finds the module of skops that asks for scikit-learn's classes."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        found = PathFinder.find_spec(fullname, path, target) if fullname == DISPATCH else None
        if found is None or not isinstance(found.loader, SourceFileLoader) or found.origin is None:
            return None
        return importlib.util.spec_from_file_location(fullname, found.origin, loader=_Loader(fullname, found.origin))


def _import_whole() -> None:
    """Import skops with the search for estimators confined to where estimators can be."""
    from sklearn.utils import discovery

    patches = Patches()
    if hasattr(discovery, "pkgutil"):
        patches.set(discovery, "pkgutil", SimpleNamespace(walk_packages=_walk))
    try:
        importlib.import_module("skops.io")
    finally:
        patches.undo()


def _walk(path: Iterable[str], prefix: str) -> Iterator[pkgutil.ModuleInfo]:
    """As `pkgutil.walk_packages`, but not into tests and bridges to other array libraries, which import Dask and the like."""
    for found in pkgutil.iter_modules(path, prefix):
        yield found
        if found.ispkg and found.name.rpartition(".")[2] not in NO_ESTIMATORS:
            with contextlib.suppress(ImportError):  # as there
                yield from _walk(importlib.import_module(found.name).__path__, f"{found.name}.")


def _write(place: Path) -> None:
    """Keep the lists for the next process; where that is not possible it works them out again."""
    lists = {
        name: value
        for name, value in vars(sys.modules[LISTS]).items()
        if name.endswith("_NAMES") and isinstance(value, list) and all(isinstance(item, str) for item in value)
    }
    with contextlib.suppress(OSError):
        place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=place.parent)
        with os.fdopen(handle, "w") as file:
            json.dump(lists, file)
        Path(temporary).replace(place)
