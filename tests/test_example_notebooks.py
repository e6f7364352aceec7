"""The example notebooks run from top to bottom in a kernel of their own, and leave no process behind."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

FOLDER = Path(__file__).resolve().parent.parent / "example_notebooks"
CELL_SECONDS = 240


@pytest.mark.extended
@pytest.mark.parametrize("name", sorted(path.name for path in FOLDER.glob("*.ipynb")))
def test_an_example_notebook_runs(name: str, make_session, tmp_path: Path) -> None:
    made = make_session(tmp_path)
    notebook = nbformat.read(shutil.copy(FOLDER / name, tmp_path), as_version=4)
    environment = {**os.environ, "MLOPS_NOTEBOOK": str(tmp_path / name), "MLOPS_WORKSPACE": str(tmp_path)}
    client = NotebookClient(
        notebook, timeout=CELL_SECONDS, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}
    )
    client.execute(env=environment)
    for deployment in made.deployments():
        made.undeploy(deployment.name)
