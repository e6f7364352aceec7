"""The audit trail: whole after a crash, honest about what was interrupted, and any change to it shows."""

from __future__ import annotations

import threading
from pathlib import Path

from jupyter_mlops.audit.trail import Trail, check_file, entries_of
from jupyter_mlops.domain.audit_entry import AuditEntry
from jupyter_mlops.domain.workspace import Actor

ANN = Actor("ann", "lab", "magic", "a.ipynb")


def fill(path: Path, count: int = 3) -> Trail:
    trail = Trail(path)
    for i in range(count):
        trail.begin(f"r{i}", ANN, "model.promote", f"clf@{i}", {"to": "champion"})
        trail.end(f"r{i}", "done", answer={"version": i})
    return trail


def told(path: Path) -> list[AuditEntry]:
    """The changes, newest first."""
    return entries_of(check_file(path)[0])[::-1]


def whole(path: Path) -> bool:
    return not [finding for chain in check_file(path) for finding in chain.findings]


def test_entries_tell_who_what_on_what_and_what_it_came_to(tmp_path: Path) -> None:
    fill(tmp_path / "t")
    entries = told(tmp_path / "t")[:2]
    assert [(e.number, e.target, e.outcome, e.actor) for e in entries] == [
        (3, "clf@2", "done", ANN),
        (2, "clf@1", "done", ANN),
    ]
    assert (entries[0].details, entries[0].result) == ({"to": "champion"}, {"version": 2})
    assert whole(tmp_path / "t")


def test_what_was_begun_and_never_ended_is_interrupted(tmp_path: Path) -> None:
    Trail(tmp_path / "t").begin("r", ANN, "deployment.deploy", "clf", {})
    assert told(tmp_path / "t")[0].outcome == "interrupted"


def test_a_request_asked_again_after_a_crash_finds_its_answer(tmp_path: Path) -> None:
    fill(tmp_path / "t", 1)
    again = Trail(tmp_path / "t")
    earlier = again.earlier("r0")
    assert earlier is not None
    assert (earlier.done, earlier.answer) == (True, {"version": 0})
    assert again.begin("r0", ANN, "model.promote", "clf@0", {}) == 1
    assert again.earlier("r9") is None


def test_a_write_cut_short_is_dropped_and_the_chain_goes_on(tmp_path: Path) -> None:
    fill(tmp_path / "t", 2)
    with (tmp_path / "t").open("ab") as file:
        file.write(b'{"kind":"begin","numb')
    trail = Trail(tmp_path / "t")
    trail.begin("new", ANN, "data.save", "adult", {})
    assert whole(tmp_path / "t")
    assert [e.number for e in told(tmp_path / "t")] == [3, 2, 1]


def test_ten_writers_at_once_lose_no_entry(tmp_path: Path) -> None:
    trail = Trail(tmp_path / "t")

    def write(who: int) -> None:
        for i in range(20):
            trail.begin(f"{who}-{i}", ANN, "data.save", f"t{who}", {"i": i})
            trail.end(f"{who}-{i}", "done")

    threads = [threading.Thread(target=write, args=(who,)) for who in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert whole(tmp_path / "t")
    entries = told(tmp_path / "t")
    assert len(entries) == 200
    assert {e.outcome for e in entries} == {"done"}
    assert sorted(e.number for e in entries) == list(range(1, 201))
