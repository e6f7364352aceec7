"""Groups are treated alike, within a bound."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...domain.gate import GateResult
from ..gate import Candidate, Gate, Option, held, not_judged

NAME = "fairness"


def judge(candidate: Candidate, options: Mapping[str, Any]) -> GateResult:
    """The criterion's gap between the two groups furthest apart must be at most ``at_most``, for every attribute."""
    most, criterion, wanted = options["at_most"], options["criterion"], options["attributes"]
    needed = f"{criterion} at most {most:g}" + (f" by {', '.join(wanted)}" if wanted else "")
    found = []
    evaluation = candidate.evaluation_with("fairness")
    known = {f.attribute: f for f in evaluation.fairness} if evaluation else {}
    attributes = wanted or list(known)
    hint = f"Run `%mlops evaluate {candidate.ref} --data TEST --fairness {','.join(attributes) or 'COLUMN'}`."
    if not attributes or any(name not in known for name in attributes):
        lacks = [name for name in attributes if name not in known]
        return not_judged(NAME, needed, f"no evaluation of fairness by {', '.join(lacks) or 'any attribute'}", hint)
    for name in attributes:
        value = next((c for c in known[name].criteria if c.name == criterion), None)
        if value is None or value.value is None:
            return not_judged(NAME, needed, f"{criterion} is not known for {name}", hint)
        bound = value.high if options["upper_end"] and value.high is not None else value.value
        found.append((bound, f"{name}: {value}"))
    return held(
        NAME,
        max(found)[0] <= most,
        needed,
        "; ".join(text for _, text in found),
        "Mitigate, then register the new version.",
    )


GATE = Gate(
    NAME,
    "the largest gap between two groups at most `at_most`",
    judge,
    (
        Option("at_most", float, "0 to 1", required=True, low=0.0, high=1.0),
        Option("criterion", str, "as fairlearn names it", "equalized_odds_difference"),
        Option("attributes", list, "the columns; all that were looked at by default", ()),
        Option("upper_end", bool, "hold the upper end of the interval against the bound", False),
    ),
    main="at_most",
)
