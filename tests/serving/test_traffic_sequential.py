"""The guards' sequential test: as evaluation's, and what it promises under constant peeking, by simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jupyter_mlops.evaluation.sequential import Arm, log_e_value
from jupyter_mlops.serving.sequential import compare


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


@pytest.mark.parametrize(
    ("kind", "runs"),
    [("Bernoulli 0.02", 60), ("uniform", 60), *(pytest.param(kind, 300, marks=pytest.mark.extended) for kind in DRAWS)],
)
def test_false_alarms_under_constant_peeking(kind: str, runs: int) -> None:
    """Canaries that are exactly as good as stable, looked at after every 20 of 1,500 requests: the share that is
    ever called worse (or better) stays below alpha."""
    rng, alpha, length, step = np.random.default_rng(7), 0.1, 1500, 20
    alarms = 0
    for _ in range(runs):
        ours, theirs = (np.cumsum(DRAWS[kind](rng, length)) for _ in range(2))
        for n in range(step, length + 1, step):
            told = compare(n, ours[n - 1], n, theirs[n - 1], margin=0.0, alpha=alpha)
            if told.above or told.below:
                alarms += 1
                break
    assert alarms / runs <= alpha


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
