"""The model is small."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...domain.gate import GateResult
from ..gate import Candidate, Gate, Option, held, not_judged

NAME = "size"


def judge(candidate: Candidate, options: Mapping[str, Any]) -> GateResult:
    """All files of the model as stored, in millions of bytes."""
    most = options["at_most_mb"]
    needed = f"at most {most:g} MB"
    if candidate.size_bytes is None:
        return not_judged(
            NAME,
            needed,
            "the model's files cannot be reached",
            f"See `%mlops models {candidate.ref.partition('@')[0]}`.",
        )
    return held(
        NAME, candidate.size_bytes <= most * 1e6, needed, f"{candidate.size_bytes / 1e6:.3g} MB", "Compress the model."
    )


GATE = Gate(
    NAME,
    "the model's files take at most so many megabytes",
    judge,
    (Option("at_most_mb", float, "millions of bytes", required=True, low=0.0),),
    main="at_most_mb",
)
