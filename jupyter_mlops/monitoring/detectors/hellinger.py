"""Hellinger distance: how far apart the square roots of the shares lie."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..detector import Detector, Measurement
from ..samples import Sample, Texts, binned

if TYPE_CHECKING:
    from ..samples import Floats

__all__ = ["HELLINGER", "distance", "measure"]


def measure(reference: Sample, current: Sample) -> Measurement | None:
    """The distance over PSI's bins: 0 for equal shares, 1 for disjoint ones.

    >>> from jupyter_mlops.monitoring.samples import Numbers
    >>> x = np.arange(1000.0)
    >>> round(measure(Numbers.of(x), Numbers.of(x + 100)).value, 3)
    0.242
    """
    return None if isinstance(reference, Texts) else distance(*binned(reference, current))


def distance(reference: Floats, current: Floats) -> Measurement | None:
    """The Euclidean distance of the square roots of the shares, divided by the square root of 2.

    >>> ref, cur = np.array([16.0, 18, 16, 14, 12, 12]), np.array([16.0, 16, 16, 16, 16, 8])
    >>> round(distance(ref, cur).value, 7)
    0.0681277
    """
    if len(reference) < 2:
        return None
    r, c = np.sqrt(reference / reference.sum()), np.sqrt(current / current.sum())
    return Measurement(min(1.0, float(np.sqrt(np.sum((r - c) ** 2) / 2))))


HELLINGER = Detector(
    name="hellinger",
    title="Hellinger distance",
    kinds=("numeric", "categorical"),
    unit="0 for equal, 1 for disjoint shares",
    range=(0.0, 1.0),
    threshold=0.1,
    large=0.2,
    alarm_when="above",
    min_rows=20,
    convention="PSI's bins, no fill; judged by the column's other p-values",
    measure=measure,
    standard=False,
)
