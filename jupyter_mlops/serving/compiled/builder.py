"""``python -m jupyter_mlops.serving.compiled.builder PLANS``: proves the plans of the models named on its standard input.

Started when a model is about to be registered: loading scikit-learn and skops takes longer than most proofs do, and is
done by the time the model is there. It stays a while for the next one.
"""

from __future__ import annotations

import argparse
import contextlib
import logging
import os
import select
import sys
import threading
from pathlib import Path

from ...tracking.onnx_import import onnxruntime
from ...tracking.skops_import import skops_io
from .build import be_builder, prove
from .proven import environment

__all__ = ["main"]

log = logging.getLogger("jupyter_mlops.serving")

IDLE_SECONDS = 90.0
LIBRARIES = ("pandas", "onnx")


def main(arguments: list[str] | None = None) -> int:
    """Build plans until nobody can ask for one, or nobody has for a while."""
    parser = argparse.ArgumentParser(prog="python -m jupyter_mlops.serving.compiled.builder", description=__doc__)
    parser.add_argument("plans", type=Path, help="where plans are kept")
    parser.add_argument("--root", default="", help="the project's folder, for classes that a model is made of")
    parser.add_argument("--nice", type=int, default=0, help="how far to stand back for other processes")
    given = parser.parse_args(arguments)
    be_builder(given.root, given.nice)
    began_with = environment()
    loading = threading.Thread(target=_load, daemon=True)
    loading.start()
    waiting = b""
    while select.select([0], [], [], IDLE_SECONDS)[0]:
        got = os.read(0, 65536)
        if not got:
            break
        *lines, waiting = (waiting + got).split(b"\n")
        for line in lines:
            if environment() != began_with:
                log.error("the libraries on disk are others than those loaded here; the deployment proves its plan")
                return 0
            try:
                prove(Path(os.fsdecode(line)), given.plans, allow_pickle=False, loaded=loading.join)
            except Exception:
                log.exception("no plan for %s", os.fsdecode(line))
    return 0


def _load() -> None:
    with contextlib.suppress(ImportError):  # what a model needs and lacks, its build tells
        skops_io()
    for name in LIBRARIES:
        with contextlib.suppress(ImportError):
            __import__(name)
    with contextlib.suppress(ImportError):
        onnxruntime()


if __name__ == "__main__":
    sys.exit(main())
