"""Better than the version that has the alias, by at least so much, with confidence, on the same rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...domain.evaluation import HEADLINE, Evaluation
from ...domain.gate import GateResult
from ...errors import MLOpsError
from ..gate import Candidate, Gate, Option, held, not_judged

NAME = "better"


def judge(candidate: Candidate, options: Mapping[str, Any]) -> GateResult:
    """The near end of the paired interval of the difference must reach ``by``."""
    by, level, metric = options["by"], options["level"], options["metric"]
    needed = f"{metric or 'metric'} better by {by:g} at {level:.0%}"
    if not candidate.champion:
        return held(NAME, True, needed, f"nothing has the alias {candidate.alias} yet")
    if candidate.champion == candidate.ref:
        return held(NAME, True, needed, f"it has the alias {candidate.alias} already")
    pair = _same_table(candidate, options["data"])
    if pair is None or candidate.rows is None:
        where = _where(candidate, options["data"])
        hint = f"Run `%mlops evaluate {candidate.ref} --data {where}` and `%mlops evaluate {candidate.champion} --data {where}`."
        return not_judged(
            NAME, needed, f"no evaluation of both {candidate.ref} and {candidate.champion} on one table", hint
        )
    mine, other = pair
    metric = metric or HEADLINE[mine.task][0]
    needed = f"{metric} better than {candidate.champion} by {by:g} at {level:.0%}"
    from ...evaluation.paired import paired_difference

    try:
        found = paired_difference(metric, candidate.rows(mine), candidate.rows(other), level)
    except MLOpsError as error:
        return not_judged(NAME, needed, error.message, error.hint or f"Evaluate both again on {mine.data}.")
    near = found.low if found.higher_is_better else -found.high
    text = f"{found.value:+.4f} [{found.low:+.4f}, {found.high:+.4f}] on {mine.data}, {found.rows:,} rows"
    return held(NAME, near >= by if by else near > 0, needed, text, "It is not better beyond chance by that much.")


def _same_table(candidate: Candidate, data: str) -> tuple[Evaluation, Evaluation] | None:
    for mine in candidate.evaluations:
        for other in candidate.champion_evaluations:
            same = mine.data_digest and mine.data_digest == other.data_digest and mine.target == other.target
            if same and data in ("", mine.data) and mine.rows_digest and other.rows_digest:
                return mine, other
    return None


def _where(candidate: Candidate, data: str) -> str:
    known = [e.data for e in (*candidate.evaluations, *candidate.champion_evaluations) if e.data]
    return data or (known[0] if known else "TEST")


GATE = Gate(
    NAME,
    "better than the version that has the alias, by at least `by`, at the near end of the paired interval",
    judge,
    (
        Option("by", float, "how much better, in the metric's own units; negative allows that much worse", 0.0),
        Option("metric", str, "which metric; the task's first headline metric by default", ""),
        Option("level", float, "the level of the interval", 0.95, low=0.5, high=0.9999),
        Option("data", str, "only evaluations on this table, such as `adult-test@v2`", ""),
    ),
    main="by",
)
