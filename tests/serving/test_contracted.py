"""A deployment's contract: what keeps it is answered as ever, what breaks it is told column by column and reaches no model."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from jupyter_mlops.domain.contract import ColumnRule, Contract, breaches_of
from jupyter_mlops.errors import InvalidArgument, PredictionRefused
from jupyter_mlops.serving.compiled.build import build
from jupyter_mlops.serving.contracted import Held, contract_for
from jupyter_mlops.serving.load import ModelFolder
from jupyter_mlops.serving.model import Ask, PyfuncModel, ServedModel
from jupyter_mlops.serving.signature import Signature
from jupyter_mlops.session import Session
from jupyter_mlops.store.pyfunc import Pyfunc

ROWS = 200
draw = np.random.default_rng(0)
TABLE = pd.DataFrame(
    {"age": draw.integers(17, 90, ROWS), "job": draw.choice(["cook", "clerk", "nurse"], ROWS), "id": np.arange(ROWS)}
)
TARGET = np.where(TABLE.age > 50, "late", "early")
TAKEN = ["age", "job"]
SIGNATURE = '[{"type": "long", "name": "age", "required": true}, {"type": "string", "name": "job", "required": true}]'
RULES = (
    ColumnRule("age", "integer", minimum=17, maximum=90),
    ColumnRule("job", "text", categories=("clerk", "cook", "nurse")),
    ColumnRule("id", "integer", unique=True),
)


def fitted() -> Any:
    encode = make_column_transformer((OneHotEncoder(handle_unknown="ignore"), ["job"]), remainder="passthrough")
    return make_pipeline(encode, LogisticRegression()).fit(TABLE[TAKEN], TARGET)


WAYS = ("compiled", "dataframe", "pyfunc")


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> dict[str, ServedModel]:
    """The same model by every way by which one is served."""
    import mlflow
    from mlflow.models import infer_signature

    place = tmp_path_factory.mktemp("model")
    signature = infer_signature(TABLE[TAKEN], TARGET)
    mlflow.sklearn.save_model(
        fitted(), place / "m", signature=signature, input_example=TABLE[TAKEN].head(2), serialization_format="skops",
        pip_requirements=["scikit-learn"],
    )  # fmt: skip
    folder = ModelFolder.open(place / "m")
    build(folder, place / "plan", allow_pickle=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "")
        asked = Pyfunc(place / "m", allow_pickle=True)
    made = {
        "compiled": folder.load(allow_pickle=False, plan=place / "plan"),
        "dataframe": folder.load(allow_pickle=False),
        "pyfunc": PyfuncModel(asked.answer),
    }
    assert {way: model.path for way, model in made.items()} == {way: way for way in WAYS}
    return made


@pytest.fixture(params=WAYS)
def held(served: dict[str, ServedModel], request: pytest.FixtureRequest) -> Iterator[ServedModel]:
    signature = Signature.parse(SIGNATURE)
    assert signature is not None
    model = served[request.param]
    model.held = Held(contract_for(Contract("people@v1", RULES), TAKEN), signature)
    yield model
    model.held = None


def ask(*records: dict[str, Any]) -> Ask:
    return Ask(orjson.dumps({"dataframe_records": records}))


GOOD = {"age": 30, "job": "cook"}


@pytest.mark.parametrize(
    ("record", "says"),
    [
        ({"age": 999, "job": "cook"}, "column 'age': 1 cell outside 17 to 90, such as '999' (row 0)"),
        ({"age": 30, "job": "pilot"}, "column 'job': 1 cell hold other values than clerk, cook, nurse, such as 'pilot' (row 0)"),
        ({"age": 30, "job": None}, "column 'job': 1 cell missing, where none may be (row 0)"),
        ({"age": 16, "job": "pilot"}, "(row 0); column 'job'"),
    ],
)  # fmt: skip
def test_what_breaks_it_is_told_by_column(held: ServedModel, record: dict[str, Any], says: str) -> None:
    (answer,) = held.answer_many([ask(record)])
    told = json.loads(answer.body)
    assert answer.status == 400
    assert told["error_code"] == "INVALID_PARAMETER_VALUE"
    assert told["message"].startswith("The request breaks the contract of people@v1: ")
    assert says in told["message"]


def test_requests_asked_together_are_answered_each_by_itself(held: ServedModel) -> None:
    asks = [ask(GOOD), ask({**GOOD, "age": 3}), ask(GOOD, {**GOOD, "job": "nurse"}), ask({"age": "x", "job": "cook"})]
    together = held.answer_many(asks)
    assert [answer.status for answer in together] == [200, 400, 200, 400]
    assert [answer.rows for answer in together] == [1, 0, 2, 0]
    assert together == [held.answer_many([a])[0] for a in asks]
    assert b"contract" not in together[3].body  # not even the signature is kept: that is told first
    if held.quick:
        assert list(held.answer_now(asks)) == [*together[:3], None]
    held.held = None
    assert [answer.status for answer in held.answer_many(asks)] == [200, 200, 200, 400]
    assert held.answer_many(asks)[2] == together[2]


def test_a_request_is_read_once(served: dict[str, ServedModel], monkeypatch: pytest.MonkeyPatch) -> None:
    """A contract costs no second look into the body, and none by way of pandas where the model needs none."""
    signature = Signature.parse(SIGNATURE)
    assert signature is not None
    model: Any = served["compiled"]
    monkeypatch.setattr(model, "held", Held(contract_for(Contract("people@v1", RULES), TAKEN), signature))
    monkeypatch.setattr(model, "_read", None)
    decoded, decode = [], model._decoder.decode
    monkeypatch.setattr(model._decoder, "decode", lambda body: decoded.append(body) or decode(body))
    asks = [ask(GOOD), ask({**GOOD, "age": 3}), ask(GOOD, {**GOOD, "job": "nurse"})]
    assert [answer.status for answer in model.answer_now(asks)] == [200, 400, 200]
    assert decoded == [each.body for each in asks]


VALUES = st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(["cook", "nurse", "1", ""])


@given(
    st.sampled_from(["integer", "number", "text", "truth"]),
    st.none() | st.floats(-100, 100),
    st.none() | st.floats(-100, 100),
    st.none() | st.just(("cook", "nurse")),
    VALUES,
)
def test_the_quick_look_lets_nothing_through(
    kind: Any, low: float | None, high: float | None, categories: tuple[str, ...] | None, value: Any
) -> None:
    rule = ColumnRule("age", kind, minimum=low, maximum=high, categories=categories if kind == "text" else None)
    signature = Signature.parse(SIGNATURE)
    assert signature is not None
    contract = Contract("people@v1", (rule,))
    refused = Held(contract, signature).rows([(value, "cook")])
    assert (refused is not None) == bool(breaches_of(contract, {"age": [value]}))


def test_the_row_that_breaks_it_is_named(held: ServedModel) -> None:
    (answer,) = held.answer_many([ask(GOOD, {**GOOD, "age": 1}, GOOD, {**GOOD, "age": 2})])
    assert "2 cells outside 17 to 90, such as '1', '2' (row 1, 3)" in json.loads(answer.body)["message"]


def test_what_spans_rows_or_is_no_input_is_left_out() -> None:
    kept = contract_for(Contract("people@v1", RULES), ["job", "id"])
    assert [(rule.name, rule.unique, rule.required) for rule in kept.columns] == [("job", False, False), ("id", False, False)]  # fmt: skip


def test_a_deployment_keeps_the_contract_of_its_training_data(
    make_session: Callable[..., Session], tmp_path: Path
) -> None:
    session = make_session()
    session.data.save(TABLE, name="people")
    session.register(fitted(), name="people", data=TABLE[TAKEN], alias="champion")
    deployed = session.deploy("people@champion", contract="people@v1", workers=2, grpc=True)
    assert "requests have to keep the contract of people@v1" in deployed.text()
    assert len(session.predict("people", TABLE[TAKEN])) == ROWS
    with pytest.raises(PredictionRefused, match="column 'age': 1 cell outside"):
        session.predict("people", pd.DataFrame([{**GOOD, "age": 999}]))
    body = orjson.dumps({"inputs": [
        {"name": "age", "shape": [1], "datatype": "INT64", "data": [30]},
        {"name": "job", "shape": [1], "datatype": "BYTES", "data": ["pilot"]},
    ]})  # fmt: skip
    headers = {"Authorization": f"Bearer {Path(deployed.token_file).read_text().strip()}"}
    infer = urllib.request.Request(f"{deployed.url}/v2/models/people/infer", body, headers)
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(infer, timeout=30)
    assert refused.value.code == 400
    assert b"pilot" in refused.value.read()
    _over_grpc(deployed, headers)
    _in_a_batch(session, tmp_path)

    narrower = tmp_path / "adults.json"
    session.data.contract("people@v1", output=str(narrower))
    narrower.write_text(narrower.read_text().replace(f'"minimum":{float(TABLE.age.min())}', '"minimum":40.0').replace(f'"minimum": {float(TABLE.age.min())}', '"minimum": 40.0'))  # fmt: skip
    session.deploy("people@champion", contract=str(narrower))
    with pytest.raises(PredictionRefused, match="outside 40 to"):
        session.predict("people", pd.DataFrame([GOOD]))
    session.deploy("people@champion")
    assert len(session.predict("people", pd.DataFrame([{**GOOD, "age": 999}]))) == 1

    session.data.save(pd.DataFrame({"other": [1, 2]}), name="other")
    with pytest.raises(InvalidArgument, match="has no column that people@1 takes: age, job"):
        session.deploy("people@champion", name="second", contract="other@v1")


def _over_grpc(deployed: Any, headers: dict[str, str]) -> None:
    grpc = pytest.importorskip("tritonclient.grpc")

    def infer(ages: list[int], jobs: list[str]) -> list[str]:
        given = [grpc.InferInput("age", [len(ages)], "INT64"), grpc.InferInput("job", [len(jobs)], "BYTES")]
        for tensor, data in zip(given, (np.array(ages), np.array(jobs, object)), strict=True):
            tensor.set_data_from_numpy(data)
        answer = client.infer("people", given, headers={k.lower(): v for k, v in headers.items()})
        return [label.decode() for label in answer.as_numpy("predict")]

    with grpc.InferenceServerClient(deployed.grpc) as client:
        assert infer([30, 80], ["cook", "nurse"]) == ["early", "late"]
        with pytest.raises(
            Exception, match=r"breaks the contract of people@v1: column 'job'.*'pilot' \(row 1\)"
        ) as refused:
            infer([30, 31], ["cook", "pilot"])
    assert "INVALID_ARGUMENT" in refused.value.status()


def _in_a_batch(session: Session, folder: Path) -> None:
    """What keeps the contract is predicted; the first piece that breaks it is named, and what was done stays."""
    source = folder / "many.parquet"
    broken = pd.concat([TABLE[TAKEN], TABLE[TAKEN].assign(job="pilot")])
    broken.to_parquet(source, row_group_size=ROWS, index=False)
    with pytest.raises(PredictionRefused, match=r"row group 1 of .*many.parquet.*'pilot'"):
        session.predict("people", str(source), out=str(folder / "out"))
    assert len(pd.read_parquet(folder / "out")) == ROWS
