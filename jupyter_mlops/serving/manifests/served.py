"""Served: what a model version needs in an image, read off its files and this environment."""

from __future__ import annotations

import re
import sys
from importlib import metadata
from pathlib import Path

from ...domain.deployment import Manifest
from ..load import ModelFolder
from . import TARGETS, Served, write

__all__ = ["requirements_of", "write_for"]

SERVER = (
    "uvicorn",
    "uvloop",
    "httptools",
    "msgspec",
    "orjson",
    "numpy",
    "pandas",
    "pyarrow",
    "pyyaml",
    "onnxruntime",
    "blake3",
)
NATIVE = ("scikit-learn", "scipy", "skops", "onnx", "skl2onnx")
LEFT_OUT = re.compile(r"(?i)^(mlflow|jupyter|ipy|notebook)")


def requirements_of(folder: ModelFolder) -> tuple[str, ...]:
    """The packages that serve a model, pinned to what is installed here, or as the model's own file pins them."""
    native = folder.native()
    wanted = {name: _pinned(name) for name in (*SERVER, *(NATIVE if native else ("mlflow", "scikit-learn")))}
    file = folder.path / "requirements.txt"
    for line in file.read_text().splitlines() if file.is_file() else ():
        name = re.split(r"[\s<>=!~\[;]", line.strip(), maxsplit=1)[0].lower()
        if name and name[0] not in "#-" and not LEFT_OUT.match(name):
            wanted[name] = line.strip()
    return tuple(sorted(wanted.values()))


def write_for(
    target: str, model: str, name: str, files: Path, out: Path, workers: int, *, allow_pickle: bool
) -> Manifest:
    """Write a model version for a target into a folder."""
    folder = ModelFolder.open(files)
    served = Served(
        name,
        model,
        requirements_of(folder),
        f"{sys.version_info.major}.{sys.version_info.minor}",
        metadata.version("jupyter-mlops"),
        workers,
        allow_pickle,
    )
    written = write(TARGETS[target], served, files, out)
    return Manifest(target, model, str(out), tuple(written), TARGETS[target].told)


def _pinned(name: str) -> str:
    try:
        return f"{name}=={metadata.version(name)}"
    except metadata.PackageNotFoundError:
        return name
