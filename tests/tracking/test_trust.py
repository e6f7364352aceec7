"""Trust labels: a table of the ways in which a notebook's hidden state parts from its cells, each with its label and culprit."""

from __future__ import annotations

import functools
import importlib
import random
import sys

import numpy as np
import pytest

from jupyter_mlops.analysis.evidence import Watch
from jupyter_mlops.domain.workspace import Cell
from jupyter_mlops.tracking.executions import Standing, overlay
from jupyter_mlops.tracking.file_times import Outside
from jupyter_mlops.tracking.trust import Assessment, assess

BASE = {
    "imports": "import numpy as np\nfrom sklearn.linear_model import LogisticRegression",
    "seed": "np.random.seed(0)",
    "load": "import pandas as pd\ndf = pd.read_csv('adult.csv')",
    "clean": "def clean(t):\n    return t.dropna()",
    "prepare": "X = clean(df[['age', 'hours']])\ny = df['income']",
    "C": "C = 1.0",
    "fit": "with mlops.run('fit'):\n    LogisticRegression(C=C).fit(X, y)",
}
FOREST = "with mlops.run('fit'):\n    RandomForestClassifier().fit(X, y)"
ORDER = list(BASE)


def ran(*steps: str | tuple[str, str], cells: dict[str, str] = BASE, failed: tuple[int, ...] = ()) -> list[Cell]:
    """Executions by the names of cells; a pair is a cell and the source it had then."""
    made = []
    for number, step in enumerate(steps, 1):
        name, source = step if isinstance(step, tuple) else (step, cells[step])
        made.append(Cell(source, number, name, number, outcome="error" if number in failed else "ok"))
    return made


def stands(*names: str, **sources: str) -> list[Standing]:
    return [Standing(name, {**BASE, **sources}[name]) for name in names]


def without(name: str) -> list[str]:
    return [other for other in ORDER if other != name]


# name: executions, cells as they stand, label, a cell that must be named (None for none), a word of why
CASES = {
    "top to bottom": (ran(*ORDER), stands(*ORDER), "consistent", None, ""),
    "a cell that nothing needs is gone": (ran("C", *ORDER), stands(*ORDER), "consistent", None, ""),
    "independent cells in another order": (
        ran("imports", "C", "seed", "load", "clean", "prepare", "fit"), stands(*ORDER), "consistent", None, "",
    ),
    "a comment was added": (ran(*ORDER), stands(*ORDER, C="C = 1.0  # strong"), "consistent", None, ""),
    "laid out anew": (ran(*ORDER), stands(*ORDER, C="\nC=(1.0)\n"), "consistent", None, ""),
    "a cell ran twice and gives the same": (ran(*ORDER[:-1], "prepare", "fit"), stands(*ORDER), "consistent", None, ""),
    "the run's cell ran twice": (ran(*ORDER, "fit"), stands(*ORDER), "consistent", None, ""),
    "a cell below is another": (
        ran(*ORDER),
        [*stands(*ORDER), Standing("new", "C = 9")],
        "consistent",
        None,
        "",
    ),
    "a failed cell that bound nothing": (
        ran("imports", ("load", "df = pd.read_csv('no.csv')"), *ORDER[1:], failed=(2,)), stands(*ORDER), "consistent", None, "",
    ),
    "a plot in between is gone": (
        ran(*ORDER[:-1], ("p", "import matplotlib.pyplot as plt\nplt.hist(df['age'])\ndf.describe()"), "fit"),
        stands(*ORDER), "consistent", None, "",
    ),
    "a needed cell is deleted": (ran(*ORDER), stands(*without("C")), "stale", "[6]", "no longer in the notebook"),
    "a function's cell is deleted": (ran(*ORDER), stands(*without("clean")), "stale", "[4]", "no longer"),
    "the loading cell is deleted": (ran(*ORDER), stands(*without("load")), "stale", "[3]", "no longer"),
    "the imports are deleted": (ran(*ORDER), stands(*without("imports")), "stale", "[1]", "no longer"),
    "the run's cell is deleted": (ran(*ORDER), stands(*without("fit")), "stale", "[7]", "the run's own"),
    "the run's cell is edited": (ran(*ORDER), stands(*ORDER, fit="1"), "stale", "[7]", "edited"),
    "a value is edited": (ran(*ORDER), stands(*ORDER, C="C = 2.0"), "stale", "[6]", "edited"),
    "a function is edited": (
        ran(*ORDER), stands(*ORDER, clean="def clean(t):\n    return t.fillna(0)"), "stale", "[4]", "edited",
    ),
    "a value is edited, and ran since the run": (
        ran(*ORDER), overlay(stands(*ORDER), 0, [*ran(*ORDER), Cell("C = 3.0", 8, "C", 8, outcome="ok")]), "stale", "[6]", "edited",
    ),
    "edited and run again before the run, then undone": (
        ran(*ORDER[:-1], ("C", "C = 5.0"), "fit"), stands(*ORDER), "stale", "[7]", "edited",
    ),
    "edited, run, and the run again: the cells are what ran": (
        ran(*ORDER, ("C", "C = 5.0"), "fit"), stands(*ORDER, C="C = 5.0"), "consistent", None, "",
    ),
    "the run's cell stands above what it needs": (
        ran(*ORDER), stands(*without("C"), "C"), "stale", "[6]", "below",
    ),
    "a value is bound below": (
        ran(*ORDER[:-1], ("late", "C = 7.0"), "fit"), [*stands(*ORDER), Standing("late", "C = 7.0")], "stale", "[7]", "below",
    ),
    "cells ran out of order": (
        ran(*ORDER[:-1], ("b", "C = 7.0"), "C", "fit"),
        [*stands(*ORDER[:-1]), Standing("b", "C = 7.0"), *stands("fit")], "stale", "[8]", "order",
    ),
    "a cell above has not run": (
        ran(*ORDER), [*stands(*ORDER[:-1]), Standing("new", "C = 7.0"), *stands("fit")], "stale", "cell 7", "had not run",
    ),
    "a cell above has run only after the run": (
        ran(*ORDER), [*stands(*ORDER[:-1]), Standing("new", "X = X * 2"), *stands("fit")], "stale", "cell 7", "had not run",
    ),
    "a table was changed in place twice": (
        ran(*ORDER[:3], ("m", "df['age'] = df['age'] * 2"), ("m", "df['age'] = df['age'] * 2"), *ORDER[3:]),
        [*stands(*ORDER[:3]), Standing("m", "df['age'] = df['age'] * 2"), *stands(*ORDER[3:])], "stale", "[5]", "ran 2 times",
    ),
    "a table was changed in place by a cell that is gone": (
        ran(*ORDER[:3], ("m", "df.drop(columns='sex', inplace=True)"), *ORDER[3:]), stands(*ORDER), "stale", "[4]", "no longer",
    ),
    "a global was counted up twice": (
        ran(*ORDER[:-1], ("u", "C += 1"), ("u", "C += 1"), "fit"),
        [*stands(*ORDER[:-1]), Standing("u", "C += 1"), *stands("fit")], "stale", "[8]", "ran 2 times",
    ),
    "a list grew by a cell that ran twice": (
        ran(("a", "Cs = []"), ("b", "Cs.append(1)"), ("b", "Cs.append(1)"), ("c", "C = Cs[-1] + len(Cs)"), *without("C")),
        [Standing("a", "Cs = []"), Standing("b", "Cs.append(1)"), Standing("c", "C = Cs[-1] + len(Cs)"), *stands(*without("C"))],
        "stale", "[3]", "ran 2 times",
    ),
    "a function changes a global, and was called by a cell that is gone": (
        ran(*ORDER[:-1], ("f", "def up():\n    global C\n    C = C + 1"), ("g", "up()"), "fit"),
        [*stands(*ORDER[:-1]), Standing("f", "def up():\n    global C\n    C = C + 1"), *stands("fit")], "stale", "[8]", "no longer",
    ),
    "an alias was changed": (
        ran(*ORDER[:3], ("al", "d2 = df"), ("am", "d2['age'] = 0"), *ORDER[3:]),
        [*stands(*ORDER[:3]), Standing("al", "d2 = df"), *stands(*ORDER[3:])], "stale", "[5]", "no longer",
    ),
    "reseeded by a cell that is gone": (
        ran(*ORDER[:-1], ("s", "np.random.seed(42)"), ("fit", FOREST)), stands(*ORDER, fit=FOREST), "stale", "[7]", "no longer",
    ),
    "drew from the generator in between": (
        ran(*ORDER[:-1], ("r", "np.random.rand(3)"), ("fit", FOREST)), stands(*ORDER, fit=FOREST), "stale", "[7]", "random generator",
    ),
    "a shuffle ran twice after one seed": (
        ran("imports", "seed", "load", ("sh", "idx = np.random.permutation(10)"), ("sh", "idx = np.random.permutation(10)"), ("fit", "with mlops.run():\n    LogisticRegression().fit(df.iloc[idx], df['y'])")),
        [*stands("imports", "seed", "load"), Standing("sh", "idx = np.random.permutation(10)"), Standing("fit", "with mlops.run():\n    LogisticRegression().fit(df.iloc[idx], df['y'])")],
        "stale", "[5]", "ran 2 times",
    ),
    "seeded again before each draw: twice is the same": (
        ran("imports", "load", ("sh", "np.random.seed(1)\nidx = np.random.permutation(10)"), ("sh", "np.random.seed(1)\nidx = np.random.permutation(10)"), ("fit", "with mlops.run():\n    LogisticRegression().fit(df.iloc[idx], df['y'])")),
        [*stands("imports", "load"), Standing("sh", "np.random.seed(1)\nidx = np.random.permutation(10)"), Standing("fit", "with mlops.run():\n    LogisticRegression().fit(df.iloc[idx], df['y'])")],
        "consistent", None, "",
    ),
    "the seed is edited": (ran(*ORDER[:-1], ("fit", FOREST)), stands(*ORDER, fit=FOREST, seed="np.random.seed(1)"), "stale", "[2]", "edited"),
    "nothing seeds the draw": (
        ran("imports", "load", ("fit", "with mlops.run():\n    RandomForestClassifier().fit(df, df['y'])")),
        [*stands("imports", "load"), Standing("fit", "with mlops.run():\n    RandomForestClassifier().fit(df, df['y'])")],
        "consistent", "[3]", "nothing seeds",
    ),
    "a file was written by a cell that is gone": (
        ran(("w", "import pandas as pd\npd.DataFrame({'a': [1]}).to_csv('adult.csv')"), *ORDER), stands(*ORDER), "stale", "[1]", "no longer",
    ),
    "a variable was deleted by a cell that is gone, and made anew": (
        ran(*ORDER[:-1], ("d", "del C"), ("n", "C = 3.0"), "fit"), stands(*ORDER), "stale", "[8]", "no longer",
    ),
    "an environment variable was set by a cell that is gone": (
        ran(("e", "import os\nos.environ['DEPTH'] = '3'"), *ORDER), stands(*ORDER), "stale", "[1]", "no longer",
    ),
    "a file of settings was loaded by a cell that is gone": (
        ran(("e", "from dotenv import load_dotenv\nload_dotenv('a.env')"), *ORDER), stands(*ORDER), "stale", "[1]", "no longer",
    ),
    "a setting whose old value was kept": (
        ran(("e", "old = np.seterr(all='raise')"), *ORDER), stands(*ORDER), "stale", "[1]", "no longer",
    ),
    "a file was added to twice": (
        ran("load", ("a", "open('adult.csv', 'a').write('x')"), ("a", "open('adult.csv', 'a').write('x')"), *ORDER),
        [*stands("load"), Standing("a", "open('adult.csv', 'a').write('x')"), *stands(*ORDER)], "stale", "[3]", "ran 2 times",
    ),
    "a warning filter is gone": (
        ran(("e", "import warnings\nwarnings.filterwarnings('ignore')"), *ORDER), stands(*ORDER), "consistent", None, "",
    ),
    "a fit that draws ran twice after one seed": (
        ran(*ORDER[:-1], ("fit", FOREST), ("fit", FOREST)),
        stands(*ORDER, fit=FOREST),
        "stale",
        "[8]",
        "ran 2 times",
    ),
    "the notebook's file is not known": (ran(*ORDER), None, "unknown", "", "not known"),
    "a value came from nowhere": (ran(*without("C")), stands(*without("C")), "unknown", "[6]", "no cell makes"),
    "a name was bound by a shell cell": (
        ran(("sh", "%%bash\ncp a.csv adult.csv"), *ORDER), [Standing("sh", "%%bash\ncp a.csv adult.csv"), *stands(*ORDER)],
        "consistent", None, "",
    ),
    "a cell without ids moved": (
        [Cell(BASE[n], i, "", i, outcome="ok") for i, n in enumerate(ORDER, 1)], [Standing("", BASE[n]) for n in (*without("C"), "C")],
        "stale", "[6]", "below",
    ),
    "a cell with the magic": (
        [*ran(*ORDER[:-1]), Cell("%%mlops run fit\nLogisticRegression(C=C).fit(X, y)", 7, "fit", 7, outcome="running")],
        stands(*ORDER, fit="%%mlops run fit\nLogisticRegression(C=C).fit(X, y)"), "consistent", None, "",
    ),
    "logged with the run that the magic has bound": (
        [*ran(*ORDER[:-1]), Cell("%%mlops run fit -o handle\nfor i in range(3):\n    handle.log_metric('c', C, step=i)", 7, "fit", 7, outcome="running")],
        stands(*ORDER, fit="%%mlops run fit -o handle\nfor i in range(3):\n    handle.log_metric('c', C, step=i)"), "consistent", None, "",
    ),
    "logged twice under one name": (
        [*ran(*ORDER[:-1]), *(Cell("with mlops.run() as run:\n    run.log_metric('c', C)", n, "fit", n, outcome="ok") for n in (7, 8))],
        stands(*ORDER, fit="with mlops.run() as run:\n    run.log_metric('c', C)"), "consistent", None, "",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda name: name.replace(" ", "-"))
def test_hidden_state_gets_the_right_label_and_names_the_cell(case):
    cells, standing, label, culprit, why = CASES[case]
    found = assess(cells, standing, live={"C": 1.0, "handle": None})
    assert found.label == label, found
    if culprit is None:
        assert found.reasons == {}
    else:
        assert culprit in found.reasons, found
        assert why in found.reasons[culprit]


@pytest.mark.parametrize("failing", ["mlops.data.load('no')[['a']].head(2)", "print(mlops.data.contract('no'))"])
def test_a_failed_call_of_ours_changes_nothing_and_a_bound_one_can_be_looked_into(failing):
    import jupyter_mlops

    sources = [
        "import jupyter_mlops as mlops\ndf = load()",
        "c = mlops.data.check(df)\nfor finding in c.findings:\n    print(finding)",
        "saved = mlops.data.save(df, name='t')",
        failing,
        "with mlops.run('fit'):\n    LogisticRegression().fit(df, mlops.data.load('t'))",
    ]
    cells = [Cell(s, i, str(i), i, outcome="error" if s == failing else "ok") for i, s in enumerate(sources, 1)]
    found = assess(cells, [Standing(cell.id, cell.source) for cell in cells], live={"mlops": jupyter_mlops})
    assert (found.label, found.reasons) == ("consistent", {})


SEEN = {
    "a name was bound by exec": ("k = 1", "exec('k = 5')", "result = k"),
    "a function keeps what it was given": ("def f(x, acc=[]):\n    acc.append(x)\n    return len(acc)", "f(1)", "result = f(1)"),
    "a closure counts": (
        "def make():\n    n = 0\n    def up():\n        nonlocal n\n        n += 1\n        return n\n    return up\nup = make()",
        "up()",
        "result = up()",
    ),
    "a cache holds what an earlier variable gave": (
        "import functools\nk = 1\n@functools.lru_cache\ndef f(x):\n    return x + k",
        "early = f(1)\nk = 10",
        "result = f(1)",
    ),
    "a class counts its objects": (
        "class A:\n    n = 0\n    def __init__(self):\n        type(self).n += 1",
        "A()",
        "result = A.n",
    ),
    "a class was changed by way of an object": (
        "class A:\n    c = 1\na = A()",
        "type(a).c = 7",
        "result = A.c",
    ),
    "a class enters its subclasses": (
        "class A:\n    known = []\n    def __init_subclass__(cls):\n        A.known.append(cls)",
        "class B(A):\n    pass",
        "result = len(A.known)",
    ),
    "a look makes what is missing": (
        "import collections\nd = collections.defaultdict(int)",
        "d['x']",
        "result = len(d)",
    ),
    "a property counts who asks": (
        "class A:\n    n = 0\n    @property\n    def v(self):\n        self.n += 1\na = A()",
        "a.v",
        "result = a.n",
    ),
    "an operator counts": (
        "class A:\n    n = 0\n    def __add__(self, other):\n        self.n += 1\na = A()",
        "a + 1",
        "result = a.n",
    ),
    "a generator was handed on": (
        "import numpy as np\nrng = np.random.default_rng(0)\ndef look(a, random_state):\n    return None",
        "look([], random_state=rng)",
        "result = rng.normal()",
    ),
    "a seed was set under another name": (
        "import random\nrandom.seed(0)\nfrom random import seed as again",
        "again(3)",
        "result = random.random()",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", SEEN, ids=lambda name: name.replace(" ", "-"))
def test_what_cells_were_seen_to_do_counts_where_their_text_does_not_show_it(case):
    first, gone, last = SEEN[case]
    watch, space = Watch(), {"__name__": "__main__"}
    cells = [
        Cell(source, i, str(i), i, outcome="ok")
        for i, source in enumerate((first, gone, f"with mlops.run():\n    {last}"), 1)
    ]
    for cell in cells:
        watch.before(space, cell.count)
        exec(cell.source.replace("with mlops.run():", "if True:"), space)
        watch.after(space)
    whole = [Standing(cell.id, cell.source) for cell in cells]
    assert assess(cells, whole, live=space, seen=watch.cells).label == "consistent"
    found = assess(cells, [whole[0], whole[2]], live=space, seen=watch.cells)
    assert (found.label, list(found.reasons)) == ("stale", ["[2]"])


def test_an_import_that_sets_the_seed_counts(tmp_path, monkeypatch):
    (tmp_path / "seeds_of_test.py").write_text("import random\nimport numpy as np\nnp.random.seed(7)\n")
    monkeypatch.syspath_prepend(tmp_path)
    sources = [
        "import numpy as np\nnp.random.seed(0)",
        "import seeds_of_test",
        "with mlops.run():\n    r = np.random.rand()",
    ]
    cells = [Cell(source, i, str(i), i, outcome="ok") for i, source in enumerate(sources, 1)]
    watch, space, kept = Watch(), {}, np.random.get_state()  # noqa: NPY002
    try:
        for cell in cells[:2]:
            watch.before(space, cell.count)
            exec(cell.source, space)
            watch.after(space)
    finally:
        np.random.set_state(kept)  # noqa: NPY002
        sys.modules.pop("seeds_of_test", None)
    whole = [Standing(cell.id, cell.source) for cell in cells]
    assert assess(cells, whole, live=space, seen=watch.cells).label == "consistent"
    found = assess(cells, [whole[0], whole[2]], live=space, seen=watch.cells)
    assert (found.label, list(found.reasons)) == ("stale", ["[2]"])


def test_a_module_of_the_users_own_that_counts(tmp_path, monkeypatch):
    (tmp_path / "counts_of_test.py").write_text("n = 0\ndef up():\n    global n\n    n += 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    sources = ["import counts_of_test", "counts_of_test.up()", "with mlops.run():\n    r = counts_of_test.n"]
    cells = [Cell(source, i, str(i), i, outcome="ok") for i, source in enumerate(sources, 1)]
    watch, space = Watch(), {}
    for cell in cells[:2]:
        watch.before(space, cell.count)
        exec(cell.source, space)
        watch.after(space)
    monkeypatch.delitem(sys.modules, "counts_of_test")
    whole = [Standing(cell.id, cell.source) for cell in cells]
    assert assess(cells, whole, live=space, seen=watch.cells).label == "consistent"
    found = assess(cells, [whole[0], whole[2]], live=space, seen=watch.cells)
    assert (found.label, list(found.reasons)) == ("stale", ["[2]"])


LOOKS = {
    "a cross-validation": ("m = LinearRegression().fit(X, y)", "cross_val_score(m, X, y, cv=2)", "gone"),
    "numbers of an array": ("a = np.ones((2, 2))", "np.linalg.svd(a)\nnp.sort(a)", "gone"),
    "the first of a list": ("a = [3, 1]", "next(iter(a))\nsorted(a)", "gone"),
    "a forest with a seed of its own": ("np.random.seed(0)\na = 1", "RandomForestClassifier(2, random_state=1).fit(X, z)", "gone"),
    "columns out of others": ("a = pd.DataFrame({'a': [1, 2]})", "a['b'] = a['a'] * 2\na['c'] = a['b'] + 1", "twice"),
    "a fit": ("a = LinearRegression()", "a.fit(X, y)", "twice"),
}  # fmt: skip
CHANGES = {
    "a column out of itself": ("a = pd.DataFrame({'a': [1, 2]})", "a['b'] = a['a'] * 2\na['a'] = a['b'] + 1", "twice"),
    "a column out of the whole": ("a = pd.DataFrame({'a': [1, 2]})", "a['n'] = a.sum(axis=1)", "twice"),
    "a warm start": ("a = SGDClassifier(random_state=0, warm_start=True)", "a.fit(X, z)", "twice"),
    "numbers in place": ("a = np.ones(3)", "np.add.at(a, [0], 5)", "gone"),
    "without a copy": ("a = np.array([1, np.nan])", "np.nan_to_num(a, copy=False)", "gone"),
    "another fit": ("a = LinearRegression().fit(X, y)", "a.fit(X[:3], y[:3])", "gone"),
    "a forest without a seed": ("np.random.seed(0)\na = 1", "RandomForestClassifier(2).fit(X, z)", "gone"),
}  # fmt: skip


@pytest.mark.parametrize("case", [*LOOKS, *CHANGES], ids=lambda name: name.replace(" ", "-"))
def test_what_only_looks_or_says_the_same_again_makes_no_run_stale(case):
    first, again, where = (LOOKS | CHANGES)[case]
    imports = (
        "import numpy as np\nimport pandas as pd\nfrom sklearn.ensemble import RandomForestClassifier\n"
        "from sklearn.linear_model import LinearRegression, SGDClassifier\n"
        "from sklearn.model_selection import cross_val_score\n"
        "X, y, z = np.arange(20.0).reshape(10, 2), np.arange(10.0) ** 2, [0, 1] * 5\n"
    )
    result = "m.coef_" if case == "a cross-validation" else "a, np.random.rand()"
    sources = [imports + first, again, f"with mlops.run():\n    r = {result}"]
    order = [0, 1, 1, 2] if where == "twice" else [0, 1, 2]
    cells = [Cell(sources[i], n, str(i), n, outcome="ok") for n, i in enumerate(order, 1)]
    watch, space, kept = Watch(), {}, np.random.get_state()  # noqa: NPY002
    try:
        for cell in cells[:-1]:
            watch.before(space, cell.count)
            exec(cell.source, space)
            watch.after(space)
    finally:
        np.random.set_state(kept)  # noqa: NPY002
    standing = [Standing(str(i), source) for i, source in enumerate(sources) if where == "twice" or i != 1]
    found = assess(cells, standing, live=space, seen=watch.cells)
    assert found.label == ("consistent" if case in LOOKS else "stale"), found


@pytest.mark.parametrize("used", ["s.value", "k"])
def test_a_widget_that_was_moved_by_hand_is_told_by_the_cell_that_uses_it(used):
    pytest.importorskip("ipywidgets")
    sources = [
        "import ipywidgets\ns, k = ipywidgets.IntSlider(3), 1\ns.observe(lambda c: globals().update(k=c['new']), 'value')",
        "other = 2",
        f"with mlops.run():\n    r = {used}",
        "with mlops.run():\n    r = other",
    ]
    cells = [Cell(source, i, str(i), i, outcome="ok") for i, source in enumerate(sources, 1)]
    standing = [Standing(cell.id, cell.source) for cell in cells]
    watch, space = Watch(), {}
    for cell in cells[:2]:
        watch.before(space, cell.count)
        exec(cell.source, space)
        watch.after(space)
    watch.before(space, 3)
    assert assess(cells[:3], standing, live=space, seen=watch.cells).label == "consistent"
    watch.after(space)
    space["s"].value = 8
    watch.before(space, 3)
    watch.after(space)
    watch.before(space, 4)
    found = assess(cells[:3], standing, live=space, seen=watch.cells)
    assert (found.label, list(found.reasons)) == ("unknown", ["[3]"])
    assert "a widget" in found.reasons["[3]"]
    assert assess(cells, standing, live=space, seen=watch.cells).label == "consistent"  # uses none of it


@pytest.mark.parametrize(
    "patch", ["math.sqrt = abs", "setattr(math, 'sqrt', abs)", "mock.patch('math.sqrt', return_value=7).start()"]
)
def test_a_module_that_was_patched_stays_so_when_it_is_imported_again(patch):
    sources = [
        "import math\nfrom unittest import mock",
        patch,
        "with mlops.run():\n    import math\n    r = math.sqrt(4)",
    ]
    cells = [Cell(source, i, str(i), i, outcome="ok") for i, source in enumerate(sources, 1)]
    whole = [Standing(cell.id, cell.source) for cell in cells]
    assert assess(cells, whole).label == "consistent"
    found = assess(cells, [whole[0], whole[2]])
    assert (found.label, list(found.reasons)) == ("stale", ["[2]"])


def test_no_value_of_a_setting_is_told():
    sources = ["import os\nos.environ['TOKEN'] = 'secret'", "with mlops.run():\n    x = 1"]
    cells = [Cell(source, i, str(i), i, outcome="ok") for i, source in enumerate(sources, 1)]
    whole = [Standing(cell.id, cell.source) for cell in cells]
    for ran, stand in ((cells, whole[1:]), (cells[1:], whole)):
        found = assess(ran, stand)
        assert found.label == "stale"
        assert "os.environ['TOKEN']" in str(found.reasons)
        assert "secret" not in str(found.reasons)


def test_a_cache_that_is_asked_twice_gives_the_same():
    sources = [
        "@functools.cache\ndef load():\n    return 3",
        "t = load()",
        "t = load()",
        "with mlops.run():\n    r = t",
    ]
    cells = [Cell(s, i, c, i, outcome="ok") for i, (s, c) in enumerate(zip(sources, "abbd", strict=True), 1)]
    watch, space = Watch(), {"functools": functools, "mlops": None}
    for cell in cells[:3]:
        watch.before(space, cell.count)
        exec(cell.source, space)
        watch.after(space)
    standing = [Standing(cell.id, cell.source) for cell in (cells[0], cells[1], cells[3])]
    assert assess(cells, standing, seen=watch.cells) == Assessment("consistent")


def test_what_was_shown_last_is_the_value_of_no_cell():
    cell = Cell("with mlops.run():\n    r = _", 1, "a", 1, outcome="ok")
    found = assess([cell], [Standing(cell.id, cell.source)], live={"_": 42})
    assert (found.label, list(found.reasons)) == ("unknown", ["[1]"])


def test_a_view_that_is_counted_up_twice_changes_its_array_twice():
    sources = ["a = np.zeros(3)\nb = a.reshape(3, 1)", "b += 1", "b += 1", "with mlops.run():\n    r = a.sum()"]
    cells = [
        Cell(source, i, i_d, i, outcome="ok") for i, (source, i_d) in enumerate(zip(sources, "abbd", strict=True), 1)
    ]
    found = assess(cells, [Standing(cell.id, cell.source) for cell in (cells[0], cells[1], cells[3])])
    assert found.label == "stale"


@pytest.mark.parametrize(
    "reading",
    [
        "t = pd.read_csv('t.csv')",
        "FOLDER = found()\nt = pd.read_csv(FOLDER / 't.csv')",
        "NAME = 't'\nt = open(f'{NAME}.csv').read()",
        "def read(name):\n    return pd.read_csv(f'{name}.csv')\nt = read('t')",
        "t = [open(f).read() for f in glob.glob('*.cs?')]",
        "import own_module_of_test",
    ],
)
def test_a_file_that_is_another_one_since_a_cell_read_it_makes_the_run_stale(reading, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "own_module_of_test", raising=False)
    file = tmp_path / ("own_module_of_test.py" if reading.startswith("import") else "t.csv")
    file.write_text("a = 1\n")
    if reading.startswith("import"):
        importlib.import_module("own_module_of_test")
    live = {"FOLDER": tmp_path, "NAME": "t", "t": None}
    now = file.stat().st_ctime_ns // 1_000_000
    sources = [
        reading,
        "with mlops.run():\n    r = own_module_of_test.a" if "import" in reading else "with mlops.run():\n    r = t",
    ]

    def label(read_ms: int) -> tuple[str, dict[str, str]]:
        cells = [Cell(source, i, str(i), read_ms, read_ms, outcome="ok") for i, source in enumerate(sources, 1)]
        found = assess(
            cells, [Standing(cell.id, cell.source) for cell in cells], live=live, outside=Outside(live, tmp_path)
        )
        return found.label, found.reasons

    assert label(now + 1) == ("consistent", {})
    changed, why = label(now - 1)
    assert (changed, list(why)) == ("stale", ["[1]"])
    assert "since" in why["[1]"]
    if "'t.csv'" in reading or "NAME" in reading:
        file.unlink()
        assert label(now + 1) == (
            "stale",
            {"[1]": f"read {file if 'FOLDER' in reading else 't.csv'}, which is no longer there"},
        )


def test_what_was_loaded_by_a_name_that_leads_elsewhere_now_makes_the_run_stale():
    sources = [
        "import jupyter_mlops as mlops",
        "t = mlops.data.load('tab')",
        "u = mlops.data.load('other')",
        "with mlops.run():\n    r = t",
    ]
    cells = [Cell(source, i, str(i), outcome="ok") for i, source in enumerate(sources, 1)]
    standing = [Standing(cell.id, cell.source) for cell in cells]

    def moved(which: int, name: str) -> Outside:
        return Outside(moved=lambda count: {name: "moved"} if count == which else {})

    assert assess(cells, standing, outside=moved(2, "tab")).reasons == {"[2]": "moved"}
    assert assess(cells, standing, outside=moved(3, "other")).label == "consistent"  # not used


@pytest.mark.parametrize("prepared_again", [True, False])
@pytest.mark.parametrize("what", ["file", "data version"])
def test_what_was_read_anew_after_it_changed_counts_as_what_it_is_now(what, prepared_again, tmp_path):
    file = tmp_path / "t.csv"
    file.write_text("a\n1\n")
    changed = file.stat().st_ctime_ns // 1_000_000
    read = "t = pd.read_csv('t.csv')" if what == "file" else "t = mlops.data.load('tab')"
    imports = "import pandas as pd\nimport jupyter_mlops as mlops"
    sources = [
        (0, imports),
        (1, read),
        (2, "X = t * 2"),
        (1, read),
        (2, "X = t * 2"),
        (3, "with mlops.run():\n    r = X"),
    ]
    if not prepared_again:
        del sources[4]
    cells = [
        Cell(source, count, str(place), *(changed + (-5 if count < 4 else 5),) * 2, outcome="ok")
        for count, (place, source) in enumerate(sources, 1)
    ]
    standing = [Standing(str(place), source) for place, source in dict(sources).items()]

    def moved(count: int) -> dict[str, str]:
        return {"tab": "loads tab, which is another one now"} if count == 2 and what != "file" else {}

    found = assess(cells, standing, outside=Outside({}, tmp_path, moved))
    if prepared_again:
        assert (found.label, found.reasons) == ("consistent", {})
    else:
        assert (found.label, list(found.reasons)) == ("stale", ["[2]"])


def test_there_are_enough_cases():
    assert len(CASES) >= 25
    labels = [case[2] for case in CASES.values()]
    assert {label: labels.count(label) for label in set(labels)} == pytest.approx(
        {"stale": 29, "consistent": 18, "unknown": 2}, abs=4
    )


@pytest.mark.parametrize("seed", range(40))
def test_any_order_that_keeps_what_each_cell_needs_is_consistent(seed):
    """Cells of arithmetic over few names: executed for real in both orders, the labels must be true."""
    draw = random.Random(seed)
    names = "abcd"
    sources = [f"{n} = {draw.randrange(9)}" for n in names]
    for _ in range(6):
        target, one, other = (draw.choice(names) for _ in range(3))
        sources.append(
            draw.choice(
                [
                    f"{target} = {one} * 3 + {other}",
                    f"{target} += {one} + 1",
                    f"t = [{one}, {other}]\n{target} = max(t) + len(t)",
                ]
            )
        )
    sources.append("with mlops.run():\n    result = (a, b)")
    standing = [Standing(str(i), source) for i, source in enumerate(sources)]
    order = (
        list(range(4)) + [draw.randrange(4, 10) for _ in range(draw.randrange(4, 9))]
        if draw.random() < 0.7
        else list(range(10))
    )
    cells = [Cell(sources[i], n, str(i), n, outcome="ok") for n, i in enumerate([*order, 10], 1)]
    found = assess(cells, standing)

    def values(run: list[int]) -> object:
        space: dict[str, object] = {}
        for i in run:
            exec(sources[i].replace("with mlops.run():", "if True:"), space)
        return space["result"]

    if found.label == "consistent":
        assert values([*order, 10]) == values(list(range(11)))
    else:
        assert found.label == "stale"
        assert found.reasons
