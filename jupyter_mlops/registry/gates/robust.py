"""Disturbed input costs little."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...domain.gate import GateResult
from ..gate import Candidate, Gate, Option, held, not_judged

NAME = "robust"


def judge(candidate: Candidate, options: Mapping[str, Any]) -> GateResult:
    """Under none of the disturbances the metric may lose more than ``at_most``."""
    most, wanted = options["at_most"], options["checks"]
    needed = f"no disturbance costs more than {most:g}" + (f" ({', '.join(wanted)})" if wanted else "")
    evaluation = candidate.evaluation_with("robustness")
    if evaluation is None or evaluation.robustness is None:
        hint = f"Run `%mlops evaluate {candidate.ref} --data TEST --robustness`."
        return not_judged(NAME, needed, "no evaluation has looked at robustness", hint)
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
