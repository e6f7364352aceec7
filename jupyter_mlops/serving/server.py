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
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import uvicorn

from ..domain.deployment import LogRules
from ..errors import MLOpsError, NotFound
from .app import App
from .deployment_folder import DeploymentFolder
from .load import ModelFolder
from .log_segments import LogWriter
from .metrics import Counters
from .routing import Slot
from .traffic import TRAFFIC_FILE, WORKERS, Follower, LiveRouter, first_orders

__all__ = ["main", "serve"]

GRACE_SECONDS = 30
BACKLOG = 512

log = logging.getLogger("jupyter_mlops.serving")


class Server(uvicorn.Server):
    """uvicorn, telling when it listens."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, then tell of it."""
        await super().startup(sockets)
        if self.started:
            self._ready()


def load_slot(place: Path, model_ref: str, log_folder: Path, rules: LogRules, say: Callable[[str], None]) -> Slot:
    """Load a version from its folder and warm it up.

    Raises
    ------
    MLOpsError
        It cannot predict its own input example.
    """
    settings = json.loads((place / "serving.json").read_text())
    if settings["root"] not in sys.path:
        sys.path.append(settings["root"])  # classes of the project that the model is made of; last, to hide nothing
    say(f"loading {model_ref}")
    files = ModelFolder.open(place / "model")
    model = files.load(allow_pickle=settings["allow_pickle"])
    example = files.example()
    if example is not None:
        say("warming up")
        answer = model.answer(*example)
        if answer.status != 200:
            raise MLOpsError(f"the model cannot predict its own input example: {answer.body.decode(errors='replace')}")
    classes = tuple(str(label) for label in getattr(model, "classes", ()))
    writer = LogWriter(log_folder, model=model_ref, inputs=files.inputs, classes=classes, rules=rules)
    return Slot(model_ref, model, writer, inputs=files.inputs, outputs=files.outputs)


def serve(folder: DeploymentFolder, generation: str, listener: socket.socket, say: Callable[[str], None]) -> None:
    """Load the versions that are to answer, warm them up, and answer on `listener` until told to end."""
    place = folder.generation(generation)
    if not (place / TRAFFIC_FILE).exists():  # started by hand, on one version
        first_orders(json.loads((place / "serving.json").read_text())["model"]).write(place)

    def load(at: Path, model_ref: str, rules: LogRules) -> Slot:
        return load_slot(at, model_ref, folder.log, rules, say)

    counters = Counters(place / WORKERS / f"{os.getpid()}.counts")
    router = LiveRouter(counters, place / WORKERS, folder.path.name)
    app = App(router, token=folder.token())

    def renew_token() -> None:
        with contextlib.suppress(NotFound):
            app.token = folder.token()

    follower = Follower(place, router, load, renew_token)
    follower.begin()
    gc.collect()
    gc.freeze()  # the model lives as long as the process: no collection need look at it
    config = uvicorn.Config(
        app,
        loop="uvloop",
        http="httptools",
        ws="none",
        interface="asgi3",
        lifespan="off",
        access_log=False,
        log_config=None,
        server_header=False,
        date_header=False,
        proxy_headers=False,
        backlog=BACKLOG,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
    try:
        Server(config, lambda: say("ready")).run(sockets=[listener])
    finally:
        follower.close()
        app.close()


def main(arguments: list[str] | None = None) -> int:
    """Serve until told to end."""
    parser = argparse.ArgumentParser(prog="python -m jupyter_mlops.serving.server", description=__doc__)
    parser.add_argument("folder", type=Path, help="the deployment's folder")
    parser.add_argument("--generation", default="", help="which try of deploying; by default the one that is to run")
    parser.add_argument("--socket", type=int, default=-1, help="the number of an inherited, bound socket")
    parser.add_argument("--progress", type=int, default=-1, help="the number of an inherited pipe to tell progress on")
    given = parser.parse_args(arguments)
    os.umask(0o077)
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
        serve(folder, generation, listener, say)
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
