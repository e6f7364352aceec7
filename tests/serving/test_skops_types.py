"""Types that a skops file names itself: what a library vouches for is loaded, anything else asks for consent as a pickle does."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from served_models import save
from sklearn.base import clone
from sklearn.ensemble import GradientBoostingClassifier, HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.feature_selection import SelectKBest, f_classif
from sklearn.gaussian_process import GaussianProcessClassifier
from sklearn.gaussian_process.kernels import RBF
from sklearn.linear_model import SGDClassifier
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, SplineTransformer
from sklearn.svm import SVC

from jupyter_mlops.errors import InvalidArgument
from jupyter_mlops.evaluation.loading import load_estimator
from jupyter_mlops.serving.load import ModelFolder
from jupyter_mlops.tracking.skops_import import skops_io
from jupyter_mlops.tracking.skops_trust import check_homes, unknown_types

MODELS = [
    HistGradientBoostingClassifier(max_iter=2),
    GradientBoostingClassifier(n_estimators=2),
    RandomForestClassifier(2),
    SGDClassifier(),
    SVC(),
    KNeighborsClassifier(algorithm="kd_tree"),
    GaussianProcessClassifier(RBF()),
    make_pipeline(
        SplineTransformer(), FunctionTransformer(np.nan_to_num), SelectKBest(f_classif, k=1), SGDClassifier("log_loss")
    ),
]


@pytest.mark.parametrize("model", MODELS, ids=lambda model: type(model).__name__)
def test_what_scikit_learn_defines_needs_no_consent(model: Any) -> None:
    rows = np.random.default_rng(0).normal(size=(40, 2))
    data = skops_io().dumps(clone(model).fit(rows, rows[:, 0] > 0))
    named = skops_io().get_untrusted_types(data=data)
    assert unknown_types(named) == []
    check_homes(named)


@pytest.mark.parametrize(
    "name",
    ["posix.system", "builtins.eval", "subprocess.Popen", "numpy.load", "numpy.memmap", "numpy.testing._private.utils.runstring",
     "sklearn.datasets._base.load_files", "pandas.read_pickle", "scipy.io._netcdf.netcdf_file", "mine.Twice"],
)  # fmt: skip
def test_what_could_do_harm_is_not_known(name: str) -> None:
    assert unknown_types([name]) == [name]


def test_a_library_vouches_for_what_is_its_own_only() -> None:
    with pytest.raises(ValueError, match="importlib"):
        check_homes(["sklearn.utils.discovery.import_module"])


@pytest.fixture
def crafted(tmp_path: Path) -> tuple[Path, Path]:
    """A model whose file runs a command when it is loaded, which its MLmodel calls trusted; and what the command makes."""
    model, made = save(tmp_path / "models")["people"], tmp_path / "made"
    archive = zipfile.ZipFile(io.BytesIO(skops_io().dumps((f"touch {made}",))))
    content = json.loads(archive.read("schema.json"))
    told = {key: content.pop(key) for key in ("protocol", "_skops_version") if key in content}
    schema = {
        "__class__": "system",
        "__module__": "posix",
        "__loader__": "ConstructorFromReduceNode",
        "content": content,
        **told,
    }
    facts = yaml.safe_load((model / "MLmodel").read_text())
    facts["flavors"]["sklearn"]["skops_trusted_types"] = ["posix.system"]
    (model / "MLmodel").write_text(yaml.safe_dump(facts))
    with zipfile.ZipFile(model / facts["flavors"]["sklearn"]["pickled_model"], "w") as written:
        for name in archive.namelist():
            written.writestr(name, json.dumps(schema) if name == "schema.json" else archive.read(name))
    return model, made


def test_a_file_that_calls_a_command_trusted_needs_consent(crafted: tuple[Path, Path]) -> None:
    model, made = crafted
    with pytest.raises(InvalidArgument, match=r"only its own MLmodel file vouches for: posix\.system") as told:
        ModelFolder.open(model).estimator(allow_pickle=False)
    assert "--allow-pickle" in told.value.hint
    with pytest.raises(InvalidArgument, match=r"posix\.system"):
        load_estimator(model, "people@1")
    assert not made.exists()
    ModelFolder.open(model).estimator(allow_pickle=True)
    assert made.exists(), "the file does what it was made for, so that this test can fail"


def test_a_type_that_the_model_does_not_name_is_told_of(tmp_path: Path) -> None:
    import mlflow

    rows = np.arange(8.0).reshape(4, 2)
    mlflow.sklearn.save_model(
        RandomForestClassifier(1).fit(rows, [0, 1, 0, 1]), tmp_path / "m", serialization_format="skops", pip_requirements=[],
        skops_trusted_types=["sklearn.tree._tree.Tree"],
    )  # fmt: skip
    facts = yaml.safe_load((tmp_path / "m" / "MLmodel").read_text())
    facts["flavors"]["sklearn"]["skops_trusted_types"] = []
    (tmp_path / "m" / "MLmodel").write_text(yaml.safe_dump(facts))
    with pytest.raises(InvalidArgument, match=r"the model's file holds sklearn\.tree\._tree\.Tree") as told:
        ModelFolder.open(tmp_path / "m").estimator(allow_pickle=False)
    assert "skops_trusted_types" in told.value.hint
