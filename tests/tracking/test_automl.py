"""AutoML: its budget, its folds, the model that it hands over, and what it refuses."""

from __future__ import annotations

import math
import signal
import time
from typing import ClassVar

import pytest

from jupyter_mlops.domain.sweep import Trial
from jupyter_mlops.errors import InvalidArgument, NotFound
from jupyter_mlops.tracking import sweep as sweep_module
from jupyter_mlops.tracking import sweep_commands
from jupyter_mlops.tracking.automl import AutoML
from jupyter_mlops.tracking.trial import Pruned, TrialHandle


@pytest.mark.extended
def test_automl_beats_the_baseline_and_hands_over_a_model(session):
    from sklearn.datasets import load_iris

    frame = load_iris(as_frame=True).frame.assign(kind=lambda f: f["target"].map({0: "a", 1: "b", 2: "b"}))
    found = session.automl(frame.drop(columns="target"), target="kind", seconds=8, trials=8)
    assert found.best.value > 0.95
    assert found.best.params["model"] != "baseline"
    assert set(found.model.predict(frame)) == {"a", "b"}
    with pytest.raises(NotFound, match="no column"):
        session.automl(frame, target="nope")


def automl_table():
    import pandas as pd

    return pd.DataFrame({"x": range(60), "kind": ["a", "b", "b"] * 20})


def test_automl_keeps_time_free_for_the_last_fit(shared_session, monkeypatch):
    monkeypatch.setattr(AutoML, "reserve", lambda _self, _best: 1000.0)
    found = shared_session.automl(automl_table(), target="kind", seconds=900, trials=5, name="reserved")
    assert [t.params["model"] for t in found] == ["baseline"]
    assert any("the time of 900 s was up" in note for note in found.notes)
    assert set(found.model.predict(automl_table())) == {"b"}


def test_automl_counts_what_the_user_waits_for_and_always_has_the_baseline(shared_session, monkeypatch):
    class Clock:
        passed = 0.0

        def __getattr__(self, name):
            return getattr(time, name)

        def monotonic(self):
            return time.monotonic() + self.passed

    clock = Clock()
    for module in (sweep_module, sweep_commands):
        monkeypatch.setattr(module, "time", clock)

    def slow(method, seconds):
        def called(*args, **kwargs):
            clock.passed += seconds
            return method(*args, **kwargs)

        return called

    monkeypatch.setattr(AutoML, "__init__", slow(AutoML.__init__, 1000.0))
    monkeypatch.setattr(AutoML, "finish", slow(AutoML.finish, 500.0))
    found = shared_session.automl(automl_table(), target="kind", seconds=900, trials=5, name="waited")
    assert [(t.params["model"], t.state) for t in found] == [("baseline", "complete")]
    assert found.took_ms >= 1_500_000
    assert set(found.model.predict(automl_table())) == {"b"}


def test_automl_begins_no_fold_when_the_time_is_up_and_expects_the_last_fit_of_the_folds():
    class Handle:
        until = 0.0
        out_of_time = True
        told: ClassVar[list[int]] = []
        folds: ClassVar[list[tuple[str, int]]] = []

        def log_metric(self, key, _value, step):
            self.folds.append((key, step))

        def report(self, _value, step):
            self.told.append(step)

    made = AutoML(automl_table(), "kind")
    with pytest.raises(Pruned, match="after 1 of 5 folds"):
        made(trial=Handle(), model="baseline")
    assert Handle.told == [0]
    assert Handle.folds == [("roc_auc_fold", 1)]  # as cross-validation's, so that trials can be compared over them
    assert made.reserve(Trial(0, {}, "complete", 1.0, {}, 4000.0)) == 1.0


@pytest.mark.timeout(60, method="thread")  # the other method has the alarm
def test_automl_breaks_a_fold_off_when_the_time_is_up_and_leaves_no_alarm(monkeypatch):
    class Endless:
        def fit(self, *_):
            while True:
                time.sleep(0.01)

    made = AutoML(automl_table(), "kind")
    monkeypatch.setattr(made, "build", lambda _params: Endless())
    before = signal.getsignal(signal.SIGALRM)
    with pytest.raises(Pruned, match="the time was up"):
        made(trial=TrialHandle(0, {}, "m", None, None, time.time() + 0.2), model="baseline")
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
    assert signal.getsignal(signal.SIGALRM) == before


@pytest.mark.parametrize("kinds", [["a"] * 59 + ["b"], [f"text {i}" for i in range(60)]])
def test_automl_says_which_classes_no_fold_can_be_tested_on(kinds):
    with pytest.raises(InvalidArgument, match="classes of a single row"):
        AutoML(automl_table().assign(kind=kinds), "kind")


def test_automl_refuses_columns_of_one_name_and_infinite_targets():
    with pytest.raises(InvalidArgument, match="several columns called 'x'"):
        AutoML(automl_table().assign(z=1.5).rename(columns={"z": "x"}), "kind")
    with pytest.raises(InvalidArgument, match="infinite"):
        AutoML(automl_table().assign(kind=[0.5, math.inf] * 30), "kind")
