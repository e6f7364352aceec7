"""Simulations, seeded: the intervals that monitoring shows hold the truth at their level, 500 tables a kind."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics

from jupyter_mlops.domain.drift_report import Together
from jupyter_mlops.monitoring.estimate import cbpe, direct_loss
from jupyter_mlops.monitoring.multivariate import domain_classifier, reconstruction

pytestmark = [pytest.mark.extended, pytest.mark.timeout(1800)]

TABLES = 500


def test_of_estimates_from_probabilities() -> None:
    """The truth is what is realised once labels are drawn from the probabilities, which are other ones in each table."""
    inside: dict[str, int] = {}
    for seed in range(TABLES):
        rng = np.random.default_rng(seed)
        p = rng.beta(0.8, 1.2, 400)
        guess, y = (p >= 0.5).astype(int), (rng.random(400) < p).astype(int)
        real = {
            "accuracy": metrics.accuracy_score(y, guess),
            "precision": metrics.precision_score(y, guess),
            "recall": metrics.recall_score(y, guess),
            "f1": metrics.f1_score(y, guess),
            "roc_auc": metrics.roc_auc_score(y, p),
            "log_loss": metrics.log_loss(y, p),
            "brier": metrics.brier_score_loss(y, p),
        }
        for m in cbpe(np.column_stack([1 - p, p]), guess, seed=seed):
            inside[m.name] = inside.get(m.name, 0) + (m.low <= real[m.name] <= m.high)
    found = {name: count / TABLES for name, count in inside.items()}
    print(found)
    assert len(found) == 7
    assert all(0.92 <= share <= 0.98 for share in found.values()), found


def test_of_estimates_from_the_loss_before() -> None:
    """The truth is the error realised on rows that are harder than those it was learnt from, as their inputs tell."""
    inside = {"mae": 0, "rmse": 0}
    for seed in range(TABLES):
        rng = np.random.default_rng(seed)

        def drawn(rows: int, shift: float, rng: np.random.Generator = rng) -> tuple[pd.DataFrame, np.ndarray]:
            table = pd.DataFrame({"x": rng.beta(2 + shift, 2, rows), "kind": rng.choice(["a", "b"], rows)})
            return table, rng.normal(0, 0.3 + table["x"] + 0.5 * (table["kind"] == "b"))

        (known, error), (asked, realised) = drawn(2_000, 0.0), drawn(400, 1.5)
        real = {"mae": np.abs(realised).mean(), "rmse": (realised**2).mean() ** 0.5}
        for m in direct_loss(known, error, asked, seed=seed):
            inside[m.name] += m.low <= real[m.name] <= m.high
    found = {name: count / TABLES for name, count in inside.items()}
    print(found)
    assert all(0.92 <= share <= 0.985 for share in found.values()), found


def tables(seed: int, rows: int, shift: float) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Four columns that hang together, in the second table less so, or otherwise."""
    rng = np.random.default_rng(seed)
    one, two = (rng.normal(size=(rows, 4)) for _ in range(2))
    for side, weight in ((one, 1.0), (two, 1.0 - shift)):
        side[:, 1] += weight * side[:, 0]
        side[:, 3] += weight * side[:, 2]
    two[:, 0] += shift
    return pd.DataFrame(one, columns=list("abcd")), pd.DataFrame(two, columns=list("abcd"))


def told(kind: object, rows: int, shift: float, count: int = TABLES) -> list[Together]:
    found = [kind.measure(*tables(seed, rows, shift)) for seed in range(count)]  # type: ignore[attr-defined]
    assert all(found)
    return found


@pytest.mark.parametrize("shift", [0.0, 0.5])
def test_of_the_domain_classifier(shift: float) -> None:
    """99% intervals; the truth is one half where nothing has changed, else what such classifiers reach on average."""
    found = told(domain_classifier, 300, shift)
    truth = float(np.mean([t.value for t in found])) if shift else 0.5
    inside = sum(t.low <= truth <= t.high for t in found) / TABLES
    print(truth, inside, sum(t.drifted for t in found) / TABLES)
    assert inside >= 0.97
    assert shift or sum(t.drifted for t in found) / TABLES <= 0.01


@pytest.mark.parametrize("shift", [0.0, 0.5])
def test_of_the_reconstruction_error(shift: float) -> None:
    """99% intervals; the truth of a change is taken from large tables."""
    found = told(reconstruction, 400, shift)
    truth = float(np.mean([t.value for t in told(reconstruction, 20_000, shift, 30)])) if shift else 1.0
    inside = sum(t.low <= truth <= t.high for t in found) / TABLES
    print(truth, inside, sum(t.drifted for t in found) / TABLES)
    assert inside >= 0.97
    assert shift or sum(t.drifted for t in found) / TABLES <= 0.02
