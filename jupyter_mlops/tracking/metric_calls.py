"""Metric calls: what the user's code measures with scikit-learn, named as MLflow names it.

A metric is called after its function and the data it was measured on, where that can be told:
``accuracy_score_X_test`` when the predictions it was given came from ``model.predict(X_test)``. A second call on the same
data is ``accuracy_score-2_X_test``. A model's own ``score(X_test, y_test)`` is ``LogisticRegression_score_X_test``.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import math
import sys
import weakref
from collections import Counter
from collections.abc import Callable
from types import FrameType, ModuleType
from typing import TYPE_CHECKING, Any

from .recording import clean_key

if TYPE_CHECKING:
    from .recording import Recording

__all__ = ["MetricLogger", "WatchedFunction", "metric_functions", "variable_name"]

NO_METRIC = frozenset({"check_scoring", "get_scorer", "get_scorer_names", "make_scorer"})
FRAMES = 6  # how far out the name of an argument is looked for


class WatchedFunction:
    """A metric function that tells when it is called; copied or pickled it is the function itself."""

    def __init__(self, function: Callable[..., Any], called: Callable[..., Any]) -> None:
        functools.update_wrapper(self, function)
        self._called = called
        self.__wrapped__ = function

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function."""
        __tracebackhide__ = True
        return self._called(self.__wrapped__.__name__, self.__wrapped__, args, kwargs, sys._getframe(1))  # noqa: SLF001

    def __reduce__(self) -> tuple[Any, ...]:
        return _itself, (self.__wrapped__,)

    def __repr__(self) -> str:
        return repr(self.__wrapped__)


def _itself(thing: Any) -> Any:
    return thing


def metric_functions(module: ModuleType) -> dict[str, Callable[..., Any]]:
    """The functions of ``sklearn.metrics`` that may give a number."""
    found: dict[str, Callable[..., Any]] = {}
    for name in getattr(module, "__all__", ()):
        thing = getattr(module, name, None)
        if inspect.isfunction(thing) and name not in NO_METRIC and not name.startswith("plot_"):
            found[name] = thing
    return found


class MetricLogger:
    """Logs the metric calls of one run.

    Parameters
    ----------
    names
        By the id of a prediction, the name of the data it was made on; shared by the runs that are nested.
    """

    def __init__(self, recording: Recording, names: dict[int, str]) -> None:
        self._recording = recording
        self._names = names
        self._calls: Counter[str] = Counter()

    def predicted(self, result: Any, args: tuple[Any, ...], kwargs: dict[str, Any], caller: FrameType) -> None:
        """Remember on what a prediction was made, for as long as it lives."""
        data = args[0] if args else kwargs.get("X")
        name = variable_name(caller, data)
        if name:
            key = id(result)
            with contextlib.suppress(TypeError):  # a list, say, cannot be followed to its end
                weakref.finalize(result, self._names.pop, key, None).atexit = False
                self._names[key] = name

    def measured(self, name: str, result: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Log what a metric function gave, if it is a number."""
        value = _number(result)
        if value is not None:
            given = [*args, *kwargs.values()]
            data = next((found for found in map(self._data_of, given) if found), "")
            self._log(name, data, value)

    def scored(self, model: Any, result: Any, args: tuple[Any, ...], kwargs: dict[str, Any], caller: FrameType) -> None:
        """Log what a model's own ``score`` gave."""
        value = _number(result)
        if value is not None:
            data = variable_name(caller, args[0] if args else kwargs.get("X"))
            self._log(f"{type(model).__name__}_score", data, value)

    def forget(self) -> None:
        """Forget which prediction was made on what."""
        self._names.clear()

    def _log(self, name: str, data: str, value: float) -> None:
        self._calls[f"{name} {data}"] += 1
        count = self._calls[f"{name} {data}"]
        numbered = name if count == 1 else f"{name}-{count}"
        self._recording.log_metric(clean_key(f"{numbered}_{data}" if data else numbered), value)

    def _data_of(self, thing: Any) -> str:
        """The data that a prediction, or the array it is a part of, was made on."""
        for _ in range(4):
            if thing is None or isinstance(thing, (str, int, float)):
                return ""
            if id(thing) in self._names:
                return self._names[id(thing)]
            thing = getattr(thing, "base", None)
        return ""


def variable_name(frame: FrameType | None, thing: Any) -> str:
    """How the user's code calls an object: the variable of the caller, or further out if it was handed in; else empty.

    Examples
    --------
    >>> table = [1]
    >>> variable_name(sys._getframe(), table), variable_name(sys._getframe(), [2])
    ('table', '')
    """
    found = ""
    for _ in range(FRAMES):
        if frame is None or thing is None:
            break
        names = [name for name, value in list(frame.f_locals.items()) if value is thing and not name.startswith("_")]
        if not names:
            break
        found = names[0]
        code = frame.f_code
        if found not in code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]:
            break
        frame = frame.f_back
    return found


def _number(result: Any) -> float | None:
    """A metric's value, None for what is no single number."""
    if isinstance(result, bool) or getattr(result, "shape", ()) != ():
        return None
    try:
        value = float(result)
    except (TypeError, ValueError):
        return None
    return value if not isinstance(result, str) and not math.isinf(value) else None
