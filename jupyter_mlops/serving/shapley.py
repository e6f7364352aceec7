"""Shapley: how much each column of a row moved a model's output away from what it is over a background. Pure NumPy.

The value of a set of columns is the model's mean output over the background's rows with those columns set to the row's
values (the interventional value function; Strumbelj and Kononenko 2014, Lundberg and Lee 2017, `shap`'s maskers). Up to
`EXACT` columns every set is asked for; beyond, columns are exchanged one by one in random orders, each taken there and
back (antithetic), which is exact where no more than two columns act together. Either way the values add up to the output
minus the base by construction.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = ["EXACT", "Shapley", "shapley"]

EXACT = 7  # columns; 2^7 sets of a background's rows each
ORDERS = 12  # random orders, each there and back

Array = np.ndarray[Any, Any]
Columns = Sequence[Sequence[Any]]


@dataclass(frozen=True)
class Shapley:
    """The values of one row.

    Parameters
    ----------
    base
        The mean output over the background, one an output.
    contributions
        (columns, outputs).
    method
        ``exact`` or ``permutations``.
    """

    base: Array
    contributions: Array
    method: str


def shapley(ask: Callable[[Columns], Array], row: Sequence[Any], background: Columns, *, seed: int = 0) -> Shapley:
    """The Shapley values of one row.

    Parameters
    ----------
    ask
        Gives for columns of any length the model's outputs: (rows, outputs).
    row
        One value a column.
    background
        The background's columns.

    Examples
    --------
    >>> found = shapley(lambda c: np.array([c[0]]).T * 2.0 + np.array([c[1]]).T, [3.0, 1.0], [[0.0, 2.0], [1.0, 1.0]])
    >>> found.base.tolist(), found.contributions.tolist(), found.method
    ([3.0], [[4.0], [0.0]], 'exact')
    """
    if len(row) <= EXACT:
        return _exact(ask, row, background)
    return _permuted(ask, row, background, np.random.default_rng(seed))


def _exact(ask: Callable[[Columns], Array], row: Sequence[Any], background: Columns) -> Shapley:
    width, size = len(row), len(background[0])
    sets = range(1 << width)
    asked = [
        [cell for chosen in sets for cell in ([row[j]] * size if chosen >> j & 1 else background[j])]
        for j in range(width)
    ]
    worth = _means(ask(asked), len(sets), size)
    weights = [math.factorial(k) * math.factorial(width - k - 1) / math.factorial(width) for k in range(width)]
    values = np.zeros((width, worth.shape[1]))
    for j in range(width):
        for chosen in sets:
            if not chosen >> j & 1:
                values[j] += weights[chosen.bit_count()] * (worth[chosen | 1 << j] - worth[chosen])
    return Shapley(worth[0], values, "exact")


def _permuted(
    ask: Callable[[Columns], Array], row: Sequence[Any], background: Columns, rng: np.random.Generator
) -> Shapley:
    width, size = len(row), len(background[0])
    orders = [order for _ in range(ORDERS) for drawn in [rng.permutation(width)] for order in (drawn, drawn[::-1])]
    asked: list[list[Any]] = [[] for _ in range(width)]
    for order in orders:
        for place, j in enumerate(order):  # the column is the background's until its turn has come
            asked[j] += [*background[j]] * (place + 1) + [row[j]] * (size * (width - place))
    worth = _means(ask(asked), len(orders) * (width + 1), size)
    worth = worth.reshape(len(orders), width + 1, -1)
    values = np.zeros((width, worth.shape[2]))
    for order, steps in zip(orders, worth, strict=True):
        values[order] += np.diff(steps, axis=0)
    return Shapley(worth[0, 0], values / len(orders), "permutations")


def _means(outputs: Array, sets: int, size: int) -> Array:
    return np.asarray(outputs.reshape(sets, size, -1).mean(axis=1))
