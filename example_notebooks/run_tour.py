"""Runs the tour from top to bottom in a fresh project folder, then tells what it made; what ``make demo`` calls.

The folder is ``build/demo`` in the repository: the executed notebook, the workspace and the exported pipeline stay there
to be looked at. No process is left behind.
"""

from __future__ import annotations

import os
import shutil
import sys
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

from jupyter_mlops.errors import MLOpsError
from jupyter_mlops.session import Session

HERE = Path(__file__).resolve().parent
FOLDER = HERE.parent / "build" / "demo"
CELL_SECONDS = 180


def main() -> int:
    """Run the tour; 0 if every cell and the exported pipeline held."""
    began = time.monotonic()
    end_earlier()
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    target = Path(shutil.copy(HERE / "tour.ipynb", FOLDER))
    (FOLDER / ".mlops").mkdir()
    os.environ["MLOPS_NOTEBOOK"] = str(target)
    os.environ.pop("MLOPS_WORKSPACE", None)
    session = Session.open(root=FOLDER)
    try:
        failed = execute(target)
        if not failed:
            tell(session, time.monotonic() - began)
        return failed
    finally:
        clean_up(session)


def execute(path: Path) -> int:
    """Run every cell, a line of progress each; 1 if one failed."""
    notebook = nbformat.read(path, as_version=4)
    count = sum(cell.cell_type == "code" for cell in notebook.cells)
    number = 0
    started = time.monotonic()

    def before(cell: nbformat.NotebookNode, **_: object) -> None:
        nonlocal number, started
        if cell.cell_type == "code":
            number, started = number + 1, time.monotonic()
            first = next((line for line in cell.source.splitlines() if line.strip()), "")
            print(f"  {number:2}/{count}  {first[:72]:<72}", end="", flush=True)

    def after(cell: nbformat.NotebookNode, **_: object) -> None:
        if cell.cell_type == "code":
            print(f" {time.monotonic() - started:5.1f} s", flush=True)

    client = NotebookClient(
        notebook,
        timeout=CELL_SECONDS,
        kernel_name="python3",
        extra_arguments=["--log-level=ERROR"],
        resources={"metadata": {"path": str(path.parent)}},
        on_cell_start=before,
        on_cell_executed=after,
    )
    try:
        client.execute()
    except CellExecutionError as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    finally:
        nbformat.write(notebook, path)
    return 0


def tell(session: Session, seconds: float) -> None:
    """Print what the tour made and where to look."""
    newest = session.runs(limit=5)[0]
    data = session.data.log()[0]
    model = session.models()[0]
    deployment = session.deployments()[0]
    report = session.reports()[0]
    verified = session.verify(str(FOLDER / "pipeline"))
    lines = {
        "run": f"{newest.name}: " + ", ".join(f"{k} {v:.3f}" for k, v in list(newest.metrics.items())[:3]),
        "data version": str(data),
        "model version": f"{model.ref} ({', '.join(model.aliases)}), {model.estimator}, stored as {model.format}",
        "endpoint": f"{deployment.url} answered {deployment.predictions} predictions",
        "drift": report.verdict,
        "pipeline": str(verified).replace(f"{FOLDER}/", ""),
    }
    print(f"\nThe loop is closed, in {seconds:.0f} s:\n")
    for what, value in lines.items():
        print(f"  {what:<14} {value}")
    print(
        f"\nLook at   {FOLDER / 'tour.ipynb'}   (make lab opens it live)\n"
        f"          {FOLDER / 'pipeline'}\n"
        f"          mlflow ui --backend-store-uri {session.context.workspace.tracking_uri}"
    )


def clean_up(session: Session) -> None:
    """Stop the deployments and the service, so that no process is left."""
    try:
        for deployment in session.deployments():
            if deployment.state != "stopped":
                session.undeploy(deployment.name)
    finally:
        session.service.stop()


def end_earlier() -> None:
    """End what an earlier, interrupted run of the tour may have left."""
    if (FOLDER / ".mlops").exists():
        try:
            clean_up(Session.open(root=FOLDER))
        except MLOpsError as error:
            print(f"an earlier demo could not be ended cleanly: {error}", file=sys.stderr)


if __name__ == "__main__":
    raise SystemExit(main())
