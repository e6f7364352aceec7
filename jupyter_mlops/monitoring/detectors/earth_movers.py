"""Earth mover's distance: the Wasserstein distance in the column's own unit."""

from __future__ import annotations

import math

from ..detector import Detector, Measurement
from ..samples import Numbers, Sample
from .wasserstein import area

__all__ = ["EARTH_MOVERS", "measure"]


def measure(reference: Sample, current: Sample) -> Measurement | None:
    """The area between the cumulative distributions.

    >>> import numpy as np
    >>> ten = np.arange(1.0, 11.0)
    >>> measure(Numbers.of(ten), Numbers.of(ten + 2)).value
    2.0
    """
    if not (isinstance(reference, Numbers) and isinstance(current, Numbers)):
        return None
    value = area(reference, current)
    return Measurement(value) if math.isfinite(value) else None


EARTH_MOVERS = Detector(
    name="emd",
    title="Earth mover's distance",
    kinds=("numeric",),
    unit="the column's own unit",
    range=(0.0, float("inf")),
    threshold=None,
    alarm_when="above",
    min_rows=20,
    convention="Wasserstein distance of order 1, not scaled; alarms only where a threshold is set; judged by the column's other p-values",
    measure=measure,
    standard=False,
)
