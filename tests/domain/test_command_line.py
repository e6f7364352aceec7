"""The command line: words in, a command and its arguments out, and errors that say what there is."""

from __future__ import annotations

import contextlib
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_mlops.domain.command import Arg, Argument, collect, command
from jupyter_mlops.domain.command_help import command_help, overview
from jupyter_mlops.domain.command_line import CommandLine, split
from jupyter_mlops.errors import InvalidArgument
from jupyter_mlops.session import Session


class Shop:
    @command("compare", stage="tracking", changes=False)
    def compare(self, first: str, others: list[str], *, metric: list[str] | None = None) -> None:
        """Compare things.

        Parameters
        ----------
        metric
            What to compare by.

        Examples
        --------
        %mlops compare a b --metric auc
        """

    @command("export", stage="pipelines", changes=True)
    def export(
        self,
        book: Annotated[str, Arg(value="path")] = "",
        *,
        to: Literal["python", "dag"] = "python",
        output: str,
        verify: bool = True,
        force: bool = False,
        seed: int = 0,
    ) -> None:
        """Export a book.

        Examples
        --------
        %mlops export --to python -o out
        """

    @command("data save", stage="datasets", changes=True)
    def save(self, df: Annotated[Any, Arg(value="table")], *, name: str, keys: list[str] | None = None) -> None:
        """Save a table.

        Examples
        --------
        %mlops data save df --name n
        """


INTO = Argument("into", "text", "bind it", False, False, False, metavar="NAME")
LINE = CommandLine("%mlops", collect(Shop), (INTO,), {"-o": "into"})


def read(text: str) -> dict[str, Any]:
    call = LINE.parse(split(text))
    return {**call.given, **({"own": call.own} if call.own else {})}


def test_positionals_options_flags_and_repetition() -> None:
    assert read("compare a b c --metric auc --metric=f1") == {
        "first": "a",
        "others": ["b", "c"],
        "metric": ["auc", "f1"],
    }
    assert read("export --no-verify --output x") == {"verify": False, "output": "x"}
    assert read("export nb.ipynb --force --seed -3 --output=x") == {
        "book": "nb.ipynb",
        "force": True,
        "seed": "-3",
        "output": "x",
    }


def test_a_command_that_writes_somewhere_keeps_o_for_itself_and_others_give_it_to_the_surface() -> None:
    assert read("export -o out") == {"output": "out"}
    assert read("data save df --name n -o saved") == {"df": "df", "name": "n", "own": {"into": "saved"}}
    assert "-o, --output OUTPUT" in command_help(LINE, LINE.commands["export"])
    assert "-o, --into NAME" in command_help(LINE, LINE.commands["data save"])


def test_words_after_two_dashes_are_values() -> None:
    assert read("compare a -- --b")["others"] == ["--b"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("exprt", "unknown verb 'exprt'; known: compare, export, data. Did you mean 'export'?"),
        ("save df", "unknown verb 'save'; known: compare, export, data. Did you mean 'data save'?"),
        ("data", "'data' needs one of: save. See `%mlops data --help`."),
        ("data svae df", "unknown verb of 'data' 'svae'; known: save. Did you mean 'save'?"),
        ("export -o x --sed 3", "Did you mean '--seed'?"),
        ("export -x", "unknown option of 'export' '-x'"),
        ("export", "'export' also needs --output. See `%mlops export --help`."),
        ("data save", "'data save' also needs DF, --name."),
        ("data save df --name", "--name needs a value"),
        ("export --output --seed 3", "--output needs a value"),
        ("export -o x --seed 1 --seed 2", "--seed is given twice."),
        ("export -o x --force=yes", "--force is on or off; it takes no value 'yes'."),
        ("data save a b --name n", "'data save' takes DF; 'b' is too much."),
        ("data save df --keys a b --name n", "Several values of --keys stand with commas: --keys a,b."),
        ("data save 'a b --name n", 'a quote is not closed in "\'a b --name n".'),
    ],
)
def test_an_error_says_what_was_asked_what_there_is_and_what_is_nearest(text: str, says: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        LINE.parse(split(text))
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a  b\t c ", ["a", "b", "c"]),
        ("a 'b c' \"d e\"", ["a", "b c", "d e"]),
        ("--name='a b' x", ["--name=a b", "x"]),
        ("save df[df.x > 1] --name n", ["save", "df[df.x > 1]", "--name", "n"]),
        ('save df[df.x == "a b"]', ["save", 'df[df.x == "a b"]']),
        ('predict {"a": "x y", "b": [1, 2]}', ["predict", '{"a": "x y", "b": [1, 2]}']),
        ("save df   # df@v1: kept", ["save", "df"]),
        ("filter a#b it's (open", ["filter", "a#b", "it's", "(open"]),
        ("", []),
    ],
)
def test_a_line_is_cut_as_it_is_meant(text: str, words: list[str]) -> None:
    assert split(text) == words


@given(
    st.lists(st.text(st.characters(exclude_categories=["Cs", "Cc", "Z"], exclude_characters="\"'#()[]{}"), min_size=1))
)
def test_plain_words_come_back_as_they_were(words: list[str]) -> None:
    assert split(" ".join(words)) == words


@given(st.text())
def test_no_line_ends_in_another_error(text: str) -> None:
    with contextlib.suppress(InvalidArgument):
        LINE.parse(split(text))


def test_help_is_asked_for_in_every_usual_way() -> None:
    for text in ("--help", "-h", "help"):
        call = LINE.parse([text])
        assert call.help
        assert call.command is None
    for text in ("export --help", "help export", "export x -h --nonsense"):
        call = LINE.parse(text.split())
        assert call.help
        assert call.command is LINE.commands["export"]
    assert LINE.parse(["data", "--help"]).group == LINE.parse(["help", "data"]).group == "data"


def test_help_shows_what_a_command_takes() -> None:
    shown = command_help(LINE, LINE.commands["export"])
    assert "usage: %mlops export [BOOK] --output OUTPUT [options]" in shown
    assert "(one of python, dag; default python)" in shown
    assert "--no-verify" in shown
    shell = CommandLine("jupyter mlops", collect(Shop))
    assert "  jupyter mlops export --to python -o out" in command_help(shell, shell.commands["export"])


# the battery: every command of the session, found by itself


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> CommandLine:
    return CommandLine("%mlops", Session.open(root=tmp_path_factory.mktemp("tree")).commands, (INTO,), {"-o": "into"})


def test_every_command_says_what_it_does_and_what_it_takes(real: CommandLine) -> None:
    shown = overview(real)
    for name, declared in real.commands.items():
        assert declared.help.endswith("."), name
        assert f"  {name} " in shown, name
        text = command_help(real, declared)
        for argument in declared.arguments:
            assert argument.help, f"{name}: {argument.name} has no help"
            assert argument.label in text, f"{name}: {argument.name}"
        assert all(len(line) <= 110 for line in text.splitlines()), name


def test_every_command_has_an_example_that_parses(real: CommandLine) -> None:
    for name, declared in real.commands.items():
        assert declared.examples, name
        for example in declared.examples:
            call = real.parse(split(example.removeprefix("%mlops")))
            assert call.command is not None, example
            assert call.command.name == name, example
            assert {a.name for a in declared.arguments} >= set(call.given), example


def test_every_option_is_typed_in_one_way_only(real: CommandLine) -> None:
    for name, declared in real.commands.items():
        flags = [a.flag for a in declared.arguments if not a.positional]
        assert len(flags) == len(set(flags)), name
        assert not {"--help", "--json", "--workspace", "--quiet", "--into"} & set(flags), name
        places = [a for a in declared.arguments if a.positional]
        assert not any(a.required for a in places[1:] if not places[0].required), f"{name}: an optional one comes first"
        assert sum(a.many for a in places) <= 1, f"{name}: two lists cannot be told apart"


def test_o_binds_the_answer_where_no_file_is_what_the_command_is_for(real: CommandLine) -> None:
    for line in ("predict clf rows -o answers", "deploy clf@champion -o served"):
        call = real.parse(split(line))
        assert call.own == {"into": line.rpartition(" ")[2]}, line
    assert real.parse(split("export -o folder")).given["output"] == "folder"
