"""Tables for simulations: fifty columns of ten kinds, drawn anew from one source, or with some of them shifted."""

from __future__ import annotations

import sys

import numpy as np
import pandas as pd

from jupyter_mlops.datasets.profile import ColumnProfile, Profile
from jupyter_mlops.domain.drift_report import DriftReport
from jupyter_mlops.monitoring.compare import compare
from jupyter_mlops.monitoring.sources import FrameSource

LETTERS = np.array(list("abcdefgh"))
FAMILIES = ("normal", "lognormal", "t2", "exponential", "cauchy")
SCALE = {"normal": 1.0, "lognormal": 2.1612, "t2": 1.0, "exponential": 1.0, "cauchy": 1.0}
"""A standard deviation, or where there is none the scale."""


def numbers(rng: np.random.Generator, family: str, rows: int) -> np.ndarray:
    if family == "t2":
        return rng.standard_t(2, rows)
    if family == "cauchy":
        return rng.standard_cauchy(rows)
    return getattr(rng, family)(size=rows)


def numeric(rng: np.random.Generator, rows: int, shifted: int = 0, by: float = 0.1) -> pd.DataFrame:
    """Fifty columns, ten of each family; the first `shifted` are moved by so many standard deviations."""
    columns = {}
    for i in range(50):
        family = FAMILIES[i % 5]
        columns[f"c{i}"] = numbers(rng, family, rows) + (by * SCALE[family] if i < shifted else 0.0)
    return pd.DataFrame(columns)


def mixed(rng: np.random.Generator, rows: int) -> pd.DataFrame:
    """Fifty columns with missing values, ties, rare and many labels, truth values and texts."""
    columns: dict[str, np.ndarray] = {}
    for i in range(20):
        values = numbers(rng, FAMILIES[i % 5], rows)
        if i % 2:
            values = np.where(rng.random(rows) < 0.02 * i, np.nan, np.round(values, 1))
        columns[f"n{i}"] = values
    for i in range(15):
        weights = np.arange(1, 9.0) ** (i % 5)
        columns[f"k{i}"] = LETTERS[rng.choice(8, rows, p=weights / weights.sum())]
    for i in range(10):
        columns[f"z{i}"] = np.char.add("id", np.minimum(rng.zipf(1.3 + i / 10, rows), 10_000).astype(str))
    for i in range(5):
        columns[f"b{i}"] = rng.random(rows) < 10.0**-i
    return pd.DataFrame({name: columns[name] for name in columns})


def exact(table: pd.DataFrame) -> Profile:
    """The profile of a table with every number kept, to be compared several times."""
    return Profile(len(table), tuple(ColumnProfile.of(table[name], name, most=sys.maxsize) for name in table))


def judged(reference: pd.DataFrame, current: pd.DataFrame, *, kept: bool = False) -> DriftReport:
    """The report on two tables; with `kept`, of a reference as it is kept beside a model."""
    return compare(Profile.of(reference) if kept else FrameSource(reference), FrameSource(current))


def alarms(report: DriftReport) -> bool:
    """Whether anybody would look up: a column that drifted or could not be judged, or a finding that is no remark."""
    return bool(report.drifted or report.unjudged or any(f.severity != "info" for f in report.findings))
