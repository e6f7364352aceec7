"""Data check: what is wrong with a table, how bad it is, what shows it, and the line of code that mends it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from .display import Displayed, cut, table
from .record import Record

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["SEVERITIES", "DataCheck", "Finding", "Severity", "Skipped"]

Severity = Literal["error", "warning", "info"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "info")
"""An error makes a model or its evaluation wrong, a warning may, an info is good to know."""

WIDEST = 110


@dataclass(frozen=True)
class Finding(Record):
    """One thing that a check found.

    Parameters
    ----------
    check
        The check's name.
    columns
        The columns concerned, none for whole rows.
    message
        What it is, in a line.
    count, of
        How many rows (or cells of the column) it is about, of how many looked at; 0 where it is not about rows.
    rows
        Positions of the first few of them, from 0.
    examples
        Values of theirs; masked where the column holds personal data.
    numbers
        What was measured, by name.
    convention
        How the numbers are defined.
    fix
        Python that mends it, or that shows what a person has to judge.
    """

    check: str
    severity: Severity
    columns: tuple[str, ...]
    message: str
    count: int = 0
    of: int = 0
    rows: tuple[int, ...] = ()
    examples: tuple[str, ...] = ()
    numbers: dict[str, float] = field(default_factory=dict)
    convention: str = ""
    fix: str = ""


@dataclass(frozen=True)
class Skipped(Record):
    """A check, or a column of one, that could not be carried out, and why."""

    check: str
    column: str
    reason: str


@dataclass(frozen=True)
class DataCheck(Displayed, Record):
    """What the checks say of a table, the worst first.

    Parameters
    ----------
    table
        What the table is called.
    version
        The data version that it holds, and beside which the report is kept; empty for none.
    checks
        The checks that were carried out.
    personal
        Columns that hold personal data, and of which kind.
    note
        What else has to be said.

    Examples
    --------
    >>> report = DataCheck("df", 3, 1, findings=(Finding("missing", "warning", ("age",), "1 of 3 cells is missing"),))
    >>> report.warnings, report.errors, report.passed
    (1, 0, True)
    """

    table: str
    rows: int
    columns: int
    findings: tuple[Finding, ...] = ()
    skipped: tuple[Skipped, ...] = ()
    checks: tuple[str, ...] = ()
    target: str = ""
    version: str = ""
    personal: dict[str, str] = field(default_factory=dict)
    at_ms: int = 0
    seconds: float = 0.0
    note: str = ""

    def __iter__(self) -> Iterator[Finding]:
        return iter(self.findings)

    def __len__(self) -> int:
        return len(self.findings)

    def count(self, severity: Severity) -> int:
        """How many findings have a severity."""
        return sum(finding.severity == severity for finding in self.findings)

    @property
    def errors(self) -> int:
        """How many findings are errors."""
        return self.count("error")

    @property
    def warnings(self) -> int:
        """How many findings are warnings."""
        return self.count("warning")

    @property
    def passed(self) -> bool:
        """Whether there is no error."""
        return self.errors == 0

    def of(self, check: str) -> tuple[Finding, ...]:
        """The findings of one check."""
        return tuple(finding for finding in self.findings if finding.check == check)

    def to_pandas(self) -> pd.DataFrame:
        """One row a finding."""
        import pandas as pd

        kept = ("severity", "check", "columns", "message", "count", "of", "fix")
        rows: list[dict[str, Any]] = [{name: getattr(f, name) for name in kept} for f in self.findings]
        return pd.DataFrame(rows, columns=list(kept))

    @property
    def headline(self) -> str:
        """The verdict in a line."""
        told = [f"{n} {_word(s, n)}" for s in SEVERITIES if (n := self.count(s))]
        name = self.table if self.version in ("", self.table) else f"{self.table} ({self.version})"
        return f"{name}: {', '.join(told) or 'nothing found'}; {self.rows:,} rows x {self.columns} columns"

    def text(self) -> str:
        lines = [f"{self.headline}, {len(self.checks)} checks in {self.seconds:.1f} s"]
        if self.findings:
            rows = [[f.severity, f.check, cut(", ".join(f.columns), 28), cut(f.message, WIDEST)] for f in self.findings]
            lines.append(table(["severity", "check", "column", "what"], rows))
            fixes = list(dict.fromkeys(f.fix for f in self.findings if f.fix and f.severity != "info"))
            told = [line for fix in fixes for line in fix.splitlines()]
            told = [
                line for i, line in enumerate(told) if line not in told[:i] or not line.startswith(("import ", "from "))
            ]
            lines += ["mend with:", *(f"    {line}" for line in told)] if told else []
        if self.skipped:
            lines.append(table(["not checked", "column", "why"], [[s.check, s.column, s.reason] for s in self.skipped]))
        return "\n".join([*lines, *([self.note] if self.note else [])])


def _word(severity: str, number: int) -> str:
    return severity if number == 1 or severity == "info" else f"{severity}s"
