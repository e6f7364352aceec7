"""The model does not give away who was in its training data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...domain.gate import GateResult
from ..gate import Candidate, Gate, Option
from .robust import judge_number

NAME = "membership"


def judge(candidate: Candidate, options: Mapping[str, Any]) -> GateResult:
    """The area under the ROC curve of telling training rows from others by their loss must be at most ``at_most``."""
    needed = f"training rows are told from others with an area of at most {options['at_most']:g}"
    return judge_number(candidate, options, NAME, needed, "Regularise the model, or train it on more rows.")


GATE = Gate(
    NAME,
    "membership inference reaches an area under the ROC curve of at most `at_most`; 0.5 tells nothing",
    judge,
    (
        Option("at_most", float, "an area, 0.5 to 1", required=True, low=0.5, high=1.0),
        Option("upper_end", bool, "hold the upper end of the interval against the bound", False),
    ),
    main="at_most",
)
