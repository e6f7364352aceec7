"""No slice much worse than the rest."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...domain.gate import GateResult
from ..gate import Candidate, Gate, Option, held, not_judged

NAME = "slices"


def judge(candidate: Candidate, options: Mapping[str, Any]) -> GateResult:
    """Every slice that is worse than the rest beyond chance must be so by at most ``at_most``."""
    most, everyone = options["at_most"], options["all_slices"]
    needed = f"no slice worse than the rest by more than {most:g}"
    evaluation = candidate.evaluation_with("slices")
    if evaluation is None or evaluation.slices is None:
        hint = f"Run `%mlops evaluate {candidate.ref} --data TEST --slices auto`."
        return not_judged(NAME, needed, "no evaluation has looked at slices", hint)
    sign = -1.0 if evaluation.slices.higher_is_better else 1.0
    gaps = [
        (sign * (s.value - s.rest), s)
        for s in evaluation.slices.slices
        if s.value is not None and s.rest is not None and (s.worse or everyone)
    ]
    if not gaps:
        return held(
            NAME,
            True,
            needed,
            f"none of {max(evaluation.slices.searched, len(evaluation.slices.slices))} is worse beyond chance",
        )
    gap, worst = max(gaps, key=lambda item: item[0])
    text = (
        f"{worst.name} ({worst.rows:,} rows): {evaluation.slices.metric} {worst.value:.4g}, elsewhere {worst.rest:.4g}"
    )
    return held(NAME, gap <= most, needed, text, "Look at that slice's rows and its training data.")


GATE = Gate(
    NAME,
    "no slice worse than the other rows by more than `at_most`",
    judge,
    (
        Option("at_most", float, "in the units of the slices' metric", required=True, low=0.0),
        Option("all_slices", bool, "count also slices that are worse within chance", False),
    ),
    main="at_most",
)
