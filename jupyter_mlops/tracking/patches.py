"""Patches: attributes of other people's modules and classes, replaced for a while and put back as they were."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

__all__ = ["ImportWatch", "Patches"]

_ABSENT = object()


class Patches:
    """Attributes that were replaced, with what they were.

    Examples
    --------
    >>> class Thing: size = 1
    >>> patches = Patches()
    >>> patches.set(Thing, "size", 2)
    >>> Thing.size
    2
    >>> patches.undo()
    >>> Thing.size
    1
    """

    def __init__(self) -> None:
        self._done: list[tuple[Any, str, Any, Any]] = []

    def set(self, owner: Any, name: str, value: Any) -> None:
        """Let ``owner.name`` be `value` until `undo`."""
        before = vars(owner).get(name, _ABSENT)
        setattr(owner, name, value)
        self._done.append((owner, name, before, vars(owner).get(name)))

    def undo(self) -> None:
        """Put everything back, the last first; what somebody else has replaced since then stays theirs."""
        while self._done:
            owner, name, before, ours = self._done.pop()
            if vars(owner).get(name, _ABSENT) is not ours:
                continue
            with contextlib.suppress(AttributeError, TypeError):
                if before is _ABSENT:
                    delattr(owner, name)
                else:
                    setattr(owner, name, before)


class ImportWatch(MetaPathFinder):
    """Calls back when a module has been imported for the first time.

    Parameters
    ----------
    wanted
        Module names, and what to call with the module.
    """

    def __init__(self, wanted: dict[str, Callable[[ModuleType], None]]) -> None:
        self._wanted = wanted
        self._looking: set[str] = set()

    def begin(self) -> None:
        """Call back for the modules that are there, and watch for the others."""
        sys.meta_path.insert(0, self)
        for name, then in self._wanted.items():
            module = sys.modules.get(name)
            if module is not None:
                then(module)

    def end(self) -> None:
        """Watch no more."""
        with contextlib.suppress(ValueError):
            sys.meta_path.remove(self)

    def find_spec(self, fullname: str, path: Any, target: ModuleType | None = None) -> ModuleSpec | None:
        """Find a wanted module by the other finders, and call back when its loader has run it."""
        if fullname not in self._wanted or fullname in self._looking:
            return None
        self._looking.add(fullname)
        try:
            for finder in sys.meta_path:
                find = getattr(finder, "find_spec", None)
                spec: ModuleSpec | None = find(fullname, path, target) if find and finder is not self else None
                if spec is not None:
                    self._follow(spec, self._wanted[fullname])
                    return spec
        finally:
            self._looking.discard(fullname)
        return None

    def _follow(self, spec: ModuleSpec, then: Callable[[ModuleType], None]) -> None:
        loader: Any = spec.loader

        def exec_module(module: ModuleType) -> None:
            with contextlib.suppress(AttributeError):
                del loader.exec_module
            loader.exec_module(module)
            if self in sys.meta_path:
                then(module)

        with contextlib.suppress(AttributeError):  # a loader that takes no attributes: the module goes unwatched
            loader.exec_module = exec_module
