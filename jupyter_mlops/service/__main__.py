"""``python -m jupyter_mlops.service FOLDER TIME``: the workspace's background process; started by the client, not by hand."""

from __future__ import annotations

import logging
import os
import signal
import sys
from pathlib import Path

from ..settings import Settings
from .daemon import Daemon
from .operations import DUTIES, OPERATIONS


def main() -> None:
    """Serve the workspace named on the command line until stopped or idle."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("alembic").setLevel(logging.WARNING)
    settings = Settings.load(root=Path(sys.argv[1]))
    os.environ.pop(
        "MLFLOW_TRACKING_URI", None
    )  # only for a workspace without a store; `connect` may choose another later
    daemon = Daemon(settings, OPERATIONS, DUTIES)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: daemon.stopping.set())
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    daemon.run(float(sys.argv[2]))


if __name__ == "__main__":
    main()
