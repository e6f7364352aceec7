"""``python -m jupyter_mlops.serving.server FOLDER``: the model server of one deployment.

Started by the service, which hands over a bound socket and a pipe to tell of progress; started by hand it takes both
from ``deployment.json``. It runs where no Jupyter package is installed.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import json
import logging
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import uvicorn

from ..domain.contract import Contract
from ..domain.deployment import LogRules
from ..errors import MLOpsError, NotFound
from ..tracking.onnx_import import onnxruntime
from .app import App
from .compiled.plan import Plan
from .compiled.proven import await_other, key_of, used
from .contracted import Held
from .crew import CannotStart, Crew, Crowd
from .deployment_folder import DeploymentFolder, listening_of
from .http_server import BACKLOG, GRACE_SECONDS, Server
from .liveness import Gone
from .load import ModelFolder
from .log_segments import LogWriter
from .metrics import Counters
from .model import ServedModel
from .orders import TRAFFIC_FILE, WORKERS, Orders, crew_brought_back, crew_lives, first_orders
from .routing import Slot
from .short_way import protocol_for
from .signature import Signature
from .traffic import Follower, LiveRouter

if TYPE_CHECKING:
    from .protocols.open_inference_grpc import GrpcServer

__all__ = ["main", "serve"]

COMPILE_SECONDS = 120.0

log = logging.getLogger("jupyter_mlops.serving")


@dataclass
class Loaded:
    """A model version that was read from disk.

    Parameters
    ----------
    load
        Gives the model: one that is there already, or, where it is not to be shared between processes, a new one.
    held
        What its requests have to keep, where that is more than its signature.
    """

    files: ModelFolder
    load: Callable[[], ServedModel]
    held: Held | None


class Versions:
    """Model versions read from disk; what was read before a fork is shared by the processes after it.

    Parameters
    ----------
    log_folder
        Where answers are logged.
    say
        Told of progress.
    """

    def __init__(self, log_folder: Path, say: Callable[[str], None]) -> None:
        self._log = log_folder
        self._say = say
        self._loaded: dict[Path, Loaded] = {}

    def only_log(self) -> None:
        """From now on, progress goes to the log alone: whoever started the server waits for it no more."""
        self._say = partial(log.info, "process %s: %s", os.getpid())

    def read(self, place: Path, model_ref: str) -> Loaded:
        """Read the version in a folder; compile it first, if it never was."""
        place = place.resolve()
        if place not in self._loaded:
            self._loaded[place] = self._read(place, model_ref)
        return self._loaded[place]

    def slot(self, place: Path, model_ref: str, rules: LogRules) -> Slot:
        """The version warmed up in this process, with a log of its own.

        Raises
        ------
        MLOpsError
            It cannot predict its own input example.
        """
        loaded = self.read(place, model_ref)
        self._loaded.pop(place.resolve())  # the slot has it; asked again later, the folder may hold another
        model, files = loaded.load(), loaded.files
        example = files.example()
        if example is not None:
            self._say("warming up")
            answer = model.answer(*example)
            if answer.status != 200:
                told = answer.body.decode(errors="replace")
                raise MLOpsError(f"the model cannot predict its own input example: {told}")
        model.held = loaded.held  # only now: a contract may be narrower than what the model was trained on
        writer = LogWriter(self._log, model=model_ref, inputs=files.inputs, classes=model.classes, rules=rules)
        return Slot(model_ref, model, writer, inputs=files.inputs, outputs=files.outputs, files=files)

    def _read(self, place: Path, model_ref: str) -> Loaded:
        settings = json.loads((place / "serving.json").read_text())
        if settings["root"] not in sys.path:
            sys.path.append(settings["root"])  # classes of the project that the model is made of; last, to hide nothing
        self._say(f"loading {model_ref}")
        files = ModelFolder.open(place / "model")
        allowed = bool(settings["allow_pickle"])
        files.check_servable(model_ref, allow_pickle=allowed)
        if not files.native():
            # whatever this is may start threads, which would not survive a fork
            return Loaded(files, lambda: files.load(allow_pickle=allowed), _held(files, settings))
        plans = Path(settings.get("plans") or place / "plans")
        plan = plans / key_of(files)
        if Plan.read(plan) is None:
            with contextlib.suppress(ImportError):
                onnxruntime()  # most plans need it; loaded while another process proves this one
        await_other(plan, COMPILE_SECONDS)
        if Plan.read(plan) is None:
            self._say(f"compiling {model_ref}")
            failed = _compile(files, plans, settings)
            if failed:
                plan = place / "plan"
                Plan("dataframe", failed, method=files.method).write(plan)
        used(plan)
        model = files.load(allow_pickle=allowed, plan=plan)
        why = f": {model.path_reason}" if model.path_reason else ""
        log.info("%s is served by the path %s%s", model_ref, model.path, why)
        return Loaded(files, lambda: model, _held(files, settings))


def _held(files: ModelFolder, settings: dict[str, Any]) -> Held | None:
    """The contract that requests have to keep, where there is one."""
    if not settings.get("contract"):
        return None
    signature = Signature.parse(files.inputs)
    if signature is None or not signature.named:
        return None
    return Held(Contract.from_dict(settings["contract"]), signature)


def _compile(files: ModelFolder, plans: Path, settings: dict[str, Any]) -> str:
    """Find the fastest exact way in a process of its own; why that failed, empty where it did not."""
    command = [sys.executable, "-P", "-m", "jupyter_mlops.serving.compiled.build", str(files.path), str(plans)]
    command += ["--root", settings["root"], *(["--allow-pickle"] if settings["allow_pickle"] else [])]
    # The build's standard error is the server's log.
    # One thread: a hundred small trees asked by several wait for each other at every one of them, for seconds on a busy machine.
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, env=os.environ | {"OMP_NUM_THREADS": "1"}
    )
    try:
        process.wait(COMPILE_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if not process.returncode:
        return ""
    why = "took too long" if process.returncode == -signal.SIGKILL else "failed; the server's log tells why"
    return f"compiling it {why}"


def serve(
    folder: DeploymentFolder, generation: str, listener: socket.socket, say: Callable[[str], None], *, workers: int = 1
) -> None:
    """Load the versions that are to answer, warm them up, and answer on `listener` until told to end.

    Parameters
    ----------
    workers
        How many processes answer. More than one are forked from this one when the models are loaded, so that they share
        their memory; this one then brings back those that die.
    """
    place = folder.generation(generation)
    if not (place / TRAFFIC_FILE).exists():  # started by hand, on one version
        first_orders(json.loads((place / "serving.json").read_text())["model"]).write(place)
    versions = Versions(folder.log, say)
    if workers <= 1:
        _answer(folder, place, versions, listener, lambda: say("ready"))
        return
    orders = Orders.read(place)
    shares, places = ((), {}) if orders is None else (orders.traffic.shares, orders.places)
    for share in shares:
        try:
            versions.read(place / places[share.model], share.model)
        except Exception:
            if share.role == "stable":
                raise
            log.exception("%s cannot be loaded", share.model)  # each process tells it to whoever waits
    gc.collect()
    gc.freeze()

    def work(number: int, ready: Callable[[], None], crowd: Crowd) -> None:
        try:
            _answer(folder, place, versions, listener, ready, crowd, number)
        except MLOpsError as error:
            say(f"error {' '.join(str(error).split())[:2000]}")
            raise CannotStart from error

    gone = Gone(folder.path)

    def beat() -> None:
        crew_lives(place)
        if gone.look():
            raise NotFound(f"{folder.path} is gone, so nothing is to be served.")

    Crew(workers, work, beat, partial(crew_brought_back, place)).run(say)


def _answer(
    folder: DeploymentFolder,
    place: Path,
    versions: Versions,
    listener: socket.socket,
    ready: Callable[[], None],
    crowd: Crowd | None = None,
    number: int = 0,
) -> None:
    """Be one process that answers."""
    counters = Counters(place / WORKERS / f"{os.getpid()}.counts")
    router = LiveRouter(counters, place / WORKERS, folder.path.name)
    app = App(router, token=folder.token())
    told = listening(folder, place)

    def renew_token() -> None:
        with contextlib.suppress(NotFound):
            app.token = folder.token()

    # a port of this process alone: connections to the deployment's own go to any of its processes
    own = socket.socket(socket.AF_INET)
    own.bind(("127.0.0.1", 0))
    follower = Follower(place, router, versions.slot, renew_token, own.getsockname()[1])
    follower.begin()
    versions.only_log()
    gc.collect()
    gc.freeze()  # the model lives as long as the process: no collection need look at it
    config = uvicorn.Config(
        app,
        loop="uvloop",
        http=protocol_for(app),
        ws="none",
        interface="asgi3",
        lifespan="off",
        access_log=False,
        log_config=None,
        server_header=False,
        date_header=False,
        proxy_headers=False,
        backlog=BACKLOG,
        timeout_keep_alive=app.limits.silence,  # type: ignore[arg-type]
        timeout_graceful_shutdown=GRACE_SECONDS,
        **tls_of(told),
    )
    try:
        Server(config, ready, crowd, number, grpc_of(told, app)).run(sockets=[listener, own])
    finally:
        follower.close()
        app.close()


def listening(folder: DeploymentFolder, place: Path) -> dict[str, Any]:
    """How the deployment listens: as its generation says, or where that says nothing (an image) the deployment itself."""
    told: dict[str, Any] = json.loads((place / "serving.json").read_text()).get("listening")
    stored = folder.read()
    return told or ({} if stored is None else listening_of(stored))


def tls_of(told: dict[str, Any]) -> dict[str, Any]:
    """Uvicorn's settings for TLS, where the deployment has a certificate."""
    if not told.get("certificate"):
        return {}
    return {"ssl_certfile": told["certificate"], "ssl_keyfile": told.get("key") or None}


def grpc_of(told: dict[str, Any], app: App) -> GrpcServer | None:
    """What answers over gRPC, where the deployment asks for it; loaded here, after the fork, which its threads would not survive."""
    if told.get("grpc_port", -1) <= 0:
        return None
    from .protocols.open_inference_grpc import GrpcServer

    return GrpcServer(app, told["host"], told["grpc_port"], told.get("certificate", ""), told.get("key", ""))


def main(arguments: list[str] | None = None) -> int:
    """Serve until told to end."""
    parser = argparse.ArgumentParser(prog="python -m jupyter_mlops.serving.server", description=__doc__)
    parser.add_argument("folder", type=Path, help="the deployment's folder")
    parser.add_argument("--generation", default="", help="which try of deploying; by default the one that is to run")
    parser.add_argument("--workers", type=int, default=1, help="how many processes answer")
    parser.add_argument("--socket", type=int, default=-1, help="the number of an inherited, bound socket")
    parser.add_argument("--progress", type=int, default=-1, help="the number of an inherited pipe to tell progress on")
    given = parser.parse_args(arguments)
    os.umask(0o077)
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # there is a process for every core; read when a library is loaded
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    say = _teller(given.progress)
    folder = DeploymentFolder(given.folder.resolve())
    try:
        generation, listener = given.generation, None
        if given.socket >= 0:
            listener = socket.socket(fileno=given.socket)
        else:
            stored = folder.read()
            if stored is None:
                raise NotFound(f"{folder.path} holds no deployment.", hint="Make one with `%mlops deploy`.")
            generation = generation or stored.generation
            listener = socket.socket(socket.AF_INET)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((stored.host, stored.port))
        listener.setblocking(False)
        serve(folder, generation, listener, say, workers=given.workers)
    except BrokenPipeError:
        log.error("whoever started this server has gone before it was ready")  # noqa: TRY400
        return 1
    except Exception as error:
        log.exception("the model server ends")
        reason = " ".join(str(error).split())[:2000]
        with contextlib.suppress(OSError):
            say(f"error {reason if isinstance(error, MLOpsError) else f'{type(error).__name__}: {reason}'}")
        return 1
    return 0


def _teller(descriptor: int) -> Callable[[str], None]:
    """Tells lines of progress to the log, and to whoever waits at the other end of the pipe."""
    pipe: Any = os.fdopen(descriptor, "w", buffering=1) if descriptor >= 0 else None

    def say(line: str) -> None:
        log.info("process %s: %s", os.getpid(), line)
        if pipe is not None and not pipe.closed:
            pipe.write(line + "\n")
            if line == "ready":
                pipe.close()

    return say


if __name__ == "__main__":
    sys.exit(main())
