"""Handing over: plan, write, verify; and the other form where the first does not give the notebook's values."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from ..domain.context import Context
from ..domain.pipeline import Pipeline, Verification
from ..errors import MLOpsError, NotReady
from .edits import Edited, Previous, previous
from .export import Taken, shown, write_project
from .new_folder import new_folder
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
    if not notebook and not context.notebook.path:  # who calls by Python has not asked for it yet
        context.hooks["session"]().locate_notebook(context.namespace)
    if edited == "beside" and output.exists():
        output, edited = output.with_name(f"{output.name}.new"), ""
    with (
        previous(output, shown(output.absolute())) as old,
        tempfile.TemporaryDirectory(prefix="mlops-expected-") as temporary,
    ):
        taken = Taken(Path(temporary) / "expected")
        taken.folder.mkdir()
        work = _Work(
            context,
            notebook,
            to,
            output,
            names,
            accept,
            timeout,
            schedule,
            edited,
            old,
            taken,
            whole=whole,
            verify=verify,
        )
        return work.forms() if whole else work.made("functions")


@dataclass
class _Work:
    """One handing over."""

    context: Context
    notebook: str
    to: Sequence[str]
    output: Path
    names: Sequence[str]
    accept: Collection[str]
    timeout: float
    schedule: str
    edited: Edited
    old: Previous | None
    taken: Taken
    whole: bool
    verify: bool
    varies: set[str] = field(default_factory=set)
    """What two runs of a form were seen to give differently."""

    def made(self, form: Literal["functions", "shared"], why: str = "") -> Pipeline:
        """Write and verify one form."""
        self.context.progress("export: reading what was executed")
        plan = make_plan(self.context, self.notebook, self.names, whole=self.whole, form=form)
        if why:
            plan.notes.insert(0, f"the steps share the notebook's variables, as {why}")
        pipeline = write_project(self.context, plan, self.to, self.output, taken=self.taken, schedule=self.schedule, old=self.old, edited=self.edited)  # fmt: skip
        if not self.verify:
            return pipeline
        kept = str(self.context.hooks.get("inputs", "") or "")
        done = verify_project(
            self.context,
            Path(pipeline.directory),
            timeout=self.timeout,
            accept=self.accept,
            inputs=Path(kept) if kept else None,
            varies=self.varies,
        )
        self.varies |= {c.variable for c in done.checks if c.verdict == "nondeterministic"}
        return replace(pipeline, verification=done)

    def forms(self) -> Pipeline:
        """The form of a whole notebook that gives the most of its values."""
        try:
            first = self.made("functions")
        except NotReady as error:
            return self.made("shared", f"functions cannot hold it: {error}")
        except MLOpsError:
            raise
        except Exception as error:  # a form that we fail to write must not keep the notebook from being handed over
            return self.made("shared", f"functions could not be written: {type(error).__name__}: {error}")
        if first.verification is None or _held(first.verification):
            return first
        directory = Path(first.directory).absolute()
        aside = self.taken.folder.with_name("functions")
        shutil.copytree(directory, aside)
        second = self.made(
            "shared", f"functions with inputs and outputs did not give its values: {_told(first.verification)}"
        )
        if second.verification is None or _bad(second.verification) <= _bad(first.verification):
            return second
        with new_folder(directory) as new:
            shutil.copytree(aside, new, dirs_exist_ok=True)
        return first


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
