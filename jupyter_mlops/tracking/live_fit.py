"""Live fit: one fit or cross-validation of the user's code, watched while it lasts: iterations, candidates, folds."""

from __future__ import annotations

import contextlib
import inspect
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from statistics import fmean, stdev
from typing import TYPE_CHECKING, Any

from ..domain.context import Context
from ..domain.run import FOLD
from .fit_probes import probe_of
from .live_curves import Curve, LiveCurves
from .live_folds import watch_candidates, watch_folds
from .patches import Patches
from .training_curves import fold_scores, growing_curves, held_curves, last_step, score_name, training_curves

if TYPE_CHECKING:
    from .recording import Recording

__all__ = ["LiveFit", "LiveValidation"]

_one = threading.Lock()  # listeners stand in classes and modules: one fit at a time has them


class LiveFit:
    """Watches one fit, from `begin` to `end`; a model that does not iterate is not watched.

    Parameters
    ----------
    prefix
        Stands before the names of the fit's metrics.
    """

    def __init__(self, context: Context, recording: Recording, model: Any, prefix: str) -> None:
        self.curves = LiveCurves(context, recording, type(model).__name__, prefix=prefix)
        self._model = model
        self._patches = Patches()
        self._last: Callable[[], None] | None = None
        self._live = False

    def begin(self) -> None:
        """Listen, if there is something to be heard."""
        model = last_step(self._model)
        probe = probe_of(model)
        search = callable(getattr(model, "_run_search", None))
        if (probe is None and not search) or not _one.acquire(blocking=False):
            return
        self._live = True
        if search:
            self.curves.unit = "candidate"
            watch_candidates(model, self.curves, self._patches)
        elif probe is not None:
            self.curves.name = type(model).__name__
            self.curves.unit, self.curves.total = probe.unit, probe.most(model)
            self.curves.read = _reader(model)
            if probe.attach is not None:
                self._last = probe.attach(model, self.curves, self._patches)
        self.curves.begin()

    def end(self, *, failed: bool) -> None:
        """Listen no more, and leave model and libraries as they would be without us."""
        if not self._live:
            return
        try:
            if self._last is not None and not failed:
                self._last()
        finally:
            self._patches.undo()
            self._live = False
            _one.release()
            if not failed:
                self.curves.read = partial(training_curves, self._model)
            self.curves.end("stopped" if failed else "done")


class LiveValidation:
    """Watches one ``cross_val_score`` or ``cross_validate``, and logs what it gave.

    Parameters
    ----------
    counts
        How often each score has been measured in this run; kept up to date.
    """

    def __init__(
        self,
        context: Context,
        recording: Recording,
        counts: Counter[str],
        function: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> None:
        self._recording, self._counts = recording, counts
        self._given = inspect.signature(function).bind(*args, **kwargs).arguments
        self._scoring = self._given.get("scoring")
        self._called: dict[str, str] = {}
        self._patches = Patches()
        self._live = False
        self._curves = LiveCurves(context, recording, type(self._given.get("estimator")).__name__, unit="fold")

    def begin(self) -> None:
        """Listen."""
        if not _one.acquire(blocking=False):
            return
        self._live = True
        with contextlib.suppress(Exception):  # what cannot be split is for the function to say
            self._curves.total = self._splits()
        watch_folds(self._curves, self._patches, lambda score: self._name(score_name(score, self._scoring)))
        self._curves.begin()

    def end(self, *, failed: bool) -> None:
        """Listen no more."""
        if self._live:
            self._live = False
            self._patches.undo()
            _one.release()
            self._curves.end("stopped" if failed else "done")

    def validated(self, result: Any) -> None:
        """Log the result, as far as it was not told on the way."""
        for score, values in fold_scores(result, self._scoring).items():
            if len(values) < 2:
                continue
            name = self._name(score)
            self._curves.catch_up([(name + FOLD, values, 1)])
            if len(values) not in self._curves.steps(f"{name}_mean"):
                self._curves.point(f"{name}_mean", len(values), fmean(values))
                self._curves.point(f"{name}_std", len(values), stdev(values))

    def _name(self, score: str) -> str:
        """What this validation's score is called in the run: numbered when it comes again."""
        if score not in self._called:
            key = f"{self._recording.key} {score}"
            self._counts[key] += 1
            self._called[score] = score if self._counts[key] == 1 else f"{score}-{self._counts[key]}"
        return self._called[score]

    def _splits(self) -> int:
        from sklearn.base import is_classifier
        from sklearn.model_selection import check_cv

        given = self._given
        cv = given.get("cv")
        if cv is not None and not isinstance(cv, int) and not hasattr(cv, "get_n_splits") and not isinstance(cv, list):
            return 0  # an iterator: whoever looks has used it up
        split = check_cv(cv, given.get("y"), classifier=is_classifier(given["estimator"]))
        return int(split.get_n_splits(given["X"], given.get("y"), given.get("groups")))


def _reader(model: Any) -> Callable[[], Iterator[Curve]]:
    """Reads the curves that the model is writing; those of a fit before this one are not its."""
    stale = held_curves(model)

    def read() -> Iterator[Curve]:
        for name, values, first in growing_curves(model):
            if held_curves(model).get(name) is not stale.get(name, model):
                yield name, values, first

    return read
