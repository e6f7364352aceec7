"""A model made smaller: every way measured against the model itself, on the same rows; and the file that needs no scikit-learn."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import GradientBoostingRegressor, RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from jupyter_mlops.domain.compression import Compression
from jupyter_mlops.errors import InvalidArgument
from jupyter_mlops.evaluation.onnx_model import OnnxModel, to_onnx
from jupyter_mlops.hooks import final_step
from jupyter_mlops.session import Session

RNG = np.random.default_rng(11)
ROWS = 900
TABLE = pd.DataFrame(RNG.normal(size=(ROWS, 4)), columns=list("abcd"))
TABLE["town"] = RNG.choice(["Rome", "Oslo", "Bern"], ROWS)
SCORE = TABLE["a"] + 0.5 * TABLE["b"] + (TABLE["town"] == "Oslo") + 0.4 * RNG.normal(size=ROWS)
TABLE["bought"] = np.where(SCORE > 0.3, "yes", "no")
INPUTS = TABLE.drop(columns="bought")
WAYS = ["onnx", "int8", "distil"]


def behind(final: object) -> object:
    prepared = ColumnTransformer(
        [("numbers", StandardScaler(), list("abcd")), ("town", OneHotEncoder(handle_unknown="ignore"), ["town"])]
    )
    return make_pipeline(prepared, final).fit(INPUTS, TABLE["bought"])


@pytest.fixture(scope="module")
def forest(shared_session: Session) -> Compression:
    shared_session.data.save(TABLE, name="buyers")
    model = behind(RandomForestClassifier(30, random_state=0))
    found: Compression = shared_session.compress(
        model, data="buyers@v1", target="bought", name="small", tolerance=0.03, ways=WAYS
    )
    return found


def test_every_way_is_measured_on_the_same_rows(forest: Compression) -> None:
    assert [way.method for way in forest] == ["as it is", "onnx", "distil"]
    assert any("int8" in note for note in forest.notes), "a forest has no weights of 8 bits"
    whole = forest["as it is"]
    assert forest.rows == ROWS // 2
    for way in forest.ways[1:]:
        assert way.difference is not None
        assert way.difference.value == pytest.approx(way.value - whole.value, abs=1e-12)
        assert way.difference.low <= way.difference.value <= way.difference.high
        assert way.row_ms > 0
        assert way.thousand_ms > 0
    assert forest["onnx"].agree == 1.0, "compared and added in 64 bits, ties included"
    assert forest["distil"].bytes < whole.bytes / 5
    assert forest["onnx"].memory_bytes < whole.memory_bytes, "a process without scikit-learn takes less"
    assert "a tree of" in forest.text()
    assert len(forest.to_pandas()) == len(forest)


def test_candidates_are_versions_that_are_evaluated_like_any_other(
    shared_session: Session, forest: Compression
) -> None:
    versions = {way.method: way.version for way in forest if way.version}
    assert set(versions) == {"onnx", "distil"}
    again = shared_session.evaluate(versions["onnx"], data="buyers@v1", target="bought", store=False)
    assert again.estimator.startswith("ONNX(")
    assert {m.name: m.value for m in again.metrics}["accuracy"] > 0.8


def test_an_onnx_candidate_is_served_as_the_model_that_it_was_made_of(
    shared_session: Session, forest: Compression
) -> None:
    deployed = shared_session.deploy(forest["onnx"].version, name="smaller", workers=1)
    assert deployed.versions[0].path != "pyfunc"
    answered = shared_session.predict("smaller", INPUTS)
    # the same draw as the fixture's, so the same forest
    assert list(answered.values) == list(behind(RandomForestClassifier(30, random_state=0)).predict(INPUTS))  # type: ignore[attr-defined]
    shared_session.undeploy("smaller")


@pytest.mark.parametrize(
    "final",
    [LogisticRegression(), pytest.param(MLPClassifier((8,), max_iter=40, random_state=0), marks=pytest.mark.slow)],
)
def test_the_edge_file_is_proven_equal_without_scikit_learn(
    shared_session: Session, tmp_path: Path, final: object
) -> None:
    model = behind(final)
    file = tmp_path / "edge" / "model.onnx"
    ways = ["onnx", "int8"] if isinstance(final, MLPClassifier) else ["onnx"]
    told = shared_session.compress(model, data=TABLE, target="bought", ways=ways, edge=str(file))
    assert told.proof.startswith(f"predicts the same in {ROWS} of {ROWS} rows")
    if isinstance(final, MLPClassifier):
        assert told["int8"].agree > 0.9
    code = (
        "import sys; [sys.modules.__setitem__(m, None) for m in ('sklearn', 'pandas', 'jupyter_mlops')]\n"
        "import numpy as np, onnxruntime as ort\n"
        f"s = ort.InferenceSession({str(file)!r})\n"
        "row = {c: np.array([[0.9]]) for c in 'abcd'} | {'town': np.array([['Oslo']], dtype=object)}\n"
        "print(s.run(None, row)[0][0])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    row = pd.DataFrame([[0.9] * 4 + ["Oslo"]], columns=INPUTS.columns)
    assert done.stdout.strip() == model.predict(row)[0]  # type: ignore[attr-defined]


@pytest.mark.parametrize("double", [True, False])
@pytest.mark.parametrize("final", [RandomForestClassifier(10, random_state=0), LogisticRegression(), Ridge()])
def test_a_table_of_numbers_with_blanks_in_its_names_has_an_onnx_form(final: Any, double: bool) -> None:
    table = TABLE[list("abcd")].rename(columns={"a": "mean radius", "b": "a", "c": "mean_radius", "d": "d (cm)"})
    table.iloc[::7, 0] = np.nan
    wanted = SCORE if isinstance(final, Ridge) else TABLE["bought"]
    model = make_pipeline(SimpleImputer(strategy="median"), final).fit(table, wanted)
    bare = type(final)().fit(table.dropna(), wanted[table.notna().all(axis=1)])
    for each, rows in ((model, table), (bare, table.dropna())):
        held = OnnxModel(to_onnx(each, rows, double=double, final=final_step if double else None))
        assert list(held.feature_names_in_) == list(rows.columns)
        if isinstance(final, Ridge):
            np.testing.assert_allclose(held.predict(rows), each.predict(rows), rtol=1e-9 if double else 1e-4, atol=1e-6)
        else:
            assert np.mean(held.predict(rows) == each.predict(rows)) >= (1.0 if double else 0.99)


def test_missing_texts_are_filled_in_as_they_were_fitted() -> None:
    table = INPUTS.assign(town=INPUTS["town"].where(RNG.random(ROWS) > 0.2, np.nan))
    town = make_pipeline(SimpleImputer(strategy="most_frequent"), OneHotEncoder(handle_unknown="ignore"))
    numbers = make_pipeline(SimpleImputer(strategy="mean"), StandardScaler())
    prepared = ColumnTransformer([("n", numbers, list("abcd")), ("t", town, ["town"])])
    model = make_pipeline(prepared, LogisticRegression()).fit(table, TABLE["bought"])
    table.iloc[::5, 1] = np.nan
    held = OnnxModel(to_onnx(model, table, double=True, final=final_step))
    np.testing.assert_allclose(held.predict_proba(table), model.predict_proba(table), atol=1e-12)


@pytest.mark.slow
def test_trees_and_columns_of_a_regression(shared_session: Session) -> None:
    table = TABLE[list("abcd")].assign(y=1e6 * SCORE)  # of errors a part is borne, whatever the unit
    model = GradientBoostingRegressor(n_estimators=60, random_state=0).fit(table[list("abcd")], table["y"])
    told = shared_session.compress(
        model, data=table, ways=["trees", "distil", "features"], metric="mae", tolerance=0.05
    )
    assert told["trees"].value < told["as it is"].value * 1.1
    assert told["trees"].bytes < told["as it is"].bytes
    assert told.metric == "mae"


def test_what_cannot_be_made_smaller_is_told(shared_session: Session) -> None:
    with pytest.raises(InvalidArgument, match="gzip"):
        shared_session.compress(behind(LogisticRegression()), data=TABLE, target="bought", ways=["gzip"])
    with pytest.raises(InvalidArgument, match="fitted estimator"):
        shared_session.compress(np.zeros(ROWS), data=TABLE, target="bought")
    told = shared_session.compress(behind(LogisticRegression()), data=TABLE, target="bought", ways=["trees"])
    assert (len(told), told.notes) == (1, ("trees: it is no sum of trees.",))


@pytest.mark.slow
def test_fewer_columns_are_a_version_that_takes_the_whole_table(shared_session: Session) -> None:
    model = behind(RandomForestClassifier(10, random_state=0))
    told = shared_session.compress(model, data=TABLE, target="bought", ways=["features"], name="fewer", tolerance=0.03)
    assert "columns" in told["features"].change
    again = shared_session.evaluate(told["features"].version, data=TABLE, target="bought", store=False)
    assert {m.name: m.value for m in again.metrics}["accuracy"] > 0.8


def test_columns_are_chosen_alike_where_the_table_is_sorted_by_its_target() -> None:
    """Of one class after the other, no part of the table may stand for the whole."""
    from jupyter_mlops.domain.evaluation import EvaluationRows
    from jupyter_mlops.evaluation.smaller import Maker
    from jupyter_mlops.evaluation.subject import Model, Subject

    target = np.repeat([0, 1, 2], 60)
    inputs = pd.DataFrame({"noise": RNG.normal(size=180), "tells": target + 0.1 * RNG.normal(size=180)})
    model = LogisticRegression().fit(inputs, target)
    rows = EvaluationRows(np.arange(180), target, model.predict(inputs), np.zeros(180), None, ("0", "1", "2"))
    subject = Subject(Model("clf", model), inputs.assign(y=target), inputs, "y", pd.Series(target), rows)
    made = Maker(subject, np.arange(180), "accuracy", 0.02, 0, None).features()
    assert made.change.endswith("1 of 2 columns: tells")
