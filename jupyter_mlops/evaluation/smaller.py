"""Smaller models: the ways to make one, each one function, in one ordered dict.

Half of the rows make them: teach the student, choose how many trees or which columns stay.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..domain.evaluation import EvaluationRows
from ..errors import InvalidArgument, NotReady
from .candidates import rows_of, taken_rows
from .measuring import value_of
from .paired import taken
from .subject import Subject

__all__ = ["WAYS", "Made", "Maker"]

Array = np.ndarray[Any, Any]

LEAVES = 128
ERRORS = ("mae", "rmse")  # in the units of the target, so that no number of points fits all


@dataclass(frozen=True)
class Made:
    """A smaller model: an estimator, or an ONNX file that stands for one."""

    change: str
    estimator: Any
    onnx: bytes = b""


class Maker:
    """Makes smaller models out of one half of the rows."""

    def __init__(
        self, subject: Subject, at: Array, metric: str, tolerance: float, seed: int, final: Callable[..., Any] | None
    ) -> None:
        self.final = final
        self.subject, self.metric, self.tolerance, self.seed = subject, metric, tolerance, seed
        self.model = subject.model.estimator
        self.at = at
        self.inputs = taken_rows(subject.inputs, at)
        self.truth = np.asarray(subject.truth)[at]
        self.rows: EvaluationRows = taken(subject.rows, at)

    def onnx(self) -> Made:
        """The same computation, in 64 bits."""
        return self._onnx(double=True, change="the same computation, in 64 bits")

    def float32(self) -> Made:
        """The same computation, in 32 bits."""
        return self._onnx(double=False, change="numbers and thresholds rounded to 32 bits")

    def int8(self) -> Made:
        """Weights as whole numbers of 8 bits."""
        from .onnx_model import OnnxModel, quantised, to_onnx

        small = quantised(to_onnx(self.model, self.inputs, double=False))
        if small is None:
            raise InvalidArgument("it has no matrix products, so there are no weights to write as 8-bit numbers.")
        return Made("weights of matrix products as 8-bit whole numbers", OnnxModel(small), small)

    def _onnx(self, *, double: bool, change: str) -> Made:
        from .onnx_model import OnnxModel, to_onnx

        data = to_onnx(self.model, self.inputs, double=double, final=self.final)
        return Made(change, OnnxModel(data), data)

    def distil(self) -> Made:
        """A decision tree that is taught what the model says of each row, sure or unsure (Hinton et al. 2015).

        A class counts with the probability that the model gives it; so the tree's entropy is the distillation loss.
        """
        from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

        before, final = self._prepared()
        fewest = max(5, len(self.truth) // 2000)
        if self.subject.rows.task == "regression":
            student: Any = DecisionTreeRegressor(max_leaf_nodes=LEAVES, min_samples_leaf=fewest, random_state=self.seed)
            student.fit(before, self.model.predict(self.inputs))
        else:
            if not hasattr(self.model, "predict_proba"):
                raise InvalidArgument("a student is taught probabilities, and this model gives none.")
            said = self.model.predict_proba(self.inputs)
            student = DecisionTreeClassifier(
                criterion="entropy", max_leaf_nodes=LEAVES, min_samples_leaf=fewest, random_state=self.seed
            )
            times = said.shape[1]
            row = np.repeat(np.arange(len(said)), times)
            taught = np.tile(np.asarray(self.model.classes_), len(said))
            student.fit(taken_rows(before, row), taught, sample_weight=said.ravel())
        whole = self._behind(student)
        return Made(f"a tree of {student.get_n_leaves()} leaves, taught by {type(final).__name__}", whole)

    def trees(self) -> Made:
        """The first trees of a forest or of a boosted sum, as few as cost at most the tolerance."""
        _, final = self._split()
        known = next((kind for kind in ("estimators_", "_predictors") if hasattr(final, kind)), "")
        held = getattr(final, known, None)
        trees = hasattr(final, "max_leaf_nodes") or hasattr(final, "max_depth")
        if held is None or not trees or len(held) < 2:
            raise InvalidArgument("it is no sum of trees.")
        whole = value_of(self.metric, self.rows)
        low, high = 1, len(held)
        while low < high:  # the fewest whose loss is borne; more trees are taken to be no worse
            middle = (low + high) // 2
            worth = value_of(self.metric, self._measured(self._first(known, middle)))
            if self._borne(worth, whole):
                high = middle
            else:
                low = middle + 1
        if high == len(held):
            raise NotReady(f"every one of its {len(held)} trees is needed to stay within {self._within()}.")
        return Made(f"the first {high} of {len(held)} trees", self._first(known, high))

    def features(self) -> Made:
        """Fitted anew without the columns that matter least, as many as cost at most the tolerance."""
        from sklearn.base import clone

        if not hasattr(self.inputs, "columns"):
            raise InvalidArgument("columns are left out by name, and it was fitted on an array.")
        names = [str(c) for c in self.inputs.columns]
        cut = len(self.truth) * 2 // 3
        order = np.random.default_rng(self.seed).permutation(len(self.truth))  # the table may be sorted by its target
        first, second = np.sort(order[:cut]), np.sort(order[cut:])

        def fitted(kept: list[str], at: Array) -> Any:
            model = _without(clone(self.model), set(names) - set(kept))
            return model.fit(self.inputs.iloc[at][kept], self.truth[at])

        def worth(model: Any, kept: list[str]) -> float:
            rows = rows_of(model, replace(self.subject, inputs=self.subject.inputs[kept]), self.at[second])
            return value_of(self.metric, rows)

        base_model = fitted(names, first)
        base = worth(base_model, names)
        weighty = self._by_weight(base_model, second, names)
        low, high = 1, len(names)
        while low < high:
            middle = (low + high) // 2
            kept = [n for n in names if n in weighty[:middle]]
            try:
                found = worth(fitted(kept, first), kept)
            except (ValueError, TypeError, KeyError) as error:
                raise InvalidArgument(f"it cannot be fitted with fewer columns: {str(error)[:120]}.") from error
            if self._borne(found, base):
                high = middle
            else:
                low = middle + 1
        if high == len(names):
            raise NotReady(f"every one of its {high} columns is needed to stay within {self._within()}.")
        kept = [n for n in names if n in weighty[:high]]
        model = fitted(kept, np.arange(len(self.truth)))
        return Made(
            f"fitted anew on {high} of {len(names)} columns: {', '.join(kept)}", _Columns.over(model, kept, self.inputs)
        )

    def _by_weight(self, model: Any, at: Array, names: list[str]) -> list[str]:
        """The columns, what matters most first: by how much the metric loses when one is shuffled."""
        rng = np.random.default_rng(self.seed)
        inputs = self.inputs.iloc[at]
        part = replace(self.subject, inputs=inputs, truth=self.subject.truth.iloc[self.at[at]])
        every = np.arange(len(at))
        base = value_of(self.metric, rows_of(model, part, every))
        loss = {}
        for name in names:
            shuffled = inputs.copy()
            shuffled[name] = inputs[name].array[rng.permutation(len(at))]
            loss[name] = abs(base - value_of(self.metric, rows_of(model, replace(part, inputs=shuffled), every)))
        return sorted(names, key=lambda n: -loss[n])

    def _measured(self, model: Any) -> EvaluationRows:
        found: EvaluationRows = rows_of(model, self.subject, self.at)
        return found

    def _borne(self, worth: float, whole: float) -> bool:
        """Whether it is better, or worse by at most the tolerance: points of a share, a part of an error."""
        from .measures import MEANS

        lower = self.metric in MEANS and not MEANS[self.metric].higher_is_better
        loss = worth - whole if lower else whole - worth
        return loss <= self.tolerance * (abs(whole) if self.metric in ERRORS else 1.0)

    def _within(self) -> str:
        return f"{self.tolerance:.3g}" if self.metric not in ERRORS else f"{self.tolerance:.3g} times the {self.metric}"

    def _split(self) -> tuple[Any, Any]:
        steps = getattr(self.model, "steps", None)
        return (self.model[:-1], self.model[-1]) if steps and len(steps) > 1 else (None, self.model)

    def _prepared(self) -> tuple[Any, Any]:
        before, final = self._split()
        return (self.inputs if before is None else before.transform(self.inputs)), final

    def _behind(self, final: Any) -> Any:
        """A model behind the same preparation."""
        if self._split()[0] is None:
            return final
        whole = copy.copy(self.model)
        whole.steps = [*self.model.steps[:-1], (self.model.steps[-1][0], final)]
        return whole

    def _first(self, known: str, count: int) -> Any:
        """The model with only its first trees."""
        final = copy.copy(self._split()[1])
        setattr(final, known, getattr(final, known)[:count])
        for name in ("n_estimators", "n_estimators_", "max_iter"):
            if name in vars(final):
                setattr(final, name, count)
        return self._behind(final)


class _Columns:
    """A model that is given some of the columns."""

    @staticmethod
    def over(model: Any, kept: list[str], frame: Any) -> Any:
        """`model` behind a step that takes these columns by name, so that it is asked with the whole table."""
        from sklearn.compose import ColumnTransformer
        from sklearn.pipeline import Pipeline

        if hasattr(model, "steps") and isinstance(model.steps[0][1], ColumnTransformer):
            return model  # takes its columns by name already, and passes over others
        taking = ColumnTransformer([("kept", "passthrough", kept)], verbose_feature_names_out=False)
        taking.set_output(transform="pandas").fit(frame[kept])
        return Pipeline([("kept", taking), ("model", model)])


def _without(model: Any, gone: set[str]) -> Any:
    """An unfitted model whose ColumnTransformer knows nothing of some columns."""
    from sklearn.compose import ColumnTransformer

    for _, step in getattr(model, "steps", [("", model)]):
        if isinstance(step, ColumnTransformer):
            left = []
            for label, transformer, columns in step.transformers:
                names = [columns] if isinstance(columns, str) else columns
                if isinstance(names, (list, tuple, np.ndarray)) and all(isinstance(c, str) for c in names):
                    names = [c for c in names if c not in gone]
                    if not names:
                        continue
                    left.append((label, transformer, columns if isinstance(columns, str) else names))
                else:
                    left.append((label, transformer, columns))
            step.transformers = left
    return model


WAYS: dict[str, Callable[[Maker], Made]] = {
    "onnx": Maker.onnx,
    "float32": Maker.float32,
    "int8": Maker.int8,
    "distil": Maker.distil,
    "trees": Maker.trees,
    "features": Maker.features,
}
