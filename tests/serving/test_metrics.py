"""Counters in shared memory, read by others while they are written, and the OpenMetrics text as its own parser reads it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from jupyter_mlops.serving.metrics import EDGES, Counters, VersionCounts, add_up, openmetrics, read_counters

CODE = """
import sys
from pathlib import Path
from jupyter_mlops.serving.metrics import Counters
counters = Counters(Path(sys.argv[1]))
at = counters.version('clf@7')
for _ in range(1000): counters.observe(at, 200, 3, 0.002)
"""


def test_counters_on_a_disk_that_takes_a_part_of_them_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A page without a place on the disk would end the process when it is first counted on."""
    write = os.write
    monkeypatch.setattr(os, "write", lambda file, data: write(file, data[: len(data) // 2]))
    with pytest.raises(OSError, match="no space"):
        Counters(tmp_path / "a.counts")


def test_counters_do_not_make_a_removed_deployment_anew(tmp_path: Path) -> None:
    """A process that was brought back would: its crew, which ends when the folder is gone, would go on for ever."""
    with pytest.raises(FileNotFoundError):
        Counters(tmp_path / "removed" / "workers" / "1.counts")
    assert not list(tmp_path.iterdir())


def test_several_processes_are_added_up(tmp_path: Path) -> None:
    for name in "ab":
        subprocess.run([sys.executable, "-c", CODE, str(tmp_path / f"{name}.counts")], check=True)
    ours = Counters(tmp_path / "c.counts")
    at = ours.version("clf@7")
    ours.observe(at, 503, 0, 0.5, slow_seconds=0.1)
    ours.observe(ours.version('strange"\\name@1'), 404, 0, 200.0)
    ours.batched(at, 3)
    ours.in_flight(5)
    ours.logged(2, 1, 10_000)
    for status in (429, 429, 413, 404):
        ours.turned_away(status)
    (tmp_path / "torn.counts").write_bytes(b"half")
    assert sum(worker.unnoted for worker in read_counters(tmp_path)) == 1
    total = add_up(list(read_counters(tmp_path)))
    assert [worker.turned_away for worker in read_counters(tmp_path)] == [{}, {}, {413: 1, 429: 2}]
    assert total["clf@7"].statuses == [0, 2000, 0, 0, 1]
    assert (total["clf@7"].rows, total["clf@7"].errors, total["clf@7"].slow) == (6000, 1, 1)
    text = openmetrics("people", list(read_counters(tmp_path)), now_ms=12_500)
    families = {family.name: family for family in text_string_to_metric_families(text)}
    samples = {
        (s.name, s.labels.get("model", ""), s.labels.get("status", s.labels.get("le", ""))): s.value
        for family in families.values()
        for s in family.samples
    }
    assert samples["mlops_requests_total", "clf@7", "2xx"] == 2000
    assert samples["mlops_errors_total", "clf@7", ""] == 1
    assert samples["mlops_requests_total", 'strange"\\name@1', "4xx"] == 1
    assert samples["mlops_latency_seconds_count", "clf@7", ""] == 2001
    assert samples["mlops_latency_seconds_bucket", "clf@7", "+Inf"] == 2001
    assert samples["mlops_latency_seconds_sum", "clf@7", ""] == pytest.approx(4.5)
    assert samples["mlops_batch_size_requests_sum", "clf@7", ""] == 3
    assert samples["mlops_queue_requests", "", ""] == 5
    assert samples["mlops_predictions_not_logged_total", "", ""] == 2
    assert samples["mlops_log_lag_seconds", "", ""] == 2.5
    assert {f.type for f in families.values()} == {"counter", "gauge", "histogram"}


def test_a_log_that_holds_all_does_not_lag_however_long_nothing_was_asked(tmp_path: Path) -> None:
    counters = Counters(tmp_path / "1.counts")
    counters.logged(3, 0, 1_000)  # three are missing, and the log says so itself since
    assert 'mlops_log_lag_seconds{deployment="people"} 0.0' in openmetrics(
        "people", [*read_counters(tmp_path)], now_ms=9_000
    )
    counters.logged(4, 1, 1_000)
    assert 'mlops_log_lag_seconds{deployment="people"} 8.0' in openmetrics(
        "people", [*read_counters(tmp_path)], now_ms=9_000
    )


def test_an_empty_server_tells_valid_metrics(tmp_path: Path) -> None:
    assert list(text_string_to_metric_families(openmetrics("d", list(read_counters(tmp_path)), now_ms=0)))


def test_a_quantile_is_at_most_a_fifth_too_high(tmp_path: Path) -> None:
    counters = Counters(tmp_path / "a.counts")
    at = counters.version("m@1")
    took = np.random.default_rng(1).lognormal(-6, 1, 5000)
    for seconds in took:
        counters.observe(at, 200, 1, float(seconds))
    counts = add_up(list(read_counters(tmp_path)))["m@1"]
    for share in (0.5, 0.9, 0.99):
        exact = float(np.quantile(took, share))
        assert exact * 0.999 <= counts.quantile(share) <= exact * 1.21
    assert VersionCounts().quantile(0.5) is None
    assert len(EDGES) == len(counts.buckets) - 1


def test_too_many_versions(tmp_path: Path) -> None:
    counters = Counters(tmp_path / "a.counts")
    for number in range(32):
        counters.version(f"m@{number}")
    with pytest.raises(IndexError):
        counters.version("m@32")
