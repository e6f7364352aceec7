"""What a verification says of a pipeline becomes known to the model versions that the pipeline gives, and to their gate."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from played import play, run

from jupyter_mlops.session import Session

CELLS = [
    "from sklearn.datasets import load_iris\nfrom sklearn.linear_model import LogisticRegression",
    "table = load_iris(as_frame=True).frame\nX, y = table.drop(columns='target'), table['target']",
    "clf = LogisticRegression(max_iter=500).fit(X, y)",
]


@pytest.fixture
def played(make_session: Callable[..., Session], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Session:
    monkeypatch.chdir(tmp_path)
    root = make_session().context.workspace.root
    (root / "mlops-gates.toml").write_text("[champion]\npipeline = true\n")
    session = play(root, list(CELLS))
    session.register(session.context.namespace["clf"], name="clf")
    return session


def verdict(session: Session, model: str) -> str:
    (result,) = session.gates(model)
    return result.verdict


def test_a_verified_pipeline_opens_the_gate_and_a_wrong_one_closes_it(played: Session, tmp_path: Path) -> None:
    assert verdict(played, "clf@1") == "not judged"
    pipeline = played.export(output="out", targets="clf")
    assert pipeline.verification is not None
    assert pipeline.verification.ok
    assert verdict(played, "clf@1") == "passed"
    from mlflow import MlflowClient

    client = MlflowClient(played.context.workspace.tracking_uri)
    told = json.loads(client.get_model_version("clf", "1").tags["mlops.pipeline"])
    assert told["verified"] is True
    assert len(told["digest"]) == 64
    entry = played.audit(action="pipeline.export")[0]
    assert "clf@1" in entry.result["models"]
    file = tmp_path / "out" / "pipeline.py"
    file.write_text(file.read_text().replace("max_iter=500", "max_iter=500, C=0.001"))
    assert not played.verify("out").ok
    assert verdict(played, "clf@1") == "failed"


def test_a_model_that_was_fitted_again_is_another(played: Session) -> None:
    run(played, "clf.fit(X.iloc[:100], y[:100])")
    pipeline = played.export(output="out", targets="clf")
    assert pipeline.verification is not None
    assert pipeline.verification.ok
    assert verdict(played, "clf@1") == "not judged"
