"""Sequential: tests that may be looked at after every request and still keep their promise.

The confidence sequence of a mean of values in [0, 1] is Robbins' mixture under a Beta(1/2, 1/2) prior. For a candidate
mean m, after n values with sum s,

    M(m) = B(1/2 + s, 1/2 + n - s) / B(1/2, 1/2) / (m^s (1 - m)^(n - s))

is a martingale that begins at 1 if the values are 0 or 1 with mean m, and a supermartingale if they lie anywhere between
with mean m, since a^x b^(1 - x) <= a x + b (1 - x) there. By Ville's inequality it ever reaches 1 / alpha with probability
at most alpha, so the means with M(m) < 1 / alpha hold the true one at all times at once with probability 1 - alpha.
References: Robbins (1970), Statistical methods related to the law of the iterated logarithm; Waudby-Smith and Ramdas
(2024), Estimating means of bounded random variables by betting.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

__all__ = ["Comparison", "bounds", "compare", "log_evidence"]

HALF_BETA = math.lgamma(1.0) - 2 * math.lgamma(0.5)  # -log B(1/2, 1/2)
STEPS = 40


def log_evidence(mean: float, n: float, s: float) -> float:
    """The logarithm of M(`mean`) after `n` values with sum `s`.

    Examples
    --------
    >>> log_evidence(0.3, 0, 0)
    0.0
    """
    if not n:
        return 0.0
    f = n - s
    mixed = math.lgamma(0.5 + s) + math.lgamma(0.5 + f) - math.lgamma(1 + n) + HALF_BETA
    if (s > 0 and mean <= 0) or (f > 0 and mean >= 1):
        return math.inf
    return mixed - (s * math.log(mean) if s else 0.0) - (f * math.log1p(-mean) if f else 0.0)


def bounds(n: float, s: float, alpha: float) -> tuple[float, float]:
    """Between which values the mean of values in [0, 1] lies, at all times at once with probability 1 - `alpha`.

    Parameters
    ----------
    n
        How many values there were.
    s
        Their sum, from 0 to `n`.
    alpha
        Above 0 and below 1.

    Raises
    ------
    ValueError
        An argument is outside its range.

    Examples
    --------
    >>> low, high = bounds(1000, 20, 0.05)
    >>> low < 0.02 < high, round(low, 4), round(high, 4)
    (True, 0.0078, 0.0406)
    """
    if not 0 < alpha < 1 or n < 0 or not -1e-9 <= s <= n + 1e-9:
        raise ValueError(f"no confidence sequence for {n} values with sum {s} at level {alpha}")
    s = min(max(s, 0.0), n)
    if not n:
        return 0.0, 1.0
    limit = -math.log(alpha)
    mean = s / n  # where the evidence is least
    return _edge(0.0, mean, n, s, limit), _edge(1.0, mean, n, s, limit)


def _edge(outside: float, inside: float, n: float, s: float, limit: float) -> float:
    """Where the evidence reaches the limit, on the outer side of it."""
    if log_evidence(outside, n, s) < limit:
        return outside
    for _ in range(STEPS):
        middle = (outside + inside) / 2
        if log_evidence(middle, n, s) < limit:
            inside = middle
        else:
            outside = middle
    return outside


@dataclass(frozen=True)
class Comparison:
    """Two means beside each other.

    Parameters
    ----------
    above, below
        Whether the first is shown to be more than the margin above, or below, the second.
    """

    mean: float
    low: float
    high: float
    other_mean: float
    other_low: float
    other_high: float
    above: bool
    below: bool


def compare(n: float, s: float, other_n: float, other_s: float, *, margin: float, alpha: float) -> Comparison:
    """Compare two means of values in [0, 1], given how many there were and their sums.

    `above` is ever true with probability at most `alpha` where the first mean is no more than `margin` above the
    second, and so is `below`; each holds over all times together. Each of the two confidence sequences has half of it.

    Examples
    --------
    >>> compare(400, 40, 4000, 40, margin=0.01, alpha=0.05).above
    True
    >>> compare(400, 6, 4000, 40, margin=0.01, alpha=0.05).above
    False
    """
    low, high = bounds(n, s, alpha / 2)
    other_low, other_high = bounds(other_n, other_s, alpha / 2)
    return Comparison(
        s / n if n else math.nan,
        low,
        high,
        other_s / other_n if other_n else math.nan,
        other_low,
        other_high,
        low > other_high + margin,
        high < other_low - margin,
    )
