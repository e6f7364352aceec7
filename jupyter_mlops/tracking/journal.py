"""Journal: a kernel's own durable, append-only log of what its runs do, which the service drains into the store.

A journal is a folder, ``.mlops/journal/<id>/``::

    owner.json   who writes it: process, its start time, machine, user; locked for as long as the writer lives
    events       the log: preallocated and mapped into memory, so that an event is kept from the moment it is copied
                 in, whatever kills the process, and costs a microsecond
    files/       what events speak of: models, figures, artifacts
    drained.json how far the service has got (written by the service)

A record in the log is its length and CRC-32 (4 bytes each, little-endian) and the payload. Zeros end the log, and the
length is written last: a record that was cut short is not there. Where the disk has no room for more, the log goes on in memory,
which is said once, and is written as soon as there is room. The payload of a metric is packed; every other
event is JSON. The kinds of event, each with the number of its run in the journal:

===========  =================================================================================================
``start``    ``key name source parent started_ms notebook user host``, and where known ``cell again kind``
``metric``   packed: key, value, step, time
``param``    ``key value``
``tag``      ``key value``
``artifact`` ``file`` (in ``files/``), ``path`` (the artifact's folder in the run)
``data``     ``name digest ref role``, and where known ``schema rows``
``model``    ``folder`` (in ``files/``), ``name key digest``
``trust``    ``label``, ``reasons`` by cell
``facts``    ``facts``: what the run took, by name
``note``     ``text``: what could not be recorded
``end``      ``status reason ended_ms``
===========  =================================================================================================
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import mmap
import os
import shutil
import struct
import sys
import threading
import time
import uuid
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple
from zlib import crc32

from ..domain.context import now_ms
from ..errors import Conflict, StoreUnavailable
from .process_start import start_time

__all__ = ["EVENTS", "FILES", "FOLDER", "Event", "Journal", "alive", "count_events", "read_events", "read_owner"]

FOLDER = "journal"
OWNER, EVENTS, FILES = "owner.json", "events", "files"
FIRST_BYTES = 1 << 16
MOST_BYTES = 1 << 23  # by which the log grows at once, at the most
HEADER = struct.Struct("<II")
METRIC = struct.Struct("<cIqqd")  # "m", run, step, milliseconds, value; the key follows
CHUNK = 1 << 20
LARGEST = 1 << 28
MOST_WAITING = 1 << 26  # bytes of the log in memory while the disk has no room
ROOM_SECONDS = 0.5


class Event(NamedTuple):
    """One event as it is read back; ``end`` is the position behind it."""

    kind: str
    run: int
    at_ms: int
    payload: dict[str, Any]
    end: int


class Journal:
    """The writing end of a journal; one process holds it, its threads may share it.

    Parameters
    ----------
    home
        The workspace's ``.mlops``.
    owner
        What to note of the writer: user, machine, notebook.
    """

    def __init__(self, home: Path, owner: dict[str, Any]) -> None:
        self.id = uuid.uuid4().hex[:16]
        self.folder = home / FOLDER / self.id
        self.position = 0
        self._mine = True
        self._lock = threading.Lock()
        self._staged = 0
        self._size = 0
        self._waiting = bytearray()  # the log from `position` minus its length on, while the disk has no room for it
        making = self.folder.with_name(f".{self.id}")
        try:
            (making / FILES).mkdir(parents=True)
            self._owner_file = (making / OWNER).open("x")
            locked = True
            try:
                fcntl.flock(self._owner_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:  # a file system without locks: the process number has to do
                locked = False
            told = {**owner, "pid": os.getpid(), "started": start_time(os.getpid()), "space": _space()}
            json.dump({**told, "locked": locked, "created_ms": now_ms()}, self._owner_file)
            self._owner_file.flush()
            self._file = os.open(making / EVENTS, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            self._grow(FIRST_BYTES)
            making.rename(self.folder)
        except OSError as error:
            shutil.rmtree(making, ignore_errors=True)
            raise _cannot(home, error) from error
        _writers.add(self)

    @property
    def mine(self) -> bool:
        """Whether this process may write: False in a forked child and after `close`."""
        return self._mine

    @property
    def waiting(self) -> bool:
        """Whether a part of the log is in memory only, because the disk has no room."""
        return bool(self._waiting)

    def metric(self, run: int, key: bytes, value: float, step: int, at_ms: int) -> None:
        """Append one metric value."""
        self._append(METRIC.pack(b"m", run, step, at_ms, value) + key)

    def event(self, kind: str, run: int, **payload: Any) -> int:
        """Append an event of another kind; return the position behind it."""
        told = [kind, run, now_ms(), payload]
        return self._append(json.dumps(told, separators=(",", ":"), default=str).encode())

    def stage(self, name: str) -> Path:
        """A path in ``files/`` that nothing has yet, ending in `name`."""
        with self._lock:
            self._staged += 1
            number = self._staged
        place = self.folder / FILES / str(number)
        try:
            place.mkdir()
        except OSError as error:
            raise _cannot(self.folder, error) from error
        return place / name

    def close(self) -> None:
        """Write no more; the service removes the journal when it has drained it."""
        with self._lock:
            if self._mine:
                self._write_waiting()
                if self._waiting:
                    sys.stderr.write(f"The disk of {self.folder} had no room until the end: what waited is lost.\n")
                self._mine = False
                self._map.close()
                os.close(self._file)
                self._owner_file.close()

    def _append(self, payload: bytes) -> int:
        size = len(payload)
        with self._lock:
            start = self.position
            body = start + 8
            end = body + size
            if not self._mine:
                raise Conflict(
                    "this process does not write the journal: it was forked from the one that does, or that was closed.",
                    hint="Log from the notebook's own process.",
                )
            header = HEADER.pack(size, crc32(payload))
            if self._waiting or (end + 8 > self._size and not self._has_grown(end + 8)):
                self._wait(header + payload)
            else:
                self._map[body:end] = payload
                self._map[start:body] = header
            self.position = end
        return end

    def _has_grown(self, needed: int) -> bool:
        try:
            self._grow(needed)
        except OSError as error:
            self._why = error
            return False
        return True

    def _wait(self, record: bytes) -> None:
        """Keep a record in memory until there is room: a full disk must not end what has been computing for hours."""
        if len(self._waiting) + len(record) > MOST_WAITING:
            raise _cannot(self.folder, self._why)
        first = not self._waiting
        self._waiting += record
        if first:
            why = self._why.strerror or self._why
            sys.stderr.write(
                f"Nothing more can be written in {self.folder}: {why}. What is logged waits in memory until there is room.\n"
            )
            threading.Thread(target=self._look_for_room, name="mlops-room", daemon=True).start()

    def _look_for_room(self) -> None:
        while self._mine and self._waiting:
            time.sleep(ROOM_SECONDS)
            with self._lock:
                self._write_waiting()

    def _write_waiting(self) -> None:
        if self._mine and self._waiting and self._has_grown(self.position + 8):
            start = self.position - len(self._waiting)
            self._map[start + 8 : self.position] = self._waiting[8:]
            self._map[start : start + 8] = self._waiting[:8]  # last, as of every record: until then none of it is there
            self._waiting.clear()

    def _grow(self, needed: int) -> None:
        size = self._size
        while size < needed:
            size += max(FIRST_BYTES, min(size, MOST_BYTES))
        _reserve(self._file, self._size, size - self._size)
        self._map, self._size = mmap.mmap(self._file, size), size


_writers: weakref.WeakSet[Journal] = weakref.WeakSet()


def _forked() -> None:
    """A forked child shares the map with its parent, so it must not write."""
    for journal in _writers:
        journal._mine = False  # noqa: SLF001 this module's own class
        journal._lock = threading.Lock()  # noqa: SLF001 another thread may have held it


os.register_at_fork(after_in_child=_forked)


def read_events(folder: Path, position: int, limit: int) -> list[Event]:
    """The events of a journal from `position` on, at most `limit`; a record that is not whole ends them."""
    return [_read(payload, end) for payload, end in _records(folder, position, limit)]


def count_events(folder: Path, position: int) -> int:
    """How many events lie behind `position`."""
    return sum(1 for _ in _records(folder, position, 1 << 62))


def read_owner(folder: Path) -> dict[str, Any]:
    """What a journal says of its writer."""
    try:
        told: dict[str, Any] = json.loads((folder / OWNER).read_text())
    except (OSError, ValueError):
        return {}
    return told


def alive(folder: Path) -> bool:
    """Whether a journal's writer may still write.

    It holds a lock for as long as it lives. A child that it forked may hold the lock on; where the writer's process can
    be seen from here, that decides.
    """
    owner = read_owner(folder)
    if not owner:
        return False
    if owner.get("space") == _space() and start_time(int(owner["pid"])) != owner.get("started"):
        return False
    if not owner.get("locked"):
        return bool(owner.get("space") == _space())
    with contextlib.suppress(OSError), (folder / OWNER).open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def _records(folder: Path, position: int, limit: int) -> Iterator[tuple[bytes, int]]:
    try:
        file = os.open(folder / EVENTS, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        held, offset = b"", 0
        while limit > 0:
            if len(held) - offset < 8:
                held, offset = os.pread(file, CHUNK, position), 0
            if len(held) < 8:
                return
            size, check = HEADER.unpack_from(held, offset)
            if not 0 < size < LARGEST:
                return
            if len(held) - offset < 8 + size:
                held, offset = os.pread(file, max(CHUNK, 8 + size), position), 0
            payload = held[offset + 8 : offset + 8 + size]
            if len(payload) < size or crc32(payload) != check:
                return
            offset += 8 + size
            position += 8 + size
            limit -= 1
            yield payload, position
    finally:
        os.close(file)


def _read(payload: bytes, end: int) -> Event:
    if payload[:1] == b"m":
        _, run, step, at_ms, value = METRIC.unpack_from(payload)
        key = payload[METRIC.size :].decode()
        return Event("metric", run, at_ms, {"key": key, "value": value, "step": step}, end)
    kind, run, at_ms, told = json.loads(payload)
    return Event(kind, run, at_ms, told, end)


def _reserve(file: int, start: int, size: int) -> None:
    """Make room on the disk now: a map over a hole would end the process on a full disk."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file, start, size)
    else:
        os.pwrite(file, bytes(size), start)


def _space() -> str:
    """The space in which a process number means one process: this boot of this machine, or this container of it."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return f"{os.uname().nodename} {int(time.time() - time.monotonic()) // 600}"


def _cannot(folder: Path, error: OSError) -> StoreUnavailable:
    return StoreUnavailable(
        f"nothing can be recorded in {folder}: {error.strerror or error}.",
        hint="Make room there or mend its rights, or choose another folder with MLOPS_WORKSPACE.",
    )
