"""Handing over: plan, write, verify; and the other form where the first does not give the notebook's values."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

from ..domain.context import Context
from ..domain.pipeline import Pipeline, Verification
from ..errors import MLOpsError, NotReady
from .edits import Edited, Previous, previous
from .export import shown, write_project
from .plan import make_plan
from .verify import verify_project

__all__ = ["hand_over"]


def hand_over(
    context: Context,
    notebook: str,
    *,
    to: Sequence[str],
    output: Path,
    names: Sequence[str],
    whole: bool,
    accept: Collection[str],
    verify: bool,
    timeout: float,
    schedule: str = "",
    edited: Edited = "",
) -> Pipeline:
    """Make the pipeline of a notebook, as `PipelineCommands.export` describes it.

    Of a whole notebook the form with inputs and outputs is tried first; where it cannot be made, or does not pass, the
    form that shares the notebook's variables takes its place, and says why.
    """
    output = output.expanduser()
    if edited == "beside" and output.exists():
        output, edited = output.with_name(f"{output.name}.new"), ""
    with previous(output, shown(output.absolute())) as old:
        return _hand_over(
            context, notebook, to, output, names, accept, timeout, schedule, edited, old, whole=whole, verify=verify
        )


def _hand_over(
    context: Context,
    notebook: str,
    to: Sequence[str],
    output: Path,
    names: Sequence[str],
    accept: Collection[str],
    timeout: float,
    schedule: str,
    edited: Edited,
    old: Previous | None,
    *,
    whole: bool,
    verify: bool,
) -> Pipeline:
    kept = str(context.hooks.get("inputs", "") or "")
    inputs = Path(kept) if kept else None

    def made(form: Literal["functions", "shared"], why: str = "") -> Pipeline:
        context.progress("export: reading what was executed")
        plan = make_plan(context, notebook, names, whole=whole, form=form)
        if why:
            plan.notes.insert(0, f"the steps share the notebook's variables, as {why}")
        pipeline = write_project(context, plan, to, output, schedule=schedule, old=old, edited=edited)
        if not verify:
            return pipeline
        done = verify_project(context, Path(pipeline.directory), timeout=timeout, accept=accept, inputs=inputs)
        return replace(pipeline, verification=done)

    if not whole:
        return made("functions")
    try:
        first = made("functions")
    except NotReady as error:
        return made("shared", f"functions cannot hold it: {error}")
    except MLOpsError:
        raise
    except Exception as error:  # a form that we fail to write must not keep the notebook from being handed over
        return made("shared", f"functions could not be written: {type(error).__name__}: {error}")
    if first.verification is None or _held(first.verification):
        return first
    second = made("shared", f"functions with inputs and outputs did not give its values: {_told(first.verification)}")
    worse = second.verification is not None and _bad(second.verification) > _bad(first.verification)
    return made("functions") if worse else second


def _held(verification: Verification) -> bool:
    """Whether the form gives all that any form of the notebook can give."""
    return not verification.error and all(
        c.accepted or c.verdict not in ("differs", "failed") for c in verification.checks
    )


def _bad(verification: Verification) -> int:
    return (
        10_000
        if verification.error
        else sum(not (c.ok or c.accepted) and c.verdict != "not comparable" for c in verification.checks)
    )


def _told(verification: Verification) -> str:
    bad = [c for c in verification.checks if not c.ok and c.verdict != "not comparable"]
    return verification.error or "; ".join(f"{c.variable}: {c.message}" for c in bad[:3])
