"""Drift reports at rest: artifacts and metrics of one MLflow run a deployment, its monitor.

A report is one JSON artifact, and its scores are metrics of the monitor with the time as their step, so that MLflow's own
pages draw how a column's drift went over time. A report never changes; one that was written half is not seen.
"""

from __future__ import annotations

import contextlib
import json
import logging
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlparse

from ..domain.context import now_ms
from ..domain.drift_report import DriftReport
from ..errors import IntegrityFailure, NotFound
from . import tags
from .door import mlflow_errors

if TYPE_CHECKING:
    from .store import Store

__all__ = ["Reports", "metrics_of"]

log = logging.getLogger("jupyter_mlops.service")

LONGEST_METRIC = 200
METRICS_A_BATCH = 500
MOST_MONITORS = 1000
FILE = re.compile(r"(\d+)-([\w-]+)\.json")


class Reports:
    """The drift reports of one store's experiment."""

    def __init__(self, store: Store) -> None:
        self._store = store

    @property
    def experiment_id(self) -> str:
        """MLflow's id of the experiment that holds the monitors, made on first use."""
        return self._store.experiment(f"{self._store.workspace.experiment}.monitoring")

    def record(self, report: DriftReport) -> DriftReport:
        """Keep a report, once for each id; give what is kept, which is an earlier one if the id is known.

        Parameters
        ----------
        report
            With an id and the name of its deployment.
        """
        with self._door(), self._store.write_lock:
            run = self.monitor_of(report.deployment, report.model)
            earlier = next((path for path, _, id_ in self._listed(run) if id_ == report.id), None)
            if earlier is not None:
                with contextlib.suppress(IntegrityFailure):  # else it was cut short: it is written again
                    report = self._read(run, earlier)
                    earlier = ""
            if earlier != "":
                self._write(run.info.run_id, report, earlier)
            self._log_metrics(run.info.run_id, report)
            self._store.client.set_tag(run.info.run_id, tags.MODEL, report.model)
            return report

    def record_series(self, deployment: str, model: str, series: str, windows: list[tuple[int, DriftReport]]) -> int:
        """Keep the scores of windows as metrics of the monitor, each window once; give how many were new.

        Parameters
        ----------
        series
            What the metrics' names begin with: ``every_1d_training``.
        windows
            The end of each, in milliseconds since 1970, which is its step, and its report.
        """
        named = [(end, metrics_of(report)) for end, report in windows]
        return self.record_numbers(deployment, model, series, named, mark="rows")

    def record_numbers(
        self, deployment: str, model: str, series: str, windows: list[tuple[int, dict[str, float]]], mark: str
    ) -> int:
        """Keep numbers of windows as metrics of the monitor; give how many windows were new.

        Parameters
        ----------
        mark
            The number that is written last, which tells that a window is complete: one whose number is there already,
            as it is now, is not written again.
        """
        from mlflow.entities import Metric

        with self._door(), self._store.write_lock:
            run_id = self.monitor_of(deployment, model).info.run_id
            # A window that was cut off half-way lacks its mark, and is written again.
            points = self._store.client.get_metric_history(run_id, f"{series}.{mark}")
            done = {point.step: point.value for point in sorted(points, key=lambda point: point.timestamp)}
            new = [(end, dict(numbers)) for end, numbers in windows if done.get(end) != numbers[mark]]
            for end, numbers in new:
                last = numbers.pop(mark)
                when = max(end, now_ms()) if end in done else end
                metrics = [
                    Metric(f"{series}.{name}"[:LONGEST_METRIC], value, when, end) for name, value in numbers.items()
                ]
                for start in range(0, len(metrics), METRICS_A_BATCH):
                    self._store.client.log_batch(run_id, metrics=metrics[start : start + METRICS_A_BATCH])
                self._store.client.log_batch(run_id, metrics=[Metric(f"{series}.{mark}", last, when, end)])
            return len(new)

    def recent(self, name: str = "", *, limit: int = 20) -> list[DriftReport]:
        """The newest reports, newest first, of a deployment or model, or of all."""
        with self._door():
            found = [(when, run, path) for run in self.monitors() for path, when, _ in self._listed(run)]
            reports: list[DriftReport] = []
            for _, run, path in sorted(found, key=lambda item: item[0], reverse=True):
                if len(reports) == limit:
                    break
                try:
                    report = self._read(run, path)
                except IntegrityFailure as error:
                    log.warning("%s", error)
                    continue
                if not name or name in (report.deployment, report.model, report.model.partition("@")[0]):
                    reports.append(report)
            return reports

    def listed(self, deployment: str) -> list[tuple[str, int]]:
        """Ids and times of the reports on a deployment, none of them opened."""
        with self._door():
            return [(id_, when) for run in self.monitors(deployment) for _, when, id_ in self._listed(run)]

    def load(self, id_: str) -> DriftReport:
        """One report in full, by its id or the beginning of it.

        Raises
        ------
        NotFound
            There is none.
        IntegrityFailure
            It is not readable.
        """
        with self._door():
            every = [(when, own, run, path) for run in self.monitors() for path, when, own in self._listed(run)]
            every.sort(key=lambda item: item[0], reverse=True)
            for _, own, run, path in every:
                if id_ and own.startswith(id_):
                    return self._read(run, path)
        known = [own for _, own, _, _ in every]
        raise NotFound.among("drift report", id_, known, hint="Make one with `%mlops drift MODEL`.")

    def monitors(self, deployment: str = "") -> list[Any]:
        """The runs of a deployment's monitor, or of all."""
        wanted = f"tags.`{tags.KIND}` = 'monitor'"
        if deployment:
            wanted += f" AND tags.`{tags.DEPLOYMENT}` = '{deployment}'"
        return list(
            self._store.client.search_runs(
                [self.experiment_id],
                filter_string=wanted,
                max_results=MOST_MONITORS,
                order_by=["attributes.start_time ASC"],
            )
        )

    def monitor_of(self, deployment: str, model: str) -> Any:
        """The run of one deployment's reports, made on first use; never left running, as nothing runs."""
        client = self._store.client
        found = self.monitors(deployment)
        run = found[0] if found else None
        if run is None:
            run = client.create_run(
                self.experiment_id,
                run_name=f"monitor of {deployment}",
                tags={
                    tags.SCHEMA_TAG: tags.SCHEMA,
                    tags.KIND: "monitor",
                    tags.DEPLOYMENT: deployment,
                    tags.MODEL: model,
                    tags.RUN_NOTE: f"Drift reports of the deployment `{deployment}`: scores as metrics, "
                    f"whole reports in `{tags.REPORTS}`.",
                },
            )
        if run.info.status != "FINISHED":
            client.set_terminated(run.info.run_id, status="FINISHED")
        return run

    def _listed(self, run: Any) -> list[tuple[str, int, str]]:
        """The path, time and id of each report of a monitor."""
        found = []
        for file in self._store.client.list_artifacts(run.info.run_id, tags.REPORTS):
            parts = FILE.fullmatch(file.path.rpartition("/")[2])
            if parts:
                found.append((str(file.path), int(parts[1]), parts[2]))
        return found

    def _write(self, run_id: str, report: DriftReport, path: str | None) -> None:
        name = path.rpartition("/")[2] if path else f"{report.created_ms:013d}-{report.id}.json"
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / name
            file.write_text(json.dumps(report.to_dict(), separators=(",", ":"), allow_nan=False))
            self._store.client.log_artifact(run_id, str(file), tags.REPORTS)

    def _read(self, run: Any, path: str) -> DriftReport:
        """A report from a local artifact, or from our copy of a remote one."""
        place = urlparse(run.info.artifact_uri)
        if place.scheme in ("", "file"):
            return _parsed(Path(unquote(place.path)) / path)
        cache = self._store.workspace.home / "cache" / "reports"
        kept = cache / path.rpartition("/")[2]
        if kept.exists():
            with contextlib.suppress(IntegrityFailure):
                return _parsed(kept)
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache) as folder:
            arrived = Path(self._store.client.download_artifacts(run.info.run_id, path, folder))
            report = _parsed(arrived)
            arrived.replace(kept)
        return report

    def _log_metrics(self, run_id: str, report: DriftReport) -> None:
        from mlflow.entities import Metric

        when = report.created_ms
        metrics = [Metric(name, value, when, when) for name, value in metrics_of(report).items()]
        for start in range(0, len(metrics), METRICS_A_BATCH):
            self._store.client.log_batch(run_id, metrics=metrics[start : start + METRICS_A_BATCH])

    @contextlib.contextmanager
    def _door(self) -> Iterator[None]:
        with mlflow_errors(self._store.workspace.tracking_uri):
            yield


def metrics_of(report: DriftReport) -> dict[str, float]:
    """The numbers of a report as MLflow metrics: ``psi.age`` and the like; what a name may not hold becomes ``_``.

    Examples
    --------
    >>> from jupyter_mlops.domain.drift_report import ColumnDrift, Score
    >>> column = ColumnDrift("pay/h", "numeric", False, (Score("psi", 0.1, 0.2, "above", False),))
    >>> metrics_of(DriftReport("a", "b", (column,), current_rows=50))
    {'drifted_columns': 0.0, 'judged_columns': 1.0, 'rows': 50.0, 'psi.pay_h': 0.1}
    """
    found = {
        "drifted_columns": float(len(report.drifted)),
        "judged_columns": float(len(report.columns) - len(report.unjudged)),
        "rows": float(report.current_rows),
    }
    for column in report.columns:
        for score in column.scores:
            plain = re.sub(r"[^A-Za-z0-9_\-. ]", "_", f"{score.detector}.{column.name}")[:LONGEST_METRIC]
            name, number = plain, 2
            while name in found:
                name, number = f"{plain}_{number}", number + 1
            found[name] = score.value
    return found


def _parsed(file: Path) -> DriftReport:
    try:
        return DriftReport.from_dict(json.loads(file.read_text()))
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise IntegrityFailure(f"the drift report {file.name} cannot be read: {error}.") from error
