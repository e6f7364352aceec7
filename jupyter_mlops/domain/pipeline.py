"""Pipeline: the steps a notebook was cut into, what it must give, and the verdict on whether it does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from .display import Displayed, seconds, table
from .record import Record

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Check", "Parameter", "Pipeline", "Step", "Verification"]


@dataclass(frozen=True)
class Parameter(Record):
    """A constant of the notebook that the pipeline takes as an option."""

    name: str
    type: str
    default: Any


@dataclass(frozen=True)
class Step(Record):
    """One function of the pipeline: what it needs, what it gives, which cells it came from."""

    name: str
    title: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    cells: tuple[int, ...] = ()
    """Execution counts of the cells."""


@dataclass(frozen=True)
class Pipeline(Displayed, Record):
    """An exported pipeline project."""

    directory: str
    name: str
    steps: tuple[Step, ...]
    parameters: tuple[Parameter, ...] = ()
    requirements: tuple[str, ...] = ()
    results: tuple[str, ...] = ()
    """The variables and metrics that verification compares."""
    notes: tuple[str, ...] = ()
    """What was left out and why, by cell."""
    verification: Verification | None = None

    def text(self) -> str:
        rows = [[s.name, ", ".join(s.inputs) or "-", ", ".join(s.outputs) or "-"] for s in self.steps]
        lines = [f"{self.name} in {self.directory}", table(["step", "needs", "gives"], rows)]
        lines += [f"note: {note}" for note in self.notes]
        if self.verification is not None:
            lines.append(self.verification.text())
        return "\n".join(lines)


@dataclass(frozen=True)
class Check(Record):
    """One result compared: the notebook's against the pipeline's."""

    step: str
    variable: str
    kind: Literal["metric", "table", "array", "predictions", "value", "error"]
    ok: bool
    message: str = ""


@dataclass(frozen=True)
class Verification(Displayed, Record):
    """Whether a pipeline, run in a fresh process, gives the notebook's results."""

    directory: str
    checks: tuple[Check, ...]
    took_ms: float = 0.0
    error: str = ""

    @property
    def ok(self) -> bool:
        """True when it ran and every result agreed, and there was at least one."""
        return not self.error and bool(self.checks) and all(check.ok for check in self.checks)

    def to_pandas(self) -> pd.DataFrame:
        """One row a check."""
        import pandas as pd

        return pd.DataFrame([c.to_dict() for c in self.checks])

    def text(self) -> str:
        if self.error:
            return f"FAIL {self.directory}: {self.error}"
        bad = [c for c in self.checks if not c.ok]
        if not self.checks:
            return f"FAIL {self.directory}: nothing to compare"
        if not bad:
            what = f"{len(self.checks)} results equal the notebook's"
            return f"PASS {self.directory}: {what} ({seconds(self.took_ms)} in a fresh process)"
        rows = [[c.step, c.variable, c.kind, c.message] for c in bad]
        head = f"FAIL {self.directory}: {len(bad)} of {len(self.checks)} results differ"
        return f"{head}\n{table(['step', 'variable', 'kind', 'difference'], rows)}"
