"""What looks at all columns together: a change of how they hang together is found, no change is none."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from jupyter_mlops.domain.drift_report import DriftReport
from jupyter_mlops.monitoring.compare import compare
from jupyter_mlops.monitoring.multivariate import MULTIVARIATE
from jupyter_mlops.monitoring.multivariate.encoding import encoded
from jupyter_mlops.monitoring.sources import FrameSource


def table(seed: int, *, bound: bool = True, rows: int = 1_500) -> pd.DataFrame:
    """Two columns that move together (or, unbound, do not: each alone is as before), noise, labels and gaps."""
    rng = np.random.default_rng(seed)
    common = rng.normal(size=rows)
    other = common if bound else rng.normal(size=rows)
    data = {
        "a": common + 0.3 * rng.normal(size=rows),
        "b": other + 0.3 * rng.normal(size=rows),
        "noise": np.where(rng.random(rows) < 0.1, np.nan, rng.normal(size=rows)),
        "label": rng.choice(["x", "y", None], rows),
        "when": pd.Timestamp("2026-01-01") + pd.to_timedelta(rng.integers(0, 999, rows), unit="h"),
    }
    return pd.DataFrame(data)


@pytest.mark.parametrize("name", MULTIVARIATE)
def test_battery(name):
    same = MULTIVARIATE[name](*encoded(table(1), table(2)))
    assert not same.drifted
    assert same.low <= same.value <= same.high
    moved = MULTIVARIATE[name](*encoded(table(1), table(2, bound=False)))
    assert moved.drifted
    assert set(moved.columns[:2]) == {"a", "b"}
    assert moved == MULTIVARIATE[name](*encoded(table(1), table(2, bound=False)))
    assert compare(FrameSource(table(1)), FrameSource(table(2, bound=False))).drifted == ()
    assert MULTIVARIATE[name](*encoded(table(1), table(2, rows=9))) is None
    assert MULTIVARIATE[name](*encoded(table(1)[["label"]] * 0, table(2)[["when"]])) is None


def test_odd_columns_are_left_out():
    odd = pd.DataFrame(
        {"lists": [[1]] * 300, "ids": [f"i{i}" for i in range(300)], "inf": [np.inf] * 300, "c": 1.0, "n": range(300)}
    )
    first, second = encoded(odd, odd)
    assert list(first) == list(second) == ["n"]
    for measure in MULTIVARIATE.values():
        found = measure(first, second)
        assert found is None or not found.drifted


def test_the_command_reports_it(session):
    found = session.drift(table(1), table(2, bound=False), multivariate=True)
    assert [one.name for one in found.together] == list(MULTIVARIATE)
    assert "domain classifier, AUC" in found.text()
    assert DriftReport.from_dict(found.to_dict()) == found
