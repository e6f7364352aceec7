"""Models on disk for the serving tests, written by stock MLflow, and a model server run as a process on one of them."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from jupyter_mlops.domain.contract import Contract
from jupyter_mlops.serving.deployment_folder import DeploymentFolder, StoredDeployment

PEOPLE = pd.DataFrame(
    {
        "age": np.arange(60) % 17 * 1.5,
        "children": np.arange(60) % 4,
        "job": ["cook", "smith", "clerk"] * 20,
        "member": [True, False] * 30,
        "since": pd.date_range("2024-01-01", periods=60, freq="D").astype("datetime64[ns]"),
    }
)
COLUMNS = list(PEOPLE)
PEOPLE_TABLE = PEOPLE[["age", "children", "job", "member"]]


def days(frame: pd.DataFrame) -> pd.DataFrame:
    """Dates as numbers; a function that the saved model refers to."""
    return frame.assign(since=(frame["since"] - pd.Timestamp("2024-01-01")).dt.days)


def save(folder: Path) -> dict[str, Path]:
    """A pipeline on mixed columns, a regression on an array, one without a signature, and one stored as a pickle."""
    import mlflow
    from mlflow.models import infer_signature
    from mlflow.types import ColSpec, Schema
    from sklearn.compose import make_column_transformer
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.linear_model import LinearRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder

    plain = PEOPLE.drop(columns="since")
    target = np.where(PEOPLE.age > 10, "high", "low")
    encode = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore"), ["job"]),
        ("drop", ["since"]),
        remainder="passthrough",
    )
    pipeline = make_pipeline(encode, HistGradientBoostingClassifier(max_iter=8)).fit(PEOPLE, target)
    signature = infer_signature(PEOPLE, pipeline.predict(PEOPLE))
    # members may be unknown
    specs = [ColSpec(c.type, c.name, required=c.name != "member") for c in signature.inputs.inputs]
    signature.inputs = Schema(specs)
    trusted = ["sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor"]
    array = plain[["age", "children"]].to_numpy(float)
    line = LinearRegression().fit(array, array @ [2.0, 3.0])
    two = LinearRegression().fit(array, array * 2)
    common = {"pip_requirements": ["scikit-learn"]}
    skops = {**common, "serialization_format": "skops"}
    mlflow.sklearn.save_model(
        pipeline,
        folder / "people",
        signature=signature,
        input_example=PEOPLE.head(2),
        skops_trusted_types=trusted,
        **skops,
    )
    mlflow.sklearn.save_model(
        line, folder / "array", signature=infer_signature(array, line.predict(array)), input_example=array[:2], **skops
    )
    mlflow.sklearn.save_model(two, folder / "bare", **skops)
    mlflow.sklearn.save_model(line, folder / "pickled", serialization_format="cloudpickle", **common)
    return {path.name: path for path in folder.iterdir()}


@dataclass
class RunningServer:
    """A model server process."""

    process: subprocess.Popen[bytes]
    port: int
    folder: DeploymentFolder
    grpc_port: int = -1

    @property
    def token(self) -> str:
        return self.folder.token()

    def ask(self, method: str, path: str, body: bytes | None = None, **headers: str) -> tuple[int, dict, bytes]:
        """Status, headers in lower case, body; with the token unless ``authorization`` says otherwise."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=30)
        sent = {k.replace("_", "-"): v for k, v in headers.items() if v}
        if "authorization" not in headers:
            sent["Authorization"] = f"Bearer {self.token}"
        try:
            connection.request(method, path, body, sent)
            response = connection.getresponse()
            return response.status, {k.lower(): v for k, v in response.getheaders()}, response.read()
        finally:
            connection.close()

    def predict(self, frame: pd.DataFrame, **headers: str) -> tuple[int, dict, bytes]:
        return self.ask("POST", "/invocations", split_body(frame), content_type="application/json", **headers)


def split_body(frame: pd.DataFrame) -> bytes:
    return json.dumps(
        {"dataframe_split": json.loads(frame.to_json(orient="split", date_format="iso", index=False))}
    ).encode()


BLOCKER = """
import sys, runpy
class Blocker:
    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        jupyter = top.startswith("jupyter") and top != "jupyter_mlops"
        if jupyter or top in ("IPython", "ipykernel", "ipywidgets", "anywidget", "plotly", "mlflow", "tornado", "traitlets"):
            raise ImportError(f"{name} is not installed here")
sys.meta_path.insert(0, Blocker())
sys.argv = ["server", *sys.argv[1:]]
runpy.run_module("jupyter_mlops.serving.server", run_name="__main__")
"""


@contextmanager
def running(
    model: Path,
    home: Path,
    *,
    blocked: bool = True,
    allow_pickle: bool = False,
    grpc: bool = False,
    workers: int = 1,
    contract: Contract | None = None,
) -> Iterator[RunningServer]:
    """A server on `model`, as it is started by hand, where by default no Jupyter package and no mlflow can be imported."""
    folder = DeploymentFolder.of(home, "people")
    with socket.socket() as probe, socket.socket() as other:
        probe.bind(("127.0.0.1", 0))
        other.bind(("127.0.0.1", 0))
        port, grpc_port = probe.getsockname()[1], other.getsockname()[1] if grpc else -1
    place = folder.generation("g1")
    place.mkdir(parents=True)
    shutil.copytree(model, place / "model")
    held = None if contract is None else contract.to_dict()
    settings = {"model": "people@1", "allow_pickle": allow_pickle, "root": str(home), "contract": held}
    (place / "serving.json").write_text(json.dumps(settings))
    folder.token(make=True)
    folder.write(
        StoredDeployment(
            name="people",
            model="people@1",
            asked="people",
            state="running",
            generation="g1",
            request="r1",
            host="127.0.0.1",
            port=port,
            python=sys.executable,
            grpc_port=grpc_port,
        )
    )
    command = [
        sys.executable,
        *(["-c", BLOCKER] if blocked else ["-m", "jupyter_mlops.serving.server"]),
        str(folder.path),
        *(["--workers", str(workers)] if workers > 1 else []),
    ]
    with folder.server_log.open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        wait_for(port, process, folder)
        yield RunningServer(process, port, folder, grpc_port)
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def wait_for(port: int, process: subprocess.Popen[bytes], folder: DeploymentFolder) -> None:
    deadline = time.monotonic() + 180  # compiling takes a minute on a very busy machine
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=1):
                return
        except OSError:
            time.sleep(0.05)
    raise AssertionError(f"the server did not come up: {folder.last_lines()}")


@pytest.fixture(scope="module")
def people_pipeline() -> Any:
    """A classifier behind a scaler and an encoder."""
    from sklearn.compose import make_column_transformer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    encode = make_column_transformer(
        (StandardScaler(), ["age", "children"]),
        (OneHotEncoder(handle_unknown="ignore"), ["job"]),
        remainder="passthrough",
    )
    return make_pipeline(encode, LogisticRegression()).fit(PEOPLE_TABLE, np.where(PEOPLE.age > 10, "high", "low"))


@pytest.fixture(scope="module")
def people_model(pipeline: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where it is stored as MLflow stores it."""
    import mlflow
    from mlflow.models import infer_signature

    place = tmp_path_factory.mktemp("model") / "people"
    mlflow.sklearn.save_model(
        pipeline,
        place,
        signature=infer_signature(PEOPLE_TABLE, pipeline.predict(PEOPLE_TABLE)),
        input_example=PEOPLE_TABLE.head(2),
        pip_requirements=["scikit-learn"],
        serialization_format="skops",
    )
    return place
