"""The magic: `%mlops VERB ...` as one call of the session, `%%mlops run` as a recorded cell."""

from __future__ import annotations

import keyword
from functools import cached_property
from typing import Annotated, Any

from IPython.core.error import UsageError

from ..domain.command import Arg, Argument, collect, command
from ..domain.command_help import command_help, overview
from ..domain.command_line import Call, CommandLine, split
from ..errors import InvalidArgument, MLOpsError
from ..session import Session
from .body import BodyRunner
from .progress import Progress
from .variables import expand, look_up

__all__ = ["Magic", "MagicFunction", "Said"]

TAKING_CELLS = ("sweep",)
"""The commands that take a cell in the place of a function."""
OWN = (
    Argument("into", "text", "bind the result to this name", False, False, False, metavar="NAME"),
    Argument("quiet", "flag", "show nothing; a `;` at the end of the line does the same", False, False, False),
)
SHORTS = {"-o": "into", "-q": "quiet"}


class CellCommands:
    """What only a cell can be given to; declared as every command is, carried out by `BodyRunner`."""

    @command("run", stage="tracking", changes=True)
    def run(
        self,
        name: Annotated[str, Arg(metavar="NAME")] = "",
        *,
        again: Annotated[str, Arg(choices=("supersede", "resume", "sibling"))] = "",
    ) -> None:
        """Run the cell as an MLflow run (begin the cell with it).

        Parameters, metrics, the model, the data versions used, the source, the notebook and its git commit record
        themselves. A cell that fails gives a FAILED run, an interrupted one a KILLED run. ``with mlops.run(NAME):``
        does the same where you prefer plain Python.

        Parameters
        ----------
        name
            The run's name; one is made up if there is none.
        again
            When the cell has run before: supersede the earlier run, resume it, or leave it as a sibling.

        Examples
        --------
        %%mlops run baseline
        """


class Said(str):
    """A command's answer in words: shown as it is, not as a quoted string."""

    __slots__ = ()

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text(str(self))


class Interrupted(KeyboardInterrupt):
    """A line that was interrupted: said in a line, as the places in our own code tell its user nothing."""

    def _render_traceback_(self) -> list[str]:
        return [f"KeyboardInterrupt: {self or 'interrupted'}"]


class MagicFunction:
    """What IPython calls for ``%mlops``; its docstring, which ``%mlops?`` shows, lists every command once somebody reads it."""

    _ipython_magic_no_var_expand = True  # braces stand in JSON; `variables.expand` does what is safe
    needs_local_scope = True  # magics inside functions work

    def __init__(self, magic: Magic) -> None:
        self.magic = magic
        self.__name__ = magic.name

    @property
    def __doc__(self) -> str:  # type: ignore[override]
        """The life of a model, and its commands."""
        return f"The life of a model in the notebook.\n\n{self.magic.overview()}\n"

    def __call__(self, line: str, cell: str | None = None, local_ns: dict[str, Any] | None = None) -> Any:
        return self.magic(line, cell, local_ns)


class Magic:
    """``%mlops`` and ``%%mlops`` of one shell.

    Parameters
    ----------
    shell
        IPython's shell.
    session
        What carries commands out.
    name
        How the magic is called: ``mlops``.
    progress
        Shows what a long command is doing.
    """

    def __init__(self, shell: Any, session: Session, name: str, progress: Progress) -> None:
        self.shell = shell
        self.session = session
        self.name = name
        self.progress = progress
        self._body = BodyRunner(shell, session, progress)
        self._looked_for_notebook = False
        self._unseen_notebook = ""

    @cached_property
    def tree(self) -> CommandLine:
        """The commands as this magic writes them; `run`, which takes a cell, first among its stage's."""
        commands = self.session.commands.preceded_by(collect(CellCommands))
        return CommandLine(f"%{self.name}", commands, OWN, SHORTS)

    def overview(self) -> str:
        """Every command in a line."""
        tail = (
            f"\n`%{self.name}` alone shows the workspace. A variable stands for its table or object, "
            "{expression} for its value.\nEvery command is also a function: `import jupyter_mlops as mlops`."
        )
        return overview(self.tree, tail=tail)

    def __call__(self, line: str, cell: str | None = None, local_ns: dict[str, Any] | None = None) -> Any:
        """Carry out one line, or one cell.

        Raises
        ------
        UsageError
            The user's mistake, or what the command cannot do; shown without a traceback, and the cell fails.
        Interrupted
            The user has interrupted a line.
        """
        try:
            result, silent = self._carry_out(line, cell, {**self.shell.user_ns, **(local_ns or {})})
        except MLOpsError as error:
            raise UsageError(str(error)) from error
        except KeyboardInterrupt as stopped:
            if cell is not None:  # where a cell of one's own was is worth knowing
                raise
            raise Interrupted(*stopped.args) from None
        finally:
            self.progress.finish()
        return None if silent else result

    def cell_began(self, *, counted: bool) -> None:
        """A cell of the notebook begins; `counted` when it has a number of its own."""
        self._body.counted = counted

    def cell_ended(self) -> None:
        """The cell is over; see `BodyRunner`."""
        self._body.forget()

    def _carry_out(self, line: str, cell: str | None, variables: dict[str, Any]) -> tuple[Any, bool]:
        words = split(line)
        silent = bool(words) and words[-1].endswith(";")
        if silent:
            words = [*words[:-1], *filter(None, [words[-1].rstrip(";")])]
        call = self.tree.parse(expand(words, variables))
        if cell is not None:
            return self._run_cell(call, cell, variables)
        if call.help:
            return Said(self._help(call)), silent
        if call.command is not None and call.command.name == "run":
            raise InvalidArgument(
                "run takes a cell.", hint=f"Begin the cell with `%%{self.name} run`, or write `with mlops.run():`."
            )
        into = _checked_name(call.own.get("into"))
        name = call.command.name if call.command is not None else "status"
        result = self.session.invoke(name, self._objects(call, variables), via="magic")
        if into:
            self.shell.user_ns[into] = result
        return (
            Said(result) if type(result) is str else result,
            silent or bool(call.own.get("quiet")),
        )

    def _over_cell(self, call: Call, cell: str, variables: dict[str, Any]) -> tuple[Any, bool]:
        """A command that takes a function, given the cell's code in its place; a word on the line is the name."""
        if not cell.strip():
            raise InvalidArgument("there is nothing to run: the cell is empty.")
        assert call.command is not None  # noqa: S101 whoever calls has seen to it
        into = _checked_name(call.own.get("into"))
        first = next(a.name for a in call.command.arguments if a.positional)
        given = self._objects(call, variables)
        word = call.given.get(first)
        given[first] = cell
        if word and not given.get("name"):
            given["name"] = str(word)
        result = self.session.invoke(call.command.name, given, via="magic")
        if into:
            self.shell.user_ns[into] = result
        return result, bool(call.own.get("quiet"))

    def _run_cell(self, call: Call, cell: str, variables: dict[str, Any]) -> tuple[Any, bool]:
        if call.help:
            raise InvalidArgument("help takes no cell.", hint=f"Write `%{self.name} --help` on a line of its own.")
        if call.command is not None and call.command.name in TAKING_CELLS:
            return self._over_cell(call, cell, variables)
        if call.command is None or call.command.name != "run":
            asked = call.command.name if call.command is not None else ""
            line = f"%{self.name} {asked}".strip()
            raise InvalidArgument(
                f"only run takes a cell: `%%{self.name} run [NAME]`.",
                hint=f"Write `{line}` with one %, on a line of its own." if asked else "",
            )
        if not cell.strip():
            raise InvalidArgument("there is nothing to run: the cell is empty.")
        into = _checked_name(call.own.get("into"))
        self._body.run(
            call.given.get("name"),
            cell,
            into=into,
            again=call.given.get("again") or "",
            quiet=bool(call.own.get("quiet")),
        )
        return None, True

    def _objects(self, call: Call, variables: dict[str, Any]) -> dict[str, Any]:
        kinds = {a.name: a for a in call.command.arguments} if call.command is not None else {}
        return {
            name: look_up(given, kinds[name], variables) if kinds[name].value in ("table", "object") else given
            for name, given in call.given.items()
        }

    def locate_notebook(self) -> None:
        """Find out which notebook this kernel runs, once, and again when it was renamed or moved since."""
        context = self.session.context
        known = context.notebook.path
        moved = known not in ("", self._unseen_notebook) and not (context.workspace.root / known).exists()
        if not self._looked_for_notebook or moved:
            self._looked_for_notebook = True
            self.session.locate_notebook(self.shell.user_ns)
            if moved and context.notebook.path == known:  # nobody knows better: not to be asked at every cell
                self._unseen_notebook = known

    def _help(self, call: Call) -> str:
        if call.command is not None:
            return command_help(self.tree, call.command)
        return overview(self.tree, group=call.group) if call.group else self.overview()


def _checked_name(name: str | None) -> str:
    if name and (not name.isidentifier() or keyword.iskeyword(name)):
        raise InvalidArgument(f"-o takes the name of a variable, not {name!r}.")
    return name or ""
