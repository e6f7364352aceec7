"""Probabilities mean what they say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...domain.gate import GateResult
from ..gate import Candidate, Gate, Option, held, not_judged

NAME = "calibrated"


def judge(candidate: Candidate, options: Mapping[str, Any]) -> GateResult:
    """Without a bound the calibration test must find nothing; with one the expected calibration error counts."""
    most = options["ece_at_most"]
    needed = "the calibration test finds nothing" if most is None else f"ECE at most {most:g}"
    evaluation = candidate.evaluation_with("calibration")
    if evaluation is None or evaluation.calibration is None:
        hint = f"Run `%mlops evaluate {candidate.ref} --data TEST --calibration`."
        return not_judged(NAME, needed, "no evaluation has looked at calibration", hint)
    told = evaluation.calibration
    p = "" if told.p_value is None else f", {told.test} p {told.p_value:.3g}"
    ok = told.calibrated if most is None else told.ece.value is not None and told.ece.value <= most
    return held(NAME, ok, needed, f"ECE {told.ece}{p}", "Recalibrate it: a new version.")


GATE = Gate(
    NAME,
    "the calibration test finds nothing, or the expected calibration error is at most `ece_at_most`",
    judge,
    (Option("ece_at_most", float, "0 to 1; the test decides when it is not given", None, low=0.0, high=1.0),),
    main="ece_at_most",
)
