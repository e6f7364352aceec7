"""SHAP values of forests against shap's own, and against the definition by all subsets of columns."""

from __future__ import annotations

from itertools import combinations
from math import factorial
from typing import Any

import numpy as np
import pytest
from sklearn.ensemble import (
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from jupyter_mlops.evaluation import forest_attribution
from jupyter_mlops.evaluation.attribution import attribute
from jupyter_mlops.evaluation.forest_attribution import ForestExplainer

Array = np.ndarray[Any, Any]
RNG = np.random.default_rng(0)
X = np.round(RNG.normal(size=(700, 6)), 1)  # many ties, so that columns come again and again on a path
Y = (X[:, 0] * X[:, 1] + X[:, 2] + RNG.normal(size=700)).round(2)
CLASSES = np.digitize(Y, [-0.5, 0.7])
HOLES = np.where(RNG.random(X.shape) < 0.1, np.nan, X)


@pytest.mark.parametrize(
    ("model", "inputs", "target", "at"),
    [
        (RandomForestClassifier(5, random_state=0), X, CLASSES > 0, 1),
        (RandomForestClassifier(5, random_state=0), X, CLASSES > 0, 0),
        (RandomForestClassifier(5, random_state=0, class_weight="balanced"), X, CLASSES, 2),
        (RandomForestRegressor(5, random_state=0), X, Y, -1),
        (ExtraTreesClassifier(5, random_state=0), X, CLASSES, 0),
        (DecisionTreeClassifier(max_leaf_nodes=40, random_state=0), X, CLASSES, 1),  # its nodes come best first
        (DecisionTreeRegressor(max_depth=1), X, Y, -1),
        (RandomForestClassifier(5, random_state=0), HOLES, CLASSES > 0, 1),
    ],
    ids=["binary", "first class", "weighted classes", "regressor", "extra", "best first", "stump", "missing values"],
)
def test_values_are_shaps_and_add_up(model: Any, inputs: Array, target: Array, at: int) -> None:
    shap = pytest.importorskip("shap")
    model.fit(inputs, target)
    rows = inputs[:300]  # more than one block
    explainer = ForestExplainer(model, at)
    ours = explainer.shap_values(rows)
    few = 40
    theirs = np.asarray(shap.TreeExplainer(model).shap_values(rows[:few], check_additivity=False))
    theirs = theirs[:, :, at] if theirs.ndim == 3 else theirs
    assert np.abs(ours[:few] - theirs).max() < 1e-9
    output = model.predict(rows) if at < 0 else model.predict_proba(rows)[:, at]
    assert np.abs(explainer.expected_value + ours.sum(axis=1) - output).max() < 1e-9


def test_values_are_the_definitions() -> None:
    tree = DecisionTreeRegressor(random_state=0).fit(X[:, :4], Y)
    nodes, row, columns = tree.tree_, X[3, :4].astype(np.float32), range(4)

    def worth(known: tuple[int, ...], node: int = 0) -> float:
        left, right = nodes.children_left[node], nodes.children_right[node]
        if left < 0:
            return float(nodes.value[node, 0, 0])
        if nodes.feature[node] in known:
            return worth(known, left if row[nodes.feature[node]] <= nodes.threshold[node] else right)
        cover = nodes.weighted_n_node_samples
        return float((cover[left] * worth(known, left) + cover[right] * worth(known, right)) / cover[node])

    for j in columns:
        rest = [c for c in columns if c != j]
        expected = sum(
            factorial(size) * factorial(3 - size) / factorial(4) * (worth((*known, j)) - worth(known))
            for size in range(4)
            for known in combinations(rest, size)
        )
        assert ForestExplainer(tree, -1).shap_values(X[3:4, :4])[0, j] == pytest.approx(expected, abs=1e-12)


def test_a_tree_without_a_split_explains_nothing() -> None:
    tree = DecisionTreeRegressor().fit(X, np.ones(len(X)))
    assert not ForestExplainer(tree, -1).shap_values(X[:5]).any()
    assert ForestExplainer(tree, -1).shap_values(X[:0]).shape == (0, 6)


def test_deep_paths_of_many_columns_stay_exact() -> None:
    wide = RNG.normal(size=(1500, 60))
    noise = RNG.normal(size=1500)
    forest = RandomForestRegressor(3, random_state=0, max_features=5).fit(wide, noise)
    explainer = ForestExplainer(forest, -1)
    assert max(len(tree.points) for tree in explainer.trees) >= 8
    error = explainer.expected_value + explainer.shap_values(wide).sum(axis=1) - forest.predict(wide)
    assert np.abs(error).max() < 1e-9


def test_the_number_of_workers_and_the_size_of_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    forest = RandomForestRegressor(7, random_state=0).fit(X, Y)
    explainer = ForestExplainer(forest, -1)
    monkeypatch.setattr(forest_attribution, "_processors", lambda: 1)
    alone = explainer.shap_values(X)
    monkeypatch.setattr(forest_attribution, "_processors", lambda: 3)
    monkeypatch.setattr(forest_attribution, "BLOCK", 37)
    assert np.abs(explainer.shap_values(X) - alone).max() < 1e-12


def test_other_models_of_trees_are_left_to_shap() -> None:
    pytest.importorskip("shap")
    boosted = GradientBoostingClassifier(n_estimators=5).fit(X, CLASSES > 0)
    with pytest.raises(TypeError, match="no forest"):
        ForestExplainer(boosted, 1)
    with pytest.raises(TypeError, match="one output"):
        ForestExplainer(RandomForestRegressor(2).fit(X, np.column_stack([Y, Y])), -1)
    up, down = (attribute(boosted, X[:30], at, budget=60) for at in (1, 0))
    assert up.method == "tree"
    assert up.error < 1e-6
    assert np.allclose(up.contributions, -down.contributions)
    assert np.allclose(up.base, -down.base)
