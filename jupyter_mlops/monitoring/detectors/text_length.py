"""Text length: the largest distance between the cumulative distributions of the lengths."""

from __future__ import annotations

from ..detector import Detector, Measurement
from ..samples import Sample, Texts
from . import ks

__all__ = ["TEXT_LENGTH", "measure"]


def measure(reference: Sample, current: Sample) -> Measurement | None:
    """Kolmogorov-Smirnov's D of the numbers of characters, and its p-value.

    >>> short, long = (Texts.of([word] * 30) for word in ("one", "seven"))
    >>> measure(short, long).value
    1.0
    """
    if not (isinstance(reference, Texts) and isinstance(current, Texts)):
        return None
    return ks.measure(reference.lengths, current.lengths)


TEXT_LENGTH = Detector(
    name="length",
    title="Text length",
    kinds=("text",),
    unit="the largest distance between the cumulative shares of the lengths in characters",
    range=(0.0, 1.0),
    threshold=0.05,
    large=0.2,
    alarm_when="above",
    min_rows=20,
    convention="the KS distance of the numbers of characters, with its p-value; ties make p too large",
    measure=measure,
)
