"""Estimate: performance without labels, from probabilities (CBPE) or from what is known of the loss (direct loss estimation).

CBPE takes every probability at its word: a row predicted to be positive with 0.8 is a true positive with weight 0.8 and
a false positive with weight 0.2. The expected confusion matrix and the expected pairs in the right order follow in closed
form. Direct loss estimation fits a regressor of the loss on the inputs of labelled rows, and asks it about the others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..domain.evaluation_parts import MetricValue

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["CBPE", "DIRECT_LOSS", "FEWEST_LABELLED", "cbpe", "direct_loss"]

Array = np.ndarray[Any, Any]

CBPE = (
    "estimated: CBPE, the expected metric if every probability is right. It assumes calibrated probabilities and no "
    "concept drift (inputs may shift, what they mean may not); its interval is where the realised metric would lie then, "
    "95 % of times."
)
DIRECT_LOSS = (
    "estimated: direct loss estimation, a gradient-boosted regressor of the loss on the inputs, fitted to rows labelled "
    "before the window. It assumes that what made rows hard before makes them hard now (no concept drift); its interval is "
    "that of a mean, from the spread of the loss around the fit, which is taken to grow with the loss."
)
FEWEST_LABELLED = 200
SMALLEST = 0.05  # of the mean loss: no row is taken to be easier
MOST_LABELLED = 20_000
DRAWS = 400
WORK = 20_000_000
LEVEL = 0.95
Z = 1.959963984540054


def cbpe(probabilities: Array, prediction: Array, *, seed: int = 0) -> tuple[MetricValue, ...]:
    """Expected metrics of rows whose labels are not known.

    Parameters
    ----------
    probabilities
        One column a class, rows that sum to 1; the last of two is the positive class.
    prediction
        The predicted class of each row, as the place of its column.
    seed
        Of the draws for the intervals.

    Returns
    -------
    tuple of MetricValue
        Two classes: accuracy, precision, recall, F1, the area under the ROC curve (pairs of rows that the scores order
        rightly, ties one half, a row with itself left in as a half), log loss and Brier score. More: accuracy, macro F1
        of the expected confusion matrix, log loss and Brier score (summed over the classes).

    Examples
    --------
    >>> p = np.array([0.9, 0.8, 0.7, 0.4, 0.3, 0.1])
    >>> found = cbpe(np.column_stack([1 - p, p]), (p >= 0.5).astype(int))
    >>> {m.name: round(m.value, 7) for m in found[:5]}
    {'accuracy': 0.7666667, 'precision': 0.8, 'recall': 0.75, 'f1': 0.7741935, 'roc_auc': 0.8236607}
    """
    known = np.isfinite(probabilities).all(axis=1)
    p = np.clip(np.asarray(probabilities, dtype=np.float64)[known], 0.0, 1.0)
    guess = np.asarray(prediction)[known]
    if not len(p):
        return ()
    names, value = (_binary if p.shape[1] == 2 else _several)(p, guess)
    draws = max(50, min(DRAWS, WORK // max(len(p) * p.shape[1], 1)))
    rng = np.random.default_rng(seed)
    drawn = np.array([_drawn(p, guess, rng) for _ in range(draws)])
    found = []
    for i, name in enumerate(names):
        spread = float(np.nanstd(drawn[:, i])) if np.isfinite(drawn[:, i]).any() else float("nan")
        low, high = value[i] - Z * spread, value[i] + Z * spread
        bounded = name not in ("log_loss", "brier")
        higher = bounded
        low, high = max(low, 0.0), min(high, 1.0) if bounded else high
        if np.isfinite(value[i]):
            found.append(MetricValue(name, float(value[i]), float(low), float(high), LEVEL, "CBPE", higher))
    return tuple(found)


def _binary(p: Array, guess: Array) -> tuple[tuple[str, ...], Array]:
    """The expected metrics of two classes."""
    positive = p[:, 1]
    tp, fp = positive[guess == 1].sum(), (1 - positive[guess == 1]).sum()
    fn, tn = positive[guess == 0].sum(), (1 - positive[guess == 0]).sum()
    values = [
        (tp + tn) / len(p),
        _share(tp, tp + fp),
        _share(tp, tp + fn),
        _share(2 * tp, 2 * tp + fp + fn),
        _area(positive, positive),
        float(_entropy(p).mean()),
        float((positive * (1 - positive)).mean()),
    ]
    return ("accuracy", "precision", "recall", "f1", "roc_auc", "log_loss", "brier"), np.array(values)


def _several(p: Array, guess: Array) -> tuple[tuple[str, ...], Array]:
    """The expected metrics of more than two classes."""
    count = p.shape[1]
    table = np.array([p[guess == k].sum(axis=0) for k in range(count)])  # predicted by true
    right, said, true = np.diagonal(table), table.sum(axis=1), table.sum(axis=0)
    there = (said + true) > 0
    f1 = np.divide(2 * right, said + true, out=np.zeros(count), where=there)
    values = [
        right.sum() / len(p),
        f1[there].mean(),
        float(_entropy(p).mean()),
        float((1 - (p**2).sum(axis=1)).mean()),
    ]
    return ("accuracy", "f1_macro", "log_loss", "brier"), np.array(values)


def _drawn(p: Array, guess: Array, rng: np.random.Generator) -> Array:
    """The same metrics of labels that were drawn from the probabilities."""
    if p.shape[1] == 2:
        y = (rng.random(len(p)) < p[:, 1]).astype(np.float64)
        tp, fp = y[guess == 1].sum(), (1 - y[guess == 1]).sum()
        fn, tn = y[guess == 0].sum(), (1 - y[guess == 0]).sum()
        own = np.where(y == 1, p[:, 1], p[:, 0])
        return np.array(
            [
                (tp + tn) / len(p),
                _share(tp, tp + fp),
                _share(tp, tp + fn),
                _share(2 * tp, 2 * tp + fp + fn),
                _area(p[:, 1], y),
                float(-np.log(np.clip(own, 1e-15, 1)).mean()),
                float(((p[:, 1] - y) ** 2).mean()),
            ]
        )
    at = (rng.random(len(p))[:, None] > np.cumsum(p, axis=1)[:, :-1]).sum(axis=1)
    one = np.zeros_like(p)
    one[np.arange(len(p)), at] = 1.0
    own = p[np.arange(len(p)), at]
    _, values = _several(one, guess)
    return np.array(
        [*values[:2], float(-np.log(np.clip(own, 1e-15, 1)).mean()), float(((p - one) ** 2).sum(axis=1).mean())]
    )


def _area(score: Array, positive: Array) -> float:
    """The share of pairs of a positive and a negative that the scores order rightly, rows weighted by `positive`."""
    order = np.argsort(score, kind="stable")
    s, up = score[order], positive[order]
    down = 1 - up
    start = np.concatenate([[True], s[1:] != s[:-1]])
    group = np.cumsum(start) - 1
    downs = np.bincount(group, weights=down)
    below = np.cumsum(downs) - downs
    ups = np.bincount(group, weights=up)
    return _share(float((ups * (below + downs / 2)).sum()), float(up.sum() * down.sum()))


def _entropy(p: Array) -> Array:
    found: Array = -(p * np.log(np.clip(p, 1e-15, 1))).sum(axis=1)
    return found


def _share(above: float, below: float) -> float:
    return float(above / below) if below else float("nan")


def direct_loss(known: pd.DataFrame, error: Array, asked: pd.DataFrame, *, seed: int = 0) -> tuple[MetricValue, ...]:
    """The mean absolute and the root mean squared error of rows whose labels are not known; nothing from too few labels.

    Parameters
    ----------
    known
        Inputs and predictions of labelled rows.
    error
        Their errors: label minus prediction.
    asked
        Inputs and predictions of the rows to estimate.
    """
    from sklearn.ensemble import HistGradientBoostingRegressor

    from .multivariate.encoding import encoded

    if len(known) < FEWEST_LABELLED or not len(asked):
        return ()
    known, error = known.iloc[-MOST_LABELLED:], np.asarray(error, dtype=np.float64)[-MOST_LABELLED:]
    left, right = encoded(known, asked)
    found = []
    for name, loss in (("mae", np.abs(error)), ("rmse", error**2)):
        if left.shape[1]:
            model = HistGradientBoostingRegressor(max_iter=60, min_samples_leaf=30, random_state=seed)
            model.fit(left, loss)
            fitted, guess = (np.maximum(model.predict(x), SMALLEST * loss.mean()) for x in (left, right))
        else:  # no column says anything: the loss is what it was
            fitted, guess = np.full(len(known), loss.mean()), np.full(len(asked), loss.mean())
        mean, scale = float(guess.mean()), float(np.mean(fitted**2))
        # hard rows spread more than others; the fit there rests on part of the known rows, and its own rows flatter it: they
        # count a third, by which the interval holds what is realised as often as it says (simulated)
        spread = float(np.mean((loss - fitted) ** 2) / scale * np.mean(guess**2)) if scale else 0.0
        reach = Z * (spread * (1 / len(asked) + 3 / len(known))) ** 0.5
        ends = (mean, max(mean - reach, 0.0), mean + reach)
        value, low, high = ends if name == "mae" else tuple(end**0.5 for end in ends)
        found.append(MetricValue(name, value, low, high, LEVEL, "direct loss", False))
    return tuple(found)
