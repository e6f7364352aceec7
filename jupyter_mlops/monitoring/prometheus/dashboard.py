"""A Grafana dashboard of one deployment, as the JSON that Grafana imports."""

from __future__ import annotations

import json
from typing import Any

__all__ = ["dashboard"]

SCHEMA = 39
PANELS = (
    ("Requests a second", "sum by (model) (rate(mlops_requests_total{{deployment={d}}}[5m]))", "{{model}}", "reqps"),
    (
        "Latency p99",
        "histogram_quantile(0.99, sum by (le) (rate(mlops_latency_seconds_bucket{{deployment={d}}}[5m])))",
        "p99",
        "s",
    ),
    ("Performance", "mlops_performance{{deployment={d}}}", "{{kind}} {{metric}}", "short"),
    ("Columns that drifted", "sum(mlops_column_drifted{{deployment={d}}})", "columns", "short"),
    (
        "Drift by column",
        "max by (column, detector) (mlops_drift_score{{deployment={d}}})",
        "{{column}} {{detector}}",
        "short",
    ),
    ("Rules that fire", "mlops_rule_firing{{deployment={d}}}", "{{rule}}", "short"),
    ("Labelled predictions", "mlops_labelled_predictions{{deployment={d}}}", "labelled", "short"),
)


def dashboard(name: str) -> str:
    """The dashboard of a deployment.

    Examples
    --------
    >>> len(json.loads(dashboard("clf"))["panels"]) == len(PANELS)
    True
    """
    panels = []
    source = {"type": "prometheus", "uid": "${datasource}"}
    for i, (title, query, legend, unit) in enumerate(PANELS):
        target: dict[str, Any] = {
            "refId": "A",
            "datasource": source,
            "expr": query.format(d=json.dumps(name)),
            "legendFormat": legend,
        }
        panels.append(
            {
                "id": i + 1,
                "type": "timeseries",
                "title": title,
                "datasource": source,
                "gridPos": {"h": 8, "w": 12, "x": 12 * (i % 2), "y": 8 * (i // 2)},
                "fieldConfig": {"defaults": {"unit": unit}, "overrides": []},
                "targets": [target],
            }
        )
    told = {
        "title": f"{name} (jupyter-mlops)",
        "uid": f"mlops-{name}"[:40],
        "tags": ["mlops"],
        "timezone": "browser",
        "schemaVersion": SCHEMA,
        "refresh": "30s",
        "time": {"from": "now-24h", "to": "now"},
        "templating": {"list": [{"name": "datasource", "type": "datasource", "query": "prometheus"}]},
        "panels": panels,
    }
    return json.dumps(told, indent=2) + "\n"
