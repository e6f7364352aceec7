"""Explanations add up and rank what matters; disturbances hurt where they should; comparisons tell models apart."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import f, t
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier, RandomForestRegressor
from sklearn.inspection import partial_dependence
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from jupyter_mlops.errors import InvalidArgument
from jupyter_mlops.evaluation.robustness import membership_auc
from jupyter_mlops.session import Session
from jupyter_mlops.widgets import draw

RNG = np.random.default_rng(0)
N = 400
TABLE = pd.DataFrame({"income": RNG.normal(size=N), "age": RNG.normal(size=N), "city": RNG.choice(["rome", "oslo"], N)})
SCORE = 2 * TABLE["income"] + (TABLE["city"] == "rome") + 0.3 * RNG.normal(size=N)
TABLE["label"] = np.where(SCORE > 0.5, "yes", "no")
X, Y = TABLE[["income", "age", "city"]], TABLE["label"]


def pipeline(final: object) -> object:
    encode = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore"), ["city"]), (StandardScaler(), ["income", "age"])
    )
    return make_pipeline(encode, final).fit(X, Y)


@pytest.mark.parametrize(
    ("final", "method"),
    [
        (RandomForestClassifier(10, random_state=0), "tree"),
        (HistGradientBoostingClassifier(max_iter=10), "tree"),
        (LogisticRegression(), "linear"),
        (KNeighborsClassifier(5), "permutation"),
    ],
    ids=["forest", "boosted", "linear", "any"],
)
def test_contributions_add_up_to_the_output_and_find_what_matters(
    shared_session: Session, final: object, method: str
) -> None:
    model = pipeline(final)
    found = shared_session.evaluate(model, data=TABLE, explain_row=7, store=False).explanation
    assert found is not None
    assert found.method == method
    assert found.additivity_error < 1e-6  # type: ignore[operator]
    assert {i.feature for i in found.shap} == {"income", "age", "city"}  # one-hot columns added up
    assert found.shap[0].feature == found.permutation[0].feature == "income"
    assert found.shap[0].low <= found.shap[0].value <= found.shap[0].high  # type: ignore[operator]
    one = found.one_row
    assert one is not None
    assert one.base + sum(one.contributions) == pytest.approx(one.output, abs=1e-6)
    assert f"income = {TABLE['income'][7]:.6g}" in one.words
    if method != "linear":
        assert found.stability > 0.9  # type: ignore[operator]


def test_partial_dependence_is_scikit_learns(shared_session: Session) -> None:
    model = RandomForestRegressor(10, random_state=0).fit(X[["income", "age"]].head(150), SCORE.head(150))
    table = X[["income", "age"]].head(150).assign(score=SCORE.head(150))
    found = shared_session.evaluate(model, data=table, explain=True, store=False)
    ours = next(d for d in found.explanation.dependence if d.feature == "income")  # type: ignore[union-attr]
    theirs = partial_dependence(
        model, table[["income", "age"]], ["income"], custom_values={"income": np.array(ours.grid)}, method="brute"
    )
    assert ours.mean == pytest.approx(theirs["average"][0], abs=1e-9)
    html = draw(found)["text/html"]
    assert "partial dependence on income" in html


def test_trouble_hurts_where_the_model_looks(shared_session: Session) -> None:
    found = shared_session.evaluate(pipeline(LogisticRegression()), data=TABLE, robustness=True, store=False)
    report = found.robustness
    assert report is not None
    by = {(c.name, c.column): c for c in report.checks}
    assert by["swap", "income"].severity == "serious"
    assert by["missing", "income"].severity == "warning"  # the model refuses missing numbers: told, not hidden
    assert "refused" in by["missing", "income"].meaning
    assert by["unseen", "city"].value is not None
    assert ("unseen", "age") not in by
    assert 0.4 < by["membership", ""].value < 0.65  # type: ignore[operator]
    assert report.check("swap") is by["swap", "income"]
    assert "robustness" in draw(found)["text/html"]
    assert "robustness:" in str(found)


def test_membership_is_given_away_by_a_model_that_learns_by_heart() -> None:
    noise = np.random.default_rng(0).integers(0, 2, 400)
    inputs = np.random.default_rng(1).normal(size=(400, 5))
    heart = RandomForestClassifier(30, random_state=0).fit(inputs[:200], noise[:200])
    p = heart.predict_proba(inputs)[np.arange(400), noise].clip(1e-6)
    auc, low, _ = membership_auc(-np.log(p[:200]), -np.log(p[200:]))
    assert auc > 0.9
    assert low > 0.5


def test_two_models_are_told_apart_and_a_model_is_not_told_from_itself(shared_session: Session) -> None:
    good, bad = pipeline(LogisticRegression()), KNeighborsClassifier(50).fit(X[["age"]], Y)
    found = shared_session.evaluate(good, against=bad, data=TABLE, target="label", slices=["city"], refit=True)
    assert found.difference("accuracy").better  # type: ignore[union-attr]
    assert found.verdict.startswith("Pipeline is better than KNeighborsClassifier by accuracy")
    assert found.only_a - found.only_b == round(found.difference("accuracy").value * N)  # type: ignore[operator, union-attr]
    five = found.five_by_two
    assert five is not None
    assert five.p_value < 0.05
    ten = np.array(five.differences)
    assert five.p_value == pytest.approx(2 * t.sf(abs(ten.mean()) / np.sqrt(1.1 * ten.var(ddof=1)), 9), abs=1e-12)
    halves = np.square(ten.reshape(5, 2) - ten.reshape(5, 2).mean(axis=1, keepdims=True)).sum()
    assert five.combined_f_p_value == pytest.approx(f.sf(np.sum(ten**2) / (2 * halves), 10, 5), abs=1e-12)
    assert five.words() in str(found)
    assert [s.difference.rows for s in found.slices] == [(TABLE["city"] == s.name[-4:]).sum() for s in found.slices]
    assert "McNemar" in str(found)
    assert "better than" in draw(found)["text/html"]
    same = shared_session.evaluate(good, against=good, data=TABLE, target="label")
    assert "do not differ" in same.verdict
    with pytest.raises(InvalidArgument, match="goes with --against"):
        shared_session.evaluate(good, data=TABLE, refit=True)
