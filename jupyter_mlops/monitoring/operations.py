"""What the service does for the monitoring stage: compares what a deployment was asked, keeps and finds reports."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from ..domain.drift_report import DriftReport, ReportTable
from ..domain.operation import Duty, Operation
from ..errors import NotFound
from ..registry.operations import locate
from ..serving.operations import names as deployment_names
from ..store.host import Host
from .operations_alerts import alerts, busy, look_at_all, monitor, monitors, prometheus, silence, unmonitor
from .operations_arms import arms
from .operations_performance import expire_labels, forget_labels, label, performance, rows_for_shap
from .operations_places import arm_called
from .operations_traffic_samples import sample_traffic
from .operations_windows import compare_windows, history

__all__ = ["DUTIES", "OPERATIONS"]

ID_LENGTH = 12


def drift(
    host: Host,
    *,
    name: str,
    last: int | None = None,
    since_ms: int | None = None,
    thresholds: list[str] | None = None,
    detectors: list[str] | None = None,
    window: str = "",
    against: str = "training",
) -> dict[str, Any]:
    """Compare what a deployment was asked with what its model was trained on, and keep the report."""
    from .compare import chosen_detectors
    from .served import compare_served, read_reference, read_window
    from .thresholds import Thresholds

    limits = Thresholds.read(thresholds or [])
    chosen = detectors or []
    chosen_detectors(chosen, limits)
    where = arm_called(host, name)
    if window or against != "training":
        found = compare_windows(host, where, window=window, against=against, thresholds=limits, detectors=chosen)
        return host.store.reports.record(replace(found, id=host.request[:ID_LENGTH])).to_dict()
    deployment, model = where["deployment"], where["model"]
    asked, others = read_window(Path(where["folder"]), deployment, model, last=last, since_ms=since_ms)
    files = Path(where["files"]) if where["files"] else locate(host, model)[1]
    reference = read_reference(files, model)
    host.progress(f"comparing {len(asked):,} predictions of {deployment} with the training data of {model}")
    report = compare_served(reference, asked, deployment, model, others=others, thresholds=limits, detectors=chosen)
    return host.store.reports.record(replace(report, id=host.request[:ID_LENGTH])).to_dict()


def drift_history(
    host: Host,
    *,
    name: str,
    every: str,
    against: str = "training",
    thresholds: list[str] | None = None,
    detectors: list[str] | None = None,
) -> dict[str, Any]:
    """The drift of a deployment over time, window by window; complete windows are kept as metrics."""
    from .compare import chosen_detectors
    from .thresholds import Thresholds

    limits = Thresholds.read(thresholds or [])
    chosen_detectors(detectors or [], limits)
    where = arm_called(host, name)
    return history(host, where, every=every, against=against, thresholds=limits, detectors=detectors or []).to_dict()


def reports(host: Host, *, name: str = "", limit: int = 20) -> dict[str, Any]:
    """The newest reports, without their drawings."""
    from .compare import without_drawings

    found = host.store.reports.recent(name, limit=limit)
    if name and not found:
        _known(host, name)
    return ReportTable(tuple(without_drawings(report) for report in found)).to_dict()


def report(host: Host, *, id: str) -> dict[str, Any]:  # noqa: A002 the wire's word for it
    """One report in full."""
    found: DriftReport = host.store.reports.load(id)
    return found.to_dict()


def _known(host: Host, name: str) -> None:
    """Nothing if a deployment or model is called so, else the error that says what there is."""
    known = [*deployment_names(host), *host.store.models.names()]
    if name.partition("@")[0] not in known:
        raise NotFound.among("deployment or model", name, dict.fromkeys(known))


OPERATIONS: dict[str, Operation] = {
    "monitoring.drift": Operation(drift, action="drift.report", target="name", topics=("reports",)),
    "monitoring.history": Operation(drift_history),
    "monitoring.reports": Operation(reports),
    "monitoring.report": Operation(report),
    "monitoring.forget_labels": Operation(forget_labels, action="deployment.forget_labels", target="name"),
    "monitoring.label": Operation(label, action="deployment.label", target="name", topics=("deployments",)),
    "monitoring.performance": Operation(performance),
    "monitoring.arms": Operation(arms),
    "monitoring.monitor": Operation(monitor, action="monitor.set", target="name", topics=("monitors",)),
    "monitoring.unmonitor": Operation(unmonitor, action="monitor.remove", target="name", topics=("monitors", "alerts")),
    "monitoring.monitors": Operation(monitors),
    "monitoring.prometheus": Operation(prometheus),
    "monitoring.alerts": Operation(alerts),
    "monitoring.silence": Operation(silence, action="monitor.silence", target="name", topics=("monitors",)),
    "monitoring.rows_for_shap": Operation(rows_for_shap),
}

DUTIES: tuple[Duty, ...] = (
    Duty("traffic samples", 15.0, sample_traffic, lambda _host: False),
    Duty("labels", 10.0, expire_labels, lambda _host: False),
    Duty("monitors", 1.0, look_at_all, busy),
)
