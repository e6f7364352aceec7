"""Recursive feature elimination: the least important columns go, the model is fitted anew, until as many are left as asked."""

from __future__ import annotations

from .method import Chosen, Method, keeping
from .problem import Problem

__all__ = ["RFE"]

STEP = 0.2


def choose(problem: Problem) -> Chosen:
    """Keep what is left. The score is 1 divided by the rank: 1 for what stays, less the earlier a column went."""
    from sklearn.feature_selection import RFE as Elimination  # noqa: N811 the method's name is ours here

    found = Elimination(problem.model(), n_features_to_select=problem.keep, step=STEP)
    found.fit(problem.coded(), problem.target)
    importance = iter(
        found.estimator_.feature_importances_ if hasattr(found.estimator_, "feature_importances_") else ()
    )
    # Among those that stay the last model's own importance decides who comes first.
    inside = [float(next(importance, 0.0)) if stays else 0.0 for stays in found.support_]
    top = max([*inside, 1e-12])
    scores = [
        1.0 + value / top if stays else 1.0 / float(rank)
        for value, stays, rank in zip(inside, found.support_, found.ranking_, strict=True)
    ]
    return keeping(problem, scores)


RFE = Method("rfe", "1 / rank of elimination; of those kept, 1 + importance", choose)
