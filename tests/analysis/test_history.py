"""IPython's own variables, and magics that change what they time, as Python that does the same."""

from __future__ import annotations

import pytest

from jupyter_mlops.analysis.clock import clock_calls, clock_dependents
from jupyter_mlops.analysis.dataflow import link
from jupyter_mlops.analysis.evidence import CellEvidence
from jupyter_mlops.analysis.history import with_history
from jupyter_mlops.analysis.parse import parse_cells
from jupyter_mlops.analysis.slicing import slice_back
from jupyter_mlops.analysis.trace import Trace
from jupyter_mlops.domain.workspace import Cell


def cells(*sources: str) -> list[Cell]:
    return [Cell(source, count, f"c{count}", outcome="ok") for count, source in enumerate(sources, 1)]


def resolved(*sources: str, shown: set[int] | None = None) -> list[str]:
    return with_history(cells(*sources), sources, shown if shown is not None else set(range(1, len(sources) + 1)))


@pytest.mark.parametrize(
    ("reader", "expected"),
    [
        ("x = _", "x = _3"),
        ("x = __ * ___", "x = _2 * _1"),
        ("x = Out[1] + _oh[2]", "x = _1 + _2"),
        ("x = _2", "x = _2"),
        ("x = In[1]", "x = '1'"),
        ("x = _i2", "x = '2'"),
        ("x = 2 in Out, 9 not in Out", "x = True, True"),
        ("x = [_ for _ in range(2)]", "x = [_ for _ in range(2)]"),
        ("f = lambda _: _ + 1", "f = lambda _: _ + 1"),
        ("é = _ if _ else 'ü'", "é = _3 if _3 else 'ü'"),
    ],
)
def test_what_a_cell_reads_of_earlier_ones(reader: str, expected: str) -> None:
    assert resolved("1", "2", "3", reader, shown={1, 2, 3})[3] == expected


def test_only_what_is_read_gets_a_name() -> None:
    assert resolved("a = 1\na + 1", "3", "b = Out[1]", shown={1, 2}) == ["a = 1\n_1 = a + 1", "3", "b = _1"]
    assert resolved("a; (b,\n 2)", "_", shown={1, 2}) == ["a; _1 = (b,\n 2)", "_1"]


def test_a_name_that_the_user_bound_is_the_users() -> None:
    assert resolved("5", "_ = 3", "x = _", shown={1}) == ["5", "_ = 3", "x = _"]
    assert resolved("5", "for _ in range(2):\n    pass", "x = _ + __", shown={1})[2] == "x = _ + __"
    assert resolved("Out = {1: 2}", "x = Out[1]", shown=set())[1] == "x = Out[1]"
    assert resolved("5;", "x = _", shown=set()) == [
        "5;",
        "x = ''",
    ]  # nothing was shown: it is what IPython begins with


def traced(*sources: str, shown: set[int] | None = None, changed: dict[int, set[str]] | None = None) -> Trace:
    seen = {count: CellEvidence(count, changed=frozenset(names)) for count, names in (changed or {}).items()}
    return parse_cells(cells(*sources), shown=shown or (), evidence=seen)


def test_shown_values_are_part_of_the_slice() -> None:
    trace = traced("base = 4", "base * 2", "x = _ + 1", "print(Out)", shown={2})
    kept = slice_back(link(trace.statements), ["x"])
    assert [flow.statement.text for flow in kept.flows] == ["base = 4", "_2 = base * 2", "x = _2 + 1"]
    assert not kept.missing
    assert trace.statements[-1].opaque == "Out"


def test_what_is_timed_and_changes_something_runs_as_often() -> None:
    trace = traced("big = [3]", "%timeit -n 2 -r 3 big.append(1)", changed={2: {"big"}})
    space: dict[str, list[int]] = {}
    for statement in trace.statements:
        exec(statement.text, space)
    assert len(space["big"]) == 7
    assert trace.statements[-1].text == "timed_2()", "its loop is as fast as the one that the magic ran"
    left_out = traced("big = [3]", "%timeit big.append(1)", changed={2: {"big"}})
    assert "%timeit in [2] was seen to change big, as many times as the clock let it" in left_out.unsure[0]
    assert traced("x = 1", "%timeit x + 1").unsure == []


def test_what_is_captured_is_kept_where_it_is_read() -> None:
    read = traced("%%capture out\nprint(3)", "text = out.stdout")
    space: dict[str, str] = {}
    for statement in read.statements:
        exec(statement.text, space)
    assert space["text"] == "3\n"
    assert [s.text for s in traced("%%capture out\nprint(3)").statements] == ["print(3)"]


def test_calls_that_differ_each_time() -> None:
    statements = traced("start = time.time()", "df['at'] = pd.Timestamp('now')", "x = pd.Timestamp('2020')").statements
    assert clock_calls(statements) == ["time.time() in [1]", "pd.Timestamp() in [2]"]
    renamed = traced("from time import time as now\nimport datetime as dt", "t = now()", "d = dt.datetime.now()")
    assert clock_calls(renamed.statements) == ["now() in [2]", "dt.datetime.now() in [3]"]


def test_what_a_value_owes_to_the_order_of_a_set_or_the_date_in_a_drawing() -> None:
    text = (
        "letters = set('abc')",
        "order = list(letters)",
        "n = 3",
        "fig.savefig('f.svg')",
        "svg = open('f.svg').read()",
    )
    found = clock_dependents(link(traced(*text).statements), sets=True)
    assert found["order"] == ["the order of a set made in [1]"]
    assert found["svg"] == ["fig.savefig(), which writes its date into the drawing, in [4]"]
    assert "n" not in found
    memory = traced("import numpy as np\nblank = np.empty(3)", "timed = [1]", "more = timed + [2]")
    causes = clock_dependents(link(memory.statements), timed={2: {"timed"}})
    assert causes["blank"] == ["np.empty(), which holds whatever stood in memory, in [1]"]
    assert causes["more"] == ["%timeit's number of runs in [2]"]
    assert "order" not in clock_dependents(link(traced(*text).statements))
    fixed = traced("fig.savefig('f.svg', metadata={'Date': None})", "svg = open('f.svg').read()")
    assert "svg" not in clock_dependents(link(fixed.statements))


def test_empty_lines_of_the_author_are_known() -> None:
    trace = traced("a = 1\n\n# two\nb = 2\nc = 3\n\n\nd = 4", "e = 5")
    assert [s.paragraph for s in trace.statements] == [0, 1, 1, 2, 0]


def test_a_default_holds_an_object_that_calls_change() -> None:
    flows = link(traced("rng = make()", "def draw(n, rng=rng):\n    return rng.random(n)", "a = draw(1)").statements)
    assert "rng" in flows[-1].mutates
