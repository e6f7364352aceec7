"""Command table: every command by name, declared in modules that are imported only as far as a name has to be looked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from .command import Command

__all__ = ["CommandTable", "Source"]


@dataclass(frozen=True)
class Source:
    """Where commands come from.

    Parameters
    ----------
    load
        Imports what declares them and gives them by name.
    head
        The first word of all of them, where they share one: only names that begin with it are looked for there.
    """

    load: Callable[[], Mapping[str, Command]]
    head: str = ""


class CommandTable(Mapping[str, Command]):
    """Commands by name: one that is asked for is looked for source by source, going through all of them asks every source.

    Parameters
    ----------
    sources
        In the order in which they are searched.
    stages
        The order in which stages are listed.

    Examples
    --------
    >>> from .command import collect, command
    >>> class Runs:
    ...     @command("runs", stage="tracking", changes=False)
    ...     def runs(self) -> str: ...
    >>> def late() -> Mapping[str, Command]:
    ...     print("imported")
    ...     return {}
    >>> table = CommandTable([Source(lambda: collect(Runs)), Source(late), Source(late, "data")], ["tracking"])
    >>> table["runs"].stage, "runs on" in table
    ('tracking', False)
    >>> "ruins" in table
    imported
    False
    """

    def __init__(self, sources: Sequence[Source], stages: Sequence[str]) -> None:
        self._sources = [Source(cache(source.load), source.head) for source in sources]
        self._stages = stages

    def preceded_by(self, commands: Mapping[str, Command]) -> CommandTable:
        """The same table with `commands` first among their stages'."""
        return CommandTable([Source(lambda: commands), *self._sources], self._stages)

    def __getitem__(self, name: str) -> Command:
        first, _, second = name.partition(" ")
        for source in self._sources:
            if source.head == first or not (source.head or second):
                found = source.load().get(name)
                if found is not None:
                    return found
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        every = [command for source in self._sources for command in source.load().values()]
        return iter([command.name for command in sorted(every, key=lambda command: self._stages.index(command.stage))])

    def __len__(self) -> int:
        return sum(len(source.load()) for source in self._sources)
