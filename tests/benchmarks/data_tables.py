"""The table that the data benchmark versions: half a million mixed rows, and four later states of it."""

from __future__ import annotations

import numpy as np
import pandas as pd

ROWS = 500_000
STREETS = ["Oak", "Elm", "Maple", "Cedar", "Pine", "Lake", "Hill", "Park"]


def first(rows: int = ROWS, seed: int = 0) -> pd.DataFrame:
    """Twenty columns: identifier, times, measurements, prices, counts, flags, categories, short and long texts."""
    rng = np.random.default_rng(seed)
    streets = rng.choice(STREETS, rows).astype(object)
    texts = pd.Series(streets) + " street " + pd.Series(rng.integers(1, 9999, rows)).astype(str)
    emails = "u" + pd.Series(rng.integers(0, 10**9, rows)).astype(str) + "@example.org"
    held = {
        "id": np.arange(rows) * 7 + 10**6,
        "at": pd.Timestamp("2024-01-01") + pd.to_timedelta(np.sort(rng.integers(0, 10**8, rows)), unit="s"),
        "born": pd.Timestamp("1950-01-01") + pd.to_timedelta(rng.integers(0, 20_000, rows), unit="D"),
        **{f"x{i}": rng.normal(size=rows) * 10.0**i for i in range(5)},
        "gap": np.where(rng.random(rows) < 0.1, np.nan, rng.normal(size=rows)),
        "price": np.round(rng.gamma(2.0, 30.0, rows), 2),
        "share": np.round(rng.random(rows), 3),
        "count": rng.poisson(20, rows),
        "age": rng.integers(17, 91, rows),
        "zip": rng.integers(10_000, 99_999, rows),
        "member": rng.random(rows) < 0.3,
        "active": rng.random(rows) < 0.9,
        "plan": pd.Categorical(rng.choice(["free", "basic", "team", "firm"], rows)),
        "city": pd.Series(rng.choice([f"city {i}" for i in range(300)], rows)),
        "street": texts,
        "email": emails,
    }
    return pd.DataFrame(held)


def changed(frame: pd.DataFrame) -> pd.DataFrame:
    """One row in a hundred has another value in two columns."""
    rng = np.random.default_rng(1)
    rows = rng.choice(len(frame), len(frame) // 100, replace=False)
    price, count = frame["price"].to_numpy().copy(), frame["count"].to_numpy().copy()
    price[rows] = np.round(rng.gamma(2.0, 30.0, len(rows)), 2)
    count[rows] += 1
    return frame.assign(price=price, count=count)


def appended(frame: pd.DataFrame) -> pd.DataFrame:
    """One row in a hundred more, at the end."""
    return pd.concat([frame, _more(frame, len(frame) // 100)], ignore_index=True)


def widened(frame: pd.DataFrame) -> pd.DataFrame:
    """One column more, of 64-bit fractions."""
    return frame.assign(score=np.random.default_rng(3).normal(size=len(frame)))


def inserted(frame: pd.DataFrame) -> pd.DataFrame:
    """A hundred rows more, in the middle."""
    half = len(frame) // 2
    return pd.concat([frame[:half], _more(frame, 100), frame[half:]], ignore_index=True)


LATER = {
    "1 % of rows changed in two columns": changed,
    "1 % of rows appended": appended,
    "one column added": widened,
    "100 rows inserted": inserted,
}


def _more(frame: pd.DataFrame, rows: int) -> pd.DataFrame:
    more = first(rows, seed=2)
    return more.assign(id=np.arange(rows) * 7 + int(frame["id"].max()) + 7)
