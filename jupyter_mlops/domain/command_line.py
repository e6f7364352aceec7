"""Command line: words in, a command and its arguments out.

The magic and the shell command read one tree: `session.commands`, whose names of two words (``data save``) are
sub-trees. A surface adds options of its own, such as ``-o NAME``. Nothing here prints or exits; `command_help` writes
the help and `completion` completes, from the same declarations.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..errors import InvalidArgument
from .command import Argument, Command

__all__ = ["Call", "CommandLine", "Word", "split"]

Word = str
OUTPUTS = ("output", "directory", "folder")
"""A command with an option of such a name takes ``-o`` for itself; elsewhere it binds or saves the result."""

HELP = ("-h", "--help")
_QUOTES = "\"'"
_OPENING = {"(": ")", "[": "]", "{": "}"}


@dataclass(frozen=True)
class Call:
    """What a command line asks for.

    Parameters
    ----------
    command
        None when the line is empty.
    given
        The command's arguments as typed, by name.
    own
        The surface's own options, by name.
    help
        Whether help is asked for: of `command`, else of `group`, else of everything.
    """

    command: Command | None = None
    given: dict[str, Any] = field(default_factory=dict)
    own: dict[str, Any] = field(default_factory=dict)
    help: bool = False
    group: str = ""


@dataclass(frozen=True)
class CommandLine:
    """The tree of commands as one surface writes them.

    Parameters
    ----------
    program
        How the surface is called: ``%mlops``, ``jupyter mlops``.
    commands
        Every command by name.
    own
        The surface's own options, that every command takes.
    shorts
        Short forms of those: ``{"-o": "into"}``.
    """

    program: str
    commands: Mapping[str, Command]
    own: tuple[Argument, ...] = ()
    shorts: Mapping[str, str] = field(default_factory=dict)

    @property
    def groups(self) -> dict[str, list[str]]:
        """The first words of commands of two words, each with its second words."""
        found: dict[str, list[str]] = {}
        for name in self.commands:
            first, _, second = name.partition(" ")
            if second:
                found.setdefault(first, []).append(second)
        return found

    @property
    def verbs(self) -> list[str]:
        """What may stand first."""
        return list(dict.fromkeys(name.partition(" ")[0] for name in self.commands))

    def options(self, command: Command) -> dict[str, Argument]:
        """Every option that may stand after a command, as typed; the surface's own last."""
        found: dict[str, Argument] = {}
        for argument in command.arguments:
            if argument.positional:
                continue
            found[argument.flag] = argument
            if argument.value == "flag" and argument.default is True:
                found["--no-" + argument.flag[2:]] = argument
            if argument.name in OUTPUTS:
                found.setdefault("-o", argument)
        for argument in self.own:
            found.setdefault(argument.flag, argument)
            for short, name in self.shorts.items():
                if name == argument.name:
                    found.setdefault(short, argument)
        return found

    def parse(self, words: Sequence[Word]) -> Call:
        """Read a line's words.

        Raises
        ------
        InvalidArgument
            A verb or option is unknown, an option lacks its value, an argument is missing or one too many.
        """
        rest = list(words)
        if not rest:
            return Call()
        if rest[0] in HELP or rest == ["help"]:
            return Call(help=True)
        if rest[0] == "help":
            rest = [*rest[1:], "--help"]
        name, rest = self._find(rest)
        if name not in self.commands:
            return Call(help=True, group=name)
        return self._read(self.commands[name], rest)

    def _find(self, words: list[Word]) -> tuple[str, list[Word]]:
        first, rest = words[0], words[1:]
        if rest and f"{first} {rest[0]}" in self.commands:
            return f"{first} {rest[0]}", rest[1:]
        if first in self.commands:
            return first, rest
        seconds = self.groups.get(first)
        if seconds is None:
            also = [name for name in self.commands if name.endswith(f" {first}")]
            hint = f"Did you mean {also[0]!r}?" if also else f"`{self.program} --help` lists them."
            raise InvalidArgument.unknown("verb", first, self.verbs, hint=hint)
        if not rest:
            raise InvalidArgument(f"{first!r} needs one of: {', '.join(seconds)}.", hint=self._see(first))
        if rest[0] in HELP:
            return first, rest
        raise InvalidArgument.unknown(f"verb of {first!r}", rest[0], seconds, hint=self._see(first))

    def _read(self, command: Command, words: list[Word]) -> Call:
        options = self.options(command)
        given: dict[str, Any] = {}
        own: dict[str, Any] = {}
        loose: list[Word] = []
        queue = iter(words)
        for word in queue:
            if word == "--":
                loose += queue
            elif word in HELP:
                return Call(command, help=True)
            elif _is_option(word):
                flag, has_value, value = word.partition("=")
                argument = options.get(flag)
                if argument is None:
                    known = [option for option in options if option.startswith("--")]
                    raise InvalidArgument.unknown(f"option of {command.name!r}", flag, known, hint=self._see(command))
                target = own if any(argument is mine for mine in self.own) else given
                self._put(command, target, argument, flag, value if has_value else None, queue, options)
            else:
                loose.append(word)
        self._place(command, loose, given)
        missing = [a.label for a in command.arguments if a.required and given.get(a.name) is None]
        if missing:
            raise InvalidArgument(f"{command.name!r} also needs {', '.join(missing)}.", hint=self._see(command))
        return Call(command, given, own)

    def _put(
        self,
        command: Command,
        target: dict[str, Any],
        argument: Argument,
        flag: str,
        value: str | None,
        queue: Iterator[Word],
        options: Mapping[str, Argument],
    ) -> None:
        if argument.value == "flag":
            if value is not None:
                raise InvalidArgument(f"{flag} is on or off; it takes no value {value!r}.", hint=self._see(command))
            target[argument.name] = not flag.startswith("--no-")
            return
        if value is None:
            value = next(queue, None)
        if value is None or value in options:
            what = f": {argument.help}" if argument.help else "."
            raise InvalidArgument(f"{flag} needs a value{what}", hint=self._see(command))
        if argument.many:
            target.setdefault(argument.name, []).append(value)
        elif argument.name in target:
            raise InvalidArgument(f"{flag} is given twice.", hint=self._see(command))
        else:
            target[argument.name] = value

    def _place(self, command: Command, words: list[Word], given: dict[str, Any]) -> None:
        places = [argument for argument in command.arguments if argument.positional]
        rest = list(words)
        for i, argument in enumerate(places):
            later = sum(place.required for place in places[i + 1 :])
            take = len(rest) - later if argument.many else min(1, len(rest))
            if take > 0:
                given[argument.name] = rest[:take] if argument.many else rest[0]
                rest = rest[take:]
        if rest:
            takes = ", ".join(place.label for place in places) or "no argument"
            several = next((a for a in command.arguments if a.many and not a.positional and a.name in given), None)
            hint = self._see(command)
            if several is not None:
                hint = f"Several values of {several.flag} stand with commas: {several.flag} {given[several.name][-1]},{rest[0]}. {hint}"
            raise InvalidArgument(f"{command.name!r} takes {takes}; {rest[0]!r} is too much.", hint=hint)

    def _see(self, of: Command | str) -> str:
        return f"See `{self.program} {of if isinstance(of, str) else of.name} --help`."


def _is_option(word: Word) -> bool:
    """A dash and a letter; a negative number is a value."""
    return re.match(r"--?[A-Za-z]", word) is not None


def split(line: str) -> list[Word]:
    """Cut a line into words.

    Quotes around a word, or around the value in ``--option="a b"``, are taken off and keep it whole; quotes inside
    a word stay. Blanks inside balanced brackets do not cut, so ``df[df.x > 1]`` is one word. A ``#`` at the beginning
    of a word begins a comment.

    Raises
    ------
    InvalidArgument
        A quote is not closed.

    Examples
    --------
    >>> split("data save df[df.x > 1] --name 'a b' # now")
    ['data', 'save', 'df[df.x > 1]', '--name', 'a b']
    """
    words: list[Word] = []
    position = 0
    while True:
        while position < len(line) and line[position].isspace():
            position += 1
        if position == len(line) or line[position] == "#":
            return words
        end = _word_end(line, position, brackets=True)
        if end is None:
            end = _word_end(line, position, brackets=False)
        if end is None:
            raise InvalidArgument(f"a quote is not closed in {line[position:]!r}.", hint="Close it, or leave it out.")
        words.append(_bare(line[position:end]))
        position = end


def _word_end(line: str, start: int, *, brackets: bool) -> int | None:
    """Where the word that begins at `start` ends; None when a quote or bracket is open at the end of the line."""
    quote, closing = "", ""
    for i in range(start, len(line)):
        char = line[i]
        if quote:
            quote = "" if char == quote else quote
        elif char in _QUOTES and (closing or i == start or line[i - 1] == "="):
            quote = char
        elif brackets and char in _OPENING:
            closing += _OPENING[char]
        elif closing and char == closing[-1]:
            closing = closing[:-1]
        elif char.isspace() and not closing:
            return i
    return None if quote or closing else len(line)


def _bare(word: str) -> Word:
    head, equals, tail = word.partition("=") if word.startswith("--") else ("", "", word)
    if len(tail) > 1 and tail[0] in _QUOTES and tail.find(tail[0], 1) == len(tail) - 1:
        tail = tail[1:-1]
    return head + equals + tail
