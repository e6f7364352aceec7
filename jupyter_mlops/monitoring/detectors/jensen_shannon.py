"""Jensen-Shannon distance: how well one row tells from which of the two tables it comes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..detector import Detector, Measurement
from ..samples import over_bins

if TYPE_CHECKING:
    from ..samples import Floats

__all__ = ["JENSEN_SHANNON", "distance"]


def distance(reference: Floats, current: Floats) -> Measurement | None:
    """The square root of the Jensen-Shannon divergence of two tables' counts in the same bins, base 2.

    >>> round(distance(np.array([16.0, 18, 16, 14, 12, 12]), np.array([16.0, 16, 16, 16, 16, 8])).value, 7)
    0.0817342
    """
    if len(reference) < 2:
        return None
    r, c = reference / reference.sum(), current / current.sum()
    middle = (r + c) / 2
    divergence = sum(float(np.sum(x[x > 0] * np.log2(x[x > 0] / middle[x > 0]))) for x in (r, c)) / 2
    return Measurement(float(np.sqrt(min(1.0, max(0.0, divergence)))))


JENSEN_SHANNON = Detector(
    name="js",
    title="Jensen-Shannon distance",
    kinds=("numeric", "categorical"),
    unit="square root of bits",
    range=(0.0, 1.0),
    threshold=0.15,
    large=0.2,
    alarm_when="above",
    min_rows=20,
    convention="logarithm to base 2, square root; PSI's bins, no fill; judged by the column's other p-values",
    measure=over_bins(distance),
)
