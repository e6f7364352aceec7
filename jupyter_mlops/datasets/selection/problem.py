"""Problem: the rows to choose on, as every method sees them: numbers as they are, words as codes, one model for all."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Problem"]

TREES = 40
LEAF = 3
CLASSES = 30
"""A target of whole numbers with at most this many different ones is one of classes."""


@dataclass(frozen=True)
class Problem:
    """Rows with their target.

    Parameters
    ----------
    keep
        How many columns stay.
    variance
        The share of the variance that PCA has to keep.
    estimator
        What models are made of; None for randomised trees.
    """

    inputs: pd.DataFrame
    target: pd.Series
    keep: int = 1
    variance: float = 0.95
    seed: int = 0
    estimator: Any = None

    @property
    def classes(self) -> int:
        """How many classes the target has; 0 for a target of numbers."""
        import pandas as pd

        kind = self.target.dtype
        different = int(self.target.nunique())
        if pd.api.types.is_float_dtype(kind) and not (self.target.dropna() % 1 == 0).all():
            return 0
        if pd.api.types.is_numeric_dtype(kind) and not pd.api.types.is_bool_dtype(kind) and different > CLASSES:
            return 0
        return different

    @property
    def metric(self) -> str:
        """What models are measured by."""
        return {0: "R²", 2: "ROC AUC"}.get(self.classes, "macro ROC AUC")

    def model(self) -> Any:
        """A model that is not fitted yet."""
        from sklearn.base import clone
        from sklearn.ensemble import ExtraTreesClassifier, ExtraTreesRegressor

        if self.estimator is not None:
            return clone(self.estimator)
        kind = ExtraTreesClassifier if self.classes else ExtraTreesRegressor
        return kind(TREES, min_samples_leaf=LEAF, random_state=self.seed)

    def coder(self) -> Any:
        """What turns every column into one of numbers, in the same order: medians for gaps, codes for words."""
        from sklearn.compose import ColumnTransformer
        from sklearn.impute import SimpleImputer
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import OrdinalEncoder

        codes = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1, encoded_missing_value=-1)
        parts: list[tuple[str, Any, list[Any]]] = []
        for name in self.inputs.columns:  # one part a column keeps their order
            number = self.is_number(str(name))
            part = SimpleImputer(strategy="median", keep_empty_features=True) if number else make_pipeline(codes)
            parts.append((f"c {len(parts)}", part, [name]))
        return ColumnTransformer(parts)

    def is_number(self, name: str) -> bool:
        """Whether a column holds numbers."""
        import pandas as pd

        kind = self.inputs[name].dtype
        return pd.api.types.is_numeric_dtype(kind) and not pd.api.types.is_bool_dtype(kind)

    def coded(self) -> Any:
        """All columns as numbers."""
        return np.asarray(self.coder().fit_transform(self.inputs), dtype=np.float64)

    def folds(self, count: int) -> Iterator[tuple[Problem, Problem]]:
        """Training and test rows of each fold: shuffled by the seed, stratified by class."""
        from sklearn.model_selection import KFold, StratifiedKFold

        kind = StratifiedKFold if self.classes else KFold
        for train, test in kind(count, shuffle=True, random_state=self.seed).split(self.inputs, self.target):
            yield self.rows(train), self.rows(test)

    def rows(self, places: Any) -> Problem:
        """Some of the rows."""
        return replace(self, inputs=self.inputs.iloc[places], target=self.target.iloc[places])

    def measured(self, transformer: Any, test: Problem) -> float:
        """The metric on other rows of a model fitted on these, behind a fitted transformer."""
        from sklearn.metrics import r2_score, roc_auc_score
        from sklearn.pipeline import make_pipeline

        mine, theirs = self.inputs, test.inputs
        if transformer is not None:
            mine, theirs = transformer.transform(mine), transformer.transform(theirs)
        columns = hasattr(mine, "columns")
        model = make_pipeline(replace(self, inputs=mine).coder(), self.model()) if columns else self.model()
        model.fit(mine, self.target)
        if not self.classes:
            return float(r2_score(test.target, model.predict(theirs)))
        if not hasattr(model, "predict_proba"):
            from sklearn.metrics import balanced_accuracy_score

            return float(balanced_accuracy_score(test.target, model.predict(theirs)))
        shares = model.predict_proba(theirs)
        if self.classes == 2:
            return float(roc_auc_score(test.target == model.classes_[1], shares[:, 1]))
        return float(roc_auc_score(test.target, shares, multi_class="ovr", average="macro", labels=model.classes_))
