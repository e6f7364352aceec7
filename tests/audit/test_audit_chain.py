"""The chain: a thousand random mutations of every kind are found, honest changes are not, and findings say which entry."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import orjson
import pytest

from jupyter_mlops.audit.chain import ANSWER, PERSONAL, check_chain, digest, erased, line_of
from jupyter_mlops.audit.trail import Trail, check_file, entries_of
from jupyter_mlops.domain.workspace import Actor

ANN, BOB = Actor("ann", "lab", "magic", "a.ipynb", "In [3] c1", "abc"), Actor("bob", "lab")
Lines = list[bytes]


def made(path: Path, count: int = 20) -> Lines:
    trail = Trail(path)
    for i in range(count):
        trail.begin(f"r{i}", ANN if i % 2 else BOB, "model.promote", f"clf@{i}", {"to": "champion", "d": 0.1 * i})
        trail.end(f"r{i}", "done", answer={"version": i, "name": "clf"})
    return path.read_bytes().splitlines(keepends=True)


@pytest.fixture(scope="module")
def chains(tmp_path_factory: pytest.TempPathFactory) -> tuple[Lines, Lines]:
    folder = tmp_path_factory.mktemp("chains")
    return made(folder / "a" / "t"), made(folder / "b" / "t")


def delete(rng: random.Random, lines: Lines, _other: Lines) -> Lines:
    at = rng.randrange(len(lines))
    return lines[:at] + lines[at + rng.randint(1, 3) :]


def alter_a_byte(rng: random.Random, lines: Lines, _other: Lines) -> Lines:
    at = rng.randrange(len(lines))
    where = rng.randrange(len(lines[at]) - 1)
    new = rng.choice([b for b in range(32, 127) if b != lines[at][where]])
    return [*lines[:at], lines[at][:where] + bytes([new]) + lines[at][where + 1 :], *lines[at + 1 :]]


def alter_and_hash_again(rng: random.Random, lines: Lines, _other: Lines) -> Lines:
    """What someone would do who knows the format: change the entry and make its own hash fit."""
    at = rng.randrange(len(lines))
    entry = orjson.loads(lines[at])
    if rng.random() < 0.5:
        entry["at_ms"] += rng.randint(1, 10**6)
        entry["hash"] = digest(entry)
        line = orjson.dumps(entry, option=orjson.OPT_SORT_KEYS) + b"\n"
    else:  # another actor, sealed anew
        body = {k: v for k, v in entry.items() if k not in ("hash", "sealed", "commit")}
        sealed = {name: part["value"] for name, part in entry["sealed"].items()}
        sealed[PERSONAL] = {"actor": {"user": f"eve{rng.random()}"}}
        line, _ = line_of(body, sealed)
    return [*lines[:at], line, *lines[at + 1 :]]


def reorder(rng: random.Random, lines: Lines, _other: Lines) -> Lines:
    one, two = rng.sample(range(len(lines)), 2)
    new = list(lines)
    new[one], new[two] = new[two], new[one]
    return new


def truncate(rng: random.Random, lines: Lines, _other: Lines) -> Lines:
    return lines[: rng.randrange(len(lines))]


def cut_the_beginning(rng: random.Random, lines: Lines, _other: Lines) -> Lines:
    return lines[rng.randrange(1, len(lines)) :]


def splice(rng: random.Random, lines: Lines, other: Lines) -> Lines:
    at = rng.randrange(len(lines) + 1)
    new = rng.choice(other) if rng.random() < 0.5 else rng.choice(lines)
    keep = at + rng.randint(0, 1)
    changed = [*lines[:at], new, *lines[keep:]]
    return changed if changed != lines else splice(rng, lines, other)


def take_out_what_is_sealed(rng: random.Random, lines: Lines, _other: Lines) -> Lines:
    at = rng.randrange(len(lines))
    return [*lines[:at], erased(lines[at], PERSONAL), *lines[at + 1 :]]


MUTATIONS: tuple[Callable[[random.Random, Lines, Lines], Lines], ...] = (
    delete,
    alter_a_byte,
    alter_and_hash_again,
    reorder,
    truncate,
    cut_the_beginning,
    splice,
    take_out_what_is_sealed,
)


@pytest.mark.parametrize("mutate", MUTATIONS)
def test_every_random_mutation_is_found(mutate: Callable[..., Lines], chains: tuple[Lines, Lines]) -> None:
    lines, other = chains
    whole = check_chain(lines)
    assert whole.findings == []
    place, stated = whole.head
    for seed in range(150):
        changed = mutate(random.Random(seed), lines, other)
        assert changed != lines
        chain = check_chain(changed, writer=whole.writer)
        chain.must_hold(place, stated, "the head")
        assert chain.findings, (mutate.__name__, seed)
        assert all(f.text for f in chain.findings)


def test_findings_say_which_entry_and_what_was_done(chains: tuple[Lines, Lines]) -> None:
    lines, other = chains
    cases: list[tuple[Lines, str, int]] = [
        (lines[:4] + lines[5:], "removed", 5),
        ([*lines[:6], lines[6].replace(b"champion", b"champiox"), *lines[7:]], "altered", 7),
        ([*lines[:2], b"not json\n", *lines[3:]], "altered", 3),
        ([*lines[:7], lines[8], lines[7], *lines[9:]], "reordered", 8),
        ([*lines[:9], other[9], *lines[9:]], "spliced", 9),
        ([*lines[:9], lines[2], *lines[9:]], "spliced", 3),
        (lines[:30], "truncated", 31),
    ]
    for changed, what, at in cases:
        chain = check_chain(changed)
        chain.must_hold(*check_chain(lines).head, "the head")
        assert (what, at) in {(f.what, f.place) for f in chain.findings}, what


def test_a_workspace_whose_file_was_cut_or_taken_away_is_told_by_its_head(tmp_path: Path) -> None:
    path = tmp_path / "t"
    lines = made(path, 5)
    path.write_bytes(b"".join(lines[:6]))
    assert [(f.what, f.place) for c in check_file(path) for f in c.findings] == [("truncated", 7)]
    path.unlink()
    assert [(f.what, f.place) for c in check_file(path) for f in c.findings] == [("truncated", 1)]
    trail = Trail(path)  # a new chain is begun; the old one's loss stays visible
    trail.begin("new", ANN, "data.save", "x", {})
    assert any(f.what == "truncated" for c in check_file(path) for f in c.findings)


def test_a_cut_file_goes_on_with_its_gap(tmp_path: Path) -> None:
    path = tmp_path / "t"
    lines = made(path, 5)
    path.write_bytes(b"".join(lines[:6]))
    trail = Trail(path)
    trail.begin("new", ANN, "data.save", "x", {})
    found = [(f.what, f.place, f.text) for c in check_file(path) for f in c.findings]
    assert found == [("removed", 7, "entries 7 to 10 were removed")]


def test_a_damaged_line_does_not_keep_the_service_from_starting(tmp_path: Path) -> None:
    path = tmp_path / "t"
    lines = made(path, 3)
    path.write_bytes(b"".join([*lines[:2], b"\xff\xfe{]\n", *lines[3:]]))
    trail = Trail(path)
    trail.begin("new", ANN, "data.save", "x", {})
    assert {(f.what, f.place) for c in check_file(path) for f in c.findings} == {("altered", 3)}


def test_erasing_a_person_leaves_the_chain_whole_and_nothing_of_the_person(tmp_path: Path) -> None:
    path = tmp_path / "t"
    made(path, 6)
    trail = Trail(path)
    places = trail.erase("ann", "request of 2026-11-02")
    assert places == [(3, 4), (7, 8), (11, 12)]
    assert b"ann" not in path.read_bytes()
    assert b"a.ipynb" not in path.read_bytes()
    (chain,) = check_file(path)
    assert chain.findings == []
    told = entries_of(chain)
    assert [e.actor.user for e in told if e.number] == ["bob", "(erased)"] * 3
    assert [e.target for e in told if e.number] == [f"clf@{i}" for i in range(6)]
    assert [e.details["reason"] for e in told if not e.number] == ["request of 2026-11-02"]
    assert trail.erase("ann") == []
    again = Trail(path)
    again.begin("later", BOB, "data.save", "x", {})
    assert check_file(path)[0].findings == []


def test_retention_removes_the_beginning_and_proves_what_it_removed(tmp_path: Path) -> None:
    path = tmp_path / "t"
    lines = made(path, 6)
    trail = Trail(path)
    middle = orjson.loads(lines[5])["at_ms"] + 1
    trail.begin("mark", ANN, "data.save", "x", {})
    told = trail.retain(middle)
    assert told is not None
    (chain,) = check_file(path)
    assert chain.findings == []
    assert chain.start == told["through"]
    assert told["hash"] == orjson.loads(lines[told["through"] - 1])["hash"]
    kept = path.read_bytes().splitlines(keepends=True)
    assert check_chain(kept[1:]).findings  # the beginning cut off further than the proof says
    assert trail.retain(0) is None
    assert Trail(path).head == trail.head


def test_the_copy_for_the_store_lacks_the_answers_and_is_whole(chains: tuple[Lines, Lines]) -> None:
    copy = [erased(line, ANSWER) for line in chains[0]]
    assert check_chain(copy, answers=False).findings == []
    assert check_chain(copy).findings
    assert b'"value":{"name":"clf"' not in b"".join(copy)


def test_odd_values_are_carried(tmp_path: Path) -> None:
    path = tmp_path / "t"
    trail = Trail(path)
    trail.begin("r", ANN, "x.y", "\ud800 ü", {"big": 2**80, "nan": float("nan"), "text": "line\nbreak\u2028"})
    trail.end("r", "failed", error="no \ud800")
    (chain,) = check_file(path)
    assert chain.findings == []
    assert entries_of(chain)[0].details["big"] == str(2**80)
