"""The corpus: every notebook is run, exported whole and verified, every variable and model the same; and wrong slices are caught."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import corpus
import pytest
from shell_player import play
from warm import Warm

from jupyter_mlops.pipelines import verify
from jupyter_mlops.session import Session

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def root(make_session: Callable[..., Session]) -> Path:
    return make_session().context.workspace.root


@pytest.fixture(scope="module")
def warm() -> Iterator[Warm]:
    process = Warm()
    yield process
    process.close()


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, warm: Warm) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(verify, "_run", warm.run)


@pytest.mark.parametrize("name", corpus.SAME)
def test_a_notebook_comes_out_whole(root: Path, name: str) -> None:
    session = play(root, corpus.cells(name))
    pipeline = session.export(whole=True)
    verification = pipeline.verification
    assert verification is not None
    text = Path("pipeline/pipeline.py").read_text()
    assert verification.ok, f"{pipeline}\n{text}"
