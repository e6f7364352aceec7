"""Chi-square: whether two tables of categories can come from one source, and how far apart they are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..correction import pearson, two_proportions
from ..detector import Detector, Measurement
from ..samples import SMALLEST_EXPECTED, Categories, Sample, binned

if TYPE_CHECKING:
    from ..samples import Floats

__all__ = ["CHI2", "contingency", "measure"]


def measure(reference: Sample, current: Sample) -> Measurement | None:
    """The two-sample chi-square over the categories: its effect size and its p-value.

    >>> found = measure(Categories.of("aaaaabbbbb"), Categories.of("aaaaaaaaab"))
    >>> round(found.value, 3), round(found.p_value, 3)
    (0.436, 0.141)
    """
    if not (isinstance(reference, Categories) and isinstance(current, Categories)):
        return None
    return contingency(*binned(reference, current))


def contingency(reference: Floats, current: Floats) -> Measurement | None:
    """Cramer's V with both tables weighted alike, 0 to 1, and Pearson's p-value; None for fewer than two categories.

    Two categories of which one is expected fewer than five times get the exact p-value (Fisher's, the smaller tail
    doubled).

    With as many rows on each side V is the usual one, ``sqrt(chi2 / N)``; else it is what that would be, so that a
    small table against a large one does not look alike only because it is small.

    >>> ref, cur = np.array([16.0, 18, 16, 14, 12, 12]), np.array([16.0, 16, 16, 16, 16, 8])
    >>> round(contingency(ref, cur).p_value, 7)
    0.8985262
    """
    if len(reference) < 2:
        return None
    n, m = float(reference.sum()), float(current.sum())
    r, c = reference / n, current / m
    value = min(1.0, float(np.sqrt(np.sum((r - c) ** 2 / (r + c)) / 2)))
    if len(reference) == 2 and (reference + current).min() * min(n, m) / (n + m) < SMALLEST_EXPECTED:
        return Measurement(value, two_proportions(round(reference[0]), round(n), round(current[0]), round(m)))
    return Measurement(value, pearson(reference, current))


CHI2 = Detector(
    name="chi2",
    title="Chi-square (Cramér's V)",
    kinds=("categorical",),
    unit="Cramér's V, both tables weighted alike",
    range=(0.0, 1.0),
    threshold=0.05,
    large=0.15,
    alarm_when="above",
    min_rows=20,
    convention=(
        "two-sample contingency table without Yates' correction; categories expected fewer than 5 times in either "
        "table are pooled, and if only two are left the p-value is exact; the value is Cramér's V with both tables weighted alike"
    ),
    measure=measure,
)
