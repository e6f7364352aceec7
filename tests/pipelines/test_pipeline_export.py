"""Export and verification: notebooks played in a namespace become pipelines that run in a process of their own."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from played import play, run, save

from jupyter_mlops.domain.workspace import Cell
from jupyter_mlops.errors import Conflict, InvalidArgument, NotFound, NotReady
from jupyter_mlops.session import Session


@pytest.fixture(scope="module")
def root(make_session: Callable[..., Session]) -> Path:
    return make_session().context.workspace.root


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


WINE = [
    """%matplotlib inline
import pandas as pd
import matplotlib.pyplot as plt
from sklearn.datasets import load_wine
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import accuracy_score, f1_score
from sklearn.model_selection import train_test_split""",
    "MAX_DEPTH = 4\nTEST_SIZE = 0.25\nSEED = 7",
    "# wines of three cultivars\nwine = load_wine(as_frame=True)\ndf = wine.frame\ndf.head()",
    'df["ratio"] = df["alcohol"] / df["malic_acid"]  # strong and mild\ndf = df.dropna()\ndf.describe();',
    '''FEATURES = ["alcohol", "ratio", "color_intensity", "proline"]


def clean(table):
    """Only what is used."""
    return table[FEATURES].astype("float64")


X = clean(df)
y = df["target"]
X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=TEST_SIZE, random_state=SEED)''',
    """%%mlops run forest
clf = RandomForestClassifier(max_depth=MAX_DEPTH, random_state=SEED, n_estimators=30)
clf.fit(X_train, y_train)
pred = clf.predict(X_test)
accuracy = accuracy_score(y_test, pred)
print("macro", f1_score(y_test, pred, average="macro"))""",
    "%mlops register clf --name wine --alias champion\n!ls\nX.plot(kind='hist')",
]


@pytest.fixture(scope="module")
def wine(root: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Session, Path]:
    """An exported notebook that several tests look at; none changes it."""
    folder = tmp_path_factory.mktemp("wine")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        session = play(root, list(WINE))
        pipeline = session.export(output="out")
    assert pipeline.verification is not None
    assert pipeline.verification.ok, str(pipeline)
    return session, folder / "out"


def test_a_notebook_becomes_a_pipeline_that_passes(wine: tuple[Session, Path]) -> None:
    session, folder = wine
    facts = json.loads((folder / "pipeline.json").read_text())
    steps = {step["name"]: (step["inputs"], step["outputs"]) for step in facts["steps"]}
    assert steps == {
        "load": ([], ["wine"]),
        "prepare": (["wine"], ["X", "y"]),
        "split": (["X", "y", "TEST_SIZE", "SEED"], ["X_train", "X_test", "y_train", "y_test"]),
        "train": (["MAX_DEPTH", "SEED", "X_train", "y_train"], ["clf"]),
        "evaluate": (["X_test", "clf", "y_test"], ["accuracy", "f1"]),
    }
    kinds = {r["variable"]: r["kind"] for r in json.loads((folder / "expected.json").read_text())["results"]}
    assert (kinds["accuracy"], kinds["f1"], kinds["clf"], kinds["X_train"]) == (
        "metric",
        "metric",
        "predictions",
        "table",
    )
    assert {line.split("==")[0] for line in (folder / "requirements.txt").read_text().split()} == {
        "pandas",
        "pyarrow",
        "scikit-learn",
        "skops",
    }
    entry = session.audit("out")[0]
    assert (entry.action, entry.details["verdict"][:4]) == ("pipeline.export", "PASS")


def test_the_pipeline_reads_as_the_notebook_did(wine: tuple[Session, Path]) -> None:
    text = (wine[1] / "pipeline.py").read_text()
    assert "    # wines of three cultivars\n    wine = load_wine(as_frame=True)\n" in text
    assert '    df["ratio"] = df["alcohol"] / df["malic_acid"]  # strong and mild\n' in text
    for gone in ("head()", "describe", "get_ipython", "mlops run", "matplotlib", "import pandas", "hist"):
        assert gone not in text
    command = [sys.executable, "-m", "ruff", "check", "--isolated", str(wine[1] / "pipeline.py")]
    assert subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip() == "All checks passed!"


def test_constants_are_options(wine: tuple[Session, Path]) -> None:
    def accuracy(*options: str) -> str:
        command = [sys.executable, str(wine[1] / "pipeline.py"), *options]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        return next(line for line in done.stdout.splitlines() if line.startswith("accuracy"))

    assert accuracy() != accuracy("--max-depth", "1", "--test-size", "0.6")


def test_the_pipeline_checks_itself(wine: tuple[Session, Path]) -> None:
    done = subprocess.run([sys.executable, str(wine[1] / "check.py")], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "ok   train: clf" in done.stdout


def copy_of(folder: Path, to: Path) -> Path:
    return Path(shutil.copytree(folder, to / "copy"))


def test_a_changed_metric_is_named(wine: tuple[Session, Path], tmp_path: Path) -> None:
    session, folder = wine[0], copy_of(wine[1], tmp_path)
    expected = json.loads((folder / "expected.json").read_text())
    metric = next(r for r in expected["results"] if r["variable"] == "accuracy")
    metric["fingerprint"]["value"] += 1e-6
    (folder / "expected.json").write_text(json.dumps(expected))
    verdict = session.verify(str(folder))
    assert not verdict.ok
    assert [(c.step, c.variable, c.kind) for c in verdict.checks if not c.ok] == [("evaluate", "accuracy", "metric")]


@pytest.mark.parametrize(
    ("was", "now", "named"),
    [
        ("random_state=SEED, n_estimators=30", "random_state=SEED, n_estimators=29", "train.clf"),
        ("df = df.dropna()", "df = df.sample(frac=1, random_state=1)", "prepare.X"),
        ('    df["ratio"] = df["alcohol"] / df["malic_acid"]', '    df["ratio"] = df["alcohol"] * 2', "prepare.X"),
        ('df["target"]', 'df["target"].astype("int32")', "prepare.y"),
    ],
)
def test_a_wrong_pipeline_is_caught(wine: tuple[Session, Path], tmp_path: Path, was: str, now: str, named: str) -> None:
    session, folder = wine[0], copy_of(wine[1], tmp_path)
    text = (folder / "pipeline.py").read_text()
    assert was in text
    (folder / "pipeline.py").write_text(text.replace(was, now))
    verdict = session.verify(str(folder))
    assert named in [f"{c.step}.{c.variable}" for c in verdict.checks if not c.ok]
    assert all(c.message for c in verdict.checks if not c.ok)


def test_without_a_seed_it_fails_and_says_why(root: Path) -> None:
    cells = [cell.replace(", random_state=SEED", "") for cell in WINE]
    pipeline = play(root, cells).export(targets="accuracy,clf,y_test")
    verdict = pipeline.verification
    assert verdict is not None
    assert not verdict.ok
    bad = {c.variable: c for c in verdict.checks if not c.ok}
    assert bad["X_test"].step == "split"
    assert "random_state" in bad["X_test"].message
    assert "train_test_split() in [5]" in bad["X_test"].message


# small notebooks: each must pass, and hold these texts


SMALL = {
    "in place": (["import pandas as pd\ndf = pd.DataFrame({'a': [1, 2, 2], 'b': 0})", "df.drop(columns='b', inplace=True)", "df = df.drop_duplicates()", "df"], "inplace=True"),
    "append and loop": (["rows = []", "for i in range(3):\n    rows.append(i * 2)", "rows.append(7)", "total = sum(rows)"], "rows.append(7)"),
    "a function and its globals": (["rate = [2]\nrate.append(3)", "def scaled(x):\n    # by all rates\n    return [x * r for r in rate]", "out = scaled(2)"], "# by all rates"),
    "a function that counts": (["calls = 0\nseen = []", "def note(x):\n    global calls\n    calls += 1\n    return x", "a = note(1)\nb = note(2)", "calls"], "nonlocal calls"),
    "a lambda": (["k = [3]\nk += [4]", "f = lambda x: x + sum(k)", "out = f(1)"], "noqa: E731"),
    "a class": (["import math\nclass Circle:\n    def __init__(self, r):\n        self.r = r\n    def area(self):\n        return math.pi * self.r ** 2", "area = Circle(2).area()"], "class Circle"),
    "run twice": (["n = [1]", ("a", "n = n + n"), ("a", "n = n + n"), "size = len(n)"], "n = n + n"),
    "star import": (["from math import *", "r = [sqrt(2), pi]"], "from math import *"),
    "a string of lines": (['text = """one\n  two\nthree"""\nwords = text.split()'], '"""one\n  two\nthree"""'),
    "guarded import": (["try:\n    import json as codec\nexcept ImportError:\n    codec = None", "r = codec.loads('[1, 2]')"], "except ImportError"),
    "a seed": (["import numpy as np\nnp.random.seed(3)", "first = np.random.rand(2)", "second = np.random.rand(2)\nmean = float(second.mean())"], "np.random.seed(3)"),
    "two imports of one name": (["from math import sqrt", "a = sqrt(4)", "from cmath import sqrt", "b = str(sqrt(-4))", "c = [a, b]"], "cmath"),
    "%time and %%time": (["%%time\na = 1 + 1", "%time b = a + 1", "c = [a, b]"], "b = a + 1"),
    "main guard": (["def main():\n    return [1, 2]", "if __name__ == '__main__':\n    result = main()\n    # more\n    result.append(3)"], "    # more\n    result.append(3)"),
    "names of ours": (["run = [1]\nmain = [2]\nload = [3]\nargparse = [4]\ngiven = [5]", "train = run + main + load + argparse + given"], "def run_pipeline("),
    "a parameter in a function": (["K = 3", "def f(x):\n    return x * K", "y = [f(2), f(3)]"], "def prepare(K):"),
    "a decorator that counts": (["count = {}\ndef counted(f):\n    def inner(*a):\n        count[f.__name__] = count.get(f.__name__, 0) + 1\n        return f(*a)\n    return inner", "@counted\ndef sq(x):\n    return x * x", "r = [sq(i) for i in range(4)]", "count"], "[sq(i) for i in range(4)]"),
    "a method that changes a global": (["tot = 0\ndef bump(n):\n    global tot\n    tot += n", "class B:\n    def go(self):\n        bump(3)\n        return self", "b = B()\nb.go().go()", "out = [tot]"], "nonlocal tot"),
    "a view": (["import numpy as np\na = np.arange(12.0)", "b = a.reshape(3, 4)", "b[0] = 99", "s = float(a.sum())"], "b[0] = 99"),
    "files": (["import json\nwith open('x.json', 'w') as f:\n    json.dump({'a': 1}, f)", "with open('x.json') as f:\n    data = json.load(f)"], "json.dump"),
    "dict of tables": (["import pandas as pd\ntables = {'x': pd.DataFrame({'a': [1]})}", "tables['y'] = tables['x'] * 2", "tables"], "tables['y']"),
    "a failed try before": (["x = [1]", "x.nope()", "x.append(2)", "r = sum(x)"], "x.append(2)"),
    "conditions": (["flag = len('ab') > 1\nlevel = 1", "if flag:\n    level = 2", "r = [level]"], "if flag:"),
    "walrus and unpacking": (["a, *b = [1, 2, 3]\nif (n := len(b)) > 1:\n    b.append(n)", "r = [a, *b]"], "(n := len(b))"),
}  # fmt: skip


@pytest.mark.parametrize("name", SMALL)
def test_small_notebooks_pass(root: Path, name: str) -> None:
    cells, holds = SMALL[name]
    pipeline = play(root, list(cells)).export()
    assert pipeline.verification is not None
    text = Path("pipeline/pipeline.py").read_text()
    assert pipeline.verification.ok, f"{pipeline}\n{text}"
    assert holds in text


# refusals: nothing is written, and the cause is named


@pytest.mark.parametrize(
    ("cells", "said"),
    [
        ([], "no cell of this notebook has been run"),
        ([("a", "x = [1]\ny = [2]"), ("a", "x = [1]"), "z = x + y"], r"need y as cell \[1\] made it, and that cell was edited since \(it is \[2\] now\)"),
        (["files = get_ipython().run_line_magic('alien', '')\nfiles = []", "%alien x\nn = len(files)", "x = %alien y\nz = [x]"], r"cell \[3\], line 1: %alien cannot be part of a Python pipeline, and the results need x"),
        (["x = [1]\nx.append(2)\nraise ValueError", "y = sum(x)"], r"cell \[1\] failed, and may have made or changed x"),
    ],
)  # fmt: skip
def test_what_cannot_be_stood_for_is_refused(root: Path, cells: list[str | tuple[str, str]], said: str) -> None:
    with pytest.raises(NotReady, match=said):
        play(root, cells).export()
    assert not Path("pipeline").exists()


def test_a_table_from_outside_is_refused_by_name(root: Path) -> None:
    import pandas as pd

    session = play(root, ["k = 1"])
    session.context.namespace["given"] = pd.DataFrame({"a": [1]})
    run(session, "total = given.a.sum() + k")
    with pytest.raises(
        NotReady, match=r"cell \[2\] reads 'given' \(a DataFrame in memory\), which no cell that was run makes"
    ):
        session.export()
    assert list(Path().iterdir()) == []


def test_what_is_not_needed_is_only_noted(root: Path) -> None:
    session = play(root, ["!pip list\n!touch x", "%%bash\nls", "a = 2\nb = a ** 3"])
    notes = " ".join(session.export().notes)
    assert "%%bash [2]" in notes
    assert "!touch [1]" in notes


def test_names_that_are_not_there(root: Path) -> None:
    session = play(root, ["accuracy = 1.5"])
    with pytest.raises(NotFound, match="no variable 'acuracy'; there is: accuracy. Did you mean 'accuracy'"):
        session.export(targets="acuracy")
    with pytest.raises(NotFound, match="no notebook 'nix.ipynb'"):
        session.export("nix.ipynb")
    with pytest.raises(InvalidArgument, match="holds no exported pipeline"):
        session.verify("nix")
    with pytest.raises(NotReady, match="no kernel runs here"):
        Session.open(root=root).export()


def test_foreign_and_edited_directories_are_kept(root: Path) -> None:
    session = play(root, ["a = 2\nb = a ** 3"])
    Path("mine").mkdir()
    Path("mine/notes.txt").write_text("keep")
    with pytest.raises(Conflict, match="mine exists and is no exported pipeline"):
        session.export(output="mine")
    session.export(output="ours", verify=False)
    session.export(output="ours", verify=False)
    with Path("ours/pipeline.py").open("a") as file:
        file.write("# mine\n")
    with pytest.raises(Conflict, match="edited since"):
        session.export(output="ours", verify=False)
    assert sorted(p.name for p in Path().iterdir()) == ["mine", "ours"]
    assert Path("ours/pipeline.py").read_text().endswith("# mine\n")


# what only the file knows


def test_headings_tags_and_parameters(root: Path) -> None:
    cells = [
        ("markdown", "m0", "# All about sums", []),
        ("code", "c0", "import math", []),
        ("markdown", "m1", "## 1. Read `numbers`", []),
        ("code", "c1", "depth = 3\nname = 'x'", ["parameters"]),
        ("code", "c2", "numbers = [math.sqrt(i) for i in range(depth)]\nlabel = [name]", []),
        ("markdown", "m2", "## 2. Sums & more\n```\n# no heading\n```", []),
        ("code", "c3", "numbers.append(1.5)\nlabel.append('y')", []),
        ("code", "c4", "total = sum(numbers)\nwritten = ''.join(label)", ["mlops:step=finish"]),
    ]
    session = play(root, [(identity, source) for kind, identity, source, _ in cells if kind == "code"])
    save(session, Path("sums.ipynb"), cells)
    pipeline = session.export()
    assert pipeline.verification is not None
    assert pipeline.verification.ok, str(pipeline)
    assert [(s.name, s.title) for s in pipeline.steps] == [
        ("read_numbers", "Read numbers"),
        ("sums_more", "Sums & more"),
        ("finish", "finish"),
    ]
    assert [(p.name, p.type, p.default) for p in pipeline.parameters] == [("depth", "int", 3), ("name", "str", "x")]
    command = [sys.executable, "pipeline/pipeline.py", "--depth", "1", "--name", "q"]
    assert "written = qy" in subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_order_and_deleted_cells(root: Path) -> None:
    session = play(
        root, [("two", "a = [1, 2]"), ("one", "b = a + [3]"), ("gone", "c = b + [4]"), ("end", "d = c + [5]")]
    )
    cells = [("code", "one", "b = a + [3]", []), ("code", "two", "a = [1, 2]", []), ("code", "end", "d = c + [5]", [])]
    save(session, Path("n.ipynb"), cells)
    with pytest.raises(
        NotReady, match=r"need c as cell \[3\] made it, and that cell was edited or deleted since: n.ipynb"
    ):
        session.export()
    save(session, Path("n.ipynb"), [*cells, ("code", "gone", "c = b + [4]", [])])
    pipeline = session.export()
    assert pipeline.verification is not None
    assert pipeline.verification.ok
    assert any("[2]" in note and "run after" in note for note in pipeline.notes), pipeline.notes


# the data and the modules of the project


def test_data_files_versions_and_modules_of_the_project(root: Path) -> None:
    Path("data").mkdir()
    Path("data/a.csv").write_text("x,y\n1,2.5\n3,\n")
    Path("helping.py").write_text("import deeper\n\ndef twice(t):\n    return t * deeper.TWO\n")
    Path("deeper.py").write_text("TWO = 2\n")
    sys.path.insert(0, str(Path.cwd()))
    try:
        session = play(root, ["import pandas as pd\nfrom helping import twice\ndf = pd.read_csv('data/a.csv')"])
        session.data.save(session.context.namespace["df"], name="small")
        session.context.namespace["mlops"] = session
        session.context.namespace["again"] = session.data.load("small@v1")
        session.context.cells.append(Cell("%mlops data load small@v1 -o again", 2, "l", outcome="ok"))
        run(session, "both = pd.concat([twice(df), again])")
        pipeline = session.export(targets="both")
    finally:
        sys.path.remove(str(Path.cwd()))
        for name in ("helping", "deeper"):
            sys.modules.pop(name, None)
    assert pipeline.verification is not None
    assert pipeline.verification.ok, str(pipeline) + Path("pipeline/pipeline.py").read_text()
    assert 'again = mlops.data.load("small@v1")' in Path("pipeline/pipeline.py").read_text()
    assert Path("pipeline/helping.py").exists()
    assert Path("pipeline/deeper.py").exists()
    assert any(line.startswith("jupyter-mlops==") for line in pipeline.requirements)

    Path("data/a.csv").unlink()
    verdict = session.verify("pipeline")
    assert not verdict.ok
    assert "step 'load' failed: FileNotFoundError" in verdict.error


def test_a_pipeline_that_hangs_or_dies(root: Path) -> None:
    session = play(root, ["a = [1]", "a.append(len(a))"])
    session.export(verify=False)
    text = Path("pipeline/pipeline.py").read_text()
    Path("pipeline/pipeline.py").write_text(
        text.replace("    a.append", "    __import__('time').sleep(60)\n    a.append")
    )
    began = time.monotonic()
    verdict = session.verify("pipeline", timeout=2)
    assert "did not end within 2 s" in verdict.error
    assert time.monotonic() - began < 30
    Path("pipeline/pipeline.py").write_text(text.replace("    a.append", "    __import__('os')._exit(3)\n    a.append"))
    assert "the process ended with 3" in session.verify("pipeline").error

    def interrupt(line: str) -> None:
        if "step 1" in line:
            raise KeyboardInterrupt

    Path("pipeline/pipeline.py").write_text(
        text.replace(
            "import argparse",
            "import argparse\nimport os\nimport time\n\nopen('pid', 'w').write(str(os.getpid()))\ntime.sleep(0.2)",
        ).replace("    a.append", "    time.sleep(60)\n    a.append")
    )
    session.context.progress = interrupt
    with pytest.raises(KeyboardInterrupt):
        session.verify("pipeline")
    assert not Path("/proc", Path("pid").read_text()).exists()
    session.context.progress = lambda _line: None
    with pytest.raises(InvalidArgument, match="cannot be run"):
        session.verify("pipeline", python="/nowhere/python")
