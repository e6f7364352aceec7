"""Estimator methods: those of every estimator class, replaced for a while, also of classes that come into being meanwhile."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from types import FrameType, FunctionType, ModuleType
from typing import Any

from .patches import Patches

__all__ = ["EstimatorMethods", "calls_as_user"]

LIBRARIES = frozenset({"sklearn", "joblib", "imblearn", "skops", "jupyter_mlops", "mlflow"})
PASSED_ON = frozenset({"fit_predict", "fit_transform"})  # mixins' methods that call fit for the user

Watching = Callable[[str, FunctionType], Callable[..., Any]]


class EstimatorMethods:
    """Replaces methods wherever in the classes' bases they stand, each once.

    Parameters
    ----------
    patches
        What puts them back.
    names
        The methods.
    watching
        Gives what to put in the place of one.
    """

    def __init__(self, patches: Patches, names: Sequence[str], watching: Watching) -> None:
        self._patches = patches
        self._names = names
        self._watching = watching
        self._seen: set[type] = set()
        self.on = True

    def patch(self, base: ModuleType) -> None:
        """Replace the methods of all classes below ``BaseEstimator`` of `base`, and of those to come."""
        root = base.BaseEstimator
        watch, before = self.watch_class, root.__init_subclass__.__func__

        @functools.wraps(before)
        def __init_subclass__(cls: type, **keywords: Any) -> None:  # noqa: N807 it is that method
            before(cls, **keywords)
            watch(cls)

        for cls in _tree(root):
            self.watch_class(cls)
        hook: Any = __init_subclass__
        self._patches.set(root, "__init_subclass__", classmethod(hook))

    def watch_class(self, cls: type) -> None:
        """Replace the methods of one class and of its bases."""
        if not self.on:
            return
        for owner in cls.__mro__[:-1]:
            if owner in self._seen:
                continue
            self._seen.add(owner)
            held = vars(owner)
            for name in self._names:
                method: Any = held.get(name)
                if isinstance(method, FunctionType):
                    self._patches.set(owner, name, self._watching(name, method))
                elif isinstance(getattr(method, "fn", None), FunctionType) and hasattr(method, "check"):
                    # scikit-learn's "available if" methods hold the function inside
                    self._patches.set(method, "fn", self._watching(name, method.fn))


def calls_as_user(caller: FrameType) -> bool:
    """Whether it is the user's code that calls, and not a library inside."""
    frame: FrameType | None = caller
    while frame is not None and frame.f_code.co_name in PASSED_ON:
        frame = frame.f_back
    return frame is not None and str(frame.f_globals.get("__name__", "")).partition(".")[0] not in LIBRARIES


def _tree(cls: type) -> list[type]:
    """A class and all below it, once each."""
    found: dict[type, None] = {cls: None}
    waiting = [cls]
    while waiting:
        below: list[type] = type.__subclasses__(waiting.pop())
        for child in below:
            if child not in found:
                found[child] = None
                waiting.append(child)
    return list(found)
