"""The commands that handle a pipeline that was exported."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from ..domain.command import Arg, command
from ..domain.context import CommandSet
from ..domain.pipeline import DebugNotebook, PipelineRun
from ..errors import InvalidArgument

__all__ = ["PipelineRunCommands"]


class PipelineRunCommands(CommandSet):
    """An exported pipeline, run."""

    @command("pipeline run", stage="pipelines", changes=True)
    def run(
        self,
        directory: Annotated[str, Arg(value="path", metavar="DIR")] = "pipeline",
        *,
        set: Annotated[list[str], Arg(metavar="NAME=VALUE")] = (),  # type: ignore[assignment]  # noqa: A002 the option is called that
        jobs: int = 0,
        dask: Annotated[str, Arg(metavar="ADDRESS")] = "",
        fresh: bool = False,
        allow_pickle: bool = False,
        python: Annotated[str, Arg(value="path", metavar="PATH")] = "",
    ) -> PipelineRun:
        """Run an exported pipeline, each step in a process of its own, those that do not wait for each other at once.

        What a step gave is kept by its code, inputs, parameters, the files it has read, and the environment: run again,
        only what changed is run. After a failure or an interruption it goes on from where it was. It is an MLflow run
        with a child a step, and the content hashes of the data that went in and came out.

        Parameters
        ----------
        directory
            Where it was exported to.
        set
            A parameter's value; several in quotes, or the option several times.
        jobs
            How many steps at the same time; 0 for one a core.
        dask
            Run the steps on Dask: ``local`` for processes here, or the address of a scheduler whose workers see the
            same folders.
        fresh
            Run every step, whatever is kept.
        allow_pickle
            Pickle values that have no format of their own; without it, whoever needs one makes it anew.
        python
            The interpreter to run it with; by default this one.

        Examples
        --------
        %mlops pipeline run
        %mlops pipeline run pipeline --set MAX_DEPTH=3
        %mlops pipeline run --dask local --fresh
        """
        if jobs < 0:
            raise InvalidArgument(f"--jobs takes a number of processes, not {jobs}.")
        from .running import run_project

        options: list[str] = []
        for text in set:
            options += ["--set", text]
        options += ["--jobs", str(jobs)] if jobs else []
        options += ["--dask", dask] if dask else []
        options += ["--fresh"] if fresh else []
        options += ["--allow-pickle"] if allow_pickle else []
        done = run_project(self.context, Path(directory), python=python, options=options)
        states = ", ".join(f"{step.name}: {step.state}" for step in done.steps)
        self.context.call("pipelines.ran", directory=directory, steps=states, run=done.run, error=done.error)
        return done

    @command("pipeline debug", stage="pipelines", changes=True)
    def debug(
        self,
        step: Annotated[str, Arg(metavar="STEP")] = "",
        *,
        directory: Annotated[str, Arg(value="path", metavar="DIR")] = "pipeline",
        output: Annotated[str, Arg(value="path", metavar="FILE")] = "",
    ) -> DebugNotebook:
        """Open a step of the last run as a notebook, with what it needs loaded.

        Its cells are the step's own statements; run them one by one to see where it fails. The notebook reads what
        earlier steps gave in that run, with its parameters, folder and state of the random generators.

        Parameters
        ----------
        step
            The step; by default the one that failed.
        directory
            Where the pipeline was exported to.
        output
            The notebook to write; by default ``debug_STEP.ipynb`` here. A file that is there is left alone.

        Examples
        --------
        %mlops pipeline debug
        %mlops pipeline debug train_model --directory pipeline
        """
        from .debug import write_debug_notebook

        return write_debug_notebook(Path(directory), step, output)
