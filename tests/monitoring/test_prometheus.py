"""What Prometheus and Grafana are given: accepted by promtool, and a real Prometheus scrapes a live deployment until a rule fires."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
import urllib.request
from dataclasses import replace

import pandas as pd
import pytest
from logs import deployed, host_at
from servers import free_port

from jupyter_mlops.domain.alert import Judgement, Monitor
from jupyter_mlops.domain.drift_report import ColumnDrift, DriftReport, Score
from jupyter_mlops.domain.evaluation_parts import MetricValue
from jupyter_mlops.domain.performance import PerformanceWindow
from jupyter_mlops.monitoring.alerts import State
from jupyter_mlops.monitoring.operations_exposition import expose, note_drift, note_performance
from jupyter_mlops.monitoring.prometheus import alert_rules, dashboard, scrape_config
from jupyter_mlops.serving.metrics import MONITORED_FILE, openmetrics

ODD = 'drift(a "b" {{ c }}\\n)'


def tool(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not on this machine (Debian package prometheus)")
    return found


def test_what_a_monitor_found_is_openmetrics_beside_the_servers_own(tmp_path, empty_database):
    from prometheus_client.openmetrics.parser import text_string_to_metric_families

    host = host_at(tmp_path, empty_database)
    folder = deployed(host)
    column = ColumnDrift("pay/h", "numeric", True, (Score("psi", 0.5, 0.2, "above", True),))
    report = replace(DriftReport("a", "b", (column,), current_rows=50), model="m@1")
    note_drift(host, "m", report, 10)
    note_drift(host, "m", replace(report, columns=()), 5)  # an older window
    note_performance(host, "m", PerformanceWindow(0, 10, 50, 40, (MetricValue("roc_auc", 0.7),), models=("m@1",)))
    judged = (Judgement("psi(pay) > 0.2", "firing", 0.5, "0.5", 10), Judgement("drift", "unknown"))
    expose(host, State(Monitor("m", "1h", ("psi(pay) > 0.2", "drift"), judgements=judged, looked_ms=5_000)))
    text = openmetrics("m", [], now_ms=0, monitored=(folder.path / MONITORED_FILE).read_text())
    families = {f.name: f for f in text_string_to_metric_families(text)}
    (sample,) = families["mlops_drift_score"].samples
    assert sample.labels == {"deployment": "m", "model": "m@1", "column": "pay/h", "detector": "psi"}
    assert sample.value == 0.5
    assert families["mlops_performance"].samples[0].labels["kind"] == "realised"
    firing = {s.labels["rule"]: s.value for s in families["mlops_rule_firing"].samples}
    assert firing == {"psi(pay) > 0.2": 1.0, "drift": 0.0}
    assert [s.labels["rule"] for s in families["mlops_rule_value"].samples] == ["psi(pay) > 0.2"]
    assert families["mlops_monitor_looked_timestamp_seconds"].samples[0].value == 5.0


def test_promtool_accepts_the_rules_and_the_configuration(tmp_path):
    promtool = tool("promtool")
    (tmp_path / "rules.yml").write_text(alert_rules("clf", ["psi(age) > 0.2", ODD], 3600))
    token = tmp_path / "token"
    token.write_text("t")
    (tmp_path / "prometheus.yml").write_text(scrape_config("clf", "http://127.0.0.1:5001", str(token)))
    for command in (["check", "rules", "rules.yml"], ["check", "config", "prometheus.yml"]):
        done = subprocess.run([promtool, *command], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    assert "5 rules" in subprocess.run([promtool, "check", "rules", "rules.yml"], cwd=tmp_path, capture_output=True, text=True, check=True).stdout  # fmt: skip


def test_the_dashboard_is_one_and_asks_for_what_is_told():
    from grafana_foundation_sdk.models.dashboard import Dashboard

    data = json.loads(dashboard('odd "name"'))
    read = Dashboard.from_json(data)
    assert read.title.startswith("odd")
    assert len(read.panels) == len(data["panels"])
    told = openmetrics("m", [], now_ms=0) + "mlops_drift_score mlops_column_drifted mlops_performance mlops_rule_firing"
    told += " mlops_labelled_predictions"
    for panel in data["panels"]:
        (target,) = panel["targets"]
        name = next(w for w in target["expr"].replace("(", " ").replace("{", " ").split() if w.startswith("mlops_"))
        assert name.removesuffix("_total").removesuffix("_bucket") in told
        assert 'deployment="odd \\"name\\""' in target["expr"]


@pytest.mark.extended
def test_a_real_prometheus_scrapes_a_live_deployment_and_a_rule_fires(session, tmp_path):
    from sklearn.linear_model import LogisticRegression

    prometheus, port = tool("prometheus"), free_port()
    x = pd.DataFrame({"a": [0.1 * i - 5 for i in range(100)]})
    session.register(LogisticRegression().fit(x, x["a"] > 0), name="clf", data=x)
    session.deploy("clf")
    session.monitor("clf", every="2s", when=["rows < 1000000"])
    session.predict("clf", x)
    session.prometheus("clf", output=str(tmp_path))
    for name in ("prometheus.yml",):
        text = (tmp_path / name).read_text().replace("interval: 15s", "interval: 1s")
        (tmp_path / name).write_text(text)
    assert "token" in (tmp_path / "prometheus.yml").read_text()
    command = [prometheus, f"--config.file={tmp_path / 'prometheus.yml'}", f"--storage.tsdb.path={tmp_path / 'data'}"]
    with (tmp_path / "out").open("wb") as out:
        server = subprocess.Popen(
            [*command, f"--web.listen-address=127.0.0.1:{port}"], cwd=tmp_path, stdout=out, stderr=out
        )
    try:
        fired: list[dict[str, object]] = []
        deadline = time.monotonic() + 60
        while not fired and time.monotonic() < deadline and server.poll() is None:
            time.sleep(0.5)
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v1/alerts", timeout=5) as answer:
                    every = json.loads(answer.read())["data"]["alerts"]
            except OSError:
                continue
            fired = [a for a in every if a["state"] == "firing"]
        assert fired, (tmp_path / "out").read_text()[-2_000:]
        assert fired[0]["labels"]["alertname"] == "MlopsRuleFiring"
        assert fired[0]["labels"]["rule"] == "rows < 1000000"
    finally:
        server.terminate()
        server.wait(timeout=20)
