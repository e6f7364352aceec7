"""Two models on the same rows: against scikit-learn, golden values and what must hold of any pair."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics as sk

from jupyter_mlops.domain.evaluation import EvaluationRows
from jupyter_mlops.errors import InvalidArgument
from jupyter_mlops.evaluation.measures import COUNTS, MEANS, RANKS, confusion, measure_names
from jupyter_mlops.evaluation.paired import mcnemar, paired_difference


def classified(classes: int, rows: int = 400, noise: float = 1.0, seed: int = 0, ids=None) -> EvaluationRows:
    """Rows of a model that is right the more often the less noise it has; the target depends on `rows` alone."""
    target = np.random.default_rng(99).integers(0, classes, rows)
    logits = np.eye(classes)[target] * 1.5 + noise * np.random.default_rng(seed).normal(size=(rows, classes))
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    loss = -np.log(probabilities[np.arange(rows), target])
    names = tuple("abcdef"[:classes])
    at = np.arange(rows) if ids is None else ids
    return EvaluationRows(at, target, probabilities.argmax(axis=1), loss, probabilities, names)


def numbers(rows: int = 400, noise: float = 1.0, seed: int = 0) -> EvaluationRows:
    target = np.random.default_rng(98).gamma(2.0, 3.0, rows)
    prediction = target + noise * np.random.default_rng(seed).normal(size=rows)
    return EvaluationRows(np.arange(rows), target, prediction, (target - prediction) ** 2)


def value(name: str, rows: EvaluationRows) -> float:
    """A measure on one table of rows."""
    if name in COUNTS:
        return float(COUNTS[name].function(confusion(rows)))
    if name in MEANS:
        return float(MEANS[name].function(MEANS[name].columns(rows).mean(axis=0)))
    of = [1] if rows.task == "binary" else range(len(rows.classes))
    areas = [RANKS[name].prepare(rows.target == k, rows.probabilities[:, k]) for k in of]
    return float(np.mean([area(np.ones((1, len(rows))))[0] for area in areas]))


ORACLES = {
    "accuracy": lambda r: sk.accuracy_score(r.target, r.prediction),
    "balanced_accuracy": lambda r: sk.balanced_accuracy_score(r.target, r.prediction),
    "precision": lambda r: sk.precision_score(r.target, r.prediction, zero_division=0),
    "recall": lambda r: sk.recall_score(r.target, r.prediction, zero_division=0),
    "specificity": lambda r: sk.recall_score(r.target, r.prediction, pos_label=0, zero_division=0),
    "f1": lambda r: sk.f1_score(r.target, r.prediction, zero_division=0),
    "precision_macro": lambda r: sk.precision_score(r.target, r.prediction, average="macro", zero_division=0),
    "recall_macro": lambda r: sk.recall_score(r.target, r.prediction, average="macro", zero_division=0),
    "f1_macro": lambda r: sk.f1_score(r.target, r.prediction, average="macro", zero_division=0),
    "mcc": lambda r: sk.matthews_corrcoef(r.target, r.prediction),
    "roc_auc": lambda r: sk.roc_auc_score(r.target, r.probabilities[:, 1]),
    "pr_auc": lambda r: sk.average_precision_score(r.target, r.probabilities[:, 1]),
    "roc_auc_ovr": lambda r: sk.roc_auc_score(r.target, r.probabilities, multi_class="ovr"),
    "pr_auc_macro": lambda r: sk.average_precision_score(np.eye(len(r.classes))[r.target], r.probabilities),
    "log_loss": lambda r: sk.log_loss(r.target, r.probabilities),
    "brier": lambda r: (
        sk.brier_score_loss(r.target, r.probabilities[:, 1])
        if r.task == "binary"
        else np.mean(np.sum((r.probabilities - np.eye(len(r.classes))[r.target]) ** 2, axis=1))
    ),
    "mae": lambda r: sk.mean_absolute_error(r.target, r.prediction),
    "rmse": lambda r: sk.root_mean_squared_error(r.target, r.prediction),
    "r2": lambda r: sk.r2_score(r.target, r.prediction),
    "mape": lambda r: sk.mean_absolute_percentage_error(r.target, r.prediction),
}
MADE = {"binary": classified(2), "multiclass": classified(4), "regression": numbers()}


@pytest.mark.parametrize(("task", "name"), [(task, name) for task in MADE for name in measure_names(task)], ids=str)
def test_every_measure_equals_scikit_learn(task: str, name: str) -> None:
    assert value(name, MADE[task]) == pytest.approx(ORACLES[name](MADE[task]), abs=1e-9)


def test_measures_hold_where_a_class_is_missing_and_scores_are_tied() -> None:
    target, prediction = np.array([0, 0, 1, 1, 0]), np.array([0, 0, 0, 0, 0])
    rows = EvaluationRows(
        np.arange(5), target, prediction, np.zeros(5), np.column_stack([np.full(5, 0.6), np.full(5, 0.4)]), ("a", "b")
    )
    for name in measure_names("binary"):
        assert value(name, rows) == pytest.approx(ORACLES[name](rows), abs=1e-9), name
    three = EvaluationRows(np.arange(5), target, np.array([0, 2, 0, 1, 0]), np.zeros(5), None, ("a", "b", "c"))
    with pytest.warns(UserWarning, match="y_pred contains classes"):
        assert value("balanced_accuracy", three) == pytest.approx(ORACLES["balanced_accuracy"](three))
    for name in ("f1_macro", "precision_macro", "recall_macro", "mcc"):
        assert value(name, three) == pytest.approx(ORACLES[name](three), abs=1e-9), name


@pytest.mark.parametrize(("task", "name"), [(task, name) for task in MADE for name in measure_names(task)])
def test_a_difference_is_the_difference_of_the_two_and_turns_round(task: str, name: str) -> None:
    a = MADE[task]
    b = numbers(noise=2.5, seed=4) if task == "regression" else classified(len(a.classes), noise=2.5, seed=4)
    found, turned = paired_difference(name, a, b), paired_difference(name, b, a)
    assert found.value == pytest.approx(value(name, a) - value(name, b), abs=1e-9)
    assert found.low <= found.value <= found.high
    assert found.better  # A has less noise
    assert found.p_value < 0.05
    assert (turned.low, turned.high) == pytest.approx((-found.high, -found.low), abs=0.01)  # other draws of the cells
    same = paired_difference(name, a, a)
    assert (same.value, same.low, same.high, same.p_value, same.better) == (0.0, 0.0, 0.0, 1.0, False)


def test_rows_are_matched_by_their_position_and_refused_where_they_do_not_fit() -> None:
    a = classified(2)
    order = np.random.default_rng(0).permutation(400)[:300]
    b = EvaluationRows(
        order,
        a.target[order],
        a.prediction[order],
        a.loss[order],
        a.probabilities[order],
        a.classes,  # type: ignore[index]
    )
    assert paired_difference("accuracy", a, b).rows == 300
    assert paired_difference("roc_auc", a, b).value == 0
    with pytest.raises(InvalidArgument, match="no rows in common"):
        paired_difference("accuracy", a, classified(2, ids=np.arange(1000, 1400)))
    with pytest.raises(InvalidArgument, match="other targets"):
        paired_difference("accuracy", a, classified(2, ids=np.arange(400)[::-1]))
    with pytest.raises(InvalidArgument, match="other classes"):
        paired_difference("accuracy", a, classified(3))
    with pytest.raises(InvalidArgument, match="unknown metric"):
        paired_difference("rmse", a, a)
    bare = EvaluationRows(a.row_id, a.target, a.prediction, a.loss, None, a.classes)
    with pytest.raises(InvalidArgument, match="needs probabilities"):
        paired_difference("log_loss", a, bare)


def test_mcnemar_agrees_with_statsmodels() -> None:
    from statsmodels.stats.contingency_tables import mcnemar as oracle

    a, b = classified(2), classified(2, noise=1.3, seed=7)
    only_a, only_b, p = mcnemar(a, b)
    assert p == pytest.approx(oracle([[0, only_a], [only_b, 0]], exact=True).pvalue, abs=1e-12)


@pytest.mark.extended
@pytest.mark.parametrize("name", ["accuracy", "f1", "log_loss", "roc_auc", "pr_auc"])
def test_intervals_of_differences_cover(name: str) -> None:
    """The truth is taken from 400,000 rows; 95% intervals of 300 rows may miss it in 3 to 8 of 100."""

    def pair(rows: int, seed: int) -> list[EvaluationRows]:
        rng = np.random.default_rng(seed)
        target = rng.integers(0, 2, rows)
        found = []
        for strength in (1.2, 0.8):
            logit = (target - 0.5) * strength * 1.5 + rng.normal(size=rows)
            p = 1 / (1 + np.exp(-logit))
            both = np.column_stack([1 - p, p])
            found.append(EvaluationRows(np.arange(rows), target, (p > 0.5).astype(int), p, both, ("n", "y")))
        return found

    big = pair(400_000, 10**6)
    truth = value(name, big[0]) - value(name, big[1])
    inside = 0
    for seed in range(500):
        found = paired_difference(name, *pair(300, seed), seed=seed)
        inside += found.low <= truth <= found.high
    assert 0.92 <= inside / 500 <= 0.97
