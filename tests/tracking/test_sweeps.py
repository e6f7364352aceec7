"""Sweeps: the space as text, the trials that a seed gives, what a kill leaves, and what runs where."""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
import textwrap
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_mlops.domain.sweep import Sweep
from jupyter_mlops.errors import Conflict, InvalidArgument, MLOpsError, NotFound
from jupyter_mlops.tracking.search_space import Range, SearchSpace
from jupyter_mlops.tracking.study import Study, leave
from jupyter_mlops.tracking.sweep import Search
from jupyter_mlops.tracking.tracker import tracker_of
from jupyter_mlops.tracking.trial import TrialHandle


def hill(x, y=0.0):
    return -((x - 0.3) ** 2) - (y - 0.5) ** 2


@pytest.mark.parametrize(
    ("text", "points"),
    [
        ("a=1..3", (1, 2, 3)),
        ("a=0..1:0.5", (0.0, 0.5, 1.0)),
        ("a=1..100:log", (1, 3, 10, 32, 100)),
        ("a=1.0..100:log", (1.0, 3.16227766017, 10.0, 31.6227766017, 100.0)),
        ("a=x,2,2.5,true,none", ("x", 2, 2.5, True, None)),
        ("a=-1e-3..1e-3:1e-3", (-0.001, 0.0, 0.001)),
        ("a=0..1:0.3", (0.0, 0.3, 0.6, 0.9)),
    ],
)
def test_a_space_is_read(text, points):
    assert SearchSpace.read(text).domains["a"].points() == points


@given(st.floats(-1e6, 1e6), st.floats(1e-3, 1e6), st.booleans())
def test_a_range_that_is_written_is_read_back(low, width, log):
    low = abs(low) + 1e-3 if log else low
    found = Range(float(f"{low:.6g}"), float(f"{low + width + abs(low) * 1e-3:.6g}"), False, log)
    read = SearchSpace.read(f"a={found}").domains["a"]
    assert (read.low, read.high, read.log) == (found.low, found.high, log)
    assert all(read.low * (1 - 1e-9) - 1e-9 <= p <= read.high * (1 + 1e-9) + 1e-9 for p in read.points() if p > 0)


@pytest.mark.parametrize(
    "wrong", ["a", "a=", "=2", "a=3..1", "a=0..1:log", "a=1..x", "a=1..2:-1", "a=1..2:5", "a=1..2 a=3..4", {"a": 3}, {}]
)
def test_what_is_no_space_is_refused_with_what_one_looks_like(wrong):
    with pytest.raises(InvalidArgument):
        SearchSpace.read(wrong)


def test_the_trials_are_runs_below_the_sweeps_and_the_best_is_told(shared_session):
    found = shared_session.sweep(hill, space=["x=0.0..1.0", "y=0,0.5,1"], trials=12, metric="height", seed=3)
    assert found.counts() == "12 complete"
    assert found.best.value == max(hill(**t.params) for t in found)
    assert set(found.importances) == {"x", "y"}
    assert sum(found.importances.values()) == pytest.approx(1, abs=1e-3)
    runs = {run.id: run for run in shared_session.runs(limit=50)}
    assert runs[found.run].metrics["height"] == found.best.value
    for trial in found:
        child = runs[trial.run]
        assert child.parent == found.run
        assert float(child.params["x"]) == trial.params["x"]
        assert child.metrics["height"] == trial.value
    assert Sweep.from_dict(found.to_dict()).best_params == found.best_params
    assert "<svg" in found._repr_mimebundle_()["text/html"]


def test_importance_is_drawn_while_trials_run_and_its_forest_is_nobodys_fit(shared_session, monkeypatch):
    drawn: list[Sweep] = []
    monkeypatch.setitem(shared_session.context.hooks, "show", lambda _key, found: drawn.append(found))
    found = shared_session.sweep(hill, space=["x=0.0..1.0", "y=0.0..1.0"], trials=8, metric="height", name="drawn")
    told = [set(one.importances) for one in drawn]
    assert told[:3] == [set()] * 3  # of fewer than four trials nothing can be told
    assert told[3] == {"x", "y"}
    assert set(found.importances) == {"x", "y"}
    assert 'shape-rendering="crispEdges"' in found._repr_mimebundle_()["text/html"]  # no lattice in the surface
    assert set(shared_session.runs("drawn").metrics) == {"height"}


def test_a_budget_that_lets_few_trials_begin_is_told(shared_session):
    found = shared_session.sweep(hill, space="x=0.0..1.0", trials=50, seconds=1e-9, metric="height", name="hasty")
    assert found.notes == (f"the time of 1e-09 s was up: {50 - len(found)} more trials were not begun.",)
    assert found.notes[0] in found.text()


def test_a_seed_gives_the_same_trials_here_and_over_processes(shared_session):
    space = {"x": (0.0, 1.0), "y": [0.0, 1.0]}
    first = shared_session.sweep(hill, space=space, trials=5, method="random", seed=7)
    again = shared_session.sweep(hill, space=space, trials=5, method="random", seed=7, workers=2)
    assert [t.params for t in first] == [t.params for t in again]
    assert [t.value for t in first] == [t.value for t in again]
    other = shared_session.sweep(hill, space=space, trials=5, method="random", seed=8)
    assert [t.params for t in first] != [t.params for t in other]
    runs = {run.id: run for run in shared_session.runs(limit=50)}
    assert all(runs[t.run].parent == again.run for t in again)


def test_a_grid_is_walked_once(shared_session):
    found = shared_session.sweep(lambda x, y: x + y, space=["x=0..4:0.5", "y=0,1,2"], method="grid", name="grid")
    tried = sorted((t.params["x"], t.params["y"]) for t in found)
    assert tried == [(x / 2, y) for x in range(9) for y in (0, 1, 2)], "all of it, though it is more than 20"
    some = shared_session.sweep(hill, space=["x=0..1:0.5", "y=0,1"], method="grid", trials=4, name="some")
    assert len({(t.params["x"], t.params["y"]) for t in some}) == 4


def test_trials_that_fall_behind_are_pruned_and_their_curves_kept(shared_session):
    def slow(x, trial):
        for step in range(5):
            trial.report(x, step)
        return x

    found = shared_session.sweep(slow, space=["x=0.0..1.0"], trials=15, prune="median", method="random", metric="m")
    assert {t.state for t in found} == {"complete", "pruned"}
    assert all(t.reason.startswith("m ") for t in found if t.state == "pruned")


@pytest.mark.parametrize("final", [0.75, 0.9])
def test_what_a_trial_returns_ends_its_curve(shared_session, final):
    def told(x, trial):
        for step in range(4):
            trial.report(x * step / 4, step)
        return final

    found = shared_session.sweep(told, space=["x=1"], trials=1, metric="m", name=f"told-{final}")
    assert shared_session.runs(found.best.run).metrics["m"] == final == found.best.value
    curve = shared_session.context.call("tracking.history", run=found.best.run, metric="m")
    assert (curve["steps"], curve["values"]) == (
        [*range(4 if final == 0.75 else 5)],
        [0.0, 0.25, 0.5, 0.75, *([final] if final != 0.75 else [])],
    )


def test_a_model_is_handed_over_and_seeds_are(shared_session):
    seeds = []

    def fit(x, seed):
        from sklearn.dummy import DummyRegressor

        seeds.append(seed)
        return {"m": x, "other": 1}, DummyRegressor(strategy="constant", constant=x)

    found = shared_session.sweep(fit, space=["x=0.0..1.0"], trials=4, metric="m", minimize=True)
    assert found.model.constant == found.best.params["x"] == min(t.params["x"] for t in found)
    assert len(set(seeds)) == 4


def test_who_goes_on_with_a_sweep_has_the_model_of_its_best_trial(shared_session):
    def fit(x):
        from sklearn.dummy import DummyRegressor

        tried.append(x)
        if len(tried) == 3:
            raise KeyboardInterrupt
        return -len(tried), DummyRegressor(strategy="constant", constant=x)

    tried = []
    given = {"space": ["x=0.0..1.0"], "method": "random", "name": "goes-on"}
    first = shared_session.sweep(fit, trials=5, **given)
    assert first.counts() == "2 complete, 1 failed"
    assert first.trials[-1].reason == "the search was interrupted"
    found = shared_session.sweep(fit, trials=5, resume=True, **given)
    assert found.counts() == "5 complete, 1 failed"
    assert found.best.number == 0
    assert found.model.constant == found.best.params["x"] == tried[0]
    assert len(set(tried)) == 5, "the one that was interrupted is tried again, no other"


def test_the_model_is_of_the_trial_that_is_told_where_several_are_as_good(shared_session):
    def fit(x):
        from sklearn.dummy import DummyRegressor

        return 1.0, DummyRegressor(strategy="constant", constant=x)

    found = shared_session.sweep(fit, space=["x=0.0..1.0"], trials=5, workers=2, method="random", name="equal")
    assert found.model.constant == found.best.params["x"]


def test_failing_trials_are_told_and_a_hopeless_objective_ends_the_sweep(shared_session):
    def odd(x):
        if x > 0.5:
            raise ValueError("too large")
        return x

    found = shared_session.sweep(odd, space=["x=0.0..1.0"], trials=10, method="random", seed=1)
    assert {t.reason for t in found if t.state == "failed"} == {"ValueError: too large"}
    runs = {run.id: run for run in shared_session.runs(limit=50)}
    assert {runs[t.run].status for t in found if t.state == "failed"} == {"FAILED"}

    def never(x):
        raise KeyError("column")

    with pytest.raises(MLOpsError, match=r"failed in each of the first 3 trials; the last said: KeyError: 'column'"):
        shared_session.sweep(never, space=["x=0.0..1.0"])


def test_what_does_not_fit_is_said_before_anything_runs(shared_session):
    with pytest.raises(InvalidArgument, match=r"unknown parameter of hill 'z'; known: x, y"):
        shared_session.sweep(hill, space=["z=0..1"])
    with pytest.raises(InvalidArgument, match=r"hill also takes 'x'"):
        shared_session.sweep(hill, space=["y=0..1"])
    with pytest.raises(NotFound, match=r"no sweep called 'fresh'"):
        shared_session.sweep(hill, space=["x=0..1"], name="fresh", resume=True)
    with pytest.raises(NotFound, match=r"no function 'nothing' here"):
        shared_session.sweep("nothing", space=["x=0..1"])
    shared_session.sweep(hill, space=["x=0.0..1.0"], name="kept", trials=1)
    with pytest.raises(Conflict, match=r"begun with seed 0, not 5"):
        shared_session.sweep(hill, space=["x=0.0..1.0"], name="kept", seed=5, resume=True)
    with pytest.raises(MLOpsError, match="dask"):
        shared_session.sweep(hill, space=["x=0.0..1.0"], dask="tcp://127.0.0.1:1")


def test_code_is_an_objective_too(shared_session):
    code = "from math import sqrt\nscore = sqrt(x) * base\n"
    shared_session.context.namespace = {"base": 2.0}
    try:
        found = shared_session.sweep(code, space=["x=1..4"], method="grid", metric="score", workers=2, name="cell")
    finally:
        shared_session.context.namespace = None
    assert found.best.value == 4.0
    with pytest.raises(InvalidArgument, match="needs --metric"):
        shared_session.sweep(code, space=["x=1..4"])


def test_a_cell_may_report_and_has_a_seed_unless_the_notebook_has_one(shared_session):
    code = "for step in range(4):\n    trial.report(x, step)\nscore, drawn = x, seed\nresult = {'score': score, 'drawn': drawn}\n"
    given = {"space": ["x=0.0..1.0"], "method": "random", "metric": "score", "trials": 12}
    try:
        shared_session.context.namespace = {}
        pruned = shared_session.sweep(code, prune="median", name="cell-pruned", **given)
        shared_session.context.namespace = {"seed": 7, "trial": "the notebook's own"}
        own = shared_session.sweep("score = seed + x * 0", name="cell-own", **given)
    finally:
        shared_session.context.namespace = None
    assert {t.state for t in pruned} == {"complete", "pruned"}
    assert {t.value for t in own} == {7.0}


KILLED = """
    import sys, time
    from pathlib import Path
    from jupyter_mlops.session import Session
    def hill(x):
        time.sleep(0.1)
        return -x
    if __name__ == "__main__":
        Session.open(root=Path(sys.argv[1])).sweep(hill, space=["x=0.0..1.0"], method="random", trials=60, name="hill", workers=int(sys.argv[2]))
"""


@pytest.mark.extended
@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_killed_sweep_goes_on_where_it_was(session, tmp_path, workers):
    script = tmp_path / "search.py"
    script.write_text(textwrap.dedent(KILLED))
    root = session.context.workspace.root
    process = subprocess.Popen([sys.executable, str(script), str(root), workers], start_new_session=True)
    journal = session.context.workspace.home / "sweeps"
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if any(p.stat().st_size > 6000 for p in journal.glob("hill.*/study.log")):
            break
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    found = session.sweep(lambda x: -x, space=["x=0.0..1.0"], method="random", trials=12, name="hill", resume=True)
    done = [t for t in found if t.state == "complete"]
    assert len(done) >= 12
    fresh = session.sweep(lambda x: -x, space=["x=0.0..1.0"], method="random", trials=len(done), name="other")
    assert {t.params["x"] for t in fresh} <= {t.params["x"] for t in found}, "the seed's trials, whatever was killed"


@pytest.mark.parametrize("method", ["random", "grid"])
def test_what_a_kill_leaves_half_told_is_neither_lost_nor_tried_twice(tmp_path, method):
    space = SearchSpace.read(["x=1..4", "y=a,b"])
    space = space.grid() if method == "grid" else space
    plan = {"metric": "m", "minimize": False, "method": method, "prune": "none", "seed": 3, "name": "s", "space": {}}

    def tried(folder, killed: bool) -> list[dict]:
        study = Study(folder, space, plan)
        found = []
        for i in range(8):
            if killed and i == 2:
                study._study.sampler = study.sampler(2)
                study._study.ask()  # killed here: it has no parameters yet
                study = Study(folder, space, plan)
            number, trial_id, params = study.ask()
            if killed and i == 5:  # killed in the worker's last moment: it has ended, and nobody was told
                leave(folder, number, "complete", 0.5, {})
                study = Study(folder, space, plan)
            else:
                study.tell(number, trial_id, "complete", 1.0, {})
            found.append(params)
        assert [t.params for t in study.trials() if t.state == "complete"] == found
        assert study.count() == 8
        assert not list(folder.glob("ended.*"))
        return found

    assert sorted(map(str, tried(tmp_path / "killed", True))) == sorted(map(str, tried(tmp_path / "whole", False)))


@pytest.mark.extended
def test_a_killed_worker_costs_nothing(session, tmp_path):
    flag = tmp_path / "killed"

    def deadly(x):
        if not flag.exists():
            flag.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return x

    found = session.sweep(deadly, space=["x=0.0..1.0"], trials=6, workers=2, method="random")
    assert sum(t.state == "complete" for t in found) == 6
    assert any("died" in t.reason for t in found)


@pytest.mark.extended
def test_dask_tries_the_same(session):
    here = session.sweep(hill, space=["x=0.0..1.0"], trials=4, method="random")
    there = session.sweep(hill, space=["x=0.0..1.0"], trials=4, method="random", dask="local", workers=2)
    assert [t.value for t in here] == [t.value for t in there]


def test_a_trial_that_does_not_listen_is_broken_off_when_the_budget_is_spent(shared_session):
    def deaf(x):
        while x == 2:
            time.sleep(0.05)
        return x

    context = shared_session.context
    plan = {
        "metric": "m",
        "minimize": False,
        "method": "random",
        "prune": "none",
        "seed": 0,
        "name": "deaf",
        "space": {},
    }
    study = Study(context.workspace.home / "sweeps" / "deaf.1", SearchSpace.read(["x=1,2"]), plan)
    for x in (1, 2):
        study.again({"x": x})
    found = Search(
        context,
        tracker_of(context),
        deaf,
        study,
        trials=2,
        began=time.monotonic(),
        seconds=900,
        workers=2,
        reserve=lambda _best: 1000.0,  # the budget is spent as soon as there is a best trial
    ).run()
    assert [(t.state, t.reason) for t in found] == [("complete", ""), ("pruned", "the time was up")]
    assert "the time was up" in found.text()


def test_a_trial_can_tell_whether_the_time_is_up():
    told = [TrialHandle(0, {}, "m", None, None, until).out_of_time for until in (0.0, 1.0, time.time() + 3600)]
    assert told == [False, True, False]


def test_a_trial_that_is_infinitely_good_is_not_drawn(shared_session):
    found = shared_session.sweep(
        lambda depth: math.inf if depth == 2 else depth, space=["depth=1..4"], method="grid", name="endless"
    )
    drawn = found._repr_mimebundle_()["text/html"]
    assert "<svg" in drawn
    assert "nan" not in drawn


@pytest.mark.slow
def test_a_sweep_is_registered_as_its_best_trials_model(shared_session):
    def train(strength):
        from sklearn.datasets import load_iris
        from sklearn.linear_model import LogisticRegression

        inputs, target = load_iris(return_X_y=True, as_frame=True)
        model = LogisticRegression(C=strength, max_iter=2000).fit(inputs, target)
        return model.score(inputs, target), model

    found = shared_session.sweep(train, space=["strength=0.001..10.0:log"], trials=3, name="strengths", seed=1)
    version = shared_session.register(found, name="iris")
    assert version.run_id == found.best.run
    assert {column.name for column in version.inputs} >= {"petal length (cm)"}
    again = shared_session.register("strengths", name="iris")  # by its name, from a shell say
    assert (again.ref, again.run_id) == (version.ref, found.best.run)
    assert shared_session.register(found.run, name="iris").ref == version.ref
    bare = shared_session.sweep(hill, space=["x=0.0..1.0"], trials=2, name="bare", metric="height")
    with pytest.raises(MLOpsError, match="has logged no model"):
        shared_session.register(bare, name="nothing")
