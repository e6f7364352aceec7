"""Windows over a real inference log: read on, never twice, merged to what the whole would give, followed over time."""

from __future__ import annotations

import itertools
import json
import shutil
import threading
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from jupyter_mlops.datasets.profile import ColumnProfile, Profile
from jupyter_mlops.domain.context import now_ms
from jupyter_mlops.domain.drift_history import DriftHistory
from jupyter_mlops.domain.workspace import Workspace
from jupyter_mlops.errors import InvalidArgument, NotFound, NotReady
from jupyter_mlops.monitoring.hours import HOUR, Hours, joined
from jupyter_mlops.monitoring.operations_windows import compare_windows, history
from jupyter_mlops.monitoring.served import profile_served
from jupyter_mlops.monitoring.stretch import Span, parse_window
from jupyter_mlops.monitoring.thresholds import Thresholds
from jupyter_mlops.serving.log_segments import Entry, LogWriter
from jupyter_mlops.store.host import Host
from jupyter_mlops.store.store import Store

INPUTS = json.dumps(
    [{"type": "double", "name": "n", "required": True}, {"type": "string", "name": "s", "required": True}]
)
DAY = 24 * HOUR


def frame(rng: np.random.Generator, rows: int, shift: float = 0.0) -> pd.DataFrame:
    return pd.DataFrame({"n": rng.normal(shift, size=rows).round(6), "s": rng.choice(list("abc"), rows)})


def answer(writer: LogWriter, table: pd.DataFrame, time_ms: int) -> None:
    body = json.dumps({"dataframe_split": {"columns": list(table), "data": table.to_numpy().tolist()}}).encode()
    out = json.dumps({"predictions": [int(n > 0) for n in table["n"]]}).encode()
    writer.append(Entry(f"r{time_ms}", time_ms, "application/json", body, out, len(table), 0.5))


@pytest.fixture
def training() -> Profile:
    table = frame(np.random.default_rng(0), 2_000)
    predicted = ColumnProfile.of(pd.Series((table["n"] > 0).astype(int)), "prediction")
    return Profile(len(table), Profile.of(table).columns, prediction=(predicted,))


def hours(folder: Path, training: Profile) -> Hours:
    return Hours(folder, lambda _model, window: profile_served(training, window)[0])


def test_hours_are_taken_in_once_and_merge_to_the_whole(tmp_path, training):
    rng, start = np.random.default_rng(1), 1_000 * HOUR
    log, kept = tmp_path / "log", tmp_path / "kept"
    writer = LogWriter(log, model="m@1", inputs=INPUTS)
    tables = [frame(rng, 40) for _ in range(6)]
    for i, table in enumerate(tables[:4]):
        answer(writer, table, start + i * HOUR // 2)
    found = hours(kept, training)
    assert found.update(log) == 160
    assert found.update(log) == 0
    for i, table in enumerate(tables[4:], 4):
        answer(writer, table, start + i * HOUR // 2 - HOUR)  # late ones fall into their hour
    again = hours(kept, training)
    assert again.update(log) == 80
    assert sorted(p.name for p in kept.iterdir() if p.is_dir()) == sorted(
        json.loads((kept / "state.json").read_text())["hours"]["m@1"].values()
    )
    whole = again.profile("m@1", Span(start, start + 9 * HOUR))
    alone = Profile.of(pd.concat(tables))
    for name in ("n", "s"):
        assert whole[name] == alone[name]
    assert whole["prediction"].present == 240
    assert again.profile("m@1", Span(start + HOUR, start + 2 * HOUR)).rows < 240
    assert again.profile("m@2", Span(0, 1 << 50)) is None


def test_a_crash_before_the_state_is_replaced_loses_and_doubles_nothing(tmp_path, training, monkeypatch):
    rng, log, kept = np.random.default_rng(2), tmp_path / "log", tmp_path / "kept"
    writer = LogWriter(log, model="m@1", inputs=INPUTS)
    answer(writer, frame(rng, 30), 50 * HOUR)
    hours(kept, training).update(log)
    answer(writer, frame(rng, 30), 50 * HOUR + 5)
    broken = hours(kept, training)
    monkeypatch.setattr(broken, "_write_state", lambda _state: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        broken.update(log)
    after = hours(kept, training)
    assert after.profile("m@1", Span(0, 1 << 50)).rows == 30
    assert after.update(log) == 30
    assert after.profile("m@1", Span(0, 1 << 50)).rows == 60


def test_a_column_that_an_hour_lacks_counts_as_missing():
    first = Profile.of(pd.DataFrame({"a": [1.0, 2.0], "b": ["x", "y"]}))
    both = joined([first, Profile.of(pd.DataFrame({"a": [3.0]}))])
    assert (both["b"].rows, both["b"].missing, both["b"].present) == (3, 1, 2)
    odd = joined([first, Profile.of(pd.DataFrame({"a": ["text"], "b": ["z"]}))])
    assert odd["a"].kind == "numeric"
    assert "numeric in one part" in odd.notes[0]


@pytest.fixture
def host(empty_database, tmp_path, training):
    shutil.copy(empty_database, tmp_path / "mlflow.db")
    workspace = Workspace(tmp_path, f"sqlite:///{tmp_path / 'mlflow.db'}", "e", (tmp_path / "artifacts").as_uri())
    store = Store.open(workspace)
    made = Host(None, workspace, lambda: store, lambda _t: None, threading.Event(), lambda *_a: None)  # type: ignore[arg-type]
    made.shared["monitoring"] = {"references": {"m@1": training, "m@2": training}}
    return made


def test_drift_over_time_is_followed_and_kept_as_metrics_once(host, tmp_path):
    rng, today = np.random.default_rng(3), now_ms() // DAY * DAY
    log = tmp_path / "log"
    writer = LogWriter(log, model="m@1", inputs=INPUTS)
    for day in range(6):
        answer(writer, frame(rng, 300, shift=0.0 if day < 3 else 1.0), today - (5 - day) * DAY + 1)
    where = {"folder": str(log), "deployment": "m", "model": "m@1", "files": ""}
    asked = {"thresholds": Thresholds(), "detectors": []}
    found = history(host, where, every="1d", against="training", **asked)
    assert DriftHistory.from_dict(json.loads(json.dumps(found.to_dict(), allow_nan=False))) == found
    place = found.columns.index("n")
    assert [window.cells[place].state for window in found] == ["ok"] * 3 + ["strong"] * 3
    assert found.since("n") == today - 2 * DAY
    assert found.since("s") is None
    assert found.verdict.startswith("2 of 3 columns drift, since ")
    assert found.verdict.endswith(": n, prediction")
    assert "···███" in found.text()
    runs = host.store.client.search_runs([host.store.reports.experiment_id])
    points = host.store.client.get_metric_history(runs[0].info.run_id, "every_1d_training.ks.n")
    assert len(points) == 5  # today is not over
    assert points[-1].value > 0.3 > points[0].value
    history(host, where, every="1d", against="training", **asked)
    assert len(host.store.client.get_metric_history(runs[0].info.run_id, "every_1d_training.ks.n")) == 5
    previous = history(host, where, every="1d", against="previous", **asked)
    assert [window.cells[place].state for window in previous] == ["ok", "ok", "strong", "ok", "ok"]

    week = compare_windows(host, where, window="4d", against="training", **asked)
    assert "n" in week.drifted
    before = compare_windows(host, where, window="3d", against="previous", **asked)
    assert (before.reference, "n" in before.drifted) == ("the window before, of m", True)
    second = LogWriter(log, model="m@2", inputs=INPUTS)
    answer(second, frame(rng, 300), today + 1)
    versions = compare_windows(host, where, window="", against="2", **asked)
    assert "n" in versions.drifted
    for against, error in (("v3", NotFound), ("yesterday", InvalidArgument)):
        with pytest.raises(error, match=r"m@1, m@2|such as v3"):
            compare_windows(host, where, window="", against=against, **asked)
    with pytest.raises(NotReady, match=r"in that window.*m@1, m@2"):
        compare_windows(host, {**where, "model": "m@9"}, window="", against="training", **asked)
    with pytest.raises(InvalidArgument, match="whole minutes"):
        history(host, where, every="90s", against="training", **asked)


def test_windows_of_minutes_take_in_new_rows_only_and_let_old_ones_go(host, tmp_path):
    rng, now = np.random.default_rng(4), now_ms() // HOUR * HOUR
    log = tmp_path / "log"
    writer = LogWriter(log, model="m@1", inputs=INPUTS)
    minute = HOUR // 60
    past = now - 31 * HOUR  # older than the 121 windows that are kept, whatever the minute
    answer(writer, frame(rng, 300, shift=1.0), past)
    for i in range(8):
        answer(writer, frame(rng, 200, shift=0.0 if i < 4 else 1.0), now - (8 - i) * 15 * minute + 1)
    where = {"folder": str(log), "deployment": "m", "model": "m@1", "files": ""}
    asked = {"against": "training", "thresholds": Thresholds(), "detectors": []}
    found = history(host, where, every="15min", **asked)
    place = found.columns.index("n")
    assert [w.cells[place].state for w in found] == ["ok"] * 4 + ["strong"] * 4
    assert [w.rows for w in found] == [200] * 8
    kept = host.workspace.home / "monitoring" / "m" / f"every_{15 * minute}"
    assert len([p for p in kept.iterdir() if p.is_dir()]) == 8
    answer(writer, frame(rng, 100), now - 15 * minute + 2)  # late
    assert [w.rows for w in history(host, where, every="15min", **asked)][-1] == 300
    halves = history(host, where, every="90min", **asked)  # made of halves of hours
    assert sum(w.rows for w in halves) == 300 + 8 * 200 + 100


def test_a_sliding_window_is_exact_to_the_millisecond(tmp_path, training):
    rng, start = np.random.default_rng(5), 2_000 * HOUR
    log = tmp_path / "log"
    writer = LogWriter(log, model="m@1", inputs=INPUTS)
    times = np.sort(rng.integers(start, start + 6 * HOUR, 60))
    tables = [frame(rng, 10) for _ in times]
    for time_ms, table in zip(times, tables, strict=True):
        answer(writer, table, int(time_ms))
    found = hours(tmp_path / "kept", training)
    found.update(log)
    cuts = [int(t) for t in rng.integers(start - HOUR, start + 7 * HOUR, 40)] + [start, start + HOUR, start + 2 * HOUR]
    for a, b in itertools.pairwise([*cuts, *sorted(cuts)]):
        span = Span(min(a, b), max(a, b))
        inside = [t for time_ms, t in zip(times, tables, strict=True) if span.start <= time_ms < span.end]
        whole = found.between(log, "m@1", span)
        if not inside:
            assert whole is None
        else:
            assert whole["n"] == Profile.of(pd.concat(inside))["n"]
    assert found.between(log, "m@2", Span(0, 1 << 53)) is None


def test_windows_are_named_by_length_or_calendar():
    noon = 1_767_268_800_000  # Thursday, 2026-01-01T12:00Z
    assert parse_window("month", noon) == (
        Span(noon - DAY // 2, noon),
        Span(noon - DAY // 2 - 31 * DAY, noon - DAY // 2),
    )
    assert parse_window("week", noon)[0].start == noon - DAY // 2 - 3 * DAY
    for bad in ("", "0h", "soon", "1x"):
        with pytest.raises(InvalidArgument, match="is no window"):
            parse_window(bad, noon)
