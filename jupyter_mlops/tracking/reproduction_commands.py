"""The commands that give a run again: its code, and a fresh execution of it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from ..domain.command import Arg, command
from ..domain.context import CommandSet
from ..domain.reproduction import Reproduction, RunCode
from .rehearsal import Rehearsal
from .reproducing import execute_again, judge, stored_run, timed
from .tracker import tracker_of

__all__ = ["ReproductionCommands"]


class ReproductionCommands(CommandSet):
    """From a run back to what made it."""

    @command("code", stage="tracking", changes=False)
    def code(self, run: Annotated[str, Arg(complete="runs", metavar="RUN")]) -> RunCode:
        """Show the least code that made a run's result: the parts of the cells that it depends on, in their order.

        Parameters
        ----------
        run
            A run's name (the newest of that name), its id, or the first characters of its id.

        Examples
        --------
        %mlops code baseline
        """
        stored = stored_run(self.context, str(getattr(run, "id", run)))
        code = stored.code
        before = [one for one in stored.told["executions"] if one["count"] < code.own.count]
        return RunCode(
            run=stored.run.id,
            name=stored.run.name,
            source=code.source,
            cells=code.cells,
            left_out=len(before) - len(code.before),
        )

    @command("reproduce", stage="tracking", changes=True)
    def reproduce(
        self,
        run: Annotated[str, Arg(complete="runs", metavar="RUN")],
        *,
        accept: Annotated[list[str], Arg(metavar="NAME")] = [],  # noqa: B006 it is not changed
    ) -> Reproduction:
        """Execute a run's code again in a fresh process of its interpreter, and compare what it gives.

        The code is what `code` shows, run in the folder of the notebook, with the data versions that it loads. In the
        store nothing changes but the run's trust label; files that the code writes it writes again, and which those
        were is told. Metrics, parameters, models and tables are compared. When something differs it is executed once
        more, to tell what differs each time. An interrupt leaves the run as it was.

        Parameters
        ----------
        run
            A run's name (the newest of that name), its id, or the first characters of its id.
        accept
            Metrics, parameters or models that need not be the same: a measured time, say.

        Examples
        --------
        %mlops reproduce baseline
        %mlops reproduce baseline --accept fit_seconds
        """
        context = self.context
        began = time.perf_counter()
        stored = stored_run(context, str(getattr(run, "id", run)))
        accepted = list(accept)

        def verdict(found: Mapping[str, Any], again: Mapping[str, Any] | None) -> Reproduction:
            now = tracker_of(self.context).surroundings.assessment(stored.run.id)
            return judge(context, stored, found, again, now=now, accept=accepted, took_ms=timed(began))

        found = execute_again(context, stored)
        told = verdict(found, None)
        if any(one.verdict == "differs" for one in told.outcomes):
            context.progress("reproduce: once more, to see what differs each time")
            told = verdict(found, execute_again(context, stored))
        context.call("tracking.label", labels=[{"run": told.run, "label": told.trust, "reasons": told.reasons}])
        return told

    def rehearse(self, spec: Mapping[str, Any], folder: Path) -> Rehearsal:
        """Let this session record into a folder and change nothing, to execute a stored run again; for that process alone."""
        tracker_of(self.context).place = folder
        return Rehearsal(self.context, spec, folder)
