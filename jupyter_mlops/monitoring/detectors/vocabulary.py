"""Vocabulary: how far the shares of the words moved."""

from __future__ import annotations

import numpy as np

from ..detector import Detector, Measurement
from ..samples import Categories, Sample, Texts, aligned, pooled
from .jensen_shannon import distance

__all__ = ["VOCABULARY", "measure"]

EXPECTED = 5.0


def measure(reference: Sample, current: Sample) -> Measurement | None:
    """The Jensen-Shannon distance of the words' shares, and how often one word moves so far by chance.

    >>> few, more = (Texts.of(["a b"] * 20 + ["c"] * n) for n in (5, 20))
    >>> round(measure(few, more).value, 3), round(measure(few, more).p_value, 3)
    (0.231, 0.047)
    """
    if not (isinstance(reference, Texts) and isinstance(current, Texts)):
        return None
    sides = [
        Categories.counted({t: float(n) for t, n in s.words.index.items()}, float(s.words.rest))
        for s in (reference, current)
    ]
    if not all(side.rows for side in sides):
        return None
    r, c = pooled(*aligned(sides[0], sides[1])[1:])
    found = distance(r, c)
    return None if found is None else Measurement(found.value, _chance(reference, current))


def _chance(reference: Texts, current: Texts) -> float | None:
    """The smallest p-value of any word, times their number: words of one text hang together, this needs no more."""
    from scipy.special import erfc

    n, m = reference.words.cells, current.words.cells
    words = {*reference.words.index, *current.words.index}
    r, c = (
        np.array([side.words.index.get(word, 0) for word in words], dtype=np.float64) for side in (reference, current)
    )
    share = (r + c) / (n + m)
    often = np.minimum(share, 1 - share) * min(n, m) >= EXPECTED
    if not often.any():
        return None
    r, c, share = r[often], c[often], share[often]
    z = np.abs(r / n - c / m) / np.sqrt(share * (1 - share) * (1 / n + 1 / m))
    return float(min(1.0, erfc(z.max() / np.sqrt(2)) * len(z)))


VOCABULARY = Detector(
    name="vocabulary",
    title="Vocabulary",
    kinds=("text",),
    unit="square root of bits",
    range=(0.0, 1.0),
    threshold=0.05,
    large=0.3,
    alarm_when="above",
    min_rows=20,
    convention=(
        "Jensen-Shannon distance, base 2, of the shares of the words (lower case; letters, digits and _; each counted once "
        "a cell; of at most 100,000 cells), those expected fewer than 5 times pooled; p from the two-proportion test of "
        "each word over the cells, the smallest times the number of words (Bonferroni)"
    ),
    measure=measure,
)
