"""Real notebooks in real kernels: executed from text by nbclient, exported by the magic, verified in a fresh process."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from jupyter_mlops.service.client import ServiceClient

pytestmark = pytest.mark.extended

TEXT = """
import pandas as pd
from sklearn.datasets import load_diabetes
from sklearn.linear_model import Ridge
from sklearn.metrics import mean_absolute_error, r2_score
# ---
%load_ext jupyter_mlops
# --- md
# Diabetes
## 1. Load and clean
# ---
frame = load_diabetes(as_frame=True).frame
frame.head()
# ---
# body mass by sex
frame["bmi_by_sex"] = frame.groupby("sex")["bmi"].rank(pct=True)
frame.plot(kind="scatter", x="bmi", y="target");
# --- md
## 2. Fit a ridge
# ---
ALPHA = 0.5
ROWS = 300
# ---
%%mlops run ridge
X, y = frame.drop(columns="target"), frame["target"]
ridge = Ridge(alpha=ALPHA).fit(X[:ROWS], y[:ROWS])
error = mean_absolute_error(y[ROWS:], ridge.predict(X[ROWS:]))
print(f"R2 {r2_score(y[ROWS:], ridge.predict(X[ROWS:])):.3f}")
# ---
%mlops register ridge --name diabetes
# ---
exported = %mlops export -o handed_over
exported
# ---
"PASS" if exported.verification.ok else "FAIL"
# ---
frame = frame.dropna()
# ---
import jupyter_mlops as mlops
with mlops.run("again") as run:
    again = Ridge(alpha=2.0).fit(X[:ROWS], y[:ROWS])
    run.log_metric("mae", mean_absolute_error(y[ROWS:], again.predict(X[ROWS:])))
mlops.export(output="again", targets="again,mae").verification.ok
"""


def notebook(text: str) -> nbformat.NotebookNode:
    made = nbformat.v4.new_notebook()
    for block in text.strip().split("\n# ---"):
        markdown = block.startswith(" md\n")
        source = block.removeprefix(" md").strip("\n")
        made.cells.append((nbformat.v4.new_markdown_cell if markdown else nbformat.v4.new_code_cell)(source))
    return made


def test_a_notebook_in_a_kernel(tmp_path: Path, empty_database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".mlops").mkdir()
    shutil.copy(empty_database, tmp_path / ".mlops" / "mlflow.db")
    path = tmp_path / "diabetes.ipynb"
    made = notebook(TEXT)
    nbformat.write(made, path)
    monkeypatch.setenv("MLOPS_NOTEBOOK", str(path))
    try:
        NotebookClient(
            made, timeout=120, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}
        ).execute()
    finally:
        ServiceClient(tmp_path).stop()
    shown = [
        output.get("data", {}).get("text/plain", "")
        for cell in made.cells
        for output in cell.get("outputs", [])
        if output.output_type == "execute_result"
    ]
    assert "'PASS'" in shown, shown
    assert shown[-1] == "True", shown
    text = (tmp_path / "handed_over" / "pipeline.py").read_text()
    for held in (
        "def load_and_clean():",
        "# body mass by sex",
        "def fit_a_ridge(",
        "ALPHA: float = 0.5",
        "r2 = r2_score(",
    ):
        assert held in text
    for gone in ("mlops run", "register", "plot", "head()", "get_ipython"):
        assert gone not in text
    assert "mae = mean_absolute_error(" in (tmp_path / "again" / "pipeline.py").read_text()


UNSEEDED = """
%matplotlib inline
import numpy as np
import matplotlib.pyplot as plt
# ---
x = np.random.randn(5)
letters = list(set("a few words of text".split()))
# ---
plt.plot(x)
# ---
x.reshape(2, 2)
# ---
!echo hello > said.txt
# ---
said = open("said.txt").read()
rng = np.random.default_rng()
y = rng.normal()
"""


SEEDED = """
import numpy as np
import pandas as pd
# ---
np.random.seed(42)
# ---
frame = pd.DataFrame({"a": np.arange(40)})
frame.sample(5)
# ---
import draws_for_itself
from sklearn.model_selection import train_test_split
train, test = train_test_split(frame)
"""


def test_a_closed_notebook_by_shell(tmp_path: Path, empty_database: Path) -> None:
    (tmp_path / ".mlops").mkdir()
    shutil.copy(empty_database, tmp_path / ".mlops" / "mlflow.db")
    nbformat.write(notebook(UNSEEDED), tmp_path / "unseeded.ipynb")
    nbformat.write(notebook("import time\nstarted = time.time()\nn = 3"), tmp_path / "timed.ipynb")
    nbformat.write(notebook(SEEDED), tmp_path / "seeded.ipynb")
    (tmp_path / "draws_for_itself.py").write_text("import random\n\nname = random.random()\n")

    def shell(*words: str) -> subprocess.CompletedProcess[str]:
        command = [str(Path(sys.executable).with_name("jupyter-mlops")), *words]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    try:
        done = shell("export", "unseeded.ipynb", "--run", "--whole", "--output", "whole")
        timed = shell("export", "timed.ipynb", "--run", "--whole", "--output", "timed")
        seeded = shell("export", "seeded.ipynb", "--run", "--whole", "--output", "seeded")
        accepted = shell("verify", "timed", "--accept", "started")
        by_cause = shell("verify", "timed", "--accept", "time.time")
        by_other_cause = shell("verify", "timed", "--accept", "uuid4")
        whatever = shell("verify", "timed", "--accept", "nondeterministic")
    finally:
        ServiceClient(tmp_path).stop()
    assert done.returncode == 0, done.stdout + done.stderr
    assert "PASS whole: 5 results equal the notebook's" in done.stdout
    assert "what fails in the notebook fails in the pipeline too, and is passed over: [4]" in done.stdout
    assert seeded.returncode == 0, seeded.stdout + seeded.stderr
    assert "set no seed" not in seeded.stdout
    assert "np.random.seed(42)" in (tmp_path / "seeded" / "pipeline.py").read_text()
    assert timed.returncode == 1, timed.stdout + timed.stderr
    assert "nondeterministic" in timed.stdout
    assert "no two runs share time.time() in [1]" in timed.stdout
    assert "`--accept nondeterministic` accepts those" in timed.stdout.replace("\n", " ")
    assert [done.returncode for done in (accepted, by_cause, by_other_cause, whatever)] == [0, 0, 1, 0]
