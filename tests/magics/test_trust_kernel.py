"""Trust labels in a real kernel: given when a run ends, and again when runs are listed, as the notebook then stands."""

from __future__ import annotations

import json
import os
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from jupyter_mlops.session import Session

CELLS = {
    "load": "%load_ext jupyter_mlops",
    "data": "from sklearn.datasets import load_iris\nX, y = load_iris(return_X_y=True, as_frame=True)",
    "value": "C = 1.0",
    "up": "C = C + 1",
    "fit": "%%mlops run fit\nfrom sklearn.linear_model import LogisticRegression\nclf = LogisticRegression(C=C, max_iter=500).fit(X, y)\ntrained = round(clf.score(X, y), 3)",
    "list": "%mlops runs",
}


@pytest.fixture
def root(make_session) -> Path:
    session = make_session()
    return session.context.workspace.root


def play(
    root: Path, order: list[str], *, stands: list[str] | None = None, monkeypatch: pytest.MonkeyPatch
) -> dict[str, list]:
    """Run cells of a saved notebook in any order; what each gave last."""
    cells = [nbformat.v4.new_code_cell(CELLS[name], id=name) for name in (stands or CELLS)]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), root / "work.ipynb")
    os.utime(root / "work.ipynb", (4_000_000_000, 4_000_000_000))  # saved after all that runs
    monkeypatch.setenv("MLOPS_NOTEBOOK", "work.ipynb")
    made = {name: nbformat.v4.new_code_cell(CELLS[name], id=name) for name in CELLS}
    played = nbformat.v4.new_notebook(cells=list(made.values()))
    client = NotebookClient(played, kernel_name="python3", resources={"metadata": {"path": str(root)}}, timeout=120)
    with client.setup_kernel():
        for name in order:
            client.execute_cell(made[name], list(made).index(name))
    return {name: cell.outputs for name, cell in made.items()}


@pytest.mark.extended
def test_a_kernel_labels_its_runs_and_says_in_one_line_why(root, monkeypatch):
    shown = play(root, ["load", "data", "value", "up", "up", "fit", "list"], monkeypatch=monkeypatch)
    line = shown["fit"][-1]["data"]["text/plain"]
    assert "stale: [5] ran 2 times, and changes C each time" in line
    assert "\n" not in line
    session = Session.open(root=root)
    run = session.context.call("tracking.get", run="fit")
    assert run["trust"] == "stale"
    assert run["trust_reasons"] == {"[5]": "ran 2 times, and changes C each time"}
    assert {"mlops/cells.json", "mlops/requirements.txt", "mlops/cell.py"} <= set(run["artifacts"])
    assert float(run["facts"]["seconds"]) > 0
    assert run["facts"]["peak memory"].endswith("MiB")
    told = json.loads(session.context.call("tracking.cells", run="fit")["cells"])
    assert [one["count"] for one in told["executions"] if "source" in one] == [2, 3, 4, 5, 6]

    shown = play(root, ["load", "data", "value", "up", "fit", "list"], monkeypatch=monkeypatch)
    assert "stale" not in shown["fit"][-1]["data"]["text/plain"]
    table = session.runs()
    assert [run.trust for run in table] == ["consistent", "stale"]


@pytest.mark.extended
def test_a_label_follows_the_notebook(root, monkeypatch):
    """The run was consistent; a cell that it needs is then taken out of the notebook, and listing runs says so."""
    monkeypatch.setitem(
        CELLS,
        "list",
        "import nbformat, os\nbook = nbformat.read('work.ipynb', 4)\nbook.cells = [c for c in book.cells if c.id != 'value']\nnbformat.write(book, 'work.ipynb')\nos.utime('work.ipynb', (4_000_000_000,) * 2)\n%mlops runs",
    )
    shown = play(root, ["load", "data", "value", "up", "fit", "list"], monkeypatch=monkeypatch)
    assert "stale" not in shown["fit"][-1]["data"]["text/plain"]
    assert "stale" in shown["list"][-1]["data"]["text/plain"]
    run = Session.open(root=root).runs()[0]
    assert (run.trust, list(run.trust_reasons)) == ("stale", ["[3]"])
    assert "no longer in the notebook" in run.trust_reasons["[3]"]
