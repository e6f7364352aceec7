"""Kullback-Leibler divergence: what it costs to expect the current table and to know only the reference."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..detector import Detector, Measurement
from ..samples import over_bins
from .psi import EMPTY

if TYPE_CHECKING:
    from ..samples import Floats

__all__ = ["KULLBACK_LEIBLER", "divergence"]


def divergence(reference: Floats, current: Floats) -> Measurement | None:
    """Sum over bins of ``r log(r / c)``: nats, 0 for equal shares; None for fewer than two bins.

    >>> ref, cur = np.array([16.0, 18, 16, 14, 12, 12]), np.array([16.0, 16, 16, 16, 16, 8])
    >>> round(divergence(ref, cur).value, 7), round(divergence(cur, ref).value, 7)
    (0.0189097, 0.0183087)
    """
    if len(reference) < 2:
        return None
    r, c = (np.where(x == 0, EMPTY, x) / x.sum() for x in (reference, current))
    return Measurement(max(0.0, float(np.sum(r * np.log(r / c)))))


KULLBACK_LEIBLER = Detector(
    name="kl",
    title="Kullback-Leibler divergence",
    kinds=("numeric", "categorical"),
    unit="nats",
    range=(0.0, float("inf")),
    threshold=0.05,
    large=0.25,
    alarm_when="above",
    min_rows=20,
    convention="of the reference from the current, natural logarithm; PSI's bins, an empty bin counts as half a row; judged by the column's other p-values",
    measure=over_bins(divergence),
    standard=False,
)
