"""Few predictions can be turned by an attacker's small moves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...domain.gate import GateResult
from ..gate import Candidate, Gate, Option
from .robust import judge_number

NAME = "attack"


def judge(candidate: Candidate, options: Mapping[str, Any]) -> GateResult:
    """The share of rightly predicted rows that the black-box search turned must be at most ``at_most``."""
    needed = f"an attack turns at most {options['at_most']:.0%} of the right predictions"
    hint = f"Train a candidate that withstands it: `%mlops harden {candidate.ref} --data TRAIN`."
    return judge_number(candidate, options, NAME, needed, hint)


GATE = Gate(
    NAME,
    "a search for small moves of the input turns at most `at_most` of the right predictions",
    judge,
    (
        Option("at_most", float, "a share, 0 to 1", required=True, low=0.0, high=1.0),
        Option("upper_end", bool, "hold the upper end of the interval against the bound", False),
    ),
    main="at_most",
)
