"""Supervisor: starts model servers, finds them again, and brings back those that died; runs inside the service."""

from __future__ import annotations

import json
import logging
import os
import select
import shutil
import socket
import subprocess
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.client import HTTPConnection, HTTPException
from pathlib import Path

from ..domain.context import now_ms
from ..domain.deployment import Deployment
from ..errors import Conflict, InvalidArgument, MLOpsError, NotReady
from ..settings import child_environment
from .deployment_folder import DeploymentFolder, StoredDeployment
from .inference_log import count
from .process import Process, reap

__all__ = ["Supervisor"]

log = logging.getLogger("jupyter_mlops.service")

START_SECONDS = 300.0  # loading a large model from a slow disk takes its time; progress is told meanwhile
END_SECONDS = 35.0  # a little more than a server takes at most to finish what it has begun
QUICK_MS = 30_000  # who dies sooner after its start is counted
QUICK_DEATHS = 5
STEADY_MS = 60_000
LONGEST_LOG = 5_000_000


class Supervisor:
    """Keeps one workspace's model servers.

    Parameters
    ----------
    root
        The project folder.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.home = root / ".mlops"
        self._locks: defaultdict[str, threading.RLock] = defaultdict(threading.RLock)
        self._children: set[int] = set()

    def folders(self) -> list[DeploymentFolder]:
        """Every deployment's folder, by name."""
        folder = self.home / "deployments"
        return [DeploymentFolder(path) for path in sorted(folder.iterdir())] if folder.is_dir() else []

    @contextmanager
    def changing(self, name: str, *, wait: bool = True) -> Iterator[bool]:
        """Hold a deployment while it is changed; gives False where it is being changed and nobody wants to wait."""
        held = self._locks[name].acquire(blocking=wait)
        try:
            yield held
        finally:
            if held:
                self._locks[name].release()

    def start(
        self, stored: StoredDeployment, model: Path, *, keep_port: bool, progress: Callable[[str], None]
    ) -> StoredDeployment:
        """Start a new generation and wait until it answers; nothing is left of one that does not come up.

        Parameters
        ----------
        stored
            What is to run; port 0 for any that is free.
        model
            The model's files, which are copied.
        keep_port
            Whether the port is this deployment's already: the new server then joins the old one on it.

        Raises
        ------
        Conflict
            The port is in use.
        NotReady
            The server did not come up; with the last it said.
        """
        folder = DeploymentFolder.of(self.home, stored.name)
        listener = bind(stored.host, stored.port, shared=keep_port)
        stored = replace(stored, port=listener.getsockname()[1], state="running", spawned_ms=now_ms())
        place = folder.generation(stored.generation)
        server: Process | None = None
        try:
            with listener:
                shutil.rmtree(place, ignore_errors=True)
                for made in (folder.path.parent, folder.path, place.parent, place):
                    made.mkdir(mode=0o700, exist_ok=True)
                shutil.copytree(model, place / "model")
                settings = {"model": stored.model, "allow_pickle": stored.allow_pickle, "root": str(self.root)}
                (place / "serving.json").write_text(json.dumps(settings))
                folder.token(make=True)
                log_size = folder.server_log.stat().st_size if folder.server_log.exists() else 0
                reading, writing = os.pipe()
                try:
                    server = self._spawn(folder, stored, listener, writing)
                finally:
                    os.close(writing)
                self._await(server, reading, folder, log_size, progress)
            if not answers(stored):
                raise NotReady(f"the server of {stored.name} started and does not answer at {stored.url}.")
            folder.write(stored)
        except BaseException:
            if server is not None:
                server.end(2.0)
            shutil.rmtree(place, ignore_errors=True)
            now = folder.read()
            if now is None or not now.wanted:
                folder.remove_unused()
            raise
        self._end_others(folder, stored.generation)
        return stored

    def stop(self, folder: DeploymentFolder, stored: StoredDeployment) -> None:
        """Take a deployment down; its inference log stays. Asked again it goes on where it was cut off."""
        folder.write(replace(stored, state="stopped", error=""))
        self._end_others(folder, "")
        folder.remove_unused()

    def check(self, folder: DeploymentFolder) -> tuple[StoredDeployment | None, str]:
        """One look after one deployment: bring its server back if it died.

        Returns
        -------
        tuple
            The deployment as it is now, None if there is none; and what changed: ``died``, ``came back``, ``failed``.
        """
        stored = folder.read()
        if stored is None or not stored.wanted:
            if folder.processes() or (folder.path / "generations").exists():
                self._end_others(folder, "")  # a try that the service did not live to see come up, or down
                folder.remove_unused()
            return stored, ""
        self._end_others(folder, stored.generation)
        alive = next(iter(folder.processes()), None)
        if alive is not None:
            return self._check_living(folder, stored, alive)
        if stored.spawned_ms:
            return self._note_death(folder, stored, folder.last_lines(lines=1))
        if now_ms() >= stored.next_start_ms:
            again = replace(stored, spawned_ms=now_ms(), restarts=stored.restarts + 1)
            folder.write(again)
            try:
                with bind(stored.host, stored.port) as listener:
                    self._spawn(folder, again, listener, None)
            except (MLOpsError, OSError) as error:
                return self._note_death(folder, again, str(error))
        return stored, ""

    def look(self, stored: StoredDeployment) -> Deployment:
        """A deployment as it is at this moment: whether its process lives is looked up now."""
        folder = DeploymentFolder.of(self.home, stored.name)
        processes = folder.processes() if stored.wanted else {}
        alive = next((p for p, generation in processes.items() if generation == stored.generation), None)
        state = "restarting" if stored.state == "running" and alive is None else stored.state
        return Deployment(
            name=stored.name,
            model=stored.model,
            state=state,
            url=stored.url,
            asked=stored.asked,
            pid=None if alive is None else alive.pid,
            started_ms=stored.started_ms,
            restarts=stored.restarts,
            predictions=count(folder.log),
            python=stored.python,
            token_file=str(folder.token_file) if stored.state != "stopped" else "",
            log=str(folder.log),
            error=stored.error,
        )

    def reap(self) -> None:
        """Take note of the servers of ours that have ended."""
        for pid in list(self._children):
            reap(pid)
            if Process.of(pid) is None:
                self._children.discard(pid)

    def _check_living(
        self, folder: DeploymentFolder, stored: StoredDeployment, alive: Process
    ) -> tuple[StoredDeployment, str]:
        age = now_ms() - stored.spawned_ms
        if stored.state == "running":
            if stored.quick_deaths and age > STEADY_MS:
                stored = replace(stored, quick_deaths=0)
                folder.write(stored)
            return stored, ""
        if answers(stored):
            stored = replace(stored, state="running", error="")
            folder.write(stored)
            return stored, "came back"
        if age > START_SECONDS * 1000:
            alive.end(2.0)
        return stored, ""

    def _note_death(self, folder: DeploymentFolder, stored: StoredDeployment, why: str) -> tuple[StoredDeployment, str]:
        quick = now_ms() - stored.spawned_ms < QUICK_MS
        deaths = stored.quick_deaths + 1 if quick else 1
        failed = deaths >= QUICK_DEATHS
        wait = 0 if deaths == 1 else 1000 * 2 ** (deaths - 2)
        reason = f"its server ended{f': {why}' if why else ''}"
        stored = replace(
            stored,
            state="failed" if failed else "restarting",
            error=f"{deaths} times in a row {reason}" if failed else reason,
            spawned_ms=0,
            quick_deaths=deaths,
            next_start_ms=now_ms() + wait,
        )
        folder.write(stored)
        return stored, "failed" if failed else "died"

    def _spawn(
        self, folder: DeploymentFolder, stored: StoredDeployment, listener: socket.socket, progress: int | None
    ) -> Process:
        """Start a server process that outlives this one, and write it down."""
        command = [stored.python, "-P", "-m", "jupyter_mlops.serving.server", str(folder.path)]
        command += ["--generation", stored.generation, "--socket", str(listener.fileno())]
        handed = [listener.fileno()]
        if progress is not None:
            command += ["--progress", str(progress)]
            handed.append(progress)
        if folder.server_log.exists() and folder.server_log.stat().st_size > LONGEST_LOG:
            folder.server_log.replace(folder.server_log.with_suffix(".log.1"))
        descriptor = os.open(folder.server_log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            child = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=descriptor,
                stderr=descriptor,
                cwd=self.root,
                # Requests are many and small: threads inside one prediction cost more than they give.
                env={"OMP_NUM_THREADS": "1", **child_environment()},
                pass_fds=handed,
                start_new_session=True,
            )
        except OSError as error:
            raise InvalidArgument(
                f"the interpreter {stored.python} cannot be started: {error.strerror}.",
                hint="Deploy again from a kernel whose environment is there.",
            ) from error
        finally:
            os.close(descriptor)
        # The supervisor waits for its children by number (`reap`); the object would do it again when it is collected.
        child.returncode = 0
        self._children.add(child.pid)
        server = Process.of(child.pid) or Process(child.pid, "ended")
        folder.write_processes({**folder.processes(), server: stored.generation})
        return server

    def _await(
        self, server: Process, reading: int, folder: DeploymentFolder, log_size: int, progress: Callable[[str], None]
    ) -> None:
        """Pass the server's progress on until it is ready."""
        deadline = time.monotonic() + START_SECONDS
        waiting, refused = b"", ""
        try:
            while time.monotonic() < deadline:
                if not select.select([reading], [], [], 1.0)[0]:
                    continue
                got = os.read(reading, 4096)
                if not got:
                    break
                *lines, waiting = (waiting + got).split(b"\n")
                for line in (raw.decode(errors="replace") for raw in lines):
                    if line == "ready":
                        return
                    if line.startswith("error "):
                        refused = line.removeprefix("error ")
                    else:
                        progress(line)
        finally:
            os.close(reading)
        if refused:
            raise NotReady(f"the model server did not start: {refused}", hint="Nothing was deployed.")
        if server.alive():
            raise NotReady(
                f"the model server was not ready within {START_SECONDS:.0f} s.", hint="Nothing was deployed."
            )
        said = folder.last_lines(log_size) or "nothing"
        raise NotReady(
            f"the model server ended before it was ready. The last it said: {said}", hint="Nothing was deployed."
        )

    def _end_others(self, folder: DeploymentFolder, generation: str) -> None:
        """End every server process but this generation's, and remove what those others ran on."""
        processes = folder.processes()
        others = [process for process, of in processes.items() if of != generation]
        threads = [threading.Thread(target=process.end, args=(END_SECONDS,)) for process in others]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if others:
            folder.write_processes({p: of for p, of in processes.items() if of == generation})
        folder.clean(generation)


def bind(host: str, port: int, *, shared: bool = False) -> socket.socket:
    """A socket bound to the port, or to any free one for 0; a server that inherits it listens.

    A deployment's old and new server meet on one port while one replaces the other, so the port is bound as one that
    can be shared; that it is free otherwise is found by binding it as one that cannot.

    Raises
    ------
    Conflict
        Another program has the port.
    """
    if port and not shared:
        with socket.socket(socket.AF_INET) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            _bind(probe, host, port)
    listener = socket.socket(socket.AF_INET)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        _bind(listener, host, port)
    except BaseException:
        listener.close()
        raise
    return listener


def _bind(listener: socket.socket, host: str, port: int) -> None:
    try:
        listener.bind((host, port))
    except PermissionError as error:
        raise InvalidArgument(f"port {port} needs the rights of root.", hint="Choose one from 1024 on.") from error
    except OSError as error:
        raise Conflict(
            f"port {port} is in use by another program.",
            hint="Choose another with --port, or leave it out for a free one.",
        ) from error


def answers(stored: StoredDeployment) -> bool:
    """Whether a server answers ``/ping`` at the deployment's address."""
    connection = HTTPConnection(stored.host, stored.port, timeout=2.0)
    try:
        connection.request("GET", "/ping")
        return connection.getresponse().status == 200
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()
