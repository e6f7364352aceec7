"""Encoding: two tables as numbers with the same columns."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["encoded"]

MOST_LABELS = 200
FEWEST = 20  # values that are present, of both tables together


def encoded(reference: pd.DataFrame, current: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The columns of both that can be read as numbers: numbers, times, and labels by how common they are in the reference.

    Missing and infinite values are NaN, a label that the reference lacks is -1, columns of more than 200 labels,
    constant ones and those with fewer than 20 values are left out.

    Examples
    --------
    >>> import pandas as pd
    >>> encoded(pd.DataFrame({"s": ["a", "a", "b"] * 9}), pd.DataFrame({"s": ["b", "c"]}))[1]["s"].tolist()
    [1.0, -1.0]
    """
    import pandas as pd

    sides: tuple[dict[str, object], dict[str, object]] = ({}, {})
    for name in [n for n in reference.columns if n in current.columns and list(reference.columns).count(n) == 1]:
        found = _numbers(reference[name], current[name])
        if found is not None and _says_something(np.concatenate(found)):
            sides[0][str(name)], sides[1][str(name)] = found
    return pd.DataFrame(sides[0], index=range(len(reference))), pd.DataFrame(sides[1], index=range(len(current)))


def _says_something(values: np.ndarray) -> bool:
    there = values[~np.isnan(values)]
    return len(there) >= FEWEST and bool((there != there[0]).any())


def _numbers(first: pd.Series, second: pd.Series) -> tuple[np.ndarray, np.ndarray] | None:
    import pandas as pd

    both = (first, second)
    if all(pd.api.types.is_numeric_dtype(c) or pd.api.types.is_bool_dtype(c) for c in both):
        plain = [np.asarray(c.to_numpy(dtype=np.float64, na_value=np.nan)) for c in both]
        return tuple(np.where(np.isfinite(x), x, np.nan) for x in plain)  # type: ignore[return-value]  # two of two
    if all(pd.api.types.is_datetime64_any_dtype(c) for c in both):
        return tuple(  # type: ignore[return-value]  # two of two
            np.where(c.isna(), np.nan, c.astype("int64").to_numpy(dtype=np.float64)) for c in both
        )
    try:
        order = first.dropna().astype(str).value_counts()
        if not 0 < len(order) <= MOST_LABELS:
            return None
        places = {label: float(i) for i, label in enumerate(order.index)}
        return tuple(  # type: ignore[return-value]  # two of two
            np.array([np.nan if gone else places.get(str(v), -1.0) for v, gone in zip(c, c.isna(), strict=True)])
            for c in both
        )
    except (TypeError, ValueError):
        return None
