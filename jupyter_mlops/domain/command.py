"""Command: a typed method declared once, from which the magic, the shell command, the REST route and the form come.

The signature gives the arguments and their types, the NumPy docstring gives the help, and `Arg` inside an
``Annotated`` gives what neither can say: where completions come from, and what kind of thing a surface must hand over.
Positional-or-keyword parameters are positional on a command line; keyword-only ones are options.
"""

from __future__ import annotations

import functools
import inspect
import re
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

from ..errors import InvalidArgument

__all__ = ["Arg", "Argument", "Command", "Value", "collect", "command"]

F = TypeVar("F", bound=Callable[..., Any])

Value = Literal["text", "integer", "number", "flag", "table", "object", "path"]
"""What an argument takes: ``table`` is a DataFrame (a variable in a notebook, a file in a shell), ``object`` any
Python object (a variable in a notebook), ``path`` a file or folder."""

_MARK = "__mlops_command__"


@dataclass(frozen=True)
class Arg:
    """What an annotation says of an argument beyond its type.

    Parameters
    ----------
    value
        Overrides what is read off the type; needed for ``table``, ``object`` and ``path``.
    complete
        The kind of name that tab completion offers: ``models``, ``model-versions``, ``data``, ``runs``,
        ``deployments``, ``aliases``; see `Session.names`.
    choices
        The only values allowed.
    metavar
        How help writes the value.
    """

    value: Value | None = None
    complete: str = ""
    choices: tuple[str, ...] = ()
    metavar: str = ""


@dataclass(frozen=True)
class Argument:
    """One argument of a command, as every surface reads it."""

    name: str
    value: Value
    help: str
    positional: bool
    required: bool
    many: bool
    default: Any = None
    complete: str = ""
    choices: tuple[str, ...] = ()
    metavar: str = ""
    variadic: bool = False
    """Whether the method takes it as ``*name``."""

    @property
    def flag(self) -> str:
        """The option as typed: ``--random-state``."""
        return "--" + self.name.rstrip("_").replace("_", "-")

    def read(self, given: Any) -> Any:
        """Turn what a surface was given, text or a value, into the argument's type.

        Raises
        ------
        InvalidArgument
            The text is no such value, or not among the choices.
        """
        if given is None or self.value in ("table", "object"):
            return given
        if self.many and isinstance(given, (list, tuple)):
            return [self._one(item) for item in given]
        return self._one(given)

    def _one(self, given: Any) -> Any:
        try:
            if self.value == "integer":
                return int(given)
            if self.value == "number":
                return float(given)
        except (TypeError, ValueError):
            article = "an" if self.value == "integer" else "a"
            raise InvalidArgument(f"{self.label} takes {article} {self.value}, not {given!r}.") from None
        if self.value == "flag":
            if not isinstance(given, bool):
                raise InvalidArgument(f"{self.label} is on or off; it takes no value {given!r}.")
            return given
        if self.choices and given not in self.choices:
            raise InvalidArgument.unknown(self.label, str(given), self.choices)
        return given if self.value == "path" else str(given)

    @property
    def label(self) -> str:
        """How errors and help name the argument."""
        return (self.metavar or self.name.upper()) if self.positional else self.flag


@dataclass(frozen=True)
class Command:
    """One command: its name (``data save``), where it belongs, what it takes and what it does."""

    name: str
    stage: str
    function: Callable[..., Any] = field(repr=False)
    changes: bool
    group: str = ""

    @property
    def help(self) -> str:
        """The docstring's first line."""
        return self._doc.split("\n", 1)[0]

    @property
    def description(self) -> str:
        """The docstring up to its first section."""
        return re.split(r"\n(?=\w[\w ]*\n-{3,})", self._doc, maxsplit=1)[0].strip()

    @property
    def examples(self) -> tuple[str, ...]:
        """The lines of the docstring that begin with ``%mlops``."""
        return tuple(m.strip() for m in re.findall(r"^\s*(%%?mlops .*)$", self._doc, re.MULTILINE))

    @property
    def _doc(self) -> str:
        return inspect.getdoc(self.function) or ""

    @cached_property
    def arguments(self) -> tuple[Argument, ...]:
        """What the command takes, in order; worked out on first use."""
        hints = typing.get_type_hints(self.function, include_extras=True)
        helps = _parameter_help(self._doc)
        parameters = list(inspect.signature(self.function).parameters.values())[1:]
        return tuple(_argument(p, hints[p.name], helps.get(p.name, "")) for p in parameters)

    def read(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Check and convert a surface's arguments; unknown and missing ones are named.

        Raises
        ------
        InvalidArgument
            An argument is unknown, missing, or of the wrong kind.
        """
        known = {argument.name: argument for argument in self.arguments}
        for name in given:
            if name not in known:
                raise InvalidArgument.unknown(f"argument of {self.name!r}", name, known)
        missing = [a.label for a in self.arguments if a.required and given.get(a.name) is None]
        if missing:
            raise InvalidArgument(
                f"{self.name!r} also needs {', '.join(missing)}.", hint=f"See `%mlops {self.name} --help`."
            )
        return {name: known[name].read(value) for name, value in given.items()}

    def call(self, owner: Any, given: Mapping[str, Any]) -> Any:
        """Call the method on `owner` with arguments that `read` has read."""
        named = dict(given)
        variadic = next((i for i, argument in enumerate(self.arguments) if argument.variadic), None)
        if variadic is None:
            return self.function(owner, **named)
        before = [named.pop(argument.name, argument.default) for argument in self.arguments[:variadic]]
        return self.function(owner, *before, *named.pop(self.arguments[variadic].name, ()), **named)


def command(name: str, *, stage: str, changes: bool) -> Callable[[F], F]:
    """Declare the method below as a command; a text that it is given for a list stands for a list of that one.

    Parameters
    ----------
    name
        The verb, or group and verb: ``promote``, ``data save``.
    stage
        The heading under which help lists it.
    changes
        Whether it changes anything: such a command is a POST, is audited, and needs the right to write.
    """

    def declare(function: F) -> F:
        @functools.wraps(function)
        def called(owner: Any, /, *args: Any, **named: Any) -> Any:
            if str in map(type, (*args, *named.values())):
                places, lists = _lists(function)
                args = tuple(
                    [value] if isinstance(value, str) and at in places else value for at, value in enumerate(args)
                )
                named = {k: [value] if isinstance(value, str) and k in lists else value for k, value in named.items()}
            return function(owner, *args, **named)

        setattr(called, _MARK, {"name": name, "stage": stage, "changes": changes})
        return typing.cast("F", called)

    return declare


@functools.cache
def _lists(function: Callable[..., Any]) -> tuple[frozenset[int], frozenset[str]]:
    """The places and the names of a method's parameters that take a list."""
    arguments = Command("", "", function, changes=False).arguments
    lists = {argument.name for argument in arguments if argument.many and not argument.variadic}
    positional = [argument.name for argument in arguments if argument.positional]
    return frozenset(at for at, name in enumerate(positional) if name in lists), frozenset(lists)


def collect(owner: type, group: str = "") -> dict[str, Command]:
    """The commands declared on a class and its bases, by name, in the order of declaration."""
    found: dict[str, Command] = {}
    for cls in reversed(owner.__mro__):
        for function in vars(cls).values():
            mark = getattr(function, _MARK, None)
            if mark is not None:
                found[mark["name"]] = Command(function=function, group=group, **mark)
    return found


def _argument(parameter: inspect.Parameter, hint: Any, help_: str) -> Argument:
    arg = Arg()
    if get_origin(hint) is Annotated:
        hint, *extras = get_args(hint)
        arg = next((extra for extra in extras if isinstance(extra, Arg)), arg)
    hint = _without_none(hint)
    loose = parameter.kind is parameter.VAR_POSITIONAL
    many = get_origin(hint) in (list, tuple) or loose
    if many and not loose:
        hint = get_args(hint)[0]
    if get_origin(hint) is Literal:
        arg = Arg(arg.value, arg.complete, arg.choices or tuple(get_args(hint)), arg.metavar)
    types_: dict[Any, Value] = {int: "integer", float: "number", bool: "flag"}
    required = parameter.default is inspect.Parameter.empty and not loose
    return Argument(
        name=parameter.name,
        value=arg.value or types_.get(hint, "text"),
        help=help_,
        positional=parameter.kind is not parameter.KEYWORD_ONLY,
        required=required,
        many=many,
        default=None if required or loose else parameter.default,
        complete=arg.complete,
        choices=arg.choices,
        metavar=arg.metavar,
        variadic=loose,
    )


def _without_none(hint: Any) -> Any:
    if get_origin(hint) in (Union, types.UnionType):
        return next(arg for arg in get_args(hint) if arg is not type(None))
    return hint


def _parameter_help(doc: str) -> dict[str, str]:
    """The ``Parameters`` section of a NumPy docstring: name to one line of text."""
    section = re.search(r"^Parameters\n-+\n(.*?)(?=^\w[\w ]*\n-{3,}|\Z)", doc, re.MULTILINE | re.DOTALL)
    helps: dict[str, str] = {}
    names: Iterable[str] = ()
    for line in section[1].splitlines() if section else ():
        if line and not line.startswith(" "):
            names = [name.strip() for name in line.split(":")[0].split(",")]
        elif line.strip():
            for name in names:
                helps[name] = f"{helps.get(name, '')} {line.strip()}".strip()
    return {name: text.replace("``", "`") for name, text in helps.items()}
