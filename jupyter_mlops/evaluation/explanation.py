"""Explanation: what drives a model on a table, and why one row got its prediction."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..domain.evaluation import HEADLINE, EvaluationRows
from ..domain.evaluation_parts import Dependence, Explanation, Importance, OneRow
from ..errors import InvalidArgument
from .attribution import Attribution, attribute, output_of
from .resample import percentile, weights
from .shift import weighted_values
from .subject import Subject, predicted

__all__ = ["explanation_report"]

Array = np.ndarray[Any, Any]

SHAP_ROWS, PERMUTED_ROWS, DEPENDENCE_ROWS = 1000, 2000, 200
REPEATS = 5
REPLICATES = 200
DRAWN, GRID, SINGLE = 4, 12, 15
MOST_PERMUTED = 60


def explanation_report(
    subject: Subject,
    *,
    row: int | None = None,
    budget: float = 10.0,
    level: float = 0.95,
    seed: int = 0,
    progress: Callable[[str], None] = lambda _line: None,
) -> Explanation:
    """SHAP values of up to 1,000 rows within the budget, permutation importance, partial dependence.

    Parameters
    ----------
    row
        A row to explain besides, by its position among the evaluated ones.
    budget
        Seconds for the SHAP values; what was not reached is said.

    Raises
    ------
    InvalidArgument
        There is no estimator, or no such row.
    MissingDependency
        shap is not installed.
    """
    if subject.model.estimator is None:
        raise InvalidArgument("predictions alone cannot be explained.", hint="Give the estimator.")
    subject.check_columns("an explanation")
    size = len(subject.rows)
    if row is not None and not 0 <= row < size:
        raise InvalidArgument(f"there is no row {row}; the evaluated rows go from 0 to {size - 1:,}.")
    rng = np.random.default_rng(seed)
    some = rng.choice(size, min(SHAP_ROWS, size), replace=False)
    if row is not None:
        some = np.concatenate([[row], some[some != row]])
    at, word = _class(subject)
    inputs = _take(subject.inputs, some)
    found = attribute(subject.model.estimator, inputs, at, budget=budget, seed=seed, progress=progress)
    size_of = np.abs(found.contributions)
    drawn = np.concatenate([w @ size_of / len(size_of) for w in weights(len(size_of), REPLICATES, seed)])
    mean = size_of.mean(axis=0)
    order = np.argsort(-mean, kind="stable")
    metric = _metric(subject.rows)
    progress("shuffling columns")
    known = _columns(subject.inputs)
    top = [found.columns[j] for j in order if found.columns[j] in known][:DRAWN]
    return Explanation(
        method=found.method,
        output=f"{found.output} of {word}" if word else found.output,
        rows=len(found.contributions),
        background_rows=found.background,
        shap=tuple(Importance(found.columns[j], float(mean[j]), *percentile(drawn[:, j], level)) for j in order),
        permutation=_permuted(subject, metric, level, seed),
        permutation_metric=metric,
        dependence=tuple(_dependence(subject, name, at, word, rng) for name in top),
        additivity_error=found.error,
        stability=_stability(drawn, mean),
        one_row=_one_row(subject, found, row, word) if row is not None else None,
        convention=f"SHAP ({found.method}) of {len(found.contributions):,} rows, chosen by seed {seed}: contributions to the "
        f"{found.output}; base plus contributions is the output, checked to {found.error:.1g}; permutation importance is "
        f"the loss of {metric} when a column is shuffled, the mean of {REPEATS} shuffles; intervals are percentile "
        "bootstraps over rows; correlated columns share importance",
    )


def _class(subject: Subject) -> tuple[int, str]:
    """The model's own position of the class that is explained, and its name; -1 for a number."""
    if not subject.rows.classes:
        return -1, ""
    own = [str(c) for c in getattr(subject.model.estimator, "classes_", subject.rows.classes)]
    name = subject.rows.classes[min(len(own), len(subject.rows.classes)) - 1]
    return own.index(name), name


def _metric(rows: EvaluationRows) -> str:
    if rows.probabilities is not None:
        return "log_loss"
    return HEADLINE[rows.task][0]


def _columns(inputs: Any) -> list[str]:
    return [str(c) for c in inputs.columns] if hasattr(inputs, "columns") else [f"x{i}" for i in range(inputs.shape[1])]


def _take(inputs: Any, at: Any) -> Any:
    return inputs.iloc[at] if hasattr(inputs, "iloc") else inputs[at]


def _with(inputs: Any, number: int, values: Any) -> Any:
    """The inputs with other values in one column."""
    changed = inputs.copy()
    if hasattr(inputs, "columns"):
        changed[inputs.columns[number]] = values
    else:
        changed[:, number] = values
    return changed


def _permuted(subject: Subject, metric: str, level: float, seed: int) -> tuple[Importance, ...]:
    """Loss of the metric by shuffling each column (Breiman 2001), and its percentile bootstrap over rows.

    A shuffled row has two parents: the row, and the one its value came from. Both are resampled, so that the pair's weight
    is the product of the two, and the interval tells of other rows, not of other shuffles alone.
    """
    from .measures import MEANS

    rng = np.random.default_rng(seed + 1)
    some = np.sort(rng.choice(len(subject.rows), min(PERMUTED_ROWS, len(subject.rows)), replace=False))
    inputs, truth = _take(subject.inputs, some), subject.truth.iloc[some]
    positive = subject.rows.classes[-1] if subject.rows.task == "binary" else ""
    # the first line is no replicate: every row once
    weight = np.concatenate([np.ones((1, len(some))), *weights(len(some), REPLICATES, seed)])

    def answered(table: Any) -> EvaluationRows:
        return predicted(subject.model.estimator, table, truth, positive)[0]

    sign = -1.0 if metric in MEANS and not MEANS[metric].higher_is_better else 1.0
    base = answered(inputs)
    found = []
    for number, name in enumerate(_columns(inputs)[:MOST_PERMUTED]):
        losses = np.zeros(len(weight))
        for _ in range(REPEATS):
            order = rng.permutation(len(some))
            column = inputs.iloc[order, number].array if hasattr(inputs, "iloc") else inputs[order, number]
            pair = weight * weight[:, order]
            before, after = (
                weighted_values(metric, rows, pair) for rows in (base, answered(_with(inputs, number, column)))
            )
            losses += sign * (before - after) / REPEATS
        found.append(Importance(name, float(losses[0]), *percentile(losses[1:], level)))
    return tuple(sorted(found, key=lambda i: -i.value))


def _dependence(subject: Subject, name: str, at: int, word: str, rng: np.random.Generator) -> Dependence:
    """The mean output with one column set to each value in turn (Friedman 2001), and single rows (ICE)."""
    import pandas as pd

    number = _columns(subject.inputs).index(name)
    some = rng.choice(len(subject.rows), min(DEPENDENCE_ROWS, len(subject.rows)), replace=False)
    inputs = _take(subject.inputs, some)
    column = pd.Series(inputs.iloc[:, number] if hasattr(inputs, "iloc") else inputs[:, number])
    labels: tuple[str, ...] = ()
    if pd.api.types.is_numeric_dtype(column) and column.nunique() > 2:
        values: list[Any] = list(np.unique(np.nanquantile(column.astype(float), np.linspace(0.02, 0.98, GRID))))
        if pd.api.types.is_integer_dtype(column):
            values = sorted({round(v) for v in values})
        grid = tuple(float(v) for v in values)
    else:
        values = list(column.value_counts().index[:GRID])
        labels, grid = tuple(str(v) for v in values), tuple(float(i) for i in range(len(values)))
    lines, what = [], ""
    for value in values:
        filled = pd.Series([value] * len(inputs), index=getattr(inputs, "index", None)).astype(column.dtype)
        changed = _with(inputs, number, filled if hasattr(inputs, "iloc") else filled.to_numpy())
        line, what = output_of(subject.model.estimator, changed, at)
        lines.append(line)
    table = np.array(lines)
    single = tuple(tuple(float(v) for v in table[:, i]) for i in range(min(SINGLE, table.shape[1])))
    mean = tuple(float(v) for v in table.mean(axis=1))
    return Dependence(name, grid, labels, mean, single, f"{what} of {word}" if word else what)


def _stability(drawn: Array, mean: Array) -> float | None:
    from scipy.stats import spearmanr

    if len(mean) < 3:
        return None
    found = [spearmanr(line, mean).statistic for line in drawn]
    return float(np.nanmean(found))


def _one_row(subject: Subject, found: Attribution, row: int, word: str) -> OneRow:
    values, base, output = found.contributions[0], float(found.base[0]), float(found.outputs[0])
    order = np.argsort(-np.abs(values), kind="stable")
    known = _columns(subject.inputs)
    line = _take(subject.inputs, [row])
    shown = []
    for j in order:
        name = found.columns[j]
        if name in known:
            number = known.index(name)
            value = line.iloc[0, number] if hasattr(line, "iloc") else line[0, number]
            shown.append(f"{value:.6g}" if isinstance(value, float) else str(value))
        else:
            shown.append("")
    what = f"{found.output} of {word}" if word else found.output
    ups = [(found.columns[j], shown[i], values[j]) for i, j in enumerate(order) if values[j] > 0][:3]
    downs = [(found.columns[j], shown[i], values[j]) for i, j in enumerate(order) if values[j] < 0][:3]
    parts = [f"Row {row}: {what} {output:.3f}; {base:.3f} without knowing the row."]
    for verb, side in (("up", ups), ("down", downs)):
        if side:
            told = ", ".join(
                f"{name} = {value} ({size:+.3f})" if value else f"{name} ({size:+.3f})" for name, value, size in side
            )
            parts.append(f"Pushed {verb} by {told}.")
    return OneRow(
        row,
        base,
        output,
        tuple(found.columns[j] for j in order),
        tuple(shown),
        tuple(float(values[j]) for j in order),
        " ".join(parts),
    )
