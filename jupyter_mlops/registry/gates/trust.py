"""The notebook can give the run again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...domain.gate import GateResult
from ...errors import InvalidArgument
from ..gate import Candidate, Gate, Option, held, not_judged

NAME = "trust"
LABELS = ("reproducible", "consistent")


def judge(candidate: Candidate, options: Mapping[str, Any]) -> GateResult:
    """The trust label of the run that made the model: ``consistent`` is also held by ``reproducible``."""
    wanted = options["label"]
    if wanted not in LABELS:
        raise InvalidArgument.unknown("trust label of a gate", wanted, LABELS)
    needed = f"the run is {wanted}"
    if not candidate.trust:
        return not_judged(NAME, needed, "the run has no trust label", "Train the model in a `%%mlops run` cell.")
    ok = candidate.trust == wanted or candidate.trust == LABELS[0]
    return held(
        NAME, ok, needed, candidate.trust, "Restart the kernel, run the notebook from the top, register that model."
    )


GATE = Gate(
    NAME,
    "the trust label of the run that made it",
    judge,
    (Option("label", str, "`reproducible`, or `consistent` which asks less", "reproducible"),),
    main="label",
)
