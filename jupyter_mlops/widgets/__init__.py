"""What a cell shows. The only folder that imports ipywidgets, anywidget and plotly.

Every noun has static HTML: it is what a saved notebook, nbviewer, GitHub and VS Code show. In a kernel that a Jupyter
server started the bundle also names a live widget, under a MIME type of ours: our labextension draws the same HTML
and puts the widget in its place only when the widget is really there, so a notebook without its kernel never shows
"model not found". A frontend without our labextension does not know the type and shows the HTML.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from ..domain.display import Displayed
from .markup import Markup, page, tag

__all__ = ["DRAWN", "VIEW", "draw", "static_html"]

VIEW = "application/vnd.jupyter-mlops.view+json"

DRAWN = {
    "Alert": "alerts.alert",
    "AlertTable": "alerts.alert_table",
    "Approval": "gates.approval",
    "AuditCheck": "workspace.audit_check",
    "AuditTrail": "workspace.audit_trail",
    "Candidate": "evaluation.candidate",
    "Compression": "evaluation.compression",
    "Contract": "data_check.contract",
    "DataCheck": "data_check.data_check",
    "DataDiff": "data_diff.data_diff",
    "DataVersion": "tables.data_version",
    "DataVersionTable": "tables.data_version_table",
    "DebugNotebook": "pipeline_runs.debug_notebook",
    "Deployment": "models.deployment",
    "DeploymentTable": "models.deployment_table",
    "Difference": "evaluation.difference",
    "DriftHistory": "drift_history.static_html",
    "Evaluation": "evaluation.evaluation",
    "EvaluationTable": "evaluation.evaluation_table",
    "EvidencePack": "evidence.evidence_pack",
    "FeatureSelection": "selection.selection",
    "FeatureView": "features.feature_view",
    "FeatureViewTable": "features.feature_view_table",
    "FolderDiff": "folder_diff.folder_diff",
    "GateReport": "gates.gate_report",
    "JoinedTable": "features.joined_table",
    "Labelled": "performance.labelled",
    "Lineage": "lineage.lineage",
    "ModelCard": "evidence.model_card",
    "ModelComparison": "evaluation.comparison",
    "ModelHistory": "gates.model_history",
    "ModelTable": "models.model_table",
    "ModelVersion": "models.model_version",
    "Monitor": "alerts.monitor",
    "MonitorTable": "alerts.monitor_table",
    "Panel": "workspace.panel",
    "Parity": "parity.parity",
    "Performance": "performance.performance",
    "Pipeline": "workspace.pipeline",
    "PipelineRun": "pipeline_runs.pipeline_run",
    "Predictions": "tables.predictions",
    "Promotion": "models.promotion",
    "ReportTable": "workspace.report_table",
    "Reproduction": "reproduction.reproduction",
    "Retrain": "alerts.retrain",
    "RetrainTable": "alerts.retrain_table",
    "Rollback": "models.rollback",
    "Run": "runs.run",
    "RunCode": "reproduction.run_code",
    "RunComparison": "runs.comparison",
    "RunTable": "runs.run_table",
    "Status": "workspace.status",
    "Sweep": "sweep.sweep",
    "Traffic": "models.traffic",
    "Training": "training.training",
    "Verification": "workspace.verification",
}
"""By the noun's class, the module and function that draw it; imported when one is drawn."""

WORDS = frozenset(
    {
        "AbPlan",
        "AbResult",
        "BatchResult",
        "DataGarbage",
        "DataSeal",
        "Erasure",
        "Forgotten",
        "Manifest",
    }
)
"""Nouns that are said well in a few lines of text, as it stands."""


def static_html(thing: Displayed) -> Markup | None:
    """A noun's static HTML; None for what has none."""
    for cls in type(thing).__mro__:
        if cls.__name__ in WORDS:
            return page(tag("pre", thing.text()))
        place = DRAWN.get(cls.__name__)
        if place is not None:
            module, _, function = place.partition(".")
            drawn: Markup = getattr(import_module(f".{module}", __name__), function)(thing)
            return drawn
    return None


def draw(thing: Displayed) -> Mapping[str, Any]:
    """A noun's forms besides plain text, by MIME type; nothing for what has no drawing."""
    bundle: dict[str, Any] = {}
    if type(thing).__name__ == "DriftReport":
        bundle |= import_module(".drift", __name__).bundle(thing)
    else:
        html = static_html(thing)
        if html is not None:
            bundle["text/html"] = str(html)
            model_id = import_module(".live", __name__).widget_for(thing)
            if model_id:
                bundle[VIEW] = {"widget": model_id, "html": bundle["text/html"]}
    return bundle
