"""Estimates against closed forms, against scikit-learn on drawn labels, and against the truth they stand for."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics

from jupyter_mlops.monitoring.attribution import decompose, explain_change
from jupyter_mlops.monitoring.estimate import FEWEST_LABELLED, cbpe, direct_loss

GOLDEN = {"accuracy": 0.7666667, "precision": 0.8, "recall": 0.75, "f1": 0.7741935, "roc_auc": 0.8236607}


def two(p: np.ndarray) -> np.ndarray:
    return np.column_stack([1 - p, p])


def test_the_golden_values_of_calibrated_probabilities():
    p = np.array([0.9, 0.8, 0.7, 0.4, 0.3, 0.1])
    found = {m.name: m for m in cbpe(two(p), (p >= 0.5).astype(int))}
    assert {name: round(found[name].value, 7) for name in GOLDEN} == GOLDEN
    assert found["brier"].value == pytest.approx(np.mean(p * (1 - p)))
    assert found["log_loss"].value == pytest.approx(-np.mean(p * np.log(p) + (1 - p) * np.log(1 - p)))
    assert all(m.low <= m.value <= m.high for m in found.values())


@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=2, max_size=40))
def test_estimates_stay_within_their_range(values):
    p = np.array(values)
    for m in cbpe(two(p), (p >= 0.5).astype(int)):
        assert np.isfinite(m.value)
        if m.name != "log_loss":
            assert -1e-12 <= m.value <= 1 + 1e-12


@pytest.mark.parametrize("classes", [2, 3])
def test_the_estimate_is_the_mean_of_what_is_realised_and_its_interval_covers(classes):
    rng = np.random.default_rng(0)
    p = rng.dirichlet(np.ones(classes), 400)
    guess = p.argmax(axis=1)
    found = {m.name: m for m in cbpe(p, guess)}
    inside = dict.fromkeys(found, 0)
    every = {name: [] for name in found}
    rounds = 300
    for _ in range(rounds):
        y = (rng.random(len(p))[:, None] > np.cumsum(p, axis=1)[:, :-1]).sum(axis=1)
        real = {"accuracy": metrics.accuracy_score(y, guess), "log_loss": metrics.log_loss(y, p, labels=range(classes))}
        if classes == 2:
            real |= {
                "precision": metrics.precision_score(y, guess),
                "recall": metrics.recall_score(y, guess),
                "f1": metrics.f1_score(y, guess),
                "roc_auc": metrics.roc_auc_score(y, p[:, 1]),
                "brier": metrics.brier_score_loss(y, p[:, 1]),
            }
        else:
            real["f1_macro"] = metrics.f1_score(y, guess, average="macro")
            real["brier"] = float(((p - np.eye(classes)[y]) ** 2).sum(axis=1).mean())
        for name, value in real.items():
            every[name].append(value)
            inside[name] += found[name].low <= value <= found[name].high
    for name, values in every.items():
        assert np.mean(values) == pytest.approx(found[name].value, abs=0.01), name
        assert inside[name] / rounds > 0.9, name


def test_rows_without_probabilities_are_left_out_and_none_gives_nothing():
    p = np.array([[0.2, 0.8], [np.nan, np.nan], [0.6, 0.4]])
    assert cbpe(p, np.array([1, 1, 0]))[0].value == pytest.approx(0.7)
    assert cbpe(p[1:2], np.array([1])) == ()


def test_direct_loss_finds_where_the_model_is_bad():
    rng = np.random.default_rng(1)
    known = pd.DataFrame({"x": rng.uniform(0, 1, 2_000), "s": rng.choice(["a", "b"], 2_000)})
    error = rng.normal(0, 0.2 + 2 * (known["x"] > 0.5))
    hard = pd.DataFrame({"x": rng.uniform(0.5, 1, 500), "s": rng.choice(["a", "c"], 500)})
    truth = rng.normal(0, 2.2, 500)
    found = {m.name: m for m in direct_loss(known, error, hard)}
    assert found["mae"].value == pytest.approx(np.abs(truth).mean(), rel=0.15)
    assert found["rmse"].value == pytest.approx((truth**2).mean() ** 0.5, rel=0.15)
    assert found["mae"].low < found["mae"].value < found["mae"].high
    assert direct_loss(known.head(FEWEST_LABELLED - 1), error[: FEWEST_LABELLED - 1], hard) == ()
    constant = direct_loss(known[["s"]].assign(s="a"), error, hard[["s"]].assign(s="a"))
    assert constant[0].value == pytest.approx(np.abs(error).mean())


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.booleans())
def test_the_parts_of_a_change_add_up_to_it(seed, numeric):
    rng = np.random.default_rng(seed)
    one, two_ = rng.integers(20, 90, 2)
    make = (
        (lambda n: pd.Series(rng.normal(0, 1, n)).where(rng.random(n) > 0.1))
        if numeric
        else (lambda n: pd.Series(rng.choice(["a", "b", None], n)))
    )
    before, after = make(one), make(two_)
    old, new = rng.random(one), rng.random(two_)
    mix, within, parts = decompose(before, old, after, new)
    assert mix + within == pytest.approx(new.mean() - old.mean(), abs=0.3)  # a part that is new has no loss before
    assert sum(amount for _, amount in parts) == pytest.approx(mix + within - old.mean() * 0, abs=0.3)


def test_a_change_is_blamed_on_the_column_that_made_it():
    rng = np.random.default_rng(2)
    before = pd.DataFrame({"hard": rng.random(1_000), "other": rng.random(1_000)})
    after = pd.DataFrame({"hard": 0.7 + 0.3 * rng.random(1_000), "other": rng.random(1_000)})
    loss = lambda t: (t["hard"].to_numpy() > 0.8) * 1.0  # noqa: E731
    why = explain_change(before, loss(before), after, loss(after), loss="loss", shap={"hard": 0.1})
    assert [c.column for c in why.causes] == ["hard", "other"]
    assert why.causes[0].mix == pytest.approx(why.after - why.before, abs=0.05)
    assert abs(why.causes[1].mix) < 0.05
    assert (why.causes[0].shap, why.causes[1].shap) == (0.1, None)
    assert why.slices[0][0].startswith("hard from")
