"""Files for Prometheus: how to scrape a deployment, and its monitor's rules as alert rules."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

__all__ = ["alert_rules", "scrape_config"]


def scrape_config(name: str, url: str, token_file: str, rules_file: str = "rules.yml", *, seconds: int = 15) -> str:
    """A Prometheus configuration that scrapes one deployment with its token, which stays in its own file."""
    parts = urlsplit(url)
    quoted = json.dumps
    return f"""# Scrapes the deployment {name}. The token stays in its file; Prometheus must be able to read it.
global:
  scrape_interval: {seconds}s
  evaluation_interval: {seconds}s
rule_files:
  - {quoted(rules_file)}
scrape_configs:
  - job_name: {quoted(f"mlops-{name}")}
    scheme: {parts.scheme}
    metrics_path: /metrics
    authorization:
      credentials_file: {quoted(token_file)}
    static_configs:
      - targets: [{quoted(parts.netloc)}]
"""


def alert_rules(name: str, rules: Sequence[str], every_seconds: int) -> str:
    """The rules of a monitor as Prometheus alert rules, and rules about the deployment itself.

    A monitor's rule is judged by the service, with its windows and labels; Prometheus is told how it stands. JSON is
    YAML, and escapes every text rightly.
    """
    quoted = json.dumps(name)
    by_rule: list[dict[str, Any]] = [
        {
            "alert": "MlopsRuleFiring",
            "expr": f"mlops_rule_firing{{deployment={quoted},rule={json.dumps(rule)}}} == 1",
            "labels": {"severity": "warning", "rule": _literal(rule)},
            "annotations": {"summary": _literal(f"{name}: {rule}")},
        }
        for rule in rules
    ]
    own: list[dict[str, Any]] = [
        {
            "alert": "MlopsDeploymentDown",
            "expr": f"up{{job={json.dumps(f'mlops-{name}')}}} == 0",
            "for": "1m",
            "labels": {"severity": "critical"},
            "annotations": {"summary": f"{name} does not answer"},
        },
        {
            "alert": "MlopsPredictionsNotLogged",
            "expr": f"increase(mlops_predictions_not_logged_total{{deployment={quoted}}}[5m]) > 0",
            "labels": {"severity": "warning"},
            "annotations": {"summary": f"{name} answers predictions that its log does not hold"},
        },
        {
            "alert": "MlopsMonitorAsleep",
            "expr": f"time() - mlops_monitor_looked_timestamp_seconds{{deployment={quoted}}} > {3 * every_seconds + 300}",
            "labels": {"severity": "warning"},
            "annotations": {"summary": f"the monitor of {name} has not looked for a while"},
        },
    ]
    told = json.dumps({"groups": [{"name": f"mlops-{name}", "rules": [*by_rule, *own]}]}, indent=2, ensure_ascii=False)
    return f"{told}\n"


def _literal(text: str) -> str:
    """A text that Prometheus, which reads labels and annotations as templates, gives as it is."""
    return text.replace("{{", '{{"{{"}}')
