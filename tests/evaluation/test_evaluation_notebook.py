"""The example notebook runs from top to bottom in a real kernel, and shows what it promises."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import nbclient
import nbformat
import pytest

NOTEBOOK = Path(__file__).resolve().parents[2] / "example_notebooks" / "evaluation.ipynb"


@pytest.mark.extended
def test_the_example_runs(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool.jupyter_mlops]\n")
    notebook = nbformat.read(NOTEBOOK, 4)
    try:
        nbclient.NotebookClient(notebook, timeout=250, resources={"metadata": {"path": str(tmp_path)}}).execute()
    finally:
        stop = [sys.executable, "-m", "jupyter_mlops.cli", "service", "stop"]
        subprocess.run(stop, cwd=tmp_path, capture_output=True, check=False)
    shown = [o["data"] for cell in notebook.cells for o in cell.get("outputs", []) if "data" in o]
    text = "\n".join(data.get("text/plain", "") for data in shown)
    for word in ("tumour@1 on holdout", "linear minus tumour@1", "rows an arm", "evaluation  "):
        assert word in text
    assert max(len(data.get("text/html", "")) for data in shown) < 100_000
