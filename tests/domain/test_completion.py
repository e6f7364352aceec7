"""Completion: what may stand next, never late and never in the way."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest

from jupyter_mlops.domain.command import Arg, collect, command
from jupyter_mlops.domain.command_line import CommandLine
from jupyter_mlops.domain.completion import Names, complete
from jupyter_mlops.session import Session


class Shop:
    @command("promote", stage="registry", changes=True)
    def promote(
        self,
        model: Annotated[str, Arg(complete="model-versions")],
        *,
        to: Annotated[str, Arg(complete="aliases")],
        how: Literal["fast", "slow"] = "fast",
        force: bool = False,
    ) -> None:
        """Promote."""

    @command("data save", stage="datasets", changes=True)
    def save(self, df: Annotated[Any, Arg(value="table")], *, name: str) -> None:
        """Save."""

    @command("data load", stage="datasets", changes=False)
    def load(self, ref: Annotated[str, Arg(complete="data")]) -> None:
        """Load."""


class Table:
    columns = ("a",)


LINE = CommandLine("%mlops", collect(Shop))
STORE = {"model-versions": ["clf@1", "clf@2", "reg@1"], "aliases": ["champion"], "data": ["adult@v1"]}
VARIABLES = {"frame": Table(), "number": 1, "_hidden": Table(), "function": len, "module": time, "Class": Table}


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("", ["promote", "data", "help"]),
        ("pro", ["promote"]),
        ("help da", ["data"]),
        ("data ", ["save", "load"]),
        ("data l", ["load"]),
        ("promote cl", ["clf@1", "clf@2"]),
        ("promote clf@1 ", ["--to", "--how", "--force"]),
        ("promote clf@1 --", ["--to", "--how", "--force", "--help"]),
        ("promote clf@1 --force --t", ["--to"]),
        ("promote clf@1 --to champion --to", []),
        ("promote clf@1 --to ", ["champion"]),
        ("promote clf@1 --how s", ["slow"]),
        ("promote clf@1 --how=s", ["--how=slow"]),
        ("promote --to champion r", ["reg@1"]),
        ("data save ", ["frame", "number"]),
        ("data save fr", ["frame"]),
        ("data load a", ["adult@v1"]),
        ("nonsense ", []),
    ],
)
def test_what_is_offered(typed: str, offered: list[str]) -> None:
    assert [text for text, _ in complete(LINE, typed.split(" "), STORE.__getitem__, VARIABLES)] == offered


def test_a_shell_is_offered_files_for_a_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "train.csv").touch()
    (tmp_path / "folder").mkdir()
    monkeypatch.chdir(tmp_path)
    assert [t for t, _ in complete(LINE, ["data", "save", ""], STORE.__getitem__)] == ["folder/", "train.csv"]
    assert [t for t, _ in complete(LINE, ["data", "save", f"{tmp_path}/tr"], STORE.__getitem__)] == [
        f"{tmp_path}/train.csv"
    ]


def test_a_slow_store_is_not_waited_for_and_its_answer_is_taken_later() -> None:
    answer, asked = threading.Event(), []

    def ask(kind: str) -> list[str]:
        asked.append(kind)
        answer.wait(10)
        return ["late"]

    names = Names(ask, patience=0.01)
    assert names("models") == names("models") == ()
    answer.set()
    names = Names(ask, patience=5.0)
    assert names("models") == names("models") == ("late",)
    assert len(asked) == 2  # once each: a second Tab neither asks again nor within the time an answer is fresh


def test_a_store_that_fails_gives_nothing() -> None:
    def ask(kind: str) -> list[str]:
        raise OSError(kind)

    assert Names(ask)("models") == ()


def test_every_command_completes_at_every_place(tmp_path: Path) -> None:
    line = CommandLine("%mlops", Session.open(root=tmp_path).commands)
    for name, declared in line.commands.items():
        words = name.split()
        options = {text for text, kind in complete(line, [*words, "--"], lambda _: [], {}) if kind == "option"}
        assert options == {a.flag for a in declared.arguments if not a.positional} | {"--help"} | {
            "--no-" + a.flag[2:] for a in declared.arguments if a.value == "flag" and a.default is True
        }
        for argument in declared.arguments:
            if argument.choices and not argument.positional:
                offered = complete(line, [*words, argument.flag, ""], lambda _: [], {})
                assert [text for text, _ in offered] == list(argument.choices)
