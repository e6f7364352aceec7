"""Training: a long fit or a cross-validation as it goes, for the line and the picture below the cell."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from .display import Displayed, seconds
from .record import Record
from .run import Series

__all__ = ["Training"]

MOST = 3  # curves named in one line


@dataclass(frozen=True)
class Training(Displayed, Record):
    """How far a fit is, and its curves so far.

    Parameters
    ----------
    name
        What is being fitted: the estimator's class.
    unit
        What is counted: ``iteration``, ``epoch``, ``fold``, ``candidate``.
    done, total
        How many are done, and how many there are at the most; 0 where nobody knows.
    took_ms
        Since the fit began.
    curves
        A series a metric, thinned for drawing.
    state
        ``stopped`` is a fit that an error or an interrupt ended.

    Examples
    --------
    >>> loss = Series("", "loss_curve", (1, 2), (0.7, 0.52341))
    >>> print(Training("MLPClassifier", "epoch", 2, 200, 12_000, (loss,)))
    MLPClassifier: epoch 2 of 200 · loss_curve 0.5234 · 12.0 s
    """

    name: str
    unit: str
    done: int
    total: int
    took_ms: float
    curves: tuple[Series, ...] = ()
    state: Literal["running", "done", "stopped"] = "running"

    def text(self) -> str:
        """One line."""
        told = f"{self.name}: {self.unit} {self.done}" + (f" of {self.total}" if self.total else "")
        if self.state == "stopped":
            told += ", stopped"
        values = [f"{curve.metric} {curve.values[-1]:.4g}" for curve in self.curves if curve.values][:MOST]
        return " · ".join([told, *values, seconds(self.took_ms)])
