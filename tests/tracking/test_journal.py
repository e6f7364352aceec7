"""The journal: what was written is there after any death, and a record cut short is not."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from jupyter_mlops.errors import Conflict, StoreUnavailable
from jupyter_mlops.tracking import journal as journals
from jupyter_mlops.tracking.journal import EVENTS, Journal, alive, count_events, read_events, read_owner

WRITER = """
import os, sys
from pathlib import Path
from jupyter_mlops.tracking.journal import Journal
journal = Journal(Path(sys.argv[1]), {"user": "me"})
print(journal.id, flush=True)
number = 0
while True:
    journal.metric(1, b"loss", 0.5, number, 7)
    number += 1
    if number % 5000 == 0:
        print(number, flush=True)
"""


def test_events_come_back_in_order_and_by_position(tmp_path):
    journal = Journal(tmp_path, {"user": "me"})
    first = journal.event("start", 1, key="k", name="näme")
    journal.metric(1, "größe".encode(), float("inf"), -3, 12)
    journal.event("end", 1, status="FINISHED")
    events = read_events(journal.folder, 0, 100)
    assert [event.kind for event in events] == ["start", "metric", "end"]
    assert events[0].payload == {"key": "k", "name": "näme"}
    assert events[1].payload == {"key": "größe", "value": float("inf"), "step": -3}
    assert events[1].at_ms == 12
    assert [e.kind for e in read_events(journal.folder, first, 1)] == ["metric"]
    assert count_events(journal.folder, first) == 2
    assert read_owner(journal.folder)["pid"] == os.getpid()


def test_the_log_grows_and_large_events_fit(tmp_path):
    journal = Journal(tmp_path, {})
    journal.event("start", 1, source="x" * 3_000_000)
    for step in range(50_000):
        journal.metric(1, b"loss", 1.0, step, 1)
    events = read_events(journal.folder, 0, 10**9)
    assert len(events) == 50_001
    assert events[-1].payload["step"] == 49_999
    assert events[-1].end == journal.position


def test_threads_share_it(tmp_path):
    journal = Journal(tmp_path, {})

    def write(run: int) -> None:
        for step in range(2000):
            journal.metric(run, b"m", 0.0, step, 1)

    threads = [threading.Thread(target=write, args=(run,)) for run in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    events = read_events(journal.folder, 0, 10**6)
    for run in range(4):
        assert [e.payload["step"] for e in events if e.run == run] == list(range(2000))


@pytest.mark.parametrize("cut", [1, 4, 7, 8, 20])
def test_a_record_cut_short_is_not_there(tmp_path, cut):
    journal = Journal(tmp_path, {})
    whole = journal.event("start", 1, key="k")
    end = journal.event("end", 1, status="FINISHED")
    journal.close()
    file = journal.folder / EVENTS
    content = bytearray(file.read_bytes())
    content[whole + cut : end] = bytes(end - whole - cut)
    file.write_bytes(content)
    assert [event.kind for event in read_events(journal.folder, 0, 10)] == ["start"]


def test_kill_loses_nothing_that_was_acknowledged(tmp_path):
    writer = subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    folder = tmp_path / "journal" / writer.stdout.readline().strip()
    told = [int(writer.stdout.readline()) for _ in range(4)][-1]
    assert alive(folder)
    os.kill(writer.pid, signal.SIGKILL)
    writer.wait()
    assert not alive(folder)
    steps = [event.payload["step"] for event in read_events(folder, 0, 10**8)]
    assert len(steps) >= told
    assert steps == list(range(len(steps)))


def test_a_closed_journal_and_another_life_of_a_process_number_are_dead(tmp_path):
    journal = Journal(tmp_path, {})
    assert alive(journal.folder)
    owner = read_owner(journal.folder)
    (journal.folder / "owner.json").write_text(json.dumps({**owner, "started": "1"}))
    assert not alive(journal.folder)
    other = Journal(tmp_path, {})
    other.close()
    assert not alive(other.folder)
    with pytest.raises(Conflict, match="does not write the journal"):
        other.event("end", 1)


def test_a_forked_child_cannot_write(tmp_path):
    journal = Journal(tmp_path, {})
    child = os.fork()
    if child == 0:
        try:
            journal.event("end", 1)
        except Conflict:
            os._exit(0)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    journal.event("start", 1)
    assert count_events(journal.folder, 0) == 1


def test_a_full_disk_makes_the_log_wait_in_memory_and_is_said_once(tmp_path, monkeypatch, capsys):
    journal = Journal(tmp_path, {})
    full = threading.Event()
    full.set()
    reserve = journals._reserve

    def room(file, start, size):
        if full.is_set():
            raise OSError(errno.ENOSPC, "No space left on device")
        reserve(file, start, size)

    monkeypatch.setattr(journals, "_reserve", room)
    for i in range(3000):
        journal.metric(1, b"loss", float(i), i, 0)
    position = journal.event("end", 1, status="FINISHED")
    assert journal.waiting
    before = read_events(journal.folder, 0, 10_000)
    assert 0 < len(before) < 3000
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert "No space left on device. What is logged waits in memory" in told
    full.clear()
    wait_for(lambda: not journal.waiting)
    events = read_events(journal.folder, 0, 10_000)
    assert [e.payload["step"] for e in events[:-1]] == list(range(3000))
    assert (events[-1].kind, events[-1].end) == ("end", position)
    assert journal.metric(1, b"loss", 0.0, 3000, 0) is None
    assert read_events(journal.folder, position, 10)[0].payload["step"] == 3000
    assert capsys.readouterr().err == ""
    journal.close()


def test_what_waits_for_room_is_bounded_and_its_loss_is_said(tmp_path, monkeypatch, capsys):
    journal = Journal(tmp_path, {})

    def never(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(journals, "_reserve", never)
    monkeypatch.setattr(journals, "MOST_WAITING", 200_000)

    def fill():
        for i in range(10_000):
            journal.metric(1, b"loss", float(i), i, 0)

    with pytest.raises(StoreUnavailable, match="No space left"):
        fill()
    journal.close()
    assert "what waited is lost" in capsys.readouterr().err


def wait_for(true, seconds=30.0):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)
