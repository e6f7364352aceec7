"""Labels that are probably wrong, by confident learning.

Northcutt, Jiang and Chuang, "Confident Learning: Estimating Uncertainty in Dataset Labels", JAIR 70 (2021): with
probabilities from models that did not see the row, the confident joint counts the rows with label i that are, above the
average confidence of class j, of class j; calibrated to the rows of each label it estimates how many of them are j; and of
those, the rows with the largest margin of j over i are named ("prune by noise rate").
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ...domain.data_check import Finding
from ..check import Check, Codes, Floats, Subject, finding, share

NAME = "label_errors"
FOLDS = 3
FEWEST_ROWS, FEWEST_A_CLASS, MOST_CLASSES = 50, 10, 50


@dataclass(frozen=True)
class Suspects:
    """Rows whose label is doubted, the most doubtful first.

    Parameters
    ----------
    joint
        The estimated joint distribution of given (rows) and true (columns) labels; sums to 1.
    rows
        Positions.
    label
        For each of `rows` the label that is more likely.
    margin
        For each of `rows` the probability of that label less that of the given one.
    """

    joint: Floats
    rows: Codes
    label: Codes
    margin: Floats


def confident_joint(labels: Codes, probabilities: Floats) -> Codes:
    """How many rows with label i are confidently of class j; thresholds are the classes' mean self-confidence.

    Examples
    --------
    >>> p = np.array([[0.9, 0.1], [0.8, 0.2], [0.1, 0.9], [0.2, 0.8], [0.1, 0.9]])
    >>> confident_joint(np.array([0, 0, 0, 1, 1]), p).tolist()
    [[2, 1], [0, 1]]
    """
    k = probabilities.shape[1]
    thresholds = np.array([probabilities[labels == j, j].mean() if (labels == j).any() else np.inf for j in range(k)])
    above = probabilities >= thresholds - 1e-12
    confident = above.any(axis=1)
    best = np.where(above, probabilities, -1.0).argmax(axis=1)
    joint = np.zeros((k, k), dtype=np.int64)
    np.add.at(joint, (labels[confident], best[confident]), 1)
    return joint


def calibrated_joint(labels: Codes, probabilities: Floats) -> Floats:
    """The confident joint with each row scaled to the number of rows with that label; over all rows, equation 2 of the paper."""
    joint = confident_joint(labels, probabilities).astype(float)
    counts = np.bincount(labels, minlength=len(joint)).astype(float)
    sums = joint.sum(axis=1)
    empty = sums == 0
    joint[empty, empty.nonzero()[0]] = 1.0
    return np.asarray(joint / joint.sum(axis=1, keepdims=True) * counts[:, None])


def find_label_errors(labels: Codes, probabilities: Floats) -> Suspects:
    """The rows whose label is doubted.

    Parameters
    ----------
    labels
        The given classes, 0 to k - 1.
    probabilities
        Of shape (rows, k), from models that were not fitted on the row.
    """
    scaled = calibrated_joint(labels, probabilities)
    n, k = probabilities.shape
    best = np.full(n, -np.inf)
    found = np.full(n, -1, dtype=np.int64)
    for given in range(k):
        places = np.flatnonzero(labels == given)
        for other in range(k):
            wanted = round(scaled[given, other]) if other != given else 0
            if not wanted:
                continue
            margin = probabilities[places, other] - probabilities[places, given]
            worst = np.argsort(-margin, kind="stable")[:wanted]
            worst = worst[margin[worst] > 0]  # the given label is not the more likely one
            better = margin[worst] > best[places[worst]]
            best[places[worst[better]]] = margin[worst[better]]
            found[places[worst[better]]] = other
    rows = np.flatnonzero(found >= 0)
    rows = rows[np.argsort(-best[rows], kind="stable")]
    return Suspects(scaled / n, rows.astype(np.int64), found[rows], best[rows])


def look(subject: Subject) -> Iterator[Finding]:
    """Out-of-fold probabilities of boosted trees over all other columns, then confident learning."""
    target, rows = subject.column(subject.target), subject.sample
    labels = target.codes[rows]
    counts = np.bincount(labels, minlength=len(target.uniques))
    kept = np.flatnonzero(counts >= FEWEST_A_CLASS)
    features = [
        c
        for c in subject.features
        if c.kind != "other" and len(c.uniques) > 1 and (c.continuous or len(c.uniques) < len(c.codes) / 2)
    ]
    if len(rows) < FEWEST_ROWS or not 2 <= len(kept) <= MOST_CLASSES or not features:
        return
    rows = rows[np.isin(labels, kept)]
    labels = np.searchsorted(kept, target.codes[rows])
    probabilities = out_of_fold(np.column_stack([c.features[rows] for c in features]), labels)
    suspects = find_label_errors(labels, probabilities)
    places = rows[suspects.rows]
    if not len(places):
        return
    names = [str(target.uniques[kept[j]]) for j in suspects.label[:5]]
    told = subject.examples(target, places[:5], most=5)
    noise = 1.0 - float(np.trace(suspects.joint))
    sure = suspects.margin > 0.8
    part = sure.sum() / len(rows)
    shown = [int(p) for p in places[:20]]
    yield finding(
        NAME, "warning" if part > 0.005 else "info", subject.target,
        f"{len(places):,} labels ({share(len(places), len(rows))}) are less likely than another one, {int(sure.sum()):,} of them by far",
        places, of=len(rows),
        examples=tuple(f"row {p}: {t}, rather {n}" for p, t, n in zip(places[:5], _each(target, places[:5]), names, strict=True)) if told else (),
        numbers={"estimated share of wrong labels": noise, "largest margin": suspects.margin[0], "by more than 0.8": int(sure.sum())},
        convention=(
            f"confident learning, pruned by noise rate; probabilities of gradient boosting, {FOLDS}-fold, not fitted on the row; "
            "hard rows are doubted too: look before you change them"
        ),
        fix=f"{subject.name}.iloc[{shown!r}]",
    )  # fmt: skip


def out_of_fold(features: Floats, labels: Codes) -> Floats:
    """Probabilities for every row from a model that was fitted on the others."""
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.model_selection import StratifiedKFold, cross_val_predict
    from threadpoolctl import threadpool_limits

    model = HistGradientBoostingClassifier(
        max_iter=25, max_leaf_nodes=15, learning_rate=0.25, max_bins=64, early_stopping=False, random_state=0
    )
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=0)
    with threadpool_limits(1):  # on busy cores its threads wait for each other: thirty times as long as one of them
        return np.asarray(cross_val_predict(model, features, labels, cv=folds, method="predict_proba"))


def _each(column: object, rows: Codes) -> list[str]:
    return [str(column.cells.iloc[int(row)]) for row in rows]  # type: ignore[attr-defined]


CHECK = Check(NAME, "labels that are probably wrong", look, when=lambda s: bool(s.target) and s.classes)
