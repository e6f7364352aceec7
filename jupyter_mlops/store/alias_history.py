"""An alias's history: every move, kept as a tag on the registered model, where MLflow itself keeps none.

A move is written down before it is made, under the id of the request that asked for it: asked again after a crash, the
same move is found and completed instead of being written twice.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from ..domain.record import Record
from .models import Models
from .tags import ALIAS_HISTORY

__all__ = ["Move", "append", "every", "moves_in", "read"]

PAGE_CHARS = 4500  # MLflow's databases hold 5,000 characters a tag


@dataclass(frozen=True)
class Move(Record):
    """One move of an alias.

    Parameters
    ----------
    version
        The version that got the alias; None when it was taken away.
    before
        The version that had it.
    request
        The request that asked for the move.
    reason
        Why, in the user's words.
    forced
        Whether a gate was overruled.
    """

    version: int | None
    before: int | None
    at_ms: int
    by: str
    request: str
    reason: str = ""
    forced: bool = False


def read(models: Models, name: str, alias: str) -> tuple[Move, ...]:
    """Every move of an alias, oldest first."""
    return moves_in(models.tags(name), alias)


def moves_in(tags: dict[str, str], alias: str) -> tuple[Move, ...]:
    """The same, of a name whose tags are known."""
    moves: list[Move] = []
    number = 1
    while (page := tags.get(_key(alias, number))) is not None:
        moves += [Move.from_dict(move) for move in json.loads(page)]
        number += 1
    return tuple(moves)


def every(models: Models, name: str) -> dict[str, tuple[Move, ...]]:
    """Every move of every alias of a name, by alias, oldest first."""
    head, tail = ALIAS_HISTORY.split("{alias}")
    tags = models.tags(name)
    aliases = [key[len(head) : -len(tail)] for key in tags if key.startswith(head) and key.endswith(tail)]
    return {alias: moves_in(tags, alias) for alias in sorted(aliases)}


def append(models: Models, name: str, alias: str, move: Move, tags: dict[str, str]) -> None:
    """Write a move down, on the last page or, if that is full, on a new one; `tags` are the name's as they are now."""
    number = 1
    while _key(alias, number + 1) in tags:
        number += 1
    page = json.loads(tags.get(_key(alias, number), "[]"))
    text = json.dumps([*page, move.to_dict()], separators=(",", ":"))
    if page and len(text) > PAGE_CHARS:
        number, text = number + 1, json.dumps([move.to_dict()], separators=(",", ":"))
    models.set_tag(name, _key(alias, number), text)


def _key(alias: str, page: int) -> str:
    first = ALIAS_HISTORY.format(alias=alias)
    return first if page == 1 else f"{first}.{page}"
