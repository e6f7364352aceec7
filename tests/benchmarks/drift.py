"""Drift of a wide table, against the same statistics by hand with scipy and pandas; CPU seconds, one core."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import pandas as pd

from jupyter_mlops.datasets.profile import Profile
from jupyter_mlops.monitoring.compare import compare, profile_of

from .figures import compared, in_turn

ROWS = 100_000
NUMBERS = 40
TEXTS = 14


def table(seed: int) -> pd.DataFrame:
    """A table of numbers and categories, drawn anew for each side."""
    draw = np.random.default_rng(seed)
    numbers = {f"n{i}": draw.lognormal(size=ROWS) for i in range(NUMBERS)}
    texts = {f"t{i}": draw.choice(list("abcdefgh"), ROWS) for i in range(TEXTS)}
    return pd.DataFrame(numbers | texts)


def by_hand(reference: pd.DataFrame, current: pd.DataFrame) -> None:
    """KS, PSI, Wasserstein and Jensen-Shannon for numbers, chi-square and PSI for categories, as one writes them."""
    from scipy.spatial.distance import jensenshannon
    from scipy.stats import chi2_contingency, ks_2samp, wasserstein_distance

    for name in reference:
        a, b = reference[name], current[name]
        if a.dtype.kind == "f":
            ks_2samp(a, b)
            wasserstein_distance(a, b)
            edges = np.quantile(a, np.linspace(0, 1, 11))
            p, q = (np.histogram(x.clip(edges[0], edges[-1]), edges)[0] / len(x) + 1e-4 for x in (a, b))
        else:
            counts = pd.DataFrame({"a": a.value_counts(), "b": b.value_counts()}).fillna(0)
            chi2_contingency(counts)
            p, q = (counts[x].to_numpy() / ROWS + 1e-4 for x in ("a", "b"))
        ((p - q) * np.log(p / q)).sum()
        jensenshannon(p, q)


def cpu(work: Callable[[], object]) -> float:
    """CPU seconds of one call."""
    began = time.process_time()
    work()
    return time.process_time() - began


def main() -> None:
    """Measure 54 columns at 100,000 rows a side, the reference profiled once as at registration."""
    reference, current = table(1), table(2)
    profile = Profile.of(reference)

    def ours() -> None:
        now, found = profile_of(current, like=profile)
        compare(profile, now, found=found)

    mine, other = in_turn(lambda: cpu(ours), lambda: cpu(lambda: by_hand(reference, current)), rounds=3)
    figure = f"{NUMBERS + TEXTS} columns x {ROWS:,} rows"
    compared("drift", figure, "CPU s", mine, "scipy and pandas by hand", other, goal=3).report()
