"""`jupyter mlops ...` as a process: output, files, exit codes, errors in one line."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import jupyter_mlops
from jupyter_mlops import cli
from jupyter_mlops.domain.pipeline import Check, Pipeline, Verification
from jupyter_mlops.errors import MLOpsError, _tree
from jupyter_mlops.session import Session

Result = subprocess.CompletedProcess[str]


@pytest.fixture(scope="module")
def root(make_session: Callable[..., Session]) -> Path:
    return make_session().context.workspace.root


def shell(root: Path, *words: str) -> Result:
    code = "import sys; from jupyter_mlops.cli import main; sys.exit(main())"
    return subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, cwd=root, check=False)


def test_it_is_a_command_of_jupyter(root: Path) -> None:
    program = Path(sys.executable).with_name("jupyter-mlops")
    done = subprocess.run([program, "--version"], capture_output=True, text=True, check=True, cwd=root)
    assert done.stdout.strip() == jupyter_mlops.__version__


def test_it_tells_the_workspace_as_text_and_as_json(root: Path) -> None:
    text = shell(root, "status")
    assert (text.returncode, text.stderr) == (0, "") or text.stderr.startswith("… ")
    assert str(root) in text.stdout
    told = json.loads(shell(root, "status", "--json").stdout)
    assert (told["root"], told["service_state"]) == (str(root), "running")
    elsewhere = shell(root.parent, "status", "--json", "--workspace", str(root))
    assert json.loads(elsewhere.stdout)["root"] == str(root)
    elsewhere = shell(root.parent, f"--workspace={root}", "status", "--json")
    assert json.loads(elsewhere.stdout)["root"] == str(root)


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["stauts"], 2, "unknown verb 'stauts'; known: "),
        (["audit", "--limt", "3"], 2, "Did you mean '--limit'?"),
        (["promote"], 2, "'promote' also needs MODEL@VERSION, --to. See `jupyter mlops promote --help`."),
        (["status", "--workspace", "/nowhere/at/all"], 2, "no folder '/nowhere/at/all' for --workspace."),
        (["status", "--workspace"], 2, "--workspace needs a value"),
        (["audit", "-o", "trail.xlsx"], 2, "-o writes .json, .csv or .parquet, not 'trail.xlsx'."),
        (["audit", "-o", "nowhere/trail.csv"], 2, "no folder 'nowhere'"),
        (["models", "nothing-like-it"], 2, "no model 'nothing-like-it'"),
    ],
)
def test_a_mistake_is_one_line_on_stderr(root: Path, words: list[str], code: int, says: str) -> None:
    done = shell(root, *words)
    assert (done.returncode, done.stdout) == (code, "")
    last = [line for line in done.stderr.splitlines() if not line.startswith("… ")]
    assert len(last) == 1
    assert last[0].startswith("jupyter mlops: ")
    assert says in last[0]


def test_help_lists_every_command_and_the_exit_codes(root: Path) -> None:
    done = shell(root, "--help")
    assert done.returncode == 0
    for name in Session.open(root=root).commands:
        assert f"\n  {name} " in done.stdout
    assert "\n  130  interrupted" in done.stdout
    assert "usage: jupyter mlops promote MODEL@VERSION --to ALIAS" in shell(root, "help", "promote").stdout


def test_a_table_is_printed_in_part_and_written_whole(root: Path) -> None:
    (root / "in.csv").write_text("x,y\n" + "".join(f"{i},{i * 2}\n" for i in range(50)))
    assert shell(root, "data", "save", "in.csv", "--name", "numbers").returncode == 0
    shown = shell(root, "data", "load", "numbers")
    assert len(shown.stdout.splitlines()) == 21
    assert "50 rows x 2 columns" in shown.stderr
    assert shell(root, "data", "load", "numbers@v1", "-o", "out.csv").stdout == "written to out.csv\n"
    assert (root / "out.csv").read_text() == (root / "in.csv").read_text()
    assert shell(root, "data", "load", "numbers@v1", "-o", "out.parquet", "-q").stdout == ""
    import pandas as pd

    assert pd.read_parquet(root / "out.parquet").equals(pd.read_csv(root / "in.csv"))
    assert shell(root, "audit", "-o", "trail.json").returncode == 0
    assert json.loads((root / "trail.json").read_text())["intact"]
    assert shell(root, "status", "-o", "status.csv").returncode == 2
    assert not (root / "status.csv").exists()
    assert not list(root.glob(".*.part"))


def test_every_error_has_an_exit_code() -> None:
    for error in _tree(MLOpsError):
        assert any(issubclass(error, known) for known in cli.EXIT_CODES)
        assert next(code for known, code in cli.EXIT_CODES.items() if issubclass(error, known)) in (1, 2, 3, 4)


@pytest.mark.parametrize(
    ("result", "code"),
    [
        (Verification("d", (Check("s", "v", "value", ok=True),)), 0),
        (Verification("d", (Check("s", "v", "value", ok=False),)), 1),
        (Verification("d", ()), 1),
        (Pipeline("d", "n", (), verification=Verification("d", (), error="it raised")), 1),
        (Pipeline("d", "n", ()), 0),
    ],
)
def test_a_verification_that_does_not_pass_is_a_failure(
    result: Any, code: int, root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(root)
    monkeypatch.setattr(Session, "invoke", lambda *_, **__: result)
    assert cli.main(["status"]) == code
    assert capsys.readouterr().out.strip() == result.text().strip()


def test_an_interrupt_and_a_closed_pipe_end_quietly(root: Path) -> None:
    code = (
        "import signal, sys, time; from jupyter_mlops import cli; from jupyter_mlops.session import Session\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job is started without one\n"
        "def wait(*_, **__): print('waiting', flush=True); time.sleep(60)\n"
        "Session.invoke = wait; sys.exit(cli.main(['status']))"
    )
    waiting = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=root
    )
    assert waiting.stdout is not None
    assert waiting.stdout.readline() == "waiting\n"
    waiting.send_signal(signal.SIGINT)
    _, told = waiting.communicate(timeout=30)
    assert (waiting.returncode, told) == (130, "jupyter mlops: interrupted\n")
    read, write = os.pipe()
    os.close(read)
    code = "import sys; from jupyter_mlops.cli import main; sys.exit(main())"
    done = subprocess.run(
        [sys.executable, "-c", code, "--help"], stdout=write, stderr=subprocess.PIPE, text=True, cwd=root, check=False
    )
    os.close(write)
    assert done.stderr == ""
