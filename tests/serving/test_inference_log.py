"""The inference log on its own: torn tails, counting, the newest rows, several models, a full disk."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from jupyter_mlops.serving import log_frames
from jupyter_mlops.serving.inference_log import count, read
from jupyter_mlops.serving.log_frames import Segment, segment_paths
from jupyter_mlops.serving.log_segments import Entry, LogWriter

INPUTS = json.dumps(
    [{"type": "double", "name": "x", "required": True}, {"type": "string", "name": "s", "required": True}]
)


def entry(number: int, rows: int = 1, time_ms: int | None = None) -> Entry:
    data = [[number + row / 10, f"s{number}"] for row in range(rows)]
    request = json.dumps({"dataframe_split": {"columns": ["x", "s"], "data": data}}).encode()
    response = json.dumps({"predictions": [number] * rows}).encode()
    return Entry(f"r{number}", time_ms or 1000 + number, "application/json", request, response, rows, 0.5)


def written(folder: Path, numbers: range, **keywords: int) -> LogWriter:
    writer = LogWriter(folder, model="m@1", inputs=INPUTS, **keywords)
    for number in numbers:
        writer.append(entry(number, rows=2))
    return writer


def test_reading_back(tmp_path: Path) -> None:
    written(tmp_path, range(5)).close()
    window = read(tmp_path)
    assert len(window) == count(tmp_path) == 10
    assert window.inputs["x"].tolist()[:4] == [0.0, 0.1, 1.0, 1.1]
    assert str(window.inputs["x"].dtype) == "float64"
    assert window.predictions.tolist() == [n for n in range(5) for _ in range(2)]
    assert list(window.inputs.index[:3]) == ["r0-0", "r0-1", "r1-0"]
    assert set(window.models) == {"m@1"}
    assert window.times.is_monotonic_increasing
    assert list(window.to_pandas()) == [
        *("x", "s", "mlops.prediction", "mlops.time", "mlops.model"),
        *("mlops.latency_ms", "mlops.key", "mlops.propensity"),
    ]


def test_a_frame_that_was_cut_short_is_not_there(tmp_path: Path) -> None:
    written(tmp_path, range(3)).close()
    (path,) = tmp_path.glob("*.seg")
    whole = path.read_bytes()
    for cut in range(1, 120, 7):
        path.write_bytes(whole[:-cut])
        assert len(read(tmp_path)) == count(tmp_path) == 4
    path.write_bytes(whole[:-10] + b"\xff" * 10)
    assert len(read(tmp_path)) == count(tmp_path) == 4
    path.write_bytes(whole[:5])
    assert len(read(tmp_path)) == count(tmp_path) == 0


def test_entries_that_were_answered_together_are_one_frame(tmp_path: Path) -> None:
    writer = written(tmp_path, range(2))
    writer.append(entry(2, rows=3), entry(3), entry(4))
    writer.close()
    assert read(tmp_path).predictions.tolist() == [0, 0, 1, 1, 2, 2, 2, 3, 4]
    assert count(tmp_path) == 9
    (path,) = segment_paths(tmp_path)
    segment = Segment.open(path)
    assert segment is not None
    assert [before for before, _ in segment.entries()[0]] == [0, 2, 4, 7, 8]
    path.write_bytes(path.read_bytes()[:-5])
    assert count(tmp_path) == len(read(tmp_path)) == 4  # seen whole or not at all


def test_the_newest_rows_are_found_without_reading_the_rest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written(tmp_path, range(200), segment_bytes=2000).close()
    assert len(list(tmp_path.glob("*.seg"))) > 10
    opened: list[Path] = []
    whole = log_frames.Segment.entries
    monkeypatch.setattr(log_frames.Segment, "entries", lambda self: opened.append(self.path) or whole(self))
    window = read(tmp_path, last=3)
    assert window.predictions.tolist() == [198, 199, 199]
    assert len(opened) <= 2
    opened.clear()
    assert read(tmp_path, since_ms=1198).predictions.tolist() == [198, 198, 199, 199]
    assert len(opened) <= 2
    opened.clear()
    assert count(tmp_path) == 400
    assert not opened
    assert len(read(tmp_path, last=0)) == len(read(tmp_path / "nothing")) == count(tmp_path / "nothing") == 0


def test_models_follow_one_another(tmp_path: Path) -> None:
    """A later version takes another column: each row keeps the types and the model of its own time."""
    written(tmp_path, range(2)).close()
    writer = LogWriter(tmp_path, model="m@2", inputs=json.dumps([{"type": "long", "name": "k", "required": True}]))
    body = json.dumps({"dataframe_records": [{"k": 7}]}).encode()
    writer.append(Entry("new", 9000, "application/json", body, b'{"predictions": [NaN]}', 1, 0.1))
    writer.close()
    window = read(tmp_path)
    assert window.models.tolist() == ["m@1"] * 4 + ["m@2"]
    assert window.inputs.loc["new-0", "k"] == 7
    assert window.inputs["k"].isna().sum() == 4
    assert [Segment.open(path).model for path in segment_paths(tmp_path)] == ["m@1", "m@2"]


def test_ways_to_write_a_date_that_do_not_go_together(tmp_path: Path) -> None:
    writer = LogWriter(tmp_path, model="m@1", inputs=json.dumps([{"type": "datetime", "name": "t", "required": True}]))
    for number, text in enumerate(["2024-01-31", "2024-01-31T10:00:00.5", "01/31/2024"]):
        body = json.dumps({"dataframe_records": [{"t": text}]}).encode()
        writer.append(Entry(f"d{number}", number, "application/json", body, b'{"predictions": [1]}', 1, 0.1))
    days = read(tmp_path).inputs["t"].dt.strftime("%Y-%m-%d")
    assert set(days) == {"2024-01-31"}


def test_a_write_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = written(tmp_path, range(2), tail_bytes=0)
    write = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda file, data, at: write(file, data[:20], at))
    with pytest.raises(OSError, match="no space"):
        writer.append(entry(9))
    monkeypatch.undo()
    writer.append(entry(3))
    writer.close()
    assert read(tmp_path).predictions.tolist() == [0, 0, 1, 1, 3]
    assert count(tmp_path) == 5
