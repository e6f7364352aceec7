"""The commands that handle a pipeline that was exported."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from ..domain.command import Arg, command
from ..domain.context import CommandSet
from ..domain.pipeline import PipelineRun
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
        for text in [set] if isinstance(set, str) else set:
            options += ["--set", text]
        options += ["--jobs", str(jobs)] if jobs else []
        options += ["--dask", dask] if dask else []
        options += ["--fresh"] if fresh else []
        options += ["--allow-pickle"] if allow_pickle else []
        return run_project(self.context, Path(directory), python=python, options=options)
