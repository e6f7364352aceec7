"""Command help: what the declarations say, as text for a terminal or a cell."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable

from .command import Argument, Command
from .command_line import CommandLine

__all__ = ["command_help", "overview"]

WIDTH = 100
TITLES = {
    "workspace": "Workspace",
    "tracking": "Runs",
    "datasets": "Data versions",
    "registry": "Models",
    "serving": "Deployments",
    "monitoring": "Drift",
    "pipelines": "Pipelines",
    "audit": "Audit",
}


def overview(line: CommandLine, *, group: str = "", tail: str = "") -> str:
    """Every command by stage with a line of help each; only those of `group` where one is named."""
    shown = [c for c in line.commands.values() if not group or c.name.startswith(f"{group} ")]
    width = max(len(command.name) for command in shown)
    parts = [f"usage: {line.program} {group or 'VERB'} ..."]
    for stage in dict.fromkeys(command.stage for command in shown):
        parts.append(f"\n{TITLES.get(stage, stage.capitalize())}")
        parts += [f"  {c.name.ljust(width)}  {_short(c.help)}" for c in shown if c.stage == stage]
    if line.own and not group:
        parts.append("\nEvery command also takes")
        parts += _entries((_option_name(line, a), a.help) for a in line.own)
    parts.append(f"\n`{line.program} {f'{group} ' if group else ''}VERB --help` explains one.{tail}")
    return "\n".join(parts)


def command_help(line: CommandLine, command: Command) -> str:
    """How a command is written, what it does, what it takes, and examples."""
    positional = [a for a in command.arguments if a.positional]
    options = [a for a in command.arguments if not a.positional]
    usage = [line.program, command.name, *map(_usage, positional), *(_usage(a) for a in options if a.required)]
    if len(options) > sum(a.required for a in options) or line.own:
        usage.append("[options]")
    parts = [f"usage: {' '.join(usage)}", "", _wrapped(command.description)]
    for title, group in (("arguments", positional), ("options", options)):
        if group:
            parts += ["", title, *_entries((_name(line, command, a), _explained(a)) for a in group)]
    own = {id(a): a for a in line.options(command).values() if any(a is mine for mine in line.own)}
    if own:
        parts += [
            "",
            "every command's options",
            *_entries((_option_name(line, a, command), a.help) for a in own.values()),
        ]
    if command.examples:
        parts += ["", "examples", *(f"  {_as_typed(line, example)}" for example in command.examples)]
    return "\n".join(parts)


def _usage(argument: Argument) -> str:
    word = argument.label if argument.positional else f"{argument.flag} {_value(argument)}"
    word += " ..." if argument.many else ""
    return word if argument.required else f"[{word}]"


def _name(line: CommandLine, command: Command, argument: Argument) -> str:
    if argument.positional:
        return argument.label
    typed = [flag for flag, found in line.options(command).items() if found is argument]
    return ", ".join(sorted(typed, key=len)) + ("" if argument.value == "flag" else f" {_value(argument)}")


def _option_name(line: CommandLine, argument: Argument, command: Command | None = None) -> str:
    if command is not None:
        return _name(line, command, argument)
    shorts = [short for short, name in line.shorts.items() if name == argument.name]
    return ", ".join([*shorts, argument.flag]) + ("" if argument.value == "flag" else f" {_value(argument)}")


def _value(argument: Argument) -> str:
    return argument.metavar or ("N" if argument.value in ("integer", "number") else argument.name.rstrip("_").upper())


def _explained(argument: Argument) -> str:
    more = []
    if argument.choices:
        more.append("one of " + ", ".join(argument.choices))
    if argument.many and not argument.positional:
        more.append("may be repeated")
    if argument.default not in (None, "", False, (), []):
        more.append(f"default {argument.default}")
    return argument.help + (f" ({'; '.join(more)})" if more else "")


def _entries(pairs: Iterable[tuple[str, str]]) -> list[str]:
    listed = list(pairs)
    width = min(max(len(name) for name, _ in listed), 28)
    lines: list[str] = []
    for name, text in listed:
        body = textwrap.wrap(text, WIDTH - width - 4) or [""]
        if len(name) > width:
            lines.append(f"  {name}")
            name = ""  # noqa: PLW2901 the help goes below a name that is too long
        lines.append(f"  {name.ljust(width)}  {body[0]}".rstrip())
        lines += [" " * (width + 4) + more for more in body[1:]]
    return lines


def _wrapped(text: str) -> str:
    paragraphs = re.split(r"\n\s*\n", text.replace("``", "`"))
    return "\n\n".join(textwrap.fill(re.sub(r"\s+", " ", p), WIDTH) if "\n  " not in p else p for p in paragraphs)


def _short(text: str) -> str:
    return textwrap.shorten(text.replace("``", "`").rstrip("."), WIDTH - 16, placeholder=" ...")


def _as_typed(line: CommandLine, example: str) -> str:
    """An example from a docstring as this surface is called; a cell magic stays what it is."""
    return example if example.startswith("%%") else line.program + example.removeprefix("%mlops")
