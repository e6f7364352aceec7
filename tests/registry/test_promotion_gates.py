"""Promotion through its gates, with the real service: refused with reasons, overruled on the record, approved by people."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression

from jupyter_mlops.errors import InvalidArgument, NotFound, PromotionRefused
from jupyter_mlops.session import Session

TABLE = pd.DataFrame(np.random.default_rng(3).normal(size=(60, 2)), columns=["a", "b"])
RULES = """
[champion]
size = 50
slices = { at_most = 0.1 }
approvals = { roles = ["owner"] }
[roles]
owner = ["ann"]
"""


def fitted(strength: float) -> Any:
    return LogisticRegression(C=strength).fit(TABLE, TABLE["a"] > 0)


@pytest.fixture(scope="module")
def gated(shared_session: Session) -> Session:
    for strength in (1.0, 2.0):
        shared_session.register(fitted(strength), name="clf", data=TABLE)
    (shared_session.context.workspace.root / "mlops-gates.toml").write_text(RULES)
    return shared_session


def act_as(session: Session, user: str) -> None:
    from dataclasses import replace

    session.context.actor = replace(session.context.actor, user=user)


def test_gates_are_listed_and_judged_without_moving_anything(gated: Session) -> None:
    listed = gated.gates()
    assert [r.gate for r in listed] == ["slices", "size", "approvals"]
    assert "what can be declared" in listed.text()
    told = gated.gates("clf@1")
    assert {r.gate: r.verdict for r in told} == {"slices": "not judged", "size": "passed", "approvals": "failed"}
    assert not told.passed
    assert "evaluate clf@1" in told.text()
    assert "no gates are declared for 'staging'" in gated.gates("clf@1", to="staging").text()
    assert all(not v.aliases for v in gated.models("clf"))


def test_a_promotion_is_refused_with_reasons_forced_on_the_record_and_kept(gated: Session) -> None:
    lines: list[str] = []
    gated.context.progress = lines.append
    with pytest.raises(PromotionRefused, match="2 of 3 gates do not hold") as caught:
        gated.promote("clf@1", to="champion")
    first, *told, force = str(caught.value).splitlines()
    assert first.startswith("clf@1 may not become champion")
    assert [line.split()[0].rstrip(":") for line in told if line.strip()] == [
        *("slices", "size", "approvals"),  # every gate with what it needs and what was found,
        *("slices", "approvals"),  # and what to do about those that do not hold
    ]
    assert "--force" in force
    assert sum("needed" in line and "found" in line for line in lines) == 3
    with pytest.raises(InvalidArgument, match="--force needs a reason"):
        gated.promote("clf@1", to="champion", force=True)
    moved = gated.promote("clf@1", to="champion", force=True, reason="first release")
    assert (moved.forced, moved.reason, len(moved.gates)) == (True, "first release", 3)
    assert "FORCED: first release" in moved.text()
    (move,) = gated.history("clf")
    assert (move.alias, move.before, move.version, move.reason, move.forced) == (
        "champion",
        None,
        1,
        "first release",
        True,
    )
    assert gated.history("clf").to_pandas()["version"].tolist() == [1]
    from mlflow import MlflowClient

    client = MlflowClient(gated.context.workspace.tracking_uri)
    kept = json.loads(client.get_model_version("clf", "1").tags["mlops.gates.champion"])
    assert [r["verdict"] for r in kept["results"]] == ["not judged", "passed", "failed"]
    entry = next(e for e in gated.audit(action="model.promote") if e.outcome == "done")
    assert (entry.details["force"], entry.details["reason"]) == (True, "first release")
    assert entry.result["forced"] is True


def test_registering_with_an_alias_does_not_go_around_its_gates(gated: Session) -> None:
    told = gated.register(fitted(3.0), name="clf", data=TABLE, alias="champion")
    assert "champion" not in told.aliases
    assert any("not champion yet: slices, approvals do not hold" in note for note in told.notes)


def test_only_who_may_speak_in_a_role_approves_one_version(gated: Session) -> None:
    me = gated.context.actor.user
    with pytest.raises(InvalidArgument, match="may not speak as owner; ann may"):
        gated.approve("clf@2", as_="owner")
    with pytest.raises(InvalidArgument, match="names no version"):
        gated.approve("clf", as_="owner")
    act_as(gated, "ann")
    try:
        gated.approve("clf@2", as_="owner", note="fine")
        (gated.context.workspace.root / "mlops-gates.toml").write_text(RULES.replace("slices", "#"))
        assert gated.gates("clf@2").passed
        gated.approve("clf@2", as_="owner", withdraw=True)
        assert not gated.gates("clf@2").passed
        with pytest.raises(NotFound, match="as 'owner'|as owner"):
            gated.approve("clf@1", as_="owner", withdraw=True)
        gated.approve("clf@2", as_="owner")
        with pytest.raises(PromotionRefused, match="size failed"):
            gated.promote("clf@2", to="champion", gate=["size=0.000001"])
        with pytest.raises(InvalidArgument, match="unknown gate 'sise'"):
            gated.promote("clf@2", to="champion", gate=["sise=1"])
        moved = gated.promote("clf@2", to="champion", reason="better")
        assert (moved.previous, moved.forced) == (1, False)
        assert [m.alias for m in gated.history("clf")][:2] == ["previous", "champion"]
    finally:
        act_as(gated, me)


def test_a_broken_rule_is_told_and_moves_nothing(gated: Session) -> None:
    (gated.context.workspace.root / "mlops-gates.toml").write_text("[champion]\nfairnes = 0.1\n")
    with pytest.raises(InvalidArgument, match="unknown gate 'fairnes'.*Did you mean 'fairness'"):
        gated.promote("clf@1", to="champion")
    with pytest.raises(NotFound, match="no model 'clff'"):
        gated.history("clff")
