"""Parity: the same transformation in training, from the stored file and in the server, and told where it is not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from jupyter_mlops.datasets.features.transformation import transformation
from jupyter_mlops.domain.data_version import Column
from jupyter_mlops.domain.parity import Parity
from jupyter_mlops.errors import InvalidArgument, NotFound
from jupyter_mlops.serving.features import answer_features, features_of, unpacked
from jupyter_mlops.serving.model import Ask, SklearnModel
from jupyter_mlops.serving.parity import compared, views_of
from jupyter_mlops.session import Session

ROWS = pd.DataFrame(
    {"x": [1.0, 2.0, 4.0, np.nan], "n": [1, 2, 3, 4], "city": ["Rome", "Oslo", None, "Rome"], "flag": [True, False] * 2}
)
COLUMNS = [Column("x", "float64"), Column("n", "int64"), Column("city", "string"), Column("flag", "bool")]


def test_the_default_transformation_takes_just_the_views_features_and_names_them() -> None:
    made = transformation([("activity@v2", COLUMNS)])
    model = make_pipeline(made, LinearRegression()).fit(ROWS.assign(other="o"), [0, 1, 2, 3])
    matrix, names = features_of(model, ROWS)
    assert matrix.shape == (4, 6)
    assert names == ["x", "n", "city_Oslo", "city_Rome", "flag_False", "flag_True"]
    assert np.isfinite(matrix).all()
    assert views_of(model) == ("activity@v2",)
    np.testing.assert_array_equal(matrix, model[0].transform(ROWS))
    with pytest.raises(InvalidArgument, match=r"at \(timestamp\) cannot be turned into numbers"):
        transformation([("v@v1", [Column("at", "timestamp")])])
    with pytest.raises(InvalidArgument, match="int transforms nothing"):
        transformation([("v@v1", COLUMNS)], 3)
    given = transformation([("a@v1", COLUMNS[:1]), ("b@v3", COLUMNS[1:2])], StandardScaler())
    assert views_of(make_pipeline(given, LinearRegression())) == ("a@v1", "b@v3")
    assert transformation([("a@v1", COLUMNS[:1])], np.log1p).fit_transform(ROWS)[0, 0] == np.log1p(1.0)


def test_what_the_last_step_is_given_is_told_whatever_kind_of_pipeline_it_is() -> None:
    x = ROWS[["x", "n"]].fillna(0.0)
    for model in (LinearRegression(), Pipeline([("no", "passthrough"), ("m", LinearRegression())])):
        matrix, names = features_of(model.fit(x, [0, 1, 2, 3]), x)
        np.testing.assert_array_equal(matrix, x.to_numpy(dtype=float))
        assert names == ["x", "n"]
    nested = make_pipeline(make_pipeline(StandardScaler(), StandardScaler()), LinearRegression()).fit(x, [0, 1, 2, 3])
    np.testing.assert_allclose(features_of(nested, x)[0], StandardScaler().fit_transform(x))
    sparse = make_pipeline(OneHotEncoder(), LogisticRegression()).fit(ROWS[["city"]], [0, 1, 0, 1])
    assert features_of(sparse, ROWS[["city"]])[0].sum() == 4
    objects = make_pipeline(ColumnTransformer([("as is", "passthrough", ["city"])]), _Anything())
    assert features_of(objects.fit(ROWS), ROWS)[0].tolist() == ROWS[["city"]].to_numpy(dtype=object).tolist()


class _Anything:
    def fit(self, x: Any, y: Any = None) -> _Anything:
        return self

    def predict(self, x: Any) -> Any:
        return np.zeros(len(x))


def test_a_server_tells_features_without_losing_a_bit_and_refuses_what_it_would_refuse() -> None:
    x = pd.DataFrame({"x": np.random.default_rng(0).normal(size=50), "n": np.arange(50.0)})
    model = make_pipeline(StandardScaler(), LinearRegression()).fit(x, x["n"])
    answer = answer_features(
        SklearnModel(model, None),
        Ask(b'{"dataframe_split":' + x.to_json(orient="split", double_precision=15).encode() + b"}"),
    )
    assert answer.status == 200
    matrix, names, way = unpacked(answer.body)
    np.testing.assert_allclose(matrix, StandardScaler().fit_transform(x), rtol=1e-12)
    assert (names, way) == (["x", "n"], "dataframe")
    assert answer_features(SklearnModel(model, None), Ask(b"{}")).status == 400


def test_differences_are_told_by_feature_row_and_size() -> None:
    expected = np.array([[1.0, np.nan, 1e9], [2.0, 3.0, 4.0], [5.0, np.inf, 6.0]])
    places = [0, 10, 20]
    same = compared("batch", "", (expected, ["a", "b", "c"]), (expected.copy(), ["a", "b", "c"]), 1e-9, places)
    assert (same.outcome, same.rows, same.largest, same.gaps) == ("PASS", 0, 0.0, ())
    got = expected.copy()
    got[1, 0], got[0, 1], got[0, 2] = 2.5, 0.0, 1e9 + 0.5
    found = compared("batch", "", (expected, ["a", "b", "c"]), (got, ["a", "b", "c"]), 1e-9, places)
    assert (found.outcome, found.rows) == ("FAIL", 2)
    told = {gap.column: (gap.rows, gap.largest, gap.row, gap.expected, gap.got) for gap in found.gaps}
    assert told == {"a": (1, 0.5, 10, "2", "2.5"), "b": (1, None, 0, "nan", "0")}
    narrow = compared("batch", "", (expected, ["a", "b", "c"]), (expected[:, :2], ["a", "b"]), 1e-9, places)
    assert (narrow.outcome, narrow.note) == ("FAIL", "2 features of 3 rows, not 3 of 3")
    words = np.array([["a", None], ["b", 1]], dtype=object)
    other = np.array([["a", float("nan")], ["c", 1.0]], dtype=object)
    mixed = compared("batch", "", (words, ["a", "b"]), (other, ["a", "b"]), 1e-9, [0, 1])
    assert [(gap.column, gap.row, gap.got) for gap in mixed.gaps] == [("a", 1, "c")]
    assert not Parity("m@1", 3, 3, (), 1e-9)  # nothing was compared: that is no pass


@pytest.mark.slow
def test_training_batch_and_a_real_deployment_agree_and_another_object_is_found_out(session: Session) -> None:
    rng = np.random.default_rng(1)
    people = pd.DataFrame(
        {
            "id": np.arange(300),
            "spend": np.where(rng.random(300) < 0.1, np.nan, rng.gamma(2, 10, 300)),
            "city": rng.choice(["Rome", "Oslo", "Lima"], 300),
        }
    )
    session.data.save(people, name="people")
    session.data.view("profile", on=["people"], entity=["id"])
    labels = pd.DataFrame({"id": rng.permutation(300)[:200], "y": rng.random(200) < 0.5})
    joined = session.data.join(labels, ["profile"], name="train")
    inputs = joined.table[list(joined.features)]
    model = make_pipeline(session.data.transformation(joined), LogisticRegression())
    session.context.namespace = {"model": model}
    with session.run("fit"):
        model.fit(inputs, labels["y"])
    version = session.register(model, name="clf", data=inputs)
    alone = session.parity("clf", joined.table)
    assert [(w.name, w.how, w.outcome) for w in alone.ways] == [
        ("training", "model, in this notebook", "reference"),
        ("batch", "stored model, new process", "PASS"),
    ]
    session.deploy(version.ref, workers=1)
    found = session.parity("clf", joined.table)
    assert found.outcome == "PASS"
    assert found.views == ("profile@v1",)
    assert (found.ways[-1].name, found.ways[-1].outcome, found.ways[-1].largest) == ("clf", "PASS", 0.0)
    assert found.ways[-1].how == "deployment, compiled"
    other = make_pipeline(session.data.transformation(joined), LogisticRegression()).fit(inputs[:50], labels["y"][:50])
    differs = session.parity("clf", joined.table, fitted=other)
    assert differs.outcome == "FAIL"
    assert [gap.column for gap in differs.ways[-1].gaps] == ["spend"]
    session.context.namespace = {}
    assert session.parity("clf", "train@v1").ways[0].name == "batch"
    with pytest.raises(NotFound, match="'spend'"):
        session.parity("clf", joined.table[["city"]])
