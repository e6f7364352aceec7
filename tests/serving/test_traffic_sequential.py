"""The sequential tests: against the formula in another form, and what they promise under constant peeking, by simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import special

from jupyter_mlops.serving.sequential import bounds, compare, log_evidence


@given(st.integers(1, 100_000), st.floats(0, 1), st.floats(0.001, 0.999))
def test_the_evidence_is_the_mixture(n: int, share: float, mean: float) -> None:
    s = share * n
    expected = (
        special.betaln(0.5 + s, 0.5 + n - s) - special.betaln(0.5, 0.5) - s * np.log(mean) - (n - s) * np.log1p(-mean)
    )
    assert log_evidence(mean, n, s) == pytest.approx(expected, rel=1e-6, abs=1e-6)


@given(st.integers(0, 10_000), st.floats(0, 1), st.sampled_from([0.2, 0.05, 0.001]))
def test_the_bounds_hold_the_mean_and_are_where_the_evidence_says(n: int, share: float, alpha: float) -> None:
    s = share * n
    low, high = bounds(n, s, alpha)
    assert 0 <= low <= (s / n if n else 0.5) <= high <= 1
    for edge, trivial in ((low, 0.0), (high, 1.0)):
        if edge != trivial:
            assert log_evidence(edge, n, s) == pytest.approx(-math.log(alpha), abs=1e-3)
    wider = bounds(n, s, alpha / 10)
    assert wider[0] <= low
    assert wider[1] >= high


@pytest.mark.parametrize(("n", "s", "alpha"), [(10, 11, 0.05), (10, 5, 0), (10, 5, 1), (-1, 0, 0.05)])
def test_what_is_no_test(n: float, s: float, alpha: float) -> None:
    with pytest.raises(ValueError, match="no confidence sequence"):
        bounds(n, s, alpha)


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


def test_a_single_sequence_keeps_its_level_at_every_moment() -> None:
    """The mean leaves its confidence sequence ever, in 2,000 sequences of 1,000, with probability below alpha."""
    rng, alpha = np.random.default_rng(11), 0.1
    n = np.arange(1, 1001)
    s = np.cumsum(rng.random((2000, 1000)) < 0.1, axis=1)
    evidence = special.betaln(0.5 + s, 0.5 + n - s) - special.betaln(0.5, 0.5) - s * np.log(0.1) - (n - s) * np.log(0.9)
    ever = (evidence.max(axis=1) >= -np.log(alpha)).mean()
    assert 0.02 < ever <= alpha  # and not so careful that it never says anything


def test_power() -> None:
    """A canary that fails on every fifth request is found before it has answered a hundred."""
    rng = np.random.default_rng(3)
    for _ in range(20):
        fails = np.cumsum(rng.random(100) < 0.2)
        assert any(compare(n, fails[n - 1], n * 9, n * 9 * 0.001, margin=0.01, alpha=0.05).above for n in range(1, 101))
