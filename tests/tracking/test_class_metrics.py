"""Class metrics: the same numbers as scikit-learn's own functions, and nothing where the case is not the plain one."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics
from sklearn.linear_model import LogisticRegression

from jupyter_mlops.tracking.class_metrics import chance_metrics, class_metrics
from jupyter_mlops.tracking.training_metrics import training_metrics

NAMES = {
    "numbers": [0, 1, 5, 7],
    "texts": ["a", "b", "longer", "ä"],
    "objects": np.array(["a", "b", "longer", "ä"], dtype=object),
    "truths": [False, True],
    "floats": [-1.0, 0.0, 2.0, 3.0],
}


@settings(max_examples=120, deadline=None)
@given(
    st.sampled_from(sorted(NAMES)), st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=60)
)
def test_what_is_counted_is_what_scikit_learn_counts(kind: str, pairs: list[tuple[int, int]]) -> None:
    classes = np.asarray(NAMES[kind])
    true, told = (classes[[pair[i] % len(classes) for pair in pairs]] for i in (0, 1))
    found = class_metrics(SimpleNamespace(classes_=classes), pd.Series(true), told)
    assert found is not None
    three = metrics.precision_recall_fscore_support(true, told, average="weighted", zero_division=0)[:3]
    expected = [*three, metrics.accuracy_score(true, told)]
    assert list(found.values()) == pytest.approx(expected, rel=1e-12, abs=1e-15)


@settings(max_examples=120, deadline=None)
@given(
    st.lists(st.tuples(st.booleans(), st.sampled_from([0.0, 0.25, 0.5, 0.7, 1.0]) | st.floats(0, 1)), min_size=2, max_size=60),
    st.sampled_from(["float64", "float32"]),
)  # fmt: skip
def test_what_is_ranked_is_what_scikit_learn_ranks(rows: list[tuple[bool, float]], kind: str) -> None:
    true = np.array([int(row[0]) for row in rows])
    second = np.array([row[1] for row in rows], dtype=kind)
    chances = np.c_[1 - second, second]
    found = chance_metrics(SimpleNamespace(classes_=np.array([0, 1])), true, chances)
    if len(set(true)) < 2:
        assert found is None
        return
    assert found is not None
    assert found["log_loss"] == pytest.approx(metrics.log_loss(true, chances), rel=1e-6 if kind == "float32" else 1e-12)
    assert found["roc_auc"] == pytest.approx(metrics.roc_auc_score(true, chances[:, 1]), rel=1e-12)


@pytest.mark.parametrize(
    ("classes", "target", "predicted"),
    [
        ([0, 1], [0, 2], [0, 1]),  # a class that the model does not know
        ([0, 1], [[0, 1], [1, 0]], [[0, 1], [1, 1]]),
        ([0, 1], ["0", "1"], [0, 1]),
        (np.array(["a", "b"], dtype=object), ["a", None], ["a", "b"]),
        (None, [0], [0]),
        ([0, 1], [], []),
    ],
)
def test_all_else_is_left_to_scikit_learn(classes: object, target: object, predicted: object) -> None:
    assert class_metrics(SimpleNamespace(classes_=classes), target, predicted) is None


def test_a_fits_metrics_are_scikit_learns() -> None:
    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(200, 3))
    for target in (np.where(inputs[:, 0] > 0.3, "yes", "no"), np.digitize(inputs[:, 0], [-0.5, 0.5])):
        model = LogisticRegression().fit(inputs, target)
        found = dict(training_metrics(model, inputs, target).metrics)
        weighted = dict(training_metrics(model, inputs, target, np.ones(200)).metrics)  # which scikit-learn measures
        if len(model.classes_) > 2:  # the area of several classes takes no weights
            assert found.pop("training_roc_auc") > 0.9
        assert found == pytest.approx(weighted, rel=1e-12)
