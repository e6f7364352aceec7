"""What a cell shows. The only folder that imports ipywidgets, anywidget and plotly.

Every noun has static HTML: it is what a saved notebook, nbviewer, GitHub and VS Code show. In a kernel that a Jupyter
server started the bundle also names a live widget, under a MIME type of ours: our labextension draws the same HTML
and puts the widget in its place only when the widget is really there, so a notebook without its kernel never shows
"model not found". A frontend without our labextension does not know the type and shows the HTML.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

from ..domain.alert import Alert, AlertTable, Monitor, MonitorTable
from ..domain.audit_entry import AuditCheck, AuditTrail
from ..domain.candidate import AbPlan, AbResult, Candidate
from ..domain.compression import Compression
from ..domain.contract import Contract
from ..domain.data_check import DataCheck
from ..domain.data_erasure import Forgotten
from ..domain.data_garbage import DataGarbage
from ..domain.data_seal import DataSeal
from ..domain.data_version import DataDiff, DataVersion, DataVersionTable
from ..domain.deployment import BatchResult, Deployment, DeploymentTable, Erasure, Manifest, Predictions, Rollback
from ..domain.display import Displayed
from ..domain.drift_history import DriftHistory
from ..domain.drift_report import DriftReport, ReportTable
from ..domain.evaluation import Difference, Evaluation, EvaluationTable
from ..domain.evidence_pack import EvidencePack
from ..domain.feature_selection import FeatureSelection
from ..domain.feature_view import FeatureView, FeatureViewTable, JoinedTable
from ..domain.gate import Approval, GateReport, ModelHistory
from ..domain.lineage import Lineage
from ..domain.model_card import ModelCard
from ..domain.model_comparison import ModelComparison
from ..domain.model_version import ModelTable, ModelVersion, Promotion
from ..domain.panel import Panel
from ..domain.parity import Parity
from ..domain.performance import Labelled, Performance
from ..domain.pipeline import DebugNotebook, Pipeline, PipelineRun, Verification
from ..domain.reproduction import Reproduction, RunCode
from ..domain.retrain import Retrain, RetrainTable
from ..domain.run import Run, RunComparison, RunTable
from ..domain.sweep import Sweep
from ..domain.traffic import Traffic
from ..domain.training import Training
from ..domain.workspace import Status
from . import (
    alerts,
    data_check,
    data_diff,
    drift_history,
    evaluation,
    evidence,
    features,
    gates,
    lineage,
    models,
    parity,
    performance,
    reproduction,
    runs,
    selection,
    sweep,
    tables,
    training,
    workspace,
)
from .markup import Markup, page, tag

__all__ = ["STATIC", "VIEW", "draw"]

VIEW = "application/vnd.jupyter-mlops.view+json"


def _words(thing: Displayed) -> Markup:
    """What is said well in a few lines of text, as it stands."""
    return page(tag("pre", thing.text()))


def _panel(told: Panel) -> Markup:
    return workspace.panel(told, lambda section: STATIC[type(section)](section))


STATIC: dict[type[Displayed], Callable[[Any], Markup]] = {
    Alert: alerts.alert,
    AlertTable: alerts.alert_table,
    Approval: gates.approval,
    AuditCheck: workspace.audit_check,
    AuditTrail: workspace.audit_trail,
    Candidate: evaluation.candidate,
    Compression: evaluation.compression,
    Contract: data_check.contract,
    DataCheck: data_check.data_check,
    DataDiff: data_diff.data_diff,
    DataVersion: tables.data_version,
    DataVersionTable: tables.data_version_table,
    Deployment: models.deployment,
    DeploymentTable: models.deployment_table,
    Difference: evaluation.difference,
    Evaluation: evaluation.evaluation,
    EvaluationTable: evaluation.evaluation_table,
    DriftHistory: drift_history.static_html,
    JoinedTable: features.joined_table,
    Labelled: performance.labelled,
    EvidencePack: evidence.evidence_pack,
    ModelCard: evidence.model_card,
    Lineage: lineage.lineage,
    ModelComparison: evaluation.comparison,
    FeatureSelection: selection.selection,
    FeatureView: features.feature_view,
    FeatureViewTable: features.feature_view_table,
    GateReport: gates.gate_report,
    ModelHistory: gates.model_history,
    ModelTable: models.model_table,
    ModelVersion: models.model_version,
    Monitor: alerts.monitor,
    MonitorTable: alerts.monitor_table,
    Panel: _panel,
    Parity: parity.parity,
    Performance: performance.performance,
    Pipeline: workspace.pipeline,
    Predictions: tables.predictions,
    Promotion: models.promotion,
    ReportTable: workspace.report_table,
    Reproduction: reproduction.reproduction,
    Retrain: alerts.retrain,
    RetrainTable: alerts.retrain_table,
    Run: runs.run,
    RunCode: reproduction.run_code,
    RunComparison: runs.comparison,
    RunTable: runs.run_table,
    Status: workspace.status,
    Sweep: sweep.sweep,
    Training: training.training,
    Verification: workspace.verification,
    AbPlan: _words,
    AbResult: _words,
    BatchResult: _words,
    DataGarbage: _words,
    DataSeal: _words,
    DebugNotebook: _words,
    Forgotten: _words,
    Erasure: _words,
    Manifest: _words,
    PipelineRun: _words,
    Rollback: _words,
    Traffic: _words,
}


def draw(thing: Displayed) -> Mapping[str, Any]:
    """A noun's forms besides plain text, by MIME type; nothing for what has no drawing."""
    bundle: dict[str, Any] = {}
    if isinstance(thing, DriftReport):
        bundle |= import_module(".drift", __name__).bundle(thing)
    else:
        static = next((STATIC[cls] for cls in type(thing).__mro__ if cls in STATIC), None)
        if static is not None:
            bundle["text/html"] = str(static(thing))
            model_id = import_module(".live", __name__).widget_for(thing)
            if model_id:
                bundle[VIEW] = {"widget": model_id, "html": bundle["text/html"]}
    return bundle
