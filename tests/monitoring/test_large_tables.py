"""Tables larger than memory: whatever the parts, the same answer; beyond the budget within the error that is stated."""

from __future__ import annotations

import re
import subprocess
import sys

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.dataset
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jupyter_mlops.datasets.profile import Profile
from jupyter_mlops.datasets.sorted_numbers import distribution_of, merged
from jupyter_mlops.errors import InvalidArgument
from jupyter_mlops.monitoring.compare import compare
from jupyter_mlops.monitoring.hours import joined
from jupyter_mlops.monitoring.large import DatasetSource, folded, large_source
from jupyter_mlops.monitoring.sources import FrameSource


def frame(seed: int, rows: int, shift: float = 0.0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "x": np.where(rng.random(rows) < 0.1, np.nan, rng.lognormal(shift, size=rows)),
            "k": rng.choice(list("abcde"), rows),
            "when": pd.Timestamp("2026-01-01") + pd.to_timedelta(rng.integers(0, 10**6, rows), unit="s"),
            "flag": rng.random(rows) < 0.3,
            "whole": rng.integers(0, 50, rows),
        }
    )


def scores(report) -> dict[tuple[str, str], float]:
    return {(c.name, s.detector): s.value for c in report for s in c.scores}


@pytest.fixture(scope="module")
def parquet(tmp_path_factory):
    """Two folders of Parquet files, and the same tables in memory."""
    found = []
    for seed, shift in ((1, 0.0), (2, 0.3)):
        table, folder = frame(seed, 30_000, shift), tmp_path_factory.mktemp(f"part{seed}")
        for i in range(3):
            pq.write_table(pa.Table.from_pandas(table[i * 10_000 : (i + 1) * 10_000]), folder / f"{i}.parquet")
        found.append((folder, table))
    return found


def test_a_folder_of_parquet_files_gives_what_the_frames_give(parquet):
    (first, a), (second, b) = parquet
    alone = compare(FrameSource(a), FrameSource(b))
    found = compare(large_source(first), large_source(str(second)))
    assert scores(found) == pytest.approx(scores(alone), rel=1e-12)
    assert found.drifted == alone.drifted == ("x",)
    assert found.findings == ()
    assert len(large_source(first).sampled()) == 10_000


def test_streams_and_partitions_give_what_the_frames_give(parquet):
    (_, a), (_, b) = parquet
    alone = scores(compare(FrameSource(a), FrameSource(b)))
    streams = [
        large_source(pa.RecordBatchReader.from_batches(t.schema, t.to_batches(max_chunksize=1_000)))
        for t in map(pa.Table.from_pandas, (a, b))
    ]
    assert scores(compare(*streams)) == pytest.approx(alone, rel=1e-9)
    with pytest.raises(InvalidArgument, match="needs rows"):
        streams[0].sampled()
    dd = pytest.importorskip("dask.dataframe")
    frames = [large_source(dd.from_pandas(t.reset_index(drop=True), npartitions=4)) for t in (a, b)]
    assert scores(compare(*frames)) == pytest.approx(alone, rel=1e-9)


def test_beyond_the_budget_the_error_is_measured_and_told(parquet, monkeypatch):
    (first, a), (second, b) = parquet
    monkeypatch.setattr("jupyter_mlops.monitoring.large.BATCH_ROWS", 4_000)
    monkeypatch.setattr("jupyter_mlops.datasets.column_profile.EXACT", 1_000)
    monkeypatch.setattr("jupyter_mlops.datasets.column_profile.merged", lambda x, y, **_: merged(x, y, most=5_000))
    tight = [DatasetSource(pyarrow.dataset.dataset(f), memory=1 << 20) for f in (first, second)]
    found, alone = compare(*tight), compare(FrameSource(a), FrameSource(b))
    told = float(re.search(r"any cumulative share is within (\S+)", found.convention)[1])
    assert 0 < told < 0.01
    assert abs(scores(found)["x", "ks"] - scores(alone)["x", "ks"]) <= told
    assert scores(found)["x", "wasserstein"] == pytest.approx(scores(alone)["x", "wasserstein"], rel=0.02)
    assert scores(found)["k", "chi2"] == pytest.approx(scores(alone)["k", "chi2"], rel=1e-12)


@given(st.lists(st.lists(st.floats(-5, 5) | st.integers(-3, 3), min_size=0, max_size=40), min_size=1, max_size=6))
@settings(max_examples=60, deadline=None)
def test_parts_merge_to_the_whole_in_any_order(parts):
    profiles = [Profile.of(pd.DataFrame({"n": np.array(p, dtype=float)})) for p in parts]
    whole = Profile.of(pd.DataFrame({"n": np.array([x for p in parts for x in p], dtype=float)}))
    assert joined(profiles)["n"] == joined(profiles[::-1])["n"] == whole["n"]


def test_groups_of_sorted_values_are_as_close_as_they_say():
    rng = np.random.default_rng(5)
    parts = [distribution_of(np.sort(rng.lognormal(size=20_000)), most=1_000) for _ in range(8)]
    while len(parts) > 1:
        parts = [merged(parts[i], parts[i + 1], most=1_000) for i in range(0, len(parts), 2)]
    found, rng = parts[0], np.random.default_rng(5)
    true = np.sort(np.concatenate([rng.lognormal(size=20_000) for _ in range(8)]))
    kept = np.cumsum(found.counts) / found.counts.sum()
    off = np.abs(np.searchsorted(true, found.values, side="right") / len(true) - kept).max()
    assert 0 < off <= found.error < 4 / 4_096 + 1e-9


def test_what_has_no_rows_or_is_no_table():
    assert large_source(pd.DataFrame({"a": [1]})) is None
    assert large_source("adult@v3") is None
    empty = folded([])
    assert (empty.rows, empty.columns) == (0, ())


def test_a_folder_without_parquet_files_is_said_to_be_one(tmp_path):
    with pytest.raises(InvalidArgument, match="without Parquet files"):
        large_source(tmp_path)


CHILD = """
import sys, resource
from jupyter_mlops.session import Session
from pathlib import Path
import pyarrow.dataset, pyarrow.compute
session = Session.open(root=Path(sys.argv[1]))
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
session.drift(sys.argv[2] + "/small", sys.argv[2] + "/small", memory=sys.argv[3])
before = peak()
report = session.drift(sys.argv[2] + "/small", sys.argv[2] + "/large", memory=sys.argv[3])
print(peak() - before, ",".join(report.drifted))
"""


@pytest.mark.slow
def test_the_budget_of_the_command_is_kept_to(tmp_path):
    """A column of numbers alone is 24 MB, and one of texts 100 MB; of a budget of 64 MiB nothing is overdrawn."""
    rng = np.random.default_rng(0)
    words = np.array([f"{i:032d}" for i in range(1_000)])
    for name, parts, shift in (("small", 1, 0.0), ("large", 12, 0.5)):
        (tmp_path / name).mkdir()
        for i in range(parts):
            table = pa.table({"x": rng.normal(shift, size=250_000), "k": words[rng.integers(0, 1_000, 250_000)]})
            pq.write_table(table, tmp_path / name / f"{i}.parquet")
    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(tmp_path), str(tmp_path), "64MiB"], capture_output=True, text=True, check=True
    )
    above, drifted = done.stdout.split()
    assert drifted == "x"
    assert int(above) <= 64 << 20


def test_a_budget_is_checked_before_anything_is_read(session, tmp_path):
    table = pd.DataFrame({"x": range(20)})
    (tmp_path / "wide.csv").write_text("x\n" + "1" * (17 << 20))
    for size, said in (("a lot", "no size"), ("1kB", "too small"), ("16MiB", "no Parquet file")):
        with pytest.raises(InvalidArgument, match=said):
            session.drift(table, str(tmp_path / "wide.csv"), memory=size)
    with pytest.raises(InvalidArgument, match="two tables"):
        session.drift("m", memory="1GiB")
    assert not session.context.service.running()
