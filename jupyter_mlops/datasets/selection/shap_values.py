"""SHAP: how much each column moves the model's output on average, everything that columns do together shared out fairly."""

from __future__ import annotations

from typing import Any

from ...errors import MissingDependency
from .method import Chosen, Method, keeping
from .problem import Problem

__all__ = ["SHAP"]

ROWS = 300
BACKGROUND = 50


def choose(problem: Problem) -> Chosen:
    """Keep the columns with the largest mean absolute SHAP value, over classes and at most 300 rows.

    Raises
    ------
    MissingDependency
        shap is not installed.
    """
    import numpy as np

    try:
        import shap
    except ImportError:
        raise MissingDependency.of("shap", why="to rank features by SHAP values", extra="evaluation") from None
    values = problem.coded()
    model = problem.model().fit(values, np.asarray(problem.target))
    places = np.random.default_rng(problem.seed).permutation(len(values))[:ROWS]
    try:
        found: Any = shap.TreeExplainer(model).shap_values(values[np.sort(places)], check_additivity=False)
    except Exception:  # shap's own word for "no trees": several kinds of exception
        ask = model.predict_proba if hasattr(model, "predict_proba") else model.predict
        explainer = shap.PermutationExplainer(ask, values[places[:BACKGROUND]], seed=problem.seed)
        found = explainer(values[np.sort(places[:BACKGROUND])]).values
    array = np.abs(np.asarray(found))
    if array.ndim == 3 and array.shape[-1] == values.shape[1]:  # an older shap gives classes first
        array = np.moveaxis(array, 0, -1)
    scores = array.mean(axis=0) if array.ndim == 2 else array.mean(axis=(0, 2))
    return keeping(problem, [float(score) for score in scores])


SHAP = Method("shap", "mean absolute SHAP value", choose)
