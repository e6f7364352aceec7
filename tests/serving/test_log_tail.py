"""The newest frames of a segment stand in its tail: read there, kept when the writer is killed, each seen once."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jupyter_mlops.serving.inference_log import count, read, read_after
from jupyter_mlops.serving.log_frames import segment_paths
from jupyter_mlops.serving.log_keeping import compact
from jupyter_mlops.serving.log_segments import Entry, LogWriter
from jupyter_mlops.serving.log_tail import TAIL_SUFFIX, Tail, held

INPUTS = json.dumps([{"type": "long", "name": "n", "required": True}])


def entry(number: int, padding: int = 0) -> Entry:
    body = json.dumps({"dataframe_records": [{"n": number}]}) + " " * padding
    return Entry(f"r{number}", 1000 + number, "application/json", body.encode(), b'{"predictions":[1]}', 1, 0.1)


def writer(folder: Path, **keywords: int) -> LogWriter:
    return LogWriter(folder, model="m@1", inputs=INPUTS, **keywords)


def numbers(folder: Path) -> list[int]:
    window = read(folder)
    assert len(window) == count(folder)
    return [int(n) for n in window.inputs["n"]] if len(window) else []


def test_what_stands_in_the_tail_only_is_in_the_log(tmp_path: Path) -> None:
    log = writer(tmp_path)
    (path,) = segment_paths(tmp_path)
    begun = path.stat().st_size
    for number in range(5):
        log.append(entry(number))
        assert numbers(tmp_path) == list(range(number + 1))
    assert path.stat().st_size == begun
    log.close()
    assert path.stat().st_size > begun
    assert not path.with_suffix(TAIL_SUFFIX).exists()
    assert numbers(tmp_path) == list(range(5))


def test_a_segment_without_an_entry_leaves_no_tail(tmp_path: Path) -> None:
    writer(tmp_path).close()
    assert not list(tmp_path.iterdir())


@settings(max_examples=40, deadline=None)
@given(
    paddings=st.lists(st.integers(0, 900), min_size=1, max_size=25),
    tail_bytes=st.integers(0, 2000),
    segment_bytes=st.integers(200, 6000),
    together=st.integers(1, 4),
    closing=st.booleans(),
)
def test_each_row_is_read_once_wherever_it_stands(
    tmp_path_factory: pytest.TempPathFactory,
    paddings: list[int],
    tail_bytes: int,
    segment_bytes: int,
    together: int,
    closing: bool,
) -> None:
    folder = tmp_path_factory.mktemp("log")
    log = writer(folder, tail_bytes=tail_bytes, segment_bytes=segment_bytes)
    seen: list[int] = []
    position = ""
    for first in range(0, len(paddings), together):
        log.append(*(entry(n, paddings[n]) for n in range(first, min(first + together, len(paddings)))))
        window, position = read_after(folder, position)
        seen += [int(n) for n in window.inputs["n"]]
    assert seen == numbers(folder) == list(range(len(paddings)))
    if closing:
        log.close()
        compact(folder)
        assert not list(folder.glob(f"*{TAIL_SUFFIX}"))
    assert numbers(folder) == list(range(len(paddings)))
    assert not len(read_after(folder, position)[0])


def test_a_writer_killed_between_writing_its_tail_and_beginning_it_anew(tmp_path: Path) -> None:
    """Whatever part of the tail has come to the segment, every entry is there once."""
    log = writer(tmp_path / "log")
    for number in range(6):
        log.append(entry(number))
    (path,) = segment_paths(tmp_path / "log")
    before, tail = path.read_bytes(), path.with_suffix(TAIL_SUFFIX).read_bytes()
    log.close()
    written = path.read_bytes()
    for length in range(len(before), len(written) + 1, 37):
        folder = tmp_path / f"killed-{length}"
        folder.mkdir()
        (folder / path.name).write_bytes(written[:length])
        (folder / path.name).with_suffix(TAIL_SUFFIX).write_bytes(tail)
        assert numbers(folder) == list(range(6))
        if length % 2:
            compact(folder)
            assert numbers(folder) == list(range(6))
            assert [each.suffix for each in folder.iterdir()] == [".parquet"]
    shutil.rmtree(tmp_path)


def test_a_tail_that_ends_in_the_middle_of_a_frame(tmp_path: Path) -> None:
    log = writer(tmp_path)
    for number in range(4):
        log.append(entry(number))
    (path,) = tmp_path.glob(f"*{TAIL_SUFFIX}")
    whole = path.read_bytes()
    end = len(whole.rstrip(b"\0"))
    for cut in range(5, 64, 7):
        path.write_bytes(whole[: end - cut].ljust(len(whole), b"\0"))
        assert numbers(tmp_path) == [0, 1, 2]
    for length in (0, 3, 15, 16, 40):  # one that is being made
        path.write_bytes(whole[:length])
        assert numbers(tmp_path) == []


def test_it_begins_anew_without_what_stood_there(tmp_path: Path) -> None:
    tail = Tail(tmp_path / "x.tail", base=100, size=50)
    assert tail.put(b"a" * 30)
    assert not tail.put(b"b" * 21)
    assert held(tail.path) == (100, (b"a" * 30).ljust(50, b"\0"))
    tail.restart(130)
    assert tail.put(b"c" * 3)
    assert held(tail.path) == (130, b"ccc".ljust(50, b"\0"))
    assert held(tmp_path / "none.tail") is None
    tail.close()
    assert tail.path.exists()  # nobody has written it to the segment


def test_a_full_disk_is_met_when_the_tail_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = writer(tmp_path, tail_bytes=600)

    def no_space(_file: int, _data: bytes, _at: int = 0) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "pwrite", no_space)
    taken = 0
    while not log.refusing and taken < 20:
        with contextlib.suppress(OSError):
            log.append(entry(taken))
            taken += 1
    assert 2 <= taken < 10
    with pytest.raises(OSError, match="No space"):
        log.append(entry(taken))
    assert log.refusing
    assert numbers(tmp_path) == list(range(taken))
    log.close()  # still full: what was answered stays in the tail
    monkeypatch.undo()
    assert numbers(tmp_path) == list(range(taken))
    log.append(entry(taken))
    assert not log.refusing
    log.close()
    assert compact(tmp_path) == 2
    assert numbers(tmp_path) == list(range(taken + 1))


def test_no_room_for_a_tail_is_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "write", lambda _file, data: len(data) // 2)
    log = writer(tmp_path)
    assert log.refusing
    with pytest.raises(OSError, match="no space"):
        log.append(entry(1))
    assert not list(tmp_path.iterdir())
    monkeypatch.undo()
    log.append(entry(2))
    assert numbers(tmp_path) == [2]


KILLED = """
import sys
from pathlib import Path
from tests.serving.test_log_tail import entry, writer
log = writer(Path(sys.argv[1]), segment_bytes=200_000, tail_bytes=20_000)
number = 0
while True:
    log.append(entry(number, number % 300))
    print(number, flush=True)
    number += 1
"""


def test_nothing_told_is_lost_when_the_writer_is_killed(tmp_path: Path) -> None:
    for kill in range(5):
        folder = tmp_path / str(kill)
        process = subprocess.Popen(
            [sys.executable, "-c", KILLED, str(folder)],
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[2],
        )
        assert process.stdout is not None
        for _ in range(700 + 333 * kill):
            process.stdout.readline()
        process.send_signal(signal.SIGKILL)
        told = process.stdout.read().splitlines()
        process.wait()
        last = int(told[-1]) if told else 699 + 333 * kill
        found = numbers(folder)
        assert found == list(range(len(found)))
        assert len(found) - 1 in (last, last + 1)  # the last one may have been killed before it could tell
        compact(folder)
        assert numbers(folder) == found


def test_a_reader_beside_the_writer_sees_each_row_once(tmp_path: Path) -> None:
    rows = 3000
    log = writer(tmp_path, tail_bytes=2000, segment_bytes=50_000)

    def write() -> None:
        for number in range(rows):
            log.append(entry(number, number % 200))

    thread = threading.Thread(target=write)
    thread.start()
    seen: list[int] = []
    position = ""
    while thread.is_alive() or len(seen) < rows:
        alive = thread.is_alive()
        window, position = read_after(tmp_path, position)
        seen += [int(n) for n in window.inputs["n"]] if len(window) else []
        if not alive:
            break
    thread.join()
    assert seen == list(range(rows))
