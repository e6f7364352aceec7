"""Slices: how a model does on parts of the rows: given columns, and the worst parts found by a search.

The search looks at every category and every quarter of a numeric column, and at every pair of those from two columns, that
holds enough rows. A slice's score is how far its mean loss lies above that of all rows, in standard deviations of a random
part of the same size. The losses are shuffled over the rows many times; the largest score of each shuffle over all slices
tells what chance alone brings (Westfall and Young 1993), so the chance that any slice at all is called worse where none
is worse is at most 1 - level, however many were looked at and however they overlap.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from ..domain.evaluation import EvaluationRows
from ..domain.evaluation_parts import Slice, Slices
from ..errors import InvalidArgument
from .measuring import wilson

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["AUTO", "conditions_of", "slice_report"]

Array = np.ndarray[Any, Any]

AUTO = "auto"
FEWEST = 30
SMALLEST_SHARE = 0.01
MOST_CATEGORIES = 20
MOST_CANDIDATES = 4000
SHUFFLES = 400
SHOWN = 8
OVERLAP = 0.5
BLOCK = 512
LARGEST = 100_000  # rows that are searched; of more, a sample


@dataclass(frozen=True)
class Loss:
    """What a slice is judged by: one loss a row, and the metric that its mean gives."""

    metric: str
    higher_is_better: bool
    each: Array
    value: Callable[[float], float]


def loss_of(rows: EvaluationRows, metric: str = "") -> Loss:
    """The loss of each row under a metric that is a mean over rows.

    Raises
    ------
    InvalidArgument
        The metric is no mean over rows, or needs probabilities that are not there.
    """
    wrong = (np.asarray(rows.target) != np.asarray(rows.prediction)).astype(np.float64)
    if rows.task == "regression":
        error = np.abs(np.asarray(rows.target, dtype=np.float64) - rows.prediction)
        known = {"mae": Loss("mae", False, error, float), "rmse": Loss("rmse", False, error**2, lambda v: v**0.5)}
    else:
        known = {"accuracy": Loss("accuracy", True, wrong, lambda v: 1 - v)}
        if rows.probabilities is not None:
            known["log_loss"] = Loss("log_loss", False, np.asarray(rows.loss), float)
    if metric and metric not in known:
        raise InvalidArgument.unknown("metric for slices", metric, known, hint="Slices need a mean over rows.")
    return known[metric] if metric else next(iter(known.values()))


def slice_report(
    frame: pd.DataFrame,
    rows: EvaluationRows,
    columns: Sequence[str],
    *,
    metric: str = "",
    level: float = 0.95,
    seed: int = 0,
    leave_out: Sequence[str] = (),
    progress: Callable[[str], None] = lambda _line: None,
) -> Slices:
    """The slices by the given columns, and with ``auto`` among them the worst ones there are.

    Parameters
    ----------
    leave_out
        Columns the search does not use: the target.

    Raises
    ------
    InvalidArgument
        A column is not in the table.
    """
    loss = loss_of(rows, metric)
    found: list[Slice] = []
    for column in columns:
        if column != AUTO and column not in frame.columns:
            raise InvalidArgument.unknown("column for --slices", column, [AUTO, *map(str, frame.columns)])
        if column != AUTO:
            found += _given(frame, column, loss, level)
    found = _holm(found, level)
    searched = 0
    if AUTO in columns:
        more, searched = _search(frame.drop(columns=list(leave_out)), loss, level, seed, progress)
        found += more
    sign = 1.0 if loss.higher_is_better else -1.0
    found.sort(key=lambda s: (not s.worse, sign * (s.value or 0.0)))
    kind = "Wilson" if loss.metric == "accuracy" else "normal on the logarithm of the mean loss"
    text = (
        f"slices by {loss.metric}; intervals are {kind}, one a slice; given slices against the other rows by a one-sided "
        f"permutation-free test (Fisher's exact for accuracy, Welch's t otherwise), Holm over all of them"
    )
    if searched:
        text += (
            f"; search over {searched:,} slices of at least {_fewest(len(frame)):,} rows, one-sided, adjusted by the largest "
            f"of {SHUFFLES} shuffles and called worse where p and its standard error stay within {1 - level:.2g}; a found slice's value is a little too bad, as it was picked for being bad"
        )
    return Slices(loss.metric, loss.higher_is_better, loss.value(float(loss.each.mean())), tuple(found), searched, text)


def conditions_of(frame: pd.DataFrame, column: str) -> list[tuple[str, Array]]:
    """The parts a column makes: its categories, or the quarters of its numbers; each as a rule in words and a mask."""
    import pandas as pd

    values = frame[column]
    missing = values.isna().to_numpy()
    found: list[tuple[str, Array]] = [(f"{column} is missing", missing)] if missing.any() else []
    if pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values) and values.nunique() > 8:
        numbers = values.to_numpy(dtype=np.float64, na_value=np.nan)
        edges = np.unique(np.nanquantile(numbers, [0, 0.25, 0.5, 0.75, 1]))
        for i, (low, high) in enumerate(pairwise(edges)):
            last = i == len(edges) - 2
            mask = (numbers >= low) & ((numbers <= high) if last else (numbers < high))
            words = f"{low:g} <= {column} {'<=' if last else '<'} {high:g}"
            found.append((words, mask & ~missing))
        return found
    if isinstance(values.dtype, pd.DatetimeTZDtype) or values.dtype.kind == "M":
        return found
    try:
        counts = values.value_counts()
    except TypeError:  # lists and the like
        return found
    text = values.astype(object)
    levels = counts.index[:MOST_CATEGORIES]
    return found + [(f"{column} = {_level(value)}", (text == value).to_numpy(dtype=bool)) for value in levels]


def _level(value: object) -> str:
    """A value as slices are called by it: of a number that rounding blurred what was meant."""
    return f"{value:.12g}" if isinstance(value, float) else str(value)


def _fewest(rows: int) -> int:
    return max(FEWEST, int(np.ceil(SMALLEST_SHARE * rows)))


def _given(frame: pd.DataFrame, column: str, loss: Loss, level: float) -> list[Slice]:
    from scipy.stats import fisher_exact, ttest_ind

    found = []
    for name, mask in conditions_of(frame, column):
        inside, outside = loss.each[mask], loss.each[~mask]
        if len(inside) < 2 or len(outside) < 2:
            continue
        if loss.metric == "accuracy":
            wrong, others = int(inside.sum()), int(outside.sum())
            table = [[wrong, len(inside) - wrong], [others, len(outside) - others]]
            p = float(fisher_exact(table, alternative="greater").pvalue)
        else:
            p = float(ttest_ind(inside, outside, equal_var=False, alternative="greater").pvalue)
        found.append(_slice(name, mask, loss, level, 1.0 if np.isnan(p) else p))
    return found


def _slice(name: str, mask: Array, loss: Loss, level: float, p: float | None, *, found: bool = False) -> Slice:
    from scipy.stats import norm

    inside, outside = loss.each[mask], loss.each[~mask]
    mean = float(inside.mean())
    value, rest = loss.value(mean), loss.value(float(outside.mean())) if len(outside) else None
    if loss.metric == "accuracy":
        low, high = wilson(len(inside) - float(inside.sum()), len(inside), level)
    else:
        reach = float(norm.ppf((1 + level) / 2) * inside.std(ddof=1) / len(inside) ** 0.5) if len(inside) > 1 else 0.0
        factor = float(np.exp(reach / mean)) if mean > 0 else 1.0  # losses are skewed and never negative
        low, high = loss.value(mean / factor), loss.value(mean * factor)
    difference = None if rest is None else value - rest
    return Slice(name, len(inside), len(inside) / len(mask), value, low, high, rest, difference, p_value=p, found=found)


def _holm(slices: list[Slice], level: float) -> list[Slice]:
    """Holm's step-down adjustment over the given slices."""
    from dataclasses import replace

    order = sorted(range(len(slices)), key=lambda i: slices[i].p_value or 0.0)
    adjusted, highest = list(slices), 0.0
    for rank, i in enumerate(order):
        highest = max(highest, min(1.0, (len(slices) - rank) * (slices[i].p_value or 0.0)))
        adjusted[i] = replace(slices[i], adjusted_p_value=highest, worse=highest <= 1 - level)
    return adjusted


def _search(
    frame: pd.DataFrame, loss: Loss, level: float, seed: int, progress: Callable[[str], None]
) -> tuple[list[Slice], int]:
    from dataclasses import replace

    rng = np.random.default_rng(seed)
    whole_frame, whole = frame, loss
    if len(frame) > LARGEST:
        some = np.sort(rng.choice(len(frame), LARGEST, replace=False))
        frame, loss = frame.iloc[some], Loss(loss.metric, loss.higher_is_better, loss.each[some], loss.value)
    names, singles, pairs = _candidates(frame, _fewest(len(frame)))
    if not pairs:
        return [], 0
    counts = np.array([count for _, _, count in pairs], dtype=np.float64)
    each = loss.each - loss.each.mean()
    spread = float(each.std())
    if spread == 0:
        return [], len(pairs)
    size = len(each)
    unit = spread * np.sqrt(np.maximum(size - counts, 1) / (max(size - 1, 1) * counts))
    first, second = (np.array([pair[i] for pair in pairs]) for i in (0, 1))
    scores = _sums(singles, first, second, each[:, None])[:, 0] / counts / unit
    progress(f"searching {len(pairs):,} slices")
    shuffled = np.repeat(each.astype(np.float32)[None, :], SHUFFLES, axis=0)
    rng.permuted(shuffled, axis=1, out=shuffled)
    highest = (_sums(singles, first, second, shuffled.T, progress) / (counts * unit)[:, None]).max(axis=0)
    kept: list[tuple[int, Array]] = []
    single_score = {int(first[i]): scores[i] for i in range(len(pairs)) if first[i] == second[i]}
    for i in np.argsort(-scores):
        if len(kept) == SHOWN or scores[i] <= 0:
            break
        if first[i] != second[i] and scores[i] <= max(single_score.get(int(j), -np.inf) for j in (first[i], second[i])):
            continue  # one of its two conditions alone is at least as bad
        mask = singles[first[i]] & singles[second[i]]
        if all(np.sum(mask & other) < OVERLAP * np.sum(mask | other) for _, other in kept):
            kept.append((int(i), mask))
    found = []
    for i, mask in kept:
        name = names[first[i]] if first[i] == second[i] else f"{names[first[i]]} and {names[second[i]]}"
        if whole is not loss:
            mask = _mask(whole_frame, name, mask, frame)  # noqa: PLW2901 the same rule on every row
        p = float((1 + np.sum(highest >= scores[i])) / (1 + SHUFFLES))
        told = _slice(name, mask, whole if len(mask) == len(whole.each) else loss, level, None, found=True)
        error = (p * (1 - p) / SHUFFLES) ** 0.5  # of the p-value itself, so that the verdict does not hang on the seed
        found.append(replace(told, adjusted_p_value=p, worse=p + error <= 1 - level))
    return found, len(pairs)


def _mask(whole: pd.DataFrame, name: str, mask: Array, frame: pd.DataFrame) -> Array:
    """A found rule on a larger table; the sample's own mask where it reads otherwise there."""
    parts = name.split(" and ")
    every = {words: held for column in whole.columns for words, held in conditions_of(whole, str(column))}
    if all(part in every for part in parts):
        found: Array = np.logical_and.reduce([every[part] for part in parts])
        return found
    return mask


def _candidates(frame: pd.DataFrame, fewest: int) -> tuple[list[str], Array, list[tuple[int, int, int]]]:
    """The conditions, their masks, and the slices: a condition (given twice) or two of different columns, with its rows."""
    names: list[str] = []
    masks: list[Array] = []
    of_column: list[int] = []
    for number, column in enumerate(frame.columns):
        for name, mask in conditions_of(frame, column):
            if fewest <= mask.sum() <= len(frame) - fewest:
                names.append(name)
                masks.append(mask)
                of_column.append(number)
    if not masks:
        return [], np.zeros((0, len(frame)), dtype=bool), []
    singles = np.array(masks)
    plain = singles.astype(np.float32)
    together = plain @ plain.T
    column_of = np.array(of_column)
    one, other = np.nonzero(np.triu(together >= fewest, 1) & (column_of[:, None] != column_of[None, :]))
    smaller = together[one, other] < np.minimum(np.diag(together)[one], np.diag(together)[other])
    one, other = one[smaller], other[smaller]
    if len(one) > MOST_CANDIDATES - len(names):  # the largest slices: what is small is not judged well
        largest = np.sort(np.argsort(-together[one, other], kind="stable")[: MOST_CANDIDATES - len(names)])
        one, other = one[largest], other[largest]
    pairs = [(i, i, int(together[i, i])) for i in range(len(names))]
    pairs += [(int(i), int(j), int(together[i, j])) for i, j in zip(one, other, strict=True)]
    return names, singles, pairs


def _sums(
    singles: Array,
    first: Array,
    second: Array,
    values: Array,
    progress: Callable[[str], None] = lambda _line: None,
) -> Array:
    """The sum of each column of `values` (rows, many) over each slice."""
    found = np.empty((len(first), values.shape[1]))
    values = values.astype(np.float32, copy=False)
    for start in range(0, len(first), BLOCK):
        part = slice(start, start + BLOCK)
        if start:
            progress(f"searching slices: {start:,} of {len(first):,}")
        found[part] = (singles[first[part]] & singles[second[part]]).astype(np.float32) @ values
    return found
