"""`evaluate` as it is used: estimators, versions, arrays; what is stored; what is refused."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from sklearn.dummy import DummyClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.svm import LinearSVC

from jupyter_mlops.domain.evaluation import Evaluation
from jupyter_mlops.errors import InvalidArgument, NotFound, NotReady
from jupyter_mlops.session import Session
from jupyter_mlops.widgets import draw

RNG = np.random.default_rng(2)
TABLE = pd.DataFrame(RNG.normal(size=(400, 3)), columns=["a", "b", "c"])
TABLE["sex"] = RNG.choice(["f", "m"], 400)
LABELS = TABLE.assign(label=np.where(TABLE["a"] + 0.7 * RNG.normal(size=400) > 0, "yes", "no"))
MANY = TABLE.assign(kind=np.digitize(TABLE["a"] + 0.3 * RNG.normal(size=400), [-0.5, 0.5]))
NUMBERS = TABLE.assign(price=3 * TABLE["a"] + RNG.normal(size=400))
COLUMNS = ["a", "b", "c"]
CLF = LogisticRegression().fit(LABELS[COLUMNS], LABELS["label"])


def test_a_version_an_estimator_and_its_probabilities_are_worth_the_same(shared_session: Session) -> None:
    shared_session.register(CLF, name="clf", data=LABELS[COLUMNS])
    by_ref = shared_session.evaluate("clf", data=LABELS, target="label")
    by_object = shared_session.evaluate(CLF, data=LABELS, target="label", store=False)
    given = CLF.predict_proba(LABELS[COLUMNS])[:, 1]
    by_array = shared_session.evaluate(given, data=LABELS, target="label", store=False)
    assert by_ref.model == "clf@1"
    assert by_ref.metrics == by_object.metrics == by_array.metrics
    assert by_ref.metric("accuracy").value == CLF.score(LABELS[COLUMNS], LABELS["label"])  # type: ignore[union-attr]
    assert shared_session.evaluation(by_ref.id) == by_ref
    assert [e.id for e in shared_session.evaluations("clf")] == [by_ref.id]
    assert json.dumps(by_ref.to_dict(), allow_nan=False)


def test_every_part_together(shared_session: Session) -> None:
    lines: list[str] = []
    shared_session.context.progress = lines.append
    found = shared_session.evaluate(
        CLF,
        data=LABELS,
        target="label",
        slices=["auto,sex"],
        fairness="sex",
        calibration=True,
        cost=["fp=1", "fn=9"],
        cv=3,
        learning_curve=True,
    )
    assert found.threshold is not None
    assert found.threshold.threshold < 0.5
    assert found.threshold.cost <= found.threshold.default_cost
    oracle = cross_val_score(CLF, LABELS[COLUMNS], LABELS["label"], cv=StratifiedKFold(3, shuffle=True, random_state=0))
    assert found.cross_validation is not None
    assert found.cross_validation.scores[0].folds == pytest.approx(oracle, abs=1e-12)
    assert found.cross_validation.learning_rows[-1] in (266, 267)
    assert any("fold 3 of 3" in line for line in lines)
    assert Evaluation.from_dict(found.to_dict()) == found
    bundle = draw(found)
    assert len(bundle["text/html"]) < 100_000
    assert "<script" not in bundle["text/html"]
    for word in ("accuracy", "fairness by sex", "reliability", "learning curve", "cheapest at"):
        assert word in bundle["text/html"]
    assert "threshold:" in str(found)


def test_a_model_of_texts_is_given_its_one_column_as_a_series(shared_session: Session) -> None:
    texts = pd.Series(RNG.choice(["good fun", "so bad", "good", "bad fun", "dull"], 200), name="text")
    table = pd.DataFrame({"text": texts, "liked": texts.str.contains("good").map({True: "yes", False: "no"})})
    model = make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(texts, table["liked"])
    found = shared_session.evaluate(model, data=table, target="liked", cv=3, calibration=True, store=False)
    accuracy = found.metric("accuracy")
    assert accuracy is not None
    assert accuracy.value == model.score(texts, table["liked"])
    for part in ({"explain": True}, {"robustness": True}):
        with pytest.raises(InvalidArgument, match="looks at a model's columns, and .* takes a Series of texts"):
            shared_session.evaluate(model, data=table, target="liked", store=False, **part)
    with pytest.raises(InvalidArgument, match="looks at a model's columns"):
        shared_session.compress(model, data=table, target="liked")


def test_several_classes_and_numbers(shared_session: Session) -> None:
    many = LogisticRegression().fit(MANY[COLUMNS], MANY["kind"])
    found = shared_session.evaluate(many, data=MANY, target="kind", calibration=True, slices="sex", store=False)
    assert (found.task, found.classes) == ("multiclass", ("0", "1", "2"))
    assert sum(map(sum, found.confusion)) == 400
    line = LinearRegression().fit(NUMBERS[COLUMNS], NUMBERS["price"])
    told = shared_session.evaluate(line, data=NUMBERS, target="price", slices=["auto"], cv=2, store=False)
    assert told.task == "regression"
    r2 = line.score(NUMBERS[COLUMNS], NUMBERS["price"])
    adjusted = told.metric("adjusted_r2")
    assert adjusted is not None
    assert adjusted.value == pytest.approx(1 - (1 - r2) * 399 / 396, abs=1e-12)
    assert {c.name for c in told.curves} == {"residuals", "residual histogram"}
    assert draw(told)["text/html"].count("<circle") > 100


def test_a_model_without_probabilities_and_the_other_positive_class(shared_session: Session) -> None:
    svc = LinearSVC().fit(LABELS[COLUMNS], LABELS["label"])
    found = shared_session.evaluate(svc, data=LABELS, target="label", store=False)
    turned = shared_session.evaluate(svc, data=LABELS, target="label", positive="no", store=False)
    assert found.metric("log_loss") is None
    assert found.metric("roc_auc").value == pytest.approx(turned.metric("roc_auc").value)  # type: ignore[union-attr]
    assert found.metric("recall").value == turned.metric("specificity").value  # type: ignore[union-attr]
    with pytest.raises(InvalidArgument, match="gives none"):
        shared_session.evaluate(svc, data=LABELS, target="label", calibration=True)


def test_what_is_missing_or_unknown_is_told(shared_session: Session) -> None:
    holes = LABELS.copy()
    holes.loc[:9, "label"] = None
    found = shared_session.evaluate(CLF, data=holes, target="label", store=False)
    assert (found.rows, found.notes) == (390, ("10 rows without a target are left out.",))
    strange = LABELS.assign(label=LABELS["label"].where(LABELS.index > 4, "maybe"))
    told = shared_session.evaluate(CLF, data=strange, target="label", store=False)
    assert told.task == "multiclass"
    assert "maybe" in told.notes[0]
    one = DummyClassifier().fit(LABELS[COLUMNS], np.where(LABELS.index < 400, "no", "yes"))
    only = shared_session.evaluate(one, data=LABELS[LABELS["label"] == "no"], target="label", store=False)
    assert only.metric("accuracy").value == 1  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("given", "match"),
    [
        ({"data": LABELS}, "which column is the target.*sex, label"),
        ({"data": LABELS, "target": "lable"}, "Did you mean 'label'"),
        ({"data": LABELS.drop(columns="b"), "target": "label"}, "lacks columns that .* takes: b"),
        ({"data": LABELS.head(5), "target": "label"}, "too few"),
        ({"data": LABELS, "target": "a"}, "no target of the table is a class"),
        ({"data": LABELS, "target": "label", "slices": "sax"}, "Did you mean 'sex'"),
        ({"data": LABELS, "target": "label", "fairness": "sax"}, "Did you mean 'sex'"),
        ({"data": LABELS, "target": "label", "cost": "fp=2"}, "needs both"),
        ({"data": LABELS, "target": "label", "cost": "fp=2,fn=x"}, "not 'fn=x'"),
        ({"data": LABELS, "target": "label", "level": 95}, "between 0 and 1"),
        ({"data": LABELS, "target": "label", "learning_curve": True}, "goes with --cv"),
        ({"data": LABELS, "target": "label", "cv": 1}, "from 2"),
        ({"data": LABELS, "target": "label", "positive": "ja"}, "unknown positive class"),
    ],
    ids=lambda v: v if isinstance(v, str) else "",
)
def test_bad_input_says_what_to_do(shared_session: Session, given: dict[str, object], match: str) -> None:
    with pytest.raises((InvalidArgument, NotReady), match=match):
        shared_session.evaluate(CLF, store=False, **given)


def test_no_such_model(shared_session: Session) -> None:
    with pytest.raises(NotFound, match="no model 'clv'"):
        shared_session.evaluate("clv", data=LABELS, target="label")
    with pytest.raises(InvalidArgument, match="is no model"):
        shared_session.evaluate(3, data=LABELS, target="label")
