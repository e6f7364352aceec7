"""Features that give the target away: alone they predict it better than anything honest would."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ...domain.data_check import Finding
from ..check import Check, Codes, Column, Floats, Subject, finding, share

NAME = "target_leakage"
SUSPICIOUS_AUC, SUSPICIOUS_R2 = 0.98, 0.98
MISTAKES = 0.01
BINS = 64
FEWEST = 30
CLASSES = (
    f"out-of-fold (2 folds, seed 0) class shares in {BINS} bins of equal counts, or a category each; AUC by ranks, ties "
    "half, mean over one-against-rest; suspicious from 0.98"
)
NUMBERS = (
    f"out-of-fold (2 folds, seed 0) mean in {BINS} bins of equal counts, or a category each; suspicious from R2 0.98"
)


def look(subject: Subject) -> Iterator[Finding]:
    """Each feature alone, over all rows that have a target."""
    target = subject.column(subject.target)
    rows = np.flatnonzero(target.codes >= 0)
    if len(rows) < FEWEST or len(target.uniques) < 2:
        return
    half = np.random.default_rng(0).permutation(len(rows)) % 2 == 0
    labels, truth = target.codes[rows], target.numbers[rows] if not subject.classes else np.empty(0)
    for column in subject.columns:
        if column.name == subject.target or len(column.uniques) < 2 or column.kind == "other":
            continue
        cells, groups = cells_of(column, rows)
        if not column.continuous and groups > len(rows) / 2:
            continue  # the check for identifiers tells of it
        drop = f"{subject.name} = {subject.name}.drop(columns={subject.labels([column.name])!r})"
        if subject.classes:
            chances = out_of_fold_shares(cells, groups, labels, len(target.uniques), half)
            wrong = int((chances.argmax(axis=1) != labels).sum())
            usual = len(rows) - int(np.bincount(labels).max())
            area = mean_area(chances, labels)
            copy = usual >= 10 and wrong / usual <= MISTAKES
            if copy or area >= SUSPICIOUS_AUC:
                told = (
                    f"{column.name} alone tells {subject.target} but for {wrong:,} of {len(rows):,} rows"
                    if copy
                    else f"{column.name} alone predicts {subject.target} with AUC {area:.3f}"
                )
                yield finding(
                    NAME, "error" if copy else "warning", column.name, told, count=len(rows) - wrong, of=len(rows),
                    numbers={"AUC": area, "mistakes": wrong, "mistakes of the largest class": usual},
                    convention=CLASSES, fix=drop,
                )  # fmt: skip
        else:
            fitted = out_of_fold_means(cells, groups, truth, half)
            r2 = 1 - np.sum((truth - fitted) ** 2) / np.sum((truth - truth.mean()) ** 2)
            line = correlation(column.features[rows], truth) if column.continuous else 0.0
            copy = line >= 0.9999
            if copy or r2 >= SUSPICIOUS_R2:
                told = (
                    f"{column.name} is {subject.target} in another unit" if copy
                    else f"{column.name} alone explains {share(r2, 1)} of {subject.target}"
                )  # fmt: skip
                yield finding(
                    NAME, "error" if copy else "warning", column.name, told, count=len(rows), of=len(rows),
                    numbers={"R2": r2, "absolute Pearson correlation": line}, convention=NUMBERS, fix=drop,
                )  # fmt: skip


def cells_of(column: Column, rows: Codes) -> tuple[Codes, int]:
    """Each row's bin or category, from 0, and how many there are; missing ones have their own."""
    if not column.continuous or len(column.uniques) <= BINS:
        return column.codes[rows] + 1, len(column.uniques) + 1
    values = column.features[rows]
    there = np.isfinite(values)
    edges = np.unique(np.quantile(values[there], np.linspace(0, 1, BINS + 1)[1:-1])) if there.any() else np.empty(0)
    return np.where(there, np.searchsorted(edges, values, side="left") + 1, 0), len(edges) + 2


def out_of_fold_shares(cells: Codes, groups: int, labels: Codes, classes: int, half: np.ndarray) -> Floats:
    """For each row the class shares of its bin in the other half; with one row of the whole's shares added."""
    found = np.empty((len(cells), classes))
    for fit, use in ((half, ~half), (~half, half)):
        counts = np.bincount(cells[fit] * classes + labels[fit], minlength=groups * classes).reshape(groups, classes)
        prior = np.bincount(labels[fit], minlength=classes) / max(1, fit.sum())
        found[use] = ((counts + prior) / (counts.sum(axis=1, keepdims=True) + 1))[cells[use]]
    return found


def out_of_fold_means(cells: Codes, groups: int, truth: Floats, half: np.ndarray) -> Floats:
    """For each row the mean of its bin in the other half; with one row of the whole's mean added."""
    found = np.empty(len(cells))
    for fit, use in ((half, ~half), (~half, half)):
        sums = np.bincount(cells[fit], weights=truth[fit], minlength=groups)
        counts = np.bincount(cells[fit], minlength=groups)
        found[use] = ((sums + truth[fit].mean()) / (counts + 1))[cells[use]]
    return found


def mean_area(chances: Floats, labels: Codes) -> float:
    """The mean over classes of the one-against-rest area under the ROC curve.

    Examples
    --------
    >>> mean_area(np.array([[0.9, 0.1], [0.6, 0.4], [0.6, 0.4], [0.2, 0.8]]), np.array([0, 0, 1, 1]))
    0.875
    """
    from scipy.stats import rankdata

    areas = []
    for label in range(chances.shape[1] if chances.shape[1] > 2 else 1):
        mine = labels == label
        few, many = int(mine.sum()), int((~mine).sum())
        if few and many:
            ranks = rankdata(chances[:, label])
            areas.append((ranks[mine].sum() - few * (few + 1) / 2) / (few * many))
    return float(np.mean(areas)) if areas else 0.5


def correlation(values: Floats, truth: Floats) -> float:
    """The absolute Pearson correlation over rows where both are there; 0 where there is none."""
    both = np.isfinite(values) & np.isfinite(truth)
    if both.sum() < FEWEST or np.ptp(values[both]) == 0 or np.ptp(truth[both]) == 0:
        return 0.0
    return float(abs(np.corrcoef(values[both], truth[both])[0, 1]))


CHECK = Check(NAME, "features that give the target away", look, when=lambda s: bool(s.target))
