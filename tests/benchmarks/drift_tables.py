"""The tables of the drift benchmark: 54 mixed columns, drawn anew for each side; used in the peer's environment too."""

from __future__ import annotations

import numpy as np
import pandas as pd


def mixed(rows: int, seed: int) -> pd.DataFrame:
    """Forty floats (NaN, infinities, heavy tails, constants), ten strings (one with 10,000 categories), two dates, two booleans."""
    draw = np.random.default_rng(seed)
    families = [
        draw.normal,
        draw.lognormal,
        draw.exponential,
        lambda size: draw.standard_t(2, size),
        draw.standard_cauchy,
    ]
    columns: dict[str, np.ndarray] = {}
    for i in range(40):
        values = families[i % 5](size=rows)
        if i % 4 == 1:
            values[draw.random(rows) < 0.05] = np.nan
        if i % 10 == 3:
            values[::1000] = np.inf
        if i in (20, 30):
            values[:] = 1.5
        columns[f"f{i}"] = values
    for i in range(10):
        count = 10_000 if i == 0 else 3 + 5 * i
        columns[f"s{i}"] = np.array([f"label {j}" for j in range(count)], dtype=object)[draw.integers(0, count, rows)]
    for i in range(2):
        seconds = draw.integers(0, 10**7, rows).astype("timedelta64[s]")
        columns[f"d{i}"] = np.datetime64("2026-01-01", "s") + seconds
        columns[f"b{i}"] = draw.random(rows) < 0.3
    return pd.DataFrame(columns)


def floats(frame: pd.DataFrame) -> list[np.ndarray]:
    """The forty float columns."""
    return [frame[f"f{i}"].to_numpy() for i in range(40)]
