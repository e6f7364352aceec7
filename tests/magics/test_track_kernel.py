"""`track on` in a real kernel: cells that fit become runs, others do not, and nothing is left when it is off."""

from __future__ import annotations

import shutil
import time

import nbformat
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

from jupyter_mlops.session import Session

CELLS = {
    "load": "%load_ext jupyter_mlops",
    "on": "%mlops track on",
    "imports": "import jupyter_mlops as mlops\nfrom sklearn.datasets import load_iris\nfrom sklearn.linear_model import LogisticRegression\nfrom sklearn.metrics import accuracy_score\nfrom sklearn.preprocessing import StandardScaler\nfit_method = LogisticRegression.fit",
    "data": "X, y = load_iris(return_X_y=True, as_frame=True)\nprint('no model')",
    "scale": "scaled = StandardScaler().fit_transform(X)",
    "fit": "clf = LogisticRegression(max_iter=500)\nclf.fit(X, y)\naccuracy_score(y, clf.predict(X))",
    "figure": "import matplotlib.pyplot as plt\nclf.fit(X, y)\nplt.plot([1, 2]);",
    "own": "with mlops.run('by hand'):\n    LogisticRegression(C=2.0, max_iter=500).fit(X, y)",
    "fails": "LogisticRegression(C=3.0, max_iter=500).fit(X, y)\nraise ValueError('too late')",
    "mlflow": "import mlflow\nmlflow.set_tracking_uri('sqlite:///elsewhere.db')\nwith mlflow.start_run():\n    LogisticRegression(C=4.0, max_iter=500).fit(X, y)",
    "elsewhere": "mlflow.log_metric('theirs', 1.0)\nmlflow.end_run()",
    "logged": "mlflow.set_tracking_uri(None)\nmlflow.log_metric('mine', 0.5)\nLogisticRegression(C=6.0, max_iter=500).fit(X, y);",
    "autologged": "import xgboost\nmlflow.xgboost.autolog(log_models=False, silent=True)\nxgboost.train({'max_depth': 2}, xgboost.DMatrix(X, label=y), num_boost_round=3);",
    "estimator": "xgboost.XGBClassifier(n_estimators=3, max_depth=4).fit(X, y);\nmlflow.xgboost.autolog(disable=True)",
    "started": "with mlflow.start_run(run_name='named', tags={'team': 'blue'}) as named:\n    mlflow.log_metric('inside', 2.0)\n    LogisticRegression(C=7.0, max_iter=500).fit(X, y)\nnamed.info.run_id",
    "several": "for c in (8.0, 9.0):\n    with mlflow.start_run(run_name=f'c-{c:g}'):\n        mlflow.log_metric('c', c)",
    "open": "left = mlflow.start_run(run_name='left open')",
    "open-fits": "LogisticRegression(C=10.0, max_iter=500).fit(X, y)\nmlflow.end_run()",
    "state": "%mlops track",
    "off": "%mlops track off",
    "after": "LogisticRegression(C=5.0, max_iter=500).fit(X, y);\nhasattr(LogisticRegression.fit, '__wrapped__') and 'watch' in LogisticRegression.fit.__code__.co_filename, LogisticRegression.fit.__code__.co_filename",
}  # fmt: skip
ORDER = [*list(CELLS)[:6], "fit", *list(CELLS)[6:]]


@pytest.fixture(scope="module")
def played(make_session, empty_database) -> tuple[Session, dict[str, list]]:
    """The notebook, executed with one cell twice; what each cell gave last."""
    session = make_session()
    root = session.context.workspace.root
    cells = {name: nbformat.v4.new_code_cell(source, id=name) for name, source in CELLS.items()}
    shutil.copy(empty_database, root / "elsewhere.db")
    book = nbformat.v4.new_notebook(cells=list(cells.values()))
    nbformat.write(book, root / "churn.ipynb")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLOPS_NOTEBOOK", "churn.ipynb")
        client = NotebookClient(book, kernel_name="python3", resources={"metadata": {"path": str(root)}}, timeout=180)
        with client.setup_kernel():
            for name in ORDER:
                try:
                    client.execute_cell(cells[name], list(cells).index(name))
                except CellExecutionError:
                    assert name == "fails"
    deadline = time.monotonic() + 60
    while len(session.runs()) < 12 and time.monotonic() < deadline:
        time.sleep(0.2)
    return session, {name: cell.outputs for name, cell in cells.items()}


def lines(outputs: list) -> list[str]:
    return [
        out["data"]["text/plain"]
        for out in outputs
        if out["output_type"] == "display_data" and out["data"].get("text/plain", "").startswith("run ")
    ]


@pytest.mark.extended
def test_a_cell_that_fits_is_a_run_named_after_notebook_and_cell(played):
    session, shown = played
    (line,) = lines(shown["fit"])
    assert line.startswith("run churn-7 FINISHED")
    assert "accuracy_score" in line
    assert "\n" not in line
    run = session.context.call("tracking.get", run="churn-7")
    assert run["params"]["max_iter"] == "500"
    assert any(name.startswith("accuracy_score") for name in run["metrics"])
    assert run["models"]
    assert run["data"]
    assert run["notebook"] == "churn.ipynb"
    assert run["source"] == CELLS["fit"]
    earlier = session.context.call("tracking.get", run="churn-6")
    assert earlier["superseded_by"] == run["id"]


@pytest.mark.extended
def test_cells_without_a_model_stay_silent(played):
    session, shown = played
    silent = ("imports", "data", "scale", "own", "mlflow", "elsewhere", "open", "open-fits", "state", "after")
    assert not any(lines(shown[name]) for name in silent)
    made = {f"churn-{number}" for number in (6, 7, 8, 10, 13, 14, 15, 17)}
    assert {run.name for run in session.runs()} == {"by hand", "named", "c-8", "c-9", *made}
    assert "every cell that fits becomes a run" in str(shown["state"])


@pytest.mark.extended
def test_a_run_of_mlflows_that_ends_in_its_cell_is_the_cells_and_several_are_its_children(played):
    session, shown = played
    (line,) = lines(shown["started"])
    assert line.startswith("run named (")
    named = session.context.call("tracking.get", run="named")
    assert (named["metrics"]["inside"], named["params"]["C"]) == (2.0, "7.0")
    assert repr(named["id"]) in str(shown["started"])
    (line,) = lines(shown["several"])
    assert line.startswith("run churn-17 (")
    several = session.context.call("tracking.get", run="churn-17")
    children = [run for run in session.runs() if run.parent == several["id"]]
    assert sorted((child.name, child.metrics["c"]) for child in children) == [("c-8", 8.0), ("c-9", 9.0)]


@pytest.mark.extended
def test_a_figure_of_the_cell_is_kept(played):
    session, _ = played
    run = session.context.call("tracking.get", run="churn-8")
    assert any(path.startswith("mlops/figures/") for path in run["artifacts"])


@pytest.mark.extended
def test_a_cell_that_fails_is_a_failed_run_and_the_error_is_shown_as_ever(played):
    session, shown = played
    run = session.context.call("tracking.get", run="churn-10")
    assert (run["status"], run["reason"]) == ("FAILED", "ValueError: too late")
    assert [out["ename"] for out in shown["fails"] if out["output_type"] == "error"] == ["ValueError"]
    (line,) = lines(shown["fails"])
    assert "FAILED" in line


@pytest.mark.extended
def test_what_the_cell_logs_with_mlflow_itself_lands_in_its_run(played):
    session, shown = played
    logged, trained, fitted = (session.runs(f"churn-{number}") for number in (13, 14, 15))
    assert logged.metrics["mine"] == 0.5
    assert logged.params["C"] == "6.0"
    assert trained.params["max_depth"] == "2"
    assert fitted.params["max_depth"] == "4"
    assert fitted.models == ()  # logged by MLflow alone, as it was told to
    assert all(run.status == "FINISHED" for run in (logged, trained, fitted))
    assert all(len(lines(shown[name])) == 1 for name in ("logged", "autologged", "estimator"))
    assert "mine 0.5" in lines(shown["logged"])[0]  # what only MLflow's store knows is in the line too
    assert lines(shown["logged"])[0].endswith(" · consistent")


@pytest.mark.extended
def test_off_leaves_scikit_learn_as_it_was(played):
    _, shown = played
    told = next(out["data"]["text/plain"] for out in shown["after"] if out["output_type"] == "execute_result")
    assert "jupyter_mlops" not in told


@pytest.mark.extended
def test_a_run_of_track_is_reproduced_as_one(played):
    session, _ = played
    told = session.reproduce("churn-7")
    assert told.ok, told
    assert {one.kind for one in told.outcomes} == {"metric", "parameter", "model", "data"}
