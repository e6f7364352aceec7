"""Compiled pipelines: the same answers as the pipeline behind DataFrames, and no plan where that cannot be."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import orjson
import pandas as pd
import pytest
from sklearn.compose import ColumnTransformer, make_column_selector, make_column_transformer
from sklearn.decomposition import PCA
from sklearn.ensemble import (
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.feature_selection import SelectKBest
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression, PoissonRegressor, RidgeClassifier, SGDClassifier
from sklearn.model_selection import GridSearchCV
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.preprocessing import (
    Binarizer,
    FunctionTransformer,
    KBinsDiscretizer,
    MaxAbsScaler,
    MinMaxScaler,
    OneHotEncoder,
    OrdinalEncoder,
    PolynomialFeatures,
    RobustScaler,
    StandardScaler,
    TargetEncoder,
)
from sklearn.tree import DecisionTreeClassifier

from jupyter_mlops.serving.compiled.build import plan_of
from jupyter_mlops.serving.compiled.by_row import ByRow
from jupyter_mlops.serving.compiled.model import CompiledModel
from jupyter_mlops.serving.compiled.plan import Plan
from jupyter_mlops.serving.model import Ask, SklearnModel
from jupyter_mlops.serving.signature import Signature

RNG = np.random.default_rng(7)
ROWS = 400
TABLE = pd.DataFrame(
    {
        "age": RNG.normal(40, 12, ROWS).round(1),
        "gain": np.where(RNG.random(ROWS) < 0.7, 0.0, RNG.lognormal(7, 1, ROWS)),
        "children": RNG.integers(0, 6, ROWS),
        "job": RNG.choice(["cook", "smith", "clerk", "tailor"], ROWS, p=[0.5, 0.3, 0.15, 0.05]),
        "city": RNG.choice(["Rome", "Oslo", "Wien"], ROWS),
        "member": RNG.random(ROWS) < 0.5,
    }
)
HOLES = TABLE.assign(age=TABLE.age.where(RNG.random(ROWS) > 0.1), job=TABLE.job.where(RNG.random(ROWS) > 0.1))
SCORE = TABLE.age / 12 + TABLE.children + (TABLE.job == "cook") * 2 + RNG.normal(0, 1, ROWS)
BINARY = np.where(SCORE.median() < SCORE, "high", "low")
THREE = pd.cut(SCORE, 3, labels=["a", "b", "c"]).astype(str).to_numpy()
NUMBERS, TEXTS = ["age", "gain", "children"], ["job", "city"]
SIGNATURE = Signature.parse(
    json.dumps(
        [
            {"type": kind, "name": name, "required": True}
            for name, kind in zip(TABLE, ["double", "double", "long", "string", "string", "boolean"], strict=True)
        ]
    )
)


def columns(numbers: Any = "passthrough", texts: Any = None, **more: Any) -> ColumnTransformer:
    texts = texts or OneHotEncoder(handle_unknown="ignore")
    return make_column_transformer((numbers, NUMBERS), (texts, TEXTS), **more)


def xgboost(**more: Any) -> Any:
    return pytest.importorskip("xgboost").XGBClassifier(n_estimators=20, max_depth=4, **more)


def lightgbm(**more: Any) -> Any:
    return pytest.importorskip("lightgbm").LGBMClassifier(n_estimators=20, verbose=-1, **more)


BOOSTED = HistGradientBoostingClassifier(max_iter=20)
LINE = LogisticRegression(max_iter=2000)

# name -> pipeline, table, target, the path that must be found
CASES: dict[str, tuple[Callable[[], Any], pd.DataFrame, Any, str]] = {
    "scaled, one-hot, boosted": (lambda: make_pipeline(columns(StandardScaler()), BOOSTED), TABLE, BINARY, "compiled"),
    "three classes": (lambda: make_pipeline(columns(StandardScaler()), BOOSTED), TABLE, THREE, "compiled"),
    "logistic": (lambda: make_pipeline(columns(StandardScaler()), LINE), TABLE, BINARY, "compiled"),
    "logistic, three": (lambda: make_pipeline(columns(StandardScaler()), LINE), TABLE, THREE, "compiled"),
    "logistic by liblinear": (
        lambda: make_pipeline(columns(StandardScaler()), LogisticRegression(solver="liblinear")), TABLE, BINARY, "compiled",
    ),
    "forest": (lambda: make_pipeline(columns(), RandomForestClassifier(20, random_state=0)), TABLE, BINARY, "compiled"),
    "forest, three": (
        lambda: make_pipeline(columns(), RandomForestClassifier(20, random_state=0)), TABLE, THREE, "compiled",
    ),
    "extra trees": (lambda: make_pipeline(columns(), ExtraTreesClassifier(20, random_state=0)), TABLE, BINARY, "compiled"),
    "one tree": (lambda: make_pipeline(columns(), DecisionTreeClassifier(max_depth=5)), TABLE, THREE, "compiled"),
    "gradient boosting": (lambda: make_pipeline(columns(), GradientBoostingClassifier()), TABLE, BINARY, "compiled"),
    "gradient boosting, three": (
        lambda: make_pipeline(columns(), GradientBoostingClassifier(n_estimators=10)), TABLE, THREE, "compiled",
    ),
    "regressions": (lambda: make_pipeline(columns(RobustScaler()), LinearRegression()), TABLE, SCORE, "compiled"),
    "poisson": (
        lambda: make_pipeline(columns(StandardScaler()), PoissonRegressor()), TABLE, TABLE.children + 1, "compiled",
    ),
    "boosted values": (
        lambda: make_pipeline(columns(), HistGradientBoostingRegressor(max_iter=20)), TABLE, SCORE, "compiled",
    ),
    "gradient values": (lambda: make_pipeline(columns(), GradientBoostingRegressor()), TABLE, SCORE, "compiled"),
    "forest of values": (
        lambda: make_pipeline(columns(), RandomForestRegressor(20, random_state=0)), TABLE, SCORE, "compiled",
    ),
    "missing values imputed": (
        lambda: make_pipeline(
            columns(
                make_pipeline(SimpleImputer(strategy="median", add_indicator=True), StandardScaler()),
                make_pipeline(SimpleImputer(strategy="most_frequent"), OneHotEncoder(handle_unknown="ignore")),
            ),
            LINE,
        ), HOLES, BINARY, "compiled",
    ),
    "missing values a category": (lambda: make_pipeline(columns(), BOOSTED), HOLES, BINARY, "compiled"),
    "missing values in a forest": (
        lambda: make_pipeline(columns(), RandomForestClassifier(10, random_state=0)), HOLES, BINARY, "compiled",
    ),
    "rare categories": (
        lambda: make_pipeline(
            columns(MinMaxScaler(), OneHotEncoder(min_frequency=40, handle_unknown="infrequent_if_exist", drop="first")), LINE
        ), TABLE, BINARY, "compiled",
    ),
    "unknown categories warned of": (
        lambda: make_pipeline(columns(MinMaxScaler(), OneHotEncoder(max_categories=2, handle_unknown="warn")), LINE),
        TABLE, BINARY, "compiled",
    ),
    "unknown categories refused": (
        lambda: make_pipeline(columns(MaxAbsScaler(), OneHotEncoder(drop="if_binary")), LINE), TABLE, BINARY, "compiled",
    ),
    "ordinal": (
        lambda: make_pipeline(
            columns("passthrough", OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)), BOOSTED
        ), TABLE, BINARY, "compiled",
    ),
    "target encoding": (lambda: make_pipeline(columns("passthrough", TargetEncoder()), BOOSTED), TABLE, BINARY, "compiled"),
    "bins": (
        lambda: make_pipeline(
            columns(KBinsDiscretizer(4, encode="onehot-dense", quantile_method="averaged_inverted_cdf")), LINE
        ), TABLE, BINARY, "compiled",
    ),
    "polynomials": (
        lambda: make_pipeline(columns(make_pipeline(StandardScaler(), PolynomialFeatures(2))), LINE), TABLE, BINARY, "compiled",
    ),
    "logarithms": (
        lambda: make_pipeline(columns(make_pipeline(FunctionTransformer(np.abs), FunctionTransformer(np.log1p))), LINE),
        TABLE, BINARY, "compiled",
    ),
    "union, selection and projection": (
        lambda: make_pipeline(
            columns(StandardScaler()),
            FeatureUnion([("best", SelectKBest(k=4)), ("pca", PCA(2)), ("more", Binarizer())], transformer_weights={"pca": 0.5}),
            LINE,
        ), TABLE, BINARY, "compiled",
    ),
    "columns by type, the rest passed through": (
        lambda: make_pipeline(
            make_column_transformer(
                (OneHotEncoder(handle_unknown="ignore"), make_column_selector(dtype_include=["object", "str"])),
                ("drop", ["gain"]), remainder="passthrough",
            ), BOOSTED,
        ), TABLE, BINARY, "compiled",
    ),
    "columns by number, mask and slice": (
        lambda: make_pipeline(
            make_column_transformer(
                (StandardScaler(), [0, 2]), (OneHotEncoder(handle_unknown="ignore"), [False] * 3 + [True, True, False]),
                ("passthrough", slice(5, 6)),
            ), BOOSTED,
        ), TABLE, BINARY, "compiled",
    ),
    "stochastic gradient": (
        lambda: make_pipeline(columns(StandardScaler()), SGDClassifier(loss="log_loss", random_state=0)), TABLE, THREE, "compiled",
    ),
    "ridge": (lambda: make_pipeline(columns(StandardScaler()), RidgeClassifier()), TABLE, THREE, "compiled"),
    "searched": (
        lambda: GridSearchCV(make_pipeline(columns(StandardScaler()), LINE), {"logisticregression__C": [1.0]}, cv=2),
        TABLE, BINARY, "compiled",
    ),
    "xgboost": (lambda: make_pipeline(columns(), xgboost()), HOLES, (BINARY == "high").astype(int), "compiled"),
    "xgboost, three": (lambda: make_pipeline(columns(), xgboost()), TABLE, TABLE.children.to_numpy() % 3, "compiled"),
    "lightgbm": (lambda: make_pipeline(columns(), lightgbm()), HOLES, BINARY, "compiled"),
    "lightgbm, three": (lambda: make_pipeline(columns(), lightgbm()), TABLE, THREE, "compiled"),
    "no compiled estimator": (lambda: make_pipeline(columns(StandardScaler()), GaussianNB()), TABLE, BINARY, "encoder"),
    "a function of one's own": (
        lambda: make_pipeline(columns(FunctionTransformer(lambda x: x * 2)), LINE), TABLE, BINARY, "dataframe",
    ),
    "categories inside boosting": (
        lambda: make_pipeline(
            columns("passthrough", OrdinalEncoder()), HistGradientBoostingClassifier(max_iter=5, categorical_features=[3, 4])
        ), TABLE, BINARY, "encoder",
    ),
}  # fmt: skip


def folder_of(table: pd.DataFrame, tmp_path: Path, method: str = "predict") -> Any:
    from jupyter_mlops.datasets.profile import Profile

    Profile.of(table).write(tmp_path / "mlops" / "profile")
    rows = json.loads(TABLE.head(3).to_json(orient="split", index=False))
    example = orjson.dumps({"dataframe_split": rows})
    return SimpleNamespace(path=tmp_path, method=method, example=lambda: (example, "application/json"))


def body(table: pd.DataFrame) -> bytes:
    return orjson.dumps(
        {"dataframe_split": json.loads(table.to_json(orient="split", index=False, double_precision=15))}
    )


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", CASES)
def test_a_plan_answers_as_the_pipeline(name: str, tmp_path: Path) -> None:
    make, table, target, path = CASES[name]
    pipeline = make().fit(table, target)
    plan = plan_of(pipeline, SIGNATURE, folder_of(table, tmp_path))
    assert plan.path == path, plan.reason
    if path != "compiled":
        assert plan.reason
    if path == "dataframe":
        return
    plan.write(tmp_path / "plan")
    stored = Plan.read(tmp_path / "plan")
    assert stored is not None
    compiled = CompiledModel(stored, SIGNATURE, lambda: pipeline)
    original = SklearnModel(pipeline, SIGNATURE)
    strange = table.head(9).assign(city="Narvik", gain=1e9)
    for some in (table, table.iloc[[5]], strange):
        methods = ["predict", *(["predict_proba"] if hasattr(pipeline, "predict_proba") else [])]
        for method in methods:
            ask = Ask(body(some), method=method)
            (expected,), (got,) = original.answer_many([ask]), compiled.answer_many([ask])
            assert got.status == expected.status, (got.body, expected.body)
            if method == "predict" and got.probabilities:  # what the log keeps beside the label
                kept = np.frombuffer(got.probabilities, dtype="<f8").reshape(got.rows, -1)
                tolerance = 1e-5 if "xgboost" in name else 1e-9
                np.testing.assert_allclose(kept, pipeline.predict_proba(some), rtol=0, atol=tolerance)
            if expected.status == 200:
                theirs, ours = (json.loads(answer.body)["predictions"] for answer in (expected, got))
                if isinstance(theirs[0], str):
                    assert ours == theirs
                else:
                    np.testing.assert_allclose(
                        ours,
                        theirs,
                        rtol=1e-5 if "xgboost" in name else 1e-9,
                        atol=1e-6 if "xgboost" in name else 1e-12,
                    )
    if path == "compiled":
        whole = body(TABLE)
        answers = compiled.answer_now([Ask(whole), Ask(body(TABLE.head(1)))])
        assert [a.rows for a in answers if a is not None] == [ROWS, 1]


@pytest.mark.parametrize("name", ["scaled, one-hot, boosted", "logistic", "forest", "missing values a category"])
def test_few_rows_are_prepared_one_by_one(name: str, tmp_path: Path) -> None:
    """The same features, row by row, as the operation gives; what only the operation can judge is left to it."""
    make, table, target, _ = CASES[name]
    plan = plan_of(make().fit(table, target), SIGNATURE, folder_of(table, tmp_path))
    assert plan.by_row
    by_row = ByRow(plan.operation)
    given = table.astype(object).where(table.notna(), None)
    columns = [given[column.name].tolist() for column in SIGNATURE.columns]
    rows = list(zip(*columns, strict=True))
    np.testing.assert_array_equal(by_row.run(rows), plan.operation.run(columns))
    assert by_row.run([tuple("text" for _ in rows[0])]) is None


def test_a_wrong_plan_is_found_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What computes something else, however little, never serves."""
    from jupyter_mlops.serving.compiled import build

    pipeline = make_pipeline(columns(StandardScaler()), HistGradientBoostingClassifier(max_iter=20)).fit(TABLE, BINARY)
    right = build.final_of

    def nudged(estimator: Any, width: int) -> Any:
        final, forest = right(estimator, width)
        forest.trees = [
            replace(tree, split=tree.split.astype(np.float32).astype(np.float64))  # what converters do to thresholds
            for tree in forest.trees
        ]
        return final, forest

    monkeypatch.setattr(build, "final_of", nudged)
    plan = plan_of(pipeline, SIGNATURE, folder_of(TABLE, tmp_path))
    assert plan.path == "encoder"
    assert "thresholds" in plan.reason or "labels differ" in plan.reason or "difference" in plan.reason


def test_a_null_that_the_imputer_passed_on_is_not_filled(tmp_path: Path) -> None:
    """SimpleImputer replaces NaN; None in an object column goes by it, and the encoder learns it as a category."""
    table = HOLES.assign(job=HOLES.job.astype(object).where(HOLES.job.notna(), None))
    texts = make_pipeline(SimpleImputer(strategy="most_frequent"), OneHotEncoder(handle_unknown="ignore"))
    made = make_column_transformer((texts, ["job", "city"]), (SimpleImputer(), ["age"]))
    target = np.where(HOLES.job.isna(), "unknown", BINARY)
    pipeline = make_pipeline(made, LogisticRegression()).fit(table, target)
    plan = plan_of(pipeline, SIGNATURE, folder_of(table, tmp_path))
    assert (plan.path, plan.reason) == ("dataframe", "SimpleImputer left None as a category")
    filled = make_pipeline(made, LogisticRegression()).fit(HOLES, BINARY)
    assert plan_of(filled, SIGNATURE, folder_of(HOLES, tmp_path)).path == "compiled"


def test_which_columns_take_no_missing_and_no_infinite_value_is_asked_of_the_original(tmp_path: Path) -> None:
    """Some columns are filled and some are not: each is named by what the original itself does with it."""
    numbers = ["age", "gain"]
    made = make_pipeline(
        make_column_transformer((SimpleImputer(), ["gain"]), (StandardScaler(), ["age"])), LogisticRegression()
    ).fit(TABLE, BINARY)
    plan = plan_of(made, SIGNATURE, folder_of(TABLE, tmp_path))
    names = [column.name for column in SIGNATURE.columns]
    for value, told in ((np.nan, plan.refuses_missing), (np.inf, plan.refuses_infinite)):
        refused = []
        for name in numbers:
            try:
                made.predict(TABLE.head(2).assign(**{name: [value, 1.0]}))
            except ValueError:
                refused.append(names.index(name))
        assert told == sorted(refused)
    assert plan.refuses_missing == [names.index("age")]


def test_columns_of_float32_are_scaled_as_they_are_there(tmp_path: Path) -> None:
    """scikit-learn rounds what it subtracts and divides by as well, which moves values across a tree's threshold."""
    table = TABLE[["age", "gain"]].astype("float32")
    told = [{"type": "float", "name": name, "required": True} for name in table]
    signature = Signature.parse(json.dumps(told))
    pipeline = make_pipeline(StandardScaler(), RandomForestClassifier(20, random_state=0)).fit(table, BINARY)
    rows = orjson.dumps({"dataframe_split": json.loads(table.head(3).to_json(orient="split", index=False))})
    folder = SimpleNamespace(path=tmp_path, method="predict", example=lambda: (rows, "application/json"))
    plan = plan_of(pipeline, signature, folder)
    assert plan.path == "compiled", plan.reason
    compiled = CompiledModel(plan, signature, lambda: pipeline)
    found = json.loads(compiled.answer_many([Ask(body(table), method="predict_proba")])[0].body)["predictions"]
    np.testing.assert_allclose(found, pipeline.predict_proba(table), rtol=1e-12)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "made",
    [
        make_pipeline(columns(), RandomForestClassifier(5, random_state=0)),  # takes nothing beyond float32
        make_pipeline(columns(make_pipeline(PolynomialFeatures(2), StandardScaler())), LINE),  # nor infinite products
        make_pipeline(columns(PolynomialFeatures(2)), BOOSTED),  # takes them
        make_pipeline(columns(FunctionTransformer(np.log1p)), LINE),  # nor a number that has no logarithm
    ],
    ids=["forest", "products refused", "products taken", "no logarithm"],
)
def test_numbers_that_are_too_large_for_a_step_are_left_to_the_original(made: Any, tmp_path: Path) -> None:
    """The original refuses them, or does not; the compiled form had computed on with infinity."""
    pipeline = made.fit(TABLE, BINARY)
    plan = plan_of(pipeline, SIGNATURE, folder_of(TABLE, tmp_path))
    assert plan.path == "compiled", plan.reason
    compiled, original = CompiledModel(plan, SIGNATURE, lambda: pipeline), SklearnModel(pipeline, SIGNATURE)
    for gain in (1e300, -1e300, 3.5e38, 3.3e38):
        ask = Ask(body(TABLE.head(2).assign(gain=[gain, 1.0])))
        (ours,), (theirs,) = compiled.answer_many([ask]), original.answer_many([ask])
        assert (ours.status, ours.body) == (theirs.status, theirs.body)
        assert compiled.answer_now([ask])[0] in (None, ours)


def test_a_null_alone_is_what_it_is_beside_a_text(tmp_path: Path) -> None:
    """pandas makes None of a lone null and NaN of one beside a text; the encoder knows the one it was fitted on."""
    pipeline = make_pipeline(columns(SimpleImputer()), LINE).fit(HOLES, BINARY)
    original = SklearnModel(pipeline, SIGNATURE)
    plan = plan_of(pipeline, SIGNATURE, folder_of(HOLES, tmp_path))
    without = HOLES[HOLES.job.isna()].head(1)
    both = pd.concat([without, TABLE.head(1)])
    for served in (original, CompiledModel(plan, SIGNATURE, lambda: pipeline)):
        alone, beside = served.answer_many([Ask(body(some), method="predict_proba") for some in (without, both)])
        np.testing.assert_allclose(
            json.loads(alone.body)["predictions"][0], json.loads(beside.body)["predictions"][0], rtol=1e-12
        )


def test_a_classifier_of_several_outputs_is_asked_as_it_is(tmp_path: Path) -> None:
    """It gives a list of matrices, one an output, of which some rows are no slice."""
    two = np.column_stack([BINARY == "high", TABLE.children > 2]).astype(int)
    pipeline = make_pipeline(columns(), RandomForestClassifier(5, random_state=0)).fit(TABLE, two)
    plan = plan_of(pipeline, SIGNATURE, folder_of(TABLE, tmp_path))
    assert plan.path == "dataframe"
    assert plan.reason.startswith("RandomForestClassifier has several outputs; predict_proba")
    asks = [Ask(body(TABLE.iloc[[row]]), method="predict_proba") for row in (0, 1)]
    original = SklearnModel(pipeline, SIGNATURE)
    together = original.answer_many(asks)
    assert [answer.body for answer in together] == [original.answer_many([ask])[0].body for ask in asks]
