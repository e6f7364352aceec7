"""Against: two models on the same table, metric by metric, slice by slice, and row by row."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..domain.evaluation import HEADLINE, Difference, EvaluationRows
from ..domain.model_comparison import FiveByTwo, ModelComparison, SliceDifference
from ..errors import InvalidArgument
from .measures import MEANS, RANKS, measure_names
from .measuring import value_of
from .paired import mcnemar, paired_difference, taken
from .slices import FEWEST, conditions_of
from .subject import Subject, predicted

__all__ = ["compare", "five_by_two"]

DISAGREEMENTS = 200
UNBOUNDED = 1e9  # a statistic of differences that are the same in every half
REFITTED = (
    "5x2cv: interval and p-value are Nadeau and Bengio's corrected t over all ten differences, which allows for the rows that "
    "the fits share. Alpaydin's combined F, told beside it, does not: of two models that are equally good it calls up to one "
    "pair in five apart where the columns they differ by say nothing."
)
CONVENTION = (
    "DeLong for the area under the ROC curve of two classes, the paired percentile bootstrap otherwise; p-values are not "
    "corrected over metrics, but over slices (Holm)."
)


def compare(
    a: Subject,
    b: Subject,
    *,
    slices: Sequence[str] = (),
    refit: bool = False,
    metric: str = "",
    level: float = 0.95,
    seed: int = 0,
    progress: Callable[[str], None] = lambda _line: None,
) -> ModelComparison:
    """Compare two models on the same rows.

    Parameters
    ----------
    slices
        Columns whose parts are compared too.
    refit
        Also compare them fitted anew, by 5x2cv: ten fits each.
    metric
        By which parts, and refitted models, are compared; by default accuracy or the mean absolute error.

    Raises
    ------
    InvalidArgument
        The two were not evaluated on the same targets, or the metric is none of the task's.
    """
    rows_a, rows_b = a.rows, b.rows
    both = rows_a.probabilities is not None and rows_b.probabilities is not None
    names = [n for n in measure_names(rows_a.task) if both or not _needs_probabilities(n)]
    if metric:
        value_of(metric, rows_a)  # raises for one that there is not
    found = []
    for name in names:
        progress(f"comparing {name}")
        found.append(paired_difference(name, rows_a, rows_b, level, seed))
    facts: dict[str, Any] = {}
    if rows_a.task != "regression":
        only_a, only_b, p = mcnemar(rows_a, rows_b)
        apart = np.flatnonzero(rows_a.prediction != rows_b.prediction)
        facts = {"only_a": only_a, "only_b": only_b, "mcnemar_p": p, "disagreements": len(apart)}
    else:
        apart = np.argsort(-np.abs(rows_a.loss - rows_b.loss), kind="stable")
    if refit:
        facts["five_by_two"] = five_by_two(
            a, b, metric or HEADLINE[rows_a.task][0], level=level, seed=seed, progress=progress
        )
    return ModelComparison(
        a.model.name,
        b.model.name,
        a.data,
        rows_a.task,
        len(rows_a),
        tuple(found),
        **facts,
        slices=tuple(_by_slice(a, b, slices, metric, level, seed)),
        disagreement=tuple(int(i) for i in apart[:DISAGREEMENTS]),
        conventions=(
            f"A minus B on the same rows, {level:.0%} intervals. {CONVENTION}",
            *((REFITTED,) if refit else ()),
        ),
    )


def five_by_two(
    a: Subject,
    b: Subject,
    metric: str,
    *,
    level: float = 0.95,
    seed: int = 0,
    progress: Callable[[str], None] = lambda _line: None,
) -> FiveByTwo:
    """Both models fitted on either half of five splits (Dietterich 1998) and measured on the other: ten differences.

    The interval and the p-value come of their mean and variance s^2 with the variance corrected for fits that share rows,
    (1/10 + rows measured / rows fitted) s^2, and 9 degrees of freedom (Nadeau and Bengio 2003, Machine Learning 52).
    Beside them stands the p-value of the combined 5x2cv F test (Alpaydin 1999, Neural Computation 11): the sum of all
    squared differences over twice the sum of the splits' variances, with 10 and 5 degrees of freedom.
    """
    from scipy.stats import f as fisher
    from scipy.stats import t as student
    from sklearn.base import clone
    from sklearn.model_selection import KFold, StratifiedKFold

    if a.model.estimator is None or b.model.estimator is None:
        raise InvalidArgument("predictions alone cannot be fitted anew.", hint="Leave --refit out.")
    target, truth = np.asarray(a.rows.target), np.asarray(a.truth)
    kind = StratifiedKFold if a.rows.classes else KFold
    positive = a.rows.classes[-1] if len(a.rows.classes) == 2 else ""
    differences, variances = [], []
    for turn in range(5):
        halves = list(kind(2, shuffle=True, random_state=seed + turn).split(target, target))
        pair = []
        for number, (fit_on, on) in enumerate(halves):
            progress(f"5x2cv: half {turn * 2 + number + 1} of 10")
            values = []
            for subject in (a, b):
                inputs = subject.inputs
                take = inputs.iloc if hasattr(inputs, "iloc") else inputs
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    model = clone(subject.model.estimator).fit(take[fit_on], truth[fit_on])
                    rows, _, _ = predicted(model, take[on], subject.truth.iloc[on], positive)
                values.append(value_of(metric, rows))
            pair.append(values[0] - values[1])
        differences += pair
        variances.append((pair[0] - pair[1]) ** 2 / 2)
    mean, scale = float(np.mean(differences)), float((0.1 + 1) * np.var(differences, ddof=1)) ** 0.5
    statistic = mean / scale if scale > 0 else (0.0 if mean == 0 else float(np.sign(mean)) * UNBOUNDED)
    reach = float(student.ppf((1 + level) / 2, len(differences) - 1)) * scale
    above, below = float(np.sum(np.square(differences))), 2 * float(np.sum(variances))
    combined = above / below if below > 0 else (0.0 if above == 0 else UNBOUNDED)
    return FiveByTwo(
        metric,
        tuple(float(d) for d in differences),
        statistic,
        float(2 * student.sf(abs(statistic), len(differences) - 1)),
        mean,
        mean - reach,
        mean + reach,
        float(fisher.sf(combined, 10, 5)),
    )


def _needs_probabilities(name: str) -> bool:
    return name in RANKS or (name in MEANS and MEANS[name].needs_probabilities)


def _by_slice(
    a: Subject, b: Subject, columns: Sequence[str], metric: str, level: float, seed: int
) -> list[SliceDifference]:
    metric = metric or ("mae" if a.rows.task == "regression" else "accuracy")
    found: list[tuple[str, Difference]] = []
    for column in columns:
        if column not in a.frame.columns:
            raise InvalidArgument.unknown("column for --slices", column, [str(c) for c in a.frame.columns])
        for name, mask in conditions_of(a.frame, column):
            at = np.flatnonzero(mask)
            if len(at) >= FEWEST:
                both: tuple[EvaluationRows, EvaluationRows] = (taken(a.rows, at), taken(b.rows, at))
                found.append((name, paired_difference(metric, *both, level, seed)))
    order = sorted(range(len(found)), key=lambda i: found[i][1].p_value)
    adjusted, highest = [0.0] * len(found), 0.0
    for rank, i in enumerate(order):
        highest = max(highest, min(1.0, (len(found) - rank) * found[i][1].p_value))
        adjusted[i] = highest
    return [SliceDifference(name, d, p) for (name, d), p in zip(found, adjusted, strict=True)]
