"""A model folder of ours, read by stock MLflow: signature, flavours, files, predictions."""

from __future__ import annotations

import datetime as dt
import importlib
import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin, TransformerMixin
from sklearn.cluster import KMeans
from sklearn.compose import make_column_transformer
from sklearn.ensemble import (
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    IsolationForest,
    RandomForestClassifier,
    StackingClassifier,
)
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression, SGDClassifier
from sklearn.model_selection import GridSearchCV
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsRegressor
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, OrdinalEncoder, StandardScaler
from sklearn.svm import SVC

from jupyter_mlops.errors import InvalidArgument, NotReady
from jupyter_mlops.tracking.model_code import copy_code
from jupyter_mlops.tracking.model_package import write_package

ROWS = 120
RNG = np.random.default_rng(0)
NUMBERS = pd.DataFrame(RNG.normal(size=(ROWS, 3)), columns=["a", "b", "c"])
YES = np.where(NUMBERS["a"] + NUMBERS["b"] > 0, "yes", "no")
VALUE = (NUMBERS["a"] * 3 + NUMBERS["c"]).to_numpy()
MIXED = pd.DataFrame(
    {
        "age": RNG.integers(18, 80, ROWS),
        "income": np.where(RNG.random(ROWS) < 0.2, np.nan, RNG.normal(3e4, 1e4, ROWS)),
        "job": RNG.choice(np.array(["cook", "clerk", None], dtype=object), ROWS),
        "member": RNG.random(ROWS) < 0.5,
        "region": pd.Categorical(RNG.choice(["north", "south"], ROWS)),
    }
)


def on_mixed():
    numbers = make_pipeline(SimpleImputer(add_indicator=True), StandardScaler())
    words = make_pipeline(SimpleImputer(strategy="most_frequent"), OneHotEncoder(handle_unknown="ignore"))
    split = make_column_transformer((numbers, ["age", "income"]), (words, ["job", "region"]), remainder="passthrough")
    return make_pipeline(split, LogisticRegression())


def ordinal_trees():
    split = make_column_transformer(
        (OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1), ["job", "region"]),
        remainder="passthrough",
    )
    return make_pipeline(split, HistGradientBoostingClassifier(max_iter=10))


KINDS = {
    "a pipeline on mixed types with missing values": (on_mixed, MIXED, YES),
    "histogram boosting on codes": (ordinal_trees, MIXED, RNG.integers(0, 2, ROWS)),
    "a forest with names of classes": (lambda: RandomForestClassifier(5), NUMBERS, YES),
    "a forest on an array": (lambda: RandomForestClassifier(5), NUMBERS.to_numpy(), YES),
    "boosting, a regressor": (lambda: GradientBoostingRegressor(n_estimators=5), NUMBERS, VALUE),
    "a line on numbered columns": (LinearRegression, NUMBERS.set_axis([0, 1, 2], axis=1), VALUE),
    "a line": (LinearRegression, NUMBERS, VALUE),
    "two lines at once": (LinearRegression, NUMBERS, np.c_[VALUE, -VALUE]),
    "a line on 32 bits": (LinearRegression, NUMBERS.to_numpy(np.float32), VALUE),
    "stochastic descent": (lambda: SGDClassifier(random_state=0), NUMBERS, YES),
    "a support vector machine": (SVC, NUMBERS, YES == "yes"),
    "neighbours": (KNeighborsRegressor, NUMBERS, VALUE),
    "naive Bayes": (GaussianNB, NUMBERS, YES),
    "a network": (lambda: MLPClassifier((4,), max_iter=20), NUMBERS, YES),
    "clusters": (lambda: KMeans(3, n_init=1), NUMBERS, None),
    "outliers": (lambda: IsolationForest(n_estimators=5), NUMBERS, None),
    "a grid search": (lambda: GridSearchCV(LogisticRegression(), {"C": [1, 10]}, cv=2), NUMBERS, YES),
    "a stack": (lambda: StackingClassifier([("a", GaussianNB())], LogisticRegression(), cv=2), NUMBERS, YES),
    "a ufunc in a pipeline": (lambda: make_pipeline(FunctionTransformer(np.abs), GaussianNB()), NUMBERS, YES),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.filterwarnings("ignore")
def test_stock_mlflow_loads_a_package_and_predicts_the_same(kind: str, tmp_path: Path) -> None:
    import mlflow.pyfunc
    import mlflow.sklearn
    from mlflow.models import Model, infer_signature

    make, inputs, target = KINDS[kind]
    model = make().fit(inputs, target)
    package = write_package(model, tmp_path / "model", training=inputs, target=target)
    expected = model.predict(inputs)

    assert package.format == "skops"
    np.testing.assert_array_equal(mlflow.sklearn.load_model(str(tmp_path / "model")).predict(inputs), expected)
    loaded = mlflow.pyfunc.load_model(str(tmp_path / "model"))
    np.testing.assert_array_equal(loaded.predict(without_categories(inputs)), expected)

    written = Model.load(str(tmp_path / "model"))
    table = isinstance(inputs, pd.DataFrame)
    outputs = pd.Series(expected) if table and expected.ndim == 1 else expected
    assert written.signature == infer_signature(inputs, outputs)
    np.testing.assert_array_equal(loaded.predict(written.load_input_example(str(tmp_path / "model"))), expected[:5])


def without_categories(inputs):
    """As a request brings them: MLflow takes no pandas categories for text."""
    if not isinstance(inputs, pd.DataFrame):
        return inputs
    return inputs.astype(dict.fromkeys(inputs.select_dtypes("category"), object))


def test_categories_are_written_down_so_that_a_server_can_restore_them(tmp_path: Path) -> None:
    import yaml

    model = HistGradientBoostingClassifier(max_iter=2).fit(MIXED[["age", "region"]], YES)
    write_package(model, tmp_path / "m", training=MIXED)
    own = yaml.safe_load((tmp_path / "m" / "MLmodel").read_text())["metadata"]["mlops"]
    assert own["categories"] == {"region": {"values": ["north", "south"], "ordered": False}}


COLUMNS = {
    "int64": pd.Series([1, 2]),
    "int32": pd.Series([1, 2], dtype="int32"),
    "int16": pd.Series([1, 2], dtype="int16"),
    "uint8": pd.Series([1, 2], dtype="uint8"),
    "uint32": pd.Series([1, 2], dtype="uint32"),
    "float64": pd.Series([1.5, None]),
    "float32": pd.Series([1.5, 2], dtype="float32"),
    "float16": pd.Series([1.5, 2], dtype="float16"),
    "bool": pd.Series([True, False]),
    "nullable integer": pd.Series([1, None], dtype="Int64"),
    "nullable small integer": pd.Series([1, 2], dtype="Int16"),
    "nullable float": pd.Series([1, None], dtype="Float32"),
    "nullable bool": pd.Series([True, None], dtype="boolean"),
    "text": pd.Series(["a", "b"]),
    "text with missing": pd.Series(["a", None]),
    "string": pd.Series(["a", None], dtype="string"),
    "objects: text and None": pd.Series(["a", None], dtype=object),
    "objects: text and NaN": pd.Series(["a", float("nan")], dtype=object),
    "objects: int": pd.Series([1, 2], dtype=object),
    "objects: int and None": pd.Series([1, None], dtype=object),
    "objects: bool and None": pd.Series([True, None], dtype=object),
    "objects: float": pd.Series([1.5, None], dtype=object),
    "objects: bytes": pd.Series([b"a", b"b"]),
    "objects: numpy int32": pd.Series([np.int32(1), None], dtype=object),
    "objects: datetime": pd.Series([dt.datetime(2020, 1, 1), None], dtype=object),  # noqa: DTZ001
    "category of text": pd.Series(["a", "b", "a"], dtype="category"),
    "category of int with missing": pd.Series([1, None], dtype=object).astype("category"),
    "category of int": pd.Series([1, 2], dtype="category"),
    "datetime": pd.Series(pd.to_datetime(["2020-01-01", None])),
    "datetime with zone": pd.Series(pd.to_datetime(["2020-01-01"]).tz_localize("Europe/Zurich")),
    "all missing": pd.Series([None, None], dtype=object),
    "arrow integer": pd.Series([1, None], dtype="int64[pyarrow]"),
    "arrow text": pd.Series(["a", None], dtype="string[pyarrow]"),
}


@pytest.mark.parametrize("kind", COLUMNS)
@pytest.mark.filterwarnings("ignore")
def test_a_column_has_the_type_that_mlflow_infers(kind: str) -> None:
    from mlflow.models import infer_signature

    from jupyter_mlops.tracking.model_signature import schema_of

    frame = pd.DataFrame({"x": COLUMNS[kind]})
    assert schema_of(frame) == infer_signature(frame).inputs.to_dict()


def test_a_column_of_no_mlflow_type_does_not_spoil_the_others() -> None:
    from mlflow.types import Schema

    from jupyter_mlops.tracking.model_signature import schema_of

    frame = pd.DataFrame({"wait": pd.to_timedelta([1, 2]), "n": [1, 2], "what": [1, "a"]})
    schema = schema_of(frame)
    assert [column["type"] for column in schema] == ["any", "long", "any"]
    assert Schema.from_json(json.dumps(schema)).input_names() == ["wait", "n", "what"]


@pytest.mark.filterwarnings("ignore")
def test_a_model_of_texts_takes_texts(tmp_path: Path) -> None:
    import mlflow.pyfunc

    texts = pd.Series(["good", "bad", "good good", "so bad"] * 5)
    model = make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(texts, [1, 0, 1, 0] * 5)
    write_package(model, tmp_path / "model", training=texts)
    loaded = mlflow.pyfunc.load_model(str(tmp_path / "model"))
    assert loaded.predict(np.array(["bad", "good"], dtype=object)).tolist() == [0, 1]


def test_the_same_estimator_has_the_same_digest(tmp_path: Path) -> None:
    model = RandomForestClassifier(3, random_state=0).fit(NUMBERS, YES)
    one = write_package(model, tmp_path / "one", training=NUMBERS)
    two = write_package(model, tmp_path / "two", training=NUMBERS)
    again = write_package(RandomForestClassifier(3, random_state=0).fit(NUMBERS, YES), tmp_path / "three")
    other = write_package(RandomForestClassifier(3, random_state=1).fit(NUMBERS, YES), tmp_path / "four")
    assert one.digest == two.digest == again.digest != other.digest


def test_the_example_is_plain_json_with_null_for_missing(tmp_path: Path) -> None:
    frame = pd.DataFrame({"n": [np.nan, np.inf], "t": pd.to_datetime(["2020-01-01", None]), "w": ["a", None]})
    model = make_pipeline(FunctionTransformer(), StandardScaler()).fit(NUMBERS)
    assert any("predict" in note for note in write_package(model, tmp_path / "m", training=NUMBERS).notes)
    from jupyter_mlops.tracking.model_example import write_example

    write_example(frame, tmp_path)
    serving = json.loads((tmp_path / "serving_input_example.json").read_text(), parse_constant=pytest.fail)
    assert serving["dataframe_split"]["data"] == [[None, "2020-01-01T00:00:00", "a"], [None, None, None]]


@pytest.mark.parametrize("kind", ["nullable integer", "nullable float", "nullable bool", "string", "arrow integer"])
def test_what_a_nullable_column_lacks_is_null_in_the_example(kind: str, tmp_path: Path) -> None:
    """pandas compares its own missing value to nothing: it is neither equal to itself nor not."""
    from jupyter_mlops.tracking.model_example import write_example

    write_example(pd.DataFrame({"x": COLUMNS[kind]}), tmp_path)
    assert json.loads((tmp_path / "input_example.json").read_text())["data"][1] == [None]


def test_a_transformer_has_no_python_function_flavour(tmp_path: Path) -> None:
    from mlflow.models import Model

    package = write_package(StandardScaler().fit(NUMBERS), tmp_path / "m", training=NUMBERS)
    assert list(Model.load(str(tmp_path / "m")).flavors) == ["sklearn"]
    assert package.outputs == ()


def test_a_table_may_hold_more_than_the_model_takes(tmp_path: Path) -> None:
    seen: list[object] = []
    model = LinearRegression().fit(NUMBERS, VALUE)
    package = write_package(
        model,
        tmp_path / "m",
        training=NUMBERS.assign(price=VALUE)[["price", "c", "b", "a"]],
        profile=lambda *given, **_known: seen.extend(given),
    )
    assert [column.name for column in package.inputs] == ["a", "b", "c"]
    assert package.profile
    assert list(seen[0].columns) == ["a", "b", "c"]
    assert seen[1].name == "price"
    with pytest.raises(InvalidArgument, match="lacks 1 of the model's columns: b"):
        write_package(model, tmp_path / "n", training=NUMBERS[["a", "c"]])
    assert not (tmp_path / "n").exists()


class Custom(ClassifierMixin, BaseEstimator):
    """Of a test module, which another process cannot import by this name when it is moved to ``__main__``."""

    def __init__(self, rule=None) -> None:
        self.rule = rule

    def fit(self, X, y=None):  # noqa: N803
        self.classes_ = np.unique(y)
        return self

    def predict(self, X):  # noqa: N803
        return np.repeat(self.classes_[:1], len(X))


class Shift(TransformerMixin, BaseEstimator):
    def fit(self, X, y=None):  # noqa: N803
        self.n_ = 1
        return self

    def transform(self, X):  # noqa: N803
        return X


def test_what_skops_cannot_store_is_named_and_pickled_only_by_consent(tmp_path: Path, monkeypatch) -> None:
    import mlflow.sklearn

    model = make_pipeline(FunctionTransformer(lambda x: x * 2), GaussianNB()).fit(NUMBERS, YES)
    with pytest.raises(InvalidArgument, match=r"without pickle: its parameter 'functiontransformer__func' is a lambda"):
        write_package(model, tmp_path / "m", training=NUMBERS)
    assert list(tmp_path.iterdir()) == []
    package = write_package(model, tmp_path / "m", training=NUMBERS, allow_pickle=True)
    assert package.format == "pickle"
    loaded = mlflow.sklearn.load_model(str(tmp_path / "m"))
    np.testing.assert_array_equal(loaded.predict(NUMBERS), model.predict(NUMBERS))

    monkeypatch.setattr(Custom, "__module__", "__main__")
    monkeypatch.setattr(Shift, "__module__", "__main__")
    with pytest.raises(InvalidArgument, match="its class 'Custom' is defined in the notebook") as caught:
        write_package(Custom().fit(NUMBERS, YES), tmp_path / "n", training=NUMBERS)
    assert "--allow-pickle" in caught.value.hint
    assert "in a module" in caught.value.hint
    with pytest.raises(InvalidArgument, match="its part 'shift' is of the class 'Shift'"):
        write_package(make_pipeline(Shift(), GaussianNB()).fit(NUMBERS, YES), tmp_path / "n", training=NUMBERS)


def test_what_is_no_fitted_estimator_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotReady, match="SVC is not fitted"):
        write_package(SVC(), tmp_path / "m")
    with pytest.raises(InvalidArgument, match="not the class SVC"):
        write_package(SVC, tmp_path / "m")
    with pytest.raises(InvalidArgument, match="not a DataFrame"):
        write_package(NUMBERS, tmp_path / "m")
    assert list(tmp_path.iterdir()) == []


def test_the_users_own_module_goes_with_the_model(tmp_path: Path) -> None:
    """A class from a file beside the notebook: the folder carries it, and another process elsewhere loads it."""
    (tmp_path / "rules.py").write_text("LIMIT = 1\n")
    (tmp_path / "features_of_mine.py").write_text(
        textwrap.dedent("""
        from sklearn.base import BaseEstimator, TransformerMixin
        import rules
        class Cut(TransformerMixin, BaseEstimator):
            def fit(self, X, y=None):
                self.limit_ = rules.LIMIT
                return self
            def transform(self, X):
                return X.clip(-self.limit_, self.limit_)
        """)
    )
    write = f"""
        import numpy as np, pandas as pd, sys
        from pathlib import Path
        from sklearn.pipeline import make_pipeline
        from sklearn.linear_model import LinearRegression
        from features_of_mine import Cut
        from jupyter_mlops.tracking.model_package import write_package
        X = pd.DataFrame({{"a": np.arange(9.0)}})
        model = make_pipeline(Cut(), LinearRegression()).fit(X, X["a"])
        package = write_package(model, Path({str(tmp_path / "model")!r}), training=X)
        assert "mlflow" not in sys.modules
        print(package.notes, package.format)
    """
    told = run(write, tmp_path)
    assert "features_of_mine, rules" in told
    assert "skops" in told
    (tmp_path / "rules.py").unlink()
    (tmp_path / "features_of_mine.py").unlink()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    load = f"""
        import mlflow.pyfunc, pandas as pd
        print(mlflow.pyfunc.load_model({str(tmp_path / "model")!r}).predict(pd.DataFrame({{"a": [0.0]}})).shape)
    """
    assert run(load, elsewhere).strip().endswith("(1,)")


def run(code: str, folder: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_skops_knows_the_same_types_however_it_is_imported(tmp_path: Path) -> None:
    code = (
        "{}\nfrom skops.io import _trusted_types as types\nimport skops.io\n"
        "from sklearn.preprocessing import FunctionTransformer\nimport numpy as np\n"
        "held = skops.io.dumps(FunctionTransformer(np.log1p))\n"
        "assert skops.io.get_untrusted_types(data=held) == []\n"
        "names = [name for name in vars(types) if name.endswith('_NAMES')]\n"
        "print({{name: sorted(getattr(types, name)) for name in sorted(names)}})"
    )
    ours = "from jupyter_mlops.tracking.skops_import import skops_io; skops_io()"
    told = [printed(code.format(way), tmp_path) for way in ("import skops.io", ours, ours)]
    assert told[0] == told[1] == told[2]
    assert "LogisticRegression" in told[0]


@pytest.mark.parametrize("kept", ["", "{", "[]", '{"SKLEARN_ESTIMATOR_TYPE_NAMES": ["builtins.eval"]}'])
def test_lists_of_types_that_cannot_be_used_are_worked_out_again(kept: str, tmp_path: Path) -> None:
    place = "from jupyter_mlops.tracking.skops_import import _place; print(_place())"
    file = Path(printed(place, tmp_path).strip())
    file.parent.mkdir(parents=True)
    file.write_text(kept)
    code = (
        "from jupyter_mlops.tracking.skops_import import skops_io; skops_io()\n"
        "from skops.io._trusted_types import SKLEARN_ESTIMATOR_TYPE_NAMES as names; print(len(names), names[0])"
    )
    count, first = printed(code, tmp_path).split()
    assert int(count) > 150
    assert first.startswith("sklearn.")
    assert len(json.loads(file.read_text())) > 3


def test_classes_that_skops_did_not_import_are_known_to_it(tmp_path: Path) -> None:
    ours = "import sys; from jupyter_mlops.tracking.skops_import import skops_io; io = skops_io()\n"
    used = (
        "print('sklearn.cluster' in sys.modules, 'sklearn.tree' in sys.modules)\n"
        "from sklearn.cluster import Birch, KMeans\n"
        "from sklearn.tree import DecisionTreeRegressor\n"
        "class Mine(Birch): pass\n"
        "X = [[0, 1], [1, 0], [5, 5], [6, 5]]\n"
        "print(len(io.dumps(KMeans(2).fit(X))) > 0)\n"
        "tree = DecisionTreeRegressor().fit(X, [1, 2, 3, 4])\n"
        "data = io.dumps(tree); unknown = io.get_untrusted_types(data=data); print(*unknown)\n"
        "print(*io.loads(data, trusted=unknown).predict(X))\n"
        "for model in (Birch().fit(X), [Mine().fit(X)]):\n"
        "    try: io.dumps(model)\n"
        "    except Exception as error: print(type(error).__name__)\n"
    )
    printed(ours, tmp_path)  # works the lists out, for which everything is imported
    told = ["True", "sklearn.tree._tree.Tree", "1.0", "2.0", "3.0", "4.0", *["UnsupportedTypeException"] * 2]
    assert printed(ours + used, tmp_path).split() == ["False", "False", *told]
    everything = "import sklearn.cluster\n"
    assert printed(everything + ours + used, tmp_path).split() == ["True", "True", *told]


def printed(code: str, cache: Path) -> str:
    environment = {**os.environ, "XDG_CACHE_HOME": str(cache)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    return done.stdout


def test_a_package_of_another_environments_is_no_code_of_the_users(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An environment that is layered upon another by a `.pth` file: its packages were copied into every model."""
    place = tmp_path / "lib" / "site-packages" / "layered_package"
    place.mkdir(parents=True)
    (place / "__init__.py").write_text("")
    monkeypatch.syspath_prepend(place.parent)
    importlib.import_module("layered_package")
    assert copy_code(["layered_package"], tmp_path / "code") == []
