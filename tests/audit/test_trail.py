"""The audit trail: whole after a crash, honest about what was interrupted, and any change to it shows."""

from __future__ import annotations

from pathlib import Path

from jupyter_mlops.audit.trail import Trail, read_trail
from jupyter_mlops.domain.workspace import Actor

ANN = Actor("ann", "lab", "magic", "a.ipynb")


def fill(path: Path, count: int = 3) -> Trail:
    trail = Trail(path)
    for i in range(count):
        trail.begin(f"r{i}", ANN, "model.promote", f"clf@{i}", {"to": "champion"})
        trail.end(f"r{i}", "done", answer={"version": i})
    return trail


def test_entries_come_newest_first_with_who_what_and_on_what(tmp_path: Path) -> None:
    fill(tmp_path / "t")
    told = read_trail(tmp_path / "t", limit=2)
    assert [(e.number, e.target, e.outcome, e.actor) for e in told] == [
        (3, "clf@2", "done", ANN),
        (2, "clf@1", "done", ANN),
    ]
    assert told.intact


def test_a_target_finds_its_versions_too_and_nothing_else(tmp_path: Path) -> None:
    trail = fill(tmp_path / "t")
    trail.begin("other", ANN, "data.save", "clfx", {})
    assert [e.target for e in read_trail(tmp_path / "t", limit=9, target="clf")] == ["clf@2", "clf@1", "clf@0"]


def test_what_was_begun_and_never_ended_is_interrupted(tmp_path: Path) -> None:
    Trail(tmp_path / "t").begin("r", ANN, "deployment.deploy", "clf", {})
    assert read_trail(tmp_path / "t", limit=1)[0].outcome == "interrupted"


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
    told = read_trail(tmp_path / "t", limit=9)
    assert told.intact
    assert [e.number for e in told] == [3, 2, 1]


def test_an_altered_removed_or_inserted_line_shows(tmp_path: Path) -> None:
    fill(tmp_path / "t")
    whole = (tmp_path / "t").read_bytes().splitlines(keepends=True)
    for altered in (
        [*whole[:2], whole[2].replace(b"champion", b"champiox"), *whole[3:]],
        [*whole[:2], *whole[3:]],
        [*whole[:4], whole[0], *whole[4:]],
        [*whole[:3], b"not json\n", *whole[3:]],
    ):
        (tmp_path / "t").write_bytes(b"".join(altered))
        told = read_trail(tmp_path / "t", limit=9)
        assert not told.intact
        assert "THE TRAIL WAS ALTERED" in told.text()
