"""Shifts: which columns of two tables have moved as a whole, in brief; the monitoring stage has the detectors proper."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd

from ..domain.data_version import Shift

__all__ = ["LEAST", "distance", "shifts_of"]

LEAST = 0.1  # a distance below is not told
MOST_SHOWN = 20
MOST_VALUES = 500  # a column with more different texts has no shares worth comparing
FEWEST = 30  # rows on both sides, below which chance alone moves a column this far


def shifts_of(before: pd.DataFrame, after: pd.DataFrame, names: Iterable[Any]) -> tuple[Shift, ...]:
    """The columns whose values have moved by at least 0.1, most moved first."""
    if min(len(before), len(after)) < FEWEST:
        return ()
    found = []
    for name in names:
        measured = distance(before[name], after[name])
        if measured is not None and measured >= LEAST:
            found.append(Shift(str(name), measured, _told(before[name]), _told(after[name])))
    return tuple(sorted(found, key=lambda shift: -shift.distance)[:MOST_SHOWN])


def distance(before: pd.Series[Any], after: pd.Series[Any]) -> float | None:
    """How far a column has moved, from 0 to 1, see `domain.data_version.Shift`; None where it cannot be told.

    Rows that are the same in both add nothing but their number: what part of the rows have moved, times their share,
    is what the whole has.

    Examples
    --------
    >>> distance(pd.Series([1, 2, 3, 4]), pd.Series([3, 4, 5, 6]))
    0.5
    >>> distance(pd.Series(["a", "a", "b"]), pd.Series(["a", "b", "b"])).__round__(3)
    0.333
    """
    if not len(before) or not len(after):
        return None
    one, other = before.dropna(), after.dropna()
    missing = 1 - len(one) / len(before), 1 - len(other) / len(after)
    gap = abs(missing[0] - missing[1])
    if _is_number(one) and _is_number(other):
        sides = [np.sort(side.to_numpy(dtype=float)) for side in (one, other)]
        every = np.concatenate(sides)
        counted = [np.searchsorted(side, every, "right") for side in sides]
        gaps = missing[0] + counted[0] / len(before) - missing[1] - counted[1] / len(after)
        return max(gap, float(np.abs(gaps).max(initial=0.0)))
    shares = [side.astype(str).value_counts() / len(whole) for side, whole in ((one, before), (other, after))]
    if max(map(len, shares)) > MOST_VALUES:
        return None
    left, right = shares[0].align(shares[1], fill_value=0.0)
    return (gap + float(np.abs(left - right).sum())) / 2


def _is_number(column: pd.Series[Any]) -> bool:
    kind = column.dtype
    return pd.api.types.is_numeric_dtype(kind) and not (
        pd.api.types.is_bool_dtype(kind) or pd.api.types.is_complex_dtype(kind)
    )


def _told(column: pd.Series[Any]) -> str:
    """A column in a few words: middle and spread, or its most frequent values."""
    missing = float(column.isna().mean())
    rest = f", {missing:.1%} missing" if missing else ""
    left = column.dropna()
    if not len(left):
        return "all missing"
    if _is_number(left):
        low, middle, high = np.quantile(left.to_numpy(dtype=float), [0.25, 0.5, 0.75])
        return f"{middle:.4g} ({low:.4g} to {high:.4g}){rest}"
    shares = left.astype(str).value_counts(normalize=True).head(2)
    return ", ".join(f"{str(value)[:20]} {share:.0%}" for value, share in shares.items()) + rest
