"""The test set was not looked at again and again for this candidate."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...domain.gate import GateResult
from ..gate import Candidate, Gate, Option, failed, held, not_judged

NAME = "test_looks"
AGAIN = "A new test set is needed: this one has been used to choose."


def judge(candidate: Candidate, options: Mapping[str, Any]) -> GateResult:
    """Looks at a sealed version are those that were counted; else every stored evaluation on the table is one.

    The table is the newest evaluation's where none is named.
    """
    most, data = options["at_most"], options["data"]
    counted = "sealed and " if options["sealed"] else ""
    needed = f"the test set {data} {counted}looked at at most {most:g} {'time' if most == 1 else 'times'}"
    needed = needed.replace("  ", " ")
    newest = candidate.newest
    table = data or (newest.data if newest is not None else "")
    evaluate = f"Run `%mlops evaluate {candidate.ref} --data {data or 'TEST'}`."
    if not table:
        return not_judged(NAME, needed, "never evaluated", evaluate)
    seal = candidate.seal(table) if candidate.seal is not None else None
    if seal is not None and seal.sealed_ms and candidate.made_for is not None:
        mine = [look for look in seal.looks if candidate.made_for(look)]
        others = [look for look in seal.looks if not look.model]
        if not mine:
            return not_judged(NAME, needed, f"{seal.ref} was never looked at for it", evaluate)
        text = f"{_times(len(mine))} for this candidate at {seal.ref}, {_times(len(others))} for no model in particular"
        count = len(mine) + (len(others) if options["unnamed"] else 0)
        return held(NAME, count <= most, needed, text, AGAIN)
    if options["sealed"]:
        return failed(
            NAME, needed, f"{table} is not sealed", "Seal it before anybody looks: `%mlops data seal NAME@vN`."
        )
    digest = newest.data_digest if newest is not None else ""
    looks = [e for e in candidate.evaluations if (e.data == data if data else bool(digest) and e.data_digest == digest)]
    if not looks:
        return not_judged(NAME, needed, f"never evaluated on {data or 'a table with a digest'}", evaluate)
    text = f"{len(looks)} evaluations on {looks[0].data or 'the table'}"
    return held(NAME, len(looks) <= most, needed, text, AGAIN)


def _times(count: int) -> str:
    return f"{count} {'look' if count == 1 else 'looks'}"


GATE = Gate(
    NAME,
    "the test set was looked at at most so many times for this candidate",
    judge,
    (
        Option("at_most", float, "how many looks", 1.0, low=1.0),
        Option("data", str, "the test set, `adult-test@v2`; the newest evaluation's table by default", ""),
        Option("sealed", bool, "it must be sealed, so that every look is known", False),
        Option("unnamed", bool, "count looks that name no model too", False),
    ),
    main="at_most",
)
