"""`%mlops` in a real shell: dispatch, errors, variables, results, completion, and leaving no trace."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from IPython.core.error import UsageError
from IPython.core.interactiveshell import InteractiveShell

from jupyter_mlops import magics
from jupyter_mlops.errors import NotFound
from jupyter_mlops.session import Session, set_current
from jupyter_mlops.tracking.commands import TrackingCommands


@pytest.fixture
def shell(monkeypatch: pytest.MonkeyPatch) -> Iterator[InteractiveShell]:
    """A shell of this test's own, the one that `get_ipython` gives."""
    InteractiveShell.clear_instance()
    made = InteractiveShell.instance(colors="nocolor")
    made.history_manager.enabled = False
    made.Completer.use_jedi = False
    yield made
    magics.unload(made)
    InteractiveShell.clear_instance()
    set_current(None)


@pytest.fixture
def loaded(shell: InteractiveShell, tmp_path: Path) -> InteractiveShell:
    magics.load(shell, Session.open(root=tmp_path, namespace=shell.user_ns))
    return shell


@pytest.fixture
def asked(loaded: InteractiveShell, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, dict[str, Any]]]:
    """What reaches the session; nothing is carried out, and the answer is a table."""
    calls: list[tuple[str, dict[str, Any]]] = []

    def invoke(self: Session, name: str, arguments: dict[str, Any], *, via: str) -> Any:
        assert via == "magic"
        calls.append((name, dict(arguments)))
        return [1, 2, 3]

    monkeypatch.setattr(Session, "invoke", invoke)
    return calls


def fails(shell: InteractiveShell, cell: str) -> str:
    """Run a cell that must fail by a usage error, and give its text."""
    result = shell.run_cell(cell, store_history=True)
    error = result.error_before_exec or result.error_in_exec
    assert type(error) is UsageError
    return str(error)


def test_a_line_becomes_one_call_of_the_session(loaded: InteractiveShell, asked: list[Any]) -> None:
    loaded.run_cell("%mlops\n%mlops promote clf@7 --to champion\n%mlops service log --lines 3 # a remark")
    assert asked == [
        ("status", {}),
        ("promote", {"model": "clf@7", "to": "champion"}),
        ("service log", {"lines": "3"}),
    ]


def test_results_are_returned_bound_and_silenced(
    loaded: InteractiveShell, asked: list[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    assert loaded.run_cell("%mlops audit -o trail").result == [1, 2, 3]
    assert loaded.user_ns["trail"] == [1, 2, 3]
    assert loaded.run_cell("%mlops audit -q --into quiet").result is None
    assert loaded.run_cell("%mlops audit;").result is None
    assert loaded.run_cell("%mlops audit 0123abc ;").result is None  # no Python token, and none is asked for
    assert loaded.user_ns["quiet"] == [1, 2, 3]
    loaded.run_cell("answer = %mlops audit")
    assert loaded.user_ns["answer"] == [1, 2, 3]
    assert "-o takes the name of a variable, not 'a-b'." in fails(loaded, "%mlops audit -o a-b")


def test_variables_stand_for_what_they_hold(loaded: InteractiveShell, asked: list[Any]) -> None:
    class Table:
        columns = ("x",)

        def __getitem__(self, item: Any) -> str:
            return f"item {item}"

    table, model = Table(), object()
    loaded.user_ns.update(df=table, clf=model, version=7, alias="champion", rows=[1, 2])
    loaded.run_cell(
        "%mlops data save df --name n\n"
        "%mlops data save df['a b'] --name n\n"
        "%mlops data save other.csv --name n\n"
        "%mlops data diff adult@v1 df\n"
        "%mlops register clf --name clf\n"
        "%mlops promote clf@{version} --to $alias\n"
        "%mlops audit --limit {len(rows)}\n"
        "%mlops drift clf"
    )
    given = [call[1] for call in asked]
    assert given[0] == {"table": table, "name": "n"}
    assert given[1]["table"] == "item a b"
    assert given[2]["table"] == "other.csv"
    assert list(given[3].values()) == ["adult@v1", table]
    assert given[4] == {"model": model, "name": "clf"}
    assert given[5] == {"model": "clf@7", "to": "champion"}
    assert given[6] == {"limit": "2"}
    assert next(iter(given[7].values())) == "clf"  # the deployment: an estimator is no table


def test_variables_of_a_function_count_too(loaded: InteractiveShell, asked: list[Any]) -> None:
    loaded.run_cell(
        "def ask(version):\n    return get_ipython().run_line_magic('mlops', 'audit clf@{version}')\nask(3)"
    )
    assert asked == [("audit", {"target": "clf@3"})]


def test_json_on_a_line_stays_json(loaded: InteractiveShell, asked: list[Any]) -> None:
    loaded.user_ns["x"] = 1
    loaded.run_cell("""%mlops audit '{"x": 1, "y": {"x": [1]}}'""")
    assert asked == [("audit", {"target": '{"x": 1, "y": {"x": [1]}}'})]


@pytest.mark.parametrize(
    ("cell", "says"),
    [
        ("%mlops dploy x", "Did you mean 'deploy'?"),
        ("%mlops promote", "'promote' also needs MODEL@VERSION, --to. See `%mlops promote --help`."),
        ("%mlops promote a --too b", "Did you mean '--to'?"),
        ("%mlops audit $nothing", "no variable 'nothing' for '$nothing'."),
        ("%mlops audit {1 / zero}", "'1 / zero' cannot be evaluated: ZeroDivisionError"),
        ("%mlops audit 'open", "a quote is not closed"),
        ("%mlops audit --limit many", "--limit takes an integer, not 'many'."),
        ("%mlops run x", "run takes a cell. Begin the cell with `%%mlops run`, or write `with mlops.run():`."),
        ("%%mlops audit\n1", "only run takes a cell"),
        ("%%mlops\n1", "only run takes a cell"),
        ("%%mlops run x\n  \n", "there is nothing to run: the cell is empty."),
        ("%%mlops help\n1", "help takes no cell."),
    ],
)
def test_a_mistake_is_one_line_and_fails_the_cell(
    loaded: InteractiveShell, cell: str, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    loaded.user_ns["zero"] = 0
    assert says in fails(loaded, cell)
    shown = capsys.readouterr()
    assert "Traceback" not in shown.out + shown.err
    assert shown.err.startswith("UsageError: ")
    assert shown.err.count("\n") == 1


def test_what_a_command_raises_becomes_a_usage_error_with_its_cause(
    loaded: InteractiveShell, monkeypatch: pytest.MonkeyPatch
) -> None:
    def invoke(*_: Any, **__: Any) -> None:
        raise NotFound.among("model", "adlt", ["adult"])

    monkeypatch.setattr(Session, "invoke", invoke)
    assert fails(loaded, "%mlops models adlt") == "no model 'adlt'; there is: adult. Did you mean 'adult'?"
    assert isinstance(loaded.last_execution_result.error_in_exec.__cause__, NotFound)


def test_help_lists_every_command_and_so_does_the_docstring(
    loaded: InteractiveShell, capsys: pytest.CaptureFixture[str]
) -> None:
    listed = loaded.run_cell("%mlops --help").result
    document = loaded.find_line_magic("mlops").__doc__
    for name in (*Session.open(root=Path(loaded.user_ns.get("nothing", "."))).commands, "run"):
        assert f"\n  {name} " in listed
        assert f"\n  {name} " in document
    capsys.readouterr()
    loaded.run_cell("%mlops promote --help")
    assert "usage: %mlops promote MODEL@VERSION --to ALIAS [options]" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("%mlops dep", {"deploy", "deployments"}),
        ("x = %mlops dep", {"deploy", "deployments"}),
        ("%%mlops ru", {"run", "runs"}),
        ("%mlops service st", {"start", "stop"}),
        ("%mlops promote cl", {"clf@1", "clf@2"}),
        ("%mlops promote clf@2 --t", {"--to"}),
        ("%mlops promote clf@2 --to ", {"champion"}),
        ("%mlops data save my_", {"my_frame"}),
        ("%mlops data save ", {"my_frame"}),
    ],
)
def test_tab_completes(
    loaded: InteractiveShell, monkeypatch: pytest.MonkeyPatch, typed: str, offered: set[str]
) -> None:
    names = {"model-versions": ["clf@1", "clf@2", "reg@1"], "aliases": ["champion"]}
    monkeypatch.setattr(Session, "names", lambda _self, kind: names.get(kind, []))
    loaded.Completer.custom_matchers[0].names = type(loaded.Completer.custom_matchers[0].names)(
        lambda kind: names.get(kind, [])
    )
    loaded.user_ns["my_frame"] = {"a": [1]}
    _, matches = loaded.complete("", typed, len(typed))
    assert set(matches) >= offered if typed.startswith("%%") else set(matches) == offered


def test_other_lines_are_left_to_others(loaded: InteractiveShell) -> None:
    loaded.user_ns["deposit"] = 1
    for typed in ("dep", "# %mlops dep", "print('%mlops dep"):
        assert "deploy" not in loaded.complete("", typed, len(typed))[1]
    assert "deposit" in loaded.complete("", "dep", 3)[1]


def test_a_shell_is_left_as_it_was_found(shell: InteractiveShell, tmp_path: Path) -> None:
    def everything() -> Any:
        return (
            {kind: set(found) for kind, found in shell.magics_manager.magics.items()},
            {event: list(found) for event, found in shell.events.callbacks.items()},
            list(shell.Completer.custom_matchers),
            {name for name in vars(shell) if name != "_trait_values"},
        )

    before = everything()
    session = Session.open(root=tmp_path)
    magics.load(shell, session)
    magics.load(shell, session)  # twice is once
    assert everything() != before
    magics.unload(shell)
    assert everything() == before
    assert not session.context.hooks.keys() & {"transform_cell", "live"}
    magics.unload(shell)


def test_a_taken_name_is_left_to_its_owner(
    shell: InteractiveShell, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shell.register_magic_function(lambda _line: "theirs", "line", "mlops")
    magics.load(shell, Session.open(root=tmp_path))
    assert "use %jmlops" in capsys.readouterr().err
    assert shell.run_cell("%mlops").result == "theirs"
    assert "usage: %jmlops VERB" in shell.run_cell("%jmlops --help").result
    magics.unload(shell)
    assert shell.run_cell("%mlops").result == "theirs"


def test_a_project_that_cannot_be_read_is_a_usage_error(
    shell: InteractiveShell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool.jupyter_mlops]\nexperimnt = 'x'\n")
    monkeypatch.chdir(tmp_path)
    assert "Did you mean 'experiment'?" in fails(shell, "%load_ext jupyter_mlops")


def test_hooks_take_any_arguments_and_never_raise(loaded: InteractiveShell, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> None:
        raise RuntimeError("broken")

    monkeypatch.setattr(Session, "cell_started", broken, raising=False)
    monkeypatch.setattr(Session, "cell_finished", broken, raising=False)
    for event in ("pre_run_cell", "post_run_cell"):
        for hook in loaded.events.callbacks[event]:
            hook()
            hook(None, 1, more=2)
    assert loaded.run_cell("1 + 1", store_history=True).result == 2


HEAVY = ("mlflow", "pandas", "sklearn", "scipy", "plotly", "ipywidgets", "anywidget", "numpy", "pyarrow", "sqlalchemy")


def test_loading_the_extension_costs_no_heavy_library(tmp_path: Path) -> None:
    code = (
        "import json, sys\n"
        "from IPython.core.interactiveshell import InteractiveShell\n"
        "shell = InteractiveShell.instance()\n"
        "before = set(sys.modules)\n"
        "shell.run_cell('%load_ext jupyter_mlops')\n"
        "assert shell.find_line_magic('mlops')\n"
        "shell.run_cell('1', store_history=True)\n"
        f"print(json.dumps([m for m in {HEAVY!r} if m in sys.modules and m not in before]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert json.loads(done.stdout.splitlines()[-1]) == []


def test_an_interrupted_line_is_said_in_a_line(
    loaded: InteractiveShell, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def invoke(*_arguments: Any, **_keywords: Any) -> Any:
        raise KeyboardInterrupt("it was interrupted; run it again to go on from there")

    monkeypatch.setattr(Session, "invoke", invoke)
    result = loaded.run_cell("%mlops status", store_history=True)
    assert isinstance(result.error_in_exec, KeyboardInterrupt)
    said = capsys.readouterr()
    assert "KeyboardInterrupt: it was interrupted; run it again to go on from there" in said.out + said.err
    assert "magic.py" not in said.out + said.err


def test_a_notebook_that_was_renamed_is_found_again(
    shell: InteractiveShell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And one that nobody knows any more is asked for once, not at every cell."""
    session = Session.open(root=tmp_path, namespace=shell.user_ns)
    asked: list[str] = []
    real = TrackingCommands.locate_notebook

    def counting(self: TrackingCommands, *given: Any) -> Any:
        asked.append(self.context.notebook.path)
        return real(self, *given)

    monkeypatch.setattr(TrackingCommands, "locate_notebook", counting)
    magics.load(shell, session)

    def known() -> str:
        session.context.locate_notebook()
        return session.context.notebook.path

    first, second = tmp_path / "first.ipynb", tmp_path / "second.ipynb"
    first.write_text("{}")
    shell.user_ns["__vsc_ipynb_file__"] = str(first)
    assert [known(), known()] == ["first.ipynb"] * 2
    assert len(asked) == 1
    first.rename(second)
    shell.user_ns["__vsc_ipynb_file__"] = str(second)
    assert [known(), known()] == ["second.ipynb"] * 2
    assert len(asked) == 2
    second.unlink()
    assert [known(), known(), known()] == ["second.ipynb"] * 3
    assert len(asked) == 3
