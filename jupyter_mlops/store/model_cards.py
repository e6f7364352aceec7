"""Model cards at rest: a file among a version's own files, and in short as the description that MLflow's pages show."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlparse

from .door import mlflow_errors
from .models import model_id_of

if TYPE_CHECKING:
    from .store import Store

__all__ = ["read_card", "write_card"]

FOLDER = "mlops"
LONGEST_DESCRIPTION = 4900


def read_card(store: Store, entity: Any) -> str:
    """The card of a version (MLflow's entity); empty for none."""
    place = _place(store, entity)
    if not place:
        return ""
    address = urlparse(place)
    try:
        if address.scheme in ("", "file"):
            return (Path(unquote(address.path)) / FOLDER / _file(entity)).read_text(encoding="utf-8")
        from mlflow.artifacts import download_artifacts

        with tempfile.TemporaryDirectory() as folder:
            uri, own = f"{place}/{FOLDER}/{_file(entity)}", store.workspace.tracking_uri
            return Path(download_artifacts(artifact_uri=uri, dst_path=folder, tracking_uri=own)).read_text("utf-8")
    except Exception:
        return ""


def write_card(store: Store, entity: Any, text: str, short: str) -> bool:
    """Keep the card with a version, replacing an earlier one; give whether it has a place for files.

    Parameters
    ----------
    short
        What becomes the version's description, Markdown too.
    """
    model_id = model_id_of(entity)
    with mlflow_errors(store.workspace.tracking_uri), store.write_lock:
        if model_id:
            with tempfile.TemporaryDirectory() as folder:
                file = Path(folder) / _file(entity)
                file.write_text(text, encoding="utf-8")
                store.client.log_model_artifact(model_id, str(file), FOLDER)
        store.client.update_model_version(entity.name, str(entity.version), description=short[:LONGEST_DESCRIPTION])
    return bool(model_id)


def _file(entity: Any) -> str:
    """One logged model may be registered under several names; each version has a card of its own."""
    return f"card-{entity.name}-{entity.version}.md"


def _place(store: Store, entity: Any) -> str:
    model_id = model_id_of(entity)
    return str(store.models.logged(model_id).artifact_location) if model_id else ""
