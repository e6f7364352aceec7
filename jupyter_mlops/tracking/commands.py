"""The commands of the tracking stage."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from importlib import import_module
from typing import Annotated, Any, Literal

from ..analysis.evidence import Watch
from ..domain.command import Arg, command
from ..domain.context import CommandSet, Context, now_ms
from ..domain.run import Run, RunComparison, RunTable, Trust
from ..domain.workspace import Cell, Notebook
from ..errors import InvalidArgument
from .identity import find_notebook
from .recording import Recording
from .skops_import import skops_io
from .tracker import tracker_of

__all__ = ["TrackingCommands"]

NEEDED = ("sklearn.metrics", "yaml", "pyarrow.parquet")

log = logging.getLogger(__name__)

OUR_PACKAGE = __name__.partition(".")[0]


class TrackingCommands(CommandSet):
    """Cell to run."""

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._tracker = tracker_of(context)

    def run(self, name: str | None = None, *, source: str = "", again: str = "") -> Recording:
        """A run to record: ``with session.run("baseline") as run: ...``.

        What happens inside is recorded: scikit-learn's fits, metrics and figures by themselves, anything else through
        the handle. An exception makes the run FAILED and goes on its way, an interrupt makes it KILLED. Inside another
        run it becomes that run's child.

        Parameters
        ----------
        name
            How to call it; made up if left out.
        source
            The code it runs; by default the cell being executed.
        again
            When its cell has run before: ``supersede`` marks the earlier run as superseded once this one has finished,
            ``resume`` goes on with it, ``sibling`` leaves it alone; by default what the setting of this name says.
        """
        namespace = self.context.namespace
        if namespace is None:  # a script: the names of the module that calls
            frame = sys._getframe(1)  # noqa: SLF001 there is no other way to know the caller
            inside = str(frame.f_globals.get("__name__", "")).partition(".")[0] == OUR_PACKAGE
            namespace = None if inside else frame.f_globals
        return self._tracker.make(name, source, namespace, again)

    @command("runs", stage="tracking", changes=False)
    def runs(
        self,
        run: Annotated[str, Arg(complete="runs", metavar="RUN")] = "",
        *,
        filter: Annotated[str, Arg(metavar="FILTER")] = "",  # noqa: A002 MLflow's own word for it
        limit: int = 20,
        order_by: Annotated[str, Arg(metavar="METRIC")] = "",
        top: bool = False,
    ) -> RunTable | Run:
        """List runs, newest first, or show all that is known of one: what it took, its data, models and trust.

        Parameters
        ----------
        run
            A run's name (the newest of that name), its id, or the first characters of its id.
        filter
            In MLflow's words: ``metrics.accuracy > 0.8 and params.C = '1.0'``.
        limit
            How many at the most.
        order_by
            A metric, the largest value first; ``"loss ASC"`` for the smallest first.
        top
            Leave out the children of other runs, such as the trials of a sweep.

        Examples
        --------
        %mlops runs
        %mlops runs baseline
        %mlops runs --filter "metrics.training_accuracy_score > 0.8" --order-by training_accuracy_score
        """
        if run:
            one = Run.from_dict(self.context.call("tracking.get", run=run))
            for label, reasons in self._reviewed([one]).values():
                one = replace(one, trust=label, trust_reasons=reasons)
            return one
        if limit < 1:
            raise InvalidArgument(f"--limit takes a number from 1 on, not {limit}.")
        found = RunTable.from_dict(
            self.context.call("tracking.search", filter=filter, limit=limit, order_by=order_by, top=top)
        )
        return found.with_trust(self._reviewed(found.runs))

    def _reviewed(self, runs: Sequence[Run]) -> dict[str, tuple[Trust, dict[str, str]]]:
        """The labels that have changed since the store was told, as the notebook now stands; the store is told."""
        try:
            changed = self._tracker.surroundings.review(runs)
            labels: dict[str, tuple[Trust, dict[str, str]]] = {run.id: (now.label, now.reasons) for run, now in changed}
            if labels:
                told = [{"run": run, "label": label, "reasons": why} for run, (label, why) in labels.items()]
                self.context.call("tracking.label", labels=told)
        except Exception:  # a label is never worth a table of runs
            log.debug("reviewing labels", exc_info=True)
            return {}
        return labels

    @command("compare", stage="tracking", changes=False)
    def compare(self, *runs: Annotated[Any, Arg(complete="runs", metavar="RUN")]) -> RunComparison:
        """Compare runs: their metrics and curves, the parameters that differ, and their code.

        Parameters
        ----------
        runs
            At least two: run names (the newest of that name), ids, or the first characters of an id.

        Examples
        --------
        %mlops compare baseline 4f2a91c0
        """
        given = [getattr(run, "id", run) for run in runs]
        if len(given) < 2:
            raise InvalidArgument(
                f"compare takes at least two runs, not {len(given)}.", hint="`%mlops runs` lists what there is."
            )
        return RunComparison.from_dict(self.context.call("tracking.compare", runs=[str(run) for run in given]))

    @command("track", stage="tracking", changes=True)
    def track(self, state: Annotated[str, Arg(choices=("on", "off"), metavar="on|off")] = "") -> str:
        """Make every cell that fits an estimator a run by itself, until it is switched off.

        The first fit in a cell begins the run and the end of the cell ends it; it is named after the notebook and the
        cell's number, and one line below the cell tells of it. When the cell runs again the earlier run is superseded,
        as the setting ``again`` says. What the cell logs with MLflow itself, or MLflow's autologging of a framework,
        lands in the same run, and makes the cell one; so does ``with mlflow.start_run():``, whose name the run takes, and
        where a cell begins several they are its children. Cells that are runs already, by ``%%mlops run`` or a run of
        MLflow's that was begun and not ended, are left alone.

        Parameters
        ----------
        state
            ``on`` or ``off``; left out it tells which it is.

        Examples
        --------
        %mlops track on
        %mlops track off
        """
        automatic = self._tracker.automatic
        if state == "on" and self.context.namespace is None:
            raise InvalidArgument(
                "track is for notebooks: there are no cells here.", hint="In a script, write `with mlops.run():`."
            )
        if state == "on":
            self.context.locate_notebook()  # the runs are named after it
            automatic.begin()
        elif state == "off":
            automatic.end()
        return "every cell that fits becomes a run" if automatic.on else "cells become runs only when you say so"

    # hooks around cells, for the kernel's surface; they never raise

    def cell_started(self, source: str, count: int, cell_id: str = "") -> None:
        """A cell is about to run."""
        self.context.cells.append(Cell(source, count, cell_id, now_ms()))
        if self.context.namespace is not None:
            if self.context.evidence is None:
                self.context.evidence = Watch()
            self.context.evidence.before(self.context.namespace, count)

    def cell_finished(
        self, outcome: Literal["ok", "error", "interrupted"], error: BaseException | None = None
    ) -> Recording | None:
        """The cell that was started last has ended, perhaps with an error; gives the run that `track` made of it."""
        cells = self.context.cells
        interrupted = KeyboardInterrupt() if outcome == "interrupted" else None
        made = self._tracker.automatic.cell_ended(error or interrupted)
        if self.context.evidence is not None and self.context.namespace is not None:
            self.context.evidence.after(self.context.namespace, error)
        if cells and cells[-1].outcome == "running":
            cells[-1] = replace(cells[-1], ended_ms=now_ms(), outcome=outcome)
        return made

    def get_ready(self) -> Iterator[None]:
        """Import, a step at a time, what the first recorded fit will need."""
        for name in NEEDED:
            import_module(name)
            yield
        skops_io()

    def locate_notebook(self, user_ns: Mapping[str, Any] | None = None) -> Notebook:
        """Find out which notebook this kernel runs and note it in the context; one without a name if nobody tells."""
        try:
            path = find_notebook(self.context.settings, user_ns or {})
        except Exception:  # whatever a server answers, a notebook works without its name
            path = ""
        self.context.notebook = replace(self.context.notebook, path=path)
        return self.context.notebook
