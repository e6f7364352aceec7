"""Reconstruction: how well the principal components of the reference describe the other table."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from ...domain.drift_report import Together

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["measure"]

KEPT = 0.65  # share of the variance that the components hold
FEWEST = 100
CHANGE = 0.05
Z = 2.5758
DRIVERS = 5


def measure(reference: pd.DataFrame, current: pd.DataFrame) -> Together | None:
    """The mean error of the current rows over that of reference rows, both unseen by the components: 1 where alike.

    Columns that hang together otherwise than they did make it move, even where each column alone did not change.
    """
    if min(len(reference), len(current)) < FEWEST or reference.shape[1] < 2:
        return None
    order = np.random.default_rng(0).permutation(len(reference))
    rows = reference.to_numpy()[order]
    fit, held, now = rows[: len(rows) // 2], rows[len(rows) // 2 :], current.to_numpy()
    with np.errstate(invalid="ignore"):
        there = ~np.isnan(fit)
        count = np.maximum(there.sum(axis=0), 1)
        center = np.where(there, fit, 0).sum(axis=0) / count
        spread = np.sqrt(np.where(there, (fit - center) ** 2, 0).sum(axis=0) / count)
    used = spread > 0
    if used.sum() < 2:
        return None
    sides = [
        np.clip(np.nan_to_num((x[:, used] - center[used]) / spread[used], nan=0.0), -10, 10) for x in (fit, held, now)
    ]
    _, sizes, axes = np.linalg.svd(sides[0] - sides[0].mean(axis=0), full_matrices=False)
    shares = np.cumsum(sizes**2) / np.sum(sizes**2)
    components = axes[: min(int(np.searchsorted(shares, KEPT)) + 1, len(axes) - 1)]
    mean = sides[0].mean(axis=0)
    lost = [((x - mean) - (x - mean) @ components.T @ components) ** 2 for x in sides[1:]]
    before, after = (x.sum(axis=1) for x in lost)
    if before.mean() == 0:
        return None
    ratio = float(after.mean() / before.mean())
    error = ratio * math.sqrt(
        after.var() / len(after) / max(after.mean(), 1e-300) ** 2 + before.var() / len(before) / before.mean() ** 2
    )
    low, high = ratio - Z * error, ratio + Z * error
    by_column = np.abs(lost[1].mean(axis=0) - lost[0].mean(axis=0))
    names = np.array([str(name) for name in reference.columns])[used]
    return Together(
        "reconstruction",
        "PCA reconstruction error, current over reference",
        ratio,
        low,
        high,
        drifted=(low > 1 or high < 1) and abs(ratio - 1) >= CHANGE,
        columns=tuple(names[np.argsort(-by_column)][:DRIVERS].tolist()),
        convention=(
            f"columns standardised by one half of the reference (cut at 10 deviations, missing values at the mean), its components up to "
            f"{KEPT:.0%} of the variance; mean squared error of the current rows over that of the other half, interval by the "
            f"delta method; drift when it leaves 1 and by at least {CHANGE:.0%}"
        ),
    )
