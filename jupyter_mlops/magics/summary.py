"""The one line below a recorded cell: which run it was and what it measured."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from ..domain.display import seconds
from ..domain.run import Run, telling_metrics

__all__ = ["RunSummary", "hazards"]

METRICS = 6


@dataclass(frozen=True)
class RunSummary:
    """A run that has just ended."""

    run: Run = field(repr=False)

    @classmethod
    def of(cls, handle: Any) -> RunSummary:
        """The line for what `Session.run` handed out."""
        # What a cell logs with MLflow itself only the store knows, and has made the run there already.
        run = handle.result if handle.known_id or not handle.automatic else handle.known
        return cls(replace(run, metrics={name: run.metrics[name] for name in telling_metrics(run.metrics)}))

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        from ..widgets.runs import run_line  # drawing is loaded when something is drawn

        return {"text/plain": self.text(), "text/html": str(run_line(self.run))}

    def text(self) -> str:
        """The line in plain text."""
        run = self.run
        metrics = [f"{name} {value:.5g}" for name, value in list(run.metrics.items())[:METRICS]]
        metrics += ["..."] if len(run.metrics) > METRICS else []
        took = [seconds(run.duration_ms)] if run.duration_ms is not None else []
        return " · ".join(
            [
                " ".join(filter(None, ["run", run.name, f"({run.id[:8]})" if run.id else "", run.status])),
                *took,
                *metrics,
                *hazards(run),
                *([f"note: {run.note}"] if run.notes else []),
            ]
        )


def hazards(run: Run) -> list[str]:
    """The run's trust label, and what keeps the notebook from giving the run again, named by cell."""
    told = [f"{cell} {why}".strip() for cell, why in run.trust_reasons.items() if cell]
    more = f", and {len(told) - 1} more" if len(told) > 1 else ""
    return [f"{run.trust}: {told[0]}{more}" if told else run.trust]
