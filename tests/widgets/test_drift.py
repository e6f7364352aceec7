"""The drawing of a drift report: small, without scripts, safe, the worst first, and the same in both forms."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import xml.etree.ElementTree as ET

import numpy as np
import pandas as pd
import pytest

from jupyter_mlops.domain.drift_report import ColumnDrift, Distribution, DriftReport, Finding
from jupyter_mlops.errors import NotFound
from jupyter_mlops.monitoring.compare import compare, profile_of
from jupyter_mlops.widgets.drift import bundle, figure, static_html

PLOTLY = "application/vnd.plotly.v1+json"
HOSTILE = "<script>alert(1)</script>&$x$"


def report_of(reference: pd.DataFrame, current: pd.DataFrame) -> DriftReport:
    before, found = profile_of(reference, side="reference")
    now, more = profile_of(current, like=before)
    return compare(before, now, found=[*found, *more])


def wide_table(rows: int, shift: float) -> pd.DataFrame:
    rng = np.random.default_rng(rows)
    numbers = {f"sensor_{i:02d}": rng.normal(shift * (i % 7 == 0), size=rows) for i in range(38)}
    labels = {
        f"category_{i}": rng.choice([f"a rather long label {j}" for j in range(5 + 4 * i)], rows) for i in range(12)
    }
    return pd.DataFrame(numbers | labels)


@pytest.fixture(scope="module")
def wide() -> DriftReport:
    return report_of(wide_table(5_000, 0), wide_table(3_000, 0.8))


def size(data: object) -> int:
    return len((data if isinstance(data, str) else json.dumps(data)).encode())


def test_fifty_columns_stay_under_200_kb(wide):
    found = bundle(wide)
    assert set(found) == {"text/html", PLOTLY}
    assert size(wide.text()) + sum(map(size, found.values())) < 200_000


def test_the_drifted_come_first_and_what_is_left_out_is_said(wide):
    drawn = bundle(wide)[PLOTLY]
    heads = [a["text"] for a in drawn["layout"]["annotations"]]
    drifted = len(wide.drifted)
    assert drifted == 6
    assert all(head.startswith("<b>▲ ") for head in heads[:drifted])
    assert not any("▲" in head for head in heads[drifted:])
    assert all(": drift; " in a["hovertext"] for a in drawn["layout"]["annotations"][:drifted])
    assert len(drawn["layout"]["shapes"]) == drifted
    assert len(drawn["data"]) == 2 * 24
    assert "24 of 50 columns are drawn" in heads[-1]
    html = str(static_html(wide))
    assert "36 of 50 columns are drawn" in html
    assert html.index("sensor_07") < html.index("sensor_01")
    assert all(f"sensor_{i:02d}" in html for i in range(38))


def test_the_figure_is_plotlys_and_has_no_template(wide):
    made = figure(wide)
    assert len(made.data) == 48
    assert made.layout.template.layout.to_plotly_json() == {}
    assert made.layout.paper_bgcolor == "rgba(0,0,0,0)"
    assert "6 of 50 columns drifted" in made.layout.title.text
    drawn = bundle(wide)[PLOTLY]
    assert "bdata" not in json.dumps(drawn)
    for trace in drawn["data"]:
        assert 0.97 < sum(trace["y"][: -1 if trace["type"] == "scatter" else None]) < 1.03


def test_the_html_fetches_and_runs_nothing_and_is_well_formed(wide):
    html = str(static_html(wide))
    assert not re.search(r"<script|javascript:|https?://|url\(|@import|\son\w+=", html)
    tree = ET.fromstring(f"<div>{html}</div>")
    assert len(tree.findall(".//svg")) == 36
    assert all(svg.get("role") == "img" and svg.get("aria-label") for svg in tree.findall(".//svg"))


def test_names_out_of_the_data_stay_text():
    column = ColumnDrift(HOSTILE, "categorical", None, distribution=Distribution((1.0,), (1.0,), labels=(HOSTILE,)))
    report = DriftReport(HOSTILE, HOSTILE, (column,), (Finding(HOSTILE, "k", HOSTILE, "error"),), convention=HOSTILE)
    html = str(static_html(report))
    assert "<script" not in html
    ET.fromstring(f"<div>{html}</div>")
    drawn = bundle(report)[PLOTLY]
    texts = [drawn["layout"]["title"]["text"], *(a["text"] for a in drawn["layout"]["annotations"])]
    assert not any("<script" in text or "$" in text for text in texts)


@pytest.mark.parametrize(
    "drawing",
    [
        None,
        Distribution((0.0, 0.0), (0.5, 0.5), edges=(0.0, 1.0, 2.0)),
        Distribution((1.0,), (1.0,), edges=(-1.7e308, 1.7e308)),
        Distribution((1.0, 0.0), (0.0, 1.0), labels=("", "x" * 500)),
    ],
)
def test_odd_reports_are_drawn(drawing):
    for columns in ((), (ColumnDrift("a", "numeric", False, distribution=drawing),)):
        report = DriftReport("r", "c", columns)
        found = bundle(report)
        assert (PLOTLY in found) == (bool(columns) and drawing is not None)
        assert "could not be judged" in found["text/html"] or "0 of 1" in found["text/html"]
        json.dumps(found, allow_nan=False)
        figure(report)


def test_a_mime_bundle_needs_no_plotly():
    code = (
        "import sys; from jupyter_mlops.widgets.drift import bundle;"
        "from jupyter_mlops.domain.drift_report import *;"
        "c = ColumnDrift('a', 'numeric', True, distribution=Distribution((1.0,), (1.0,), labels=('x',)));"
        "print(len(bundle(DriftReport('r', 'c', (c,)))), 'plotly' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["2", "False"]


def test_one_column_is_drawn_alone_with_its_numbers_on_hover(wide):
    alone = wide["sensor_07"]
    assert [column.name for column in alone] == ["sensor_07"]
    html = str(static_html(alone))
    ET.fromstring(f"<div>{html}</div>")
    assert len(re.findall(r"<title>[^<]* to [^<]*: \d+\.\d% → \d+\.\d%</title>", html)) == 30
    with pytest.raises(NotFound, match="sensor_99"):
        wide["sensor_99"]


def test_the_summary_counts_and_names_the_worst(wide):
    html = str(static_html(wide))
    assert f"{len(wide.strongly_drifted)} strong drift" in html
    assert f"{50 - len(wide.drifted)} no drift" in html
    assert html.index("worst:") < html.index("<svg")
