"""Supervisor: starts model servers, finds them again, and brings back those that died; runs inside the service."""

from __future__ import annotations

import json
import logging
import os
import shutil
import socket
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from ..domain.context import now_ms
from ..domain.deployment import Deployment
from ..errors import MLOpsError, NotReady
from .builders import Builders
from .deployment_folder import DeploymentFolder, StoredDeployment, listening_of
from .inference_log import count
from .listening import answers, bind, orders_of, place_of
from .liveness import PROBE_SECONDS, Liveness, activity_of
from .log_keeping import not_logged
from .metrics import read_counters
from .orders import WORKERS, WorkerState, crew_beat, crew_replaced, read_workers
from .process import Process, reap
from .starting import START_SECONDS, await_ready, start_server
from .status import parent_of, release_of, turned_away, versions_of, worker_of

__all__ = ["Supervisor"]

log = logging.getLogger("jupyter_mlops.service")

END_SECONDS = 35.0  # a little more than a server takes at most to finish what it has begun
QUICK_MS = 30_000  # who dies sooner after its start is counted
QUICK_DEATHS = 5
STEADY_MS = 60_000
LONGEST_WAIT_MS = 60_000
LOOK_SECONDS = 0.2
LATE_SECONDS = 1.0  # who does not follow for so long is looked at: it may hang
LATE_PROBE_SECONDS = 0.5
LOOPBACK = "127.0.0.1"


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
        self.plans = self.home / "plans"
        self._locks: defaultdict[str, threading.RLock] = defaultdict(threading.RLock)
        self.builders = Builders(root, self.plans)
        self._children: set[int] = set()
        self._listeners: dict[str, socket.socket] = {}
        self._liveness = Liveness(activity_of)
        self._beats: dict[str, tuple[int, int]] = {}

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
        earlier = self._listeners.get(stored.name)
        listener = self._bound(stored, keep_port=keep_port)
        stored = replace(stored, port=listener.getsockname()[1], state="running", spawned_ms=now_ms())
        if stored.grpc_port >= 0:
            stored = replace(stored, grpc_port=self._grpc_port(folder, stored))
        place = folder.generation(stored.generation)
        server: Process | None = None
        try:
            shutil.rmtree(place, ignore_errors=True)
            for made in (folder.path.parent, folder.path, place.parent, place):
                made.mkdir(mode=0o700, exist_ok=True)
            shutil.copytree(model, place / "model")
            (place / "serving.json").write_text(self._settings(stored.model, stored))
            orders_of(stored).write(place)
            folder.token(make=True)
            log_size = folder.server_log.stat().st_size if folder.server_log.exists() else 0
            reading, writing = os.pipe()
            try:
                server = self._spawn(folder, stored, listener, writing)
            finally:
                os.close(writing)
            await_ready(server, reading, folder, log_size, progress)
            if not answers(stored):
                raise NotReady(f"the server of {stored.name} started and does not answer at {stored.url}.")
            folder.write(stored)
        except BaseException:
            if server is not None:
                server.end(2.0)
            if listener is not earlier:
                listener.close()
            shutil.rmtree(place, ignore_errors=True)
            now = folder.read()
            if now is None or not now.wanted:
                folder.remove_unused()
            raise
        self._listeners[stored.name] = listener
        self._end_others(folder, stored.generation)
        if earlier is not None and earlier is not listener:
            earlier.close()
        return stored

    def add_version(self, stored: StoredDeployment, model: str, files: Path) -> None:
        """Lay a version's files beside the others of the generation, whole or not at all."""
        place = DeploymentFolder.of(self.home, stored.name).generation(stored.generation) / place_of(stored, model)
        if (place / "serving.json").exists():
            return
        staged = place.with_name(f".{place.name}.{os.getpid()}")
        shutil.rmtree(staged, ignore_errors=True)
        staged.mkdir(mode=0o700, parents=True)
        shutil.copytree(files, staged / "model")
        (staged / "serving.json").write_text(self._settings(model, stored))
        staged.replace(place)

    def remove_versions(self, stored: StoredDeployment) -> None:
        """Remove the files of versions that take no part in the deployment any more."""
        slots = DeploymentFolder.of(self.home, stored.name).generation(stored.generation) / "slots"
        for place in slots.iterdir() if slots.is_dir() else ():
            if stored.traffic.of_model(place.name) is None:
                shutil.rmtree(place, ignore_errors=True)

    def _settings(self, model: str, stored: StoredDeployment) -> str:
        told = {"model": model, "allow_pickle": stored.allow_pickle, "root": str(self.root), "plans": str(self.plans)}
        held = stored.contract.to_dict() if stored.contract is not None else None
        return json.dumps({**told, "listening": listening_of(stored), "contract": held})

    def order(self, stored: StoredDeployment, *, patience: float) -> dict[int, WorkerState]:
        """Tell the workers what `stored` says, and wait until every living one follows it; one that hangs is ended.

        Where none lives they are brought back meanwhile: nobody else looks after a deployment that is being changed.

        Raises
        ------
        NotReady
            One does not follow in time, or cannot load a version; what it says is in the message.
        """
        folder = DeploymentFolder.of(self.home, stored.name)
        generation = folder.generation(stored.generation)
        orders_of(stored).write(generation)
        began = looked = time.monotonic()
        while True:
            states = self._workers(folder, stored)
            if not states and time.monotonic() > looked + LOOK_SECONDS:
                now, _ = self.check(folder)
                if now is None or not now.wanted:
                    why = f"has failed: {now.error}" if now is not None else "is not there any more"
                    raise NotReady(f"{stored.name} {why}.", hint=f"Deploy again: `%mlops deploy {stored.asked}`.")
                orders_of(stored).write(generation)  # who starts was told what is written down
                looked = time.monotonic()
            living = set(states)
            failed = {
                m: why for state in states.values() if state.number == stored.number for m, why in state.failed.items()
            }
            if failed:
                told = "; ".join(f"{model}: {why}" for model, why in failed.items())
                raise NotReady(f"{stored.name} cannot load {told}.", hint="The traffic is as it was.")
            if states and living == {pid for pid, state in states.items() if state.number >= stored.number}:
                return states
            late = {pid: state for pid, state in states.items() if state.number < stored.number}
            if time.monotonic() > began + patience:
                raise NotReady(
                    f"{len(late) or 'all'} of the servers of {stored.name} do not follow within {patience:.0f} s.",
                    hint="`%mlops deployments` shows how it is; they follow as soon as they can.",
                )
            if late and time.monotonic() > began + LATE_SECONDS:
                self._end_hung(stored, late, LATE_PROBE_SECONDS)
            time.sleep(0.01)

    def _workers(self, folder: DeploymentFolder, stored: StoredDeployment) -> dict[int, WorkerState]:
        """The living processes that answer, and what each tells; the one that only watches over them is not among them."""
        servers = [p.pid for p, of in folder.processes().items() if of == stored.generation]
        told = read_workers(folder.generation(stored.generation))
        return {pid: state for pid, state in told.items() if pid in servers or parent_of(pid) in servers}

    def _bound(self, stored: StoredDeployment, *, keep_port: bool) -> socket.socket:
        """The deployment's socket; the one that is held already is used again, so that nothing waiting in it is lost."""
        held = self._listeners.get(stored.name)
        if held is not None and keep_port and held.getsockname()[1] == stored.port:
            return held
        return bind(stored.host, stored.port, shared=keep_port)

    def _grpc_port(self, folder: DeploymentFolder, stored: StoredDeployment) -> int:
        """The port for gRPC, found free or had already; the server's processes bind it themselves, each for its own."""
        before = folder.read()
        had = before is not None and before.wanted and before.grpc_port == stored.grpc_port > 0
        with bind(stored.host, stored.grpc_port, shared=had) as probe:
            return int(probe.getsockname()[1])

    def stop(self, folder: DeploymentFolder, stored: StoredDeployment) -> None:
        """Take a deployment down; its inference log stays. Asked again it goes on where it was cut off."""
        folder.write(replace(stored, state="stopped", error=""))
        self._end_others(folder, "")
        self._let_go(stored.name)
        folder.remove_unused()

    def _let_go(self, name: str) -> None:
        held = self._listeners.pop(name, None)
        if held is not None:
            held.close()

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
        if alive is None:
            return self._bring_back(folder, stored)
        if stored.state != "running":
            if answers(stored):
                stored = replace(stored, state="running", error="")
                folder.write(stored)
                return stored, "came back"
            if now_ms() - stored.spawned_ms > START_SECONDS * 1000:
                alive.end(2.0)
            return stored, ""
        if stored.quick_deaths and now_ms() - stored.spawned_ms > STEADY_MS:
            stored = replace(stored, quick_deaths=0)
            folder.write(stored)
        self._end_hung(stored, self._workers(folder, stored), PROBE_SECONDS)
        if self._crew_hangs(stored.name, alive.pid, crew_beat(folder.generation(stored.generation))):
            log.warning("process %s of %s does not watch over its workers; it is ended", alive.pid, stored.name)
            alive.end(0.5)
            return self._note_death(folder, stored, "the process that watches over its workers hung")
        return stored, ""

    def _bring_back(self, folder: DeploymentFolder, stored: StoredDeployment) -> tuple[StoredDeployment, str]:
        """Note that the server has died, and start another when it is time."""
        if stored.spawned_ms:
            return self._note_death(folder, stored, folder.last_lines(lines=1))
        if now_ms() < stored.next_start_ms:
            return stored, ""
        again = replace(stored, spawned_ms=now_ms(), restarts=stored.restarts + 1)
        folder.write(again)
        try:
            orders_of(again).write(folder.generation(again.generation))
            self._listeners[again.name] = self._bound(again, keep_port=again.name in self._listeners)
            self._spawn(folder, again, self._listeners[again.name], None)
        except (MLOpsError, OSError) as error:
            return self._note_death(folder, again, str(error))
        return again, ""

    def _end_hung(self, stored: StoredDeployment, workers: dict[int, WorkerState], patience: float) -> None:
        """End the workers that do not answer their own ``/health`` and hang; they are then brought back."""
        for pid, state in workers.items():
            well = answers(replace(stored, host=LOOPBACK, port=state.port), path="/health", patience=patience)
            if self._liveness.hangs(pid, answered=well):
                log.warning("process %s of %s does not answer; it is ended", pid, stored.name)
                process = Process.of(pid)
                if process is not None:
                    process.end(0.5)

    def _crew_hangs(self, name: str, pid: int, beat: int | None) -> bool:
        """Whether the process that watches over the workers has not told of itself for some looks, and does nothing."""
        if beat is None:
            return False
        heard = self._beats.get(name) != (pid, beat)
        self._beats[name] = pid, beat
        return self._liveness.hangs(pid, answered=heard)

    def look(self, stored: StoredDeployment) -> Deployment:
        """A deployment as it is at this moment: whether its process lives is looked up now."""
        folder = DeploymentFolder.of(self.home, stored.name)
        processes = folder.processes() if stored.wanted else {}
        alive = next((p for p, generation in processes.items() if generation == stored.generation), None)
        state = "restarting" if stored.state == "running" and alive is None else stored.state
        generation = folder.generation(stored.generation)
        counted = list(read_counters(generation / WORKERS))
        states = self._workers(folder, stored) if alive is not None else {}
        if state == "restarting" and states:  # it is back, and nobody has looked since
            state = "running"
        if state == "running" and not states:  # who brings the others back lives, and no other
            state = "restarting"
        return Deployment(
            name=stored.name,
            model=stored.model,
            state=state,
            url=stored.url,
            asked=stored.asked,
            pid=None if alive is None else alive.pid,
            started_ms=stored.started_ms,
            restarts=stored.restarts + crew_replaced(generation),
            predictions=count(folder.log),
            python=stored.python,
            token_file=str(folder.token_file) if stored.state != "stopped" else "",
            log=str(folder.log),
            error=stored.error,
            workers=tuple(worker_of(pid, counted, silent=self._liveness.silent(pid)) for pid in sorted(states)),
            traffic=replace(stored.traffic, deployment=stored.name),
            versions=versions_of(stored, list(states.values()), counted),
            turned_away=turned_away(counted),
            not_logged=not_logged(folder.log) + sum(worker.unnoted for worker in counted),
            on_boot=stored.on_boot,
            contract=stored.contract.source if stored.contract is not None else "",
            grpc=stored.grpc if stored.state != "stopped" else "",
            **release_of(list(states.values())),
        )

    def reap(self) -> None:
        """Take note of the servers and builders of ours that have ended."""
        for children in (self._children, self.builders.children):
            for pid in list(children):
                reap(pid)
                if Process.of(pid) is None:
                    children.discard(pid)

    def _note_death(self, folder: DeploymentFolder, stored: StoredDeployment, why: str) -> tuple[StoredDeployment, str]:
        quick = now_ms() - stored.spawned_ms < QUICK_MS
        deaths = stored.quick_deaths + 1 if quick else 1
        failed = deaths >= QUICK_DEATHS
        wait = 0 if deaths == 1 else min(1000 * 2 ** (deaths - 2), LONGEST_WAIT_MS)
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
        if failed:
            self._let_go(stored.name)
        return stored, "failed" if failed else "died"

    def _spawn(
        self, folder: DeploymentFolder, stored: StoredDeployment, listener: socket.socket, progress: int | None
    ) -> Process:
        """Start a server process that outlives this one, and write it down."""
        pid = start_server(self.root, folder, stored, listener, progress)
        self._children.add(pid)
        server = Process.of(pid) or Process(pid, "ended")
        folder.write_processes({**folder.processes(), server: stored.generation})
        return server

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
