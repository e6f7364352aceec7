"""Covariate shift by weights: scikit-learn's weighted metrics, a shift that is known, and none where there is none."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics as sk

from jupyter_mlops.domain.evaluation import Evaluation, EvaluationRows
from jupyter_mlops.domain.evaluation_parts import Robustness
from jupyter_mlops.evaluation.measuring import value_of
from jupyter_mlops.evaluation.shift import effective_rows, shift_checks, weighted_values
from jupyter_mlops.registry.gate import Candidate
from jupyter_mlops.registry.gates.robust import GATE


def made(rows: int, seed: int, hard: np.ndarray | None = None) -> EvaluationRows:
    """A model that is right in 90 of 100 rows, and in 60 of the hard ones."""
    rng = np.random.default_rng(seed)
    target = rng.integers(0, 2, rows)
    right = rng.random(rows) < np.where(hard if hard is not None else False, 0.6, 0.9)
    guess = np.where(right, target, 1 - target)
    p = np.where(guess == 1, 0.5, 0.0) + rng.random(rows) / 2
    return EvaluationRows(
        np.arange(rows),
        target,
        guess,
        -np.log(np.where(target == 1, p, 1 - p)),
        np.column_stack([1 - p, p]),
        ("n", "y"),
    )


@pytest.mark.parametrize(
    ("name", "reference"),
    [
        ("accuracy", lambda r, w: sk.accuracy_score(r.target, r.prediction, sample_weight=w)),
        ("balanced_accuracy", lambda r, w: sk.balanced_accuracy_score(r.target, r.prediction, sample_weight=w)),
        ("f1", lambda r, w: sk.f1_score(r.target, r.prediction, sample_weight=w)),
        ("mcc", lambda r, w: sk.matthews_corrcoef(r.target, r.prediction, sample_weight=w)),
        ("log_loss", lambda r, w: sk.log_loss(r.target, r.probabilities, sample_weight=w)),
        ("brier", lambda r, w: sk.brier_score_loss(r.target, r.probabilities[:, 1], sample_weight=w)),
        ("roc_auc", lambda r, w: sk.roc_auc_score(r.target, r.probabilities[:, 1], sample_weight=w)),
        ("pr_auc", lambda r, w: sk.average_precision_score(r.target, r.probabilities[:, 1], sample_weight=w)),
    ],
)
def test_weighted_metrics_are_scikit_learns(name: str, reference: object) -> None:
    rows = made(500, 1)
    weight = np.random.default_rng(2).gamma(2.0, 1.0, (3, 500))
    ours = weighted_values(name, rows, weight)
    assert ours == pytest.approx([reference(rows, w) for w in weight], abs=1e-9)  # type: ignore[operator]
    assert weighted_values(name, rows, np.ones((1, 500)))[0] == pytest.approx(value_of(name, rows), abs=1e-9)


def test_a_regression_is_weighted_too() -> None:
    rng = np.random.default_rng(0)
    target = rng.normal(size=300)
    guess = target + rng.normal(size=300)
    rows = EvaluationRows(np.arange(300), target, guess, (target - guess) ** 2)
    weight = rng.random((2, 300))
    for name, reference in (("mae", sk.mean_absolute_error), ("r2", sk.r2_score)):
        expected = [reference(target, guess, sample_weight=w) for w in weight]
        assert weighted_values(name, rows, weight) == pytest.approx(expected, abs=1e-9)


def test_the_shift_that_hurts_is_found_with_its_size() -> None:
    rng = np.random.default_rng(3)
    frame = pd.DataFrame({"city": rng.choice(["oslo", "rome", "bern"], 8000), "age": rng.normal(size=8000)})
    frame.loc[rng.random(8000) < 0.2, "age"] = np.nan
    rows = made(8000, 4, hard=(frame["city"] == "oslo").to_numpy())
    by = {c.column: c for c in shift_checks(frame, rows, "accuracy", higher=True)}
    assert set(by) == {"city", "age", ""}
    worst = by["city"]
    assert "city = oslo three times as often" in worst.meaning
    share = 3 / 5  # of rome, oslo and bern, oslo three times as often
    assert worst.value == pytest.approx(0.6 * share + 0.9 * (1 - share), abs=0.03)
    assert worst.change == pytest.approx(0.72 - 0.8, abs=0.02)
    assert worst.low < worst.change < worst.high < 0  # type: ignore[operator]
    assert worst.meaning.startswith("covariate shift, 3,0")  # 4,000 (5/3)^2 / (11/3) = 3,030
    assert by["age"].low < 0.01  # type: ignore[operator]


def test_a_column_that_has_nothing_to_do_with_the_loss_is_not_told_to_hurt() -> None:
    """Picked on one half and measured on the other: the mean change is none, and intervals hold none as often as they should."""
    changes, held = [], 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        frame = pd.DataFrame({"k": rng.choice(list("abcdefgh"), 1000), "x": rng.normal(size=1000)})
        for check in shift_checks(frame, made(1000, 1000 + seed), "accuracy", higher=True, seed=seed):
            if check.column:
                changes.append(check.change)
                held += check.low <= 0 <= check.high  # type: ignore[operator]
    assert len(changes) == 120
    assert abs(np.mean(changes)) < 3 * np.std(changes) / 120**0.5  # type: ignore[arg-type]
    assert held >= 0.88 * 120


def test_effective_rows_and_too_few_of_them() -> None:
    assert effective_rows(np.ones(50)) == 50
    z = np.random.default_rng(0).normal(size=200_000)
    assert effective_rows(np.exp(0.5 * z)) / 200_000 == pytest.approx(np.exp(-0.25), rel=0.02)
    assert shift_checks(pd.DataFrame({"x": range(20)}), made(20, 0), "accuracy", higher=True) == []


def test_the_gate_can_ask_for_shifts_alone() -> None:
    frame = pd.DataFrame({"city": np.random.default_rng(3).choice(["oslo", "rome", "bern"], 4000)})
    rows = made(4000, 4, hard=(frame["city"] == "oslo").to_numpy())
    told = Robustness("accuracy", True, 0.8, 4000, tuple(shift_checks(frame, rows, "accuracy", higher=True)))
    evaluation = Evaluation("clf@2", "binary", 4000, (), robustness=told)
    candidate = Candidate("clf@2", "champion", evaluations=(evaluation,))
    for most, passed in ((0.02, False), (0.3, True)):
        result = GATE.judge(candidate, {"at_most": most, "checks": ["shift"]})
        assert result.passed == passed
        assert "shift" in result.found
