"""The guards' sequential test: as evaluation's, and what it promises under constant peeking, by simulation."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jupyter_mlops.evaluation.sequential import Arm, log_e_value, log_e_values
from jupyter_mlops.serving.sequential import Comparison, compare


@pytest.mark.parametrize(("n", "s", "alpha"), [(10, 11, 0.05), (10, 5, 0), (10, 5, 1), (-1, 0, 0.05)])
def test_what_is_no_test(n: float, s: float, alpha: float) -> None:
    with pytest.raises(ValueError, match="no sequential test"):
        compare(n, s, 10, 5, margin=0.0, alpha=alpha)


DRAWS = {
    "Bernoulli 0.02": lambda rng, size: (rng.random(size) < 0.02).astype(float),
    "Bernoulli 0.5": lambda rng, size: (rng.random(size) < 0.5).astype(float),
    "uniform": lambda rng, size: rng.random(size),
    "Beta(0.2, 2)": lambda rng, size: rng.beta(0.2, 2, size),
}


def looked_at(
    rng: np.random.Generator, ours: np.ndarray, theirs: np.ndarray, share: float
) -> Iterator[tuple[float, ...]]:
    """The counts and sums of a canary and of stable after every request, as a random share of them goes to the canary."""
    mine = rng.random(len(ours)) < share
    counts, other = np.cumsum(mine), np.cumsum(~mine)
    return zip(counts, np.cumsum(ours * mine), other, np.cumsum(theirs * ~mine), strict=True)


@pytest.mark.parametrize(
    ("kind", "runs"),
    [("Bernoulli 0.02", 60), *(pytest.param(kind, 2000, marks=pytest.mark.extended) for kind in DRAWS)],
)
@pytest.mark.timeout(1800)
def test_false_alarms_under_peeking_at_every_request(kind: str, runs: int) -> None:
    """Canaries that are exactly as good as stable: the share that is ever called worse, or better, stays below alpha."""
    rng, alpha, length = np.random.default_rng(7), 0.1, 1000
    alarms = 0
    for _ in range(runs):
        looks = looked_at(rng, *(DRAWS[kind](rng, length) for _ in range(2)), share=0.2)
        alarms += any(told.above or told.below for told in judged(looks, 0.0, alpha))
    print(f"{kind}: {alarms} of {runs}")
    assert alarms / runs <= alpha


@pytest.mark.extended
@pytest.mark.timeout(1800)
def test_false_alarms_where_a_canary_is_just_as_much_worse_as_is_allowed() -> None:
    """It fails more often than stable by the margin itself, the hardest of what must not be called."""
    rng, alpha, runs, length = np.random.default_rng(8), 0.1, 2000, 600
    alarms = 0
    for _ in range(runs):
        looks = looked_at(rng, rng.random(length) < 0.04, rng.random(length) < 0.03, 0.2)
        alarms += any(told.above for told in judged(looks, 0.01, alpha))
    print(f"at the margin: {alarms} of {runs}")
    assert alarms / runs <= alpha


def judged(looks: Iterable[tuple[float, ...]], margin: float, alpha: float) -> Iterator[Comparison]:
    """Every look that may say something: with less evidence against "no difference" than is needed none does (tested below)."""
    for n, s, m, t in looks:
        if n and m and log_e_values(n, s, m, t) >= -math.log(alpha):
            yield compare(n, s, m, t, margin=margin, alpha=alpha)


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 400), st.integers(1, 400), st.floats(0, 1), st.floats(0, 1), st.sampled_from([0.0, 0.01, 0.2]))
def test_without_evidence_against_no_difference_nothing_is_called(
    n: int, m: int, p: float, q: float, margin: float
) -> None:
    told = compare(n, p * n, m, q * m, margin=margin, alpha=0.1)
    assert not (told.above or told.below) or log_e_values(n, p * n, m, q * m) >= -math.log(0.1) - 1e-9


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 5000), st.integers(1, 5000), st.floats(0, 1), st.floats(0, 1), st.sampled_from([0.0, 0.05]))
def test_both_directions_are_the_same_test(n: int, m: int, one: float, two: float, margin: float) -> None:
    found = compare(n, one * n, m, two * m, margin=margin, alpha=0.05)
    turned = compare(m, two * m, n, one * n, margin=margin, alpha=0.05)
    assert (found.above, found.below) == (turned.below, turned.above)
    assert not (found.above and found.below)
    assert found.apart <= abs(found.mean - found.other_mean) + 1e-9
    assert found.apart == pytest.approx(turned.apart, abs=1e-6)
    if found.above or found.below:
        assert found.apart >= margin


def test_without_a_margin_it_decides_as_an_ab_test() -> None:
    rng = np.random.default_rng(5)
    ours, theirs = np.cumsum(rng.random(400) < 0.3), np.cumsum(rng.random(400) < 0.1)
    for n in range(20, 401, 20):
        found = compare(n, ours[n - 1], n, theirs[n - 1], margin=0.0, alpha=0.05)
        e = log_e_value(Arm(n, float(ours[n - 1])), Arm(n, float(theirs[n - 1])))
        assert (found.above or found.below) == (e >= -math.log(0.05))


def test_power() -> None:
    """A canary that fails on every fifth request is found before it has answered a hundred."""
    rng = np.random.default_rng(3)
    for _ in range(20):
        fails = np.cumsum(rng.random(100) < 0.2)
        assert any(compare(n, fails[n - 1], n * 9, n * 9 * 0.001, margin=0.01, alpha=0.05).above for n in range(1, 101))
