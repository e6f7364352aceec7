"""A sealed version: every way to its values is counted before they are handed out, audited, and told to the gate."""

from __future__ import annotations

import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression

from jupyter_mlops.domain.gate import GateReport
from jupyter_mlops.errors import MLOpsError, PromotionRefused
from jupyter_mlops.session import Session

RNG = np.random.default_rng(7)
TABLE = pd.DataFrame(RNG.normal(size=(80, 2)), columns=["a", "b"])
TABLE["target"] = np.where(TABLE["a"] + 0.3 * TABLE["b"] > 0, "yes", "no")

KILLED_WHILE_READING = """
import os, signal, sys
from pathlib import Path
from jupyter_mlops.datasets import opened
from jupyter_mlops.session import Session
opened.opened = lambda found: os.kill(os.getpid(), signal.SIGKILL)
Session.open(root=Path(sys.argv[1])).data.load("held@v1")
"""
LOADS = """
import sys
from pathlib import Path
from jupyter_mlops.session import Session
session = Session.open(root=Path(sys.argv[1]))
for _ in range(3):
    session.data.load("held@v1")
"""


def test_every_way_to_a_sealed_version_is_a_look(shared_session: Session, tmp_path: Path) -> None:
    data = shared_session.data
    data.save(TABLE, name="held")
    data.load("held")
    assert (data.log("held")[0].sealed_ms, data.log("held")[0].looks) == (0, 0), "not sealed yet: nothing is counted"
    assert "not sealed" in data.looks("held").text()
    sealed = data.seal("held@v1")
    assert sealed.sealed_ms > 0
    assert data.seal("held").sealed_ms == sealed.sealed_ms, "sealing again changes nothing"

    pd.testing.assert_frame_equal(data.load("held@v1"), TABLE)
    data.diff("held@v1", TABLE)
    data.check("held@v1")
    data.export("held@v1", output=str(tmp_path / "held.parquet"))
    assert [look.purpose for look in reversed(data.looks("held").looks)] == ["load", "diff", "check", "export"]
    assert data.log("held")[0].looks == 4
    assert "sealed, looked at 4 times" in data.log("held").text()
    assert "looked at 4 times" in data.looks("held@v1").text()
    told = [entry for entry in shared_session.audit("held@v1") if entry.action == "data.look"]
    assert [entry.details["purpose"] for entry in told][::-1] == ["load", "diff", "check", "export"]
    assert [entry.action for entry in shared_session.audit("held@v1") if entry.action == "data.seal"] != []

    larger = data.save(pd.concat([TABLE, TABLE[:9]]), name="held")
    assert larger.version == 2
    assert [v.looks for v in data.log("held")] == [0, 4], "building on it is no look, and the next one is not sealed"


def test_looks_are_counted_before_anything_is_handed_out_and_from_many_kernels(shared_session: Session) -> None:
    root = str(shared_session.context.workspace.root)
    before = len(shared_session.data.looks("held@v1"))
    died = subprocess.run([sys.executable, "-c", KILLED_WHILE_READING, root], check=False, capture_output=True)
    assert died.returncode == -signal.SIGKILL, died.stderr
    assert len(shared_session.data.looks("held@v1")) == before + 1
    with ThreadPoolExecutor(2) as pool:
        run = [pool.submit(subprocess.run, [sys.executable, "-c", LOADS, root], check=True) for _ in range(2)]
        for each in run:
            each.result()
    assert len(shared_session.data.looks("held@v1")) == before + 1 + 6


def test_a_store_that_cannot_count_hands_nothing_out(shared_session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    call = shared_session.context.service.call

    def refuse(operation: str, /, **arguments: object) -> object:
        if operation == "data.look":
            raise MLOpsError("the disk is full.")
        return call(operation, **arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(shared_session.context.service, "call", refuse)
    with pytest.raises(MLOpsError, match="disk is full"):
        shared_session.data.load("held@v1")
    with pytest.raises(MLOpsError, match="disk is full"):
        shared_session.data.diff("held@v1", "held@v2")


def test_a_gate_lets_a_candidate_look_once(shared_session: Session, tmp_path: Path) -> None:
    data = shared_session.data
    saved = data.save(TABLE[:60], name="exam")
    data.seal(saved.ref)
    (shared_session.context.workspace.root / "mlops-gates.toml").write_text(
        '[champion]\ntest_looks = { at_most = 1, data = "exam@v1", sealed = true }\n'
    )
    model = LogisticRegression().fit(TABLE[["a", "b"]], TABLE["target"])
    other = LogisticRegression(C=0.1).fit(TABLE[["a", "b"]], TABLE["target"])
    shared_session.evaluate(other, data="exam@v1", store=False)
    first = shared_session.register(model, name="clf")
    assert _verdict(shared_session.gates(first.ref)) == "not judged"
    shared_session.evaluate(first.ref, data="exam@v1")
    look = data.looks("exam@v1").looks[0]
    assert (look.purpose, look.model, look.model_id) == ("evaluate", "clf@1", first.model_id)
    assert _verdict(shared_session.gates(first.ref)) == "passed"
    shared_session.promote(first.ref, to="champion")

    # a candidate that is looked at before it has a version is known by what it is, in memory or in the store
    frame = data.load("exam@v1")
    again = shared_session.register(other, name="clf", data=TABLE)
    assert _verdict(shared_session.gates(again.ref)) == "passed", shared_session.gates(again.ref).text()
    shared_session.evaluate(again.ref, data=frame)
    assert _verdict(shared_session.gates(again.ref)) == "failed", "evaluating on the table in memory is a look too"
    with pytest.raises(PromotionRefused, match="2 looks for this candidate at exam@v1, 1 look for no model"):
        shared_session.promote(again.ref, to="champion")
    looked = len(data.looks("exam@v1"))
    brought = tmp_path / "brought.csv"
    TABLE[:60].to_csv(brought, index=False)
    for table in (TABLE[:60].copy(), str(brought)):
        found = shared_session.evaluate(again.ref, data=table, store=False)
        assert found.data == "exam@v1", "the same content is the version, wherever it comes from"
    assert len(data.looks("exam@v1")) == looked + 2
    shared_session.evaluate(again.ref, data=TABLE[:50].copy())
    with pytest.raises(PromotionRefused, match="a table is not sealed"):
        shared_session.promote(again.ref, to="challenger", gate=["test_looks.sealed=true"])


def _verdict(report: GateReport) -> str:
    return report.results[0].verdict
