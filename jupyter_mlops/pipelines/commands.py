"""The commands of the pipelines stage."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

from ..domain.command import Arg, command
from ..domain.context import CommandSet
from ..domain.pipeline import TARGETS, Pipeline, Verification
from ..errors import InvalidArgument

if TYPE_CHECKING:
    from .edits import Edited

__all__ = ["PipelineCommands"]


class PipelineCommands(CommandSet):
    """Notebook to pipeline."""

    @command("export", stage="pipelines", changes=True)
    def export(
        self,
        notebook: Annotated[str, Arg(value="path", metavar="NOTEBOOK")] = "",
        *,
        to: Annotated[list[str], Arg(choices=TARGETS, metavar="TARGET")] = ("python",),  # type: ignore[assignment]  # any sequence
        output: Annotated[str, Arg(value="path", metavar="DIR")] = "pipeline",
        targets: Annotated[str, Arg(metavar="NAMES")] = "",
        whole: bool = False,
        run: bool = False,
        accept: Annotated[str, Arg(metavar="NAMES")] = "",
        verify: bool = True,
        timeout: float = 0.0,
        schedule: Annotated[str, Arg(metavar="CRON")] = "",
        merge: bool = False,
        overwrite: bool = False,
        beside: bool = False,
    ) -> Pipeline:
        """Turn the notebook, as it was run, into a Python pipeline, and prove that it gives the same results.

        What was executed is cut down to what the results need, and split into steps by Markdown headings, by cell
        tags ``mlops:step=NAME``, or by what the code does. Then the pipeline is run in a fresh process and every
        result compared: numbers within 1e-9 relative, tables and arrays exactly or within that, models by what they
        predict. Nothing is written when the kernel holds values that the notebook's cells would not give.

        Parameters
        ----------
        notebook
            The .ipynb whose headings and tags to use; by default the one of this kernel.
        to
            What to export to, besides the Python project that every target runs; several in quotes, or several times.
        output
            The directory to make; an earlier export there is replaced unless it was edited: then the edits are shown,
            and nothing is written.
        targets
            The variables that the pipeline must give, separated by commas; by default what runs logged and what was
            registered, else the models and metrics, else what the last cell made.
        whole
            Every variable that holds data, and every model, must come out as the notebook has it.
        run
            Execute the notebook first, in a kernel of its own that ends afterwards, as Run All does.
        accept
            What need not come out the same, separated by commas: variables; calls whose values no two runs share, as
            ``time.time``; or ``nondeterministic`` for everything that two runs of the pipeline do not share.
        verify
            Run it and compare; ``--no-verify`` leaves that to `verify`.
        timeout
            Seconds that a cell, or the pipeline, may take; 0 for as long as it takes.
        schedule
            When the targets that can start by themselves are to run, as five fields of cron in UTC: ``0 3 * * *``.
        merge
            Bring what was edited in an earlier export into the new one, line by line; refused where both change the
            same lines.
        overwrite
            Give the edits up.
        beside
            Leave an earlier export alone, and write to ``DIR.new``.

        Examples
        --------
        %mlops export --to python -o pipeline
        %mlops export --targets model,accuracy
        %mlops export --to dvc --to airflow --schedule "0 3 * * *"
        %mlops export --whole --accept started,time.time
        %mlops export --whole --accept nondeterministic
        %mlops export --merge
        jupyter mlops export notebook.ipynb --run --whole
        """
        if timeout < 0:
            raise InvalidArgument(f"--timeout takes a number of seconds, not {timeout:g}.")
        if whole and targets:
            raise InvalidArgument("--whole takes every variable, and --targets some.", hint="Leave one of them out.")
        edited = _edited(merge=merge, overwrite=overwrite, beside=beside)
        to = _targets(to)
        _check_schedule(schedule)
        if run:
            return self._run_and_export(notebook, to=to, schedule=schedule, output=output, targets=targets, whole=whole, accept=accept, verify=verify, timeout=timeout, merge=merge, overwrite=overwrite, beside=beside)  # fmt: skip
        from .handing_over import hand_over

        pipeline = hand_over(
            self.context,
            notebook,
            to=to,
            output=Path(output),
            names=_names(targets),
            whole=whole,
            accept=_names(accept),
            verify=verify,
            timeout=timeout,
            schedule=schedule,
            edited=edited,
        )
        self.context.call(
            "pipelines.exported",
            directory=pipeline.directory,
            notebook=self.context.notebook.path or notebook,
            steps=[step.name for step in pipeline.steps],
            verdict=_verdict(pipeline.verification),
            **_judged(Path(pipeline.directory), pipeline.verification),
        )
        return pipeline

    def _run_and_export(self, notebook: str, *, timeout: float, **given: Any) -> Pipeline:
        from .edits import previous
        from .export import check_free, shown
        from .fresh_kernel import export_from_fresh_kernel

        if not notebook:
            raise InvalidArgument(
                "--run needs a notebook to execute.", hint="`jupyter mlops export NOTEBOOK.ipynb --run`."
            )
        output = Path(given["output"]).expanduser().absolute()
        given["output"] = str(output)
        if not given["beside"]:  # said before the notebook is run, which may take long
            edited = _edited(merge=given["merge"], overwrite=given["overwrite"])
            with previous(output, shown(output)) as old:
                check_free(output, old, edited)
        return export_from_fresh_kernel(
            self.context, Path(notebook).expanduser(), {**given, "timeout": timeout}, timeout=timeout
        )

    @command("verify", stage="pipelines", changes=True)
    def verify(
        self,
        directory: Annotated[str, Arg(value="path", metavar="DIR")] = "pipeline",
        *,
        python: Annotated[str, Arg(value="path", metavar="PATH")] = "",
        accept: Annotated[str, Arg(metavar="NAMES")] = "",
        timeout: float = 0.0,
    ) -> Verification:
        """Run an exported pipeline in a fresh process and compare its results with the notebook's.

        Parameters
        ----------
        directory
            Where it was exported to.
        python
            The interpreter to run it with; by default this one.
        accept
            What need not come out the same, as `export` takes it.
        timeout
            Seconds after which to give up; 0 waits as long as it takes.

        Examples
        --------
        %mlops verify pipeline
        """
        from .verify import verify_project

        if timeout < 0:
            raise InvalidArgument(f"--timeout takes a number of seconds, not {timeout:g}.")
        verification = verify_project(
            self.context, Path(directory), python=python, timeout=timeout, accept=_names(accept)
        )
        told = _judged(Path(directory), verification)
        self.context.call("pipelines.verified", directory=directory, verdict=_verdict(verification), **told)
        return verification


def _targets(given: Sequence[str]) -> list[str]:
    """The targets asked for, each checked."""
    names = [name for text in given for name in text.replace(",", " ").split()]
    for name in names:
        if name not in TARGETS:
            raise InvalidArgument.unknown("target", name, TARGETS)
    return list(dict.fromkeys(names))


def _edited(**given: bool) -> Edited:
    """What becomes of what was edited in an earlier export."""
    chosen = [name for name, on in given.items() if on]
    if len(chosen) > 1:
        raise InvalidArgument(f"{' and '.join(f'--{name}' for name in chosen)} cannot both be.", hint="Choose one.")
    return cast("Edited", chosen[0] if chosen else "")


def _check_schedule(schedule: str) -> None:
    if schedule and (len(schedule.split()) != 5 or not re.fullmatch(r"[\d*/,\-A-Za-z ]+", schedule)):
        raise InvalidArgument(
            f"--schedule takes the five fields of cron, not {schedule!r}.",
            hint='`--schedule "0 3 * * *"` runs it each day at 3 o\'clock UTC.',
        )


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _verdict(verification: Verification | None) -> str:
    """A verdict in a line, for the audit trail."""
    if verification is None:
        return "not verified"
    if verification.ok:
        return f"PASS, {len(verification.checks)} results"
    bad = [f"{check.step}.{check.variable}".strip(".") for check in verification.checks if not check.ok]
    return f"FAIL: {verification.error or ', '.join(bad) or 'nothing to compare'}"


def _judged(directory: Path, verification: Verification | None) -> dict[str, Any]:
    """What becomes known of the models that a pipeline gives: which were compared, and whether all of it held."""
    from .export import read_description

    if verification is None:
        return {}
    told = read_description(directory.expanduser().absolute())
    same = {check.variable for check in verification.checks if check.ok and check.verdict == "same"}
    models = {name: str(key) for name, key in (told.get("models") or {}).items()}
    wanted = [key for name, key in models.items() if name in same or not verification.ok]
    return {"models": wanted, "verified": verification.ok, "digest": str(told.get("digest", ""))}
