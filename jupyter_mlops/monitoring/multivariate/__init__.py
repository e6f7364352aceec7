"""Detectors that look at all columns together; a new one is a file here and a line below."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ...domain.drift_report import Together
from . import domain_classifier, reconstruction

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["MULTIVARIATE"]

MULTIVARIATE: dict[str, Callable[[pd.DataFrame, pd.DataFrame], Together | None]] = {
    "domain_classifier": domain_classifier.measure,
    "reconstruction": reconstruction.measure,
}
"""By name; called with two tables of numbers with the same columns; None where they have too little to go by."""
