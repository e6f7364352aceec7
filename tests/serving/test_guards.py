"""Guards: what is held against a canary, and that a retrained challenger may answer differently but not worse."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

from jupyter_mlops.domain.traffic import Guard, Share, Traffic
from jupyter_mlops.serving.guards import Watch, Watched
from jupyter_mlops.serving.metrics import VersionCounts

CANARY = Share("m@2", 0.1, "canary", "m@2")


def told(canary: Share, losses: tuple[float, float] = (0.0, 0.0), errors: int = 0) -> list[str]:
    """What is held against a canary of which half the answers are of another class than the stable version's."""
    watch = Watch(
        "k",
        cast("Any", None),
        "",
        {},
        {
            "m@1": Watched(Counter({"no": 2000}), losses=[2000, losses[0] * 2000]),
            "m@2": Watched(Counter({"no": 1000, "yes": 1000}), losses=[2000, losses[1] * 2000]),
        },
        labels=["no", "yes"],
    )
    traffic = Traffic("m", (Share("m@1", 0.9, "stable"), canary), guard=Guard())
    mine = VersionCounts(statuses=[0, 2000 - errors, 0, 0, errors])
    counts = {"m@1": VersionCounts(statuses=[0, 2000, 0, 0, 0]), "m@2": mine}
    return watch.checks(cast("Any", SimpleNamespace(traffic=traffic, model="m@1")), "m@2", counts)


def test_answers_that_drift_are_held_against_a_canary_but_not_against_a_retrained_challenger() -> None:
    assert any("predictions of yes" in line for line in told(CANARY))
    assert told(replace(CANARY, differs=True)) == []


def test_failures_and_losses_are_held_against_a_retrained_challenger_too() -> None:
    retrained = replace(CANARY, differs=True)
    assert any("failed requests" in line for line in told(retrained, errors=400))
    assert any("the loss" in line for line in told(retrained, losses=(0.1, 0.3)))
    assert told(retrained, losses=(0.3, 0.1)) == []


def test_whether_a_share_is_meant_to_differ_is_kept() -> None:
    share = replace(CANARY, differs=True)
    assert Share.from_dict(share.to_dict()) == share
    old = {key: value for key, value in CANARY.to_dict().items() if key != "differs"}
    assert Share.from_dict(old) == CANARY
