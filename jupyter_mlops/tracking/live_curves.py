"""Live curves: the points of one long fit as they come: into the run at once, into line and picture at the eye's pace."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Literal

from ..domain.context import Context
from ..domain.run import Series
from ..domain.thinning import thin
from ..domain.training import Training
from .recording import clean_key

if TYPE_CHECKING:
    from .recording import Recording

__all__ = ["Curve", "LiveCurves"]

Curve = tuple[str, Sequence[Any], int]
"""A curve's name, its values so far, and the step of the first."""

EVERY = 0.2  # seconds between two looks at the estimator, and two lines
PICTURE_AFTER = 2.0  # seconds from which on a fit is long enough for a picture
POINTS = 240  # of each curve in the picture
LONGEST = 100_000  # points of a curve that are logged
PATIENCE = 2.0  # seconds that the last look may take


class LiveCurves:
    """What is told of one fit while it lasts.

    Points come from the fit's own thread by `point`, or are read off the estimator by a thread of ours that also shows
    them; nothing here touches the estimator but to read it.

    Parameters
    ----------
    name, unit, total
        As of `domain.training.Training`.
    prefix
        Stands before the name of each metric.
    """

    def __init__(
        self,
        context: Context,
        recording: Recording,
        name: str,
        *,
        prefix: str = "",
        unit: str = "iteration",
        total: int = 0,
    ) -> None:
        self._context = context
        self._recording = recording
        self.name, self.prefix, self.unit, self.total = name, prefix, unit, total
        self.done = 0
        self.read: Callable[[], Iterable[Curve]] | None = None
        """Gives the curves as far as the estimator holds them; None where all points are told."""
        self._lock = threading.Lock()
        self._known: dict[str, list[tuple[int, float]]] = {}
        self._began = time.monotonic()
        self._pictured = False
        self._over = threading.Event()
        self._thread: threading.Thread | None = None

    def begin(self) -> None:
        """Begin to look and to show."""
        self._began = time.monotonic()
        self._thread = threading.Thread(target=self._watch, name="mlops-curves", daemon=True)
        self._thread.start()

    def end(self, state: Literal["done", "stopped"]) -> None:
        """Take the last points, and leave the picture as it is then."""
        self._over.set()
        if self._thread is not None:
            self._thread.join(PATIENCE)
        self._look()
        if self._pictured:
            self._show(state)

    def point(self, name: str, step: int, value: float) -> None:
        """Log one point."""
        with self._lock:
            self._point(name, step, value)

    def steps(self, name: str) -> set[int]:
        """The steps at which a curve has points."""
        return {step for step, _ in self._known.get(name, ())}

    def count(self, done: int) -> None:
        """So many are done, whether or not there are points of them."""
        self.done = max(self.done, done)

    def catch_up(self, curves: Iterable[Curve]) -> None:
        """Log what curves have beyond the points that are logged."""
        with self._lock:
            for name, values, first in curves:
                known = self._known.get(name, ())
                start = known[-1][0] - first + 1 if known else 0
                for step, value in enumerate(values[max(0, start) : LONGEST], first + max(0, start)):
                    self._point(name, step, float(value))

    def _point(self, name: str, step: int, value: float) -> None:
        self._known.setdefault(name, []).append((step, value))
        self.done = max(self.done, step)
        self._recording.log_metric(clean_key(self.prefix + name), value, step)

    def _look(self) -> None:
        """Read the estimator. It is being changed meanwhile: what cannot be read now is read the next time."""
        if self.read is not None:
            with contextlib.suppress(Exception):
                self.catch_up(self.read())

    def _watch(self) -> None:
        while not self._over.wait(EVERY):
            self._look()
            with contextlib.suppress(Exception):  # a line that fails must not end the points
                if self.done:
                    self._pictured = self._show("running") or self._pictured
                    self._context.progress("" if self._pictured else self.told().text())  # the picture says it too

    def _show(self, state: Literal["running", "done", "stopped"]) -> bool:
        show = self._context.hooks.get("show")
        told = self.told(state)
        if show is None or told.took_ms < PICTURE_AFTER * 1000 or not any(len(c.steps) > 1 for c in told.curves):
            return False
        show(f"training-{id(self)}", told, stays=state != "running")
        return True

    def told(self, state: Literal["running", "done", "stopped"] = "running") -> Training:
        """What there is to show."""
        with self._lock:
            thinned = {name: thin(points, POINTS) for name, points in self._known.items() if points}
        curves = tuple(Series("", name, *map(tuple, zip(*kept, strict=True))) for name, kept in thinned.items())
        took_ms = (time.monotonic() - self._began) * 1000
        return Training(self.name, self.unit, self.done, self.total, took_ms, curves, state)
