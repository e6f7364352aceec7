"""Population stability index: how far the shares of the bins moved."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..correction import pearson
from ..detector import Detector, Measurement
from ..samples import SMALLEST_EXPECTED, over_bins

if TYPE_CHECKING:
    from ..samples import Floats

__all__ = ["PSI", "index"]

# An empty bin would cost infinity. Half a row is the least that a count can be told from; the fill is part of the
# result's meaning.
EMPTY = 0.5


def index(reference: Floats, current: Floats) -> Measurement | None:
    """Sum over bins of ``(c - r) log(c / r)``: nats, 0 for equal shares, above 0 otherwise, and its p-value.

    Of the counts of two tables in the same bins; None where there are fewer than two bins to compare. From one source,
    PSI divided by ``1/n + 1/m`` is distributed as chi-square with one degree of freedom fewer than there are bins
    (Yurdakul 2018): a fixed threshold alone alarms on sampling noise when there are few rows.

    Its p-value is never smaller than Pearson's for the same bins: with few rows the logarithm makes the index too large
    too often. None where a bin is expected to hold fewer than five rows of one of the tables: neither distribution holds
    for so few.

    >>> ref, cur = np.array([16.0, 18, 16, 14, 12, 12]), np.array([16.0, 16, 16, 16, 16, 8])
    >>> round(index(ref, cur).value, 7)
    0.0372184
    """
    from scipy.special import chdtrc

    n, m = float(reference.sum()), float(current.sum())
    if len(reference) < 2:
        return None
    r, c = (np.where(x == 0, EMPTY, x) / total for x, total in ((reference, n), (current, m)))
    value = max(0.0, float(np.sum((c - r) * np.log(c / r))))
    if (reference + current).min() * min(n, m) / (n + m) < SMALLEST_EXPECTED:
        return Measurement(value)
    own = float(chdtrc(len(reference) - 1, value / (1 / n + 1 / m)))
    return Measurement(value, max(own, pearson(reference, current)))


PSI = Detector(
    name="psi",
    title="Population stability index",
    kinds=("numeric", "categorical"),
    unit="nats",
    range=(0.0, float("inf")),
    threshold=0.1,
    large=0.25,
    alarm_when="above",
    min_rows=20,
    convention=(
        "natural logarithm; bins are the reference's deciles (equal ones merged, fewer so that each would hold 10 rows "
        "of the smaller table, outer ones open) or the categories (those expected fewer than 5 times pooled); an empty "
        "bin counts as half a row; p from PSI / (1/n + 1/m) as chi-square with bins - 1 degrees of freedom, "
        "or Pearson's on the same bins if that is larger, "
        "none where a bin is expected to hold fewer than 5 rows"
    ),
    measure=over_bins(index),
)
