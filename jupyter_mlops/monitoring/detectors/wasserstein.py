"""Wasserstein distance: how far the values were moved on average, in the reference's standard deviations."""

from __future__ import annotations

import numpy as np

from ..detector import Detector, Measurement
from ..samples import Numbers, Sample, apart

__all__ = ["WASSERSTEIN", "measure"]


def measure(reference: Sample, current: Sample) -> Measurement | None:
    """The area between the cumulative distributions, divided by the reference's standard deviation (ddof 0).

    Not defined for a reference that is constant.

    >>> ten = np.arange(1.0, 11.0)
    >>> round(measure(Numbers.of(ten), Numbers.of(ten + 2)).value, 7)
    0.6963106
    """
    if not (isinstance(reference, Numbers) and isinstance(current, Numbers)):
        return None
    with np.errstate(over="ignore", invalid="ignore"):
        spread = reference.spread()[1]
        points, difference = apart(reference, current)
        area = float(np.sum(np.abs(difference[:-1]) * np.diff(points)))
        value = area / spread if spread > 0 else np.inf
    return Measurement(value) if np.isfinite(value) else None


WASSERSTEIN = Detector(
    name="wasserstein",
    title="Wasserstein distance",
    kinds=("numeric",),
    unit="standard deviations of the reference",
    range=(0.0, float("inf")),
    threshold=0.25,
    alarm_when="above",
    min_rows=20,
    convention="order 1, divided by the reference's standard deviation (ddof 0); judged by the column's other p-values",
    measure=measure,
)
