"""Moving an alias: with its history, the version before kept as ``previous``, and one mover at a time."""

from __future__ import annotations

import threading
import uuid
from typing import Final

from ..domain.context import now_ms
from ..domain.reference import check_alias
from ..errors import Conflict
from ..store import alias_history
from ..store.host import Host
from ..store.name_lock import holding

__all__ = ["ANY", "CHAMPION", "PREVIOUS", "move_alias"]

CHAMPION = "champion"
PREVIOUS = "previous"
ANY: Final = -1  # whatever version the alias points to now

_moving = threading.RLock()  # within this service; among services the store's own lock holds


def move_alias(
    host: Host,
    name: str,
    alias: str,
    version: int | None,
    *,
    reason: str = "",
    forced: bool = False,
    expected: int | None = ANY,
) -> int | None:
    """Let an alias point to a version, once for each request, and write the move into the alias's history.

    When ``champion`` moves, ``previous`` keeps the version that had it. Among all who share the store one mover goes
    at a time; who decided on what has changed since is told.

    Parameters
    ----------
    version
        The version that gets the alias; None takes the alias away.
    reason
        Why, in the user's words.
    forced
        Whether a gate was overruled.
    expected
        The version that must have the alias still, None for none; `ANY` asks nothing.

    Returns
    -------
    int or None
        The version that had it before.

    Raises
    ------
    Conflict
        The alias does not point to `expected` any more.
    """
    check_alias(alias)
    models = host.store.models
    request = host.request or uuid.uuid4().hex
    with _moving, holding(host.store, f"{name}.{alias}", request):
        aliases, tags = models.registered(name)
        now = aliases.get(alias)
        history = alias_history.moves_in(tags, alias)
        asked = [move for move in history if move.request == request]
        if asked and history[-1] != asked[-1]:  # done before a crash; others have moved it since
            return asked[-1].before
        before = asked[-1].before if asked else now
        if not asked:
            if now == version:
                return now
            if expected not in (ANY, now):
                raise Conflict(
                    f"{name}@{alias} has moved meanwhile: it was {_said(expected)}, it is {_said(now)} now.",
                    hint=f"Look at `%mlops history {name}`, then decide again.",
                )
            move = alias_history.Move(version, before, now_ms(), host.actor.user, request, reason, forced)
            alias_history.append(models, name, alias, move, tags)
        if version is None:
            models.delete_alias(name, alias)
        else:
            models.set_alias(name, alias, version)
        if alias == CHAMPION and before is not None and before != version:
            had = aliases.get(PREVIOUS)
            if had != before:
                move = alias_history.Move(before, had, now_ms(), host.actor.user, request, reason)
                if not any(m.request == request for m in alias_history.moves_in(tags, PREVIOUS)):
                    alias_history.append(models, name, PREVIOUS, move, tags)
                models.set_alias(name, PREVIOUS, before)
    return before


def _said(version: int | None) -> str:
    return "with no version" if version is None else f"version {version}"
