"""Byte cuts: where a file is cut into chunks, decided by its bytes alone, so that an insertion moves only the cuts near it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, BinaryIO

import numpy as np

__all__ = ["LEAST", "MOST", "pieces"]

LEAST, AVERAGE, MOST = 64 * 1024, 256 * 1024, 1024 * 1024
READ = 4 * MOST
WINDOW = 8
_MIX = np.uint64(0x9E3779B97F4A7C15)
_RARE = np.uint64(2**64 // (AVERAGE - LEAST))


def pieces(file: BinaryIO) -> Iterator[memoryview]:
    """The file in chunks of 64 KiB to 1 MiB, cut behind 8 bytes whose hash is rare; a few MiB in memory at a time.

    Examples
    --------
    >>> import io
    >>> held = np.random.default_rng(0).bytes(2_000_000)
    >>> one = [bytes(p) for p in pieces(io.BytesIO(held))]
    >>> other = [bytes(p) for p in pieces(io.BytesIO(b"more" + held))]
    >>> b"".join(one) == held, one[1:] == other[1:]
    (True, True)
    """
    left = b""
    while True:
        block = file.read(READ)
        held = left + block if left else block
        last = len(block) < READ
        view, start = memoryview(held), 0
        candidates = _candidates(held)
        while len(held) - start > (0 if last else MOST):
            place = int(np.searchsorted(candidates, start + LEAST))
            following = int(candidates[place]) if place < len(candidates) else len(held)
            stop = min(following, start + MOST, len(held))
            yield view[start:stop]
            start = stop
        left = held[start:]
        if last:
            return


def _candidates(held: bytes) -> np.ndarray[Any, Any]:
    """Where a cut may be: behind each 8 bytes whose hash is rare."""
    if len(held) <= LEAST:
        return np.zeros(0, np.int64)
    letters = np.frombuffer(held, np.uint8)
    words = np.lib.stride_tricks.as_strided(
        np.frombuffer(letters[:WINDOW], "<u8"), shape=(len(held) - WINDOW + 1,), strides=(1,), writeable=False
    )
    found: np.ndarray[Any, Any] = np.flatnonzero(words * _MIX < _RARE) + WINDOW
    return found
