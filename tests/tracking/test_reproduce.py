"""Reproducing runs of a real kernel in a real fresh process: what gives the same, what does not, and what says so."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from pathlib import Path

import nbformat
import pandas as pd
import pytest
from nbclient import NotebookClient

from jupyter_mlops.errors import NotFound, NotReady
from jupyter_mlops.session import Session

CELLS = [
    ("load", "%load_ext jupyter_mlops"),
    ("imports", "import jupyter_mlops as mlops\nimport numpy as np\nfrom sklearn.datasets import load_iris\nfrom sklearn.ensemble import RandomForestClassifier\nfrom sklearn.linear_model import LogisticRegression\nfrom sklearn.metrics import accuracy_score"),
    ("data", "X, y = load_iris(return_X_y=True, as_frame=True)\nunused = X.describe()"),
    ("save", "import pandas as pd\nframe = X.assign(y=y)\n%mlops data save frame --name iris"),
    ("other", "for i in range(3):\n    print(i)"),
    ("depth", "depth = 2\nlabel = 'no result'"),
    ("steady", "%%mlops run steady\nclf = LogisticRegression(C=0.5, max_iter=500).fit(X, y)\nprint(accuracy_score(y, clf.predict(X)), len(frame))"),
    ("loose", "with mlops.run('loose') as run:\n    forest = RandomForestClassifier(n_estimators=3, max_depth=depth, max_features=1).fit(X[::2], y[::2])\n    run.log_metric('held out', forest.score(X[1::2], y[1::2]))\n    run.log_param('label', label)\n    run.log_metric('noise', np.random.default_rng().normal())"),
    ("two", "for C in (0.1, 10.0):\n    with mlops.run(f'two {C}'):\n        LogisticRegression(C=C, max_iter=900).fit(X, y)"),
    ("read", "from sklearn.linear_model import Ridge\ntable = pd.read_csv('numbers.csv')"),
    ("file", "%%mlops run from-file\nRidge().fit(table[['a']], table['b'])"),
    ("edited", "%%mlops run edited\nclf2 = LogisticRegression(C=depth, max_iter=500).fit(X, y)"),
]  # fmt: skip


def write(root: Path, cells: list[tuple[str, str]]) -> None:
    made = [nbformat.v4.new_code_cell(source, id=name) for name, source in cells]
    nbformat.write(nbformat.v4.new_notebook(cells=made), root / "work.ipynb")
    os.utime(root / "work.ipynb", (4_000_000_000,) * 2)  # saved after all that runs


def play(root: Path, cells: list[tuple[str, str]]) -> nbformat.NotebookNode:
    """Run a notebook of these cells in a kernel of its own; the kernel is gone afterwards."""
    write(root, cells)
    played = nbformat.read(root / "work.ipynb", 4)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLOPS_NOTEBOOK", "work.ipynb")
        NotebookClient(
            played, kernel_name="python3", resources={"metadata": {"path": str(root)}}, timeout=180
        ).execute()
    return played


@pytest.fixture(scope="module")
def root(make_session) -> Path:
    """A workspace in which a kernel has run the notebook; the kernel is gone."""
    root = make_session().context.workspace.root
    (root / "numbers.csv").write_text("a,b\n1,2\n2,4\n3,7\n")
    play(root, CELLS)
    return root


@pytest.fixture
def session(root: Path) -> Session:
    return Session.open(root=root)


@pytest.mark.extended
def test_code_is_what_the_run_depends_on_and_nothing_else(session):
    told = session.code("steady")
    assert "unused" not in told.source
    assert "range(3)" not in told.source
    assert "depth" not in told.source
    assert "frame = X.assign(y=y)" in told.source
    assert "%" not in told.source
    namespace: dict = {}
    exec(told.source, namespace)
    assert namespace["clf"].C == 0.5
    assert told.left_out == 3
    assert "label = 'no result'" in session.code("loose").source  # only a line of ours reads it


@pytest.mark.extended
def test_a_run_that_gives_the_same_is_reproducible(session):
    heard: list[str] = []
    session.context.progress = heard.append
    told = session.reproduce("steady")
    assert told.ok, told
    assert {(one.kind, one.verdict) for one in told.outcomes} == {
        (kind, "same") for kind in ("metric", "parameter", "model", "data")
    }
    assert any(one.name == "iris@v1" for one in told.outcomes)
    assert told.trust == "reproducible"
    assert any(line.startswith("reproduce: cell 1/") for line in heard)
    run = next(run for run in session.runs() if run.name == "steady")
    assert (run.trust, run.trust_reasons) == ("reproducible", {})
    assert len(session.runs()) == 6  # the execution itself left no run
    assert [version.ref for version in session.data.log("iris")] == ["iris@v1"]


@pytest.mark.extended
def test_a_run_without_seeds_is_not_and_what_differs_each_time_is_named(session):
    told = session.reproduce("loose")
    assert not told.ok
    verdicts = {one.name: one.verdict for one in told.outcomes}
    assert verdicts["noise"] == "differs each time"
    assert verdicts["model"] == "differs each time"
    assert verdicts["n_estimators"] == "same"
    assert verdicts["label"] == "same"
    run = next(run for run in session.runs() if run.name == "loose")
    assert run.trust == "consistent"  # the cells are the ones that ran; that is all that can be said for it
    assert "executed again: " in run.trust_reasons[""]
    assert "noise" in run.trust_reasons[""]


@pytest.mark.extended
def test_each_run_of_a_cell_is_compared_with_its_own(session):
    told = session.reproduce("two 10.0")
    assert told.ok, told
    assert {one.name: one.was for one in told.outcomes}["C"] == "10.0"


@pytest.mark.extended
def test_a_run_whose_cell_was_edited_stays_stale_though_its_code_gives_it(session, root):
    write(root, [(name, source.replace("depth = 2", "depth = 3")) for name, source in CELLS])
    try:
        told = session.reproduce("edited")
        assert not told.differences(), told
        assert told.trust == "stale"
        assert "[6]" in told.reasons
        run = next(run for run in session.runs() if run.name == "edited")
        assert run.trust == "stale"
    finally:
        write(root, CELLS)


@pytest.mark.extended
def test_data_that_changed_is_named(session, root):
    """A cell reads a file, which is then another one."""
    (root / "numbers.csv").write_text("a,b\n1,2\n2,4\n3,8\n")
    told = session.reproduce("from-file")
    assert not told.ok
    verdicts = {one.name: one.verdict for one in told.outcomes}
    assert verdicts["training_r2_score"] == "differs"  # and not each time: two executions agree
    (root / "numbers.csv").unlink()
    told = session.reproduce("from-file")
    assert "[10] raised FileNotFoundError" in told.error
    assert "NOT REPRODUCED" in told.text()


@pytest.mark.extended
def test_an_interrupt_ends_the_process_and_leaves_the_label(session, root):
    before = next(run for run in session.runs() if run.name == "two 0.1")
    running: list[str] = []

    def interrupt(line: str) -> None:
        running.append(line)
        if len(running) == 1:
            threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT)).start()

    session.context.progress = interrupt
    with pytest.raises(KeyboardInterrupt):
        _ = session.reproduce("two 0.1"), time.sleep(5)  # where the process was quicker than the interrupt
    after = next(run for run in session.runs() if run.name == "two 0.1")
    assert (after.trust, after.trust_reasons) == (before.trust, before.trust_reasons)
    here = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists()]
    assert not any(b"magics.again" in line and str(root).encode() in line for line in here)


@pytest.mark.extended
def test_what_cannot_be_executed_says_why(session):
    with pytest.raises(NotFound):
        session.reproduce("never")
    with session.run("script"):
        pass
    with pytest.raises(NotReady, match="not recorded in a notebook"):
        session.reproduce("script")
    with pytest.raises(NotReady, match="not recorded in a notebook"):
        session.code("script")
    told = json.loads(json.dumps(session.code("steady").to_dict()))
    assert told["cells"][-1] == 7


@pytest.mark.extended
def test_a_table_loaded_by_its_name_is_the_one_it_was_and_the_run_stale_once_it_is_another(make_session):
    session = make_session()
    root = session.context.workspace.root
    session.data.save(pd.DataFrame({"a": range(30), "b": range(30)}), name="tab")
    cells = [
        ("load", "%load_ext jupyter_mlops\nimport jupyter_mlops as mlops\nfrom sklearn.linear_model import Ridge"),
        ("named", "table = mlops.data.load('tab')"),
        ("fit", "%%mlops run fit\nmodel = Ridge().fit(table[['a']], table['b'])"),
        ("then", "run = mlops.runs()[0]\nprint(run.trust)"),
        ("newer", "changed = table.assign(b=table.b ** 2)\nmlops.data.save(changed, name='tab')"),
        ("now", "run = mlops.runs()[0]\nprint(run.trust, run.trust_reasons)"),
    ]
    printed = ["".join(o.get("text", "") for o in cell.outputs).strip() for cell in play(root, cells).cells]
    assert printed[3] == "consistent"
    assert printed[5].startswith("stale")
    assert "'[2]': 'loads tab, which was tab@v1 and is tab@v2 now; to keep it, load tab@v1'" in printed[5]
    told = session.reproduce("fit")
    assert not told.differences(), told
    assert any(one.name == "tab@v1" and one.verdict == "same" for one in told.outcomes)
    assert (told.trust, "[2]" in told.reasons) == ("stale", True)


@pytest.mark.extended
def test_what_is_logged_with_mlflow_itself_is_compared_and_leaves_nothing(make_session):
    root = make_session().context.workspace.root
    logged = (
        "mlflow.log_metric('loss', 0.5)\n    mlflow.log_param('depth', 3)\n    mlflow.log_text('hello', 'note.txt')"
    )
    cells = [*CELLS[:2], ("mlflow", "import mlflow"), ("own", f"with mlops.run('own'):\n    {logged}")]
    play(root, cells)
    session = Session.open(root=root)
    told = session.reproduce("own")
    assert told.ok, told
    assert {(one.name, one.verdict) for one in told.outcomes} == {("loss", "same"), ("depth", "same")}
    assert told.trust == "reproducible"
    assert len(session.runs()) == 1
    assert not (root / "mlruns" / "0").exists()
