"""Hellinger distance: how far apart the square roots of the shares lie."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..detector import Detector, Measurement
from ..samples import over_bins

if TYPE_CHECKING:
    from ..samples import Floats

__all__ = ["HELLINGER", "distance"]


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
    measure=over_bins(distance),
    standard=False,
)
