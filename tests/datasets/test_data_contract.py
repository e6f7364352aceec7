"""Contracts: what is learnt holds, tables and plain rows are judged alike, and pandera agrees."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jupyter_mlops.datasets.contract import breaches, enforce, learn, pandera_code, read_contract
from jupyter_mlops.domain.contract import ColumnRule, Contract, breaches_of
from jupyter_mlops.errors import IntegrityFailure, InvalidArgument, NotFound

FRAME = pd.DataFrame(
    {
        "age": [17, 90] * 20,
        "height": [1.5, None] * 20,
        "job": ["clerk", "baker"] * 20,
        "id": range(100, 140),
        "ok": [True, False] * 20,
        "day": pd.date_range("2026-01-01", periods=40),
    }
)
RULES = learn(FRAME, "people@v1")


def broken() -> dict[str, tuple[pd.DataFrame, set[tuple[str, str]]]]:
    f = FRAME
    return {
        "nothing": (f, set()),
        "fewer rows": (f.iloc[3:9], set()),
        "column": (f.drop(columns="job"), {("job", "column")}),
        "missing": (f.assign(age=f.age.where(f.index > 0)), {("age", "missing")}),
        "half": (f.assign(age=f.age + 0.5), {("age", "type")}),
        "range": (f.assign(height=f.height * 3), {("height", "range")}),
        "category": (f.assign(job=f.job.where(f.index > 0, "pirate")), {("job", "category")}),
        "unique": (f.assign(id=f.id.where(f.index > 0, 101)), {("id", "unique")}),
        "text": (f.assign(age=f.age.astype(str)), {("age", "type")}),
        "truth": (f.assign(ok="yes"), {("ok", "type")}),
        "late": (f.assign(day=f.day + pd.Timedelta("900D")), {("day", "range")}),
    }


@pytest.mark.parametrize("case", broken())
def test_tables_rows_and_pandera_agree(case: str) -> None:
    frame, expected = broken()[case]
    assert {(b.column, b.kind) for b in breaches(RULES, frame)} == expected
    rows = {str(c): [None if pd.isna(v) else v for v in frame[c].tolist()] for c in frame}
    assert {(b.column, b.kind) for b in breaches_of(RULES, rows)} == expected
    for breach in breaches(RULES, frame):
        compile(breach.fix.format(table="df"), "fix", "exec")
    pa = pytest.importorskip("pandera.pandas")
    scope: dict[str, Any] = {}
    exec(pandera_code(RULES), scope)
    if expected:
        with pytest.raises((pa.errors.SchemaErrors, pa.errors.SchemaError)):
            scope["schema"].validate(frame, lazy=True)
    else:
        scope["schema"].validate(frame, lazy=True)


columns = st.sampled_from(
    [
        st.integers(-5, 5),
        st.floats(-3, 3),
        st.one_of(st.none(), st.floats(-3, 3)),
        st.one_of(st.none(), st.sampled_from(["a", "b", "{c}"])),
        st.booleans(),
    ]
)


@settings(max_examples=150, deadline=None)
@given(st.data(), columns, columns)
def test_what_was_learnt_holds_and_both_judges_agree(data: st.DataObject, first: Any, second: Any) -> None:
    learnt = pd.DataFrame({"c": data.draw(st.lists(first, min_size=1, max_size=25))})
    contract = learn(learnt, "t@v1")
    assert Contract.from_dict(json.loads(json.dumps(contract.to_dict()))) == contract
    assert breaches(contract, learnt) == []
    other = pd.DataFrame({"c": data.draw(st.lists(second, min_size=1, max_size=25))})
    rows = {"c": [None if pd.isna(v) else v for v in other.c.tolist()]}
    told = {(b.kind, b.count, b.rows) for b in breaches(contract, other)}
    assert told == {(b.kind, b.count, b.rows) for b in breaches_of(contract, rows)}


def test_a_pipeline_enforces_it_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "people.json"
    file.write_text(json.dumps(RULES.to_dict()))
    assert enforce(FRAME, file) is FRAME
    assert enforce(FRAME.assign(age=91), file) is not None  # outside the learnt range: a warning
    with pytest.raises(InvalidArgument, match=r"age: 20 cells outside 17 to 90"):
        enforce(FRAME.assign(age=[17, 91] * 20), file, allow=())
    with pytest.raises(InvalidArgument, match="there is no column 'job'"):
        enforce(FRAME.drop(columns="job"), file)
    file.write_text("{}")
    with pytest.raises(IntegrityFailure, match="holds no contract"):
        read_contract(file)
    with pytest.raises(NotFound, match="no contract at"):
        read_contract(tmp_path / "none.json")


def test_other_columns_may_be_forbidden() -> None:
    strict = Contract("t@v1", (ColumnRule("x", "number"),), extra=False)
    assert [b.kind for b in breaches(strict, pd.DataFrame({"x": [1.0], "{y}": [np.nan]}))] == ["extra"]
