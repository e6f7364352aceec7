"""The trace: what was executed, as statements in the order in which they ran."""

from __future__ import annotations

import ast
from dataclasses import dataclass, field

from ..domain.workspace import Cell
from .evidence import CellEvidence

__all__ = ["Execution", "Statement", "Trace"]


@dataclass(frozen=True)
class Statement:
    """One statement of one execution.

    Parameters
    ----------
    node
        `text`, parsed.
    in_run
        It ran inside a run that was recorded.
    opaque
        The name of what in it only a notebook can do: ``%%bash``. Empty for plain Python.
    metric
        The name under which a value that the notebook only logged or showed is kept.
    """

    text: str
    node: ast.stmt
    execution: Execution = field(repr=False)
    line: int = 1
    in_run: bool = False
    opaque: str = ""
    metric: str = ""
    magic: str = ""
    """The magic or shell command that it stands for."""
    failed: bool = False
    """It raised in the notebook; its text lets that pass."""
    keep: bool = False
    """It belongs to every pipeline that keeps what stands around it."""
    seeds: bool = False
    """It sets the global random generators, though its text does not show that."""
    paragraph: int = 0
    """Which of the cell's blocks between empty lines it stands in."""

    @property
    def where(self) -> str:
        """The cell as the notebook numbers it."""
        return f"[{self.execution.cell.count}]"


@dataclass(frozen=True, eq=False)
class Execution:
    """One execution of one cell."""

    cell: Cell
    text: str
    """The cell as Python."""
    statements: list[Statement] = field(default_factory=list)
    evidence: CellEvidence | None = None
    """What it was seen to do, where somebody watched."""

    @property
    def ok(self) -> bool:
        """Whether all that is left of it ran; a cell that runs right now has come as far as the line that asks."""
        return self.cell.outcome in ("ok", "running") or self.settled

    @property
    def settled(self) -> bool:
        """Whether it failed at a line that is known: what stands above it ran, what stands below did not."""
        return self.cell.outcome == "error" and self.evidence is not None and self.evidence.error_line > 0


@dataclass
class Trace:
    """What was executed, and what was read off it besides."""

    executions: list[Execution] = field(default_factory=list)
    logged: list[str] = field(default_factory=list)
    """Names of what was logged or registered."""
    metrics: list[Statement] = field(default_factory=list)
    """Metrics that were only shown, each kept under a name."""
    shown: dict[str, list[str]] = field(default_factory=dict)
    """What was left out because it only shows: title to cells."""
    actions: dict[str, list[str]] = field(default_factory=dict)
    """What was left out because it acts on the workspace: title to cells."""
    unsure: list[str] = field(default_factory=list)
    """What cells have done that no text can do again."""
    timed: dict[int, set[str]] = field(default_factory=dict)
    """What ``%timeit`` has changed, as many times as the clock let it, by the execution count of its cell."""
    uses_ours: bool = False

    @property
    def statements(self) -> list[Statement]:
        """All statements in the order in which they ran."""
        return [statement for execution in self.executions for statement in execution.statements]
