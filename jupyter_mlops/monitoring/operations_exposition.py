"""What monitors found, as OpenMetrics: a file beside a deployment that its model server tells with its own counters at ``/metrics``."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path

from ..domain.drift_report import DriftReport
from ..domain.performance import PerformanceWindow
from ..serving.deployment_folder import DeploymentFolder
from ..serving.metrics import MONITORED_FILE
from ..store.host import Host
from .alerts import State
from .rules import parse_rule

__all__ = ["expose", "note_drift", "note_performance", "withdraw"]

Sample = tuple[dict[str, str], float]


def note_drift(host: Host, deployment: str, report: DriftReport, end_ms: int) -> None:
    """Take note of a window's drift, to be told with the next exposition; an older window does not replace it."""
    model = {"model": report.model or ""}
    scores: list[Sample] = [
        ({**model, "column": column.name, "detector": score.detector}, float(score.value))
        for column in report.columns
        for score in column.scores
    ]
    drifted: list[Sample] = [
        ({**model, "column": c.name}, float(c.drifted)) for c in report.columns if c.drifted is not None
    ]
    _note(host, deployment, "drift", end_ms, {"mlops_drift_score": scores, "mlops_column_drifted": drifted})


def note_performance(host: Host, deployment: str, window: PerformanceWindow) -> None:
    """Take note of a window's performance, to be told with the next exposition: labels are late, so each kind by itself."""
    model = {"model": window.models[0] if len(window.models) == 1 else ""}
    for kind, found in (("realised", window.realised), ("estimated", window.estimated)):
        values: list[Sample] = [
            ({**model, "metric": m.name, "kind": kind}, float(m.value)) for m in found if m.value is not None
        ]
        if values:
            _note(host, deployment, kind, window.end_ms, {"mlops_performance": values})


def _note(host: Host, deployment: str, kind: str, end_ms: int, families: dict[str, list[Sample]]) -> None:
    kept = host.shared.setdefault("exposed", {}).setdefault(deployment, {})
    if end_ms >= kept.get(kind, (0, {}))[0]:
        kept[kind] = (end_ms, families)


HELP = {
    "mlops_drift_score": "Drift of a column in the newest window, by detector.",
    "mlops_column_drifted": "Whether a column drifted in the newest window.",
    "mlops_performance": "A metric in the newest window that tells it, realised or estimated.",
    "mlops_rule_value": "What a monitor's rule was last judged by.",
    "mlops_rule_firing": "Whether a monitor's rule fires.",
    "mlops_labelled_predictions": "Predictions of the log that have a label.",
    "mlops_monitor_looked_timestamp_seconds": "When the monitor last looked.",
}


def expose(host: Host, state: State) -> None:
    """Write the file of a deployment, in one step."""
    name = state.monitor.name
    families: dict[str, list[Sample]] = {}
    for _, found in host.shared.get("exposed", {}).get(name, {}).values():
        for family, samples in found.items():
            families[family] = [*families.get(family, ()), *samples]
    judged = state.monitor.judgements
    families["mlops_rule_firing"] = [({"rule": j.rule}, float(j.state == "firing")) for j in judged]
    families["mlops_rule_value"] = [
        ({"rule": j.rule, "subject": parse_rule(j.rule).subject}, j.value) for j in judged if j.value is not None
    ]
    families["mlops_labelled_predictions"] = [({}, float(state.labelled))]
    families["mlops_monitor_looked_timestamp_seconds"] = [({}, state.monitor.looked_ms / 1000)]
    lines: list[str] = []
    for family, samples in families.items():
        if samples:
            lines += [f"# TYPE {family} gauge", f"# HELP {family} {HELP[family]}"]
            lines += _lines(family, name, samples)
    path = DeploymentFolder.of(host.workspace.home, name).path / MONITORED_FILE
    if not path.parent.is_dir():
        return
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text("".join(f"{line}\n" for line in lines))
    temporary.replace(path)


def withdraw(home: Path, deployment: str) -> None:
    """Tell nothing any more of a deployment that is monitored no more."""
    (DeploymentFolder.of(home, deployment).path / MONITORED_FILE).unlink(missing_ok=True)


def _lines(family: str, deployment: str, samples: Iterable[Sample]) -> list[str]:
    told = []
    for labels, value in samples:
        given = {"deployment": deployment, **{k: v for k, v in labels.items() if v}}
        text = ",".join(f"{key}={json.dumps(text, ensure_ascii=False)}" for key, text in given.items())
        told.append(f"{family}{{{text}}} {value!r}")
    return told
