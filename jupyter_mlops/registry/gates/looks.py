"""The test set was not looked at again and again for this candidate."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...domain.gate import GateResult
from ..gate import Candidate, Gate, Option, held, not_judged

NAME = "test_looks"


def judge(candidate: Candidate, options: Mapping[str, Any]) -> GateResult:
    """Every stored evaluation on the table is a look at it; the table is the newest evaluation's when none is named."""
    most, data = options["at_most"], options["data"]
    needed = f"the test set {data} looked at at most {most:g} times".replace("  ", " ")
    newest = candidate.newest
    if newest is None:
        return not_judged(
            NAME, needed, "never evaluated", f"Run `%mlops evaluate {candidate.ref} --data {data or 'TEST'}`."
        )
    digest = newest.data_digest
    looks = [e for e in candidate.evaluations if (e.data == data if data else bool(digest) and e.data_digest == digest)]
    if not looks:
        return not_judged(
            NAME,
            needed,
            f"never evaluated on {data or 'a table with a digest'}",
            f"Run `%mlops evaluate {candidate.ref} --data {data or 'TEST'}`.",
        )
    text = f"{len(looks)} evaluations on {looks[0].data or 'the table'}"
    return held(NAME, len(looks) <= most, needed, text, "A new test set is needed: this one has been used to choose.")


GATE = Gate(
    NAME,
    "this candidate was evaluated on the test set at most so many times",
    judge,
    (
        Option("at_most", float, "how many evaluations", 1.0, low=1.0),
        Option("data", str, "the test set, `adult-test@v2`; the newest evaluation's table by default", ""),
    ),
    main="at_most",
)
