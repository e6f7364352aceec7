"""Simulations, seeded: unchanged tables hardly ever alarm, whatever their size; a tenth of a deviation is found."""

from __future__ import annotations

import numpy as np
import pytest
from simulated import FAMILIES, alarms, judged, mixed, numeric


@pytest.mark.extended
@pytest.mark.parametrize(("make", "rows"), [(numeric, 100), (mixed, 100)])
def test_unchanged_small_tables_hardly_ever_alarm(make, rows):
    rng = np.random.default_rng(rows)
    assert sum(alarms(judged(make(rng, rows), make(rng, rows))) for _ in range(200)) <= 10


@pytest.mark.extended
@pytest.mark.parametrize(("make", "rows", "reports"), [(numeric, 1_000, 200)])
def test_unchanged_tables_hardly_ever_alarm(make, rows, reports):
    rng = np.random.default_rng(rows)
    assert sum(alarms(judged(make(rng, rows), make(rng, rows))) for _ in range(reports)) <= reports // 20


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
