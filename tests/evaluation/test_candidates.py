"""Candidates and A/B tests: a recalibrated and a reweighed version, plans against statsmodels, tests row after row."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from statsmodels.stats.power import NormalIndPower
from statsmodels.stats.proportion import proportion_effectsize

from jupyter_mlops.errors import InvalidArgument
from jupyter_mlops.session import Session

RNG = np.random.default_rng(3)
N = 3000
TABLE = pd.DataFrame({"a": RNG.normal(size=N), "b": RNG.normal(size=N), "male": RNG.integers(0, 2, N)})
TABLE["label"] = (RNG.random(N) < 1 / (1 + np.exp(-TABLE["a"] - 1.5 * TABLE["male"] + 0.7))).astype(int)


def test_recalibrating_makes_a_version_that_is_calibrated(shared_session: Session) -> None:
    past = TABLE.sample(400, random_state=0)
    forest = RandomForestClassifier(20, random_state=0).fit(past[["a", "b", "male"]], past["label"])
    rest = TABLE.drop(past.index)
    found = shared_session.recalibrate(forest, data=rest, name="forest", method="sigmoid")
    assert found.version == "forest@1"
    assert found.after[0].value < found.before[0].value / 2  # type: ignore[operator]
    better = {d.metric: d for d in found.differences}
    assert better["log_loss"].better
    again = shared_session.evaluate("forest@1", data=rest, calibration=True)
    assert again.calibration.ece.value < 0.05  # type: ignore[union-attr]
    assert "recalibration" in str(found)


def test_reweighing_narrows_the_gap_and_tells_the_price(shared_session: Session) -> None:
    model = LogisticRegression().fit(TABLE[["a", "b", "male"]], TABLE["label"])
    found = shared_session.mitigate(model, data=TABLE, by="male", name="fair")
    assert found.version == "fair@1"
    before, after = found.before[0], found.after[0]
    assert before.name == "demographic_parity_difference"
    assert after.value < before.value - 0.1  # type: ignore[operator]
    assert [d.metric for d in found.differences] == ["equalized_odds_difference", "accuracy", "balanced_accuracy"]
    with pytest.raises(InvalidArgument, match="Did you mean 'male'"):
        shared_session.mitigate(model, data=TABLE, by="mal")


@pytest.mark.parametrize(("rate", "effect", "power"), [(0.1, 0.05, 0.8), (0.5, -0.1, 0.9), (0.02, 0.01, 0.8)])
def test_plans_are_statsmodels(shared_session: Session, rate: float, effect: float, power: float) -> None:
    oracle = NormalIndPower().solve_power(abs(proportion_effectsize(rate + effect, rate)), alpha=0.05, power=power)
    found = shared_session.abtest(rate=rate, effect=effect, power=power)
    assert found.rows_an_arm == int(np.ceil(oracle))
    assert found.sequential_rows_an_arm is None or found.sequential_rows_an_arm > 0.8 * found.rows_an_arm


def test_a_test_is_read_row_after_row(shared_session: Session) -> None:
    rng = np.random.default_rng(0)
    arms = rng.choice(["new", "old"], 3000)
    bought = (rng.random(3000) < np.where(arms == "new", 0.3, 0.2)).astype(int)
    found = shared_session.abtest(pd.DataFrame({"arm": arms, "outcome": bought}))
    assert (found.a, found.b, found.rows_a + found.rows_b) == ("new", "old", 3000)
    assert found.decided_at is not None
    assert 0 < found.low < 0.1 < found.high
    none = shared_session.abtest(pd.DataFrame({"arm": arms, "outcome": rng.integers(0, 2, 3000)}))
    assert none.decided_at is None
    assert "yet" in str(none)
    with pytest.raises(InvalidArgument, match="3 arms"):
        shared_session.abtest(pd.DataFrame({"arm": list("abc"), "outcome": 1}))
    with pytest.raises(InvalidArgument, match="between 0 and 1"):
        shared_session.abtest(pd.DataFrame({"arm": list("ab"), "outcome": [3, 1]}))
    with pytest.raises(InvalidArgument, match="--rate and --effect"):
        shared_session.abtest()
