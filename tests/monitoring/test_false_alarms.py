"""Simulations, seeded: unchanged tables hardly ever alarm, whatever their size; a tenth of a deviation is found."""

from __future__ import annotations

import numpy as np
import pytest
from simulated import FAMILIES, alarms, exact, judged, mixed, numeric

from jupyter_mlops.monitoring.compare import compare

REFERENCES, CURRENTS = 7, 30


@pytest.mark.extended
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    ("make", "rows"),
    [
        (numeric, 100),
        (numeric, 1_000),
        (numeric, 10_000),
        (numeric, 100_000),
        (mixed, 100),
        (mixed, 1_000),
        (mixed, 10_000),
        (mixed, 100_000),
    ],
)
def test_unchanged_tables_hardly_ever_alarm(make, rows):
    """Fewer than one in twenty of 210 reports: every current table against seven references, each drawn and sorted once."""
    rng = np.random.default_rng(rows)
    references = [exact(make(rng, rows)) for _ in range(REFERENCES)]
    alarmed = 0
    for _ in range(CURRENTS):
        current = exact(make(rng, rows))
        alarmed += sum(alarms(compare(reference, current)) for reference in references)
    assert alarmed <= REFERENCES * CURRENTS // 20


@pytest.mark.extended
def test_a_tenth_of_a_deviation_is_found_in_ten_thousand_rows():
    """Over five families; with ten of the fifty columns shifted the others stay quiet."""
    rng = np.random.default_rng(10)
    hits, wrong, tables = np.zeros(len(FAMILIES)), 0, 12
    for _ in range(tables):
        report = judged(numeric(rng, 10_000), numeric(rng, 10_000, shifted=10))
        drifted = [bool(column.drifted) for column in report]
        hits += np.array(drifted[:10]).reshape(2, len(FAMILIES)).sum(axis=0)
        wrong += sum(drifted[10:])
    assert hits.sum() >= 0.95 * 10 * tables
    assert hits.min() >= 0.8 * 2 * tables
    assert wrong <= 0.02 * 40 * tables
