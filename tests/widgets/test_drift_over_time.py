"""The drawing of drift over time: small, without scripts, safe, the worst on top, states told by more than colour."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET

import numpy as np

from jupyter_mlops.domain.drift_history import Cell, DriftHistory, DriftWindow
from jupyter_mlops.widgets import draw

HOSTILE = "<script>alert(1)</script>&$x$"
DAY = 86_400_000


def made(columns: int, windows: int, share: float = 0.05) -> DriftHistory:
    rng = np.random.default_rng(columns)
    names = (*(f"column_{i:02d}" for i in range(columns - 1)), HOSTILE)

    def cell(place: int, at: int) -> Cell:
        if place == 3 and at >= windows - 4:
            return Cell("strong", "ks", 0.31)
        return Cell("drift", "psi", 0.12) if rng.random() < share else Cell("ok", "ks", 0.01)

    parts = tuple(
        DriftWindow(
            i * DAY, (i + 1) * DAY, 100 + i, tuple(cell(j, i) for j in range(columns)), (HOSTILE,) if i == 2 else ()
        )
        for i in range(windows)
    )
    return DriftHistory("clf", "clf@7", HOSTILE, "1d", names, parts, HOSTILE)


def test_fifty_columns_by_sixty_windows_stay_under_200_kb_and_run_nothing():
    found = draw(made(50, 60))
    assert len(json.dumps(found).encode()) < 200_000
    html = found["text/html"]
    assert not re.search(r"<script|javascript:|https?://|url\(|@import|\son\w+=", html)
    assert re.search(r"\d+ of 50 columns drift, (the first )?since [-\d]+ \d\d:\d\d: ", html)
    tree = ET.fromstring(f"<div>{html}</div>")
    assert len(tree.findall(".//svg")) == 1
    assert "column_03: strong drift; ks 0.31" in html
    assert html.index(">column_03<") < html.index(">column_02<")
    assert html.count("▲") == 4 + 1  # and in the key


def test_without_windows_or_with_odd_ones_it_is_drawn_all_the_same():
    assert "no windows yet" in draw(DriftHistory("d", "m", "r", "1d", (), ()))["text/html"]
    short = DriftHistory("d", "m", "r", "1d", ("a", "b"), (DriftWindow(0, DAY, 0, (Cell("unjudged"),)),))
    assert "not judged" in draw(short)["text/html"]


def test_a_copy_without_styles_says_that_its_drawings_are_left_out():
    html = str(draw(made(4, 6))["text/html"])
    style, rest = html.split("</style>", 1)
    assert ".mlops-bare{display:none}" in style
    assert rest.count('class="mlops-bare"') == 1
    assert '<div style="font-size:0"><svg' in rest, "what is left of a drawing's words has no size"
