"""Domain classifier: how well a model tells rows of the two tables apart that it has not seen."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from ...domain.drift_report import Together

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["auc_interval", "measure"]

MOST_ROWS = 5_000
FOLDS = 5
FEWEST = 50
LARGE_ENOUGH = 0.55
Z = 2.5758  # of the 99 % interval
DRIVERS = 5


def measure(reference: pd.DataFrame, current: pd.DataFrame) -> Together | None:
    """The area under the ROC curve of predictions on held-out rows: 0.5 where nothing tells the tables apart, 1 for certain.

    Parameters
    ----------
    reference, current
        Tables of numbers with the same columns; at most 5,000 rows of each are used, drawn with a fixed seed.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.inspection import permutation_importance
    from sklearn.metrics import roc_auc_score
    from sklearn.model_selection import StratifiedKFold

    sides = [x.sample(min(len(x), MOST_ROWS), random_state=0).to_numpy() for x in (reference, current)]
    if min(map(len, sides)) < FEWEST or not sides[0].shape[1]:
        return None
    rows, which = np.concatenate(sides), np.repeat([0, 1], [len(x) for x in sides])
    scores, importance = np.empty(len(rows)), np.zeros(rows.shape[1])
    for i, (train, held) in enumerate(StratifiedKFold(FOLDS, shuffle=True, random_state=0).split(rows, which)):
        model = HistGradientBoostingClassifier(max_iter=60, max_leaf_nodes=15, min_samples_leaf=20, random_state=0)
        model.fit(rows[train], which[train])
        scores[held] = model.predict_proba(rows[held])[:, 1]
        if i == 0:
            found = permutation_importance(
                model, rows[held], which[held], scoring="roc_auc", n_repeats=2, random_state=0
            )
            importance = found.importances_mean
    auc = float(roc_auc_score(which, scores))
    # the rows of a fold share a model, so their scores go together: they tell what half as many apart would (simulated)
    low, high = auc_interval(auc, len(sides[1]) // 2, len(sides[0]) // 2)
    ranked = [str(reference.columns[i]) for i in np.argsort(-importance) if importance[i] > 0.005]
    return Together(
        "domain_classifier",
        "domain classifier, AUC",
        auc,
        low,
        high,
        drifted=low > 0.5 and auc >= LARGE_ENOUGH,
        columns=tuple(ranked[:DRIVERS]),
        convention=(
            f"gradient-boosted trees, {FOLDS}-fold out-of-fold AUC over at most {MOST_ROWS:,} rows a table, interval after "
            f"Hanley and McNeil (1982) with half the rows, as those of a fold share a model; drift when the interval lies above 0.5 and AUC is at least {LARGE_ENOUGH}; the columns are those "
            "whose permutation costs held-out AUC, the most first"
        ),
    )


def auc_interval(auc: float, positives: int, negatives: int) -> tuple[float, float]:
    """The 99 % interval of an AUC (Hanley and McNeil 1982).

    Examples
    --------
    >>> [round(x, 3) for x in auc_interval(0.5, 1000, 1000)]
    [0.467, 0.533]
    """
    one, two = auc / (2 - auc), 2 * auc * auc / (1 + auc)
    square = auc * (1 - auc) + (positives - 1) * (one - auc**2) + (negatives - 1) * (two - auc**2)
    error = math.sqrt(max(0.0, square) / (positives * negatives))
    return max(0.0, auc - Z * error), min(1.0, auc + Z * error)
