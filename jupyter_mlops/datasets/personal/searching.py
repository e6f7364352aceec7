"""Searching: whether a column holds personal data, and where."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from .kinds import KINDS, Kind, words_of

if TYPE_CHECKING:
    from ..check import Codes, Column

__all__ = ["Found", "found_in"]

LOOKED_AT = 2_000
FEWEST = 3  # different cells, before a pattern without the column's name says anything
LONG = 12  # digits from which a whole number may be a card's


@dataclass(frozen=True, eq=False)
class Found:
    """What a column holds.

    Parameters
    ----------
    inside
        Whether cells contain it among other text.
    share
        Of the different cells looked at, how many hold it.
    count
        Rows of those cells, scaled to the column.
    rows, values
        The first few.
    """

    kind: str
    what: str
    inside: bool
    share: float
    count: int
    rows: Codes
    values: tuple[str, ...]
    convention: str


def found_in(column: Column) -> Found | None:
    """The kind of personal data that a column holds, None for none.

    Up to 2,000 of a column's different values are looked at, evenly spread; with an ``@`` in sight, all.
    """
    texts = _texts(column)
    if texts is None or not len(texts):
        return None
    called = words_of(column.name)
    for kind in KINDS:
        hinted = kind.hint is not None and kind.hint.search(called) is not None
        if kind.needs_hint and not hinted:
            continue
        needed = kind.hinted if hinted else kind.needed
        if column.kind == "number" and not (hinted or kind.name == "card"):
            continue
        hits = np.array([kind.valid(text) for text in texts])
        if hits.mean() >= needed and (hinted or hits.sum() >= FEWEST):
            return _told(column, kind, texts, hits, inside=False, hinted=hinted)
    if column.kind not in ("text", "category"):
        return None
    return _inside(column, texts)


def _inside(column: Column, texts: list[str]) -> Found | None:
    """Personal data among other text, in any cell: an e-mail address in a remark."""
    every = [str(u) for u in column.uniques if isinstance(u, str)]
    for kind in KINDS:
        if kind.inside is None:
            continue
        among = (
            [t for t in every if "@" in t]
            if kind.name == "email"
            else [t for t in texts if any(c.isdigit() for c in t)]
        )
        hits = [t for t in among if any(kind.valid(found[0]) for found in kind.inside.finditer(t))]
        if hits:
            chosen = set(hits)
            looked = every if kind.name == "email" else texts
            return _told(column, kind, looked, np.array([t in chosen for t in looked]), inside=True, hinted=False)
    return None


def _told(column: Column, kind: Kind, texts: list[str], hits: Any, *, inside: bool, hinted: bool) -> Found:
    values = tuple(text for text, hit in zip(texts, hits, strict=True) if hit)
    marks = (
        np.array([str(u) in set(values) for u in column.uniques])
        if len(values) <= LOOKED_AT
        else np.ones(len(column.uniques), bool)
    )
    rows = np.flatnonzero((column.codes >= 0) & marks[np.maximum(column.codes, 0)])
    looked = (
        f"{len(texts):,} of {len(column.uniques):,} different values looked at"
        if len(texts) < len(column.uniques)
        else "every different value looked at"
    )
    present = int((column.codes >= 0).sum())
    count = len(rows) if len(texts) == len(column.uniques) else round(float(hits.mean()) * present)
    rule = f"{kind.rule}; {'the name of the column says so too; ' if hinted else ''}{looked}"
    return Found(kind.name, kind.what, inside, float(hits.mean()), count, rows, values[:3], rule)


def _texts(column: Column) -> list[str] | None:
    """Different values as text, evenly spread over the column; None for a column that cannot hold any."""
    step = max(1, -(-len(column.uniques) // LOOKED_AT))
    if column.kind in ("text", "category"):
        return [str(u) for u in column.uniques[::step] if isinstance(u, str)]
    if column.kind == "moment":
        return [str(u)[:10] for u in column.uniques[::step]]
    if column.kind == "number":
        there = np.array([u for u in np.asarray(column.uniques[::step], dtype=float) if np.isfinite(u)])
        if len(there) and np.all(there == np.round(there)) and np.all(there >= 10 ** (7 - 1)) and np.all(there < 1e19):
            return [str(int(u)) for u in column.uniques[::step]]
    return None
