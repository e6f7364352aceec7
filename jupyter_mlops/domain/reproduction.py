"""Reproduction: a run's code, and whether a fresh execution of it gives the run's results."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from .display import Displayed, seconds, table
from .record import Record
from .run import Trust

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["RELATIVE", "Outcome", "Reproduction", "RunCode"]

RELATIVE = 1e-9
"""Up to this relative difference two values of a metric are the same: the order in which threads add up is left free."""

Verdict = Literal["same", "differs", "differs each time", "missing", "new", "not compared"]


@dataclass(frozen=True)
class RunCode(Displayed, Record):
    """The least code that made a run's result.

    Parameters
    ----------
    source
        Python, as far as the cells are: each cell's part under a comment with its number.
    cells
        The executions that it is taken from, as the notebook numbered them.
    left_out
        How many executions came before the run and have nothing to do with it.
    """

    run: str
    name: str
    source: str
    cells: tuple[int, ...] = ()
    left_out: int = 0
    notes: tuple[str, ...] = ()

    def text(self) -> str:
        parts = ", ".join(f"[{count}]" for count in self.cells)
        head = f"# run {self.name} ({self.run[:8]}): cells {parts}" + (
            f"; {self.left_out} others have nothing to do with it" if self.left_out else ""
        )
        return "\n".join([head, *(f"# {note}" for note in self.notes), "", self.source])


@dataclass(frozen=True)
class Outcome(Record):
    """One result compared: the run's against that of the fresh execution."""

    kind: Literal["metric", "parameter", "model", "data", "status"]
    name: str
    was: str
    now: str
    verdict: Verdict

    @property
    def ok(self) -> bool:
        """Whether it speaks for the run."""
        return self.verdict in ("same", "new", "not compared")


@dataclass(frozen=True)
class Reproduction(Displayed, Record):
    """Whether a run, executed again in a fresh process, gave the same.

    Metrics are the same up to a relative difference of `RELATIVE`; parameters as text; models by the SHA-256 of their
    stored file; tables by the digest of their content.

    Parameters
    ----------
    trust, reasons
        The label that the run now has.
    interpreter
        The Python that executed it.
    environment
        Distributions whose versions are others than when the run was made: ``scikit-learn 1.7.0 -> 1.8.0``.
    error
        Why it could not be executed to its end; empty when it was.
    """

    run: str
    name: str
    outcomes: tuple[Outcome, ...] = ()
    trust: Trust = "unknown"
    reasons: dict[str, str] = field(default_factory=dict)
    cells: tuple[int, ...] = ()
    took_ms: float = 0.0
    interpreter: str = ""
    environment: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    error: str = ""

    @property
    def ok(self) -> bool:
        """Whether it ran, something was compared, and everything agreed."""
        compared = [one for one in self.outcomes if one.verdict == "same"]
        return not self.error and bool(compared) and all(one.ok for one in self.outcomes)

    def to_pandas(self) -> pd.DataFrame:
        """One row a result."""
        import pandas as pd

        return pd.DataFrame([one.to_dict() for one in self.outcomes])

    def differences(self) -> list[Outcome]:
        """What is not the same."""
        return [one for one in self.outcomes if not one.ok]

    def text(self) -> str:
        same = sum(one.verdict == "same" for one in self.outcomes)
        bad = self.differences()
        named = f"{self.name} ({self.run[:8]})"
        if self.error:
            told = [f"NOT REPRODUCED {named}: {self.error}"]
        elif self.ok:
            told = [f"REPRODUCED {named}: {same} result{'s' if same != 1 else ''} the same in a fresh process"]
        elif bad:
            told = [f"NOT REPRODUCED {named}: {len(bad)} of {same + len(bad)} results differ"]
        else:
            told = [f"NOT REPRODUCED {named}: there is nothing to compare; it logged no metric, parameter or model"]
        told[0] += f" ({seconds(self.took_ms)}, {len(self.cells)} cell{'s' if len(self.cells) != 1 else ''})"
        if bad:
            rows = [[one.kind, one.name, one.was, one.now, one.verdict] for one in bad]
            told.append(table(["", "name", "run", "again", ""], rows))
        told.append(f"trust: {self.trust}")
        told += [f"  {cell + ' ' if cell else ''}{why}" for cell, why in self.reasons.items()]
        if self.environment:
            more = f" and {len(self.environment) - 5} more" if len(self.environment) > 5 else ""
            told.append(f"other versions than then: {', '.join(self.environment[:5])}{more}")
        return "\n".join([*told, *self.notes])
