"""The sequential test: false alarms under peeking at every observation, coverage at every moment, and closed forms."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import betaln

from jupyter_mlops.errors import InvalidArgument
from jupyter_mlops.evaluation.sequential import (
    Arm,
    SequentialTest,
    confidence_sequence,
    log_e_value,
    log_e_values,
)


def false_alarms(rng: np.random.Generator, draw: object, nulls: int, looks: int, share: float) -> float:
    """The share of null tests that ever call a difference, looked at after every single observation."""
    to_a = rng.random((nulls, looks)) < share
    outcomes = draw(rng, (nulls, looks))  # type: ignore[operator]
    counts = np.cumsum(to_a, axis=1)
    totals = np.cumsum(outcomes * to_a, axis=1)
    others, other_totals = np.arange(1, looks + 1) - counts, np.cumsum(outcomes * ~to_a, axis=1)
    evidence = log_e_values(counts, totals, others, other_totals)
    return float(np.mean(evidence.max(axis=1) >= math.log(20)))


@pytest.mark.parametrize("share", [0.5, 0.1])
@pytest.mark.parametrize(
    "draw",
    [
        lambda rng, shape: (rng.random(shape) < 0.02).astype(float),
        lambda rng, shape: (rng.random(shape) < 0.5).astype(float),
        lambda rng, shape: rng.beta(0.5, 1.5, shape),
    ],
    ids=["rare", "even", "bounded"],
)
def test_peeking_at_every_observation_raises_no_more_false_alarms_than_the_level_allows(draw, share) -> None:
    assert false_alarms(np.random.default_rng(11), draw, 2000, 1000, share) <= 0.05


def test_a_peeked_z_test_would_raise_many_more() -> None:
    """The simulation above is one that a naive test fails."""
    rng = np.random.default_rng(11)
    a, b = (np.cumsum(rng.random((2000, 1000)) < 0.5, axis=1) for _ in range(2))
    n = np.arange(1, 1001)
    pooled = (a + b) / (2 * n)
    with np.errstate(invalid="ignore", divide="ignore"):
        z = (a - b) / n / np.sqrt(2 * pooled * (1 - pooled) / n)
    assert np.mean((np.abs(z[:, 30:]) > 1.96).any(axis=1)) > 0.3


def test_the_interval_covers_at_every_look_at_once() -> None:
    rng = np.random.default_rng(5)
    missed = 0
    for _ in range(500):
        a, b = rng.random(400) < 0.6, rng.random(400) < 0.45
        for seen in (5, 20, 80, 200, 400):
            # outside the interval is where the e-value against the true difference is past the limit
            if log_e_value(Arm(seen, float(a[:seen].sum())), Arm(seen, float(b[:seen].sum())), 0.15) >= math.log(20):
                missed += 1
                break
    assert missed / 500 <= 0.05


def test_the_value_is_the_closed_form() -> None:
    a, b = Arm(10, 7.0), Arm(12, 3.0)
    mean = 10 / 22
    expected = (
        betaln(7.5, 3.5) + betaln(3.5, 9.5) - 2 * betaln(0.5, 0.5) - 10 * math.log(mean) - 12 * math.log(1 - mean)
    )
    assert log_e_value(a, b) == pytest.approx(expected, abs=1e-9)
    assert float(log_e_values(10, 7.0, 12, 3.0)) == pytest.approx(expected, abs=1e-9)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 300), st.floats(0, 1), st.integers(1, 300), st.floats(0, 1))
def test_the_interval_holds_the_estimate_and_turns_round_with_the_arms(n: int, p: float, m: int, q: float) -> None:
    a, b = Arm(n, n * p), Arm(m, m * q)
    low, high = confidence_sequence(a, b)
    assert -1 <= low <= a.mean - b.mean + 1e-9  # type: ignore[operator]
    assert a.mean - b.mean - 1e-9 <= high <= 1  # type: ignore[operator]
    turned = confidence_sequence(b, a)
    assert turned == pytest.approx((-high, -low), abs=1e-6)
    assert SequentialTest(0.95).at(a, b).decided == (not low <= 0 <= high) or abs(log_e_value(a, b) - 3) < 0.01


def test_evidence_is_never_lost_and_the_interval_only_narrows() -> None:
    rng = np.random.default_rng(3)
    test = SequentialTest()
    for _ in range(60):
        before = test
        test = test.update((rng.random(5) < 0.6).astype(float), (rng.random(5) < 0.4).astype(float))
        assert test.p_value <= before.p_value
        assert before.low <= test.low <= test.high <= before.high
    assert SequentialTest.from_dict(test.to_dict()) == test
    assert test.a.count == 300


def test_an_outcome_out_of_bounds_is_refused() -> None:
    with pytest.raises(InvalidArgument, match="between 0 and 1, not 3.0"):
        SequentialTest().update([0.5, 3])
    with pytest.raises(InvalidArgument, match="level"):
        confidence_sequence(Arm(1, 1.0), Arm(1, 0.0), 1.5)
