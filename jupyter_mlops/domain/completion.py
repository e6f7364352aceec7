"""Completion: what may stand next on a command line, out of the declarations, the store and the user's variables."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

from .command import Argument, Command
from .command_line import HELP, CommandLine

__all__ = ["Names", "complete"]

Candidate = tuple[str, str]
"""The whole word as it would stand, and what it is: ``command``, ``option``, ``value``, ``variable``, ``path``."""

MOST = 200


class Names:
    """Names out of the store, kept for two seconds and never waited for longer than `patience`.

    A kernel is blocked while it completes: what does not come in time is taken at the next Tab.

    Parameters
    ----------
    ask
        Gives the names of a kind; may be slow or fail.
    """

    def __init__(self, ask: Callable[[str], Sequence[str]], *, fresh: float = 2.0, patience: float = 0.4) -> None:
        self._ask = ask
        self._fresh = fresh
        self._patience = patience
        self._known: dict[str, tuple[float, tuple[str, ...]]] = {}
        self._asking: dict[str, threading.Thread] = {}

    def __call__(self, kind: str) -> tuple[str, ...]:
        """The names of a kind, as far as they are known in time."""
        told, names = self._known.get(kind, (-self._fresh, ()))
        if time.monotonic() - told < self._fresh:
            return names
        asking = self._asking.get(kind)
        if asking is None or not asking.is_alive():
            asking = threading.Thread(target=self._learn, args=(kind,), name="mlops-names", daemon=True)
            self._asking[kind] = asking
            asking.start()
        asking.join(self._patience)
        return self._known.get(kind, (0.0, ()))[1]

    def _learn(self, kind: str) -> None:
        try:
            names = tuple(self._ask(kind))
        except Exception:
            names = ()
        self._known[kind] = (time.monotonic(), names)


def complete(
    line: CommandLine,
    words: Sequence[str],
    names: Callable[[str], Sequence[str]],
    variables: Mapping[str, Any] | None = None,
) -> list[Candidate]:
    """What the last of `words`, which may be empty, can become.

    Parameters
    ----------
    names
        Gives the names of a kind, see `domain.command.Arg`.
    variables
        The user's variables, offered for tables and objects; None in a shell.
    """
    *before, partial = words
    if before and before[0] == "help":
        before = before[1:]
    found = _candidates(line, before, partial, names, variables)
    return list(dict.fromkeys(c for c in found if c[0].startswith(partial)))[:MOST]


def _candidates(
    line: CommandLine,
    before: list[str],
    partial: str,
    names: Callable[[str], Sequence[str]],
    variables: Mapping[str, Any] | None,
) -> list[Candidate]:
    if not before:
        firsts: list[Candidate] = [(verb, "command") for verb in (*line.verbs, "help")]
        return firsts + ([("--help", "option")] if partial.startswith("-") else [])
    seconds = line.groups.get(before[0])
    verbs: list[Candidate] = [(second, "command") for second in seconds or ()] if len(before) == 1 else []
    if verbs and before[0] not in line.commands:
        return verbs
    depth = 2 if " ".join(before[:2]) in line.commands else 1
    command = line.commands.get(" ".join(before[:depth]))
    if command is None:
        return []
    return [*verbs, *_after(line, command, before[depth:], partial, names, variables)]


def _after(
    line: CommandLine,
    command: Command,
    typed: list[str],
    partial: str,
    names: Callable[[str], Sequence[str]],
    variables: Mapping[str, Any] | None,
) -> list[Candidate]:
    options = line.options(command)
    waiting: Argument | None = None
    used: set[str] = set()
    loose = 0
    for word in typed:
        if waiting is not None:
            waiting = None
        elif (argument := options.get(word.partition("=")[0])) is not None:
            used.add(argument.name)
            waiting = None if argument.value == "flag" or "=" in word else argument
        elif not word.startswith("-"):
            loose += 1
    if waiting is not None:
        return _values(waiting, partial, names, variables)
    flag, has_value, value = partial.partition("=")
    if has_value and flag in options:
        return [(f"{flag}={text}", kind) for text, kind in _values(options[flag], value, names, variables)]
    free: list[Candidate] = [
        (option, "option") for option, a in options.items() if len(option) > 2 and (a.many or a.name not in used)
    ]
    if partial.startswith("-"):
        return [*free, (HELP[1], "option")]
    places = [argument for argument in command.arguments if argument.positional]
    place = places[loose] if loose < len(places) else places[-1] if places and places[-1].many else None
    offered = _values(place, partial, names, variables) if place is not None else []
    return offered or ([] if partial else free)


def _values(
    argument: Argument, partial: str, names: Callable[[str], Sequence[str]], variables: Mapping[str, Any] | None
) -> list[Candidate]:
    found: list[Candidate] = [(choice, "value") for choice in argument.choices]
    if argument.value in ("table", "object"):
        found += [(name, "variable") for name in _variables(variables or {}, argument.value)]
    if argument.complete:
        found += [(name, "value") for name in names(argument.complete)]
    if argument.value == "path" or (argument.value == "table" and (variables is None or "/" in partial)):
        found += [(path, "path") for path in _paths(partial)]
    return found


def _variables(variables: Mapping[str, Any], value: str) -> list[str]:
    """The user's variables that can be such an argument, the likeliest first; decided by the type, nothing is touched."""
    mark = "columns" if value == "table" else "predict"
    names = [
        name
        for name, held in variables.items()
        if not name.startswith("_") and not isinstance(held, (ModuleType, FunctionType, type)) and not callable(held)
    ]
    return sorted(names, key=lambda name: (not hasattr(type(variables[name]), mark), name))


def _paths(partial: str) -> list[str]:
    folder, slash, start = partial.rpartition("/")
    try:
        entries = sorted(Path(folder + slash or ".").expanduser().iterdir())[: MOST * 5]
    except OSError:
        return []
    return [
        f"{folder}{slash}{entry.name}{'/' if entry.is_dir() else ''}"
        for entry in entries
        if entry.name.startswith(start) and (start.startswith(".") or not entry.name.startswith("."))
    ]
