"""`%%mlops run`: the cell runs as IPython runs it, inside a run, and its errors look and count as ever."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from IPython.core.error import UsageError
from IPython.core.interactiveshell import InteractiveShell
from mlflow import MlflowClient

from jupyter_mlops import magics
from jupyter_mlops.domain.workspace import Notebook
from jupyter_mlops.errors import Unavailable
from jupyter_mlops.session import Session, set_current


@pytest.fixture
def shell(shared_session: Session) -> Iterator[InteractiveShell]:
    """A shell of this test's own, on the module's workspace."""
    InteractiveShell.clear_instance()
    made = InteractiveShell.instance(colors="nocolor")
    made.history_manager.enabled = False
    magics.load(made, shared_session)
    yield made
    magics.unload(made)
    InteractiveShell.clear_instance()
    set_current(None)


def latest(session: Session) -> object:
    return session.runs(limit=1)[0]


def test_the_body_is_a_cell_in_the_users_namespace_and_a_run(
    shell: InteractiveShell, shared_session: Session, capsys: pytest.CaptureFixture[str]
) -> None:
    shell.run_cell("%%mlops run first -o handle\nx = 20\nhandle.log_metric('score', 0.5)\nx + 1", store_history=True)
    out = capsys.readouterr().out
    assert shell.user_ns["x"] == 20
    assert "Out[1]: 21" in out
    assert shell.user_ns["Out"][1] == shell.user_ns["_"] == 21
    assert out.splitlines()[-1].startswith("run first (")
    assert "FINISHED" in out.splitlines()[-1]
    assert "score 0.5" in out.splitlines()[-1]
    run = latest(shared_session)
    assert (run.name, run.status, run.metrics) == ("first", "FINISHED", {"score": 0.5})
    assert shell.user_ns["handle"].result.source.strip() == "x = 20\nhandle.log_metric('score', 0.5)\nx + 1"
    ended, begun = [entry for entry in shared_session.audit() if entry.details.get("run_id") == run.id]
    assert ended.actor == begun.actor
    assert (begun.actor.via, begun.actor.cell) == ("magic", "In [1]")


def test_tables_that_are_shown_are_in_the_run_without_personal_data(
    shell: InteractiveShell, shared_session: Session
) -> None:
    shell.run_cell(
        "import pandas as pd\npeople = pd.DataFrame({'mail': ['ann@example.org', 'bob@example.org'], 'v': [7, 8]})"
    )
    shell.run_cell("%%mlops run tables\ndisplay(people)\ndisplay('no table')\npeople.describe()", store_history=True)
    shell.run_cell("display(people)")
    assert "format" not in vars(shell.display_formatter)
    run = shared_session.runs("tables")
    kept = [path for path in run.artifacts if path.startswith("mlops/tables/")]
    assert kept == ["mlops/tables/01-table.html", "mlops/tables/02-table.html"]
    assert run.notes == ()
    folder = Path(
        MlflowClient(shared_session.context.workspace.tracking_uri).download_artifacts(run.id, "mlops/tables")
    )
    first, second = ((folder / Path(path).name).read_text() for path in kept)
    assert "<td>7</td>" in first
    assert "example.org" not in first
    assert "2 rows, 2 columns" in first
    assert "mean" in second


def test_a_cell_that_cannot_be_recorded_goes_on_and_says_so_in_one_line(
    shell: InteractiveShell,
    shared_session: Session,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def full(*_arguments: object) -> None:
        raise Unavailable("nothing can be recorded in .mlops: No space left on device.")

    monkeypatch.setattr(shared_session.context.tracker, "_open_journal", full)
    shell.run_cell("%mlops track on\nfrom sklearn.linear_model import Ridge", store_history=True)
    capsys.readouterr()
    assert shell.run_cell("fitted = Ridge().fit([[1.0], [2.0]], [1.0, 2.0])", store_history=True).success
    assert hasattr(shell.user_ns["fitted"], "coef_")
    told = capsys.readouterr().err
    assert told == "This cell is no run: nothing can be recorded in .mlops: No space left on device.\n"
    shell.run_cell("%mlops track off", store_history=True)
    shell.run_cell("kept = 1", store_history=True)
    capsys.readouterr()
    done = shell.run_cell("%%mlops run asked -o kept\nanswer = 6 * 7\nprint(answer)", store_history=True)
    assert done.success
    assert (shell.user_ns["answer"], shell.user_ns["kept"]) == (42, None)
    said = capsys.readouterr()
    assert (said.out, said.err) == ("42\n", told)
    wrong = shell.run_cell("%%mlops run asked\n1 / 0", store_history=True)
    assert isinstance(wrong.error_in_exec, ZeroDivisionError)
    assert capsys.readouterr().out.count("ZeroDivisionError: ") == 1


@pytest.mark.parametrize("code", ["with mlops.run('asks'): pass", "mlops.runs()"])
def test_a_notebook_without_a_magic_is_found_too(
    shell: InteractiveShell, shared_session: Session, monkeypatch: pytest.MonkeyPatch, code: str
) -> None:
    monkeypatch.setattr(shared_session.context, "notebook", Notebook())
    shell.user_ns["__vsc_ipynb_file__"] = str(shared_session.context.workspace.root / "mine.ipynb")
    shell.run_cell("import jupyter_mlops as mlops", store_history=True)
    assert shared_session.context.notebook.path == ""
    assert shell.run_cell(code, store_history=True).success
    assert shared_session.context.notebook.path == "mine.ipynb"
    if "asks" in code:
        assert latest(shared_session).notebook == "mine.ipynb"


@pytest.mark.parametrize(
    ("line", "via"), [("%mlops data save t --name {}", "magic"), ("mlops.data.save(t, name='{}')", "python")]
)
def test_the_audit_trail_knows_the_cell_by_whichever_surface_it_asked(
    shell: InteractiveShell, shared_session: Session, line: str, via: str
) -> None:
    shell.run_cell("import jupyter_mlops as mlops, pandas as pd\nt = pd.DataFrame({'a': [1]})", store_history=True)
    assert shell.run_cell(line.format(f"by-{via}"), store_history=True).success
    (entry,) = shared_session.audit(f"by-{via}", action="data.save")
    assert (entry.actor.via, entry.actor.cell) == (via, "In [2]")
    assert shared_session.context.asking.cell == ""  # nothing runs now


def test_a_semicolon_in_the_body_silences_and_a_magic_in_it_works(
    shell: InteractiveShell, capsys: pytest.CaptureFixture[str]
) -> None:
    shell.run_cell("%%mlops run second -q\n%pinfo2 len\ny = 3\ny;", store_history=True)
    assert "3" not in capsys.readouterr().out.splitlines()
    assert shell.user_ns["y"] == 3


@pytest.mark.parametrize(
    ("body", "error", "status"),
    [
        ("1 / 0", ZeroDivisionError, "FAILED"),
        ("1 +", SyntaxError, "FAILED"),
        ("%mlops dploy", UsageError, "FAILED"),
        ("raise KeyboardInterrupt", KeyboardInterrupt, "KILLED"),
        ("raise SystemExit(3)", SystemExit, "FAILED"),
    ],
)
def test_an_error_fails_the_cell_and_the_run_and_is_shown_once(
    shell: InteractiveShell,
    shared_session: Session,
    capsys: pytest.CaptureFixture[str],
    body: str,
    error: type[BaseException],
    status: str,
) -> None:
    shell.run_cell("1", store_history=True)
    result = shell.run_cell(f"%%mlops run broken\n{body}", store_history=True)
    shown = capsys.readouterr()
    assert type(result.error_before_exec or result.error_in_exec) is error
    text = shown.out + shown.err
    assert len(re.findall(rf"^{error.__name__}:", text, re.MULTILINE)) == 1
    assert text.count("Traceback") <= 1
    assert "run_cell_magic" not in text  # none of our frames, none of IPython's
    if error is ZeroDivisionError:
        assert "Cell In[2], line 1" in text
    assert f"run broken ({latest(shared_session).id[:8]}) {status}" in text
    assert latest(shared_session).status == status
    # and the next error is shown again
    shell.run_cell("1 / 0", store_history=True)
    assert "ZeroDivisionError" in capsys.readouterr().out
    assert "showtraceback" not in vars(shell)


def test_running_the_cell_again_makes_another_run(shell: InteractiveShell, shared_session: Session) -> None:
    before = len(shared_session.runs(limit=100))
    for _ in range(3):
        assert shell.run_cell("%%mlops run again\nz = 1", store_history=True).success
    assert len(shared_session.runs(limit=100)) == before + 3


def test_the_notebooks_cells_are_known_to_the_session(shell: InteractiveShell, shared_session: Session) -> None:
    shared_session.context.cells.clear()
    shell.run_cell("a = 1", store_history=True)
    shell.run_cell("%%mlops run known -q\nget_ipython().run_cell('b = 2')\n1 / 0", store_history=True)
    cells = shared_session.context.cells
    assert [(cell.count, cell.outcome) for cell in cells] == [(1, "ok"), (2, "error")]
    assert cells[1].source.startswith("%%mlops run known")


def test_await_at_the_top_level(shell: InteractiveShell) -> None:
    assert shell.run_cell("%%mlops run waits -q\nimport asyncio\nawait asyncio.sleep(0)\nw = 1").success
    assert shell.user_ns["w"] == 1


def test_a_run_knows_the_data_versions_that_what_it_used_was_made_of(
    shell: InteractiveShell, shared_session: Session
) -> None:
    cells = [
        "import pandas as pd\nwhole = pd.DataFrame({'a': [1, 2, 3, 4]})\nother = pd.DataFrame({'a': [5]})",
        "%mlops data save whole --name whole_table -q\n%mlops data save other --name other_table -q",
        "part = whole[whole['a'] > 1]",
        "%%mlops run of_part -q\ntotal = int(part['a'].sum())",
        "%%mlops run of_whole -q\ntotal = int(whole['a'].sum())",
        "whole['b'] = 0",
        "%%mlops run of_changed -q\ntotal = int(whole['a'].sum())",
    ]
    client, used = MlflowClient(shared_session.context.workspace.tracking_uri), []
    for cell in cells:
        assert shell.run_cell(cell, store_history=True).success
        if "mlops run" in cell:
            (given,) = client.get_run(latest(shared_session).id).inputs.dataset_inputs
            told = {tag.key: tag.value for tag in given.tags}
            used.append((told["mlops.data"], told["mlflow.data.context"]))
    roles = ("source", "input", "source")  # what was changed in place is not that version any more, but made of it
    assert used == [("whole_table@v1", role) for role in roles]
