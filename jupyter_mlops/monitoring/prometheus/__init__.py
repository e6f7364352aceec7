"""Prometheus and Grafana: what a deployment's metrics need there: a scrape configuration, alert rules, a dashboard."""

from __future__ import annotations

from .dashboard import dashboard
from .files import alert_rules, scrape_config

__all__ = ["alert_rules", "dashboard", "scrape_config"]
