"""The inference log over time: Parquet gives what the raw log gave, incremental reading gives every row once, rows can
be sampled, masked, aged out and erased, and a log that cannot be written refuses or counts, as it was told."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import signal
import threading
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jupyter_mlops.domain.deployment import Erasure, LogRules
from jupyter_mlops.errors import NotReady
from jupyter_mlops.serving import inference_log
from jupyter_mlops.serving.inference_log import Window, count, end_of, read, read_after, read_shadow
from jupyter_mlops.serving.log_frames import Segment, segment_paths
from jupyter_mlops.serving.log_keeping import Expired, compact, compact_apart, forget, keeping, not_logged, remove_old
from jupyter_mlops.serving.log_segments import Entry, LogWriter

COLUMNS = {"x": "double", "n": "long", "s": "string", "b": "boolean", "t": "datetime"}
INPUTS = json.dumps([{"type": t, "name": n, "required": n in ("n", "b")} for n, t in COLUMNS.items()])
DAY = 86_400_000


def entry(number: int, rows: list[list[object]], *, time_ms: int | None = None, **more: object) -> Entry:
    request = json.dumps({"dataframe_split": {"columns": list(COLUMNS), "data": rows}}).encode()
    response = json.dumps({"predictions": [["few", "many"][number % 2]] * len(rows)}).encode()
    chances = np.array([[0.25, 0.75]] * len(rows)).tobytes()
    keywords = {"key": f"k{number % 3}", "propensity": 0.9, "probabilities": chances, **more}
    when = 1_000 + number if time_ms is None else time_ms
    return Entry(f"r{number}", when, "application/json", request, response, len(rows), 1.5, **keywords)


def row(number: int) -> list[object]:
    return [number / 2, number, f"person {number % 5}", number % 2 == 0, "2024-01-31T10:00:00"]


def writer(folder: Path, model: str = "m@1", **keywords: object) -> LogWriter:
    return LogWriter(folder, model=model, inputs=INPUTS, classes=("few", "many"), **keywords)


def equal(one: Window, other: Window) -> None:
    pd.testing.assert_frame_equal(one.to_pandas(), other.to_pandas())


values = st.one_of(st.none(), st.floats(allow_infinity=False))
texts = st.one_of(st.none(), st.text(max_size=5).filter(lambda s: "\ud800" not in s))
rows = st.lists(
    st.tuples(values, st.integers(-(2**53), 2**53), texts, st.booleans(), st.just("2024-02-03")), min_size=1, max_size=3
)


@settings(max_examples=15, deadline=None)
@given(requests=st.lists(rows, min_size=1, max_size=6), last=st.integers(0, 20))
def test_parquet_gives_what_the_raw_log_gave(
    tmp_path_factory: pytest.TempPathFactory, requests: list[list[tuple[object, ...]]], last: int
) -> None:
    folder = tmp_path_factory.mktemp("log")
    log = writer(folder, segment_bytes=400)
    for number, some in enumerate(requests):
        log.append(entry(number, [list(r) for r in some]))
    log.close()
    raw, newest, since = read(folder), read(folder, last=last), read(folder, since_ms=1_002, until_ms=1_004)
    position = read_after(folder)[1]
    assert compact(folder) > 0
    assert not segment_paths(folder)
    equal(read(folder), raw)
    equal(read(folder, last=last), newest)
    equal(read(folder, since_ms=1_002, until_ms=1_004), since)
    assert len(newest) == min(last, len(raw)) == min(last, count(folder))
    assert len(read_after(folder, position)[0]) == 0


def test_a_stock_reader_reads_the_parquet(tmp_path: Path) -> None:
    log = writer(tmp_path)
    log.append(entry(1, [row(1), row(2)]), entry(2, [row(3)]))
    log.close()
    compact(tmp_path)
    (file,) = tmp_path.glob("*.parquet")
    table = pd.read_parquet(file)
    assert table["x"].tolist() == [0.5, 1.0, 1.5]
    assert table["mlops.prediction"].tolist() == ["many", "many", "few"]
    assert table["mlops.probability.many"].tolist() == [0.75] * 3
    assert table["mlops.id"].tolist() == ["r1-0", "r1-1", "r2-0"]
    assert str(pq.read_schema(file).field("mlops.time").type) == "timestamp[ms, tz=UTC]"


def test_what_a_window_holds(tmp_path: Path) -> None:
    writer(tmp_path).append(entry(1, [row(1), row(2)]), entry(2, [row(3)], key="", propensity=0.1, probabilities=b""))
    writer(tmp_path, "m@2").append(entry(3, [row(4)]))
    window = read(tmp_path)
    assert window.probabilities is not None
    assert window.probabilities["many"].tolist()[:2] == [0.75, 0.75]
    assert np.isnan(window.probabilities.loc["r2-0", "few"])
    assert window.keys.tolist() == ["k1", "k1", None, "k0"]
    assert window.propensities.tolist() == [0.9, 0.9, 0.1, 0.9]
    assert window.latency_ms.tolist() == [1.5] * 4
    assert read(tmp_path, models={"m@2"}).inputs["n"].tolist() == [4]
    assert window.where(window.models == "m@1").inputs["n"].tolist() == [1, 2, 3]


def test_every_row_is_given_once_while_it_becomes_parquet(tmp_path: Path) -> None:
    first, second = writer(tmp_path, segment_bytes=1500), writer(tmp_path, "m@2", segment_bytes=1500)
    position, seen = "", []
    for number in range(60):
        (first, second)[number % 2].append(entry(number, [row(number)] * (1 + number % 3)))
        if number % 7 == 0:
            window, position = read_after(tmp_path, position)
            seen += list(window.inputs.index)
        if number % 11 == 0:
            compact(tmp_path)
    first.close()
    second.close()
    compact(tmp_path)
    window, position = read_after(tmp_path, position)
    seen += list(window.inputs.index)
    assert len(seen) == len(set(seen)) == count(tmp_path) == 120
    assert sorted(seen) == sorted(read(tmp_path).inputs.index)
    assert len(read_after(tmp_path, position)[0]) == 0
    assert len(position) < 2000


def test_a_position_forgets_old_segments(tmp_path: Path) -> None:
    for number in range(4):
        log = writer(tmp_path)
        log.append(entry(number, [row(number)]))
        log.close()
    for path in segment_paths(tmp_path):  # as if they had been begun an hour ago
        stamp, _, rest = path.name.partition("-")
        path.rename(path.with_name(f"{int(stamp) - 3_600_000_000_000:020d}-{rest}"))
    window, position = read_after(tmp_path)
    assert len(window) == 4
    assert json.loads(position)["open"] == {}


def answer_until_killed(folder: str, told: multiprocessing.connection.Connection) -> None:
    log = writer(Path(folder), segment_bytes=20_000)
    number = 0
    while True:
        log.append(*(entry(number + i, [row(number)]) for i in range(3)))
        number += 3
        told.send(number)
        time.sleep(0.001)


def test_kill_9_loses_nothing_that_was_answered(tmp_path: Path) -> None:
    for _ in range(3):
        ours, theirs = multiprocessing.Pipe(duplex=False)
        process = multiprocessing.get_context("fork").Process(target=answer_until_killed, args=(str(tmp_path), theirs))
        before = count(tmp_path)
        process.start()
        theirs.close()
        time.sleep(0.2)
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        answered = 0
        while ours.poll():
            try:
                answered = ours.recv()
            except EOFError:
                break
        assert answered
        assert count(tmp_path) - before >= answered
    rows = len(read(tmp_path))
    compact(tmp_path)
    assert not segment_paths(tmp_path)
    assert len(read(tmp_path)) == count(tmp_path) == rows


def test_a_segment_that_is_written_stays(tmp_path: Path) -> None:
    log = writer(tmp_path)
    log.append(entry(1, [row(1)]))
    assert Segment.open(segment_paths(tmp_path)[0]).writing()
    assert compact(tmp_path) == 0
    log.rotate()
    assert compact(tmp_path) == 1
    log.append(entry(2, [row(2)]))
    assert count(tmp_path) == len(read(tmp_path)) == 2


def test_what_cannot_be_read_is_never_removed(tmp_path: Path) -> None:
    """A segment of another version, or with a damaged beginning, holds answers; one that was cut in its beginning holds none."""
    for number in range(3):
        log = writer(tmp_path)
        log.append(entry(number, [row(number)]))
        log.close()
    other, damaged, cut = segment_paths(tmp_path)
    whole = other.read_bytes()
    other.write_bytes(b"mlf1" + whole[4:])
    damaged.write_bytes(whole[:40] + b"\xff" + whole[41:])
    cut.write_bytes(whole[:40])
    compact(tmp_path)
    assert segment_paths(tmp_path) == [other, damaged, cut]  # their writers may be about to go on
    for path in (other, damaged, cut):
        os.utime(path, (1, 1))
    compact(tmp_path)
    assert not segment_paths(tmp_path)
    kept = {path.name: path.read_bytes() for path in tmp_path.glob("*.unreadable")}
    assert kept == {
        f"{other.name}.unreadable": b"mlf1" + whole[4:],
        f"{damaged.name}.unreadable": whole[:40] + b"\xff" + whole[41:],
    }


def test_parquet_is_made_in_a_process_of_its_own(tmp_path: Path) -> None:
    """What is closed, while nobody else holds the log; nothing is started where all that there is is being written."""
    log = writer(tmp_path)
    log.append(entry(1, [row(1)]))
    compact_apart(tmp_path, threading.Event())
    assert len(segment_paths(tmp_path)) == 1
    before = read(tmp_path)
    log.close()
    with keeping(tmp_path):
        waiting = threading.Thread(target=compact_apart, args=(tmp_path, threading.Event()))
        waiting.start()
        waiting.join(0.5)
        assert waiting.is_alive()
        assert len(segment_paths(tmp_path)) == 1
    waiting.join()
    assert not segment_paths(tmp_path)
    equal(read(tmp_path), before)


def test_shadows_are_kept_apart(tmp_path: Path) -> None:
    log = writer(tmp_path, "m@2")
    log.append(entry(1, [row(1)], role="shadow"))
    log.append(entry(2, [row(2)], status=500))
    for _ in range(2):
        assert len(read(tmp_path)) == count(tmp_path) == len(read_after(tmp_path)[0]) == 0
        assert read_shadow(tmp_path).inputs.index.tolist() == ["r1-0"]
        log.close()
        compact(tmp_path)


def test_a_share_of_the_requests(tmp_path: Path) -> None:
    log = writer(tmp_path, rules=LogRules(sample=0.2))
    for number in range(2000):
        log.append(entry(number, [row(number)]))
    assert 300 < count(tmp_path) < 500
    assert Segment.open(segment_paths(tmp_path)[0]).sample == 0.2


@pytest.mark.parametrize("shape", ["split", "records", "inputs", "csv"])
def test_masked_columns_never_reach_the_disk(tmp_path: Path, shape: str) -> None:
    log = writer(tmp_path / "log", rules=LogRules(mask=("s", "n"), blank=("x",)))
    people = pd.DataFrame({"x": [1.25, 2.25], "n": [77777, 77778], "s": ["Ada Lovelace", "Grace"], "b": [True, False]})
    bodies = {
        "split": {"dataframe_split": people.to_dict("split")},
        "records": {"dataframe_records": people.to_dict("records")},
        "inputs": {"inputs": people.to_dict("list")},
    }
    body = people.to_csv(index=False) if shape == "csv" else json.dumps(bodies[shape])
    kind = "text/csv" if shape == "csv" else "application/json"
    for number in range(2):
        log.append(Entry(f"r{number}", 1, kind, body.encode(), b'{"predictions":[1,2]}', 2, 0.1, key="Ada Lovelace"))
    log.append(Entry("bad", 2, "application/json", b'{"Ada Lovelace"', b'{"predictions":[1]}', 1, 0.1))
    raw = b"".join(path.read_bytes() for path in segment_paths(tmp_path / "log"))
    for secret in (b"Ada", b"Grace", b"77777", b"1.25"):
        assert secret not in raw
    window = read(tmp_path / "log")
    named = window.inputs["s"].dropna()
    assert len(named) == 4
    assert named.nunique() == 2
    assert window.inputs["x"].isna().all()
    assert window.inputs["b"].dropna().tolist() == [True, False] * 2
    log.close()
    assert forget(tmp_path / "log", "s", "Ada Lovelace").rows == 2
    assert forget(tmp_path / "log", "n", 77778).rows == 2


def test_erasing_a_person(tmp_path: Path) -> None:
    first, second = writer(tmp_path, segment_bytes=1000), writer(tmp_path, "m@2")
    for number in range(20):
        (first, second)[number % 2].append(entry(number, [row(number), row(number + 1)]))
    gone = int((read(tmp_path).inputs["s"] == "person 3").sum())
    position = read_after(tmp_path)[1]
    with pytest.raises(NotReady, match="still being written"):
        forget(tmp_path, "s", "person 3")
    first.rotate()
    second.rotate()
    forget(tmp_path, "s", "person 3")
    window = read(tmp_path)
    assert gone == 8
    assert len(window) == 40 - gone
    assert "person 3" not in set(window.inputs["s"])
    assert not [path for path in tmp_path.iterdir() if b"person 3" in path.read_bytes()]
    assert len(read_after(tmp_path, position)[0]) == 0
    unread = tmp_path / "1-1.seg.unreadable"
    unread.write_bytes(b"person 3")
    erased = forget(tmp_path, "key", "k0")
    assert (erased.rows, erased.unread) == (int((window.keys == "k0").sum()), (str(unread),))
    assert str(unread) in Erasure("clf", erased.rows, unread=erased.unread).text()


def test_old_rows_go_by_age_and_by_size(tmp_path: Path) -> None:
    for day in range(6):
        log = writer(tmp_path)
        log.append(entry(day, [row(day)], time_ms=day * DAY))
        log.close()
    compact(tmp_path)
    held = [path.read_bytes() for path in sorted(tmp_path.glob("[0-9]*.parquet"))]
    told: list[Expired] = []
    assert remove_old(tmp_path, LogRules(), 5 * DAY, telling=told.append) == 0
    assert not told
    with pytest.raises(KeyboardInterrupt):  # killed before anything went: it is told again, and goes
        remove_old(tmp_path, LogRules(keep_days=3), 5 * DAY, telling=lambda expired: _killed(told, expired))
    assert count(tmp_path) == 6
    assert remove_old(tmp_path, LogRules(keep_days=3), 5 * DAY, telling=told.append) == 2
    digests = b"".join(hashlib.sha256(file).digest() for file in held[:2])
    assert told == [Expired(2, 2, DAY, hashlib.sha256(digests).hexdigest())] * 2
    assert read(tmp_path).inputs["n"].tolist() == [2, 3, 4, 5]
    size = sum(path.stat().st_size for path in tmp_path.iterdir())
    assert remove_old(tmp_path, LogRules(keep_bytes=size - 1), 5 * DAY) == 1
    assert read(tmp_path).inputs["n"].tolist() == [3, 4, 5]


def _killed(told: list[Expired], expired: Expired) -> None:
    told.append(expired)
    raise KeyboardInterrupt


def no_space(_file: int, _data: bytes, _at: int = 0) -> int:
    raise OSError(28, "No space left on device")


def test_a_full_disk_refuses_or_counts_as_it_was_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refusing = writer(tmp_path / "a", tail_bytes=0)
    serving = writer(tmp_path / "b", rules=LogRules(unwritable="serve"), tail_bytes=0)
    now = 100.0
    serving.clock = lambda: now
    monkeypatch.setattr(os, "pwrite", no_space)
    with pytest.raises(OSError, match="No space"):
        refusing.append(entry(1, [row(1)]))
    assert refusing.refusing
    for number in range(3):
        serving.append(entry(number, [row(1), row(2)]))
    monkeypatch.undo()
    refusing.append(entry(1, [row(1)]))
    assert not refusing.refusing
    serving.append(entry(4, [row(4)]))  # the log is still left alone
    assert (count(tmp_path / "a"), count(tmp_path / "b"), serving.not_logged, serving.unnoted) == (1, 0, 7, 7)
    now += 2
    serving.append(entry(5, [row(5)]))
    assert read(tmp_path / "b").inputs["n"].tolist() == [5]
    assert (not_logged(tmp_path / "b"), serving.unnoted) == (7, 0)
    serving.close()
    compact(tmp_path / "b")
    assert not_logged(tmp_path / "b") == 7


def test_a_server_that_starts_on_a_full_disk_refuses_until_there_is_space(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "write", no_space)
    log = writer(tmp_path)
    assert log.refusing
    with pytest.raises(OSError, match="No space"):
        log.append(entry(1, [row(1)]))
    monkeypatch.undo()
    log.append(entry(2, [row(2)]))
    assert not log.refusing
    assert read(tmp_path).inputs["n"].tolist() == [2]


def test_a_slow_disk_is_left_alone_where_serving_goes_on(tmp_path: Path) -> None:
    log = writer(tmp_path, rules=LogRules(unwritable="serve", slow_ms=100))
    times = iter([0.0, 0.5, 0.5, 0.6, 2.0, 2.01, 2.02, 2.03])
    log.clock = lambda: next(times)
    log.append(entry(1, [row(1)]))  # takes half a second
    log.append(entry(2, [row(2)]))
    assert (count(tmp_path), log.not_logged) == (1, 1)
    log.append(entry(3, [row(3)]))
    log.append(entry(4, [row(4)]))
    assert not_logged(tmp_path) == log.not_logged
    assert count(tmp_path) + log.not_logged == 4


def test_from_the_end_on_only_what_comes_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = writer(tmp_path, segment_bytes=600)
    for number in range(12):
        log.append(entry(number, [row(number)] * 2))
    compact(tmp_path)
    with monkeypatch.context() as nothing_is_read:
        nothing_is_read.setattr(inference_log, "read_part", None)
        position = end_of(tmp_path)
    assert len(read_after(tmp_path, position)[0]) == 0
    log.append(entry(12, [row(12)]))
    window, position = read_after(tmp_path, position)
    assert list(window.inputs.index) == ["r12-0"]
    assert len(read_after(tmp_path, position)[0]) == 0
