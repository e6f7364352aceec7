"""A workspace with a history to look at: real tables, real fits, real predictions, made through the session."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nbformat

from jupyter_mlops.session import Session


def tell(session: Session) -> dict[str, Any]:
    """Two data versions, four runs (one of them failed), two model versions, a deployment and what drifted in it."""
    from sklearn.datasets import load_wine
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import train_test_split

    table = load_wine(as_frame=True).frame
    before = session.data.save(table.iloc[:150], name="wine")
    saved = session.data.save(table, name="wine")
    train, test = train_test_split(table, random_state=0, test_size=0.3)
    inputs = [c for c in table.columns if c != "target"]

    fitted = {}
    for name, model in {
        "shallow forest": RandomForestClassifier(n_estimators=20, max_depth=1, random_state=0),
        "baseline": LogisticRegression(max_iter=5000),
        "deep forest": RandomForestClassifier(n_estimators=60, random_state=0),
    }.items():
        with session.run(name, source=f"model.fit(X, y)  # {name}") as run:
            session.data.load(saved.ref)
            model.fit(train[inputs], train["target"])
            run.log_params({k: v for k, v in model.get_params().items() if v is not None})
            run.log_metric("accuracy", model.score(test[inputs], test["target"]))
            run.log_metric("train_accuracy", model.score(train[inputs], train["target"]))
        fitted[name] = model
    try:
        with session.run("too many columns"):
            raise ValueError("X has 14 features, but the model was fitted with 13")
    except ValueError:
        pass

    first = session.register(fitted["baseline"], name="wine-clf", data=train[inputs], alias="challenger")
    second = session.register(fitted["deep forest"], name="wine-clf", data=train[inputs], alias="champion")
    deployment = session.deploy("wine-clf@champion", name="wine")
    session.predict("wine", test[inputs])
    moved = test[inputs].assign(alcohol=test["alcohol"] + 2.5, hue=test["hue"] * 1.8)
    session.predict("wine", moved)
    report = session.drift("wine", last=len(moved))
    return {
        "data": [before, saved],
        "models": [first, second],
        "deployment": deployment,
        "report": report,
    }


def write_notebook(path: Path, *cells: str, outputs: list[Any] | None = None) -> Path:
    """A notebook with these code cells; the first has `outputs`."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in cells])
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    notebook.metadata["language_info"] = {"name": "python"}
    if outputs:
        notebook.cells[0].outputs = outputs
    nbformat.write(notebook, path)
    return path
