"""A stored model's files: read, named after their logged model, fetched from wherever they lie, and checked."""

from __future__ import annotations

import hashlib
import os
import shutil
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

from ..errors import IntegrityFailure, NotFound

__all__ = ["ModelFiles", "check", "described", "fetch", "mlmodel", "name_model"]

MLMODEL = "MLmodel"


def mlmodel(folder: Path) -> dict[str, Any]:
    """What a model folder's ``MLmodel`` says.

    Raises
    ------
    NotFound
        The folder holds no model.
    """
    import yaml

    try:
        data = yaml.load((folder / MLMODEL).read_text(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506 both are safe
    except OSError:
        raise NotFound(f"{folder} holds no model: its MLmodel file is missing.") from None
    except yaml.YAMLError as error:
        raise IntegrityFailure(f"the MLmodel file in {folder} cannot be read: {error}.") from error
    return data if isinstance(data, dict) else {}


@dataclass(frozen=True)
class ModelFiles:
    """What a model folder says of its model, ours or anybody's.

    Parameters
    ----------
    estimator, digest
        Empty for a model that others wrote.
    inputs, outputs
        The signature's halves as MLflow writes them, JSON; empty for none.
    """

    flavor: str
    format: str
    estimator: str = ""
    digest: str = ""
    profile: bool = False
    inputs: str = ""
    outputs: str = ""


def described(folder: Path) -> ModelFiles:
    """Read what a model folder says of its model."""
    data = mlmodel(folder)
    own = (data.get("metadata") or {}).get("mlops") or {}
    signature = data.get("signature") or {}
    flavors = data.get("flavors") or {}
    flavor = next((name for name in flavors if name != "python_function"), "python_function")
    serialization = (flavors.get(flavor) or {}).get("serialization_format") or ""
    return ModelFiles(
        flavor=flavor,
        format=own.get("format") or {"cloudpickle": "pickle"}.get(serialization, serialization),
        estimator=own.get("estimator", ""),
        digest=own.get("digest", ""),
        profile=bool(own.get("profile")),
        inputs=signature.get("inputs") or "",
        outputs=signature.get("outputs") or "",
    )


def name_model(folder: Path, model_id: str, run_id: str, location: str) -> None:
    """Write a logged model's id, run and place into ``MLmodel``, where MLflow looks for them, in one step."""
    import yaml

    data = mlmodel(folder)
    data |= {"model_id": model_id, "model_uuid": model_id, "artifact_path": location}
    if run_id:
        data["run_id"] = run_id
    temporary = folder.with_name(f"{folder.name}.MLmodel.{uuid.uuid4().hex[:8]}.tmp")
    dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    temporary.write_text(yaml.dump(data, Dumper=dumper, default_flow_style=False))
    temporary.replace(folder / MLMODEL)


def fetch(place: str, cached: Path, *, tracking_uri: str) -> Path:
    """A local folder with what lies at the artifact address `place`: itself if it is local, else a copy in `cached`."""
    address = urlparse(place)
    if address.scheme in ("", "file"):
        folder = Path(unquote(address.path))
        if not (folder / MLMODEL).exists():
            raise NotFound(f"the model's files are not in {folder}.", hint="Were they moved or deleted?")
        return folder
    if (cached / MLMODEL).exists():
        return cached
    from mlflow.artifacts import download_artifacts

    temporary = cached.with_name(f".{cached.name}.{os.getpid()}.{uuid.uuid4().hex[:8]}.tmp")
    temporary.mkdir(parents=True)
    try:
        got = Path(download_artifacts(artifact_uri=place, dst_path=str(temporary), tracking_uri=tracking_uri))
        if not (got / MLMODEL).exists():
            raise NotFound(f"the model's files are not at {place}.", hint="Were they moved or deleted?")
        try:
            got.rename(cached)
        except OSError:  # another request was quicker: its copy is as good
            if not (cached / MLMODEL).exists():
                raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return cached


def check(folder: Path, what: str) -> None:
    """Raise unless the model file is the one that was stored; a model of others has no digest to check.

    Raises
    ------
    IntegrityFailure
        It is not.
    """
    data = mlmodel(folder)
    own = (data.get("metadata") or {}).get("mlops") or {}
    file = (data.get("flavors") or {}).get("sklearn", {}).get("pickled_model")
    if not own.get("digest") or not file:
        return
    try:
        with (folder / file).open("rb") as opened:
            found = hashlib.file_digest(opened, "sha256").hexdigest()
    except OSError as error:
        raise IntegrityFailure(f"the file of {what} cannot be read: {error}.", hint="Register it again.") from error
    if found != own["digest"]:
        raise IntegrityFailure(
            f"the file of {what} is not the one that was stored: its digest is {found[:12]}, not {own['digest'][:12]}.",
            hint="Do not use it; register the model again.",
        )
