"""By row: the same features as a plan's operation gives, for a few rows at a time, without NumPy's cost for every step.

A handful of values costs NumPy some microseconds a step, whatever it does with them; most requests hold one row. Scalers,
fills and one-hot or ordinal codes of single columns are computed here as plain float64 arithmetic, cell by cell, which is
the same IEEE arithmetic. Whether it gives the same bits is proven with the rest of the plan.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from .operations import MISSING, Arithmetic, Codes, FillMissing, Join, Numbers, OneHot, Operation, Things

__all__ = ["FEW", "ByRow"]

FEW = 48  # rows, beyond which whole columns are quicker
REFUSED, ABSENT = -2, -3  # places of a value that the model does not take, and of one that it never saw
Step = tuple[str, float]


class _Otherwise(Exception):
    """There is no such form."""


class ByRow:
    """Computes features row by row.

    Parameters
    ----------
    operation
        A plan's preprocessing.

    Raises
    ------
    ValueError
        It has a step that is not computed this way.
    """

    def __init__(self, operation: Operation) -> None:
        self._scaled: list[tuple[int, int, float, float]] = []  # place, column, subtracted, divisor
        self._stepped: list[tuple[int, int, tuple[Step, ...]]] = []
        self._switches: list[tuple[int, dict[Any, int], int]] = []  # column, places, that of an unknown value
        self._coded: list[tuple[int, int, dict[Any, float], float]] = []
        try:
            self.width = self._add(operation, 0)
        except _Otherwise as error:
            raise ValueError(f"{error} is not computed row by row") from error
        self._empty = bytes(8 * self.width)

    def run(self, rows: Sequence[Sequence[Any]]) -> Any:
        """The features of some rows; None where a row holds what only the operation itself can judge."""
        held = bytearray(self._empty * len(rows))
        cells = memoryview(held).cast("d")
        base, width = 0, self.width
        scaled, stepped, switches, coded = self._scaled, self._stepped, self._switches, self._coded
        try:
            for row in rows:
                for place, column, shift, divisor in scaled:
                    value = row[column]
                    cells[base + place] = math.nan if value is None else (value - shift) / divisor
                for place, column, steps in stepped:
                    value = row[column]
                    cells[base + place] = _stepped(math.nan if value is None else float(value), steps)
                for column, places, unknown in switches:
                    value = row[column]
                    found = places.get(value, ABSENT)
                    if found == ABSENT:
                        found = places.get(value if value == value else MISSING, unknown)  # noqa: PLR0124 NaN is not equal to itself
                    if found >= 0:
                        cells[base + found] = 1.0
                    elif found == REFUSED:
                        return None
                for place, column, codes, code in coded:
                    value = row[column]
                    cells[base + place] = codes.get(value if value == value else MISSING, code)  # noqa: PLR0124 the same
                base += width
        except (ArithmeticError, TypeError, ValueError):
            return None
        return np.frombuffer(held).reshape(len(rows), width)

    def _add(self, operation: Operation, at: int) -> int:
        """Take over an operation whose first feature is number `at`; the number after its last."""
        if isinstance(operation, Join):
            for part in operation.parts:
                at = self._add(part, at)
            return at
        if isinstance(operation, OneHot) and operation.dtype == "float64":
            for column, values, places, unknown in zip(
                _columns(operation.of), operation.values, operation.places, operation.unknown, strict=True
            ):
                there = [at + place if place >= 0 else place for place in places]
                self._switches.append((column, _table(values, there), at + unknown if unknown >= 0 else unknown))
            return at + operation.width
        if isinstance(operation, Codes) and operation.dtype == "float64" and not operation.refuses:
            for column, values, codes, code in zip(
                _columns(operation.of), operation.values, operation.codes, operation.unknown, strict=True
            ):
                self._coded.append((at, column, _table(values, codes), float(code)))
                at += 1
            return at
        return self._add_numbers(operation, at)

    def _add_numbers(self, operation: Operation, at: int) -> int:
        steps: list[tuple[str, Any]] = []
        while isinstance(operation, (Arithmetic, FillMissing)):
            kind = operation.kind if isinstance(operation, Arithmetic) else "fill"
            steps.insert(0, (kind, np.asarray(operation.by, dtype=np.float64).ravel()))
            operation = operation.of
        if not isinstance(operation, Numbers) or operation.dtype != "float64" or operation.rounded:
            raise _Otherwise(type(operation).__name__)
        if any(len(by) not in (1, len(operation.columns)) for _, by in steps):
            raise _Otherwise("a step of another width")
        kinds = [kind for kind, _ in steps]
        for number, column in enumerate(operation.columns):
            told = tuple((kind, float(by[number % len(by)])) for kind, by in steps)
            if kinds == ["subtract", "divide"]:
                self._scaled.append((at + number, column, told[0][1], told[1][1]))
            else:
                self._stepped.append((at + number, column, told))
        return at + len(operation.columns)


def _stepped(value: float, steps: tuple[Step, ...]) -> float:
    for kind, by in steps:
        if kind == "subtract":
            value -= by
        elif kind == "divide":
            value /= by
        elif kind == "multiply":
            value *= by
        elif kind == "add":
            value += by
        elif value != value:  # noqa: PLR0124 what is missing is filled
            value = by
    return value


def _columns(of: Operation) -> list[int]:
    if isinstance(of, Things):
        return of.columns
    raise _Otherwise(type(of).__name__)


def _table(values: list[Any], results: list[Any]) -> dict[Any, Any]:
    return {
        (MISSING if v is None or v != v else v): r  # noqa: PLR0124 the same
        for v, r in zip(values, results, strict=True)
    }
