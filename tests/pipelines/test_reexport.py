"""Exported again after edits: they are shown, merged, left beside or given up, and never lost in silence."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from played import play, run

from jupyter_mlops.errors import Conflict, InvalidArgument
from jupyter_mlops.session import Session

CELLS = ["numbers = [1.5, 2.5]", "# the sum of them\ntotal = sum(numbers)", "half = total / 2"]


@pytest.fixture(scope="module")
def root(make_session: Callable[..., Session]) -> Path:
    return make_session().context.workspace.root


@pytest.fixture
def exported(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Session:
    """A session whose export, ``pipeline``, has a comment of the user's in it and a file of the user's beside it."""
    monkeypatch.chdir(tmp_path)
    session = play(root, CELLS)
    session.export(to=["docker"], targets="total,half", verify=False)
    file = Path("pipeline/pipeline.py")
    text = file.read_text()
    assert "# the sum of them" in text
    file.write_text(text.replace("# the sum of them", "# the sum of them, as the invoice has it"))
    Path("pipeline/mine.txt").write_text("kept")
    return session


def test_edits_are_shown_and_nothing_is_written(exported: Session) -> None:
    before = {path: path.read_bytes() for path in Path("pipeline").rglob("*") if path.is_file()}
    with pytest.raises(Conflict, match="edited since it was exported") as told:
        exported.export(targets="total,half", verify=False)
    assert "+    # the sum of them, as the invoice has it" in str(told.value)
    assert "--merge" in str(told.value)
    assert {path: path.read_bytes() for path in Path("pipeline").rglob("*") if path.is_file()} == before
    with pytest.raises(Conflict, match="edited since it was exported"):  # and that before a notebook is run for it
        exported.export("of_an_hour.ipynb", run=True)
    with pytest.raises(InvalidArgument, match="--merge and --overwrite cannot both be"):
        exported.export(merge=True, overwrite=True)


def test_edits_are_merged_again_and_again(exported: Session) -> None:
    run(exported, "third = total / 3")
    merged = exported.export(targets="total,half,third", merge=True)
    assert merged.verification is not None
    assert merged.verification.ok, str(merged)
    assert any("your edits of pipeline.py are merged" in note for note in merged.notes)
    text = Path("pipeline/pipeline.py").read_text()
    assert "as the invoice has it" in text
    assert "third = total / 3" in text
    assert Path("pipeline/mine.txt").read_text() == "kept"
    with pytest.raises(Conflict, match="as the invoice has it"):  # they are edits still
        exported.export(targets="total,half,third", verify=False)
    exported.export(targets="total,half,third", verify=False, merge=True)
    assert "as the invoice has it" in Path("pipeline/pipeline.py").read_text()


def test_edits_that_clash_are_refused(exported: Session) -> None:
    file = Path("pipeline/pipeline.py")
    file.write_text(file.read_text().replace("half = total / 2", "half = total / 2.0"))
    before = file.read_text()
    run(exported, "half = total / 4")
    with pytest.raises(Conflict, match="change the same lines") as told:
        exported.export(targets="total,half", verify=False, merge=True)
    assert "half = total / 2.0" in str(told.value)
    assert file.read_text() == before
    beside = exported.export(targets="total,half", verify=False, beside=True)
    assert beside.directory == "pipeline.new"
    assert file.read_text() == before
    assert "half = total / 4" in Path("pipeline.new/pipeline.py").read_text()


def test_edits_are_given_up_when_that_is_said(exported: Session) -> None:
    exported.export(targets="total,half", verify=False, overwrite=True)
    assert "as the invoice has it" not in Path("pipeline/pipeline.py").read_text()
    assert Path("pipeline/mine.txt").read_text() == "kept"
    assert not Path("pipeline/Dockerfile").exists()  # an export's own file, not asked for this time
    exported.export(targets="total,half", verify=False)


def test_other_files_of_an_export_are_edited_too(exported: Session) -> None:
    Path("pipeline/pipeline.py").write_bytes(Path("pipeline/.generated/pipeline.py").read_bytes())
    with Path("pipeline/Dockerfile").open("a") as file:
        file.write("# of mine\n")
    with pytest.raises(Conflict, match="Dockerfile edited since"):
        exported.export(to=["docker"], targets="total,half", verify=False)
    exported.export(to=["docker"], targets="total,half", verify=False, merge=True)
    assert Path("pipeline/Dockerfile").read_text().endswith("# of mine\n")
    with pytest.raises(Conflict, match="no longer made"):
        exported.export(targets="total,half", verify=False, merge=True)


def test_the_picture_stands_beside_the_pipeline(exported: Session) -> None:
    exported.export(targets="total,half", verify=False, overwrite=True)
    assert "not verified" in Path("pipeline/pipeline.svg").read_text()
    verdict = exported.verify("pipeline")
    assert verdict.ok
    drawn = Path("pipeline/pipeline.svg").read_text()
    assert "2 same" in drawn
    assert "PASS" in drawn
    html = verdict._repr_mimebundle_()["text/html"]
    assert "<svg" in html
    assert "<script" not in html
    file = Path("pipeline/pipeline.py")
    file.write_text(file.read_text().replace("total / 2", "total / 5"))
    assert not exported.verify("pipeline").ok
    assert "1 differs, 1 same" in Path("pipeline/pipeline.svg").read_text()
