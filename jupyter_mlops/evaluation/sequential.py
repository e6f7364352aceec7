"""Sequential: an A/B test that may be looked at after every observation and stopped at any time. Pure NumPy and SciPy.

Outcomes lie between 0 and 1. For one arm with n outcomes that sum to s, the beta mixture (Robbins 1970)

    K(m) = B(a + s, b + n - s) / B(a, b) / (m^s (1 - m)^(n - s))

is a test martingale for 0/1 outcomes of mean m, and a supermartingale for any outcomes in [0, 1] of conditional mean m
(Howard et al. 2021, Ann. Statist. 49(2), sub-Bernoulli). The product over both arms, at the means most favourable to
"A's mean minus B's mean is d", is an e-process for that: by Ville's inequality it ever exceeds 1 / alpha with probability
at most alpha, whenever and however often one looks. No approximation, no smallest sample; only the two counts and sums
are needed. The arms' sizes may depend on the past, not on outcomes to come.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ..domain.record import Record
from ..errors import InvalidArgument

if TYPE_CHECKING:
    import numpy as np

__all__ = ["Arm", "SequentialTest", "confidence_sequence", "log_e_value"]

PRIOR = 0.5  # Beta(1/2, 1/2), Jeffreys'
STEPS = 60  # of bisection: an interval's end to far below any use


@dataclass(frozen=True)
class Arm(Record):
    """How many outcomes an arm has, and their sum; each outcome between 0 and 1."""

    count: int = 0
    total: float = 0.0

    @property
    def mean(self) -> float | None:
        """The mean outcome, None before the first."""
        return self.total / self.count if self.count else None

    def plus(self, outcomes: Iterable[float]) -> Arm:
        """The arm with more outcomes.

        Raises
        ------
        InvalidArgument
            An outcome is not between 0 and 1.
        """
        given = [float(value) for value in outcomes]
        wrong = [value for value in given if not 0.0 <= value <= 1.0]
        if wrong:
            raise InvalidArgument(
                f"an outcome lies between 0 and 1, not {wrong[0]}.", hint="Scale the outcomes by their bounds first."
            )
        return Arm(self.count + len(given), self.total + math.fsum(given))


@dataclass(frozen=True)
class SequentialTest(Record):
    """The state of a test of A against B; `update` gives the next.

    Parameters
    ----------
    level
        The interval's level; a difference is called with probability at most 1 - level where there is none.
    largest
        The largest log e-value so far against "no difference".
    low, high
        The interval of A's mean minus B's: the intersection of all so far, which covers at every time at once.

    Examples
    --------
    >>> test = SequentialTest(level=0.95)
    >>> for _ in range(60):
    ...     test = test.update([1, 1, 1, 0], [0, 1, 0, 0])
    >>> test.decided, round(test.low, 2), round(test.high, 2), test.p_value < 1e-6
    (True, 0.32, 0.65, True)
    """

    level: float = 0.95
    a: Arm = Arm()
    b: Arm = Arm()
    largest: float = 0.0
    low: float = -1.0
    high: float = 1.0

    def update(self, a: Iterable[float] = (), b: Iterable[float] = ()) -> SequentialTest:
        """The test after more outcomes of either arm, one look for all of them."""
        return self.at(self.a.plus(a), self.b.plus(b))

    def at(self, a: Arm, b: Arm) -> SequentialTest:
        """The test at these counts and sums, which must hold all outcomes so far."""
        low, high = confidence_sequence(a, b, self.level)
        low, high = max(self.low, low), min(self.high, high)
        if low > high:  # an event of probability below 1 - level, or outcomes that drift
            low = high = (low + high) / 2
        return replace(self, a=a, b=b, largest=max(self.largest, float(log_e_value(a, b))), low=low, high=high)

    @property
    def difference(self) -> float | None:
        """A's mean minus B's, None before both have an outcome."""
        if self.a.mean is None or self.b.mean is None:
            return None
        return self.a.mean - self.b.mean

    @property
    def p_value(self) -> float:
        """The anytime-valid p-value of no difference: 1 over the largest e-value so far, at most 1."""
        return min(1.0, math.exp(-self.largest))

    @property
    def decided(self) -> bool:
        """Whether there is a difference at this level."""
        return self.p_value <= 1 - self.level


def log_e_value(a: Arm, b: Arm, difference: float = 0.0) -> float:
    """The natural log of the e-value against "A's mean minus B's is `difference`"; 0 before the first outcome.

    Parameters
    ----------
    difference
        Between -1 and 1.
    """
    mixture = _log_mixture(a.count, a.total) + _log_mixture(b.count, b.total)
    return float(mixture - _log_likelihood(a, b, difference))


def log_e_values(counts_a: Any, totals_a: Any, counts_b: Any, totals_b: Any) -> np.ndarray[Any, Any]:
    """The same against no difference for arrays of counts and sums, as of every look of many simulated tests."""
    from scipy.special import xlogy

    total, count = totals_a + totals_b, counts_a + counts_b
    pooled = xlogy(total, total) + xlogy(count - total, count - total) - xlogy(count, count)
    found: np.ndarray[Any, Any] = _log_mixture(counts_a, totals_a) + _log_mixture(counts_b, totals_b) - pooled
    return found


def confidence_sequence(a: Arm, b: Arm, level: float = 0.95) -> tuple[float, float]:
    """The interval of A's mean minus B's at this moment, of a sequence that covers at all moments at once.

    Raises
    ------
    InvalidArgument
        The level is not between 0 and 1.
    """
    if not 0 < level < 1:
        raise InvalidArgument(f"the level of an interval is between 0 and 1, not {level}.")
    if not a.count or not b.count:
        return -1.0, 1.0
    limit = -math.log(1 - level)
    centre = a.total / a.count - b.total / b.count
    return _end(a, b, limit, centre, -1.0), _end(a, b, limit, centre, 1.0)


def _end(a: Arm, b: Arm, limit: float, inside: float, outside: float) -> float:
    """Where the e-value reaches the limit between the estimate and an extreme; it grows on the way there."""
    if log_e_value(a, b, outside) < limit:
        return outside
    for _ in range(STEPS):
        middle = (inside + outside) / 2
        if log_e_value(a, b, middle) < limit:
            inside = middle
        else:
            outside = middle
    return outside


def _log_mixture(count: Any, total: Any) -> Any:
    from scipy.special import betaln

    return betaln(PRIOR + total, PRIOR + count - total) - betaln(PRIOR, PRIOR)


def _log_likelihood(a: Arm, b: Arm, difference: float) -> float:
    """The largest log likelihood of two Bernoulli means that are `difference` apart."""
    low, high = max(0.0, -difference), min(1.0, 1.0 - difference)  # where B's mean may lie

    def at(mean: float) -> float:
        return _bernoulli(a, mean + difference) + _bernoulli(b, mean)

    for _ in range(100):  # golden section would do as well: the likelihood is concave in the mean
        third = (high - low) / 3
        if third < 1e-13:
            break
        if at(low + third) < at(high - third):
            low += third
        else:
            high -= third
    return max(at(low), at((low + high) / 2), at(high))


def _bernoulli(arm: Arm, mean: float) -> float:
    up, down = arm.total, arm.count - arm.total
    mean = min(1.0, max(0.0, mean))
    found = 0.0
    if up > 0:
        found += up * math.log(mean) if mean > 0 else -math.inf
    if down > 0:
        found += down * math.log(1 - mean) if mean < 1 else -math.inf
    return found
