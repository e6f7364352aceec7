"""Gate: what must hold before an alias moves, what was found, and the approvals given."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from .display import Displayed, clock, table
from .record import Record

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["AliasMove", "Approval", "GateReport", "GateResult", "ModelHistory"]

Verdict = Literal["passed", "failed", "not judged"]


@dataclass(frozen=True)
class GateResult(Record):
    """One gate: what it needs, what was found, and the verdict.

    Parameters
    ----------
    verdict
        ``not judged`` where something it looks at is not there; that counts as failed.
    hint
        What to do, or to run, when it has not passed.
    """

    gate: str
    needed: str
    found: str
    verdict: Verdict
    hint: str = ""

    @property
    def passed(self) -> bool:
        """Whether it holds."""
        return self.verdict == "passed"


@dataclass(frozen=True)
class GateReport(Displayed, Record):
    """Every gate of an alias, judged for one model version."""

    model: str
    alias: str
    results: tuple[GateResult, ...]
    judged_ms: int = 0
    notes: tuple[str, ...] = ()

    def __iter__(self) -> Iterator[GateResult]:
        return iter(self.results)

    def __len__(self) -> int:
        return len(self.results)

    @property
    def passed(self) -> bool:
        """Whether every gate holds."""
        return all(result.passed for result in self.results)

    def to_pandas(self) -> pd.DataFrame:
        """One row a gate."""
        import pandas as pd

        return pd.DataFrame([result.to_dict() for result in self.results])

    @property
    def judged(self) -> bool:
        """Whether they were judged for a version, and not only listed."""
        return "@" in self.model

    @property
    def ok(self) -> bool:
        """Whether nothing stands in the way of what was asked about; in a shell the exit code tells it."""
        return self.passed or not self.judged

    def text(self) -> str:
        if not self.results:
            return (
                f"no gates are declared for {self.alias!r}; declare them in [tool.jupyter_mlops.gates.{self.alias}] "
                "of pyproject.toml, or in mlops-gates.toml."
            )
        bad = sum(not result.passed for result in self.results)
        verdict = "every gate holds" if not bad else f"{bad} of {len(self.results)} gates do not hold"
        rows = [[r.gate, r.verdict, r.needed, r.found] for r in self.results]
        hints = [f"{r.gate}: {r.hint}" for r in self.results if r.hint and not r.passed]
        head = f"{self.model} as {self.alias}: {verdict}"
        if not self.judged:
            head = f"{self.alias}: {len(self.results)} gate{'' if len(self.results) == 1 else 's'} declared"
        return "\n".join([head, table(["gate", "verdict", "needed", "found"], rows), *hints, *self.notes])


@dataclass(frozen=True)
class Approval(Displayed, Record):
    """Somebody's word, in a role, that a model version may go live."""

    model: str
    role: str
    by: str
    at_ms: int
    note: str = ""
    withdrawn: bool = False

    def text(self) -> str:
        word = "withdrawn" if self.withdrawn else "given"
        tail = f": {self.note}" if self.note else ""
        return f"approval of {self.model} as {self.role} {word} by {self.by}, {clock(self.at_ms)}{tail}"


@dataclass(frozen=True)
class AliasMove(Record):
    """One move of an alias: who, when, why, from what to what."""

    alias: str
    version: int | None
    before: int | None
    at_ms: int
    by: str
    reason: str = ""
    forced: bool = False


@dataclass(frozen=True)
class ModelHistory(Displayed, Record):
    """Every move of a model's aliases, newest first, and where they stand now."""

    name: str
    moves: tuple[AliasMove, ...]
    now: dict[str, Any]

    def __iter__(self) -> Iterator[AliasMove]:
        return iter(self.moves)

    def __len__(self) -> int:
        return len(self.moves)

    def to_pandas(self) -> pd.DataFrame:
        """One row a move."""
        import pandas as pd

        return pd.DataFrame([move.to_dict() for move in self.moves])

    def text(self) -> str:
        now = ", ".join(f"{alias} is version {version}" for alias, version in sorted(self.now.items()))
        if not self.moves:
            return f"{self.name}: no alias has been moved yet"
        rows = [
            [
                clock(m.at_ms),
                m.alias,
                "-" if m.before is None else m.before,
                "taken away" if m.version is None else m.version,
                m.by,
                ("FORCED: " if m.forced else "") + m.reason,
            ]
            for m in self.moves
        ]
        return f"{self.name}: {now or 'no alias'}\n" + table(["when", "alias", "from", "to", "who", "why"], rows)
