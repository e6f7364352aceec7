"""Total variation: the share of the rows that would have to move to another bin to make both tables alike."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..detector import Detector, Measurement
from ..samples import Sample, Texts, binned

if TYPE_CHECKING:
    from ..samples import Floats

__all__ = ["TOTAL_VARIATION", "distance", "measure"]


def measure(reference: Sample, current: Sample) -> Measurement | None:
    """The distance over PSI's bins: 0 for equal shares, 1 for disjoint ones.

    >>> from jupyter_mlops.monitoring.samples import Numbers
    >>> x = np.arange(1000.0)
    >>> round(measure(Numbers.of(x), Numbers.of(x + 100)).value, 3)
    0.1
    """
    return None if isinstance(reference, Texts) else distance(*binned(reference, current))


def distance(reference: Floats, current: Floats) -> Measurement | None:
    """Half the sum of the absolute differences of the shares.

    >>> ref, cur = np.array([16.0, 18, 16, 14, 12, 12]), np.array([16.0, 16, 16, 16, 16, 8])
    >>> round(distance(ref, cur).value, 7)
    0.0681818
    """
    if len(reference) < 2:
        return None
    return Measurement(min(1.0, float(np.abs(reference / reference.sum() - current / current.sum()).sum() / 2)))


TOTAL_VARIATION = Detector(
    name="tv",
    title="Total variation",
    kinds=("numeric", "categorical"),
    unit="share of the rows",
    range=(0.0, 1.0),
    threshold=0.1,
    large=0.2,
    alarm_when="above",
    min_rows=20,
    convention="PSI's bins, no fill; judged by the column's other p-values",
    measure=measure,
    standard=False,
)
