"""Attribution: which columns and slices explain that the loss has changed from one stretch of a log to another.

The change of the mean loss is split for each column by itself (Kitagawa 1955): into what the shift of the column's values
alone would have done at the old losses (mix), and what the change of the loss at unchanged values adds (within). The two
add up to the change exactly. Beside it stands how far the column drifted, and how far its mean absolute SHAP value moved.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from ..domain.performance import Cause, Why

if TYPE_CHECKING:
    import pandas as pd

    from ..domain.drift_report import DriftReport

__all__ = ["CONVENTION", "PARTS", "decompose", "explain_change"]

Array = np.ndarray[Any, Any]

PARTS = 10
FEWEST_ROWS = 20
CONVENTION = (
    "by its shift: sum over the column's parts of (share after - share before) x mean loss before, parts being ten "
    "quantiles of the numbers before or the ten commonest labels; what is left of the change is the loss at unchanged "
    "values. A column's part counts what correlated columns do too, so parts do not add up over columns."
)


def explain_change(
    before: pd.DataFrame,
    loss_before: Array,
    after: pd.DataFrame,
    loss_after: Array,
    *,
    loss: str,
    drift: DriftReport | None = None,
    shap: Mapping[str, float] | None = None,
    notes: tuple[str, ...] = (),
) -> Why:
    """Rank the columns by what their shift and their worst slice add to the change of the mean loss.

    Parameters
    ----------
    before, after
        The inputs of both stretches.
    loss_before, loss_after
        The loss of each row.
    drift
        A report of `after` against `before`, for the view beside it.
    shap
        How far each column's mean absolute SHAP value moved.
    """
    scores = {c.name: c for c in drift.columns} if drift is not None else {}
    causes, slices = [], []
    for name in [c for c in before.columns if c in after.columns]:
        told = decompose(before[name], loss_before, after[name], loss_after)
        if told is None:
            continue
        mix, within, parts = told
        column = scores.get(str(name))
        best = None
        if column is not None:
            judged = [s for s in column.scores if s.threshold]
            best = max(judged, key=lambda s: (s.alarm, s.value / (s.threshold or 1)), default=None)
        words, change = max(parts, key=lambda part: part[1], default=("", 0.0))
        slices += [(f"{name} {word}", amount) for word, amount in parts]
        causes.append(
            Cause(
                str(name),
                mix,
                within,
                best.value if best else None,
                best.detector if best else "",
                column.drifted if column is not None else None,
                None if shap is None or str(name) not in shap else float(shap[str(name)]),
                f"{name} {words}" if words else "",
                change,
            )
        )
    causes.sort(key=lambda c: -abs(c.mix))
    slices.sort(key=lambda part: -part[1])
    return Why(
        loss,
        float(np.mean(loss_before)),
        float(np.mean(loss_after)),
        len(loss_before),
        len(loss_after),
        tuple(causes),
        tuple((word, f"{amount:+.4f}") for word, amount in slices[:10]),
        CONVENTION,
        notes,
    )


def decompose(
    before: pd.Series, loss_before: Array, after: pd.Series, loss_after: Array
) -> tuple[float, float, list[tuple[str, float]]] | None:
    """What a column's shift does to the mean loss, what the loss within its parts does, and what each part adds in all.

    A part that was not there before has no loss of its own before: the mean before stands for it.

    Examples
    --------
    >>> import pandas as pd
    >>> one, two = pd.Series(["a"] * 80 + ["b"] * 20), pd.Series(["a"] * 20 + ["b"] * 80)
    >>> mix, within, parts = decompose(one, np.array([0.0] * 80 + [1.0] * 20), two, np.array([0.0] * 20 + [1.0] * 80))
    >>> round(mix, 6), round(within, 6)
    (0.6, 0.0)
    """
    if len(before) < FEWEST_ROWS or len(after) < FEWEST_ROWS:
        return None
    parts = _parts(before, after)
    if not parts:
        return None
    mean = float(np.mean(loss_before))
    mix = within = 0.0
    told = []
    for word, one, two in parts:
        p, q = float(np.mean(one)), float(np.mean(two))
        old = float(np.mean(loss_before[one])) if one.any() else mean
        new = float(np.mean(loss_after[two])) if two.any() else old
        mix += (q - p) * old
        within += q * (new - old)
        told.append((word, (q - p) * (old - mean) + q * (new - old)))
    return mix, within, told


def _parts(before: pd.Series, after: pd.Series) -> list[tuple[str, Array, Array]]:
    """The parts of a column, as words and a mask of each side; together they are every row once."""
    import pandas as pd

    numeric = pd.api.types.is_numeric_dtype(before) and pd.api.types.is_numeric_dtype(after)
    if numeric and not pd.api.types.is_bool_dtype(before) and before.nunique() > PARTS:
        one, two = before.to_numpy(dtype=np.float64, na_value=np.nan), after.to_numpy(dtype=np.float64, na_value=np.nan)
        there = one[np.isfinite(one)]
        edges = np.unique(np.quantile(there, np.linspace(0, 1, PARTS + 1)[1:-1])) if len(there) else np.array([])
        gone = (~np.isfinite(one), ~np.isfinite(two))
        places = (np.searchsorted(edges, one, side="right"), np.searchsorted(edges, two, side="right"))
        words = _ranges(edges)
        found = [(word, (places[0] == k) & ~gone[0], (places[1] == k) & ~gone[1]) for k, word in enumerate(words)]
        return [*found, ("is missing", *gone)] if gone[0].any() or gone[1].any() else found
    first, second = before.astype("object"), after.astype("object")
    texts = tuple(
        np.array(["\0missing" if m else str(v) for v, m in zip(s, s.isna(), strict=True)]) for s in (first, second)
    )
    common = pd.Series(texts[0]).value_counts().index[:PARTS].tolist()
    found = [
        (f"= {label}" if label != "\0missing" else "is missing", texts[0] == label, texts[1] == label)
        for label in common
    ]
    others = (~np.isin(texts[0], common), ~np.isin(texts[1], common))
    return [*found, ("= another", *others)] if others[0].any() or others[1].any() else found


def _ranges(edges: Array) -> list[str]:
    """The stretches between edges, in words."""
    if not len(edges):
        return ["is there"]
    told = [f"{low:.4g} to {high:.4g}" for low, high in pairwise(edges)]
    return [f"below {edges[0]:.4g}", *told, f"from {edges[-1]:.4g}"]
