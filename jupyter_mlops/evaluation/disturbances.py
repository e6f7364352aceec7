"""Disturbances: what may happen to a table on its way to a model; each one a function, in one ordered dict.

A disturbance takes the inputs and one column (or none, for the whole table) and gives the inputs as they would arrive, or
None where it does not apply to that column.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["DISTURBANCES", "Disturbance"]

UNSEEN = "never seen before"


@dataclass(frozen=True)
class Disturbance:
    """One kind of trouble.

    Parameters
    ----------
    apply
        ``apply(inputs, column, rng)``.
    each
        Whether it is tried on every column in turn; else on all at once.
    """

    name: str
    meaning: str
    apply: Callable[[pd.DataFrame, str, np.random.Generator], pd.DataFrame | None]
    each: bool


def _numeric(inputs: pd.DataFrame) -> list[str]:
    import pandas as pd

    return [
        c
        for c in inputs.columns
        if pd.api.types.is_numeric_dtype(inputs[c]) and not pd.api.types.is_bool_dtype(inputs[c])
    ]


def _noise(inputs: pd.DataFrame, _column: str, rng: np.random.Generator) -> pd.DataFrame | None:
    columns = _numeric(inputs)
    if not columns:
        return None
    changed = inputs.copy()
    for name in columns:
        values = inputs[name].astype(float)
        noisy = values + 0.1 * float(values.std(ddof=0)) * rng.normal(size=len(values))
        changed[name] = noisy.round().astype(inputs[name].dtype) if inputs[name].dtype.kind in "iu" else noisy
    return changed


def _missing(inputs: pd.DataFrame, column: str, rng: np.random.Generator) -> pd.DataFrame | None:
    changed = inputs.copy()
    values = inputs[column].astype(float) if inputs[column].dtype.kind in "iub" else inputs[column]
    changed[column] = values.mask(rng.random(len(inputs)) < 0.2)
    return changed


def _unit(inputs: pd.DataFrame, column: str, rng: np.random.Generator) -> pd.DataFrame | None:
    if column not in _numeric(inputs):
        return None
    hit = rng.random(len(inputs)) < 0.2
    return inputs.assign(**{column: inputs[column].astype(float).mask(hit, inputs[column].astype(float) * 1000)})


def _scale(inputs: pd.DataFrame, column: str, _rng: np.random.Generator) -> pd.DataFrame | None:
    if column not in _numeric(inputs):
        return None
    return inputs.assign(**{column: inputs[column].astype(float) * 1.1})


def _unseen(inputs: pd.DataFrame, column: str, rng: np.random.Generator) -> pd.DataFrame | None:
    import pandas as pd

    if pd.api.types.is_numeric_dtype(inputs[column]) or inputs[column].dtype.kind == "M":
        return None
    values = inputs[column].astype(object)
    return inputs.assign(**{column: values.mask(rng.random(len(inputs)) < 0.2, UNSEEN)})


def _swap(inputs: pd.DataFrame, column: str, _rng: np.random.Generator) -> pd.DataFrame | None:
    """This column and the next of its kind, the one taken for the other."""
    import pandas as pd

    kind = pd.api.types.is_numeric_dtype(inputs[column])
    alike = [c for c in inputs.columns if pd.api.types.is_numeric_dtype(inputs[c]) == kind]
    here = alike.index(column)
    if len(alike) < 2 or here + 1 == len(alike):
        return None
    other = alike[here + 1]
    changed = inputs.copy()
    changed[column], changed[other] = inputs[other].array, inputs[column].array
    return changed


DISTURBANCES: dict[str, Disturbance] = {
    d.name: d
    for d in (
        Disturbance("noise", "every number a little off: normal noise of a tenth of its spread", _noise, each=False),
        Disturbance("missing", "one value in five of a column is missing", _missing, each=True),
        Disturbance("unit", "one value in five of a column is in another unit: times 1,000", _unit, each=True),
        Disturbance("scale", "a column is measured a tenth too high", _scale, each=True),
        Disturbance("unseen", "one value in five of a column is a category never seen before", _unseen, each=True),
        Disturbance("swap", "a column and the next of its kind are taken for each other", _swap, each=True),
    )
}


def adversarial(
    ask: Callable[[pd.DataFrame], Any], inputs: pd.DataFrame, wrong: Any, rng: np.random.Generator, *, tries: int
) -> tuple[int, int]:
    """How many of the rows a black-box search turns, and how many it tried: small moves within the table's own bounds.

    Parameters
    ----------
    ask
        Gives the predicted label of each row.
    wrong
        The labels before: a row is turned when its label is another.
    tries
        Random starts a row; each moves every number by at most a tenth of its spread and one category in five.
    """
    import pandas as pd

    numeric = _numeric(inputs)
    rest = [c for c in inputs.columns if c not in numeric]
    turned = np.zeros(len(inputs), dtype=bool)
    for _ in range(tries):
        left = np.flatnonzero(~turned)
        if not len(left):
            break
        moved = inputs.iloc[left].copy()
        for name in numeric:
            values = inputs[name].astype(float)
            step = 0.1 * float(values.std(ddof=0)) * rng.choice([-1.0, 1.0], len(left))
            found = (moved[name].astype(float) + step).clip(values.min(), values.max())
            moved[name] = found.round().astype(inputs[name].dtype) if inputs[name].dtype.kind in "iu" else found
        for name in rest:
            levels = pd.unique(inputs[name])
            hit = rng.random(len(left)) < 0.2 / max(len(rest), 1)
            drawn = moved[name].astype(object).to_numpy().copy()
            drawn[hit] = rng.choice(np.asarray(levels, dtype=object), int(hit.sum()))
            moved[name] = pd.Series(drawn, index=moved.index).astype(inputs[name].dtype)
        turned[left] = np.asarray(ask(moved)) != np.asarray(wrong)[left]
    return int(turned.sum()), len(inputs)
