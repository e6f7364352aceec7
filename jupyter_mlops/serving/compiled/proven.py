"""Proven: plans kept by what they were proven for: a model's files, and what compiles and computes in this environment.

A plan is compared with the original once for each model, kind of machine, interpreter and version of the libraries and of
this package's compiler; whatever deploys the same again, or the same model under another name, takes it from here. The folder
is the workspace's ``.mlops/plans``; where there is none (an image, a server started by hand) it is beside the model.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import platform
import shutil
import sys
import time
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from ..load import ModelFolder

__all__ = ["await_other", "environment", "forget_oldest", "key_of", "proving", "used"]

LIBRARIES = (
    "numpy", "scipy", "pandas", "scikit-learn", "skops", "onnx", "onnxruntime", "xgboost", "lightgbm", "msgspec", "llvmlite",
    "orjson",
)  # fmt: skip
COMPILER = ("compiled/*.py", "compiled/*.ll", "load.py", "model.py", "request.py", "signature.py", "limits.py")
LOOK_SECONDS = 0.02
KEPT = 200  # plans; of more, those that were used longest ago are removed


def key_of(model: ModelFolder) -> str:
    """Under which name a model's plan is kept; another for other files, libraries, machines and compilers."""
    digest = hashlib.blake2b(digest_size=20)
    facts = {name: model.facts.get(name) for name in ("flavors", "signature")}
    digest.update(json.dumps([facts, environment()], sort_keys=True, default=str).encode())
    files = [path for path in sorted(model.path.rglob("*")) if path.is_file() and path.name != "MLmodel"]
    for part in _contents(model.path, files):
        digest.update(part)
    return digest.hexdigest()


def environment() -> list[str]:
    """What compiles and computes here: the interpreter, the kind of machine, the libraries on disk and this package's compiler.

    The machine's own name is not part of it: a container has another one at every start.
    """
    serving = Path(__file__).parents[1]
    sources = [path for pattern in COMPILER for path in sorted(serving.glob(pattern))]
    compiler = hashlib.blake2b(b"".join(_contents(serving, sources)), digest_size=20).hexdigest()
    return [sys.version, platform.machine(), *map(_version, LIBRARIES), compiler]


def _contents(base: Path, paths: list[Path]) -> Iterator[bytes]:
    for path in paths:
        content = hashlib.blake2b(path.read_bytes(), digest_size=32).digest()
        yield str(path.relative_to(base)).encode() + b"\0" + content


@contextlib.contextmanager
def proving(plan: Path) -> Iterator[None]:
    """Several processes may come to the same model at once; one compiles it while the others wait."""
    plan.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with plan.with_name(f".{plan.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def await_other(plan: Path, seconds: float) -> bool:
    """Wait while another process proves a plan, at most so many seconds; whether one does not any more, or never did."""
    deadline = time.monotonic() + seconds
    plan.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with plan.with_name(f".{plan.name}.lock").open("w") as lock:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                if time.monotonic() > deadline:
                    return False
                time.sleep(LOOK_SECONDS)
            else:
                return True


def forget_oldest(plans: Path, keep: int = KEPT) -> None:
    """Remove the plans that were used longest ago, but for so many; a deployment that needs one compiles it again."""
    kept = []
    for path in plans.iterdir():
        with contextlib.suppress(OSError):
            if path.is_dir():
                kept.append((path.stat().st_mtime_ns, path))
    for _, path in sorted(kept, reverse=True)[keep:]:
        shutil.rmtree(path, ignore_errors=True)
        path.with_name(f".{path.name}.lock").unlink(missing_ok=True)


def used(plan: Path) -> None:
    """Note that a plan is in use, so that it is kept."""
    with contextlib.suppress(OSError):
        os.utime(plan)


def _version(library: str) -> str:
    try:
        return metadata.version(library)
    except metadata.PackageNotFoundError:
        return ""
