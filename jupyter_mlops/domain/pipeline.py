"""Pipeline: the steps a notebook was cut into, what it must give, and the verdict on whether it does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from .display import Displayed, seconds, table
from .record import Record

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "TARGETS",
    "Check",
    "DebugNotebook",
    "Parameter",
    "Pipeline",
    "PipelineRun",
    "Step",
    "StepRun",
    "Verification",
]

TARGETS = (
    "python",
    "dvc",
    "kfp",
    "airflow",
    "dagster",
    "dask",
    "snakemake",
    "github-actions",
    "gitlab-ci",
    "jenkins",
    "docker",
    "kubernetes",
)
"""What a pipeline can be exported to; each is a file in ``pipelines/targets``."""


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
        rows = [[s.name, _few(s.inputs), _few(s.outputs)] for s in self.steps]
        lines = [f"{self.name} in {self.directory}", table(["step", "needs", "gives"], rows)]
        lines += [f"note: {note}" for note in self.notes]
        if self.verification is not None:
            lines.append(self.verification.text())
        return "\n".join(lines)


def _few(names: tuple[str, ...]) -> str:
    """The first few names, and how many more there are."""
    return ", ".join(names[:6]) + (f" and {len(names) - 6} more" if len(names) > 6 else "") or "-"


@dataclass(frozen=True)
class StepRun(Record):
    """One step of a run of a pipeline."""

    name: str
    state: Literal["ran", "cached", "failed", "not run"]
    seconds: float = 0.0
    folder: str = ""
    """Where what it gave is kept."""
    message: str = ""
    """Why it failed."""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class PipelineRun(Displayed, Record):
    """A run of an exported pipeline, each step in a process of its own."""

    directory: str
    steps: tuple[StepRun, ...]
    metrics: dict[str, float]
    took_ms: float = 0.0
    run: str = ""
    """The name of its MLflow run."""
    error: str = ""

    @property
    def ok(self) -> bool:
        """Whether every step is done."""
        return not self.error and all(step.state in ("ran", "cached") for step in self.steps)

    def to_pandas(self) -> pd.DataFrame:
        """One row a step."""
        import pandas as pd

        return pd.DataFrame([step.to_dict() for step in self.steps])

    def text(self) -> str:
        rows = [[s.name, s.state, seconds(s.seconds * 1000) if s.seconds else "", s.message] for s in self.steps]
        lines = [table(["step", "", "took", ""], rows)] if rows else []
        lines += [f"note: {s.name}: {note}" for s in self.steps for note in s.notes]
        lines += [f"{name} = {value:.6g}" for name, value in self.metrics.items()]
        ran, cached = (sum(s.state == state for s in self.steps) for state in ("ran", "cached"))
        head = (
            f"{'done' if self.ok else 'FAILED'} {self.directory}: {ran} ran, {cached} as kept ({seconds(self.took_ms)})"
        )
        if not self.ok:
            head += f": {self.error}" if self.error else "; run it again to go on from there"
        return "\n".join([head, *lines])


@dataclass(frozen=True)
class DebugNotebook(Displayed, Record):
    """A step opened as a notebook."""

    path: str
    step: str
    inputs: tuple[str, ...] = ()
    error: str = ""
    """Why the step failed in the last run; empty if it did not."""

    def text(self) -> str:
        lines = [f"{self.path}: step {self.step}, with {', '.join(self.inputs) or 'nothing'} loaded"]
        return "\n".join([*lines, *([f"it failed with {self.error}"] if self.error else [])])


Verdict = Literal["same", "differs", "not comparable", "nondeterministic", "failed"]


@dataclass(frozen=True)
class Check(Record):
    """One result compared: the notebook's against the pipeline's."""

    step: str
    variable: str
    kind: Literal["metric", "table", "array", "predictions", "value", "error"]
    ok: bool
    message: str = ""
    verdict: Verdict = "same"
    """`not comparable` for what belongs to the process that made it; `nondeterministic` for what two runs of the pipeline give differently."""
    accepted: bool = False
    """The user has accepted by name that it is not the same."""


@dataclass(frozen=True)
class Verification(Displayed, Record):
    """Whether a pipeline, run in a fresh process, gives the notebook's results."""

    directory: str
    checks: tuple[Check, ...]
    took_ms: float = 0.0
    error: str = ""
    steps: tuple[Step, ...] = ()

    @property
    def ok(self) -> bool:
        """True when it ran, at least one result was compared, and every one that can be compared agreed or was accepted."""
        compared = [check for check in self.checks if check.verdict != "not comparable"]
        return not self.error and bool(compared) and all(check.ok or check.accepted for check in compared)

    def to_pandas(self) -> pd.DataFrame:
        """One row a check."""
        import pandas as pd

        return pd.DataFrame([c.to_dict() for c in self.checks])

    def text(self) -> str:
        if self.error:
            return f"FAIL {self.directory}: {self.error}"
        compared = [c for c in self.checks if c.verdict != "not comparable"]
        if not compared:
            return f"FAIL {self.directory}: nothing to compare"
        bad = [c for c in compared if not c.ok]
        rest = [f"{c.variable} is not comparable: {c.message}" for c in self.checks if c.verdict == "not comparable"]
        rows = [[c.step, c.variable, "accepted" if c.accepted else c.verdict, c.message] for c in bad]
        told = "\n".join([table(["step", "variable", "verdict", "difference"], rows)] if rows else [])
        told = "\n".join(line for line in (told, *rest) if line)
        told = f"\n{told}" if told else ""
        if self.ok:
            same = len(compared) - len(bad)
            accepted = f", {len(bad)} accepted though they are not" if bad else ""
            what = f"{same} result{'s' if same != 1 else ''} equal the notebook's{accepted}"
            return f"PASS {self.directory}: {what} ({seconds(self.took_ms)} in a fresh process){told}"
        varies = [c.variable for c in bad if c.verdict == "nondeterministic" and not c.accepted]
        if varies:
            told += (
                f"\n{len(varies)} that no two runs share, {len(compared) - len(bad)} the same: `--accept "
                "nondeterministic` accepts those, `--accept NAMES` some of them."
            )
        return f"FAIL {self.directory}: {len(bad)} of {len(compared)} results differ{told}"
