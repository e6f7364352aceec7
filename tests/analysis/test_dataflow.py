"""Data flow: for small notebooks, which statements a result needs; each line of a snippet that must be kept ends in #+."""

from __future__ import annotations

import pytest

from jupyter_mlops.analysis.dataflow import link
from jupyter_mlops.analysis.parse import parse_cells
from jupyter_mlops.analysis.slicing import Slice, slice_back
from jupyter_mlops.domain.workspace import Cell


def cut(source: str, targets: list[str]) -> Slice:
    cells = [Cell(text, i, outcome="ok") for i, text in enumerate(source.split("\n---\n"), 1)]
    flows = link(parse_cells(cells).statements, star_names=lambda module: {"sqrt", "pi"} if module == "math" else ())
    return slice_back(flows, targets)


# What is kept is marked; everything else must fall away. The target is `r` unless the first line names others.
SNIPPETS = {
    "a chain": "a = 1  #+\nb = a + 1  #+\nc = 5\nr = b  #+",
    "rebinding kills what was before": "r = 1\nr = 2  #+",
    "rebinding from itself": "df = load()  #+\ndf = df.dropna()  #+\nr = df  #+",
    "exploration falls away": "df = load()  #+\ndf.head()\ndf.describe()\nprint(df)\ndf.plot(kind='bar')\nr = df.sum()  #+",
    "item assignment": "df = load()  #+\ndf['x'] = 1  #+\nr = df  #+",
    "attribute assignment": "df = load()  #+\ndf.columns = ['a']  #+\nr = df  #+",
    "assignment through loc": "df = load()  #+\ndf.loc[df.a > 1, 'b'] = 0  #+\nr = df  #+",
    "assignment after the use": "df = load()  #+\nr = df.sum()  #+\ndf['x'] = 1",
    "inplace": "df = load()  #+\ndf.drop(columns='a', inplace=True)  #+\nr = df  #+",
    "not inplace": "df = load()  #+\ndf.drop(columns='a')\nr = df  #+",
    "inplace=False": "df = load()  #+\ndf.drop(columns='a', inplace=False)\nr = df  #+",
    "append": "l = []  #+\nl.append(1)  #+\nr = l  #+",
    "the folder of what is written": "import os  #+\nos.makedirs('out')  #+\ndf = load()  #+\ndf.to_csv('out/a.csv')  #+\nr = read_csv('out/a.csv')  #+",
    "a folder that nothing is written to": "import os\nos.makedirs('out')\nr = 1  #+",
    "append to another": "l = []  #+\nm = []\nm.append(1)\nr = l  #+",
    "fit": "m = Model()  #+\nm.fit(X)  #+\nr = m.predict(X)  #+\nm.score(X)",
    "an unknown method may change": "o = thing()  #+\no.frobnicate()  #+\nr = o  #+",
    "augmented": "n = 0  #+\nn += 1  #+\nr = n  #+",
    "augmented list through an alias": "a = []  #+\nb = a  #+\nb += [1]  #+\nr = a  #+",
    "alias": "a = []  #+\nb = a  #+\nb.append(1)  #+\nr = a  #+",
    "alias cut by rebinding": "a = []  #+\nb = a\nb = []\nb.append(1)\nr = a  #+",
    "part of a container": "m = Model()  #+\nd = {'m': m}  #+\nd['m'].fit(1)  #+\nr = m  #+",
    "put into a container": "m = Model()  #+\nd = {}  #+\nd['m'] = m  #+\nm.fit(1)  #+\nr = d  #+",
    "loop over models": "a = Model()  #+\nb = Model()  #+\nfor m in [a, b]:  #+\n    m.fit(1)\nr = a  #+",
    "loop over items": "d = make()  #+\nfor k, m in d.items():  #+\n    m.fit(1)\nr = d  #+",
    "loop that collects": "out = []  #+\nfor i in range(3):  #+\n    out.append(i)\nr = out  #+",
    "loop that shows": "df = load()  #+\nfor c in df.columns:\n    print(c)\nr = df  #+",
    "a loop over what is written out": "for k in ('a', 'b'):\n    t = load(k)\n---\nfor k in ('c', 'd'):  #+\n    t = load(k)\nr = t  #+",
    "a loop that may not begin": "t = 1  #+\nfor k in names:  #+\n    t = load(k)\nr = t  #+",
    "a loop that may be left": "t = 1  #+\nfor k in (1, 2):  #+\n    if bad(k):\n        continue\n    t = load(k)\nr = t  #+",
    "condition keeps both": "x = 1  #+\nif flag:  #+\n    x = 2\nr = x  #+",
    "both branches bind": "x = 1\nif 1 > 0:  #+\n    x = 2\nelse:\n    x = 3\nr = x  #+",
    "try": "try:  #+\n    import a\nexcept ImportError:\n    a = None\nr = a  #+",
    "with": "with open('f') as f:  #+\n    t = f.read()\nr = t  #+",
    "walrus": "if (n := 10) > 5:  #+\n    pass\nr = n  #+",
    "del is no use": "a = 1  #+\nr = a  #+\ndel a",
    "del of an item": "d = make()  #+\ndel d['a']  #+\nr = d  #+",
    "function and its global": "k = 2  #+\ndef f(x):  #+\n    return x * k\nr = f(3)  #+",
    "the global at the time of the call": "k = 1\ndef f(x):  #+\n    return x * k\nk = 2  #+\nr = f(3)  #+",
    "function through a function": "k = 2  #+\ndef f():  #+\n    return k\ndef g():  #+\n    return f()\nr = g()  #+",
    "function that changes its argument": "df = load()  #+\ndef add(t):  #+\n    t['x'] = 1\nadd(df)  #+\nr = df  #+",
    "function that changes it through another": "df = load()  #+\ndef a(t):  #+\n    t['x'] = 1\ndef b(u):  #+\n    v = u\n    a(v)\nb(df)  #+\nr = df  #+",
    "function that changes a copy": "df = load()  #+\ndef add(t):\n    t = t.copy()\n    t['x'] = 1\n    return t\nadd(df)\nr = df  #+",
    "function that writes a file": "df = load()  #+\ndef save(t):  #+\n    t.to_csv('a.csv')\nsave(df)  #+\nimport pandas as pd  #+\nr = pd.read_csv('a.csv')  #+",
    "function that draws": "import random  #+\nrandom.seed(1)  #+\ndef f():  #+\n    return random.random()\nx = f()  #+\nr = f()  #+",
    "query": "k = 1  #+\ndf = load()  #+\nr = df.query('a > @k')  #+",
    "function that does not": "df = load()  #+\ndef show(t):\n    print(t)\nshow(df)\nr = df  #+",
    "function that changes a global": "n = []  #+\ndef add():  #+\n    n.append(1)\nadd()  #+\nr = n  #+",
    "function that binds a global": "n = 0  #+\ndef up():  #+\n    global n\n    n += 1\nup()  #+\nr = n  #+",
    "function handed over": "k = 2  #+\ndef f(x):  #+\n    return x * k\nr = list(map(f, [1]))  #+",
    "lambda": "k = 2  #+\nf = lambda x: x * k  #+\nr = f(1)  #+",
    "parameters hide globals": "x = 1\ndef f(x):  #+\n    return x\nr = f(2)  #+",
    "comprehension hides its own": "x = 1\nr = [x for x in range(3)]  #+",
    "comprehension reads": "k = 1  #+\nr = [i * k for i in range(3)]  #+",
    "class": "k = 1  #+\nclass A:  #+\n    def m(self):\n        return k\na = A()  #+\nr = a.m()  #+",
    "the class's global bound later": "class A:  #+\n    def m(self):\n        return k\na = A()  #+\nk = 1  #+\nr = a.m()  #+",
    "decorator": "def d(f):  #+\n    return f\n@d  #+\ndef g():\n    return 1\nr = g()  #+",
    "generator is used up": "g = (i for i in range(9))  #+\nfirst = next(g)  #+\nr = list(g)  #+",
    "iterator read twice": "z = zip(a0, b0)  #+\nl = list(z)  #+\nr = list(z)  #+",
    "shuffle": "import random  #+\nl = [1, 2]  #+\nrandom.shuffle(l)  #+\nr = l  #+",
    "seed": "import numpy as np  #+\nnp.random.seed(0)  #+\nx = np.random.rand()  #+\nr = np.random.rand()  #+",
    "seed of no use": "import numpy as np\nnp.random.seed(0)\nr = 1  #+",
    "only the last seed": "import numpy as np  #+\nnp.random.seed(0)\nx = np.random.rand()\nnp.random.seed(1)  #+\nr = np.random.rand()  #+",
    "warnings filter stays": "import warnings  #+\nwarnings.filterwarnings('ignore')  #+\nr = 1  #+",
    "display option goes": "import pandas as pd  #+\npd.set_option('display.width', 9)\npd.options.display.width = 9\nr = pd.x  #+",
    "environment stays": "import os  #+\nos.environ['A'] = '1'  #+\nr = 1  #+",
    "file written and read": "df = load()  #+\ndf.to_csv('a.csv')  #+\nimport pandas as pd  #+\nr = pd.read_csv('a.csv')  #+",
    "another file": "df = load()\ndf.to_csv('b.csv')\nimport pandas as pd  #+\nr = pd.read_csv('a.csv')  #+",
    "plots": "import matplotlib.pyplot as plt\nx = load()  #+\nfig, ax = plt.subplots()\nax.plot(x)\nplt.show()\nr = x  #+",
    "star import": "from math import *  #+\nr = sqrt(2)  #+",
    "unused import": "import os\nimport json  #+\nr = json.loads('1')  #+",
    "tuple": "a, b = load()  #+\nc, d = other()\nr = a  #+",
    "chained": "a = b = []  #+\nb.append(1)  #+\nr = a  #+",
    "starred": "a, *rest = load()  #+\nr = rest  #+",
    "match": "x = 3  #+\nmatch x:  #+\n    case 3:\n        y = 1\n    case _:\n        y = 2\nr = y  #+",
    "while": "n = 0  #+\nwhile n < 3:  #+\n    n += 1\nr = n  #+",
    "run twice": "r = 1  #+\n---\nr = r + 1  #+\n---\nr = r + 1  #+",
    "pop": "df = load()  #+\ny = df.pop('y')  #+\nr = df  #+",
    "a returned self": "m = Model()  #+\nn = m.fit(1)  #+\nr = m  #+",
}  # fmt: skip


@pytest.mark.parametrize("name", SNIPPETS)
def test_what_is_kept(name: str) -> None:
    source = "\n".join(line for line in SNIPPETS[name].split("\n"))
    found = cut(source, ["r"])
    kept = [flow.statement.text.split("\n")[0] for flow in found.flows]
    dropped = [flow.statement.text.split("\n")[0] for flow in found.dropped]
    assert [line for line in kept if not line.endswith("#+")] == [], "kept without need"
    assert [line for line in dropped if line.endswith("#+")] == [], "dropped though needed"


@pytest.mark.parametrize(
    ("source", "missing"),
    [
        ("r = a + 1", ["a"]),
        ("def f():\n    return a\nr = f()", ["a"]),
        ("r = [x for x in data]", ["data"]),
        ("for x in data:\n    r = x", ["data"]),
        ("r = len([1]) + __name__.count('a')", []),
        ("if flag:\n    a = 1\nr = a", ["flag"]),
    ],
)
def test_what_nothing_made_is_missing(source: str, missing: list[str]) -> None:
    assert [m.name for m in cut(source, ["r"]).missing] == missing


def test_what_a_figure_is_asked_for_needs_what_was_drawn_into_it() -> None:
    text = "plt.scatter(x, y)\nlim = plt.axis()\nplt.title('t')"
    trace = parse_cells([Cell("x, y = [1], [2]\nplt.plot(y)", 1, outcome="ok"), Cell(text, 2, outcome="ok")])
    kept = [flow.statement.text for flow in slice_back(link(trace.statements), ["lim"]).flows]
    assert kept == ["x, y = [1], [2]", "plt.scatter(x, y)", "lim = plt.axis()"]


def test_what_is_drawn_into_a_space_of_three_dimensions_is_part_of_it() -> None:
    from matplotlib.figure import Figure

    space = Figure().add_subplot(projection="3d")
    text = "ax = plt.axes(projection='3d')\nax.plot_trisurf(x, y, z)\nax.set_xlabel('x')"
    trace = parse_cells([Cell("x = y = z = [1, 2]", 1, outcome="ok"), Cell(text, 2, outcome="ok")])
    kept = [flow.statement.text for flow in slice_back(link(trace.statements, live={"ax": space}), ["ax"]).flows]
    assert kept[2:] == ["ax.plot_trisurf(x, y, z)", "ax.set_xlabel('x')"]


def test_a_function_that_draws_changes_the_figure_that_is_open() -> None:
    from matplotlib.figure import Figure

    figure = Figure()
    text = "fig = plt.figure()\ndone = tidy()\nother = plain()"
    functions = "def tidy():\n    plt.tight_layout()\ndef plain():\n    return 1"
    trace = parse_cells([Cell(functions, 1, outcome="ok"), Cell(text, 2, outcome="ok")])
    kept = [flow.statement.text for flow in slice_back(link(trace.statements, live={"fig": figure}), ["fig"]).flows]
    assert kept == ["def tidy():\n    plt.tight_layout()", "fig = plt.figure()", "done = tidy()"]
