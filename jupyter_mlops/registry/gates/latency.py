"""A prediction does not take long."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...domain.gate import GateResult
from ..gate import Candidate, Gate, Option, held, not_judged

NAME = "latency"


def judge(candidate: Candidate, options: Mapping[str, Any]) -> GateResult:
    """Milliseconds a row, as the newest evaluation took for the whole table in one batch."""
    most = options["at_most_ms"]
    needed = f"at most {most:g} ms a row"
    told = next((e for e in candidate.evaluations if e.predict_seconds is not None and e.rows), None)
    if told is None or told.predict_seconds is None:
        return not_judged(
            NAME, needed, "no evaluation has timed it", f"Run `%mlops evaluate {candidate.ref} --data TEST`."
        )
    each = told.predict_seconds * 1000 / told.rows
    return held(
        NAME, each <= most, needed, f"{each:.4g} ms a row, {told.rows:,} rows in one batch", "Compress the model."
    )


GATE = Gate(
    NAME,
    "at most so many milliseconds a row, in a batch, where it was evaluated",
    judge,
    (Option("at_most_ms", float, "milliseconds a row", required=True, low=0.0),),
    main="at_most_ms",
)
