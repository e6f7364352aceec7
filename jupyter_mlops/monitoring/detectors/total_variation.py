"""Total variation: the share of the rows that would have to move to another bin to make both tables alike."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..detector import Detector, Measurement
from ..samples import over_bins

if TYPE_CHECKING:
    from ..samples import Floats

__all__ = ["TOTAL_VARIATION", "distance"]


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
    measure=over_bins(distance),
    standard=False,
)
