"""A/B: how many rows a test needs, and a test on outcomes in the order in which they came."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..domain.candidate import AbPlan, AbResult
from ..errors import InvalidArgument
from .sequential import Arm, SequentialTest, log_e_values

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["ab_test", "plan", "smallest_effect"]

SIMULATED = 400
MOST_SIMULATED_ROWS = 50_000
SLACK = 6  # how many times the fixed size is looked at before the simulation gives up


def plan(rate: float, effect: float, *, level: float = 0.95, power: float = 0.8, seed: int = 0) -> AbPlan:
    """How many rows an arm a test needs to find `effect` on top of `rate`.

    Raises
    ------
    InvalidArgument
        A rate, the level or the power is not between 0 and 1, or there is no effect.

    Examples
    --------
    >>> plan(0.10, 0.05).rows_an_arm
    681
    """
    from scipy.stats import norm

    other = rate + effect
    for name, value in (("rate", rate), ("rate plus effect", other), ("level", level), ("power", power)):
        if not 0 < value < 1:
            raise InvalidArgument(f"the {name} is between 0 and 1, not {value:g}.")
    if effect == 0:
        raise InvalidArgument("an effect of 0 cannot be found.", hint="Give the smallest effect that matters to you.")
    h = 2 * (np.arcsin(other**0.5) - np.arcsin(rate**0.5))
    needed = 2 * ((norm.ppf((1 + level) / 2) + norm.ppf(power)) / h) ** 2
    rows = int(np.ceil(needed))
    return AbPlan(rate, effect, level, power, rows, _sequential(rate, other, rows, level, power, seed))


def smallest_effect(rate: float, rows_an_arm: int, *, level: float = 0.95, power: float = 0.8) -> float:
    """The smallest effect above `rate` that so many rows an arm can find, looked at once.

    Examples
    --------
    >>> round(smallest_effect(0.10, 681), 4)
    0.05
    """
    from scipy.stats import norm

    h = (norm.ppf((1 + level) / 2) + norm.ppf(power)) * (2 / rows_an_arm) ** 0.5
    angle = min(np.pi / 2, np.arcsin(rate**0.5) + h / 2)
    return float(np.sin(angle) ** 2 - rate)


def ab_test(frame: pd.DataFrame, arm: str, outcome: str, *, level: float = 0.95, power: float = 0.8) -> AbResult:
    """Test the two arms of a table, row after row; outcomes between 0 and 1, or yes and no.

    Raises
    ------
    InvalidArgument
        A column is missing, there are not two arms, or an outcome is out of bounds.
    """
    import pandas as pd

    for name, column in (("--arm", arm), ("--outcome", outcome)):
        if column not in frame.columns:
            raise InvalidArgument.unknown(f"column for {name}", column, [str(c) for c in frame.columns])
    used = frame[[arm, outcome]].dropna()
    arms = sorted(pd.unique(used[arm]), key=str)
    if len(arms) != 2:
        raise InvalidArgument(f"{arm!r} holds {len(arms)} arms; an A/B test has two.", hint="Choose two of them first.")
    try:
        values = used[outcome].to_numpy(dtype=np.float64)
    except (TypeError, ValueError):
        raise InvalidArgument(
            f"{outcome!r} holds no numbers.", hint="Make it 0 and 1, or a number from 0 to 1."
        ) from None
    if values.min(initial=0.0) < 0 or values.max(initial=1.0) > 1:
        raise InvalidArgument(
            f"outcomes lie between 0 and 1, and {outcome!r} goes from {values.min():g} to {values.max():g}.",
            hint="Scale them by their bounds first.",
        )
    first = (used[arm] == arms[0]).to_numpy()
    evidence = log_e_values(np.cumsum(first), np.cumsum(values * first), np.cumsum(~first), np.cumsum(values * ~first))
    largest = float(max(0.0, evidence.max(initial=0.0)))
    past = np.flatnonzero(evidence >= -np.log(1 - level))
    sides = [Arm(int(side.sum()), float(values[side].sum())) for side in (first, ~first)]
    state = SequentialTest(level, largest=largest).at(*sides)
    return AbResult(
        str(arms[0]),
        str(arms[1]),
        outcome,
        sides[0].count,
        sides[1].count,
        sides[0].mean,
        sides[1].mean,
        state.low,
        state.high,
        state.p_value,
        level,
        int(past[0]) + 1 if len(past) else None,
        _detectable(sides, level, power),
        power,
    )


def _detectable(sides: list[Arm], level: float, power: float) -> float | None:
    """The smallest effect that the smaller arm's rows can find; None while there are none, or no room above the rate."""
    rows, rate = min(side.count for side in sides), sides[0].mean
    if not rows or rate is None or not 0 < rate < 1:
        return None
    found = smallest_effect(rate, rows, level=level, power=power)
    return found if rate + found < 1 else None


def _sequential(rate: float, other: float, fixed: int, level: float, power: float, seed: int) -> int | None:
    """Rows an arm by which the share `power` of simulated tests has decided; None where that would take too long to simulate."""
    looks = SLACK * fixed
    if looks > MOST_SIMULATED_ROWS:
        return None
    rng = np.random.default_rng(seed)
    count = np.arange(1, looks + 1)
    ends: list[Any] = []
    for _ in range(SIMULATED):
        a, b = (np.cumsum(rng.random(looks) < p) for p in (rate, other))
        past = np.flatnonzero(log_e_values(count, a, count, b) >= -np.log(1 - level))
        ends.append(past[0] + 1 if len(past) else np.inf)
    found = float(np.quantile(ends, power, method="higher"))
    return int(found) if np.isfinite(found) else None
