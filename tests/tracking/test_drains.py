"""Draining a journal into a store that fails: what may be passed over, and what never is."""

from __future__ import annotations

import threading
from types import SimpleNamespace

import pytest

from jupyter_mlops.errors import StoreUnavailable
from jupyter_mlops.tracking.drains import TRIES, Drain
from jupyter_mlops.tracking.journal import Journal


class Runs:
    """The runs of a store that is away as long as it is told to be, and that cannot take some keys."""

    def __init__(self) -> None:
        self.failures = 0
        self.answers = True
        self.poison = ""
        self.taken: list[int] = []
        self.notes: list[str] = []

    def log_batch(self, _run, metrics, _params, _tags, *, model_id) -> None:
        assert not model_id
        if self.failures or any(key == self.poison for key, *_ in metrics):
            self.failures = max(0, self.failures - 1)
            raise StoreUnavailable("the store failed.")
        self.taken += [step for *_, step in metrics]

    def names(self) -> list[str]:
        if not self.answers:
            raise StoreUnavailable("the store failed.")
        return []

    def add_notes(self, _run, lines) -> None:
        self.notes += lines


@pytest.fixture
def draining(tmp_path):
    journal = Journal(tmp_path, {})
    for step in range(5):
        journal.metric(1, b"loss", 1.0, step, 0)
    runs = Runs()
    host = SimpleNamespace(
        stopping=threading.Event(),
        changed=lambda *_: None,
        store=SimpleNamespace(runs=runs, workspace=None, sync=lambda: None),
    )
    drain = Drain(journal.folder, "tag")
    drain._state["runs"]["1"] = {"id": "1", "key": "k", "name": "n", "ended": False, "models": [], "store": ""}
    yield drain, host, runs, journal
    journal.close()


@pytest.mark.parametrize("back", [TRIES, TRIES + 1, 2 * TRIES])
def test_a_store_that_comes_back_between_two_tries_has_every_point(draining, back):
    drain, host, runs, _ = draining
    runs.failures, runs.answers = 100, False
    for _ in range(TRIES + 2):
        with pytest.raises(StoreUnavailable):
            drain.run(host)
    runs.failures, runs.answers = 1, True  # the batch still failed, and then it was there
    for _ in range(back):
        try:
            drain.run(host)
        except StoreUnavailable:
            continue
    assert sorted(set(runs.taken)) == list(range(5))
    assert runs.notes == []


def test_what_a_store_that_is_well_cannot_take_holds_nothing_else_up(draining):
    drain, host, runs, journal = draining
    runs.poison = "poison"
    journal.metric(1, b"poison", 1.0, 5, 0)
    journal.metric(1, b"loss", 1.0, 6, 0)
    for _ in range(10 * TRIES):
        try:
            drain.run(host)
        except StoreUnavailable:
            continue
        break
    assert sorted(set(runs.taken)) == [0, 1, 2, 3, 4, 6]
    assert runs.notes == ["not stored: metric poison"]
