"""Mutual information of each column with the target, in nats: whatever the shape of the dependence, but one column at a time."""

from __future__ import annotations

from .method import Chosen, Method, keeping
from .problem import Problem

__all__ = ["MUTUAL_INFORMATION"]


def choose(problem: Problem) -> Chosen:
    """Keep the columns that tell most about the target.

    Words are counted; numbers are estimated from the 3 nearest neighbours (Kraskov 2004, Ross 2014), as scikit-learn does.
    """
    from sklearn.feature_selection import mutual_info_classif, mutual_info_regression

    estimate = mutual_info_classif if problem.classes else mutual_info_regression
    counted = [not problem.is_number(str(name)) for name in problem.inputs.columns]
    scores = estimate(problem.coded(), problem.target, discrete_features=counted, random_state=problem.seed)
    return keeping(problem, [float(score) for score in scores])


MUTUAL_INFORMATION = Method("mutual-information", "mutual information with the target, in nats", choose)
