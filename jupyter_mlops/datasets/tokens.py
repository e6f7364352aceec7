"""Tokens: the words of free text, each with the number of cells that hold it; addresses and long numbers are no words."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

__all__ = ["MOST_CELLS", "MOST_TOKENS", "Vocabulary", "merged_vocabularies", "vocabulary_of"]

MOST_TOKENS = 50_000
MOST_CELLS = 100_000  # evenly spaced; more say nothing new of which words there are
ADDRESS = r"[^\s@]+@[^\s@]+"
LONGEST_NUMBER = 6  # digits: a longer one may be a telephone's or a card's
SEPARATOR = r"[^\p{L}\p{N}_]+"


@dataclass(frozen=True)
class Vocabulary:
    """Which words the cells of a text column hold.

    Parameters
    ----------
    tokens, counts
        The words, lower-cased, that the most cells hold, falling, and how many hold each.
    rest
        The sum of the counts of all others.
    once
        How many words are held by one cell alone.
    cells
        How many cells were read.
    """

    tokens: tuple[str, ...] = ()
    counts: tuple[int, ...] = ()
    rest: int = 0
    once: int = 0
    cells: int = 0
    index: dict[str, int] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        self.index.update(zip(self.tokens, self.counts, strict=True))

    @property
    def total(self) -> int:
        """How often a word stood in a cell, each word counted once a cell."""
        return sum(self.counts) + self.rest


def vocabulary_of(texts: pa.Array) -> Vocabulary:
    """The words of text cells, missing ones left out.

    Examples
    --------
    >>> vocabulary_of(pa.array(["A cat, a dog", "the cat"])).index
    {'cat': 2, 'a': 1, 'dog': 1, 'the': 1}
    """
    texts = texts.drop_null()
    step = max(1, -(-len(texts) // MOST_CELLS))
    if step > 1:
        texts = texts.take(pa.array(np.arange(0, len(texts), step)))
    texts = pc.utf8_lower(texts)
    if pc.any(pc.match_substring(texts, "@")).as_py():
        texts = pc.replace_substring_regex(texts, ADDRESS, " ")
    words = pc.split_pattern_regex(texts, SEPARATOR)
    rows = pc.list_parent_indices(words).to_numpy()
    coded = words.flatten().dictionary_encode()
    if isinstance(coded, pa.ChunkedArray):
        coded = coded.combine_chunks()
    names = coded.dictionary.to_pylist()
    if not names:
        return Vocabulary(cells=len(texts))
    pairs = np.unique(rows * len(names) + coded.indices.to_numpy())
    counts = np.bincount(pairs % len(names), minlength=len(names))
    return _kept({name: int(n) for name, n in zip(names, counts, strict=True) if _is_word(name)}, cells=len(texts))


def _is_word(name: str) -> bool:
    return bool(name) and not (len(name) > LONGEST_NUMBER and name.isdigit())


def merged_vocabularies(first: Vocabulary, second: Vocabulary) -> Vocabulary:
    """The words of the cells of both parts."""
    counts = dict(first.index)
    for token, n in second.index.items():
        counts[token] = counts.get(token, 0) + n
    return _kept(counts, cells=first.cells + second.cells, rest=first.rest + second.rest)


def _kept(counts: dict[str, int], *, cells: int, rest: int = 0) -> Vocabulary:
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    kept = ordered[:MOST_TOKENS]
    left: Any = sum(n for _, n in ordered[MOST_TOKENS:]) + rest
    once = sum(n == 1 for n in counts.values())
    return Vocabulary(tuple(t for t, _ in kept), tuple(n for _, n in kept), left, once, cells)
