"""Fairness: how differently a model treats groups, by fairlearn's definitions, with intervals.

The intervals of the criteria are percentile bootstraps over rows, drawn as multinomials over the cells of group, truth and
prediction. A largest difference is never below 0, so its interval leans upwards where groups are equal.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from ..domain.evaluation import Difference, EvaluationRows
from ..domain.evaluation_parts import Fairness, GroupRates, MetricValue
from ..errors import InvalidArgument
from .measuring import wilson
from .resample import count_replicates, percentile, sign_p_value

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["CONSTRAINTS", "CRITERIA", "criterion_change", "fairness_report"]

Array = np.ndarray[Any, Any]

REPLICATES = 2000
FEWEST = 30
MOST_GROUPS = 25
QUARTERS_FROM = 12


def _rate(above: Array, below: Array) -> Array:
    found: Array = np.divide(above, below, out=np.full(np.shape(below), np.nan), where=np.asarray(below) > 0)
    return found


def _selection(c: Array) -> Array:
    return _rate(c[..., 1].sum(axis=-1), c.sum(axis=(-2, -1)))


def _true_positive(c: Array) -> Array:
    return _rate(c[..., 1, 1], c[..., 1, :].sum(axis=-1))


def _false_positive(c: Array) -> Array:
    return _rate(c[..., 0, 1], c[..., 0, :].sum(axis=-1))


def _precision(c: Array) -> Array:
    return _rate(c[..., 1, 1], c[..., 1].sum(axis=-1))


def _gap(rates: Array) -> Array:
    found: Array = np.fmax.reduce(rates, axis=-1) - np.fmin.reduce(rates, axis=-1)
    return found


def _quotient(rates: Array) -> Array:
    return _rate(np.fmin.reduce(rates, axis=-1), np.fmax.reduce(rates, axis=-1))


# counts (..., groups, truth, prediction) to the criterion (...), and the rates it is the gap of
CRITERIA: dict[str, tuple[Callable[[Array], Array], tuple[Callable[[Array], Array], ...], str]] = {
    "demographic_parity_difference": (
        lambda c: _gap(_selection(c)),
        (_selection,),
        "largest difference of the share predicted positive",
    ),
    "demographic_parity_ratio": (
        lambda c: _quotient(_selection(c)),
        (_selection,),
        "smallest over largest share predicted positive; below 0.8 fails the four-fifths rule",
    ),
    "equalized_odds_difference": (
        lambda c: np.fmax(_gap(_true_positive(c)), _gap(_false_positive(c))),
        (_true_positive, _false_positive),
        "larger of the true and the false positive rate's largest difference (fairlearn's worst_case)",
    ),
    "equal_opportunity_difference": (
        lambda c: _gap(_true_positive(c)),
        (_true_positive,),
        "largest difference of the true positive rate",
    ),
    "predictive_parity_difference": (
        lambda c: _gap(_precision(c)),
        (_precision,),
        "largest difference of the precision",
    ),
}

CONSTRAINTS = {
    "demographic_parity": "demographic_parity_difference",
    "equalized_odds": "equalized_odds_difference",
    "true_positive_rate_parity": "equal_opportunity_difference",
}
"""fairlearn's names of what may be asked for, and the criterion that tells what became of it."""


def fairness_report(groups: pd.Series, rows: EvaluationRows, *, level: float = 0.95, seed: int = 0) -> Fairness:
    """The groups of one attribute, and the largest gap between two of them by each criterion.

    Groups below 30 rows are told and left out: their gaps are chance. A numeric attribute of many values is cut into
    quarters. Of several classes, "positive" is the last one.

    Raises
    ------
    InvalidArgument
        The target is a number, or fewer than two groups are large enough.
    """
    if rows.task == "regression":
        raise InvalidArgument("fairness is measured for classes, and this target is a number.", hint="Leave it out.")
    codes, labels, kept, left_out = _large_enough(groups)
    last = len(rows.classes) - 1
    truth, guessed = (np.asarray(v) == last for v in (rows.target, rows.prediction))
    counts = np.array([_table(truth[codes == k], guessed[codes == k]) for k in kept])
    drawn = count_replicates(counts, REPLICATES, seed)
    names = [labels[k] for k in kept]
    criteria = []
    for criterion, (function, _, words) in CRITERIA.items():
        value = float(function(counts.astype(np.float64)))
        low, high = percentile(function(drawn), level)
        criteria.append(_value(criterion, value, low, high, level, words))
    worst = max(
        (c for c in criteria if c.value is not None and c.name.endswith("difference")),
        key=lambda c: c.value or 0.0,
        default=None,
    )
    pair = _pair(counts, worst.name, names) if worst is not None and worst.value else ()
    return Fairness(
        str(groups.name),
        tuple(_rates(label, counts[i], level) for i, label in enumerate(names)),
        tuple(criteria),
        pair,
        worst.name if worst is not None else "",
        left_out,
        f"positive is {rows.classes[last]}; rates with Wilson intervals; criteria as fairlearn's between_groups, "
        "with percentile bootstrap intervals, which lean upwards where groups are equal",
    )


def criterion_change(
    criterion: str,
    groups: pd.Series,
    before: EvaluationRows,
    after: EvaluationRows,
    *,
    level: float = 0.95,
    seed: int = 0,
) -> Difference:
    """What a criterion is with one model's predictions less what it is with another's, on the same rows of the same groups.

    The interval is the paired percentile bootstrap over rows, drawn over the cells of group, truth and both predictions.

    Parameters
    ----------
    criterion
        One of `CRITERIA`.
    """
    codes, _, kept, _ = _large_enough(groups)
    last = len(before.classes) - 1
    truth, first, second = (np.asarray(v) == last for v in (before.target, before.prediction, after.prediction))
    cell = truth * 4 + first * 2 + second
    counts = np.array([np.bincount(cell[codes == k], minlength=8).reshape(2, 2, 2) for k in kept])
    function = CRITERIA[criterion][0]

    def change(c: Array) -> Array:
        found: Array = function(c.sum(axis=-2)) - function(c.sum(axis=-1))
        return found

    value, drawn = float(change(counts.astype(np.float64))), change(count_replicates(counts, REPLICATES, seed))
    low, high = percentile(drawn, level)
    higher, method = criterion.endswith("ratio"), "paired percentile bootstrap"
    return Difference(criterion, value, low, high, sign_p_value(drawn), method, level, higher, int(counts.sum()))


def _large_enough(groups: pd.Series) -> tuple[Array, list[str], list[int], tuple[str, ...]]:
    """The group of each row, the groups in words, which of them have enough rows, and which have not."""
    codes, labels = _coded(groups)
    sizes = np.bincount(codes[codes >= 0], minlength=len(labels))
    kept = [int(k) for k in np.argsort(-sizes, kind="stable") if sizes[k] >= FEWEST][:MOST_GROUPS]
    left_out = tuple(f"{labels[k]} ({sizes[k]} rows)" for k in range(len(labels)) if k not in kept)
    if len(kept) < 2:
        raise InvalidArgument(
            f"fairness by {str(groups.name)!r} needs two groups of at least {FEWEST} rows; there is: "
            f"{', '.join(f'{label} ({size})' for label, size in zip(labels, sizes, strict=True)) or 'none'}.",
            hint="Name another column, or evaluate on more rows.",
        )
    return codes, labels, kept, left_out


def _coded(groups: pd.Series) -> tuple[Array, list[str]]:
    import pandas as pd

    if pd.api.types.is_numeric_dtype(groups) and groups.nunique() > QUARTERS_FROM:
        groups = pd.qcut(groups, 4, duplicates="drop")
    codes, found = pd.factorize(groups, sort=True)
    return codes, [str(label) for label in found]


def _table(truth: Array, guessed: Array) -> Array:
    return np.bincount(truth.astype(np.int64) * 2 + guessed, minlength=4).reshape(2, 2)


def _value(name: str, value: float, low: float, high: float, level: float, words: str) -> MetricValue:
    if not np.isfinite(value):
        return MetricValue(name, None, None, None, level, "", False, "not defined: a group has no such row")
    higher, (low, high) = name.endswith("ratio"), (min(low, value), max(high, value))
    if low == high:
        return MetricValue(name, value, None, None, level, "", higher, words)
    return MetricValue(name, value, low, high, level, "percentile bootstrap", higher, words)


def _rates(label: str, c: Array, level: float) -> GroupRates:
    def rate(name: str, hits: float, total: float) -> MetricValue:
        if not total:
            return MetricValue(name, None, convention="the group has no such row", level=level)
        low, high = wilson(hits, total, level)
        return MetricValue(name, hits / total, low, high, level, "Wilson")

    total = float(c.sum())
    return GroupRates(
        label,
        int(total),
        rate("selection_rate", float(c[:, 1].sum()), total),
        rate("true_positive_rate", float(c[1, 1]), float(c[1].sum())),
        rate("false_positive_rate", float(c[0, 1]), float(c[0].sum())),
        rate("precision", float(c[1, 1]), float(c[:, 1].sum())),
        rate("accuracy", float(c[0, 0] + c[1, 1]), total),
    )


def _pair(counts: Array, criterion: str, names: list[str]) -> tuple[str, ...]:
    """The two groups furthest apart by a criterion."""
    rates = max((rate(counts.astype(np.float64)) for rate in CRITERIA[criterion][1]), key=lambda r: float(_gap(r)))
    return names[int(np.nanargmax(rates))], names[int(np.nanargmin(rates))]
