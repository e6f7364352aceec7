"""Checks, contracts and masking through the session: kept with the data version, read by gates and by the inference log."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from jupyter_mlops.domain.contract import Contract
from jupyter_mlops.domain.data_check import DataCheck
from jupyter_mlops.errors import NotFound
from jupyter_mlops.session import Session
from jupyter_mlops.widgets import static_html

PEOPLE = pd.DataFrame(
    {"email": [f"p{i % 25}@example.org" for i in range(60)], "x": [i % 7 for i in range(60)], "y": ["a", "b"] * 30}
)


def run_of(session: Session, ref: str):
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=session.context.workspace.tracking_uri)
    told = session.context.call("data.locate", ref=ref)
    return client, client.get_run(told["run"])


def test_a_report_is_kept_with_the_version_it_is_of(shared_session: Session, tmp_path) -> None:
    data = shared_session.data
    frame = PEOPLE.copy()
    free = data.check(frame, target="y")
    assert free.version == ""
    saved = data.save(frame, name="people")
    report = data.check(frame, target="y")
    assert report.version == "people@v1"
    client, run = run_of(shared_session, "people@v1")
    told = json.loads(run.data.tags["mlops.dataset.checks"])
    assert (told["errors"], told["warnings"]) == (report.errors, report.warnings)
    file = client.download_artifacts(run.info.run_id, "mlops/checks.json", str(tmp_path))
    assert DataCheck.from_dict(json.loads(Path(file).read_text())) == report
    assert json.loads(run.data.tags["mlops.dataset.personal"]) == ["email"]
    [listed] = [v for v in data.log("people") if v.ref == saved.ref]
    assert (listed.errors, listed.personal) == (report.errors, ("email",))
    frame.loc[0, "x"] = 99
    changed = data.check(frame)
    assert (changed.version, "has been changed" in changed.note) == ("", True)
    assert data.check("people@v1").version == "people@v1"
    assert any(entry.action == "data.check" for entry in shared_session.audit("people@v1"))


def test_masked_before_anything_is_stored(shared_session: Session) -> None:
    data = shared_session.data
    saved = data.save(PEOPLE, name="masked", mask=["auto"], check=True, target="y")
    assert (saved.personal, saved.errors) == (("email",), 0)
    assert "personal: email" in saved.text()
    shown = static_html(saved)
    found = f"{saved.warnings} warning" if saved.warnings else "passed"
    assert all(told in shown for told in ("<code>email</code>", found, f"%mlops data check {saved.ref}"))
    loaded = data.load("masked")
    assert not loaded.email.str.contains("@").any()
    assert loaded.email.nunique() == 25
    home = shared_session.context.workspace.home
    for file in home.rglob("*"):
        if file.is_file() and "masked" in str(file):
            assert b"@example.org" not in file.read_bytes()
    assert data.save(PEOPLE, name="masked", mask=["auto"]).new is False
    assert data.mask(PEOPLE).email.tolist() == loaded.email.tolist()
    with pytest.raises(NotFound, match="no column 'mail'"):
        data.save(PEOPLE, name="nowhere", mask=["mail"])
    with pytest.raises(NotFound, match="no column 'z'"):
        data.save(PEOPLE, name="nowhere", check=True, target="z")
    with pytest.raises(NotFound):
        data.log("nowhere")


def test_a_contract_is_learnt_once_and_held_to(shared_session: Session, tmp_path) -> None:
    data = shared_session.data
    data.save(PEOPLE, name="held")
    contract = data.contract("held")
    assert isinstance(contract, Contract)
    assert data.contract("held@v1") == contract
    wrong = data.check(PEOPLE.assign(y="c"), contract="held@v1")
    assert [f.columns for f in wrong.of("contract")] == [("y",)]
    assert "standing" not in str(data.contract("held", output=str(tmp_path / "c.json")))
    assert not data.check(PEOPLE, contract=str(tmp_path / "c.json")).of("contract")
    data.contract("held", pandera=True, output=str(tmp_path / "c.py"))
    compile((tmp_path / "c.py").read_text(), "c.py", "exec")
