"""A run of an exported pipeline, and a step opened as a notebook, as static HTML."""

from __future__ import annotations

from ..domain.display import seconds
from ..domain.pipeline import DebugNotebook, PipelineRun
from .markup import Markup, Number, code, grid, note, page, pill, short, tag

__all__ = ["debug_notebook", "pipeline_run"]

TONES = {"ran": "good", "cached": "good", "failed": "bad"}


def pipeline_run(done: PipelineRun) -> Markup:
    """What became of every step, and the metrics that came out."""
    ran, cached = (sum(step.state == state for step in done.steps) for state in ("ran", "cached"))
    head = pill("done" if done.ok else "failed", "good" if done.ok else "bad")
    counted = f" {ran} ran, {cached} as kept ({seconds(done.took_ms)})"
    rows = [
        [
            tag("b", step.name),
            pill(step.state, TONES.get(step.state, "")),
            seconds(step.seconds * 1000) if step.seconds else "",
            short(step.message, 110),
        ]
        for step in done.steps
    ]
    failed = next((step.name for step in done.steps if step.state == "failed"), "")
    told = [f"{step.name}: {text}" for step in done.steps for text in step.notes]
    if failed:
        told.append(
            "run it again to go on from there; `pipeline debug` opens the step as a notebook, its inputs loaded"
        )
    elif done.error:
        told.append(done.error)
    return page(
        tag("div", "pipeline ", code(done.directory), class_="mlops-title"),
        tag("div", head, counted),
        grid(["step", "", "took", ""], rows) if rows else "",
        grid(["metric", "value"], [[name, Number(value)] for name, value in done.metrics.items()])
        if done.metrics
        else "",
        *(note(text) for text in told),
    )


def debug_notebook(opened: DebugNotebook) -> Markup:
    """Where the notebook is, what it has loaded, and why the step failed."""
    loaded = [part for name in opened.inputs for part in (code(name), " ")]
    return page(
        tag("div", code(opened.path), f" step {opened.step}", class_="mlops-title"),
        tag("div", "loaded: ", *(loaded or ["nothing"])),
        tag("div", "it failed with ", code(opened.error)) if opened.error else "",
    )
