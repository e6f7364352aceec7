"""The pipeline that was exported from the notebook gives the notebook's results."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...domain.gate import GateResult
from ..gate import Candidate, Gate, held, not_judged

NAME = "pipeline"
NEEDED = "its pipeline is verified"


def judge(candidate: Candidate, _options: Mapping[str, Any]) -> GateResult:
    """The verification of the pipeline that holds the run has passed."""
    told = candidate.pipeline
    if told is None:
        hint = "Run `%mlops export --to python -o DIR`, then `%mlops verify DIR`."
        return not_judged(NAME, NEEDED, "no verified pipeline is known for the run", hint)
    ok = told.get("verified") is True
    return held(
        NAME, ok, NEEDED, "verified" if ok else "not verified", f"See `%mlops verify {told.get('directory', 'DIR')}`."
    )


GATE = Gate(NAME, "the exported pipeline was run and gave the notebook's results", judge)
