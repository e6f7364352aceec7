"""Feature selection: which columns several methods keep, how they rank them, and what a model makes of the rest."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

from ..errors import NotFound
from .display import Displayed, seconds, table
from .record import Record

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["FeatureSelection", "SelectionStep"]


@dataclass(frozen=True)
class SelectionStep(Record):
    """What one method kept.

    Parameters
    ----------
    method
        Its name; ``all`` keeps every column and is what the others are compared with.
    measure
        What `scores` are, in words.
    kept
        The columns that stay, best first; for PCA its components.
    scores
        For each column, or component, the method's own score, best first.
    folds
        The metric on each fold, the same folds for every method; the method chose anew on each fold's training rows.
    variance
        The share of the variance that the components keep; None for a method that keeps columns.
    run
        MLflow's id of its run.
    """

    method: str
    measure: str
    kept: tuple[str, ...]
    scores: dict[str, float] = field(default_factory=dict)
    folds: tuple[float, ...] = ()
    variance: float | None = None
    took_ms: float = 0.0
    run: str = ""

    @property
    def score(self) -> float | None:
        """The mean over the folds; None where nothing was measured."""
        return math.fsum(self.folds) / len(self.folds) if self.folds else None

    @property
    def spread(self) -> float | None:
        """The standard deviation over the folds (n - 1 in the denominator); None for fewer than two."""
        mean = self.score
        if mean is None or len(self.folds) < 2:
            return None
        return math.sqrt(math.fsum((value - mean) * (value - mean) for value in self.folds) / (len(self.folds) - 1))


@dataclass(frozen=True)
class FeatureSelection(Displayed, Record):
    """Several methods on one table.

    Parameters
    ----------
    metric
        ``ROC AUC`` for two classes, ``macro ROC AUC`` (one against the rest) for more, ``R²`` for a number.
    rows
        How many were used.
    model
        What the metric was measured with.
    transformers
        For each method the fitted scikit-learn transformer; in the process that selected.
    """

    target: str
    metric: str
    rows: int
    columns: int
    steps: tuple[SelectionStep, ...]
    model: str = ""
    seed: int = 0
    run: str = ""
    notes: tuple[str, ...] = ()
    transformers: Any = field(default=None, compare=False, repr=False)

    def to_dict(self) -> dict[str, Any]:
        """Everything but the transformers, which are no data."""
        data = Record.to_dict(self)
        return {f.name: data[f.name] for f in fields(self) if f.name != "transformers"}

    def __getitem__(self, method: str) -> SelectionStep:
        found = next((step for step in self.steps if step.method == method), None)
        if found is None:
            raise NotFound.among("method", method, [step.method for step in self.steps])
        return found

    @property
    def best(self) -> SelectionStep | None:
        """The method with the highest score; of equal ones that with fewer columns."""
        scored = [step for step in self.steps if step.score is not None and step.score == step.score]
        return max(scored, key=lambda s: (s.score or 0.0, -len(s.kept)), default=None)

    def transformer(self, method: str = "") -> Any:
        """The fitted transformer of a method, by default the best one's: put it first in a pipeline.

        Raises
        ------
        NotFound
            There is no such method here.
        """
        step = self[method] if method else self.best
        return (self.transformers or {}).get(step.method if step is not None else "")

    def to_pandas(self) -> pd.DataFrame:
        """One row a column, one column a method: its score, and missing where the method gave none."""
        import pandas as pd

        return pd.DataFrame({step.method: pd.Series(step.scores, dtype=float) for step in self.steps if step.scores})

    def text(self) -> str:
        head = f"{len(self.steps)} ways to choose from {self.columns} columns for {self.target}, {self.rows:,} rows, seed {self.seed}"
        rows = [
            [
                step.method,
                len(step.kept),
                "-" if step.score is None else f"{step.score:.4f}",
                "-" if step.spread is None else f"{step.spread:.4f}",
                "-" if step.variance is None else f"{step.variance:.1%}",
                seconds(step.took_ms),
                ", ".join(step.kept[:6]) + (" …" if len(step.kept) > 6 else ""),
            ]
            for step in self.steps
        ]
        heads = ["method", "kept", self.metric, "sd", "variance", "took", "columns, best first"]
        tail = [f"measured with {self.model}, the same folds for all; each method chose anew on each fold"]
        return "\n".join([head, table(heads, rows), *tail, *(f"note: {note}" for note in self.notes)])
