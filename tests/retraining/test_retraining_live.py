"""The loop with a real service, deployment and exported pipeline: failures change nothing, kills lose nothing, canaries promote."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from live import actions, ask, champion, job_in, kill_service, served, until

from jupyter_mlops.session import Session

pytestmark = pytest.mark.extended


@pytest.fixture(scope="module")
def session(make_session, tmp_path_factory) -> Iterator[Session]:
    before = Path.cwd()
    try:
        made = served(make_session, tmp_path_factory.mktemp("world"))
        ask(made, 1_200, label=True)
        yield made
    finally:
        os.chdir(before)


def state_of(session: Session) -> tuple[object, ...]:
    """What a retrain must not touch by itself: champion, traffic, versions."""
    shares = tuple((s.model, s.role, s.weight) for s in session.traffic("clf"))
    return shares, champion(session), len(session.models("clf"))


def test_an_alert_runs_the_pipeline_and_its_failure_changes_nothing(session):
    before = state_of(session)
    session.monitor("clf", every="1s", when=["auc < 0.7"], then=["retrain"], to=["log"], pipeline="bad")
    until(lambda: job_in(session, "failed") is not None, every=lambda: ask(session, 40, label=True))
    job = job_in(session, "failed")
    assert "max_depth" in job.error
    assert "auc < 0.7" in job.reason
    assert state_of(session) == before
    assert session.alerts("clf")[0].sent["action:retrain firing"] == "asked for"
    assert actions(session, "retrain.") == ["retrain.training", "retrain.failed"]
    # the alert goes on, and asks for nothing more
    ask(session, 40, label=True)
    assert len(session.retrains("clf")) == 1
    session.unmonitor("clf")


def test_killed_while_it_trains_it_goes_on_and_its_canary_becomes_the_champion(session):
    trained = len(actions(session, "retrain.training"))
    job = session.retrain("clf", pipeline="good", promote=True, canary_for="3s", no_wait=True)
    until(lambda: job_in(session, "training") is not None)
    kill_service(session)
    until(lambda: job_in(session, "canary", "promoted") is not None)
    kill_service(session)
    until(lambda: job_in(session, "promoted") is not None, every=lambda: ask(session, 30))
    job = job_in(session, "promoted")
    assert job.how.startswith("ran the pipeline")
    assert job.compared[0].of("roc_auc").better
    assert [m.ref for m in session.models("clf")] == ["clf@2", "clf@1"]
    assert "champion" in session.models("clf")[0].aliases
    assert session.traffic("clf").stable.model == "clf@2"
    told = actions(session, "retrain.")[2:]
    assert told == ["retrain.ask", "retrain.training", "retrain.canary", "retrain.promoted"]
    assert len(actions(session, "retrain.training")) == trained + 1


def test_an_alert_rolls_back_once_whatever_dies(session):
    session.monitor("clf", every="1s", when=["rows > 0"], then=["rollback"], to=["log"])
    until(lambda: session.traffic("clf").stable.model == "clf@1", every=lambda: ask(session, 20))
    kill_service(session)
    for _ in range(4):
        ask(session, 20)
        session.monitors()
    until(lambda: "action:rollback firing" in (session.alerts("clf")[0].sent or {}))
    assert champion(session) == "clf@1"
    moves = [m for m in session.history("clf") if m.alias == "champion"]
    assert [(m.before, m.version) for m in moves][:1] == [(2, 1)]
    assert len(moves) == 3
    assert actions(session, "deployment.rollback") == ["deployment.rollback"]
    session.unmonitor("clf")


def test_labels_and_schedules_ask_for_retrains_within_the_budget(session):
    given = len(session.retrains("clf"))
    session.monitor("clf", after_labels=10**6, pipeline="bad", cooldown="1s", a_day=given + 1)
    session.monitor("clf", after_labels=200, pipeline="bad", cooldown="1h", a_day=given + 2)
    ask(session, 30, label=True)
    assert len(session.retrains("clf")) == given  # the last one was less than an hour ago
    session.monitor("clf", after_labels=200, pipeline="bad", cooldown="1s", a_day=given + 1)
    until(lambda: len(session.retrains("clf")) > given)
    assert session.retrains("clf")[0].reason.endswith("new labels")
    until(lambda: job_in(session, "failed") is not None)
    # a schedule asks again when it is time, and the budget of the day says no more
    session.monitor("clf", retrain_every="1s", pipeline="bad", cooldown="1s", a_day=given + 2)
    until(lambda: len(session.retrains("clf")) == given + 2)
    assert session.retrains("clf")[0].reason == "every 1s"
    until(lambda: job_in(session, "failed") is not None)
    for _ in range(4):
        ask(session, 20, label=True)
    assert len(session.retrains("clf")) == given + 2
    assert champion(session) == "clf@1"
    session.unmonitor("clf")
