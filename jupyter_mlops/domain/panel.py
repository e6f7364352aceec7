"""Panel: what the workspace has, newest first, stage by stage: the sidebar's content for frontends that have none."""

from __future__ import annotations

from dataclasses import dataclass

from .alert import AlertTable
from .data_version import DataVersionTable
from .deployment import DeploymentTable
from .display import Displayed
from .drift_report import ReportTable
from .model_version import ModelTable
from .record import Record
from .run import RunTable
from .workspace import Status

__all__ = ["Panel"]


@dataclass(frozen=True)
class Panel(Displayed, Record):
    """The latest of everything in a workspace.

    Parameters
    ----------
    status
        Where everything goes and how much there is of it.
    runs, data, models, deployments, reports, alerts
        The newest of each, as the commands of these names list them.
    limit
        How many runs, reports and alerts were asked for.
    """

    status: Status
    runs: RunTable
    data: DataVersionTable
    models: ModelTable
    deployments: DeploymentTable
    reports: ReportTable
    alerts: AlertTable
    limit: int = 10

    @property
    def sections(self) -> tuple[tuple[str, str, int, Displayed], ...]:
        """Each section's name, title, how many there are of it in the workspace, and its table."""
        return (
            ("runs", "Runs", max(self.status.runs, len(self.runs.runs)), self.runs),
            ("data", "Data", len(self.data.versions), self.data),
            ("models", "Models", len(self.models.versions), self.models),
            ("deployments", "Deployments", len(self.deployments.deployments), self.deployments),
            ("reports", "Drift reports", len(self.reports.reports), self.reports),
            ("alerts", "Alerts", len(self.alerts.alerts), self.alerts),
        )

    def text(self) -> str:
        parts = [self.status.text()]
        parts += [f"{title} ({count})\n{told.text()}" for _, title, count, told in self.sections if count]
        return "\n\n".join(parts)
