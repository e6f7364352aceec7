"""Group thresholds: a binary classifier over another one, which says yes from a threshold of each group's own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin

__all__ = ["GroupThresholds"]


class GroupThresholds(ClassifierMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """Decides by group; the probabilities stay those of the model it decides over.

    Parameters
    ----------
    estimator
        The fitted model.
    column
        The column of groups; part of what has to be given, also where the model itself does not take it.
    groups, thresholds
        From which probability of the second class on a group's rows get it; of an unknown group 0.5.
    columns
        The columns that the model takes, in its order.
    """

    def __init__(
        self,
        estimator: Any = None,
        column: str = "",
        groups: Sequence[str] = (),
        thresholds: Sequence[float] = (),
        columns: Sequence[str] = (),
    ) -> None:
        self.estimator = estimator
        self.column = column
        self.groups = groups
        self.thresholds = thresholds
        self.columns = columns

    def fit(self, inputs: Any, target: Any = None) -> GroupThresholds:
        """Take the fitted model's classes over; there is nothing to fit."""
        self.classes_ = np.asarray(self.estimator.classes_)
        self.feature_names_in_ = np.asarray([str(c) for c in inputs.columns], dtype=object)
        self.n_features_in_ = len(self.feature_names_in_)
        return self

    def predict_proba(self, inputs: Any) -> np.ndarray[Any, Any]:
        """The model's own probabilities."""
        return np.asarray(self.estimator.predict_proba(inputs[list(self.columns)]))

    def predict(self, inputs: Any) -> np.ndarray[Any, Any]:
        """The second class where its probability is above the group's threshold."""
        known = dict(zip(self.groups, self.thresholds, strict=True))
        above = inputs[self.column].astype(str).map(known).fillna(0.5).to_numpy(dtype=np.float64)
        found: np.ndarray[Any, Any] = self.classes_[(self.predict_proba(inputs)[:, 1] > above).astype(int)]
        return found
