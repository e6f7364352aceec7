"""Log tail: the newest frames of a segment, in a file that its writer has in memory and the system keeps.

A frame that is handed to the system by a call of its own costs several times what a copy of it costs. So frames are
copied into the tail, which is memory that belongs to a file: what stands there is kept by the system even if the process
is killed the moment after. When the tail is full all its frames go to the segment's end by one call, and it begins anew.

A tail is a head (magic, turn, length of the segment before the tail's first frame), frames, and zeros. Where a writer
was killed between the two steps frames stand in the segment and in the tail; by the head a reader sees which.
"""

from __future__ import annotations

import errno
import mmap
import os
import struct
from pathlib import Path
from typing import NamedTuple

__all__ = ["TAIL_BYTES", "TAIL_SUFFIX", "Held", "Tail", "held"]

TAIL_BYTES = 256 << 10  # stays in a processor's cache; at some 500 bytes a request it is written every 500 requests
TAIL_SUFFIX = ".tail"
MAGIC = b"mlt1"
HEAD = struct.Struct("<4sIQ")


class Tail:
    """The tail of a segment that is being written; not to be used by several threads at once.

    Parameters
    ----------
    path
        The file, which must not be there yet.
    base
        How long the segment is.
    size
        How many bytes of frames the tail takes.

    Raises
    ------
    OSError
        The disk has no room for it; nothing is left of it.
    """

    def __init__(self, path: Path, base: int, size: int) -> None:
        self.path = path
        self._size = HEAD.size + size
        self._end = HEAD.size
        self._turn = 0
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            # Written, not only made so long: what a full disk has no room for must fail here, not as memory.
            if os.write(descriptor, bytes(self._size)) < self._size:
                raise OSError(errno.ENOSPC, "no space left for the inference log")
            self._memory = mmap.mmap(descriptor, self._size)
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        finally:
            os.close(descriptor)
        self.restart(base)

    def __len__(self) -> int:
        return self._end - HEAD.size

    def put(self, frame: bytes) -> bool:
        """Take in a frame; False where it does not fit any more."""
        end = self._end + len(frame)
        if end > self._size:
            return False
        self._memory[self._end : end] = frame
        self._end = end
        return True

    def frames(self) -> memoryview:
        """All frames, end to end; to be released before the tail is closed."""
        return memoryview(self._memory)[HEAD.size : self._end]

    def restart(self, base: int) -> None:
        """Begin anew, after what stood here has come to the segment's end."""
        self._memory[HEAD.size : self._end] = bytes(len(self))
        self._end = HEAD.size
        self._turn += 1
        HEAD.pack_into(self._memory, 0, MAGIC, self._turn, base)

    def close(self) -> None:
        """Give the memory back; an empty tail is removed, one that could not be written stays for its readers."""
        if not len(self):
            self.path.unlink(missing_ok=True)
        self._memory.close()


class Held(NamedTuple):
    """What stands in a tail: how long the segment is before it, and frames with zeros after them."""

    base: int
    frames: bytes


def held(path: Path) -> Held | None:
    """What the tail of a segment holds, which may be being written; None where there is none."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return None
    try:
        while True:
            found = os.pread(descriptor, os.fstat(descriptor).st_size, 0)
            head = found[: HEAD.size]
            if len(head) < HEAD.size or head[:4] != MAGIC:  # it is being made
                return None
            if os.pread(descriptor, HEAD.size, 0) == head:  # else it has begun anew in between
                return Held(HEAD.unpack(head)[2], found[HEAD.size :])
    finally:
        os.close(descriptor)
