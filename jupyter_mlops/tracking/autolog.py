"""Autolog: while a run is recorded, every fit, score and metric call of scikit-learn that the user's code makes is logged.

The methods of all estimator classes, also of other libraries and of classes that come into being during the run, are
replaced by ones that look who calls: what the user's code calls is recorded, what scikit-learn calls inside is not.
When the run ends everything is put back. MLflow is not needed and not loaded; if the user has switched MLflow's own
autologging on, ours keeps out of its way.
"""

from __future__ import annotations

import functools
import sys
import threading
from collections import Counter
from collections.abc import Callable
from functools import partial
from types import FrameType, FunctionType, ModuleType
from typing import TYPE_CHECKING, Any, TypeVar, cast

from .estimator_methods import EstimatorMethods, calls_as_user
from .fits import FitLogger
from .live_fit import LiveValidation
from .metric_calls import MetricLogger, WatchedFunction, metric_functions
from .partial_fits import PartialFits
from .patches import ImportWatch, Patches
from .user_mlflow import autologs, autologs_sklearn

if TYPE_CHECKING:
    from .recording import Recording
    from .tracker import Tracker

__all__ = ["Autolog"]

PREDICTIONS = ("predict", "predict_proba", "predict_log_proba", "decision_function")
VALIDATION = ("cross_val_score", "cross_validate")
T = TypeVar("T")

METHODS = ("fit", "partial_fit", *PREDICTIONS, "score")


class Autolog:
    """Watches scikit-learn while a run lasts."""

    def __init__(self, tracker: Tracker) -> None:
        self._tracker = tracker
        self._on = False

    def begin(self) -> None:
        """Put the watching methods in place."""
        self._patches = Patches()
        self._methods = EstimatorMethods(self._patches, METHODS, self._watching)
        self._busy: set[int] = set()
        self._home = threading.get_ident()
        self._fits: dict[str, FitLogger] = {}
        self._parts: dict[str, PartialFits] = {}
        self._metrics: dict[str, MetricLogger] = {}
        self._names: dict[int, str] = {}
        self._validations: Counter[str] = Counter()
        self._watched: dict[int, WatchedFunction] = {}
        self._on = True
        self._imports = ImportWatch(
            {
                "sklearn.base": self._guard(self._methods.patch),
                "sklearn.metrics": self._guard(self._patch_metrics),
                "sklearn.model_selection": self._guard(self._patch_validation),
            }
        )
        self._imports.begin()

    def end(self) -> None:
        """Put everything back, also the names that the user's code has bound meanwhile."""
        if not self._on:
            return
        self._on = self._methods.on = False
        self._imports.end()
        self._patches.undo()
        namespace = self._namespace()
        for name, thing in list(namespace.items()):
            if isinstance(thing, WatchedFunction):
                namespace[name] = thing.__wrapped__
        for logger in self._metrics.values():
            logger.forget()

    # in place

    def _watching(self, name: str, method: FunctionType) -> Callable[..., Any]:
        own = {"fit": self._fit, "partial_fit": self._partial_fit, "score": self._score}
        handle = own.get(name, self._predict)

        @functools.wraps(method)
        def watched(self_: Any, /, *args: Any, **kwargs: Any) -> Any:
            __tracebackhide__ = True
            recording = self._outermost(sys._getframe(1))  # noqa: SLF001 there is no other way to know the caller
            if recording is None:
                return method(self_, *args, **kwargs)
            return handle(recording, method, self_, args, kwargs)

        return watched

    def _patch_metrics(self, module: ModuleType) -> None:
        for name, function in metric_functions(module).items():
            watched = WatchedFunction(function, self._metric)
            self._watched[id(function)] = watched
            self._patches.set(module, name, watched)
        maker = module.make_scorer
        self._patches.set(module, "make_scorer", _unwrapping(maker))
        self._bind()

    def _patch_validation(self, module: ModuleType) -> None:
        for name in VALIDATION:
            watched = WatchedFunction(getattr(module, name), self._validated)
            self._watched[id(watched.__wrapped__)] = watched
            self._patches.set(module, name, watched)
        self._bind()

    def _bind(self) -> None:
        namespace = self._namespace()
        for name, thing in list(namespace.items()):  # names bound before the run began
            found = self._watched.get(id(thing))
            if found is not None and thing is found.__wrapped__:
                namespace[name] = found

    def _namespace(self) -> dict[str, Any]:
        held = self._tracker.active[0].namespace if self._tracker.active else None
        return held if held is not None else {}

    def _guard(self, patch: Callable[[ModuleType], None]) -> Callable[[ModuleType], None]:
        def guarded(module: ModuleType) -> None:
            try:
                patch(module)
            except Exception as error:  # an unknown scikit-learn: nothing is logged, and nothing breaks
                if self._tracker.current is not None:
                    self._tracker.current.note(f"scikit-learn is not watched: {type(error).__name__}: {error}")

        return guarded

    # called

    def _outermost(self, caller: FrameType) -> Recording | None:
        """The run to record a call in; None when it is not the user's code that calls."""
        if not self._on:
            return None
        thread = threading.get_ident()
        if thread in self._busy or (thread != self._home and self._home in self._busy):
            return None
        if not calls_as_user(caller):
            return None
        return None if autologs_sklearn() else self._tracker.current

    def unwatched(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Call with everything below passed over."""
        __tracebackhide__ = True
        thread = threading.get_ident()
        if thread in self._busy:
            return function(*args, **kwargs)
        self._busy.add(thread)
        try:
            return function(*args, **kwargs)
        finally:
            self._busy.discard(thread)

    def log_fit(self, method: Any, model: Any, args: Any, kwargs: Any) -> Any:
        """Call a ``fit`` or ``partial_fit`` of the user's code that nobody watched yet, and log it to the run that was begun for it."""
        __tracebackhide__ = True
        recording = self._tracker.current
        if recording is None:
            return method(model, *args, **kwargs)
        handle = self._partial_fit if method.__name__ == "partial_fit" else self._fit
        return handle(recording, method, model, args, kwargs)

    def _fit(self, recording: Recording, method: Any, model: Any, args: Any, kwargs: Any) -> Any:
        __tracebackhide__ = True
        if autologs(model):  # XGBoost's, say: logged by MLflow, once
            return self.unwatched(method, model, *args, **kwargs)
        logger = self._fits_of(recording)
        fit = self._quietly(recording, logger.begin, model)
        if fit is None:
            return self.unwatched(method, model, *args, **kwargs)
        failed = True
        self._quietly(recording, fit.live.begin)
        try:
            result = self.unwatched(method, model, *args, **kwargs)
            failed = False
        finally:
            self._quietly(recording, partial(fit.live.end, failed=failed))
        self._quietly(recording, logger.fitted, fit, method, model, args, kwargs, sys._getframe(2))  # noqa: SLF001
        return result

    def _partial_fit(self, recording: Recording, method: Any, model: Any, args: Any, kwargs: Any) -> Any:
        __tracebackhide__ = True
        result = self.unwatched(method, model, *args, **kwargs)
        if recording.key not in self._parts:
            self._parts[recording.key] = PartialFits(self._fits_of(recording))
        self._quietly(recording, self._parts[recording.key].fitted, method, model, args, kwargs)
        return result

    def finish(self, recording: Recording) -> None:
        """A run is about to end: log what is only known then."""
        parts = self._parts.pop(recording.key, None) if self._on else None
        if parts is not None:
            self._quietly(recording, parts.finish)

    def _predict(self, recording: Recording, method: Any, model: Any, args: Any, kwargs: Any) -> Any:
        __tracebackhide__ = True
        result = self.unwatched(method, model, *args, **kwargs)
        self._quietly(recording, self._metrics_of(recording).predicted, result, args, kwargs, sys._getframe(2))  # noqa: SLF001
        return result

    def _score(self, recording: Recording, method: Any, model: Any, args: Any, kwargs: Any) -> Any:
        __tracebackhide__ = True
        result = self.unwatched(method, model, *args, **kwargs)
        logger = self._metrics_of(recording)
        self._quietly(recording, logger.scored, model, result, args, kwargs, sys._getframe(2))  # noqa: SLF001
        return result

    def _metric(self, name: str, function: Any, args: Any, kwargs: Any, caller: FrameType) -> Any:
        __tracebackhide__ = True
        recording = self._outermost(caller)
        if recording is None:
            return function(*args, **kwargs)
        result = self.unwatched(function, *args, **kwargs)
        self._quietly(recording, self._metrics_of(recording).measured, name, result, args, kwargs)
        return result

    def _validated(self, _name: str, function: Any, args: Any, kwargs: Any, caller: FrameType) -> Any:
        __tracebackhide__ = True
        recording = self._outermost(caller)
        if recording is None:
            return function(*args, **kwargs)
        live = LiveValidation(self._tracker.context, recording, self._validations, function, args, kwargs)
        failed = True
        self._quietly(recording, live.begin)
        try:
            result = self.unwatched(function, *args, **kwargs)
            failed = False
        finally:
            self._quietly(recording, partial(live.end, failed=failed))
        self._quietly(recording, live.validated, result)
        return result

    def _quietly(self, recording: Recording, log: Callable[..., T], *args: Any) -> T | None:
        """Log what was called; what goes wrong there is a note on the run and nothing else."""
        try:
            return cast("T", self.unwatched(log, *args))
        except Exception as error:
            recording.note(f"not logged: {type(error).__name__}: {error}")
            return None

    def _fits_of(self, recording: Recording) -> FitLogger:
        if recording.key not in self._fits:
            self._fits[recording.key] = FitLogger(self._tracker.context, recording)
        return self._fits[recording.key]

    def _metrics_of(self, recording: Recording) -> MetricLogger:
        if recording.key not in self._metrics:
            self._metrics[recording.key] = MetricLogger(recording, self._names)
        return self._metrics[recording.key]


def _unwrapping(maker: Any) -> Any:
    """`make_scorer` that is given watched functions: a scorer outlives the run, and other processes must load it."""

    @functools.wraps(maker)
    def make_scorer(*args: Any, **kwargs: Any) -> Any:
        def plain(value: Any) -> Any:
            return value.__wrapped__ if isinstance(value, WatchedFunction) else value

        return maker(*map(plain, args), **{key: plain(value) for key, value in kwargs.items()})

    return make_scorer
