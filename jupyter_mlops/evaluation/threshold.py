"""Threshold: where to cut a probability when both kinds of mistake cost money."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..domain.evaluation import EvaluationRows
from ..domain.evaluation_parts import Curve, ThresholdChoice
from ..errors import InvalidArgument
from .resample import bca, count_replicates, jackknife_counts, weights

__all__ = ["choose_threshold", "parse_costs"]

POINTS = 100
REPLICATES = 4000
CHOICES = 200
Array = np.ndarray[Any, Any]
NAMES = {"fp": "fp", "false_positive": "fp", "fn": "fn", "false_negative": "fn"}


def parse_costs(given: Sequence[str] | Mapping[str, float] | str | None) -> tuple[float, float] | None:
    """The cost of a false positive and of a false negative out of ``fp=5 fn=100``.

    Raises
    ------
    InvalidArgument
        One is missing, unknown, or no positive number.

    Examples
    --------
    >>> parse_costs(["fp=5,fn=100"])
    (5.0, 100.0)
    """
    if not given:
        return None
    if isinstance(given, Mapping):
        given = [f"{k}={v}" for k, v in given.items()]
    parts = [part for text in ([given] if isinstance(given, str) else given) for part in str(text).split(",") if part]
    found: dict[str, float] = {}
    for part in parts:
        name, _, text = part.partition("=")
        key = NAMES.get(name.strip().lower())
        try:
            value = float(text)
        except ValueError:
            key = None
        if key is None or not value >= 0 or value == float("inf"):
            raise InvalidArgument(
                f"--cost takes fp=MONEY and fn=MONEY, not {part!r}.", hint="As in --cost fp=5,fn=100."
            )
        found[key] = value
    if found.keys() != {"fp", "fn"} or not any(found.values()):
        raise InvalidArgument("--cost needs both fp=MONEY and fn=MONEY.", hint="As in --cost fp=5,fn=100.")
    return found["fp"], found["fn"]


def choose_threshold(
    rows: EvaluationRows, costs: tuple[float, float], *, level: float = 0.95, seed: int = 0
) -> ThresholdChoice:
    """The threshold that costs least on these rows, what it costs a row, and the curve of costs.

    The cost is that of the rows it was chosen on, so a little too good. The interval is not: it is BCa's at the chosen
    threshold, moved by the optimism of choosing, as thresholds chosen on bootstrap replicates show it (Efron 1983).

    Raises
    ------
    InvalidArgument
        There are not two classes with probabilities.
    """
    if rows.task != "binary" or rows.probabilities is None:
        raise InvalidArgument("a threshold is chosen for two classes with probabilities.", hint="Leave --cost out.")
    false_positive, false_negative = costs
    p, positive = np.asarray(rows.probabilities[:, 1], dtype=np.float64), np.asarray(rows.target) == 1
    order = np.argsort(-p, kind="stable")
    ends = np.flatnonzero(np.concatenate([p[order][1:] != p[order][:-1], [True]]))
    true_up = np.concatenate([[0], np.cumsum(positive[order])[ends]])
    false_up = np.concatenate([[0], np.cumsum(~positive[order])[ends]])
    at = np.concatenate([[np.nextafter(max(1.0, p.max()), 2)], p[order][ends]])
    cost = (false_positive * false_up + false_negative * (positive.sum() - true_up)) / len(p)
    best = int(np.argmin(cost))
    threshold = float(at[best])
    table = np.bincount(positive * 2 + (p >= threshold), minlength=4).reshape(2, 2)

    def mean_cost(c: Any) -> Any:
        return (false_positive * c[..., 0, 1] + false_negative * c[..., 1, 0]) / c.sum(axis=(-2, -1))

    left_out = jackknife_counts(table, mean_cost)
    low, high = bca(float(mean_cost(table)), mean_cost(count_replicates(table, REPLICATES, seed)), left_out, level)
    optimism = _optimism(cost, order, ends, positive, costs, seed)
    some = np.unique(np.linspace(0, len(at) - 1, POINTS).astype(int))
    curve = Curve(
        "cost",
        "threshold",
        "cost a row",
        tuple(float(min(v, 1.0)) for v in at[some][::-1]),
        tuple(float(v) for v in cost[some][::-1]),
    )
    default = np.bincount(positive * 2 + (p >= 0.5), minlength=4).reshape(2, 2)
    return ThresholdChoice(
        false_positive,
        false_negative,
        threshold,
        float(cost[best]),
        min(low + optimism, float(cost[best])),
        high + optimism,
        float(mean_cost(default)),
        curve,
    )


def _optimism(cost: Array, order: Array, ends: Array, positive: Array, costs: tuple[float, float], seed: int) -> float:
    """By how much less a threshold costs on the rows that it was chosen on than on others, on average.

    Parameters
    ----------
    cost
        What each threshold costs a row, from "nobody" down.
    order, ends
        The rows by falling probability, and where each threshold's rows end in it.
    """
    false_positive, false_negative = costs
    up, found = positive[order], []
    for drawn in weights(len(order), CHOICES, seed + 1):  # drawn rows have no order: they may lie in this one
        right = np.cumsum(drawn * up, axis=1)
        wrong = np.cumsum(drawn * ~up, axis=1)
        missed = false_negative * right[:, -1:]
        on_drawn = np.hstack([missed, missed + false_positive * wrong[:, ends] - false_negative * right[:, ends]])
        chosen = on_drawn.argmin(axis=1)
        found.append(cost[chosen] - on_drawn[np.arange(len(chosen)), chosen] / len(order))
    return max(0.0, float(np.mean(np.concatenate(found))))
