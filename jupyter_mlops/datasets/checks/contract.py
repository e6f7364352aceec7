"""What the table's contract asks for and the table does not keep."""

from __future__ import annotations

from collections.abc import Iterator

from ...domain.data_check import Finding
from ..check import Check, Subject, finding
from ..contract import breaches

NAME = "contract"


def look(subject: Subject) -> Iterator[Finding]:
    """Every breach of the contract."""
    if subject.contract is None:
        return
    for breach in breaches(subject.contract, subject.frame):
        hidden = breach.column in subject.personal
        yield finding(
            NAME, breach.severity, breach.column, f"{breach.message} ({subject.contract.source})", breach.rows,
            count=breach.count, of=len(subject.frame), examples=() if hidden else breach.examples,
            convention=breach.rule, fix=breach.fix.format(table=subject.name),
        )  # fmt: skip


CHECK = Check(NAME, "what the contract asks for", look, when=lambda s: s.contract is not None)
