"""The checks, in the order in which they are carried out. A new one is a file here and a line below.

Personal data is looked for first, so that no other check quotes it.
"""

from __future__ import annotations

from ..check import Check
from . import (
    constant,
    contract,
    duplicates,
    identifiers,
    imbalance,
    label_errors,
    missing,
    mixed_types,
    outliers,
    personal_data,
    representativeness,
    split_leakage,
    target_leakage,
    time_travel,
)

__all__ = ["CHECKS"]

CHECKS: dict[str, Check] = {
    module.CHECK.name: module.CHECK
    for module in (
        personal_data,
        contract,
        target_leakage,
        split_leakage,
        time_travel,
        label_errors,
        duplicates,
        missing,
        mixed_types,
        constant,
        identifiers,
        imbalance,
        representativeness,
        outliers,
    )
}
