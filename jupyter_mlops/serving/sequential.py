"""Sequential: one mean beside another, looked at after every request; the test itself is `evaluation.sequential`'s."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ..evaluation.sequential import Arm, confidence_sequence, log_e_value

__all__ = ["Comparison", "compare"]


@dataclass(frozen=True)
class Comparison:
    """Two means beside each other.

    Parameters
    ----------
    mean, other_mean
        NaN where there is nothing yet.
    above, below
        Whether the first is shown to be more than the margin above, or below, the second.
    apart
        How far they are apart at least, where one of the two is shown; 0 where none is.
    """

    mean: float
    other_mean: float
    above: bool = False
    below: bool = False
    apart: float = 0.0


def compare(n: float, s: float, other_n: float, other_s: float, *, margin: float, alpha: float) -> Comparison:
    """Compare two means of values in [0, 1], given how many there were and their sums.

    `above` is ever true with probability at most `alpha` where the first mean is no more than `margin` above the
    second, and so is `below`; each holds over all times together.

    Raises
    ------
    ValueError
        An argument is outside its range.

    Examples
    --------
    >>> compare(400, 40, 4000, 40, margin=0.01, alpha=0.05).above
    True
    >>> compare(400, 6, 4000, 40, margin=0.01, alpha=0.05).above
    False
    """
    if not 0 < alpha < 1 or any(
        many < 0 or not -1e-9 <= total <= many + 1e-9 for many, total in ((n, s), (other_n, other_s))
    ):
        raise ValueError(f"no sequential test of {n} values with sum {s} and {other_n} with {other_s} at level {alpha}")
    mine, other = (
        Arm(int(many), min(max(float(total), 0.0), float(many))) for many, total in ((n, s), (other_n, other_s))
    )
    if mine.mean is None or other.mean is None:
        return Comparison(_mean(mine), _mean(other))
    difference, limit = mine.mean - other.mean, -math.log(alpha)
    # the evidence against a smaller difference is larger still where more than the margin was seen
    above = difference > margin and log_e_value(mine, other, margin) >= limit
    below = difference < -margin and log_e_value(mine, other, -margin) >= limit
    apart = 0.0
    if above or below:
        low, high = confidence_sequence(mine, other, 1 - alpha)
        apart = max(low, -high, margin)
    return Comparison(mine.mean, other.mean, above, below, apart)


def _mean(arm: Arm) -> float:
    return math.nan if arm.mean is None else arm.mean
