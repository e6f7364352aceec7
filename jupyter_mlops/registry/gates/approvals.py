"""The people who must agree have agreed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...domain.gate import GateResult
from ..gate import Candidate, Gate, Option, held

NAME = "approvals"


def judge(candidate: Candidate, options: Mapping[str, Any]) -> GateResult:
    """Each role has approved this very version, by somebody who may speak for it and, if wanted, has not made it."""
    roles = options["roles"]
    needed = f"approved by {', '.join(roles)}"
    given = {a.role: a for a in candidate.approvals if not a.withdrawn and _may(candidate, a.role, a.by)}
    if options["not_by_author"]:
        needed += ", not by its author"
        given = {role: a for role, a in given.items() if a.by != candidate.author}
    if options["different_people"]:
        needed += ", each by another"
    missing = [role for role in roles if role not in given]
    told = ", ".join(f"{role}: {given[role].by}" for role in roles if role in given)
    hint = " ".join(f"`%mlops approve {candidate.ref} --as {role}`" for role in missing)
    people = {given[role].by for role in roles if role in given}
    alone = bool(options["different_people"]) and len(people) < len(roles)
    text = "; ".join(part for part in (told, f"missing: {', '.join(missing)}" if missing else "") if part)
    hint = f"Needed: {hint}." if missing else "One person has approved in several roles."
    return held(NAME, not missing and not alone, needed, text, hint)


def _may(candidate: Candidate, role: str, user: str) -> bool:
    return role not in candidate.roles or user in candidate.roles[role]


GATE = Gate(
    NAME,
    "each of the roles has approved this version",
    judge,
    (
        Option("roles", list, "the roles", required=True),
        Option("not_by_author", bool, "who registered the version does not count", False),
        Option("different_people", bool, "each role by another person", False),
    ),
    main="roles",
)
