"""Evidence: draws from the global generators are seen, whichever way they are made, and what does not draw is not taken for it."""

from __future__ import annotations

import random
import timeit
from collections.abc import Callable

import numpy as np
import pytest
from sklearn.utils import check_random_state

from jupyter_mlops.analysis.evidence import Watch

CELLS: list[tuple[str, Callable[[], object], set[str]]] = [
    ("nothing", lambda: None, set()),
    ("one normal number, of two that NumPy makes at once", np.random.randn, {"numpy"}),
    ("the other one, which it held back", np.random.randn, {"numpy"}),
    ("nothing again", lambda: None, set()),
    ("more than the state holds", lambda: np.random.rand(624), {"numpy"}),  # noqa: NPY002
    ("Python's own", random.random, {"random"}),
    ("a seed", lambda: np.random.seed(3), {"numpy"}),  # noqa: NPY002
    ("a generator of one's own", lambda: np.random.default_rng(0).normal(), set()),
    ("both", lambda: (random.random(), np.random.rand()), {"random", "numpy"}),  # noqa: NPY002
]


@pytest.mark.parametrize("short", [True, False])
def test_draws_are_seen(short: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not short:  # another generator than the usual one has no state that can be read where it lies
        monkeypatch.setattr("jupyter_mlops.analysis.evidence._short_random_mark", tuple)
    watch = Watch()
    kept = np.random.get_state(), random.getstate()  # noqa: NPY002
    try:
        np.random.seed(0)  # noqa: NPY002
        moved = True
        for count, (told, cell, drew) in enumerate(CELLS, 1):
            watch.before({}, count)
            assert (count in watch.random_states) == moved, told
            cell()
            assert watch.after({}).drew == drew, told
            moved = bool(drew)
    finally:
        np.random.set_state(kept[0])  # noqa: NPY002
        random.setstate(kept[1])


def test_a_draw_between_cells_is_kept() -> None:
    watch = Watch()
    watch.before({}, 1)
    watch.after({})
    np.random.rand()  # noqa: NPY002
    watch.before({}, 2)
    assert watch.after({}).drew == set()
    assert 2 in watch.random_states


@pytest.mark.parametrize("seed", [None, 3])
def test_a_cell_that_loads_numpy_has_drawn_nothing(seed: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = np.random.get_state()  # noqa: NPY002
    watch = Watch()
    try:
        with monkeypatch.context() as without:
            without.setattr("jupyter_mlops.analysis.evidence._numpy_generator", lambda: None)
            watch.before({}, 1)
        np.random.set_state(np.random.RandomState(seed).get_state())  # noqa: NPY002 as it is when it was just loaded
        assert watch.after({}).drew == set()
        watch.before({}, 2)
        assert "numpy" in watch.random_states[2]
    finally:
        np.random.set_state(kept)  # noqa: NPY002


def test_what_numpy_seeds_itself_with_is_kept_and_its_own_way_is_put_back() -> None:
    bits = np.random.bit_generator.randbits  # type: ignore[attr-defined]  # which has no stub
    watch = Watch()
    watch.before({}, 1)
    taken = np.random.default_rng().bit_generator.seed_seq.entropy  # type: ignore[attr-defined]
    again = np.random.default_rng(5).bit_generator.seed_seq.entropy  # type: ignore[attr-defined]
    assert watch.after({}).entropy == (taken,)
    assert again == 5
    assert np.random.bit_generator.randbits is bits  # type: ignore[attr-defined]
    watch.before({}, 2)
    assert watch.after({}).entropy == ()


@pytest.mark.parametrize(
    ("made", "taken"),
    [
        (lambda: np.random.RandomState(4), 0),
        (lambda: np.random.RandomState(seed=4), 0),
        (lambda: np.random.RandomState().rand(), 1),
        (lambda: np.random.RandomState(None), 1),
        (lambda: check_random_state(4), 0),
        (lambda: (np.random.RandomState(4), np.random.default_rng()), 2),
    ],
)
def test_what_is_taken_and_thrown_away_is_not_kept(made: Callable[[], object], taken: int) -> None:
    watch = Watch()
    watch.before({}, 1)
    made()
    assert len(watch.after({}).entropy) == taken, "as many as are taken where the seeds are given again"


def test_how_often_timeit_runs_its_code() -> None:
    from IPython.core.interactiveshell import InteractiveShell
    from traitlets.config import Config

    config = Config()
    config.HistoryManager.enabled = False
    shell = InteractiveShell(config=config, user_ns={"first": [], "then": []})
    original, watch = timeit.Timer.__init__, Watch()
    for _ in range(2):
        shell.user_ns["first"].clear()
        shell.user_ns["then"].clear()
        watch.before(shell.user_ns, 1)
        shell.run_cell("%timeit -n 3 -r 2 first.append(1)\n%timeit -r 1 sum(range(50_000)); then.append(1)\n")
        counts = watch.after(shell.user_ns).timed
        assert counts == (6, len(shell.user_ns["then"]))
    assert timeit.Timer.__init__ is original
