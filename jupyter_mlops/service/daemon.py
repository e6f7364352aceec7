"""The daemon: one process a workspace that alone opens the store, carries out operations and keeps its duties."""

from __future__ import annotations

import contextlib
import fcntl
import inspect
import logging
import os
import socket
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

from ..audit.operations import trail_path
from ..audit.trail import Trail
from ..domain.operation import Duty, Operation
from ..domain.workspace import Actor, Workspace
from ..errors import InvalidArgument, ServiceOutdated, StoreUnavailable
from ..settings import Settings, remember_store, remembered_store
from ..store.host import Host
from ..store.store import Store
from .client import LOCK, STOPPED, reraise
from .feed import Feed
from .release import RELEASE, state_of_files
from .wire import receive, send, socket_path

__all__ = ["Daemon"]

log = logging.getLogger("jupyter_mlops.service")

GONE_SECONDS = 5.0  # a folder that is away for less was a moment's: a mount that came back
RETRY_STORE_SECONDS = 5.0


class Daemon:
    """One workspace's background process.

    Parameters
    ----------
    settings
        Where the workspace is and how long to stay with nothing to do.
    operations, duties
        What it can be asked to do, and what it does unasked.
    """

    def __init__(self, settings: Settings, operations: dict[str, Operation], duties: tuple[Duty, ...]) -> None:
        self.settings = settings
        self.operations = operations
        self.duties = duties
        self.stopping = threading.Event()
        self._files = state_of_files()
        self.feed = Feed()
        self._opening = threading.Lock()
        self._store: Store | None = None
        self._failed: tuple[float, StoreUnavailable] | None = None
        self._active = 0
        self._activity = threading.Lock()
        self._last_active = time.monotonic()
        self._lock_file: IO[bytes] | None = None
        self._served_at = time.monotonic()
        self.host = Host(
            settings=settings,
            workspace=settings.workspace(),
            open_store=self._open_store,
            changed=self.feed.changed,
            stopping=self.stopping,
            audit=self._note,
            shared={"feed": self.feed, "replace_store": self._replace_store},
        )

    def run(self, asked_at: float) -> bool:
        """Serve until stopped or idle.

        Parameters
        ----------
        asked_at
            When this process was asked for, in seconds since 1970.

        Returns
        -------
        bool
            False when another process serves this workspace already, or has been told to stop since.
        """
        home = self.host.workspace.home
        home.mkdir(parents=True, exist_ok=True)
        if not self._take_lock(home / LOCK):
            return False
        stopped = home / STOPPED
        if stopped.exists() and stopped.stat().st_mtime > asked_at:
            return False
        if not remembered_store(self.settings.root):
            remember_store(self.host.workspace)
        self.trail = self.host.shared["trail"] = Trail(trail_path(home))
        path = socket_path(self.settings.root)
        path.unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX)
        before = os.umask(0o177)
        try:
            listener.bind(str(path))
        finally:
            os.umask(before)
        bound = path.stat()
        listener.listen(128)
        listener.settimeout(0.25)
        log.info("process %s serves %s", os.getpid(), self.settings.root)
        threads = [threading.Thread(target=self._keep, args=(duty,), name=duty.name) for duty in self.duties]
        uri = self.host.workspace.tracking_uri
        if uri.startswith("sqlite:///"):
            watch = (uri.removeprefix("sqlite:///"), self.stopping)
            threads.append(threading.Thread(target=self.feed.watch_sqlite, args=watch, daemon=True))
        threads.append(threading.Thread(target=self._open_early, daemon=True))
        for thread in threads:
            thread.start()
        try:
            self._accept(listener)
        finally:
            self.stopping.set()
            listener.close()
            with contextlib.suppress(OSError):
                if os.path.samestat(bound, path.stat()):  # and not the one of who serves the folder's successor
                    path.unlink()
            self._wait_for_quiet()
            for thread in threads:
                thread.join(timeout=10)
            log.info("process %s ends", os.getpid())
        return True

    def _take_lock(self, path: Path) -> bool:
        self._lock_file = path.open("ab")
        try:
            fcntl.flock(self._lock_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        self._lock_file.truncate(0)
        # so that a client of another version knows before it asks, and one with another folder for sockets finds it
        self._lock_file.write(f"{RELEASE}\n{socket_path(self.settings.root)}\n".encode())
        self._lock_file.flush()
        return True

    def _accept(self, listener: socket.socket) -> None:
        while not self.stopping.is_set():
            try:
                connection, _ = listener.accept()
            except TimeoutError:
                if self._removed():
                    log.info("%s was removed or replaced", self.host.workspace.home)
                    return
                if self._idle():
                    log.info("nothing to do for %.0f s", self.settings.idle_seconds)
                    return
                continue
            if not self._serves():  # who asks means the folder that is there now, and starts its own service
                log.info("%s was removed or replaced", self.host.workspace.home)
                connection.close()
                return
            connection.settimeout(None)
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _serves(self) -> bool:
        """Whether the workspace's folder is the one that this process was started for: a store that was removed takes in
        nothing of its successor's kernels.
        """
        assert self._lock_file is not None  # noqa: S101 for the type checker; it is taken before anything else
        try:
            serves = os.path.samestat(os.fstat(self._lock_file.fileno()), (self.host.workspace.home / LOCK).stat())
        except OSError:
            serves = False
        if serves:
            self._served_at = time.monotonic()
        return serves

    def _removed(self) -> bool:
        """Whether the folder is gone for good: another one is in its place, or none for some seconds."""
        if self._serves():
            return False
        replaced = (self.host.workspace.home / LOCK).exists()
        return replaced or time.monotonic() - self._served_at > GONE_SECONDS

    def _idle(self) -> bool:
        if self._active or self.feed.waiting or time.monotonic() - self._last_active < self.settings.idle_seconds:
            return False
        for duty in self.duties:
            try:
                if duty.busy(self.host):
                    return False
            except Exception:
                log.exception("the duty %s cannot tell whether it is busy", duty.name)
        return True

    def _wait_for_quiet(self, patience: float = 15.0) -> None:
        deadline = time.monotonic() + patience
        while self._active and time.monotonic() < deadline:
            time.sleep(0.02)

    def _answer(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            for message in receive(connection):
                waiting = message.get("operation") == "workspace.wait"
                with self._activity:
                    self._active += not waiting
                try:
                    send(connection, self._carry_out(message, connection))
                finally:
                    with self._activity:
                        self._active -= not waiting
                        self._last_active = time.monotonic()
                return

    def _carry_out(self, message: dict[str, Any], connection: socket.socket) -> dict[str, Any]:
        try:
            name, arguments = message["operation"], message["arguments"]
            operation = self.operations.get(name)
            if operation is None:
                self._check_files(name)
                raise InvalidArgument.unknown("operation of the service", name, self.operations)
            taken = inspect.signature(operation.function).parameters
            unknown = [argument for argument in arguments if argument not in taken]
            if unknown and not any(parameter.kind is parameter.VAR_KEYWORD for parameter in taken.values()):
                self._check_files(name)
                raise InvalidArgument.unknown(f"argument of {name!r}", unknown[0], list(taken)[1:])
            host = replace(
                self.host,
                actor=Actor.from_dict(message["actor"]),
                request=message["id"],
                progress=lambda line: _tell(connection, line),
            )
            return {"result": self._audited(operation, host, arguments)}
        except Exception as error:
            ours = reraise(error)
            if ours is not error:
                log.exception("operation %s", message.get("operation"))
            return {"error": ours.to_dict()}

    def _check_files(self, operation: str) -> None:
        """Raise where what is asked may be known to the files on disk, which were changed after this process loaded them."""
        if state_of_files() != self._files:
            raise ServiceOutdated(
                f"the service does not know {operation!r} as it was asked: the package has changed since it started.",
                hint="`jupyter mlops service stop` ends it; the next command starts the present one.",
            )

    def _audited(self, operation: Operation, host: Host, arguments: dict[str, Any]) -> Any:
        if not operation.action:
            answer = operation.function(host, **arguments)
            self._sync()
        else:
            earlier = self.trail.earlier(host.request)
            if earlier is not None and earlier.done and earlier.answer is not None:
                return earlier.answer
            target = str(arguments.get(operation.target, ""))
            details = {k: v for k, v in arguments.items() if isinstance(v, (str, int, float, bool)) and v != ""}
            details |= {} if operation.details is None else operation.details(arguments)
            self.trail.begin(host.request, host.actor, operation.action, target, details)
            try:
                answer = operation.function(host, **arguments)
                self._sync()
            except BaseException as error:
                self.trail.end(host.request, "failed", error=str(error))
                raise
            self.trail.end(host.request, "done", answer=answer)
            self.feed.changed("audit")
        for topic in operation.topics:
            self.feed.changed(topic)
        return answer

    def _sync(self) -> None:
        """What an operation has written is on the disk before anybody is told."""
        if self._store is not None:
            self._store.sync()

    def _note(self, key: str, actor: Actor, action: str, target: str, details: dict[str, Any]) -> None:
        earlier = self.trail.earlier(key)
        if earlier is None or not earlier.done:
            self.trail.done(key, actor, action, target, details)
            self.feed.changed("audit")

    def _keep(self, duty: Duty) -> None:
        while not self.stopping.is_set():
            try:
                if self._serves():
                    duty.turn(self.host)
            except StoreUnavailable as error:
                log.warning("the duty %s waits for the store: %s", duty.name, error)
            except Exception:
                log.exception("the duty %s", duty.name)
            self.stopping.wait(duty.every)

    def _open_early(self) -> None:
        with contextlib.suppress(StoreUnavailable):
            self._open_store()

    def _open_store(self) -> Store:
        if self._store is not None:
            return self._store
        with self._opening:
            if self._store is not None:
                return self._store
            if self._failed is not None and time.monotonic() - self._failed[0] < RETRY_STORE_SECONDS:
                raise self._failed[1]
            try:
                self._store = Store.open(self.host.workspace)
            except StoreUnavailable as error:
                self._failed = (time.monotonic(), error)
                raise
            return self._store

    def _replace_store(self, workspace: Workspace, store: Store) -> None:
        with self._opening:
            self.host.workspace = workspace
            self._store, self._failed = store, None


def _tell(connection: socket.socket, line: str) -> None:
    with contextlib.suppress(OSError):  # who asked is gone; the work goes on
        send(connection, {"progress": line})
