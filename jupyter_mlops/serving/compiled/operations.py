"""Operations: the steps of a compiled preprocessing, each a value that can be stored and that computes on columns.

A request's rows are turned into columns once; every operation gives a matrix of its own (which the next may change), or,
for what is no number, a list of columns. Numbers are computed in the type in which scikit-learn computes them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..signature import Refused

__all__ = [
    "Arithmetic",
    "Bins",
    "Codes",
    "FillMissing",
    "FillThings",
    "Function",
    "IsMissing",
    "Join",
    "Numbers",
    "OneHot",
    "Operation",
    "Products",
    "Project",
    "Select",
    "Things",
]

Columns = Sequence[Sequence[Any]]
Matrix = np.ndarray[Any, Any]
MISSING = None  # how a missing value is looked up; NaN is not equal to itself

ARITHMETIC = {"subtract": np.subtract, "divide": np.divide, "multiply": np.multiply, "add": np.add}
FUNCTIONS = (
    "log", "log2", "log10", "log1p", "exp", "expm1", "sqrt", "cbrt", "square", "absolute", "abs", "sign", "sin", "cos",
    "tan", "tanh", "arctan", "reciprocal", "negative", "floor", "ceil", "rint",
)  # fmt: skip


@dataclass
class Operation(ABC):
    """One step."""

    @abstractmethod
    def run(self, columns: Columns) -> Any:
        """Compute on the request's columns, in the signature's order."""


@dataclass
class Numbers(Operation):
    """Columns of the request as a matrix; a missing value is NaN.

    Parameters
    ----------
    rounded
        Which of them the signature calls float32, in a matrix of float64.
    """

    columns: list[int]
    dtype: str = "float64"
    rounded: list[int] = field(default_factory=list)

    def run(self, columns: Columns) -> Matrix:
        matrix = np.array([columns[i] for i in self.columns], dtype=self.dtype).T
        if self.rounded:
            with np.errstate(over="ignore"):
                matrix[:, self.rounded] = matrix[:, self.rounded].astype(np.float32)
        return matrix


@dataclass
class Things(Operation):
    """Columns of the request as they are."""

    columns: list[int]

    def run(self, columns: Columns) -> Columns:
        return [columns[i] for i in self.columns]


@dataclass
class Arithmetic(Operation):
    """Every row with a vector; in place, so the matrix keeps its type as it does in scikit-learn's scalers.

    Parameters
    ----------
    rounded
        Whether the vector is rounded to the matrix's type first, as ``StandardScaler`` does from scikit-learn 1.9 on.
    """

    of: Operation
    kind: str
    by: Matrix
    rounded: bool = False

    def run(self, columns: Columns) -> Matrix:
        matrix: Matrix = self.of.run(columns)
        by = self.by.astype(matrix.dtype, copy=False) if self.rounded else self.by
        ARITHMETIC[self.kind](matrix, by, out=matrix, casting="same_kind")
        return matrix


@dataclass
class Function(Operation):
    """NumPy functions one after the other, by name; with ``clip`` the values are kept between `low` and `high`."""

    of: Operation
    names: list[str]
    low: float = 0.0
    high: float = 0.0

    def run(self, columns: Columns) -> Matrix:
        matrix: Matrix = self.of.run(columns)
        with np.errstate(all="ignore"):
            for name in self.names:
                if name == "clip":
                    matrix = np.clip(matrix, self.low, self.high)
                elif name == "over":
                    matrix = (matrix > self.low).astype(matrix.dtype)
                else:
                    matrix = getattr(np, name)(matrix)
        return matrix


@dataclass
class FillMissing(Operation):
    """Missing numbers by a value a column."""

    of: Operation
    by: Matrix

    def run(self, columns: Columns) -> Matrix:
        matrix: Matrix = self.of.run(columns)
        missing = np.isnan(matrix)
        if missing.any():
            matrix = np.where(missing, self.by.astype(matrix.dtype), matrix)
        return matrix


@dataclass
class IsMissing(Operation):
    """1 where a column's value is missing."""

    of: Operation
    columns: list[int]

    def run(self, columns: Columns) -> Matrix:
        matrix: Matrix = self.of.run(columns)
        return np.isnan(matrix[:, self.columns]).astype(np.float64)


@dataclass
class FillThings(Operation):
    """Missing values that are no numbers by a value a column."""

    of: Operation
    by: list[Any]

    def run(self, columns: Columns) -> Columns:
        return [
            [fill if _missing(value) else value for value in column]
            for column, fill in zip(self.of.run(columns), self.by, strict=True)
        ]


@dataclass
class Select(Operation):
    """Some columns of a matrix."""

    of: Operation
    columns: list[int]

    def run(self, columns: Columns) -> Matrix:
        matrix: Matrix = self.of.run(columns)
        return matrix[:, self.columns]


@dataclass
class Join(Operation):
    """Matrices side by side."""

    parts: list[Operation]

    def run(self, columns: Columns) -> Matrix:
        return np.concatenate([part.run(columns) for part in self.parts], axis=1)


@dataclass
class OneHot(Operation):
    """One output column a category.

    Parameters
    ----------
    values
        For each input column its categories.
    places
        For each category the output column that it switches on, -1 for none.
    unknown
        For each input column the output column of an unknown category; -1 for none, -2 where it is refused.
    """

    of: Operation
    values: list[list[Any]]
    places: list[list[int]]
    unknown: list[int]
    width: int
    dtype: str = "float64"

    def __post_init__(self) -> None:
        self._tables = _tables(self.values, self.places)

    def run(self, columns: Columns) -> Matrix:
        given = _things(self.of.run(columns))
        rows = len(given[0])
        found = np.zeros((rows, self.width), dtype=self.dtype)
        every = np.arange(rows)
        for number, (column, table, unknown) in enumerate(zip(given, self._tables, self.unknown, strict=True)):
            get = table.get
            places = [get(value if value == value else MISSING, unknown) for value in column]  # noqa: PLR0124 NaN is not equal to itself
            if unknown == -2 and -2 in places:
                raise _unknown(column[places.index(-2)], number)
            at = np.array(places, dtype=np.intp)
            on = at >= 0
            found[every[on], at[on]] = 1
        return found


@dataclass
class Codes(Operation):
    """A number for each category; NaN for an unknown one where it is refused.

    Parameters
    ----------
    codes
        For each input column the numbers of its categories.
    unknown
        For each input column the number of an unknown category.
    refuses
        Whether an unknown category is refused.
    """

    of: Operation
    values: list[list[Any]]
    codes: list[list[float]]
    unknown: list[float]
    refuses: bool
    dtype: str = "float64"

    def __post_init__(self) -> None:
        self._tables = _tables(self.values, self.codes)

    def run(self, columns: Columns) -> Matrix:
        given = _things(self.of.run(columns))
        found = np.empty((len(given[0]), len(given)), dtype=self.dtype)
        for number, (column, table, unknown) in enumerate(zip(given, self._tables, self.unknown, strict=True)):
            if self.refuses:
                for value in column:
                    if (value if value == value else MISSING) not in table:  # noqa: PLR0124 NaN is not equal to itself
                        raise _unknown(value, number)
            found[:, number] = [table.get(v if v == v else MISSING, unknown) for v in column]  # noqa: PLR0124
        return found


@dataclass
class Bins(Operation):
    """The number of the interval that a value lies in, as scikit-learn's ``KBinsDiscretizer`` counts them."""

    of: Operation
    edges: list[Matrix]

    def run(self, columns: Columns) -> Matrix:
        matrix: Matrix = self.of.run(columns)
        if np.isnan(matrix).any():
            raise Refused("Input X contains NaN. KBinsDiscretizer does not accept missing values.")
        for number, edges in enumerate(self.edges):
            matrix[:, number] = np.searchsorted(edges[1:-1], matrix[:, number], side="right")
        return matrix


@dataclass
class Products(Operation):
    """Products of columns; an empty one is 1."""

    of: Operation
    factors: list[list[int]]

    def run(self, columns: Columns) -> Matrix:
        matrix: Matrix = self.of.run(columns)
        found = np.ones((len(matrix), len(self.factors)), dtype=matrix.dtype)
        for number, factors in enumerate(self.factors):
            for factor in factors:
                found[:, number] *= matrix[:, factor]
        return found


@dataclass
class Project(Operation):
    """Onto components: ``(x - shift) @ components``."""

    of: Operation
    components: Matrix
    shift: Matrix

    def run(self, columns: Columns) -> Matrix:
        matrix: Matrix = self.of.run(columns)
        return np.asarray(matrix @ self.components - self.shift)


def _tables(values: list[list[Any]], results: list[list[Any]]) -> list[dict[Any, Any]]:
    return [
        {(MISSING if _missing(v) else v): r for v, r in zip(some, those, strict=True)}
        for some, those in zip(values, results, strict=True)
    ]


def _missing(value: Any) -> bool:
    return value is None or value != value  # noqa: PLR0124 NaN is not equal to itself


def _things(given: Any) -> Columns:
    things: Columns = given.T.tolist() if isinstance(given, np.ndarray) else given
    return things


def _unknown(value: Any, column: int) -> Refused:
    return Refused(
        "Encountered an unexpected error while evaluating the model. Verify that the serialized input Dataframe is "
        f"compatible with the model for inference. Error: ValueError: Found unknown categories [{value!r}] in column "
        f"{column} during transform"
    )
