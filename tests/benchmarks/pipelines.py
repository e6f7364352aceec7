"""What reading a notebook costs (analysis and slicing of 200 cells, the record of each cell), and a run of what has not changed."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from jupyter_mlops.analysis.dataflow import link
from jupyter_mlops.analysis.evidence import Watch
from jupyter_mlops.analysis.parse import parse_cells
from jupyter_mlops.analysis.slicing import slice_back
from jupyter_mlops.domain.workspace import Cell
from jupyter_mlops.session import Session

from .figures import compared, in_turn, seconds

CELLS = (
    "import numpy as np\nimport pandas as pd\nfrom sklearn.linear_model import LogisticRegression",
    "df{i} = pd.read_csv('data{i}.csv')\ndf{i}.head()",
    "df{i}['ratio'] = df{i}['a'] / df{i}['b']  # strong and mild\ndf{i} = df{i}.dropna()\ndf{i}.describe();",
    "def clean{i}(table, columns=('a', 'b')):\n    found = table[list(columns)].copy()\n    found['c'] = found['a'] * {i}\n    return found",
    "X{i} = clean{i}(df{i})\ny{i} = df{i}['target']\nfor column in X{i}.columns:\n    X{i}[column] = X{i}[column].fillna(X{i}[column].median())",
    "model{i} = LogisticRegression()\nmodel{i}.fit(X{i}, y{i})\nscores.append(model{i}.score(X{i}, y{i}))",
    "fig, ax = plt.subplots(1, 2)\nax[0].hist(df{i}['ratio'])\nax[1].plot(model{i}.coef_[0])\nplt.show()",
)


TRAINING = (
    "from sklearn.datasets import load_breast_cancer\nfrom sklearn.ensemble import RandomForestClassifier",
    "df = load_breast_cancer(as_frame=True).frame\nX, y = df.drop(columns='target'), df['target']",
    "forest = RandomForestClassifier(300, random_state=0).fit(X[:400], y[:400])",
    "accuracy = forest.score(X[400:], y[400:])",
)


def notebook(count: int) -> list[Cell]:
    """A notebook of `count` code cells, all executed."""
    texts = ["scores = []", *(CELLS[n % len(CELLS)].replace("{i}", str(n // len(CELLS))) for n in range(count - 1))]
    return [Cell(text, n, f"c{n}", outcome="ok") for n, text in enumerate(texts, 1)]


def analyse(cells: list[Cell]) -> float:
    """Seconds that parsing, linking and slicing take."""

    def work() -> None:
        flows = link(parse_cells(cells).statements)
        slice_back(flows, ["scores", "model7"])

    return seconds(work)


def record(namespace: dict[str, object]) -> float:
    """Seconds that watching one cell takes, before and after, over a namespace as it is."""
    watch = Watch()
    watch.before(namespace, 0)
    watch.after(namespace)

    def work() -> None:
        for count in range(1, 21):
            watch.before(namespace, count)
            watch.after(namespace)

    return seconds(work) / 20


def exported(folder: Path) -> Session:
    """A pipeline of a notebook that trains a forest, exported to ``pipeline`` in the folder and run once."""
    names: dict[str, object] = {}
    session = Session.open(root=folder, namespace=names)
    for count, source in enumerate(TRAINING, 1):
        exec(source, names)
        session.context.cells.append(Cell(source, count, f"c{count}", outcome="ok"))
    session.export(targets="forest,accuracy", verify=False)
    assert session.pipeline.run().ok
    return session


def rerun() -> None:
    """Run what has not changed: by the pipeline's own runner in a new process, and by the command of an open session."""
    here = Path.cwd()
    with tempfile.TemporaryDirectory() as place:
        os.chdir(place)
        session = exported(Path(place))
        try:
            command = [sys.executable, "pipeline/run.py"]

            def alone() -> None:
                assert b"cached" in subprocess.run(command, check=True, capture_output=True, timeout=60).stdout

            ours, limit = in_turn(lambda: seconds(alone), lambda: 2.0, rounds=7)
            compared("pipelines", "cached re-run, python run.py", "s", ours, "limit 2 s", limit, goal=1.0, goal_is="at most").report()  # fmt: skip

            def asked() -> None:
                assert {step.state for step in session.pipeline.run().steps} == {"cached"}

            ours, limit = in_turn(lambda: seconds(asked), lambda: 2.0, rounds=7)
            compared("pipelines", "cached re-run, %mlops pipeline run", "s", ours, "limit 2 s", limit, goal=1.0, goal_is="at most").report()  # fmt: skip
        finally:
            session.service.stop()
            os.chdir(here)


def main() -> None:
    """Measure against the limits: 0.5 s for 200 cells, 1 ms a cell, 2 % of a pass over a gigabyte."""
    import numpy as np
    import pandas as pd

    rerun()
    cells = notebook(200)
    ours, limit = in_turn(lambda: analyse(cells), lambda: 0.5, rounds=9)
    compared("pipelines", "analysis and slicing, 200 cells", "s", ours, "limit 0.5 s", limit, goal=1.0, goal_is="at most").report()  # fmt: skip
    usual: dict[str, object] = {f"n{i}": i for i in range(30)} | {f"a{i}": np.arange(1000) for i in range(15)}
    usual |= {f"l{i}": list(range(100)) for i in range(15)}
    usual |= {f"d{i}": pd.DataFrame({"a": range(100), "b": "x", "c": 0.5}) for i in range(20)}
    ours, limit = in_turn(lambda: record(usual), lambda: 0.001, rounds=9)
    compared("pipelines", "recording a cell, 80 variables", "s", ours, "limit 1 ms", limit, goal=1.0, goal_is="at most").report()  # fmt: skip
    big = pd.DataFrame(np.random.default_rng(0).normal(size=(2_500_000, 50)))
    ours, limit = in_turn(lambda: record({"big": big}), lambda: seconds(big.sum), rounds=5)
    compared("pipelines", "recording a cell that sums a gigabyte", "s", ours, "the sum", limit, goal=0.02, goal_is="at most").report()  # fmt: skip
