"""The data it was trained on has passed its checks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...domain.gate import GateResult
from ..gate import Candidate, Gate, Option, held, not_judged

NAME = "data_checks"


def judge(candidate: Candidate, options: Mapping[str, Any]) -> GateResult:
    """Every data version it was trained on has no error, and no more warnings than allowed."""
    most = options["warnings_at_most"]
    needed = "no error in the training data" + ("" if most is None else f", at most {most:g} warnings")
    if not candidate.data:
        hint = "Save the table with `%mlops data save`, then register the model with `--data NAME@vN`."
        return not_judged(NAME, needed, "no data version is known for the model", hint)
    unchecked = [ref for ref in candidate.data if candidate.data_checks.get(ref) is None]
    if unchecked:
        return not_judged(
            NAME, needed, f"not checked: {', '.join(unchecked)}", f"Run `%mlops data check {unchecked[0]}`."
        )
    told = {ref: candidate.data_checks[ref] or {} for ref in candidate.data}
    errors = sum(int(c.get("errors", 0)) for c in told.values())
    warnings = sum(int(c.get("warnings", 0)) for c in told.values())
    ok = errors == 0 and (most is None or warnings <= most)
    text = f"{errors} errors, {warnings} warnings in {', '.join(told)}"
    return held(NAME, ok, needed, text, "Mend the data, save it anew, and train on that version.")


GATE = Gate(
    NAME,
    "every data version it was trained on was checked and has no error",
    judge,
    (Option("warnings_at_most", float, "how many warnings are allowed; any number when not given", None, low=0.0),),
    main="warnings_at_most",
)
