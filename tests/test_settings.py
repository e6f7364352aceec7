"""Where the workspace is, and which store it uses, in every way one can say it."""

from __future__ import annotations

from pathlib import Path

import pytest

from jupyter_mlops.errors import InvalidArgument
from jupyter_mlops.settings import Settings, find_root, remember_store


def test_the_workspace_is_found_upwards_as_git_finds_its_own(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    deep = tmp_path / "notebooks" / "eda"
    deep.mkdir(parents=True)
    assert find_root(deep) == tmp_path
    (tmp_path / "notebooks" / ".mlops").mkdir()
    assert find_root(deep) == tmp_path / "notebooks"


def test_with_nothing_said_it_is_sqlite_in_the_project(tmp_path: Path) -> None:
    workspace = Settings.load(root=tmp_path, environment={}).workspace()
    assert workspace.tracking_uri == f"sqlite:///{tmp_path}/.mlops/mlflow.db"
    assert workspace.artifact_root == (tmp_path / ".mlops" / "artifacts").as_uri()
    assert workspace.experiment == tmp_path.name


def test_environment_beats_pyproject_and_what_is_remembered_beats_both(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('[tool.jupyter_mlops]\ntracking_uri = "http://a:1"\nexperiment = "e"\n')
    assert Settings.load(root=tmp_path, environment={}).workspace().tracking_uri == "http://a:1"
    loaded = Settings.load(root=tmp_path, environment={"MLFLOW_TRACKING_URI": "http://b:2"})
    assert loaded.workspace().tracking_uri == "http://b:2"
    assert loaded.workspace().experiment == "e"
    assert loaded.workspace().artifact_root is None
    remember_store(Settings.load(root=tmp_path, environment={}).workspace())
    assert loaded.workspace().tracking_uri == "http://a:1"
    assert "`%mlops connect http://b:2` switches" in loaded.notes()[0]


def test_what_is_remembered_keeps_itself_out_of_git(tmp_path: Path) -> None:
    remember_store(Settings.load(root=tmp_path, environment={}).workspace())
    assert (tmp_path / ".mlops" / ".gitignore").read_text() == "*\n"
    assert (tmp_path / ".mlops").stat().st_mode & 0o777 == 0o700, "another user of the machine read the models in it"


@pytest.mark.parametrize(
    ("text", "message"),
    [("[tool.jupyter_mlops]\nstore = 'x'", "unknown key"), ("[tool", "cannot be read")],
)
def test_a_bad_pyproject_is_named(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "pyproject.toml").write_text(text)
    with pytest.raises(InvalidArgument, match=message):
        Settings.load(root=tmp_path, environment={})


def test_a_number_that_is_none_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidArgument, match="idle_seconds takes a number of seconds, not 'soon'"):
        Settings.load(root=tmp_path, environment={"MLOPS_IDLE_SECONDS": "soon"})
