"""XGBoost's and LightGBM's models as MLflow stores them in their own flavors: served without mlflow, and answered alike."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pandas as pd
import pytest

from jupyter_mlops.serving.compiled.build import build
from jupyter_mlops.serving.load import ModelFolder
from jupyter_mlops.store.pyfunc import Pyfunc

ROWS = 120
TABLE = pd.DataFrame(
    {
        "age": np.arange(ROWS) % 17 * 1.5,
        "gain": np.where(np.arange(ROWS) % 5 == 0, np.nan, np.arange(ROWS) * 0.1),
        "hours": np.arange(ROWS) % 7 * 1.0,
    }
)
TARGET = ((TABLE.age + TABLE.hours) > 14).astype(int).to_numpy()


def xgboost_classifier() -> Any:
    import xgboost

    return xgboost.XGBClassifier(n_estimators=6, max_depth=3, n_jobs=1).fit(TABLE, TARGET)


def xgboost_regressor() -> Any:
    import xgboost

    return xgboost.XGBRegressor(n_estimators=6, max_depth=3, n_jobs=1).fit(TABLE, TARGET * 2.5)


def xgboost_booster() -> Any:
    import xgboost

    data = xgboost.DMatrix(TABLE, label=TARGET)
    return xgboost.train({"objective": "binary:logistic", "max_depth": 3, "nthread": 1}, data, 5)


def lightgbm_booster() -> Any:
    import lightgbm

    data = lightgbm.Dataset(TABLE, label=TARGET)
    return lightgbm.train({"objective": "binary", "num_threads": 1, "verbose": -1, "min_data_in_leaf": 5}, data, 5)


def lightgbm_classifier() -> Any:
    import lightgbm

    return lightgbm.LGBMClassifier(n_estimators=5, n_jobs=1, verbose=-1, min_child_samples=5).fit(TABLE, TARGET)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("make", "path"),
    [
        (xgboost_classifier, "compiled"),
        (xgboost_regressor, "compiled"),
        (xgboost_booster, "dataframe"),
        (lightgbm_booster, "dataframe"),
        (lightgbm_classifier, "compiled"),
    ],
)
def test_their_own_flavors(make: Callable[[], Any], path: str, tmp_path: Path) -> None:
    library = make.__name__.partition("_")[0]
    pytest.importorskip(library)
    import mlflow
    from mlflow.models import infer_signature

    model = make()
    flavor = getattr(mlflow, library)
    more: dict[str, Any] = {}
    if library == "lightgbm" and hasattr(model, "fit"):
        more = {"serialization_format": "skops", "skops_trusted_types": TRUSTED}
    signature = infer_signature(TABLE, TARGET)
    flavor.save_model(model, tmp_path / "model", signature=signature, pip_requirements=[library], **more)
    folder = ModelFolder.open(tmp_path / "model")
    assert folder.native()
    plan = build(folder, tmp_path / "plan", allow_pickle=False)
    assert plan.path in (path, "encoder"), plan.reason
    served = folder.load(allow_pickle=False, plan=tmp_path / "plan")
    rows = json.loads(TABLE.head(9).to_json(orient="split", index=False))
    body = orjson.dumps({"dataframe_split": rows})
    theirs = json.loads(Pyfunc(tmp_path / "model", allow_pickle=True).answer(body, "application/json")[1])
    ours = served.answer(body, "application/json")
    assert ours.status == 200, ours.body
    np.testing.assert_allclose(json.loads(ours.body)["predictions"], theirs["predictions"], rtol=1e-6)
    bad = served.answer(b'{"dataframe_split": {"columns": ["age"], "data": [[1]]}}', "application/json")
    assert bad.status == 400
    assert b"hours" in bad.body


JOBS = pd.DataFrame({"age": TABLE.age, "job": pd.Categorical(np.resize(["nurse", "cook", "clerk"], ROWS))})


def fitted(library: str, *, booster: bool = False) -> Any:
    if library == "xgboost":
        import xgboost

        return xgboost.XGBClassifier(n_estimators=6, n_jobs=1, enable_categorical=True).fit(JOBS, JOBS.job == "cook")
    import lightgbm

    made = lightgbm.LGBMClassifier(n_estimators=6, n_jobs=1, verbose=-1, min_child_samples=5)
    made.fit(JOBS, JOBS.job == "cook")
    return made.booster_ if booster else made


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("stored", ["tracked", "own flavor"])
@pytest.mark.parametrize("library", ["xgboost", "lightgbm"])
def test_categories_are_given_back_to_who_splits_by_them(library: str, stored: str, tmp_path: Path) -> None:
    """MLflow's own server cannot ask such a model: a request holds texts, and the model wants its categories."""
    pytest.importorskip(library)
    place = tmp_path / "model"
    if stored == "tracked":
        from jupyter_mlops.tracking.model_package import write_package

        model = fitted(library)
        write_package(model, place, training=JOBS, profile=None, personal=None)
    else:
        import mlflow
        from mlflow.models import infer_signature

        model = fitted(library, booster=True)
        signature = infer_signature(JOBS.astype({"job": str}))
        getattr(mlflow, library).save_model(model, place, signature=signature, pip_requirements=[library])
    served = ModelFolder.open(place).load(allow_pickle=False)
    rows = JOBS.astype({"job": str}).head(30)
    answer = served.answer(orjson.dumps({"dataframe_split": rows.to_dict("split")}), "application/json")
    assert answer.status == 200, answer.body
    given = np.asarray(json.loads(answer.body)["predictions"], float)
    np.testing.assert_allclose(given, np.asarray(model.predict(JOBS.head(30)), float), rtol=1e-6)
    unknown = json.dumps({"dataframe_records": [{"age": 1.0, "job": "pilot"}]}).encode()
    refused = served.answer(unknown, "application/json")
    assert refused.status in (200, 400)  # as the library judges what it has not seen
    assert b"Stack trace" not in refused.body


TRUSTED = [
    "collections.OrderedDict",
    "lightgbm.basic.Booster",
    "lightgbm.sklearn.LGBMClassifier",
    "sklearn.preprocessing._label.LabelEncoder",
    "collections.defaultdict",
]
