"""Guards: what is held against a canary, and that a retrained challenger may answer differently but not worse."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from jupyter_mlops.domain.traffic import Guard, Share, Traffic
from jupyter_mlops.serving.deployment_folder import DeploymentFolder
from jupyter_mlops.serving.guards import Watch, Watched
from jupyter_mlops.serving.metrics import VersionCounts

CANARY = Share("m@2", 0.1, "canary", "m@2")


def told(canary: Share, losses: tuple[float, float] = (0.0, 0.0), errors: int = 0) -> list[str]:
    """What is held against a canary of which half the answers are of another class than the stable version's."""
    watch = Watch(
        ["k"],
        cast("Any", None),
        "",
        {},
        watched={
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


def test_a_client_that_is_always_wrong_and_sticks_to_a_canary_is_not_held_against_it() -> None:
    """200 deployments with keys that stick, some of whose clients are mostly wrong: none may be taken back for that."""
    watch = Watch(["k"], cast("Any", None), "", {})
    traffic = Traffic("m", (Share("m@1", 0.9, "stable"), CANARY), sticky="X-User", guard=Guard(drift=0.0))
    stored = cast("Any", SimpleNamespace(traffic=traffic, model="m@1"))
    random = np.random.default_rng(0)

    def taken_back(own: float) -> int:
        found = 0
        for _ in range(200):
            rates, wrong = random.pareto(1.2, 30) + 0.1, random.beta(0.15, 3, 30)
            sticks = random.random(30) < 0.1
            keys = random.choice(30, 4000, p=rates / rates.sum())
            canary, bad = sticks[keys], random.random(4000) < wrong[keys]
            alone = canary & ~bad & (random.random(4000) < own)
            for end in range(200, 4001, 200):
                of, refused, only = canary[:end], (bad | alone)[:end], alone[:end]
                counts = {
                    name: VersionCounts(
                        statuses=[0, int((part & ~refused).sum()), 0, int((part & refused).sum()), 0],
                        alone=int((part & only).sum()),
                    )
                    for name, part in (("m@1", ~of), ("m@2", of))
                }
                if watch.checks(stored, "m@2", counts):
                    found += 1
                    break
        return found

    assert taken_back(own=0.01) <= 200 * 0.05
    assert taken_back(own=0.3) > 100


def test_what_a_number_missed_its_label_by_is_told_by_ranks_among_the_stable_versions_first() -> None:
    watch = Watch(["k"], cast("Any", None), "", {}, reference=[float(n) for n in range(499)])
    assert watch.loss(3.0, 250.0, right=False) is None, "there are not enough to rank among yet"
    watch.reference.append(499.0)
    assert watch.loss(100.0, 150.0, right=False) == pytest.approx(0.1)
    assert (watch.loss(-9e9, 9e9, right=False), watch.loss(7.0, 7.0, right=True)) == (1.0, 0.0)
    assert (watch.loss(7.0, "seven", right=False), watch.loss("no", "yes", right=False)) == (None, 1.0)


def test_a_watch_goes_on_where_the_service_was_killed_and_ends_with_its_canary(tmp_path: Path) -> None:
    folder = DeploymentFolder(tmp_path / "m")
    folder.path.mkdir()
    traffic = Traffic("m", (Share("m@1", 0.9, "stable"), CANARY))
    stored = cast("Any", SimpleNamespace(traffic=traffic, model="m@1", generation="g", wanted=True))
    first = Watch.of(folder, stored, None)
    assert first is not None
    assert Watch.of(folder, stored, first) is first
    first.watched["m@2"] = Watched(Counter({"yes": 3}), [2, 0.5], [4, 1.0])
    first.counted["m@1"] = VersionCounts(statuses=[0, 7, 0, 0, 1], slow=2)
    first.keep()
    assert Watch.of(folder, stored, None) == first
    other = cast("Any", SimpleNamespace(traffic=traffic, model="m@1", generation="another", wanted=True))
    again = Watch.of(folder, other, None)
    assert again is not None
    assert not again.watched
    alone = cast("Any", SimpleNamespace(traffic=Traffic("m", (Share("m@1", 1.0, "stable"),)), wanted=True))
    assert Watch.of(folder, alone, first) is None
    assert Watch.of(folder, stored, None) != first


def test_whether_a_share_is_meant_to_differ_is_kept() -> None:
    share = replace(CANARY, differs=True)
    assert Share.from_dict(share.to_dict()) == share
    old = {key: value for key, value in CANARY.to_dict().items() if key != "differs"}
    assert Share.from_dict(old) == CANARY
