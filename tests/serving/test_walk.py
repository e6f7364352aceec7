"""Walk: forests laid out give what the library gives, row by row and many at once, also for missing values and on thresholds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.ensemble import (
    ExtraTreesClassifier,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)

from jupyter_mlops.serving.compiled import walk
from jupyter_mlops.serving.compiled.encode import NotCompilable
from jupyter_mlops.serving.compiled.finals import final_of
from jupyter_mlops.serving.compiled.trees import Forest

DRAW = np.random.default_rng(5)
ROWS = DRAW.normal(size=(400, 6)).round(2)
HOLES = np.where(DRAW.random(ROWS.shape) < 0.1, np.nan, ROWS)
TWO = np.where(ROWS[:, 0] + ROWS[:, 1] ** 2 > 0.7, "yes", "no")
THREE = np.digitize(ROWS[:, 0] * ROWS[:, 2], [-0.3, 0.3])


def boosted(library: str) -> Any:
    """A classifier of another library."""
    if library == "xgboost":
        from xgboost import XGBClassifier

        return XGBClassifier(n_estimators=12, max_depth=4)
    from lightgbm import LGBMClassifier

    return LGBMClassifier(n_estimators=12, verbose=-1)


CASES = {
    "forest of two": (RandomForestClassifier(12, random_state=0), TWO),
    "forest of three": (RandomForestClassifier(12, random_state=0), THREE),
    "extra trees": (ExtraTreesClassifier(9, random_state=0, max_depth=5), TWO),
    "regression": (RandomForestRegressor(7, random_state=0), ROWS[:, 0] * 2),
    "histogram of two": (HistGradientBoostingClassifier(max_iter=9, random_state=0), TWO),
    "histogram of three": (HistGradientBoostingClassifier(max_iter=5, random_state=0), THREE),
    "histogram regression": (HistGradientBoostingRegressor(max_iter=9, random_state=0), ROWS[:, 0] * 2),
    "xgboost": (boosted("xgboost"), THREE),
    "lightgbm": (boosted("lightgbm"), THREE),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("holes", [False, True], ids=["whole", "with missing values"])
def test_a_walk_adds_up_what_the_operator_adds_up(case: str, holes: bool) -> None:
    estimator, target = CASES[case]
    rows = HOLES if holes else ROWS
    estimator.fit(rows, target)
    final, forest = final_of(estimator, rows.shape[1])
    assert forest is not None
    thresholds = [(number, value) for number, values in forest.splits().items() for value in values[:40]]
    edges = np.repeat(rows[:1], 3 * len(thresholds), axis=0)
    for i, (number, value) in enumerate(thresholds):
        edges[3 * i : 3 * i + 3, number] = value, np.nextafter(value, -np.inf), np.nextafter(value, np.inf)
    every = np.vstack([rows, edges, [[np.inf] * 6, [-np.inf] * 6]])
    if holes:
        every = np.vstack([every, [[np.nan] * 6]])
    if final.single:  # beyond what a float32 holds, the library itself goes no further
        every = np.clip(every, -3e38, 3e38)
    final.start(forest.onnx())
    expected = final.sums(every)
    final.walked = True
    final.start(walk.lay_out(forest))
    np.testing.assert_allclose(final.sums(every), expected, rtol=1e-14, atol=1e-14)
    one_by_one = np.vstack([final.sums(every[i : i + 1]) for i in range(len(every))])
    np.testing.assert_array_equal(one_by_one, final.sums(every))
    if hasattr(estimator, "predict_proba"):
        np.testing.assert_allclose(final.probabilities(final.sums(rows)), estimator.predict_proba(rows), atol=2e-7)


def test_only_a_large_forest_is_walked(monkeypatch: pytest.MonkeyPatch) -> None:
    estimator = RandomForestClassifier(3, random_state=0).fit(ROWS, TWO)
    _, forest = final_of(estimator, ROWS.shape[1])
    assert isinstance(forest, Forest)
    assert not walk.walkable(forest)
    monkeypatch.setattr(walk, "LARGE", forest.nodes)
    assert walk.walkable(forest)
    monkeypatch.setattr("importlib.metadata.version", lambda _: "0.36.0")  # of an LLVM that wants typed pointers
    assert not walk.walkable(forest)


def test_a_forest_of_single_leaves_needs_no_walk() -> None:
    estimator = RandomForestRegressor(3, random_state=0).fit(ROWS, np.ones(len(ROWS)))
    final, forest = final_of(estimator, ROWS.shape[1])
    assert forest is not None
    assert not walk.walkable(forest)
    final.start(forest.onnx())
    assert final.sums(ROWS[:2]).tolist() == [[1.0], [1.0]]


def test_a_forest_of_one_class_is_left_to_its_library() -> None:
    estimator = RandomForestClassifier(3, random_state=0).fit(ROWS, np.zeros(len(ROWS)))
    with pytest.raises(NotCompilable, match="one class"):
        final_of(estimator, ROWS.shape[1])
