"""Partial fits: models that the user's own loop fits batch by batch; each is logged once, as it is when the run ends.

A step is a call of ``partial_fit``. What the estimator keeps of it is its curve (``loss_curve`` of a perceptron); of others
it is ``batch_score``: the model's own score on the batch it has just been given, as long as measuring takes less than a
twentieth of the time.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from typing import Any

from .fit_probes import Spare
from .fits import FitLogger, FitOfRun, given
from .training_curves import growing_curves, held_curves

__all__ = ["PartialFits"]


@dataclass
class _Parts:
    """One model, and the last of its calls."""

    model: Any
    fit: FitOfRun
    spare: Spare = field(default_factory=Spare)
    calls: int = 0
    last: tuple[Any, tuple[Any, ...], dict[str, Any]] | None = None


class PartialFits:
    """The models of one run that are fitted in parts."""

    def __init__(self, logger: FitLogger) -> None:
        self._logger = logger
        self._parts: dict[int, _Parts | None] = {}

    def fitted(self, method: Any, model: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Log a call that the user's code has just made."""
        if id(model) not in self._parts:
            fit = self._logger.begin(model)
            self._parts[id(model)] = None if fit is None else _Parts(model, fit)
            if fit is not None:
                fit.live.curves.unit = "call"
                fit.live.curves.begin()
        parts = self._parts[id(model)]
        if parts is None:
            return
        parts.calls += 1
        parts.last = method, args, kwargs
        curves = parts.fit.live.curves
        curves.count(parts.calls)
        if held_curves(model):
            curves.catch_up(growing_curves(model))
        elif parts.spare:
            with parts.spare.taken():
                inputs, target, weight = given(method, model, args, kwargs)
                weighted = {} if weight is None else {"sample_weight": weight}
                if target is not None and callable(getattr(model, "score", None)):
                    curves.point("batch_score", parts.calls, float(model.score(inputs, target, **weighted)))

    def finish(self) -> None:
        """The run ends: log the models as they are."""
        for parts in self._parts.values():
            if parts is not None and parts.last is not None:
                parts.fit.live.curves.end("done")
                method, args, kwargs = parts.last
                with contextlib.suppress(AttributeError):  # a model that its last call left unfitted
                    self._logger.fitted(parts.fit, method, parts.model, args, kwargs, None)
        self._parts.clear()
