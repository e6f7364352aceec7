"""Disturbed input costs little."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...domain.gate import GateResult
from ..gate import Candidate, Gate, Option, held, not_judged

NAME = "robust"
LOOKED_AT = "no evaluation has looked at robustness"


def judge(candidate: Candidate, options: Mapping[str, Any]) -> GateResult:
    """Under none of the disturbances the metric may lose more than ``at_most``."""
    most, wanted = options["at_most"], options["checks"]
    needed = f"no disturbance costs more than {most:g}" + (f" ({', '.join(wanted)})" if wanted else "")
    evaluation = candidate.evaluation_with("robustness")
    if evaluation is None or evaluation.robustness is None:
        return not_judged(NAME, needed, LOOKED_AT, _evaluate(candidate))
    told = evaluation.robustness
    sign = -1.0 if told.higher_is_better else 1.0
    losses = [(sign * c.change, c) for c in told.checks if c.change is not None and (not wanted or c.name in wanted)]
    missing = [name for name in wanted if name not in {c.name for _, c in losses}]
    if missing or not losses:
        hint = f"Made were: {', '.join(sorted({c.name for c in told.checks}))}."
        return not_judged(NAME, needed, f"not looked at: {', '.join(missing) or 'any disturbance'}", hint)
    loss, worst = max(losses, key=lambda item: item[0])
    column = f" of {worst.column}" if worst.column else ""
    return held(
        NAME,
        loss <= most,
        needed,
        f"{worst.name}{column}: {told.metric} {worst.change:+.4g}",
        f"That is: {worst.meaning}.",
    )


def judge_number(candidate: Candidate, options: Mapping[str, Any], check: str, needed: str, hint: str) -> GateResult:
    """A check that tells a number of its own, not a change of the metric: it must be at most ``at_most``."""
    evaluation = candidate.evaluation_with("robustness")
    if evaluation is None or evaluation.robustness is None:
        return not_judged(check, needed, LOOKED_AT, _evaluate(candidate))
    told = next((c for c in evaluation.robustness.checks if c.name == check and c.value is not None), None)
    if told is None or told.value is None:
        return not_judged(check, needed, f"no number for {check}", "It could not be tried on this model.")
    interval = "" if told.low is None or told.high is None else f" [{told.low:.3f}, {told.high:.3f}]"
    bound = told.high if options["upper_end"] and told.high is not None else told.value
    return held(check, bound <= options["at_most"], needed, f"{told.value:.3f}{interval}", hint)


def _evaluate(candidate: Candidate) -> str:
    return f"Run `%mlops evaluate {candidate.ref} --data TEST --robustness`."


GATE = Gate(
    NAME,
    "no disturbance of the input costs more than `at_most` of the metric",
    judge,
    (
        Option("at_most", float, "in the metric's own units", required=True, low=0.0),
        Option("checks", list, "only these disturbances", ()),
    ),
    main="at_most",
)
