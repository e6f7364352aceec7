"""The commands of the monitoring stage."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from ..domain.command import Arg, command
from ..domain.context import CommandSet, now_ms
from ..domain.drift_history import DriftHistory
from ..domain.drift_report import DriftReport, ReportTable
from ..domain.length import parse_length
from ..errors import InvalidArgument, NotFound
from .stretch import parse_since, parse_window

__all__ = ["MonitoringCommands"]


class MonitoringCommands(CommandSet):
    """Inference log to drift report."""

    @command("drift", stage="monitoring", changes=True)
    def drift(
        self,
        reference: Annotated[Any, Arg(value="table", complete="deployments", metavar="REFERENCE")],
        current: Annotated[Any, Arg(value="table", complete="data", metavar="CURRENT")] = None,
        *,
        last: Annotated[int | None, Arg(metavar="ROWS")] = None,
        since: Annotated[str, Arg(metavar="WHEN")] = "",
        window: Annotated[str, Arg(metavar="LENGTH")] = "",
        against: Annotated[str, Arg(metavar="WHAT")] = "training",
        every: Annotated[str, Arg(metavar="LENGTH")] = "",
        threshold: Annotated[list[str] | None, Arg(metavar="DETECTOR=NUMBER")] = None,
        detector: Annotated[list[str] | None, Arg(metavar="NAME")] = None,
        multivariate: bool = False,
        memory: Annotated[str, Arg(metavar="SIZE")] = "",
    ) -> DriftReport | DriftHistory:
        """Show what has drifted: a deployment's inputs and predictions from its training data, or one table from another.

        A column has drifted when a difference is too large to be chance (corrected over all columns) and large enough
        to matter (past its threshold). Columns that are missing, extra, retyped or emptied, changed shares of missing
        values and new categories are findings. The report of a deployment is kept in the store, see `reports`.

        Parameters
        ----------
        reference
            A deployment or the model it serves, with ``@2`` or ``@challenger`` another version that it asks, a canary;
            or, with CURRENT, the table to compare with: a DataFrame, a CSV or Parquet file, or a data version such as
            ``adult@v3``.
        current
            The table to judge.
        last
            Only the newest rows of the deployment's log, as many.
        since
            Only what was answered since then: ``24h``, ``7d``, ``2026-11-01T09:30``.
        window
            Only a window of the log: a length up to now, ``24h``, ``7d``, or the current ``hour``, ``day``, ``week`` or
            ``month`` (UTC). Profiles of whole hours are kept: new rows, and the hours that it begins and ends in, alone are read.
        against
            What to compare with: ``training``, ``previous`` (the window before), or another version, ``v3``.
        every
            Show drift over time instead, in windows of this length (whole minutes): ``10min``, ``1d``. They are kept as
            MLflow metrics.
        threshold
            Another threshold for a detector, ``psi=0.3``, or for one column, ``age:psi=0.3``; also ``level=0.05``,
            ``missing=5%`` and ``new=1%``.
        detector
            Only these detectors, or ``all``.
        multivariate
            For two tables: also ask a classifier to tell them apart, and measure how well the reference's principal
            components describe the other.
        memory
            For two tables larger than memory (Parquet folders and files, Arrow readers): how much the comparison may
            take beside what Python itself takes, ``512MiB``, ``2GiB``; by default 1 GiB. Columns that do not fit are
            read in parts, and by how much that can be off stands in the report.

        Examples
        --------
        %mlops drift adult-clf
        %mlops drift adult-clf --last 500 --threshold psi=0.2
        %mlops drift adult-clf --window 1d --against previous
        %mlops drift adult-clf@challenger
        %mlops drift adult-clf --every 1d
        %mlops drift train new_customers
        %mlops drift january.parquet february.parquet --memory 2GiB
        """
        limits, chosen = _thresholds(threshold), list(detector or ())
        timed = [o for o, given in (("--last", last is not None), ("--since", since), ("--window", window)) if given]
        if len(timed) > 1 or (every and timed):
            raise InvalidArgument(f"{', '.join([*timed, *(['--every'] if every else [])])} exclude one another.")
        if current is None:
            if memory:
                raise InvalidArgument(
                    "--memory is for two tables; a deployment's log is read in parts by itself.", hint="Leave it out."
                )
            if multivariate:
                raise InvalidArgument(
                    "--multivariate needs the rows of two tables.", hint="`%mlops drift REFERENCE CURRENT`."
                )
            return self._served(reference, last, since, limits, chosen, window=window, against=against, every=every)
        if timed or every or against != "training":
            raise InvalidArgument(
                "--last, --since, --window, --against and --every choose from a deployment's log; "
                "two tables are compared as they are.",
                hint="Leave them out, or name a deployment alone.",
            )
        from ..datasets.tables import table_name
        from .large import parse_size
        from .tables import compared_tables
        from .thresholds import Thresholds

        called = (table_name(self.context, reference, "reference"), table_name(self.context, current, "current"))
        return compared_tables(
            self.context,
            (reference, current),
            called=called,
            thresholds=Thresholds.read(limits),
            detectors=chosen,
            multivariate=multivariate,
            memory=parse_size(memory) if memory else None,
        )

    @command("reports", stage="monitoring", changes=False)
    def reports(
        self,
        model: Annotated[str, Arg(complete="deployments", metavar="MODEL")] = "",
        *,
        limit: int = 20,
    ) -> ReportTable:
        """List the drift reports that were made, newest first; `report` shows one in full.

        Parameters
        ----------
        model
            Only those of this deployment or model; empty for all.
        limit
            How many at the most.

        Examples
        --------
        %mlops reports adult-clf --limit 5
        """
        if limit < 1:
            raise InvalidArgument(f"--limit takes a number from 1 on, not {limit}.")
        return ReportTable.from_dict(self.context.call("monitoring.reports", name=model, limit=limit))

    @command("report", stage="monitoring", changes=False)
    def report(self, id_: Annotated[str, Arg(metavar="ID")]) -> DriftReport:
        """Show a drift report that was made before, as it was then.

        Parameters
        ----------
        id_
            The report's id or the beginning of it, see `reports`.

        Examples
        --------
        %mlops report 3f9c
        """
        return DriftReport.from_dict(self.context.call("monitoring.report", id=id_))

    def _served(
        self,
        given: Any,
        last: int | None,
        since: str,
        thresholds: list[str],
        detectors: list[str],
        *,
        window: str,
        against: str,
        every: str,
    ) -> DriftReport | DriftHistory:
        if last is not None and last < 1:
            raise InvalidArgument(f"--last takes a number of rows from 1 on, not {last}.")
        since_ms = parse_since(since, now_ms()) if since else None
        if window:
            parse_window(window, now_ms())
        name = given if isinstance(given, str) else self._name_of(given)
        chosen: dict[str, Any] = {"name": name, "against": against, "thresholds": thresholds, "detectors": detectors}
        try:
            if every:
                parse_length(every)
                return DriftHistory.from_dict(self.context.call("monitoring.history", every=every, **chosen))
            answer = self.context.call("monitoring.drift", last=last, since_ms=since_ms, window=window, **chosen)
            return DriftReport.from_dict(answer)
        except NotFound:
            if isinstance(given, str):
                raise
            raise _alone(given) from None

    def _name_of(self, given: Any) -> str:
        """The name of a variable that a notebook handed over: a table or a model is often called as its deployment is."""
        names = [k for k, v in (self.context.namespace or {}).items() if v is given and not k.startswith("_")]
        if not names:
            raise _alone(given)
        return names[0]


def _alone(given: Any) -> InvalidArgument:
    return InvalidArgument(
        f"one {type(given).__name__} alone cannot be judged.",
        hint="Give the table to compare with too, `%mlops drift REFERENCE CURRENT`, or the name of a deployment.",
    )


def _thresholds(given: list[str] | Mapping[str, float] | None) -> list[str]:
    """In Python a mapping will do."""
    if isinstance(given, Mapping):
        return [f"{name}={value}" for name, value in given.items()]
    return list(given or ())
