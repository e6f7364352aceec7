"""A deployment's contract: what keeps it is answered as ever, what breaks it is told column by column and reaches no model."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pandas as pd
import pytest
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from jupyter_mlops.domain.contract import ColumnRule, Contract
from jupyter_mlops.errors import InvalidArgument, PredictionRefused
from jupyter_mlops.serving.contracted import ContractedModel, contract_for
from jupyter_mlops.serving.model import Ask, SklearnModel
from jupyter_mlops.serving.signature import Signature
from jupyter_mlops.session import Session

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


@pytest.fixture(scope="module")
def held() -> ContractedModel:
    signature = Signature.parse(SIGNATURE)
    assert signature is not None
    contract = contract_for(Contract("people@v1", RULES), TAKEN)
    return ContractedModel(SklearnModel(fitted(), signature), contract, signature)


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
def test_what_breaks_it_is_told_by_column(held: ContractedModel, record: dict[str, Any], says: str) -> None:
    (answer,) = held.answer_many([ask(record)])
    told = json.loads(answer.body)
    assert answer.status == 400
    assert told["error_code"] == "INVALID_PARAMETER_VALUE"
    assert told["message"].startswith("The request breaks the contract of people@v1: ")
    assert says in told["message"]


def test_requests_asked_together_are_answered_each_by_itself(held: ContractedModel) -> None:
    asks = [ask(GOOD), ask({**GOOD, "age": 3}), ask(GOOD, {**GOOD, "job": "nurse"}), ask({"age": "x", "job": "cook"})]
    together = held.answer_many(asks)
    assert [answer.status for answer in together] == [200, 400, 200, 400]
    assert [answer.rows for answer in together] == [1, 0, 2, 0]
    assert together == [held.inner.answer_many([a])[0] if i in (0, 2) else held.answer_many([a])[0] for i, a in enumerate(asks)]  # fmt: skip
    assert b"contract" not in together[3].body  # not even the signature is kept: that is told first
    assert held.answer_now(asks) == [None] * 4


def test_the_row_that_breaks_it_is_named(held: ContractedModel) -> None:
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
    deployed = session.deploy("people@champion", contract="people@v1", workers=2)
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
