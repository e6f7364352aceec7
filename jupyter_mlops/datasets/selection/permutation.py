"""Permutation importance: how much worse a model gets on rows it has not seen when one column's values are shuffled."""

from __future__ import annotations

from .method import Chosen, Method, keeping
from .problem import Problem

__all__ = ["PERMUTATION"]

REPEATS = 5
HELD = 0.3


def choose(problem: Problem) -> Chosen:
    """Keep the columns whose shuffling costs most: the mean loss of accuracy or R² over 5 shuffles, on 30 % held apart."""
    import numpy as np
    from sklearn.inspection import permutation_importance
    from sklearn.model_selection import train_test_split

    values, target = problem.coded(), np.asarray(problem.target)
    strata = target if problem.classes else None
    train, test, known, asked = train_test_split(
        values, target, test_size=HELD, random_state=problem.seed, stratify=strata
    )
    model = problem.model().fit(train, known)
    found = permutation_importance(model, test, asked, n_repeats=REPEATS, random_state=problem.seed)
    return keeping(problem, [float(score) for score in found.importances_mean])


PERMUTATION = Method("permutation", "mean loss of accuracy, or of R², when shuffled", choose)
