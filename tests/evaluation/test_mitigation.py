"""Candidates that treat groups more alike or withstand attacks: what changed, what it cost, and that they can be used."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.tree import DecisionTreeClassifier

from jupyter_mlops.errors import InvalidArgument
from jupyter_mlops.evaluation.group_thresholds import GroupThresholds
from jupyter_mlops.session import Session
from jupyter_mlops.widgets import draw

RNG = np.random.default_rng(2)
ROWS = 1600
TABLE = pd.DataFrame({"sex": RNG.choice(["f", "m"], ROWS), "x": RNG.normal(size=ROWS), "z": RNG.normal(size=ROWS)})
TABLE["x"] += 1.2 * (TABLE["sex"] == "m")
TABLE["hired"] = np.where(TABLE["x"] + 0.6 * RNG.normal(size=ROWS) > 0.7, "yes", "no")
MODEL = LogisticRegression().fit(TABLE[["x", "z"]], TABLE["hired"])


def test_thresholds_by_group_make_groups_alike_at_a_price_that_is_shown(shared_session: Session) -> None:
    told = shared_session.mitigate(
        MODEL, data=TABLE, target="hired", by="sex", method="thresholds", criterion="demographic_parity", name="fair"
    )
    before, after = ({c.name: c.value or 0.0 for c in side} for side in (told.before, told.after))
    gap = "demographic_parity_difference"
    assert before[gap] > 0.3
    assert after[gap] < 0.5 * before[gap]
    assert told.gap == gap
    assert [p.strength for p in told.trade_off] == pytest.approx(np.linspace(0, 1, 11))
    assert told.trade_off[0].gap == pytest.approx(before[gap])
    assert told.trade_off[-1].gap == pytest.approx(after[gap])
    assert told.trade_off[-1].accuracy < told.trade_off[0].accuracy, "the groups differ, so it costs something"
    moved, accuracy = told.differences[:2]
    assert (moved.metric, accuracy.metric) == (gap, "accuracy")
    assert moved.value == pytest.approx(after[gap] - before[gap])
    assert moved.better
    assert not any("did not lessen" in note for note in told.notes)
    assert accuracy.value == pytest.approx(told.trade_off[-1].accuracy - told.trade_off[0].accuracy)
    assert "<svg" in str(draw(told)["text/html"])
    assert "strength" in told.text()
    # the version is loaded from the store and decides by the column that the model itself does not take
    again = shared_session.evaluate(told.version, data=TABLE, target="hired", fairness=["sex"], store=False)
    found = {c.name: c.value or 0.0 for c in again.fairness[0].criteria}
    assert found[gap] < 0.5 * before[gap]


def test_a_gap_that_thresholds_do_not_lessen_beyond_chance_is_told(shared_session: Session) -> None:
    """The group has nothing to do with anything, so what half of the rows say of it does not hold of the others."""
    table = TABLE.assign(sex=np.random.default_rng(4).choice(["f", "m"], ROWS))
    told = shared_session.mitigate(MODEL, data=table, target="hired", by="sex", method="thresholds")
    moved = told.differences[0]
    assert moved.low <= 0 <= moved.high, told.text()
    assert "it did not lessen" in told.notes[0]
    assert f"{moved.value + next(c.value for c in told.before if c.name == told.gap):.3f} after" in told.notes[0]
    with pytest.raises(InvalidArgument, match="--method thresholds"):
        shared_session.mitigate(MODEL, data=TABLE, target="hired", by="sex", strength=0.5)


def test_thresholds_decide_as_they_say() -> None:
    model = GroupThresholds(MODEL, "sex", ["f", "m"], [0.2, 0.9], ["x", "z"]).fit(TABLE[["sex", "x", "z"]])
    chance = MODEL.predict_proba(TABLE[["x", "z"]])[:, 1]
    wanted = np.where(chance > TABLE["sex"].map({"f": 0.2, "m": 0.9}), "yes", "no")
    assert (model.predict(TABLE) == wanted).all()
    unknown = TABLE.assign(sex="?")
    assert (model.predict(unknown) == MODEL.predict(TABLE[["x", "z"]])).all()
    assert model.predict_proba(TABLE)[:, 1] == pytest.approx(chance)


def test_adversarial_training_lets_go_of_what_a_small_move_turns(shared_session: Session) -> None:
    side = RNG.choice([-1.0, 1.0], ROWS)
    brittle = np.where(RNG.random(ROWS) < 0.1, RNG.normal(0, 3, ROWS), 0.04 * side)  # tells all, by very little
    table = pd.DataFrame(
        {"sure": side + 0.7 * RNG.normal(size=ROWS), "brittle": brittle, "y": np.where(side > 0, "a", "b")}
    )
    tree = DecisionTreeClassifier(max_depth=4, random_state=0).fit(table[["sure", "brittle"]], table["y"])
    told = shared_session.harden(tree, data=table, target="y", seed=1)
    before, after = told.before[0], told.after[0]
    assert before.name == "attack_success"
    assert before.value is not None
    assert after.value is not None
    assert after.high is not None
    assert before.low is not None
    assert after.high < before.low, told.text()
    assert {d.metric for d in told.differences} == {"accuracy", "balanced_accuracy"}


def test_what_does_not_fit_is_told(shared_session: Session) -> None:
    with pytest.raises(InvalidArgument, match="column for --by"):
        shared_session.mitigate(MODEL, data=TABLE, target="hired", by="seks", method="thresholds")
    with pytest.raises(InvalidArgument, match="between 0 and 1"):
        shared_session.mitigate(MODEL, data=TABLE, target="hired", by="sex", method="thresholds", strength=2.0)
    with pytest.raises(InvalidArgument, match="adversarial training needs"):
        shared_session.harden(np.zeros(ROWS), data=TABLE, target="hired")
